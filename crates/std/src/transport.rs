//! What a driver needs of the thing that carries its bytes.

use std::io::{self, IoSlice};
use std::task::Waker;

use drywire_core::Instant;

/// What a parked driver waits for, besides its deadline and its waker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Until a read could return something, or the peer has ended its direction.
    pub read: bool,
    /// Until a write, a flush or a shutdown that returned [`WouldBlock`](io::ErrorKind::WouldBlock) could go on.
    pub write: bool,
}

/// A non-blocking ordered byte stream with a clock and a way to wait.
///
/// [`TcpTransport`](crate::TcpTransport) is the one for sockets. Tests implement it in memory with virtual time.
///
/// Methods that cannot go on return [`io::ErrorKind::WouldBlock`]. [`io::ErrorKind::Interrupted`] is tried again at
/// once. Every other error ends the connection.
pub trait Transport {
    /// Reads into `room`, which is not empty. `Ok(0)` is the end of the stream, after which it is not called again.
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize>;

    /// Writes from `pieces`, of which none is empty, and returns how many bytes it took.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Pushes out what [`write_vectored`](Self::write_vectored) took. Transports without a buffer have nothing to do.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Ends the sending direction. Called until it succeeds, and then never again.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the connection end with a reset, where there is one, when the transport is dropped.
    fn abort(&mut self);

    /// Blocks until something that `interest` names could go on, `deadline` is reached, or a waker was woken.
    /// Returning early is allowed.
    fn park(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()>;

    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// A waker that ends [`park`](Self::park), the running one or the next.
    fn waker(&self) -> Waker {
        Waker::noop().clone()
    }

    /// Whether a waker was woken since the last call.
    fn take_woken(&mut self) -> bool {
        false
    }

    /// Whether the server that accepted this connection has been asked to stop.
    fn is_shutting_down(&self) -> bool {
        false
    }
}
