//! The client's half of the opening handshake (RFC 6455, 4.1).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drywire_http::{CommandError, RequestParts, ResponseHead};

use super::{VERSION, WEBSOCKET, accept_key, is_token};

/// What a client asks a server for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The value of `Host`: the server's name, with its port unless it is the scheme's default.
    pub host: String,
    /// The path and query of the `ws` or `wss` URI: at least `/`.
    pub target: String,
    /// The sub-protocols that the client speaks, the preferred one first. Tokens, each once.
    pub protocols: Vec<String>,
    /// The value of `Origin`, which browsers send and other clients need not.
    pub origin: Option<String>,
    /// Further field lines, such as `Authorization` or `Cookie`: name and value.
    pub fields: Vec<(String, String)>,
}

impl Offer {
    /// An offer for this host and target, without anything that is optional.
    pub fn new(host: impl Into<String>, target: impl Into<String>) -> Self {
        Self { host: host.into(), target: target.into(), ..Self::default() }
    }
}

/// An [`Offer`] that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// A sub-protocol is not a token (RFC 6455, 4.1, 10).
    #[error("the sub-protocol {0:?} is not a token")]
    InvalidProtocol(String),
    /// A sub-protocol is listed twice (RFC 6455, 4.1, 10).
    #[error("the sub-protocol {0:?} is listed twice")]
    RepeatedProtocol(String),
    /// A further field line that the handshake itself writes.
    #[error("the handshake itself writes the field {0}")]
    ReservedField(String),
    /// The head is no valid HTTP: its host, its target or a field line.
    #[error(transparent)]
    Http(#[from] CommandError),
}

/// A request for an upgrade to WebSocket, and the check of its answer.
///
/// It goes to [`send_request`](drywire_http::client::Connection::send_request) as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHandshake {
    target: String,
    protocols: Vec<String>,
    key: String,
    fields: Vec<(String, String)>,
}

impl ClientHandshake {
    /// The request that makes `offer`. The `nonce` must be fresh and random for each handshake (RFC 6455, 4.1, 7).
    pub fn new(nonce: [u8; 16], offer: Offer) -> Result<Self, OfferError> {
        let Offer { host, target, protocols, origin, fields: further } = offer;
        for (index, protocol) in protocols.iter().enumerate() {
            if !is_token(protocol.as_bytes()) {
                return Err(OfferError::InvalidProtocol(protocol.clone()));
            }
            if protocols.iter().take(index).any(|earlier| earlier == protocol) {
                return Err(OfferError::RepeatedProtocol(protocol.clone()));
            }
        }
        // 4.1, 7: "a randomly selected 16-byte value that has been base64-encoded".
        let key = STANDARD.encode(nonce);
        let mut fields = Vec::with_capacity(7 + further.len());
        let mut add = |name: &str, value: String| fields.push((name.to_string(), value));
        add("Host", host);
        add("Upgrade", WEBSOCKET.to_string());
        add("Connection", "Upgrade".to_string());
        add("Sec-WebSocket-Key", key.clone());
        add("Sec-WebSocket-Version", VERSION.to_string());
        if !protocols.is_empty() {
            add("Sec-WebSocket-Protocol", protocols.join(", "));
        }
        if let Some(origin) = origin {
            add("Origin", origin);
        }
        for (name, value) in further {
            if is_reserved(&name) {
                return Err(OfferError::ReservedField(name));
            }
            fields.push((name, value));
        }
        Ok(Self { target, protocols, key, fields })
    }

    /// Checks the server's answer (RFC 6455, 4.1, second list) and gives the sub-protocol that the server chose, if
    /// it chose one.
    pub fn verify(&self, response: &ResponseHead) -> Result<Option<&str>, HandshakeError> {
        // 1. The status.
        if response.status() != 101 {
            return Err(HandshakeError::Status(response.status()));
        }
        let fields = response.field_section();
        let single = |name| {
            let mut values = fields.field_values(name);
            let first = values.next();
            if values.next().is_some() { Err(()) } else { Ok(first) }
        };
        // 2. "contains a value that is not an ASCII case-insensitive match for the value "websocket"".
        let upgrade = single("upgrade").ok().flatten();
        if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(WEBSOCKET.as_bytes())) {
            return Err(HandshakeError::Upgrade);
        }
        // 3. "a token that is an ASCII case-insensitive match for the value "Upgrade"".
        if !fields.contains_token("connection", "upgrade") {
            return Err(HandshakeError::Connection);
        }
        // 4. The proof that the server read this key; 11.3.3: once.
        if single("sec-websocket-accept") != Ok(Some(accept_key(&self.key).as_bytes())) {
            return Err(HandshakeError::Accept);
        }
        // 5. No extension was offered, so none may be in use.
        if fields.field_values("sec-websocket-extensions").any(|value| !value.is_empty()) {
            return Err(HandshakeError::UnofferedExtension);
        }
        // 6. One of the offered sub-protocols; 11.3.4: once.
        let Some(chosen) = single("sec-websocket-protocol").map_err(|()| HandshakeError::UnofferedProtocol)? else {
            return Ok(None);
        };
        let offered = self.protocols.iter().find(|protocol| protocol.as_bytes() == chosen);
        offered.map(|protocol| Some(&protocol[..])).ok_or(HandshakeError::UnofferedProtocol)
    }
}

impl RequestParts for ClientHandshake {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.target)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

/// Whether the handshake writes the field itself, or could not honour the answer to it.
fn is_reserved(name: &str) -> bool {
    const FIELDS: [&str; 9] = [
        "host",
        "upgrade",
        "connection",
        "origin",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "sec-websocket-accept",
    ];
    FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
}

/// A rule of the opening handshake that the server's answer broke (RFC 6455, 4.1). There is no WebSocket then, and so
/// no Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The status is not 101 (RFC 6455, 4.1, answer 1).
    #[error("the server answered with status {0}")]
    Status(u16),
    /// `Upgrade` is missing, repeated, or not `websocket` (RFC 6455, 4.1, answer 2).
    #[error("the answer does not upgrade to websocket")]
    Upgrade,
    /// `Connection` does not hold the token `Upgrade` (RFC 6455, 4.1, answer 3).
    #[error("the answer's Connection field does not hold Upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or belongs to another key (RFC 6455, 4.1, answer 4).
    #[error("the answer does not accept the key that was sent")]
    Accept,
    /// An extension is in use that was not offered (RFC 6455, 4.1, answer 5).
    #[error("the answer uses an extension that was not offered")]
    UnofferedExtension,
    /// A sub-protocol was chosen that was not offered, or more than one (RFC 6455, 4.1, answer 6).
    #[error("the answer chooses a sub-protocol that was not offered")]
    UnofferedProtocol,
}
