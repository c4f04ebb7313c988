//! What a loop needs of the operating system.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::Waker;

use drywire_core::Instant;

/// Sockets, the clock, and the one place at which a [`Loop`](super::Loop) waits.
///
/// [`Sockets`](super::Sockets) is the one of the operating system. Tests implement it in memory with virtual time.
pub trait Poller {
    /// A connection.
    type Stream: Stream;
    /// Where connections come from.
    type Listener;

    /// Waits until something registered became ready, `until` is reached, or the waker was woken, and tells `ready`
    /// what became ready. Returning early is allowed.
    ///
    /// Readiness is told as edges: when something arrives, and when there is room after a write that could not go on.
    /// What is ready when it is registered is told, too.
    fn park(&mut self, until: Option<Instant>, ready: &mut dyn FnMut(Source, Readiness)) -> io::Result<()>;

    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// A waker that ends [`park`](Self::park), the running one or the next.
    fn waker(&self) -> Waker;

    /// Watches a listener, as [`Source::Listener`] with this number.
    fn watch_listener(&mut self, listener: &mut Self::Listener, number: u32) -> io::Result<()>;

    /// Watches a connection, as [`Source::Stream`] with this number, until it is dropped.
    fn watch(&mut self, stream: &mut Self::Stream, number: u32) -> io::Result<()>;

    /// Takes the next connection, with the peer's address. [`WouldBlock`](io::ErrorKind::WouldBlock) says that there
    /// is none before the next edge.
    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Begins to connect.
    fn connect(&mut self, remote: SocketAddr) -> io::Result<Self::Stream>;

    /// The address of a listener.
    fn local_addr(&self, listener: &Self::Listener) -> io::Result<SocketAddr>;
}

/// A non-blocking ordered byte stream.
///
/// Methods that cannot go on return [`io::ErrorKind::WouldBlock`]. [`io::ErrorKind::Interrupted`] is tried again at
/// once. Every other error ends the connection.
pub trait Stream {
    /// Whether a read or a write that moves less than it could is followed by an edge before the next one could move
    /// anything. Where it is not, only a call that could not go on is.
    const SHORT_IS_BLOCKED: bool;

    /// Whether the connection is established, or why it cannot be.
    fn is_connected(&mut self) -> io::Result<bool>;

    /// Reads into `room`, which is not empty. `Ok(0)` is the end of the stream, after which it is not called again.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Writes from `pieces`, of which none is empty, and returns how many bytes it took.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the sending direction. Called until it succeeds, and then never again.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the connection end with a reset when it is dropped.
    fn abort(&mut self);
}

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A listener has a connection.
    Listener(u32),
    /// A connection can be read from or written to.
    Stream(u32),
}

/// In which directions something became ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read, the end of the stream and errors included.
    pub read: bool,
    /// There is room to write, or an error to tell.
    pub write: bool,
    /// The peer has ended its direction, or the connection has failed: no further edge will tell that there is more
    /// to read.
    pub ended: bool,
}
