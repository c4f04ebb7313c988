//! A machine and what its application keeps for it.

use drywire_core::{Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// A machine that carries along what the application keeps for its connection: where many connections share a thread, no
/// local variable can.
///
/// It is the machine in every respect; nothing in here looks at the state.
#[derive(Clone, Copy, Debug, Default)]
pub struct With<M, S> {
    /// The protocol.
    pub machine: M,
    /// What the application keeps.
    pub state: S,
}

impl<M: StreamMachine, S> StreamMachine for With<M, S> {
    type Event = M::Event;
    type Error = M::Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<M::Event>, M::Error> {
        self.machine.poll_event(now, recv)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.machine.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        self.machine.demand()
    }
}
