//! What can go wrong: on the connection in [`Error`], in what the caller gave in [`ConfigError`].

use std::io;

use rustls::pki_types::pem;

/// Why a connection failed: the peer's fault, or its mistrust.
///
/// On a [`Wire`](drywire_driver::Wire) it is the payload of an [`io::Error`], to be had by [`Error::of`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of TLS, sent an alert, or showed a certificate that is not trusted (RFC 8446, 6.2). What
    /// rustls has to say about it was written to the peer.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The first bytes are not of TLS.
    #[error("the peer does not speak TLS: it began with {}", crate::error::quote(.0))]
    NotTls(Vec<u8>),
    /// The stream ended before the connection was secure.
    #[error("the peer ended the connection in the TLS handshake")]
    EndedInHandshake,
    /// The stream ended without `close_notify` (RFC 8446, 6.1): somebody may have cut it.
    #[error("the connection ended without TLS's close_notify")]
    Truncated,
}

impl Error {
    /// The error of this crate in an error of a transport.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Error> for io::Error {
    /// [`Truncated`](Error::Truncated) is an [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), all others are
    /// [`InvalidData`](io::ErrorKind::InvalidData).
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Truncated => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Bytes for a reader.
fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

/// What cannot be used to configure TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The system has no certificates to trust, or they cannot be read.
    #[error("the system's trusted certificates cannot be used: {0}")]
    NoPlatformRoots(String),
    /// No certificate stands where one should.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// No private key stands where one should.
    #[error("there is no private key in it")]
    NoPrivateKey,
    /// What should be PEM (RFC 7468) is not.
    #[error("it is not PEM: {0}")]
    Pem(#[from] pem::Error),
    /// A certificate or key that rustls does not take.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// No verifier of client certificates comes of these roots.
    #[error("client certificates cannot be verified: {0}")]
    ClientVerifier(#[from] rustls::server::VerifierBuilderError),
    /// No certificate can be made for these names.
    #[cfg(feature = "self-signed")]
    #[error("no certificate can be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
}
