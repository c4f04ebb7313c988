//! The loop between a machine and a wire.

use std::io::{self, ErrorKind};
use std::mem;
use std::task::{Poll, ready};

use drywire_core::{Close, Instant, RecvBuf, StreamMachine};

use crate::{Config, DriveError, EventResult, Interest, Parts, SHORT_READ, Turn, TurnResult, Wire};

/// How many bytes are read at a time where nobody wants them.
const DISCARD: usize = 8 * 1024;

/// Runs a machine: everything of a driver but the transport and the waiting.
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
/// The promises, which the tests check at every wait and close:
///
/// - it waits only with nothing to write or a write that cannot go on, and with every demanded read tried and every
///   deadline told;
/// - it ends the sending direction at most once and after the flush; a protocol error is reported only once its
///   farewell was written as far as the peer takes it within [`Config::linger`];
/// - every turn moves something, and the end of the stream is read once;
/// - while it waits with nothing buffered it holds no buffer.
///
/// All of a connection's state is here: a driver that is dropped between two turns, as a cancelled future is, loses
/// nothing.
#[derive(Debug)]
pub struct Engine<M: StreamMachine> {
    machine: M,
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
    /// The caller takes no events for now.
    paused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    HalfClosed { since: Instant },
    Lingering { discard: usize },
    Closed,
}

impl<M: StreamMachine> Engine<M> {
    /// An engine for an open connection, and its transport, which stays with the driver.
    pub fn from_parts<T>(parts: Parts<M, T>) -> (Self, T) {
        let Parts { machine, transport, recv, config } = parts;
        let engine = Self {
            machine,
            recv,
            read_size: config.read_size.max(1),
            config,
            state: State::Open,
            unflushed: false,
            flushed: false,
            failure: None,
            broken: None,
            give_up: None,
            paused: false,
        };
        (engine, transport)
    }

    /// Takes the driver apart. What the machine has queued and the transport has not taken is still in the machine.
    pub fn into_parts<T>(self, transport: T) -> Parts<M, T> {
        let Self { machine, recv, config, .. } = self;
        Parts { machine, transport, recv, config }
    }

    /// Lets another protocol take over the connection, with the bytes that the first one left over.
    ///
    /// What the old machine has queued is lost unless `next` hands it on to the new one.
    pub fn map_machine<N: StreamMachine>(self, next: impl FnOnce(M) -> N) -> Engine<N> {
        Engine {
            machine: next(self.machine),
            recv: self.recv,
            config: self.config,
            read_size: self.read_size,
            state: self.state,
            unflushed: self.unflushed,
            flushed: self.flushed,
            failure: None,
            broken: self.broken,
            give_up: self.give_up,
            paused: self.paused,
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

    /// Takes no events, and reads nothing that could become one, until told otherwise: for a caller that has to send
    /// before it can take more. What is queued still leaves, deadlines pass, and a machine that closes or fails is
    /// heard to its end.
    pub fn pause_events(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Whether everything that was queued has left.
    pub fn is_flushed(&mut self) -> bool {
        !self.unflushed && self.machine.transmit().is_empty()
    }

    /// Does everything that is possible without waiting.
    ///
    /// `Pending` means that only readiness ([`interest`](Self::interest)), time ([`deadline`](Self::deadline)), a
    /// waker or a command brings the connection forward. Each call on `wire` that the interest speaks of was tried in
    /// this turn and could not go on, so readiness may be told as edges.
    pub fn poll_turn<W: Wire>(&mut self, wire: &mut W) -> Poll<TurnResult<M>> {
        self.poll(wire, true)
    }

    /// [`poll_turn`](Self::poll_turn) for a caller that waits for events alone. `None` is the closed connection.
    pub fn poll_next<W: Wire>(&mut self, wire: &mut W) -> Poll<EventResult<M>> {
        loop {
            match ready!(self.poll(wire, false))? {
                Turn::Event(event) => return Poll::Ready(Ok(Some(event))),
                Turn::Closed => return Poll::Ready(Ok(None)),
                Turn::Flushed | Turn::Woken => {}
            }
        }
    }

    /// A turn; one that says no more than that everything has left only if the caller wants to know.
    fn poll<W: Wire>(&mut self, wire: &mut W, tell_flushed: bool) -> Poll<TurnResult<M>> {
        loop {
            let step = match self.state {
                State::Open | State::HalfClosed { .. } => self.step(wire, tell_flushed),
                State::Lingering { discard } => self.linger(discard, wire),
                State::Closed => return Poll::Ready(Ok(Turn::Closed)),
            };
            match step {
                Step::Again => {}
                Step::Turn(turn) => return Poll::Ready(Ok(turn)),
                Step::Wait => {
                    // An idle connection holds no buffers.
                    self.recv.release();
                    self.machine.transmit().release();
                    return Poll::Pending;
                }
                Step::End => return Poll::Ready(self.end().map_or(Ok(Turn::Closed), Err)),
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

    /// Whether the connection is over and everything about it was told.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Ends the connection because it cannot be waited for, and says what to report.
    pub fn fail(&mut self, error: io::Error) -> DriveError<M::Error> {
        let error = self.broken.take().unwrap_or(error);
        self.end().unwrap_or(DriveError::Io(error))
    }

    /// One turn of an open connection.
    fn step(&mut self, wire: &mut impl Wire, tell_flushed: bool) -> Step<M::Event> {
        let now = wire.now();
        if self.machine.poll_timeout().is_some_and(|due| due <= now) {
            self.machine.handle_timeout(now);
        }
        let paused = self.is_paused();
        if self.failure.is_none() && !paused {
            match self.machine.poll_event(now, &mut self.recv) {
                Ok(Some(event)) => return Step::Turn(Turn::Event(event)),
                Ok(None) => {}
                Err(error) => {
                    self.failure = Some(error);
                    self.give_up = Some(now + self.config.linger);
                }
            }
        }

        let wrote = self.flush(wire);
        if paused && !self.is_paused() {
            return Step::Again;
        }
        // Asked after the flush: a close shows only once the queue is empty.
        let stuck = self.failure.is_some() && self.is_stuck();
        let close = match self.machine.demand().close {
            Some(Close::Abort) => Some(Close::Abort),
            _ if stuck => Some(Close::Both),
            close => close,
        };
        match close {
            Some(Close::Abort) => {
                wire.abort();
                return Step::End;
            }
            Some(close) if self.is_flushed() => match self.close(close, now, wire) {
                Step::Wait => {}
                step => return step,
            },
            _ => {}
        }
        if wrote {
            // The room may be what the machine waited for.
            return Step::Again;
        }

        let read = if self.wants_read() { self.read(wire) } else { Step::Wait };
        if matches!(read, Step::End) {
            return Step::End;
        }
        // Told after every read, so that neither a busy peer nor a busy writer starves the other.
        if wire.take_woken() {
            return Step::Turn(Turn::Woken);
        }
        if mem::take(&mut self.flushed) && tell_flushed && self.failure.is_none() {
            return Step::Turn(Turn::Flushed);
        }
        if matches!(read, Step::Wait) && self.broken.is_some() {
            return Step::End;
        }
        // Also while the peer floods: it buys no time with that.
        if self.give_up.is_some_and(|end| end <= now) {
            wire.abort();
            return Step::End;
        }
        read
    }

    /// Writes until the queue is empty or the transport takes no more; returns whether it took anything.
    fn flush(&mut self, wire: &mut impl Wire) -> bool {
        let mut wrote = false;
        while self.broken.is_none() {
            match self.write(wire, &mut wrote) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) | Poll::Pending => break,
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        wrote
    }

    /// Writes or flushes once; returns whether there was anything to do.
    fn write(&mut self, wire: &mut impl Wire, wrote: &mut bool) -> Poll<io::Result<bool>> {
        let transmit = self.machine.transmit();
        if transmit.is_empty() {
            if !self.unflushed {
                return Poll::Ready(Ok(false));
            }
            ready!(wire.flush())?;
            self.unflushed = false;
            self.flushed = true;
        } else {
            if ready!(wire.write_queue(transmit))? == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            *wrote = true;
        }
        Poll::Ready(Ok(true))
    }

    /// Carries out a close that comes after the flush.
    fn close(&mut self, close: Close, now: Instant, wire: &mut impl Wire) -> Step<M::Event> {
        if self.state == State::Open {
            match wire.shutdown_write() {
                Poll::Pending => return Step::Wait,
                Poll::Ready(Ok(())) => self.state = State::HalfClosed { since: now },
                // The peer was faster.
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::NotConnected => {
                    self.state = State::HalfClosed { since: now };
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
    fn read(&mut self, wire: &mut impl Wire) -> Step<M::Event> {
        let result = match self.failure {
            None => wire.read_buf(&mut self.recv, self.read_size),
            // The machine takes nothing any more.
            Some(_) => wire.read(&mut [0; DISCARD]),
        };
        match result {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(0)) => self.recv.finish(),
            Poll::Ready(Ok(n)) if n >= self.read_size => {
                let more = (self.read_size * 2).max(self.config.read_size).min(self.config.read_size_max);
                self.read_size = more.max(self.read_size);
            }
            Poll::Ready(Ok(n)) if n <= self.read_size / 4 => {
                self.read_size = (self.read_size / 2).max(self.config.read_size.min(SHORT_READ)).max(1);
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            // What it cuts off is for the machine to say.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => self.recv.finish_truncated(),
            Poll::Ready(Err(error)) => {
                self.broken.get_or_insert(error);
                return Step::End;
            }
        }
        Step::Again
    }

    /// One turn of waiting for the peer's end of stream.
    fn linger(&mut self, discard: usize, wire: &mut impl Wire) -> Step<M::Event> {
        if discard == 0 || self.give_up.is_some_and(|end| end <= wire.now()) {
            return Step::End;
        }
        match wire.read(&mut [0; DISCARD]) {
            Poll::Pending if wire.take_woken() => return Step::Turn(Turn::Woken),
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
    fn end(&mut self) -> Option<DriveError<M::Error>> {
        self.state = State::Closed;
        self.give_up = None;
        let broken = self.broken.take().map(DriveError::Io);
        self.failure.take().map(DriveError::Protocol).or(broken)
    }

    fn wants_read(&self) -> bool {
        !self.is_paused() && !self.recv.is_end_of_stream() && self.machine.demand().read
    }

    /// A machine that closes may have failed, which it tells as it tells events.
    fn is_paused(&self) -> bool {
        self.paused && self.failure.is_none() && self.machine.demand().close.is_none()
    }

    fn wants_shutdown(&self) -> bool {
        self.state == State::Open && self.machine.demand().close.is_some()
    }

    /// Whether a failed machine, whose farewell has left, waits for neither the peer nor the clock, or for a peer that has
    /// ended: it is not told of that any more.
    fn is_stuck(&mut self) -> bool {
        let waits = self.machine.demand().read || self.machine.poll_timeout().is_some();
        self.is_flushed() && (self.recv.is_end_of_stream() || !waits)
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
