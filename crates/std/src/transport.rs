//! What a driver needs of the thing that carries its bytes.

use std::io::{self, ErrorKind, IoSlice};
use std::task::{Poll, Waker};

use drywire_core::{Instant, RecvBuf};
use drywire_driver::Wire;

use crate::Interest;

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

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        (**self).read(room)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        (**self).shutdown_write()
    }

    fn abort(&mut self) {
        (**self).abort();
    }

    fn park(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        (**self).park(interest, deadline)
    }

    fn now(&self) -> Instant {
        (**self).now()
    }

    fn waker(&self) -> Waker {
        (**self).waker()
    }

    fn take_woken(&mut self) -> bool {
        (**self).take_woken()
    }

    fn is_shutting_down(&self) -> bool {
        (**self).is_shutting_down()
    }
}

/// A transport for one turn: a call that would have blocked is pending, because the driver parks after it.
pub(crate) struct AsWire<'a, T>(pub(crate) &'a mut T);

impl<T: Transport> Wire for AsWire<'_, T> {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        parked(self.0.read(room))
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        parked(recv.fill_with(max, |room| self.0.read(room)))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        parked(self.0.write_vectored(pieces))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        parked(self.0.flush())
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        parked(self.0.shutdown_write())
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn now(&self) -> Instant {
        self.0.now()
    }

    fn take_woken(&mut self) -> bool {
        self.0.take_woken()
    }
}

fn parked<R>(result: io::Result<R>) -> Poll<io::Result<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
