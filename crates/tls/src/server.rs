//! What a server's connections share.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::WebPkiClientVerifier;

use crate::{ConfigError, HTTP_1_1, Identity, Roots, provider};

/// What a server wants to know of its clients.
#[derive(Clone, Debug, Default)]
pub enum ClientCertificates {
    /// Nothing: they are not asked.
    #[default]
    NotAsked,
    /// They are asked; one that shows none is let in, one that shows a wrong one is not.
    Optional(Roots),
    /// Nobody is let in without a certificate that these roots vouch for.
    Required(Roots),
}

/// TLS 1.3 and 1.2 for a server of this identity.
///
/// Sessions are resumed by tickets that the server need not remember (RFC 8446, 2.2; RFC 5077), under keys that change
/// every six hours. A client that offers protocols (ALPN, RFC 7301) must offer `http/1.1`. All of that can be changed on
/// the result.
pub fn config(identity: Identity, clients: ClientCertificates) -> Result<ServerConfig, ConfigError> {
    let verifier = |roots: Roots| WebPkiClientVerifier::builder_with_provider(Arc::new(roots.0), provider());
    let verifier = match clients {
        ClientCertificates::NotAsked => WebPkiClientVerifier::no_client_auth(),
        ClientCertificates::Optional(roots) => verifier(roots).allow_unauthenticated().build()?,
        ClientCertificates::Required(roots) => verifier(roots).build()?,
    };
    let Identity { chain, key } = identity;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config.ticketer = Ticketer::new()?;
    Ok(config)
}
