//! The opening handshake (RFC 6455, 4): a request for an upgrade, and the 101 that grants it.
//!
//! Both halves are plain values that build and check HTTP heads; the HTTP machines carry them.
//! [`ClientHandshake`] is what a client sends and how it checks the answer ([`Client`](crate::Client) is the whole
//! exchange as a machine), [`accept`] is what a server does with a request:
//!
//! ```
//! use drywire_core::{Instant, RecvBuf, Seed, StreamMachine};
//! use drywire_http::server;
//! use drywire_ws::handshake::{self, Policy};
//! use drywire_ws::{Config, Connection, Role};
//!
//! let now = Instant::ORIGIN;
//! let mut http = server::Connection::new(now, server::Config::default());
//! let mut recv = RecvBuf::new();
//! recv.extend_from_slice(
//!     b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
//!       Origin: http://server.example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\r\n",
//! );
//!
//! let policy = Policy { protocols: vec!["superchat".into(), "chat".into()], ..Policy::default() };
//! while let Some(event) = http.poll_event(now, &mut recv)? {
//!     if let server::Event::Request(request) = event {
//!         let acceptance = handshake::accept(&request, &policy).expect("a good request");
//!         assert_eq!(acceptance.protocol(), Some("superchat"));
//!         while http.poll_event(now, &mut recv)?.is_some() {} // the end of the request's empty content
//!         http.upgrade(&acceptance)?;
//!         break;
//!     }
//! }
//! // The response head is the first thing that the WebSocket sends.
//! let websocket = Connection::new(now, Role::Server, Config::default(), &Seed::from(0), http.into_transmit());
//! # let mut websocket = websocket;
//! # assert!(websocket.transmit().pop(500).starts_with(b"HTTP/1.1 101 "));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod client;
mod server;

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use crate::deflate::Parameters;

pub use client::{ClientHandshake, HandshakeError, Offer, OfferError, StreamHandshake};
pub use drywire_http::origin::OriginPolicy;
pub use server::{Acceptance, Policy, Rejection, accept, accept_stream};

/// The one version of the protocol (RFC 6455, 4.1).
const VERSION: &str = "13";
/// What `Upgrade` asks for (RFC 6455, 4.1).
const WEBSOCKET: &str = "websocket";
/// What every key is joined with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that proves the receipt of a `Sec-WebSocket-Key` (RFC 6455, 4.2.2, 5.4).
///
/// ```
/// // RFC 6455, 1.3.
/// let accept = drywire_ws::handshake::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether `bytes` are a token (RFC 9110, 5.6.2), as sub-protocol names are.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// Whether a token may have this byte.
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What both ends of a connection agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreement {
    /// The sub-protocol that both ends speak.
    pub protocol: Option<String>,
    /// The parameters of permessage-deflate, if messages may be compressed.
    pub deflate: Option<Parameters>,
}
