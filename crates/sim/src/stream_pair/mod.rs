//! Two stream machines and a reliable pipe between them.

mod pipe;

use std::fmt;

use drywire_core::{Buf, Instant, RecvBuf, Rng, Seed, StreamMachine};
use drywire_tcp::CloseReason;

pub use self::pipe::{Cut, PipeConfig};

use self::pipe::{Pipe, Socket, SocketState};
use crate::app::Requests;
use crate::pump::{Pump, Transport};
use crate::{Context, Digest, Input, RunError, RunFailure, Schedule};

/// One of the two ends of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first machine.
    A,
    /// The second machine.
    B,
}

impl Side {
    /// Its place in an array of both: zero for the first.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// Two [`StreamMachine`]s over a reliable byte pipe that cuts the stream at random places, in virtual time.
///
/// No byte is lost or swapped; delays, sizes of writes and reads, and the room between the two are the pipe's. Ends of
/// stream, half-closes and aborts travel as the machines demand them. Each machine has an application, a function of
/// what happens ([`Input`]) that issues commands through its [`Context`].
///
/// ```
/// # use core::convert::Infallible;
/// # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
/// use drywire_sim::{Input, StreamPair};
/// # /// Sends what it is told to, reads to the end.
/// # struct Talk { send: SendQueue, ended: bool, bye: bool }
/// # impl Talk {
/// #     fn new() -> Self { Self { send: SendQueue::new(4096), ended: false, bye: false } }
/// #     fn say(&mut self, text: &'static str) { self.send.push(Bytes::from_static(text.as_bytes())) }
/// #     fn bye(&mut self) { self.bye = true }
/// # }
/// # impl StreamMachine for Talk {
/// #     type Event = Bytes;
/// #     type Error = Infallible;
/// #     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
/// #         self.ended = recv.is_finished();
/// #         Ok((!recv.is_empty()).then(|| recv.take(recv.len())))
/// #     }
/// #     fn transmit(&mut self) -> &mut SendQueue { &mut self.send }
/// #     fn poll_timeout(&self) -> Option<Instant> { None }
/// #     fn handle_timeout(&mut self, _: Instant) {}
/// #     fn demand(&self) -> Demand {
/// #         let close = match () {
/// #             () if !self.send.is_empty() => None,
/// #             () if self.ended => Some(Close::Both),
/// #             () => self.bye.then_some(Close::WriteHalf),
/// #         };
/// #         Demand { read: !self.ended, close }
/// #     }
/// # }
///
/// let mut heard = Vec::new();
/// let report = StreamPair::new(7, Talk::new(), Talk::new()).run(
///     |cx, input| {
///         if let Input::Connected = input {
///             cx.machine().say("hello");
///             cx.machine().bye();
///         }
///     },
///     |_, input| {
///         if let Input::Event(bytes) = input {
///             heard.extend_from_slice(&bytes);
///         }
///     },
/// )?;
/// assert_eq!(heard, b"hello");
/// assert_eq!(report.carried, [5, 0]);
/// # Ok::<(), drywire_sim::RunError>(())
/// ```
pub struct StreamPair<A, B> {
    seed: u64,
    now: Instant,
    a: End<A>,
    b: End<B>,
    a_to_b: Pipe,
    b_to_a: Pipe,
    wakes: Schedule<Side>,
    digest: Digest,
    notes: Vec<(Instant, Side, String)>,
    steps: u64,
    max_steps: u64,
}

/// How a run of a [`StreamPair`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamReport {
    /// The seed that replays the run.
    pub seed: u64,
    /// When both sides were closed.
    pub ended: Instant,
    /// How the pipe ended for each side.
    pub closed: [CloseReason; 2],
    /// The bytes that each side wrote.
    pub carried: [u64; 2],
    /// The number of inputs and reads.
    pub steps: u64,
    /// A fingerprint of every read, with its time and bytes, and of every note.
    pub digest: Digest,
}

impl<A: StreamMachine, B: StreamMachine> StreamPair<A, B> {
    /// Two machines, with the default pipe between them. All that is random comes from `seed`.
    pub fn new(seed: u64, a: A, b: B) -> Self {
        let mut rng = Rng::new(&Seed::from(seed));
        let mut pipe = || Pipe::new(PipeConfig::default(), &rng.split());
        Self {
            seed,
            now: Instant::ORIGIN,
            a: End::new(a),
            b: End::new(b),
            a_to_b: pipe(),
            b_to_a: pipe(),
            wakes: Schedule::new(),
            digest: Digest::new(),
            notes: Vec::new(),
            steps: 0,
            max_steps: 10_000_000,
        }
    }

    /// Lets both directions be like this.
    #[must_use]
    pub fn pipes(self, config: PipeConfig) -> Self {
        self.pipe_from(Side::A, config.clone()).pipe_from(Side::B, config)
    }

    /// Lets the direction that `side` writes to be like this.
    #[must_use]
    pub fn pipe_from(mut self, side: Side, config: PipeConfig) -> Self {
        match side {
            Side::A => self.a_to_b.config = config,
            Side::B => self.b_to_a.config = config,
        }
        self
    }

    /// Starts at `now` instead of [`Instant::ORIGIN`].
    #[must_use]
    pub fn start_at(mut self, now: Instant) -> Self {
        self.now = now;
        self
    }

    /// The number of steps (inputs and reads) after which the run fails; ten million unless set.
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.max_steps = steps;
        self
    }

    /// The first machine.
    pub fn a(&mut self) -> &mut A {
        &mut self.a.pump.machine
    }

    /// The second machine.
    pub fn b(&mut self) -> &mut B {
        &mut self.b.pump.machine
    }

    /// What the first machine has not consumed.
    pub fn a_unconsumed(&self) -> &[u8] {
        &self.a.recv
    }

    /// What the second machine has not consumed.
    pub fn b_unconsumed(&self) -> &[u8] {
        &self.b.recv
    }

    /// What the applications noted, in the order of virtual time.
    pub fn notes(&self) -> &[(Instant, Side, String)] {
        &self.notes
    }

    /// Runs until both sides are closed.
    pub fn run(
        &mut self,
        mut app_a: impl FnMut(&mut Context<'_, A>, Input<A::Event, A::Error>),
        mut app_b: impl FnMut(&mut Context<'_, B>, Input<B::Event, B::Error>),
    ) -> Result<StreamReport, RunError> {
        loop {
            self.settle(&mut app_a, &mut app_b)?;
            if let (Some(a), Some(b)) = (self.a.closed, self.b.closed) {
                return Ok(StreamReport {
                    seed: self.seed,
                    ended: self.now,
                    closed: [a, b],
                    carried: [self.a_to_b.carried, self.b_to_a.carried],
                    steps: self.steps,
                    digest: self.digest,
                });
            }
            let deadlines = [self.a.poll_timeout(), self.b.poll_timeout()];
            let arrivals = [self.a_to_b.poll_timeout(), self.b_to_a.poll_timeout()];
            let next = deadlines.into_iter().chain(arrivals).chain([self.wakes.next_at()]).flatten().min();
            let Some(next) = next else {
                let a = self.a.waits_for(Side::A, &self.b_to_a);
                let b = self.b.waits_for(Side::B, &self.a_to_b);
                return Err(self.fail(RunFailure::Stuck([a, b].concat().join("; "))));
            };
            self.advance(next)?;
        }
    }

    /// Lets both sides act until neither can do more at this instant.
    fn settle(&mut self, app_a: &mut App<'_, A>, app_b: &mut App<'_, B>) -> Result<(), RunError> {
        loop {
            let (now, mut requests) = (self.now, Requests::default());
            let a = self.a.step(now, &mut self.b_to_a, &mut self.a_to_b, app_a, &mut requests, &mut self.digest);
            self.grant(Side::A, &mut requests);
            let b = self.b.step(now, &mut self.a_to_b, &mut self.b_to_a, app_b, &mut requests, &mut self.digest);
            self.grant(Side::B, &mut requests);
            if !a && !b {
                return Ok(());
            }
            self.steps += u64::from(a) + u64::from(b);
            if self.steps > self.max_steps {
                return Err(self.fail(RunFailure::OutOfSteps(self.max_steps)));
            }
        }
    }

    fn grant(&mut self, side: Side, requests: &mut Requests) {
        for at in requests.wakes.drain(..) {
            self.wakes.push(at.max(self.now), side);
        }
        if std::mem::take(&mut requests.wake_others) {
            match side {
                Side::A => self.b.woken = true,
                Side::B => self.a.woken = true,
            }
        }
        for note in requests.notes.drain(..) {
            self.digest.add(note.as_bytes());
            self.notes.push((self.now, side, note));
        }
    }

    fn advance(&mut self, next: Instant) -> Result<(), RunError> {
        self.now = self.now.max(next);
        self.a_to_b.handle_timeout(self.now);
        self.b_to_a.handle_timeout(self.now);
        while let Some((_, side)) = self.wakes.pop_due(self.now) {
            match side {
                Side::A => self.a.woken = true,
                Side::B => self.b.woken = true,
            }
        }
        let late = [(Side::A, self.a.handle_timeout(self.now)), (Side::B, self.b.handle_timeout(self.now))];
        match late.into_iter().find(|(_, moved)| !moved) {
            Some((side, _)) => Err(self.fail(RunFailure::DeadlineStays(side.to_string()))),
            None => Ok(()),
        }
    }

    fn fail(&self, reason: RunFailure) -> RunError {
        RunError { seed: self.seed, at: self.now, reason }
    }
}

impl<A: fmt::Debug, B: fmt::Debug> fmt::Debug for StreamPair<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamPair")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("a", &self.a.pump.machine)
            .field("b", &self.b.pump.machine)
            .finish_non_exhaustive()
    }
}

/// The application of a machine.
type App<'f, M> = dyn FnMut(&mut Context<'_, M>, Input<<M as StreamMachine>::Event, <M as StreamMachine>::Error>) + 'f;

/// A machine with its end of the pipe.
struct End<M> {
    pump: Pump<M>,
    recv: RecvBuf,
    socket: SocketState,
    woken: bool,
    closed: Option<CloseReason>,
}

impl<M: StreamMachine> End<M> {
    fn new(machine: M) -> Self {
        let pump = Pump::new(machine);
        Self { pump, recv: RecvBuf::new(), socket: SocketState::default(), woken: false, closed: None }
    }

    /// One input for the application, or else one read. `false`: nothing to do at this instant.
    fn step(
        &mut self,
        now: Instant,
        incoming: &mut Pipe,
        outgoing: &mut Pipe,
        app: &mut App<'_, M>,
        requests: &mut Requests,
        digest: &mut Digest,
    ) -> bool {
        let mut socket = Socket { now, recv: &mut self.recv, incoming, outgoing, state: &mut self.socket };
        let input = if let Some(input) = self.pump.poll(now, &mut socket) {
            input
        } else if self.pump.is_closed() {
            return false;
        } else if std::mem::take(&mut self.woken) {
            Input::Woken
        } else if self.pump.wants_read()
            && let Some(n) = socket.incoming.read(socket.recv)
        {
            digest.add(&now.as_nanos().to_le_bytes());
            digest.add(&socket.recv[socket.recv.len() - n..]);
            return true;
        } else {
            return false;
        };
        if let Input::Closed(reason) = input {
            self.closed = Some(reason);
        }
        app(&mut Context::new(now, &mut self.pump.machine, requests), input);
        if std::mem::take(&mut requests.abort) {
            socket.abort();
        }
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.pump.is_closed() { None } else { self.pump.machine.poll_timeout() }
    }

    /// Whether the deadline moved as it must.
    fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.pump.machine.handle_timeout(now);
        }
        self.poll_timeout().is_none_or(|at| at > now)
    }

    /// Why this side is not closed, for a human.
    fn waits_for(&mut self, side: Side, incoming: &Pipe) -> Vec<String> {
        if self.pump.is_closed() {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        let queued = self.pump.machine.transmit().remaining();
        if queued > 0 {
            reasons.push(format!("{side} has {queued} bytes to write and no room"));
        }
        if incoming.unread() > 0 {
            reasons.push(format!("{side} wants no read with {} bytes waiting", incoming.unread()));
        } else if self.recv.is_end_of_stream() {
            reasons.push(format!("{side} has read the end of the stream and demands no close"));
        } else if self.pump.wants_read() {
            reasons.push(format!("{side} waits for bytes that nobody sends"));
        } else {
            reasons.push(format!("{side} neither reads nor closes"));
        }
        if self.pump.is_shut() {
            reasons.push(format!("{side} has ended its own direction"));
        }
        reasons
    }
}
