//! Certificates, made for the test.

use std::sync::LazyLock;

use drywire_tls::server::ClientCertificates;
use drywire_tls::{ClientConfig, Identity, Roots, ServerConfig, client, server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// The server's name.
pub const NAME: &str = "server.example";

/// Somebody who vouches for others.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(self.0.pem().as_bytes()).unwrap()
    }

    pub fn identity(&self, names: &[&str]) -> Identity {
        self.identity_of(&CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
    }

    /// For a certificate that is out of the ordinary.
    pub fn identity_of(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("the authority"));
static SERVER: LazyLock<Identity> = LazyLock::new(|| AUTHORITY.identity(&[NAME, "127.0.0.1"]));

/// The authority that both sides trust.
pub fn roots() -> Roots {
    AUTHORITY.roots()
}

pub fn server_identity() -> Identity {
    SERVER.clone()
}

pub fn client_identity() -> Identity {
    AUTHORITY.identity(&["client.example"])
}

pub fn client_config() -> ClientConfig {
    client::config(roots(), None).unwrap()
}

pub fn server_config() -> ServerConfig {
    server::config(server_identity(), ClientCertificates::NotAsked).unwrap()
}
