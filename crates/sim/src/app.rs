//! The application's side of a simulated host: what it is told and what it may do.

use drywire_core::Instant;
use drywire_tcp::CloseReason;

/// What an application is told. It is a function of a [`Context`] and one of these, over a pipe as over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<E, X> {
    /// The transport is there. Always the first input, unless it never came about ([`Input::Closed`]).
    Connected,
    /// An event of the machine.
    Event(E),
    /// The machine's error: the peer broke a rule. Told once; the farewell still leaves.
    Failed(X),
    /// Queued bytes have left, so a command that was `Full` may work now.
    Writable,
    /// A time asked for with [`Context::wake_at`] has come, or another application called [`Context::wake_others`].
    Woken,
    /// The transport is gone. Always the last input. Over a pipe the reasons are those that TCP would give.
    Closed(CloseReason),
}

/// What an application may do while it handles an [`Input`].
#[derive(Debug)]
pub struct Context<'a, M> {
    now: Instant,
    machine: &'a mut M,
    requests: &'a mut Requests,
}

impl<'a, M> Context<'a, M> {
    pub(crate) fn new(now: Instant, machine: &'a mut M, requests: &'a mut Requests) -> Self {
        Self { now, machine, requests }
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The machine, for its commands. It may also be replaced as a whole: received bytes that it has not consumed
    /// stay for its successor.
    pub fn machine(&mut self) -> &mut M {
        self.machine
    }

    /// Asks for [`Input::Woken`] at `at`, or at once where that has passed.
    pub fn wake_at(&mut self, at: Instant) {
        self.requests.wakes.push(at);
    }

    /// Gives [`Input::Woken`] to every other application of the run, at once: this one changed what they share.
    pub fn wake_others(&mut self) {
        self.requests.wake_others = true;
    }

    /// Drops the transport, as a process does that dies (a TCP RST).
    pub fn abort(&mut self) {
        self.requests.abort = true;
    }

    /// Writes a line into the log of the run.
    pub fn note(&mut self, text: impl Into<String>) {
        self.requests.notes.push(text.into());
    }
}

/// What an application asked for during one input.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) wakes: Vec<Instant>,
    pub(crate) wake_others: bool,
    pub(crate) abort: bool,
    pub(crate) notes: Vec<String>,
}
