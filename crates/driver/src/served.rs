//! One of many connections, for as long as it is its turn.

use std::net::SocketAddr;

use drywire_core::{Instant, StreamMachine};

use crate::Engine;

/// A connection whose turn it is, for the application of a server that has many on one thread.
#[derive(Debug)]
pub struct Served<'a, M: StreamMachine> {
    engine: &'a mut Engine<M>,
    peer: SocketAddr,
    now: Instant,
    shutting_down: bool,
}

impl<'a, M: StreamMachine> Served<'a, M> {
    /// For servers: the connection to `peer`, which has just had a turn and will have the next one.
    pub fn new(engine: &'a mut Engine<M>, peer: SocketAddr, now: Instant, shutting_down: bool) -> Self {
        Self { engine, peer, now, shutting_down }
    }

    /// The protocol.
    pub fn machine(&self) -> &M {
        self.engine.machine()
    }

    /// The protocol, for commands. What they queue leaves behind this turn.
    pub fn machine_mut(&mut self) -> &mut M {
        self.engine.machine_mut()
    }

    /// The peer's address and port.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The time, for commands that take it.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether the server has been asked to stop. Every connection was woken when it was.
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }
}
