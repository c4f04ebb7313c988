//! Why an exchange failed.

use std::io;
use std::sync::Arc;

use drywire_http::CommandError;

use crate::{InvalidUrl, RedirectError, TunnelError};

/// Why there is no response, or no more of it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be asked.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The request cannot be sent as it is.
    #[error("the request cannot be sent: {0}")]
    Request(#[from] CommandError),
    /// The source of the request's content failed.
    #[error("the content of the request: {0}")]
    Content(Arc<io::Error>),
    /// The name of the host, or of the proxy, could not be resolved.
    #[error("cannot resolve {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        error: Arc<io::Error>,
    },
    /// None of the addresses could be connected to. The failure is that of the first that failed.
    #[error("cannot connect to {host}: {error}")]
    Connect {
        /// The host, or the proxy.
        host: String,
        /// The first failure.
        error: Arc<io::Error>,
    },
    /// There was no connection within [`connect_timeout`](crate::Config::connect_timeout), all steps together.
    #[error("cannot connect to {host}: it takes too long")]
    ConnectTimeout {
        /// The host.
        host: String,
    },
    /// The URL needs TLS, and the client was made without.
    #[error("cannot connect to {host}: this client has no TLS")]
    NoTls {
        /// The host.
        host: String,
    },
    /// TLS could not be agreed on.
    #[error("cannot connect to {host} by TLS: {error}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The proxy did not give a tunnel.
    #[error("the proxy: {0}")]
    Tunnel(#[from] TunnelError),
    /// The exchange took longer than its [`timeout`](crate::Request::timeout).
    #[error("the exchange takes too long")]
    Timeout,
    /// The server broke a rule of HTTP, was too slow, or closed without an answer.
    #[error(transparent)]
    Http(#[from] drywire_http::Error),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Transport(Arc<io::Error>),
    /// A redirect leads nowhere.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// More content than the caller wants to hold.
    #[error("the content of the response is longer than {limit} bytes")]
    TooLong {
        /// The caller's limit.
        limit: usize,
    },
}

impl Error {
    /// A failure of the transport.
    pub fn transport(error: io::Error) -> Self {
        Self::Transport(Arc::new(error))
    }

    /// Whether time ran out, whichever deadline it was.
    pub fn is_timeout(&self) -> bool {
        use drywire_http::Error as Http;
        matches!(
            self,
            Self::Timeout
                | Self::ConnectTimeout { .. }
                | Self::Tunnel(TunnelError::Timeout)
                | Self::Http(Http::ResponseTimeout | Http::ContentTimeout | Http::SendTimeout)
        )
    }

    /// Whether the peer is gone, in order or not. A kept connection fails so when the server closed it meanwhile.
    pub fn is_disconnect(&self) -> bool {
        use io::ErrorKind as Kind;
        match self {
            Self::Http(drywire_http::Error::NoResponse) => true,
            Self::Transport(error) => matches!(
                error.kind(),
                Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::NotConnected
                    | Kind::UnexpectedEof
                    | Kind::WriteZero
            ),
            _ => false,
        }
    }
}

/// So that a body can be an `io::Read`.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Transport(inner) | Error::Content(inner) => inner.kind(),
            error if error.is_timeout() => io::ErrorKind::TimedOut,
            Error::Http(drywire_http::Error::UnexpectedEnd | drywire_http::Error::NoResponse) => {
                io::ErrorKind::UnexpectedEof
            }
            Error::Http(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
