//! What can go wrong: the peer's broken rules, our limits, and the caller's misuse.

use crate::{CloseCode, MessageKind};

/// A rule of RFC 6455 that the peer broke. The Close frame that names it is already queued when it is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A reserved bit is set that no negotiated extension defines (RFC 6455, 5.2).
    #[error("a reserved bit is set without an extension")]
    ReservedBits,
    /// The opcode is one of those reserved for later use: 3 to 7, or 11 to 15 (RFC 6455, 5.2).
    #[error("opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// A control frame without the FIN bit (RFC 6455, 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame with more than 125 bytes of payload (RFC 6455, 5.5).
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A payload length in a longer form than it needs (RFC 6455, 5.2).
    #[error("a payload length is not in its shortest form")]
    LengthNotMinimal,
    /// A 64-bit payload length with its most significant bit set (RFC 6455, 5.2).
    #[error("a payload length needs more than 63 bits")]
    LengthOverflow,
    /// A frame without a mask from a client (RFC 6455, 5.1).
    #[error("a frame from the client is not masked")]
    NotMasked,
    /// A frame with a mask from a server (RFC 6455, 5.1).
    #[error("a frame from the server is masked")]
    Masked,
    /// A continuation frame while no message is under way (RFC 6455, 5.4).
    #[error("a continuation frame without a message to continue")]
    UnexpectedContinuation,
    /// A text or binary frame inside a fragmented message (RFC 6455, 5.4).
    #[error("a new message inside a fragmented message")]
    ExpectedContinuation,
    /// A text message that is not UTF-8 (RFC 6455, 8.1). It is returned with the first byte that can be no part of
    /// UTF-8, or with the end of a message that ends inside a character.
    #[error("a text message is not UTF-8")]
    TextNotUtf8,
    /// A Close frame with a payload of one byte, too short for its code (RFC 6455, 5.5.1).
    #[error("a Close frame has half a code")]
    CloseCodeTruncated,
    /// A Close frame with a code that may not appear on the wire (RFC 6455, 7.4).
    #[error("close code {0} may not be sent")]
    CloseCodeForbidden(u16),
    /// A Close frame whose reason is not UTF-8 (RFC 6455, 5.5.1 and 8.1).
    #[error("a close reason is not UTF-8")]
    CloseReasonNotUtf8,
    /// A compressed message that is not DEFLATE data, or does not end where the data of a message must (RFC 7692,
    /// 7.2.1 and 7.2.2).
    #[error("a compressed message is not DEFLATE data")]
    Deflate,
}

/// A limit of the [`Config`](crate::Config), in size, number or time, that the peer exceeded (RFC 6455, 10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapacityError {
    /// A frame announces a payload above [`Config::max_frame_size`](crate::Config::max_frame_size).
    #[error("a frame is larger than {limit} bytes")]
    FrameTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A frame takes its message above [`Config::max_message_size`](crate::Config::max_message_size), by what its
    /// header announces or by what comes out of decompression.
    #[error("a message is larger than {limit} bytes")]
    MessageTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// A message has more frames than [`Config::max_fragments`](crate::Config::max_fragments).
    #[error("a message has more than {limit} fragments")]
    TooManyFragments {
        /// The limit, in frames.
        limit: u32,
    },
    /// More control frames came within a second than
    /// [`Config::max_control_frames`](crate::Config::max_control_frames).
    #[error("more than {limit} control frames in a second")]
    TooManyControlFrames {
        /// The limit, in frames a second.
        limit: u32,
    },
    /// A message of another kind than [`Config::only`](crate::Config::only).
    #[error("a {0} message is not accepted here")]
    KindNotAccepted(MessageKind),
    /// A message did not end within [`Config::message_timeout`](crate::Config::message_timeout).
    #[error("a message took too long")]
    MessageTimeout,
    /// The peer did not answer a Ping within [`Config::pong_timeout`](crate::Config::pong_timeout).
    #[error("a Ping was not answered in time")]
    PongTimeout,
}

/// Why a connection ended other than by the closing handshake. It is final: every later call returns it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The peer exceeded a limit.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// The stream ended without a Close frame from the peer. This is what RFC 6455, 7.1.5 calls close code 1006,
    /// which never appears on the wire.
    #[error("the stream ended without a Close frame")]
    EndOfStream,
    /// The peer did not answer our Close frame within [`Config::close_timeout`](crate::Config::close_timeout).
    #[error("the peer did not answer the Close frame in time")]
    CloseTimeout,
    /// A time limit of the [`Config`](crate::Config) was to close the connection while a frame that was
    /// [started](crate::Connection::start_frame) had not been sent to its end, inside which no Close frame can stand.
    #[error("the connection had to end inside an unfinished frame")]
    UnfinishedFrame,
}

impl Error {
    /// The code of the Close frame that reports this error to the peer (RFC 6455, 7.4.1). `None` where there is no
    /// one left to tell.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(ProtocolError::TextNotUtf8 | ProtocolError::CloseReasonNotUtf8 | ProtocolError::Deflate) => {
                Some(CloseCode::INVALID)
            }
            Self::Protocol(_) => Some(CloseCode::PROTOCOL),
            Self::Capacity(CapacityError::FrameTooLarge { .. } | CapacityError::MessageTooLarge { .. }) => {
                Some(CloseCode::TOO_BIG)
            }
            Self::Capacity(CapacityError::KindNotAccepted(_)) => Some(CloseCode::UNSUPPORTED),
            Self::Capacity(_) => Some(CloseCode::POLICY),
            Self::EndOfStream | Self::CloseTimeout | Self::UnfinishedFrame => None,
        }
    }
}

/// A command that RFC 6455 does not allow now, or at all. The connection is unharmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A Close frame has been sent: nothing may follow it (RFC 6455, 5.5.1).
    #[error("the connection is closing")]
    Closing,
    /// The connection has failed.
    #[error("the connection has failed: {0}")]
    Failed(Error),
    /// A fragmented message is under way: it must end before another message (RFC 6455, 5.4).
    #[error("a fragmented message is under way")]
    MessageUnderWay,
    /// A fragment without [`start_message`](crate::Connection::start_message) before it (RFC 6455, 5.4).
    #[error("no fragmented message is under way")]
    NoMessageUnderWay,
    /// A frame that was [started](crate::Connection::start_frame) with a known length has not been sent to its end:
    /// nothing else can stand inside it (RFC 6455, 5.4).
    #[error("a frame of known length is under way")]
    FrameUnderWay,
    /// More payload than the frame under way was started for, or an end before its length.
    #[error("the payload is not as long as was announced")]
    WrongLength,
    /// A fragment takes its text message out of UTF-8, or ends it inside a character (RFC 6455, 5.6).
    #[error("a fragment of a text message is not UTF-8")]
    FragmentNotUtf8,
    /// A Ping or Pong with more than 125 bytes of payload (RFC 6455, 5.5).
    #[error("a control frame may carry 125 bytes")]
    ControlTooLong,
    /// A code that may not appear in a Close frame (RFC 6455, 7.4).
    #[error("close code {0} may not be sent")]
    CloseCodeForbidden(CloseCode),
    /// A reason of more than 123 bytes (RFC 6455, 5.5 and 5.5.1).
    #[error("a close reason may have 123 bytes")]
    CloseReasonTooLong,
}

/// Why a command that carries a payload was refused. Nothing of the payload has been sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// The send queue is at its high-water mark. Here is the payload back: try again once the queue has drained.
    #[error("the send queue is full")]
    Full(T),
    /// The command is not allowed.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

impl<T> SendError<T> {
    /// The same error, with the payload that it gives back changed by `f`.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> SendError<U> {
        match self {
            Self::Full(payload) => SendError::Full(f(payload)),
            Self::Misuse(misuse) => SendError::Misuse(misuse),
        }
    }
}
