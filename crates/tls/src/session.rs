//! One connection's TLS, whatever carries it.

use std::sync::Arc;

use drywire_core::{Bytes, RecvBuf};
use drywire_driver::{Interest, Wire};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::{Error, TlsWire};

/// Twice what a kernel's receive buffer commonly holds.
const DRAIN: usize = 256 * 1024;

/// The TLS of one connection: rustls, and what is between it and the wire.
///
/// It does no I/O by itself. [`wire`](Self::wire) lays it over another wire for as long as that lives, which is one
/// turn of an engine; all that lasts is here.
///
/// ```text
///           Engine ── plaintext ── TlsWire ── ciphertext ── the transport's Wire
///                                     │
///   ┌─────────────┐ Finished ┌────────▼────┐ shutdown_write: close_notify ┌────────────┐
///   │ Handshaking │ ───────▶ │ Established │ ───────────────────────────▶ │ HalfClosed │
///   └─────────────┘          └─────────────┘                              └────────────┘
///      from every state: a broken rule or a fatal alert ──▶ Failed, once our own alert is written
/// ```
#[derive(Debug)]
pub struct Session {
    pub(crate) tls: Connection,
    /// Ciphertext that has arrived, until rustls takes it.
    pub(crate) incoming: RecvBuf,
    /// The peer's `close_notify` has come.
    pub(crate) peer_closed: bool,
    /// The peer's first bytes, kept until the handshake is over.
    pub(crate) start: Vec<u8>,
    /// What a peer is told that does not speak TLS, in place of an alert: what of it is left.
    pub(crate) plain_answer: Option<Bytes>,
    pub(crate) sending: Sending,
    /// How much plaintext was encrypted since everything was written last.
    pub(crate) held: usize,
    /// The inner wire took bytes that it may still hold.
    pub(crate) unflushed: bool,
    /// Why nothing more is received. Told once the alert is written.
    pub(crate) failure: Option<Error>,
    /// How many bytes a failure reads, at most, before it is told.
    pub(crate) to_drain: usize,
    /// The error of a write that nobody asked for, until a read tells it.
    pub(crate) broken: Option<std::io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Open,
    /// `close_notify` is queued.
    Closing,
    /// The inner wire's sending direction has ended.
    Ended,
    /// A write failed.
    Broken,
}

impl Session {
    /// The client's side, for a server of this name or address. The name goes to the server (RFC 6066, 3) and must
    /// stand in its certificate.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::new(Connection::Client(ClientConnection::new(config, name)?)))
    }

    /// The server's side.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::new(Connection::Server(ServerConnection::new(config)?)))
    }

    fn new(tls: Connection) -> Self {
        Self {
            tls,
            incoming: RecvBuf::new(),
            peer_closed: false,
            start: Vec::new(),
            plain_answer: None,
            sending: Sending::Open,
            held: 0,
            unflushed: false,
            failure: None,
            to_drain: DRAIN,
            broken: None,
        }
    }

    /// What to write to a peer that does not speak TLS, in place of an alert that it would not understand: for a server
    /// of HTTP a whole response with 400.
    #[must_use]
    pub fn with_plain_answer(mut self, answer: Bytes) -> Self {
        self.plain_answer = Some(answer);
        self
    }

    /// What was negotiated: protocol and version, the peer's certificates, whether the session was resumed.
    pub fn connection(&self) -> &Connection {
        &self.tls
    }

    /// Whether the connection is not secure yet.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// TLS over `inner`, for one turn of an [`Engine`](drywire_driver::Engine).
    pub fn wire<'s, 'w, W: Wire>(&'s mut self, inner: &'w mut W) -> TlsWire<'s, 'w, W> {
        TlsWire { session: self, inner }
    }

    /// What the inner wire must be watched for, when an engine on [`wire`](Self::wire) is pending and watches for
    /// `wanted`.
    ///
    /// The two are not the same: a read may have an answer of the handshake to write first, and a write may wait for
    /// one. Each call that the result speaks of was tried in this turn and could not go on.
    pub fn interest(&self, wanted: Interest) -> Interest {
        let owes = self.owes() && (wanted.read || wanted.write);
        if self.failure.is_some() && owes {
            return Interest { read: false, write: true };
        }
        let handshake = self.tls.is_handshaking() && self.sending == Sending::Open;
        Interest { read: wanted.read || (wanted.write && handshake), write: owes || (wanted.write && !handshake) }
    }

    /// Whether there is something for the inner wire to take.
    fn owes(&self) -> bool {
        let something = self.in_plain().map_or(self.tls.wants_write(), |rest| !rest.is_empty()) || self.unflushed;
        something && matches!(self.sending, Sending::Open | Sending::Closing)
    }

    /// What is left to be said without TLS, to a peer that does not speak it.
    pub(crate) fn in_plain(&self) -> Option<&Bytes> {
        self.plain_answer.as_ref().filter(|_| matches!(self.failure, Some(Error::NotTls(_))))
    }
}
