//! What the user of a connection chooses.

use core::fmt;
use core::time::Duration;

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

/// Limits and times of a [`Connection`](crate::Connection).
///
/// Every limit is inclusive. Nothing is allocated for bytes that were only announced: a limit bounds what a peer can
/// make the connection hold by really sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest payload of one frame, in bytes. 16 MiB by default.
    pub max_frame_size: u64,
    /// The largest message, in bytes, over all its fragments. 16 MiB by default.
    pub max_message_size: usize,
    /// The largest number of frames that one message may be cut into. 2^20 by default: an empty fragment costs its
    /// sender bytes and this end only time.
    pub max_fragments: u32,
    /// How long the peer may take over each step of the closing handshake: to answer our Close frame, to take what
    /// is still queued, and (the server) to end the stream. 10 seconds by default.
    pub close_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame_size: 16 * 1024 * 1024,
            max_message_size: 16 * 1024 * 1024,
            max_fragments: 1 << 20,
            close_timeout: Duration::from_secs(10),
        }
    }
}
