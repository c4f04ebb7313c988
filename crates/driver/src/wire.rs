//! What an engine needs of the thing that carries its bytes.

use std::io::{self, IoSlice};
use std::task::{Poll, ready};

use drywire_core::{Buf as _, Instant, RecvBuf, SendQueue};

/// How many pieces one gathering write takes at most.
const PIECES: usize = 32;

/// A non-blocking ordered byte stream with a clock, for the length of one [`poll_turn`](crate::Engine::poll_turn).
///
/// It may borrow what only one turn has, such as a task's context. Between two turns nothing of it is kept.
///
/// [`Poll::Pending`] is the answer of a call that cannot go on now, and obliges the driver to come back when it could.
/// [`io::ErrorKind::Interrupted`] is tried again at once. [`io::ErrorKind::UnexpectedEof`] of a read is an end of the stream
/// that is not the peer's word, as TLS has it without `close_notify`: the machine learns of it by
/// [`RecvBuf::is_truncated`]. Every other error ends the connection.
pub trait Wire {
    /// Reads into `room`, which is not empty. `Ok(0)` is the end of the stream, after which nothing more is read.
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Reads at most `max` bytes, which is not zero, to the back of `recv`. `Ok(0)` is as for [`read`](Self::read);
    /// marking it is the engine's work.
    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>>;

    /// Writes from `pieces`, of which none is empty, and returns how many bytes it took.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Takes bytes off the front of `queue`, which is not empty, and returns how many. A wire that keeps what it has taken
    /// does better than the default, a gathering write.
    fn write_queue(&mut self, queue: &mut SendQueue) -> Poll<io::Result<usize>> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let filled = queue.chunks_vectored(&mut pieces);
        let n = ready!(self.write_vectored(&pieces[..filled]))?;
        queue.advance(n);
        Poll::Ready(Ok(n))
    }

    /// Pushes out what [`write_vectored`](Self::write_vectored) took.
    fn flush(&mut self) -> Poll<io::Result<()>>;

    /// Ends the sending direction. Called until it succeeds, and then never again.
    fn shutdown_write(&mut self) -> Poll<io::Result<()>>;

    /// Makes the connection end with a reset, where there is one, when the transport is dropped.
    fn abort(&mut self);

    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// Whether a waker, that of a blocking driver, was woken since the last call.
    fn take_woken(&mut self) -> bool {
        false
    }
}

/// What a pending engine waits for, besides its deadline and its waker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Until a read could return something, or the peer has ended its direction.
    pub read: bool,
    /// Until a write, a flush or a shutdown that could not go on could.
    pub write: bool,
}

/// What stands between an engine and the socket below: nothing ([`Plain`]), or encryption.
///
/// A readiness loop has one for each connection, beside the engine, since a wire lives for one turn only.
pub trait Layer {
    /// The wire that the engine sees, over that of the socket.
    ///
    /// Where it is pending, a call on `socket` was: the loop comes back at the next edge of either direction.
    fn wire<W: Wire>(&mut self, socket: &mut W) -> impl Wire;
}

/// Nothing between an engine and its socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Layer for Plain {
    fn wire<W: Wire>(&mut self, socket: &mut W) -> impl Wire {
        socket
    }
}

impl<W: Wire + ?Sized> Wire for &mut W {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        (**self).read(room)
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        (**self).read_buf(recv, max)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        (**self).write_vectored(pieces)
    }

    fn write_queue(&mut self, queue: &mut SendQueue) -> Poll<io::Result<usize>> {
        (**self).write_queue(queue)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        (**self).flush()
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        (**self).shutdown_write()
    }

    fn abort(&mut self) {
        (**self).abort();
    }

    fn now(&self) -> Instant {
        (**self).now()
    }

    fn take_woken(&mut self) -> bool {
        (**self).take_woken()
    }
}
