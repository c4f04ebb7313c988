//! The drivers' and the servers' limits, with safe defaults.

use std::time::Duration;

/// The room, in bytes, of reads that bring little: small enough for a driver to have it on its stack, so that a connection of
/// short messages allocates no more than they take.
pub const SHORT_READ: usize = 4 * 1024;

/// The limits of one connection's driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The room, in bytes, that a read is first given: 16 KiB. At least one byte is used. While reads bring little it
    /// shrinks, by halving, to [`SHORT_READ`].
    pub read_size: usize,
    /// What that room grows to, at least by doubling, while reads fill it: 64 KiB.
    pub read_size_max: usize,
    /// How long a close waits for the peer's end of stream, and how long the farewell after an error may take to
    /// leave: 2 seconds. Zero closes at once.
    ///
    /// A socket that is closed with unread input answers with a reset, and a reset destroys the bytes that the peer
    /// has not read yet: the last answer, such as the `413` to an upload, or the farewell after an error. So the
    /// driver ends its own direction and discards input for a while.
    pub linger: Duration,
    /// How many bytes it discards at most while it waits: 16 MiB, twice what kernels keep in flight on a fast link.
    pub linger_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            read_size: 16 * 1024,
            read_size_max: 64 * 1024,
            linger: Duration::from_secs(2),
            linger_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// How many connections are handled at a time: 1024. Further ones wait in the listener's backlog.
    pub max_connections: usize,
    /// How long a shutdown waits for the handlers before it aborts what is left: 10 seconds.
    pub drain: Duration,
    /// The first pause after an accept that failed for want of resources: 5 milliseconds.
    pub backoff: Duration,
    /// What that pause grows to, by doubling, while accepts go on failing: 1 second.
    pub backoff_max: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            drain: Duration::from_secs(10),
            backoff: Duration::from_millis(5),
            backoff_max: Duration::from_secs(1),
        }
    }
}
