//! The loop between a machine and a transport.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::task::{Poll, Waker};

use drywire_core::{Buf as _, Close, Instant, RecvBuf, StreamMachine};

use crate::{Config, DriveError, Interest, Transport};

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
    /// A waker of [`Driver::waker`] was woken, or the server is shutting down.
    Woken,
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
            recv: self.recv,
            config: self.config,
            read_size: self.read_size,
            state: self.state,
            unflushed: self.unflushed,
            flushed: self.flushed,
            failure: None,
            broken: self.broken,
            give_up: self.give_up,
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
        self.transport.now()
    }

    /// A waker that makes [`next_turn`](Self::next_turn) return [`Turn::Woken`], the running one or the next. Any
    /// thread may use it; several wakes before a turn count as one.
    pub fn waker(&self) -> Waker {
        self.transport.waker()
    }

    /// Whether the server that accepted this connection has been asked to stop. The driver was woken when it was.
    pub fn is_shutting_down(&self) -> bool {
        self.transport.is_shutting_down()
    }

    /// Waits for the machine's next event, whatever wakes the driver in between.
    ///
    /// `Ok(None)` means that the connection is closed in order.
    pub fn next_event(&mut self) -> EventResult<M> {
        loop {
            match self.next_turn()? {
                Turn::Event(event) => return Ok(Some(event)),
                Turn::Closed => return Ok(None),
                Turn::Flushed | Turn::Woken => {}
            }
        }
    }

    /// Waits until there is something to do for the caller.
    ///
    /// A handler that streams content queues it until the machine is full and goes on at [`Turn::Flushed`].
    pub fn next_turn(&mut self) -> TurnResult<M> {
        loop {
            match self.poll_turn() {
                Poll::Ready(turn) => return turn,
                Poll::Pending => self.park()?,
            }
        }
    }

    /// Does everything that is possible without waiting.
    ///
    /// `Pending` means that only readiness ([`interest`](Self::interest)), time ([`deadline`](Self::deadline)), a
    /// waker or a command brings the connection forward.
    pub fn poll_turn(&mut self) -> Poll<TurnResult<M>> {
        loop {
            let step = match self.state {
                State::Open | State::HalfClosed { .. } => self.step(),
                State::Lingering { discard } => self.linger(discard),
                State::Closed => return Poll::Ready(Ok(Turn::Closed)),
            };
            match step {
                Step::Again => {}
                Step::Turn(turn) => return Poll::Ready(Ok(turn)),
                Step::Wait => return Poll::Pending,
                Step::End => return Poll::Ready(self.end()),
            }
        }
    }

    /// What the transport must be watched for while [`poll_turn`](Self::poll_turn) is pending.
    pub fn interest(&mut self) -> Interest {
        match self.state {
            State::Open | State::HalfClosed { .. } => Interest {
                read: self.wants_read(),
                write: self.unflushed || !self.machine.transmit().is_empty() || self.wants_shutdown(),
            },
            State::Lingering { .. } => Interest { read: true, write: false },
            State::Closed => Interest::default(),
        }
    }

    /// When [`poll_turn`](Self::poll_turn) has work even if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        let timeout = match self.state {
            State::Open | State::HalfClosed { .. } => self.machine.poll_timeout(),
            State::Lingering { .. } | State::Closed => None,
        };
        timeout.into_iter().chain(self.give_up).min()
    }

    fn park(&mut self) -> Result<(), DriveError<M::Error>> {
        // An idle connection holds no buffers.
        self.recv.release();
        self.machine.transmit().release();
        let (interest, deadline) = (self.interest(), self.deadline());
        match self.transport.park(interest, deadline) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                self.broken.get_or_insert(error);
                self.end().map(|_| ())
            }
        }
    }

    /// One turn of an open connection.
    fn step(&mut self) -> Step<M::Event> {
        let now = self.transport.now();
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

        let wrote = self.flush();
        // Asked after the flush: a close shows only once the queue is empty.
        let stuck = self.failure.is_some() && self.is_stuck();
        match self.machine.demand().close.or(stuck.then_some(Close::Both)) {
            Some(Close::Abort) => {
                self.transport.abort();
                return Step::End;
            }
            Some(close) if self.is_flushed() => match self.close(close, now) {
                Step::Wait => {}
                step => return step,
            },
            _ => {}
        }
        if wrote {
            // The room may be what the machine waited for.
            return Step::Again;
        }

        let read = if self.wants_read() { self.read() } else { Step::Wait };
        if matches!(read, Step::End) {
            return Step::End;
        }
        // Told after every read, so that neither a busy peer nor a busy writer starves the other.
        if self.transport.take_woken() {
            return Step::Turn(Turn::Woken);
        }
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
    fn flush(&mut self) -> bool {
        let mut wrote = false;
        while self.broken.is_none() {
            let transmit = self.machine.transmit();
            let result = if transmit.is_empty() {
                if !self.unflushed {
                    break;
                }
                self.transport.flush().map(|()| {
                    self.unflushed = false;
                    self.flushed = true;
                })
            } else {
                let mut pieces = [IoSlice::new(&[]); PIECES];
                let filled = transmit.chunks_vectored(&mut pieces);
                match self.transport.write_vectored(&pieces[..filled]) {
                    Ok(0) => Err(ErrorKind::WriteZero.into()),
                    Ok(n) => {
                        transmit.advance(n);
                        self.unflushed = true;
                        wrote = true;
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            };
            match result {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => self.broken = Some(error),
            }
        }
        wrote
    }

    /// Carries out a close that comes after the flush.
    fn close(&mut self, close: Close, now: Instant) -> Step<M::Event> {
        if self.state == State::Open {
            match self.transport.shutdown_write() {
                Ok(()) => self.state = State::HalfClosed { since: now },
                // The peer was faster.
                Err(error) if error.kind() == ErrorKind::NotConnected => self.state = State::HalfClosed { since: now },
                Err(error) if error.kind() == ErrorKind::Interrupted => return Step::Again,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
                Err(error) => {
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
    fn read(&mut self) -> Step<M::Event> {
        let result = match self.failure {
            None => self.recv.fill_with(self.read_size, |room| self.transport.read(room)),
            // The machine takes nothing any more.
            Some(_) => self.discard(),
        };
        match result {
            Ok(0) => self.recv.finish(),
            Ok(n) if n >= self.read_size => {
                self.read_size = (self.read_size * 2).min(self.config.read_size_max).max(self.read_size);
            }
            Ok(n) if n <= self.read_size / 4 => {
                self.read_size = (self.read_size / 2).max(self.config.read_size).max(1);
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Step::Wait,
            Err(error) => {
                self.broken.get_or_insert(error);
                return Step::End;
            }
        }
        Step::Again
    }

    fn discard(&mut self) -> io::Result<usize> {
        self.transport.read(&mut [0; 8 * 1024])
    }

    /// One turn of waiting for the peer's end of stream.
    fn linger(&mut self, discard: usize) -> Step<M::Event> {
        if discard == 0 || self.give_up.is_some_and(|end| end <= self.transport.now()) {
            return Step::End;
        }
        match self.discard() {
            Ok(0) => {
                self.recv.finish();
                return Step::End;
            }
            Ok(n) => self.state = State::Lingering { discard: discard.saturating_sub(n) },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return if self.transport.take_woken() { Step::Turn(Turn::Woken) } else { Step::Wait };
            }
            // Everything of ours has left: how the peer goes is its own affair.
            Err(_) => return Step::End,
        }
        Step::Again
    }

    /// The last turn: what is to be reported is reported once.
    fn end(&mut self) -> TurnResult<M> {
        self.state = State::Closed;
        self.give_up = None;
        match (self.failure.take(), self.broken.take()) {
            (Some(error), _) => Err(DriveError::Protocol(error)),
            (None, Some(error)) => Err(DriveError::Io(error)),
            (None, None) => Ok(Turn::Closed),
        }
    }

    fn wants_read(&self) -> bool {
        !self.recv.is_end_of_stream() && self.machine.demand().read
    }

    fn wants_shutdown(&self) -> bool {
        self.state == State::Open && self.machine.demand().close.is_some()
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
