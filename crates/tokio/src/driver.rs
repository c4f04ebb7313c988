//! The loop between a machine and a transport.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use drywire_core::{Buf as _, Close, Instant, RecvBuf, StreamMachine};
use tokio::io::{AsyncReadExt as _, ReadBuf};
use tokio::time::Sleep;

use crate::{Clock, Config, DriveError, Transport};

/// How many pieces one gathering write takes at most.
const PIECES: usize = 32;

/// Why [`Driver::next_turn`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn<E> {
    /// The machine has something to tell.
    Event(E),
    /// Everything that was queued has left: there is room for more content.
    Flushed,
    /// The connection is closed in the way that the machine demanded. Every later turn says so again.
    Closed,
}

/// What a turn gives for the machine `M`.
pub type TurnResult<M> = Result<Turn<<M as StreamMachine>::Event>, DriveError<<M as StreamMachine>::Error>>;

/// The next event of the machine `M`, or `None` once the connection is closed in order.
pub type EventResult<M> = Result<Option<<M as StreamMachine>::Event>, DriveError<<M as StreamMachine>::Error>>;

/// Runs a machine on a transport.
///
/// ```text
///   ┌──────┐ WriteHalf ┌────────────┐
///   │ Open │ ────────▶ │ HalfClosed │
///   └──────┘           └────────────┘
///      │ Both, after the flush │
///      ▼                       ▼
///   ┌─────────────────────────────┐ end of stream, time or bytes are up ┌────────┐
///   │          Lingering          │ ──────────────────────────────────▶ │ Closed │
///   └─────────────────────────────┘                                     └────────┘
///     from every state: Abort, or an error of the transport ───────────────▲
/// ```
///
/// The promises, which the tests check at every park and close:
///
/// - it parks only with nothing to write or a wake for writing, and with a wake for every demanded read and deadline;
/// - it ends the sending direction at most once and after the flush; a protocol error is reported only once its
///   farewell was written as far as the peer takes it within [`Config::linger`];
/// - every turn moves something, and the end of the stream is read once;
/// - while parked with nothing buffered it holds no buffer.
#[derive(Debug)]
pub struct Driver<M: StreamMachine, T> {
    machine: M,
    transport: T,
    clock: Clock,
    recv: RecvBuf,
    config: Config,
    read_size: usize,
    state: State,
    /// The transport took bytes that it may still hold.
    unflushed: bool,
    /// The queue ran empty by writing, and the caller has not been told.
    flushed: bool,
    /// The machine's error, until its farewell has left and the transport is closed.
    failure: Option<M::Error>,
    /// The transport's first error in writing, until what the peer sent before is read.
    broken: Option<io::Error>,
    /// When to stop waiting for the peer: set by a failure or by a close.
    give_up: Option<Instant>,
    /// Only wakes. Whether a deadline has come is asked of the clock.
    sleep: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    HalfClosed { since: Instant },
    Lingering { discard: usize },
    Closed,
}

/// What a [`Driver`] is made of.
#[derive(Debug)]
pub struct Parts<M, T> {
    /// The protocol.
    pub machine: M,
    /// The connection.
    pub transport: T,
    /// Bytes that the machine has not taken, with the end of the stream.
    pub recv: RecvBuf,
    /// The limits.
    pub config: Config,
}

impl<M: StreamMachine, T: Transport> Driver<M, T> {
    /// A driver with the default limits.
    pub fn new(machine: M, transport: T) -> Self {
        Self::with_config(machine, transport, Config::default())
    }

    /// A driver with limits of its own.
    pub fn with_config(machine: M, transport: T, config: Config) -> Self {
        Self::from_parts(Parts { machine, transport, recv: RecvBuf::new(), config })
    }

    /// A driver for an open connection that has already received something.
    pub fn from_parts(parts: Parts<M, T>) -> Self {
        let Parts { machine, transport, recv, config } = parts;
        Self {
            machine,
            clock: transport.clock(),
            transport,
            recv,
            read_size: config.read_size.max(1),
            config,
            state: State::Open,
            unflushed: false,
            flushed: false,
            failure: None,
            broken: None,
            give_up: None,
            sleep: None,
        }
    }

    /// Takes the driver apart. What the machine has queued and the transport has not taken is still in the machine.
    pub fn into_parts(self) -> Parts<M, T> {
        let Self { machine, transport, recv, config, .. } = self;
        Parts { machine, transport, recv, config }
    }

    /// Lets another protocol take over the connection, with the bytes that the first one left over.
    ///
    /// What the old machine has queued is lost unless `next` hands it on to the new one.
    pub fn map_machine<N: StreamMachine>(self, next: impl FnOnce(M) -> N) -> Driver<N, T> {
        Driver {
            machine: next(self.machine),
            transport: self.transport,
            clock: self.clock,
            recv: self.recv,
            config: self.config,
            read_size: self.read_size,
            state: self.state,
            unflushed: self.unflushed,
            flushed: self.flushed,
            failure: None,
            broken: self.broken,
            give_up: self.give_up,
            sleep: self.sleep,
        }
    }

    /// The protocol.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The protocol, for commands. What they queue leaves with the next turn.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The connection.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The time, for commands that take it.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits for the machine's next event.
    ///
    /// `Ok(None)` means that the connection is closed in order.
    ///
    /// Cancel-safe: what was read and written is in the driver, and an event is either returned or still to come.
    pub async fn next_event(&mut self) -> EventResult<M> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits until there is something to do for the caller.
    ///
    /// A handler that streams content queues it until the machine is full and goes on at [`Turn::Flushed`].
    ///
    /// Cancel-safe: what was read and written is in the driver, and a turn is either returned or still to come.
    pub async fn next_turn(&mut self) -> TurnResult<M> {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// [`next_event`](Self::next_event) for a `poll_fn` that waits for more than one thing.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<EventResult<M>> {
        loop {
            match ready!(self.poll_turn(cx))? {
                Turn::Event(event) => return Poll::Ready(Ok(Some(event))),
                Turn::Closed => return Poll::Ready(Ok(None)),
                Turn::Flushed => {}
            }
        }
    }

    /// [`next_turn`](Self::next_turn) for a `poll_fn` that waits for more than one thing: does everything that is
    /// possible without waiting.
    ///
    /// `Pending` means that `cx` is woken by everything that brings the connection forward, except a command: poll
    /// again after one.
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<TurnResult<M>> {
        loop {
            let step = match self.state {
                State::Open | State::HalfClosed { .. } => self.step(cx),
                State::Lingering { discard } => self.linger(discard, cx),
                State::Closed => return Poll::Ready(Ok(Turn::Closed)),
            };
            match step {
                Step::Again => {}
                Step::Turn(turn) => return Poll::Ready(Ok(turn)),
                Step::Wait => {
                    ready!(self.park(cx));
                }
                Step::End => return Poll::Ready(self.end()),
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let timeout = match self.state {
            State::Open | State::HalfClosed { .. } => self.machine.poll_timeout(),
            State::Lingering { .. } | State::Closed => None,
        };
        timeout.into_iter().chain(self.give_up).min()
    }

    /// Registers the wake for the deadline, next to those that reading and writing have registered. Ready when it
    /// has come already.
    fn park(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // An idle connection holds no buffers.
        self.recv.release();
        self.machine.transmit().release();
        let Some(deadline) = self.deadline().and_then(|deadline| self.clock.to_tokio(deadline)) else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).map(|()| self.sleep = None)
    }

    /// One turn of an open connection.
    fn step(&mut self, cx: &mut Context<'_>) -> Step<M::Event> {
        let now = self.clock.now();
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
        if self.failure.is_none() {
            match self.machine.poll_event(now, &mut self.recv) {
                Ok(Some(event)) => return Step::Turn(Turn::Event(event)),
                Ok(None) => {}
                Err(error) => {
                    self.failure = Some(error);
                    self.give_up = Some(now + self.config.linger);
                }
            }
        }

        let wrote = self.flush(cx);
        // Asked after the flush: a close shows only once the queue is empty.
        let stuck = self.failure.is_some() && self.is_stuck();
        match self.machine.demand().close.or(stuck.then_some(Close::Both)) {
            Some(Close::Abort) => {
                self.transport.abort();
                return Step::End;
            }
            Some(close) if self.is_flushed() => match self.close(close, now, cx) {
                Step::Wait => {}
                step => return step,
            },
            _ => {}
        }
        if wrote {
            // The room may be what the machine waited for.
            return Step::Again;
        }

        let read = if self.wants_read() { self.read(cx) } else { Step::Wait };
        if matches!(read, Step::End) {
            return Step::End;
        }
        // Told after every read, so that neither a busy peer nor a busy writer starves the other.
        if self.failure.is_none() && mem::take(&mut self.flushed) {
            return Step::Turn(Turn::Flushed);
        }
        if matches!(read, Step::Wait) && self.broken.is_some() {
            return Step::End;
        }
        // Also while the peer floods: it buys no time with that.
        if self.give_up.is_some_and(|end| end <= now) {
            self.transport.abort();
            return Step::End;
        }
        read
    }

    /// Writes until the queue is empty or the transport takes no more; returns whether it took anything.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wrote = false;
        while self.broken.is_none() {
            let transmit = self.machine.transmit();
            let result = if transmit.is_empty() {
                if !self.unflushed {
                    break;
                }
                Pin::new(&mut self.transport).poll_flush(cx).map_ok(|()| {
                    self.unflushed = false;
                    self.flushed = true;
                })
            } else {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let filled = transmit.chunks_vectored(&mut pieces);
                match Pin::new(&mut self.transport).poll_write_vectored(cx, &pieces[..filled]) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(n)) => {
                        transmit.advance(n);
                        self.unflushed = true;
                        wrote = true;
                        Poll::Ready(Ok(()))
                    }
                    other => other.map_ok(drop),
                }
            };
            match result {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        wrote
    }

    /// Carries out a close that comes after the flush.
    fn close(&mut self, close: Close, now: Instant, cx: &mut Context<'_>) -> Step<M::Event> {
        if self.state == State::Open {
            match Pin::new(&mut self.transport).poll_shutdown(cx) {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(())) => self.state = State::HalfClosed { since: now },
                // The peer was faster.
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::NotConnected => {
                    self.state = State::HalfClosed { since: now }
                }
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => return Step::Again,
                Poll::Ready(Err(error)) => {
                    self.broken = Some(error);
                    return Step::End;
                }
            }
        }
        if close == Close::WriteHalf {
            return Step::Wait;
        }
        if self.recv.is_end_of_stream() {
            return Step::End;
        }
        // The peer's time counts from the end of our direction: a machine may have waited for it by itself.
        let since = if let State::HalfClosed { since } = self.state { since } else { now };
        self.give_up.get_or_insert(since + self.config.linger);
        self.state = State::Lingering { discard: self.config.linger_bytes };
        Step::Again
    }

    /// Reads once.
    fn read(&mut self, cx: &mut Context<'_>) -> Step<M::Event> {
        let result = if self.failure.is_none() {
            let mut room = self.recv.spare(self.read_size);
            // A future of one poll: it keeps nothing.
            pin!(self.transport.read_buf(&mut room)).poll(cx)
        } else {
            // The machine takes nothing any more.
            self.discard(cx)
        };
        match result {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(0)) => self.recv.finish(),
            Poll::Ready(Ok(n)) if n >= self.read_size => {
                self.read_size = (self.read_size * 2).min(self.config.read_size_max).max(self.read_size);
            }
            Poll::Ready(Ok(n)) if n <= self.read_size / 4 => {
                self.read_size = (self.read_size / 2).max(self.config.read_size).max(1);
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            Poll::Ready(Err(error)) => {
                self.broken.get_or_insert(error);
                return Step::End;
            }
        }
        Step::Again
    }

    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [0; 8 * 1024];
        let mut room = ReadBuf::new(&mut room);
        Pin::new(&mut self.transport).poll_read(cx, &mut room).map_ok(|()| room.filled().len())
    }

    /// One turn of waiting for the peer's end of stream.
    fn linger(&mut self, discard: usize, cx: &mut Context<'_>) -> Step<M::Event> {
        if discard == 0 || self.give_up.is_some_and(|end| end <= self.clock.now()) {
            return Step::End;
        }
        match self.discard(cx) {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(0)) => {
                self.recv.finish();
                return Step::End;
            }
            Poll::Ready(Ok(n)) => self.state = State::Lingering { discard: discard.saturating_sub(n) },
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            // Everything of ours has left: how the peer goes is its own affair.
            Poll::Ready(Err(_)) => return Step::End,
        }
        Step::Again
    }

    /// The last turn: what is to be reported is reported once.
    fn end(&mut self) -> TurnResult<M> {
        self.state = State::Closed;
        self.give_up = None;
        self.sleep = None;
        match (self.failure.take(), self.broken.take()) {
            (Some(error), _) => Err(DriveError::Protocol(error)),
            (None, Some(error)) => Err(DriveError::Io(error)),
            (None, None) => Ok(Turn::Closed),
        }
    }

    fn wants_read(&self) -> bool {
        !self.recv.is_end_of_stream() && self.machine.demand().read
    }

    fn is_flushed(&mut self) -> bool {
        !self.unflushed && self.machine.transmit().is_empty()
    }

    /// Whether the machine waits for neither the peer nor the clock.
    fn is_stuck(&mut self) -> bool {
        !self.wants_read() && self.machine.poll_timeout().is_none() && self.is_flushed()
    }
}

enum Step<E> {
    /// Something moved: another turn.
    Again,
    /// Nothing moves without a wake.
    Wait,
    /// The caller has something to do.
    Turn(Turn<E>),
    /// The connection is over.
    End,
}
