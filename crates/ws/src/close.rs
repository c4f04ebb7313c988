//! Close codes and the payload of a Close frame (RFC 6455, 5.5.1 and 7.4).

use core::fmt;

use bytes::Bytes;

use crate::frame::CONTROL_MAX;
use crate::{Misuse, ProtocolError, Utf8Bytes};

/// Why a connection is closed (RFC 6455, 7.4, and the registry that its section 11.7 opens).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1003: the peer sent a kind of data that this end does not accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// 1005: the Close frame had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: there was no Close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID: Self = Self(1007);
    /// 1008: a policy was violated; for when no other code fits.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the server did not agree to an extension that the client needs.
    pub const EXTENSION_REQUIRED: Self = Self(1010);
    /// 1011: an unexpected condition in the server.
    pub const INTERNAL: Self = Self(1011);
    /// 1012: the service restarts.
    pub const RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got a bad answer from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never on the wire.
    pub const TLS: Self = Self(1015);

    /// Whether the code may stand in a Close frame: it is defined for that, or from the ranges of libraries and
    /// applications (RFC 6455, 7.4.1 and 7.4.2; 1012 to 1014 come from the registry).
    pub const fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a Close frame says: a code, and a reason for the log (RFC 6455, 5.5.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// Words for the log, at most [`CloseFrame::REASON_MAX`] bytes; often empty.
    pub reason: Utf8Bytes,
}

impl CloseFrame {
    /// The longest reason, in bytes: what a control frame holds behind the code.
    pub const REASON_MAX: usize = CONTROL_MAX - 2;

    /// A Close frame of this code and reason. Its limits are checked where it is sent.
    pub fn new(code: CloseCode, reason: impl Into<Utf8Bytes>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Reads the payload of a received Close frame. An empty one has no code.
    pub(crate) fn parse(payload: &Bytes) -> Result<Option<Self>, ProtocolError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            // 5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
            return if payload.is_empty() { Ok(None) } else { Err(ProtocolError::CloseCodeTruncated) };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.is_sendable() {
            return Err(ProtocolError::CloseCodeForbidden(code.0));
        }
        // A copy: a reason is kept for the log, and may not keep a whole read buffer with it.
        let reason = core::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason: Utf8Bytes::from(reason) }))
    }

    /// Checks that the frame may be sent.
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        if !self.code.is_sendable() {
            return Err(Misuse::CloseCodeForbidden(self.code));
        }
        if self.reason.len() > Self::REASON_MAX {
            return Err(Misuse::CloseReasonTooLong);
        }
        Ok(())
    }
}

impl fmt::Display for CloseFrame {
    /// `1000`, or `1001 (going home)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() { write!(f, "{}", self.code) } else { write!(f, "{} ({})", self.code, self.reason) }
    }
}

/// One of the two ends, seen from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// This one.
    Local,
    /// The other one.
    Peer,
}

/// How a connection closed, or how far its closing has come: [`Connection::close_info`](crate::Connection::close_info).
///
/// A Close frame without a code stands here with [`CloseCode::NO_STATUS`], which is what RFC 6455, 7.1.5 calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CloseInfo {
    /// The Close frame that was sent.
    pub sent: Option<CloseFrame>,
    /// The Close frame that arrived.
    pub received: Option<CloseFrame>,
    /// Whose Close frame was the first to be sent or to arrive here. `None` while there is none.
    pub first: Option<End>,
    /// Whether the connection is closed cleanly (RFC 6455, 7.1.4): both Close frames were exchanged, and the transport
    /// is closed in order.
    pub clean: bool,
}

impl CloseInfo {
    /// *The WebSocket Connection Close Code* (RFC 6455, 7.1.5): what the peer's Close frame says,
    /// [`CloseCode::NO_STATUS`] if it has no code, [`CloseCode::ABNORMAL`] if none arrived.
    pub fn code(&self) -> CloseCode {
        self.received.as_ref().map_or(CloseCode::ABNORMAL, |frame| frame.code)
    }

    /// Notes a Close frame.
    pub(crate) fn note(&mut self, end: End, frame: Option<CloseFrame>) {
        let frame = frame.unwrap_or_else(|| CloseFrame::new(CloseCode::NO_STATUS, Utf8Bytes::new()));
        self.first.get_or_insert(end);
        match end {
            End::Local => self.sent = Some(frame),
            End::Peer => self.received = Some(frame),
        }
    }
}
