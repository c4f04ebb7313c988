//! What a client's connections share.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::{ClientConfig, ConfigBuilder, WantsVerifier};

use crate::insecure::TrustAnyServer;
use crate::{ConfigError, HTTP_1_1, Identity, Roots, provider};

/// TLS 1.3 and 1.2 for a client that trusts `roots` and shows `identity` where a server asks for a certificate.
///
/// Sessions are resumed by tickets: keep the configuration and share it, for it holds them. The name goes to the server
/// (SNI), and `http/1.1` is offered (ALPN, RFC 7301). All of that can be changed on the result.
pub fn config(roots: Roots, identity: Option<Identity>) -> Result<ClientConfig, ConfigError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots.0), provider()).build()?;
    finish(builder()?.with_webpki_verifier(verifier), identity)
}

/// As [`config`], but with every server, whatever certificate it shows: anybody in between can read and change
/// everything. For tests and for development.
pub fn insecure_config_that_trusts_any_server(identity: Option<Identity>) -> Result<ClientConfig, ConfigError> {
    let verifier = Arc::new(TrustAnyServer::new(provider()));
    finish(builder()?.dangerous().with_custom_certificate_verifier(verifier), identity)
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ConfigError> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn finish(
    builder: ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    identity: Option<Identity>,
) -> Result<ClientConfig, ConfigError> {
    let mut config = match identity {
        Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}
