//! The client's half of the opening handshake (RFC 6455, 4.1).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drywire_http::{CommandError, Fields, RequestParts, ResponseHead};

use super::{Agreement, VERSION, WEBSOCKET, accept_key, is_token};
use crate::deflate::Parameters;
use crate::deflate::negotiation::{self, OfferedParameters};

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
    /// What the client wants of permessage-deflate (RFC 7692), if it offers to compress.
    pub deflate: Option<Parameters>,
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
    key: String,
    fields: Vec<(String, String)>,
    offered: Offered,
}

impl ClientHandshake {
    /// The request that makes `offer`. The `nonce` must be fresh and random for each handshake (RFC 6455, 4.1, 7).
    pub fn new(nonce: [u8; 16], offer: Offer) -> Result<Self, OfferError> {
        // 4.1, 7: "a randomly selected 16-byte value that has been base64-encoded".
        let key = STANDARD.encode(nonce);
        let mut fields = Vec::with_capacity(8 + offer.fields.len());
        let mut add = |name: &str, value: &str| fields.push((name.to_string(), value.to_string()));
        add("Host", &offer.host);
        add("Upgrade", WEBSOCKET);
        add("Connection", "Upgrade");
        add("Sec-WebSocket-Key", &key);
        let target = offer.target.clone();
        let offered = Offered::new(offer, &mut fields)?;
        Ok(Self { target, key, fields, offered })
    }

    /// Checks the server's answer (RFC 6455, 4.1, second list) and gives what both ends agreed on.
    pub fn verify(&self, response: &ResponseHead) -> Result<Agreement, HandshakeError> {
        // 1. The status.
        if response.status() != 101 {
            return Err(HandshakeError::Status(response.status()));
        }
        let fields = response.field_section();
        // 2. "contains a value that is not an ASCII case-insensitive match for the value "websocket"".
        let upgrade = single(fields, "upgrade").ok().flatten();
        if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(WEBSOCKET.as_bytes())) {
            return Err(HandshakeError::Upgrade);
        }
        // 3. "a token that is an ASCII case-insensitive match for the value "Upgrade"".
        if !fields.contains_token("connection", "upgrade") {
            return Err(HandshakeError::Connection);
        }
        // 4. The proof that the server read this key; 11.3.3: once.
        if single(fields, "sec-websocket-accept") != Ok(Some(accept_key(&self.key).as_bytes())) {
            return Err(HandshakeError::Accept);
        }
        self.offered.verify(fields)
    }
}

/// The header fields that open a WebSocket on a stream of HTTP/2 or HTTP/3 (RFC 8441, 5, and RFC 9220), and the check
/// of the answer.
///
/// The pseudo-header fields are the caller's: `:method` `CONNECT`, `:protocol` `websocket`, `:scheme`, and `:path` and
/// `:authority` as in the offer's target and host. The stream then carries the frames of a
/// [`Connection`](crate::Connection).
///
/// ```
/// use drywire_http::Fields;
/// use drywire_ws::handshake::{Offer, StreamHandshake};
///
/// let mut offer = Offer::new("server.example.com", "/chat");
/// offer.protocols = vec!["chat".into(), "superchat".into()];
/// let handshake = StreamHandshake::new(offer)?;
/// let fields: Vec<_> = handshake.fields().collect();
/// assert_eq!(fields, [("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat, superchat")]);
///
/// let answer = Fields::new([("sec-websocket-protocol", "chat")])?;
/// assert_eq!(handshake.verify(200, &answer)?.protocol.as_deref(), Some("chat"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHandshake {
    fields: Vec<(String, String)>,
    offered: Offered,
}

impl StreamHandshake {
    /// The header fields that make `offer`.
    pub fn new(offer: Offer) -> Result<Self, OfferError> {
        let mut fields = Vec::new();
        let offered = Offered::new(offer, &mut fields)?;
        for (name, _) in &mut fields {
            // RFC 9113, 8.2: field names are in lower case.
            name.make_ascii_lowercase();
        }
        Ok(Self { fields, offered })
    }

    /// Names and values, names in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Checks the server's answer and gives what both ends agreed on.
    pub fn verify(&self, status: u16, fields: &Fields) -> Result<Agreement, HandshakeError> {
        // RFC 8441, 5: "a 2xx (Successful) response" takes the place of 101.
        if !(200..300).contains(&status) {
            return Err(HandshakeError::Status(status));
        }
        self.offered.verify(fields)
    }
}

/// What an answer may choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Offered {
    protocols: Vec<String>,
    deflate: Option<Parameters>,
}

impl Offered {
    /// Writes what does not depend on how the request goes.
    fn new(offer: Offer, fields: &mut Vec<(String, String)>) -> Result<Self, OfferError> {
        let Offer { protocols, origin, deflate, fields: further, .. } = offer;
        for (index, protocol) in protocols.iter().enumerate() {
            if !is_token(protocol.as_bytes()) {
                return Err(OfferError::InvalidProtocol(protocol.clone()));
            }
            if protocols.iter().take(index).any(|earlier| earlier == protocol) {
                return Err(OfferError::RepeatedProtocol(protocol.clone()));
            }
        }
        let mut add = |name: &str, value: String| fields.push((name.to_string(), value));
        add("Sec-WebSocket-Version", VERSION.to_string());
        if !protocols.is_empty() {
            add("Sec-WebSocket-Protocol", protocols.join(", "));
        }
        if let Some(deflate) = deflate {
            add("Sec-WebSocket-Extensions", OfferedParameters(deflate).to_string());
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
        Ok(Self { protocols, deflate })
    }

    fn verify(&self, fields: &Fields) -> Result<Agreement, HandshakeError> {
        // 5. Extensions that were offered, each once (9.1).
        let mut agreement = Agreement::default();
        for value in fields.field_values("sec-websocket-extensions") {
            for extension in negotiation::parse(value).map_err(|_| HandshakeError::Extension)? {
                let offered = self.deflate.ok_or(HandshakeError::UnofferedExtension)?;
                let agreed = negotiation::confirm(&extension, offered).ok_or(HandshakeError::Extension)?;
                if agreement.deflate.replace(agreed).is_some() {
                    return Err(HandshakeError::Extension);
                }
            }
        }
        // 6. One of the offered sub-protocols; 11.3.4: once.
        if let Some(chosen) =
            single(fields, "sec-websocket-protocol").map_err(|()| HandshakeError::UnofferedProtocol)?
        {
            let offered = self.protocols.iter().find(|protocol| protocol.as_bytes() == chosen);
            agreement.protocol = Some(offered.ok_or(HandshakeError::UnofferedProtocol)?.clone());
        }
        Ok(agreement)
    }
}

/// The value of a field that may be there once.
fn single<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a [u8]>, ()> {
    let mut values = fields.field_values(name);
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
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
    /// The answer's extensions are malformed, come twice, or have parameters that do not fit the offer (RFC 6455, 9.1;
    /// RFC 7692, 5.1 and 7.1).
    #[error("the answer's extension does not fit the offer")]
    Extension,
    /// A sub-protocol was chosen that was not offered, or more than one (RFC 6455, 4.1, answer 6).
    #[error("the answer chooses a sub-protocol that was not offered")]
    UnofferedProtocol,
}
