//! The server's half of the opening handshake (RFC 6455, 4.2).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drywire_http::{Fields, RequestHead, ResponseParts, Version};

use super::{Agreement, OriginPolicy, VERSION, WEBSOCKET, accept_key, is_token};
use crate::deflate::{Parameters, negotiation};

/// What a server agrees to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The sub-protocols that the server speaks, the preferred one first. Without a common one the connection has
    /// none, which its client may accept or not.
    pub protocols: Vec<String>,
    /// Which web pages may connect: by default those from the same host and port.
    pub origin: OriginPolicy,
    /// What the server wants of permessage-deflate (RFC 7692), if it is ready to compress. It is agreed on only with a
    /// client that offers it.
    pub deflate: Option<Parameters>,
}

/// A request that was accepted: the head of the answer that says so.
///
/// That of [`accept`] goes to [`upgrade`](drywire_http::server::Connection::upgrade) as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    status: u16,
    agreement: Agreement,
    fields: Vec<(String, String)>,
}

impl Acceptance {
    /// The sub-protocol that both ends speak.
    pub fn protocol(&self) -> Option<&str> {
        self.agreement.protocol.as_deref()
    }

    /// The parameters of permessage-deflate, if messages may be compressed: for
    /// [`Connection::with_deflate`](crate::Connection::with_deflate).
    pub fn deflate(&self) -> Option<Parameters> {
        self.agreement.deflate
    }

    /// Adds a field line to the answer, such as `Set-Cookie`.
    pub fn add_field(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.fields.push((name.into(), value.into()));
    }
}

impl ResponseParts for Acceptance {
    fn status(&self) -> u16 {
        self.status
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

/// Why a request was not accepted: a rule of RFC 6455, 4.2.1 that it breaks, or the server's policy.
///
/// It goes to [`respond`](drywire_http::server::Connection::respond) as it is; a body is the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The method is not `GET` (RFC 6455, 4.2.1, 1): 405.
    #[error("the method is not GET")]
    Method,
    /// The version is below HTTP/1.1 (RFC 6455, 4.2.1, 1): 400.
    #[error("the version is below HTTP/1.1")]
    HttpVersion,
    /// There is no `Host` (RFC 6455, 4.2.1, 2): 400.
    #[error("there is no Host")]
    Host,
    /// `Upgrade` does not hold `websocket` (RFC 6455, 4.2.1, 3): 426.
    #[error("Upgrade does not hold websocket")]
    Upgrade,
    /// `Connection` does not hold `Upgrade`, without which `Upgrade` says nothing (RFC 6455, 4.2.1, 4): 426.
    #[error("Connection does not hold Upgrade")]
    Connection,
    /// `Sec-WebSocket-Key` is missing, repeated, or not the base64 form of 16 bytes (RFC 6455, 4.2.1, 5): 400.
    #[error("Sec-WebSocket-Key is not 16 bytes in base64")]
    Key,
    /// `Sec-WebSocket-Version` is missing or repeated (RFC 6455, 4.2.1, 6): 400.
    #[error("Sec-WebSocket-Version is missing or repeated")]
    NoVersion,
    /// `Sec-WebSocket-Version` is not 13 (RFC 6455, 4.2.2, 4 and 4.4): 426, with the version that is.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// `Sec-WebSocket-Protocol` is not a list of different tokens (RFC 6455, 4.2.1, 8 and 4.1, 10): 400.
    #[error("Sec-WebSocket-Protocol is not a list of different tokens")]
    Protocol,
    /// `Sec-WebSocket-Extensions` is not a list of extensions with parameters (RFC 6455, 9.1): 400.
    #[error("Sec-WebSocket-Extensions is malformed")]
    Extensions,
    /// The policy does not let pages of this `Origin` connect (RFC 6455, 4.2.2, 4): 403.
    #[error("the origin is not allowed")]
    Origin,
}

impl ResponseParts for Rejection {
    fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::Upgrade | Self::Connection | Self::Version => 426,
            Self::Origin => 403,
            Self::HttpVersion | Self::Host | Self::Key | Self::NoVersion | Self::Protocol | Self::Extensions => 400,
        }
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        const ALLOW: &[(&[u8], &[u8])] = &[(b"Allow", b"GET")];
        const UPGRADE: &[(&[u8], &[u8])] =
            &[(b"Upgrade", WEBSOCKET.as_bytes()), (b"Sec-WebSocket-Version", VERSION.as_bytes())];
        let fields = match self {
            // RFC 9110, 15.5.6.
            Self::Method => ALLOW,
            // RFC 9110, 15.5.22, and RFC 6455, 4.4.
            Self::Upgrade | Self::Connection | Self::Version => UPGRADE,
            _ => &[],
        };
        fields.iter().copied()
    }
}

/// Checks a request for an upgrade to WebSocket (RFC 6455, 4.2.1) against the server's policy (4.2.2).
///
/// The work is linear in the request's head but for the number of sub-protocols, which is limited to 100.
pub fn accept(request: &RequestHead, policy: &Policy) -> Result<Acceptance, Rejection> {
    let fields = request.field_section();
    if request.method() != "GET" {
        return Err(Rejection::Method);
    }
    if request.version() == Version::Http10 {
        return Err(Rejection::HttpVersion);
    }
    let authority = request.authority().ok_or(Rejection::Host)?;
    if !fields.contains_token("upgrade", WEBSOCKET) {
        return Err(Rejection::Upgrade);
    }
    if !fields.contains_token("connection", "upgrade") {
        return Err(Rejection::Connection);
    }
    let key = single(fields, "sec-websocket-key").filter(|key| is_key(key)).ok_or(Rejection::Key)?;

    let mut acceptance = Acceptance { status: 101, agreement: Agreement::default(), fields: Vec::with_capacity(5) };
    acceptance.add_field("Upgrade", WEBSOCKET);
    acceptance.add_field("Connection", "Upgrade");
    acceptance.add_field("Sec-WebSocket-Accept", accept_key(key));
    acceptance.negotiate(authority, fields, policy)?;
    Ok(acceptance)
}

/// The same for a stream of HTTP/2 or HTTP/3 that asks for WebSocket by extended CONNECT (RFC 8441, 5, and RFC 9220).
///
/// The caller has seen the pseudo-header fields: `:method` is `CONNECT`, `:protocol` is `websocket`, and `authority` is
/// the value of `:authority`. Key, accept value, `Upgrade` and `Connection` do not exist there. The answer has the status
/// 200 (or that of the rejection), and the stream then carries the frames of a
/// [`Connection`](crate::Connection).
///
/// ```
/// use drywire_core::{Instant, Seed, SendQueue};
/// use drywire_http::{Fields, ResponseParts};
/// use drywire_ws::deflate::{Parameters, Pool};
/// use drywire_ws::handshake::{self, Policy};
/// use drywire_ws::{Config, Connection, Role};
///
/// // RFC 8441, 5.1: what follows the pseudo-header fields.
/// let fields = Fields::new([
///     ("sec-websocket-protocol", "chat, superchat"),
///     ("sec-websocket-extensions", "permessage-deflate"),
///     ("sec-websocket-version", "13"),
///     ("origin", "http://www.example.com"),
/// ])?;
/// let mut policy = Policy { protocols: vec!["chat".into()], ..Policy::default() };
/// policy.deflate = Some(Parameters::default());
/// let acceptance = handshake::accept_stream("www.example.com", &fields, &policy)?;
/// assert_eq!((acceptance.status(), acceptance.protocol()), (200, Some("chat")));
///
/// let queue = SendQueue::new(64 * 1024);
/// let connection = Connection::new(Instant::ORIGIN, Role::Server, Config::default(), &Seed::from(0), queue)
///     .with_deflate(acceptance.deflate(), &Pool::default());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub fn accept_stream(authority: &str, fields: &Fields, policy: &Policy) -> Result<Acceptance, Rejection> {
    let mut acceptance = Acceptance { status: 200, agreement: Agreement::default(), fields: Vec::new() };
    acceptance.negotiate(authority, fields, policy)?;
    Ok(acceptance)
}

impl Acceptance {
    /// What does not depend on how the request came.
    fn negotiate(&mut self, authority: &str, fields: &Fields, policy: &Policy) -> Result<(), Rejection> {
        if single(fields, "sec-websocket-version").ok_or(Rejection::NoVersion)? != VERSION {
            return Err(Rejection::Version);
        }
        if !policy.origin.admits_fields(authority, fields) {
            return Err(Rejection::Origin);
        }
        if let Some(protocol) = choose(fields.field_elements("sec-websocket-protocol"), &policy.protocols)? {
            self.add_field("Sec-WebSocket-Protocol", &*protocol);
            self.agreement.protocol = Some(protocol);
        }
        // 11.3.2: the field may come more than once, which is the same as one with all the values.
        let mut offers = Vec::new();
        for value in fields.field_values("sec-websocket-extensions") {
            offers.append(&mut negotiation::parse(value).map_err(|_| Rejection::Extensions)?);
        }
        if let Some(wishes) = policy.deflate
            && let Some((agreed, answer)) = negotiation::accept(&offers, wishes)
        {
            self.add_field("Sec-WebSocket-Extensions", answer.to_string());
            self.agreement.deflate = Some(agreed);
        }
        Ok(())
    }
}

/// The value of a field that is there once.
fn single<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let mut values = fields.field_values(name);
    values.next().filter(|_| values.next().is_none()).and_then(|value| str::from_utf8(value).ok())
}

/// Whether `key` is "a base64-encoded value that, when decoded, is 16 bytes in length" (RFC 6455, 4.2.1, 5).
fn is_key(key: &str) -> bool {
    // The length first, so that nothing is decoded for a long one. 24 characters may stand for 18 bytes.
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// The server's most preferred sub-protocol among the offered ones (RFC 6455, 4.2.2, 5.5).
fn choose<'a>(offered: impl Iterator<Item = &'a [u8]>, spoken: &[String]) -> Result<Option<String>, Rejection> {
    /// Sub-protocols are few; the limit keeps the check for repetitions cheap.
    const MAX: usize = 100;
    let mut list: Vec<&[u8]> = Vec::new();
    for protocol in offered {
        if !is_token(protocol) || list.len() >= MAX || list.contains(&protocol) {
            return Err(Rejection::Protocol);
        }
        list.push(protocol);
    }
    Ok(spoken.iter().find(|protocol| list.contains(&protocol.as_bytes())).map(ToString::to_string))
}
