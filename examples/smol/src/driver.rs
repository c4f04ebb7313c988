//! The whole driver for smol: the engine of all drivers, on anything that smol can read and write.

use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant as SystemInstant;

use drywire::driver::{Config, Engine, EventResult, Parts, Turn, TurnResult, Wire};
use drywire::{Instant, RecvBuf, StreamMachine};
use smol::Timer;
use smol::io::{AsyncRead, AsyncWrite};

/// Runs a machine on a stream.
pub(crate) struct Driver<M: StreamMachine, S> {
    engine: Engine<M>,
    stream: S,
    origin: SystemInstant,
    timer: Timer,
}

impl<M: StreamMachine, S: AsyncRead + AsyncWrite + Unpin> Driver<M, S> {
    /// The machine's time begins now.
    pub(crate) fn new(machine: M, stream: S) -> Self {
        let parts = Parts { machine, transport: stream, recv: RecvBuf::new(), config: Config::default() };
        let (engine, stream) = Engine::from_parts(parts);
        Self { engine, stream, origin: SystemInstant::now(), timer: Timer::never() }
    }

    /// The protocol, for commands.
    pub(crate) fn machine_mut(&mut self) -> &mut M {
        self.engine.machine_mut()
    }

    /// Waits for the machine's next event; `None` is the end of the connection.
    pub(crate) async fn next_event(&mut self) -> EventResult<M> {
        loop {
            match poll_fn(|cx| self.poll_turn(cx)).await? {
                Turn::Event(event) => return Ok(Some(event)),
                Turn::Closed => return Ok(None),
                _ => {}
            }
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<TurnResult<M>> {
        loop {
            let mut wire = Borrowed { stream: &mut self.stream, cx: &mut *cx, origin: self.origin };
            if let Poll::Ready(turn) = self.engine.poll_turn(&mut wire) {
                return Poll::Ready(turn);
            }
            let Some(deadline) = self.engine.deadline() else { return Poll::Pending };
            self.timer.set_at(self.origin + (deadline - Instant::ORIGIN));
            ready!(Pin::new(&mut self.timer).poll(cx));
        }
    }
}

/// The stream for one turn: whatever is pending has registered the task's waker.
struct Borrowed<'a, 'b, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'b>,
    origin: SystemInstant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for Borrowed<'_, '_, S> {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_read(self.cx, room)
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        // `None` is a read that has to wait.
        let result = recv.fill_with(max, |room| match self.read(room) {
            Poll::Ready(result) => result.map_err(Some),
            Poll::Pending => Err(None),
        });
        result.map_or_else(|error| error.map_or(Poll::Pending, |error| Poll::Ready(Err(error))), |n| Poll::Ready(Ok(n)))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write_vectored(self.cx, pieces)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(self.cx)
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_close(self.cx)
    }

    /// smol has no word for a reset: dropping the stream has to do.
    fn abort(&mut self) {}

    fn now(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }
}
