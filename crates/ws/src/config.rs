//! What the user of a connection chooses.

use core::fmt;
use core::time::Duration;

use crate::MessageKind;
use crate::deflate::Compression;

/// Which end of the connection a machine is. A client masks what it sends; a server does not (RFC 6455, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// How messages are told to the user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Whole, as [`Event::Message`](crate::Event::Message).
    #[default]
    Messages,
    /// As they arrive, so that a message of any length passes through bounded memory:
    /// [`Event::MessageStart`](crate::Event::MessageStart), any number of
    /// [`Event::MessageChunk`](crate::Event::MessageChunk), [`Event::MessageEnd`](crate::Event::MessageEnd). Where a
    /// message is cut says nothing, except that text is cut between characters.
    Chunks,
}

/// Limits and times of a [`Connection`](crate::Connection).
///
/// Every limit is inclusive. Nothing is allocated for bytes that were only announced: a limit bounds what a peer can
/// make the connection hold by really sending it.
///
/// What is sent is limited by the high-water mark of the [`SendQueue`](drywire_core::SendQueue) that the connection
/// is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How messages are told: whole by default.
    pub delivery: Delivery,
    /// The only kind of message that is accepted; the other one fails the connection with 1003. Both by default.
    pub only: Option<MessageKind>,
    /// The largest payload of one frame, in bytes. 16 MiB by default.
    pub max_frame_size: u64,
    /// The largest message, in bytes, over all its fragments and after decompression. 16 MiB by default.
    pub max_message_size: u64,
    /// The largest number of frames that one message may be cut into. 2^20 by default: an empty fragment costs its
    /// sender bytes and this end only time.
    pub max_fragments: u32,
    /// The largest number of control frames that may arrive within a second. 1000 by default.
    pub max_control_frames: u32,
    /// How long a message may take from its first frame to its end. Unlimited by default: it is the time of the
    /// longest message on the slowest link. Above it the connection fails with 1008.
    pub message_timeout: Option<Duration>,
    /// After how long without a byte from the peer a Ping asks whether it is still there. Never by default.
    ///
    /// A network address translator forgets a silent connection within minutes, many within one.
    pub ping_interval: Option<Duration>,
    /// How long the peer may take to answer that Ping. 20 seconds by default. A Pong cannot stand inside a frame, so
    /// the time starts anew with each piece of a frame that arrives. Above it the connection fails with 1008.
    pub pong_timeout: Duration,
    /// After how long without a message in either direction the connection is closed with 1001. Never by default.
    pub idle_timeout: Option<Duration>,
    /// How long after its opening the connection is closed with 1001, busy or not. Never by default.
    pub max_lifetime: Option<Duration>,
    /// How long the peer may take over each step of the closing handshake: to answer our Close frame, to take what
    /// is still queued, and (the server) to end the stream. 10 seconds by default.
    pub close_timeout: Duration,
    /// How messages are compressed, where permessage-deflate was agreed on.
    pub compression: Compression,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            delivery: Delivery::Messages,
            only: None,
            max_frame_size: 16 * 1024 * 1024,
            max_message_size: 16 * 1024 * 1024,
            max_fragments: 1 << 20,
            max_control_frames: 1000,
            message_timeout: None,
            ping_interval: None,
            pong_timeout: Duration::from_secs(20),
            idle_timeout: None,
            max_lifetime: None,
            close_timeout: Duration::from_secs(10),
            compression: Compression::default(),
        }
    }
}
