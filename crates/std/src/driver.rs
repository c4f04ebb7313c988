//! An engine on a transport, and the thread that waits for it.

use std::io::ErrorKind;
use std::task::{Poll, Waker};

use drywire_core::{Instant, RecvBuf, StreamMachine};
use drywire_driver::Engine;

use crate::transport::AsWire;
use crate::{Config, DriveError, EventResult, Interest, Parts, Transport, TurnResult};

/// Runs a machine on a transport.
///
/// The states of a connection, and what the driver promises, stand at [`drywire_driver::Engine`], of which this is
/// the form that blocks.
#[derive(Debug)]
pub struct Driver<M: StreamMachine, T> {
    engine: Engine<M>,
    transport: T,
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
        let (engine, transport) = Engine::from_parts(parts);
        Self { engine, transport }
    }

    /// Takes the driver apart. What the machine has queued and the transport has not taken is still in the machine.
    pub fn into_parts(self) -> Parts<M, T> {
        self.engine.into_parts(self.transport)
    }

    /// Lets another protocol take over the connection, with the bytes that the first one left over.
    ///
    /// What the old machine has queued is lost unless `next` hands it on to the new one.
    pub fn map_machine<N: StreamMachine>(self, next: impl FnOnce(M) -> N) -> Driver<N, T> {
        Driver { engine: self.engine.map_machine(next), transport: self.transport }
    }

    /// The protocol.
    pub fn machine(&self) -> &M {
        self.engine.machine()
    }

    /// The protocol, for commands. What they queue leaves with the next turn.
    pub fn machine_mut(&mut self) -> &mut M {
        self.engine.machine_mut()
    }

    /// The connection.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The time, for commands that take it.
    pub fn now(&self) -> Instant {
        self.transport.now()
    }

    /// A waker that makes [`next_turn`](Self::next_turn) return [`Turn::Woken`](crate::Turn::Woken), the running one or the next. Any
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
            match self.engine.poll_next(&mut AsWire(&mut self.transport)) {
                Poll::Ready(event) => return event,
                Poll::Pending => self.park()?,
            }
        }
    }

    /// Waits until there is something to do for the caller.
    ///
    /// A handler that streams content queues it until the machine is full and goes on at [`Turn::Flushed`](crate::Turn::Flushed).
    pub fn next_turn(&mut self) -> TurnResult<M> {
        loop {
            match self.poll_turn() {
                Poll::Ready(turn) => return turn,
                Poll::Pending => self.park()?,
            }
        }
    }

    /// Waits for what `poll` makes of the engine.
    #[cfg(any(feature = "http", feature = "ws"))]
    pub(crate) fn wait_with<R>(
        &mut self,
        mut poll: impl FnMut(&mut Engine<M>, &mut AsWire<'_, T>) -> Poll<R>,
    ) -> Result<R, DriveError<M::Error>> {
        loop {
            match poll(&mut self.engine, &mut AsWire(&mut self.transport)) {
                Poll::Ready(result) => return Ok(result),
                Poll::Pending => self.park()?,
            }
        }
    }

    /// The machine with what is around it.
    #[cfg(any(feature = "http", feature = "ws"))]
    pub(crate) fn engine_mut(&mut self) -> &mut Engine<M> {
        &mut self.engine
    }

    /// Does everything that is possible without waiting.
    ///
    /// `Pending` means that only readiness ([`interest`](Self::interest)), time ([`deadline`](Self::deadline)), a
    /// waker or a command brings the connection forward.
    pub fn poll_turn(&mut self) -> Poll<TurnResult<M>> {
        self.engine.poll_turn(&mut AsWire(&mut self.transport))
    }

    /// What the transport must be watched for while [`poll_turn`](Self::poll_turn) is pending.
    pub fn interest(&mut self) -> Interest {
        self.engine.interest()
    }

    /// When [`poll_turn`](Self::poll_turn) has work even if nothing else happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }

    fn park(&mut self) -> Result<(), DriveError<M::Error>> {
        match self.transport.park(self.engine.interest(), self.engine.deadline()) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(self.engine.fail(error)),
            _ => Ok(()),
        }
    }
}
