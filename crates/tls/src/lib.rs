//! TLS over any wire, by rustls.
//!
//! rustls is a state machine without I/O, as the machines of drywire are, so TLS is written once for all drivers: a
//! [`Session`] holds the state of a connection, and [`Session::wire`] lays it over another
//! [`Wire`](drywire_driver::Wire) for the length of one turn.
//!
//! Users want `TlsTransport` of `drywire_std` or `drywire_tokio`, and from here the configurations
//! ([`client::config`], [`server::config`]) with what they are made of ([`Roots`], [`Identity`]).
//!
//! # In scope
//!
//! TLS 1.3 and 1.2 with `http/1.1` (ALPN), names (SNI), client certificates, resumption by tickets; the orderly end and
//! its absence ([`Error::Truncated`]).
//!
//! # Out of scope
//!
//! Cryptography and the protocol itself, which are rustls's. Early data. Revocation.

pub mod client;
mod error;
mod insecure;
mod receive;
mod send;
pub mod server;
mod session;
mod trust;
mod wire;

use std::sync::Arc;

pub use error::{ConfigError, Error};
pub use rustls;
#[doc(no_inline)]
pub use rustls::pki_types::ServerName;
#[doc(no_inline)]
pub use rustls::{ClientConfig, ServerConfig};
pub use session::Session;
pub use trust::{Identity, Roots};
pub use wire::TlsWire;

/// The name of HTTP/1.1 in ALPN (RFC 7301, 6). The WebSocket protocol is reached through it.
pub const HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
