//! TLS of the clients, as the command line asks for it.

use std::io;
use std::sync::Arc;

use drywire::tls::rustls::{self, CertificateError};
use drywire::tls::{ClientConfig, Error, Roots, client};

use crate::args::Trust;
use crate::{Failure, pem};

impl Trust {
    /// What the connections share. Where the system trusts nobody, that is an error only if TLS `is_needed` for the URL itself;
    /// otherwise there is none.
    pub(super) fn config(&self, is_needed: bool) -> Result<Option<Arc<ClientConfig>>, Failure> {
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some(pem::identity(cert, key)?),
            _ => None,
        };
        let config = if self.insecure {
            client::insecure_config_that_trusts_any_server(identity)
        } else if let Some(path) = &self.cacert {
            client::config(pem::roots(path)?, identity)
        } else {
            match Roots::platform() {
                Ok(roots) => client::config(roots, identity),
                // Where a redirect or a proxy leads to TLS after all, the client says that it has none.
                Err(_) if !is_needed => return Ok(None),
                Err(why) => return Err(Failure::failed(why)),
            }
        };
        config.map(|config| Some(Arc::new(config))).map_err(pem::refused)
    }

    /// Whether anything is said of TLS.
    pub(super) fn is_given(&self) -> bool {
        self.insecure || self.cacert.is_some() || self.cert.is_some()
    }
}

/// Why the certificate of a server is not taken, where that can be said better than rustls does.
pub(super) fn mistrust(error: &io::Error) -> Option<&'static str> {
    let Some(Error::Tls(rustls::Error::InvalidCertificate(why))) = Error::of(error) else { return None };
    match why {
        CertificateError::UnknownIssuer => {
            Some("nobody who is trusted vouches for its certificate (--cacert names whom to trust)")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Some("its certificate has expired"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("its certificate is not valid yet")
        }
        // Of a wrong name, rustls says the right ones.
        _ => None,
    }
}
