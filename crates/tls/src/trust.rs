//! Whom to trust, and who one is.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::ConfigError;

/// The certificates that are trusted to vouch for others.
#[derive(Clone, Debug)]
pub struct Roots(pub(crate) RootCertStore);

impl Roots {
    /// Those that the system trusts, or the file and folder that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. It reads files.
    pub fn platform() -> Result<Self, ConfigError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reasons: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            let why = if reasons.is_empty() { "there are none".to_owned() } else { reasons.join("; ") };
            return Err(ConfigError::NoPlatformRoots(why));
        }
        Ok(Self(store))
    }

    /// Those of a PEM file's content, such as curl's `--cacert` takes, and no others.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ConfigError> {
        Self::from_der(certificates(pem)?)
    }

    /// These and no others.
    pub fn from_der(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Result<Self, ConfigError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store.add(certificate)?;
        }
        Ok(Self(store))
    }

    /// As rustls has them, for a configuration of one's own.
    pub fn into_store(self) -> RootCertStore {
        self.0
    }
}

/// A certificate with those that vouch for it, and its private key.
pub struct Identity {
    /// The certificate itself comes first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the content of two PEM files, which may be the same one: the chain, its own certificate first, and the key
    /// (PKCS #8, PKCS #1 or SEC 1).
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => ConfigError::NoPrivateKey,
            error => ConfigError::Pem(error),
        })?;
        Ok(Self { chain, key })
    }

    /// Makes a key and a certificate for these names and IP addresses that vouches for itself. For development: nobody
    /// trusts it who is not told to.
    #[cfg(feature = "self-signed")]
    pub fn self_signed(names: impl Into<Vec<String>>) -> Result<Self, ConfigError> {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names)?;
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        Ok(Self { chain: vec![cert.into()], key: key.into() })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(ConfigError::NoCertificate) } else { Ok(certificates) }
}
