//! Many connections on one thread.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};

use drywire_core::{BytesMut, Instant, RecvBuf, StreamMachine};
use drywire_driver::Engine;
use drywire_tcp::{
    CloseReason, ConnectionHandle, ListenerConfig, ListenerHandle, OpenError, Stack, StackEvent, Statistics,
};

use crate::wake::Wakes;
use crate::wire::ConnectionWire;
use crate::{Config, Device, Parts, ServerConfig, ShutdownHandle, TurnResult};

/// Accepts connections of a [`Stack`] on a [`Device`] and runs a machine on each, all on the thread that calls
/// [`run`](Self::run).
///
/// ```text
///              ShutdownHandle::shutdown            all connections have ended
///   accepting ─────────────────────────▶ draining ───────────────────────────▶ run() returns
///                                           │  ServerConfig::drain is up           ▲
///                                           └──────────▶ abort what is left ───────┘
/// ```
#[derive(Debug)]
pub struct Server<D> {
    device: D,
    stack: Stack,
    listeners: Vec<ListenerHandle>,
    config: ServerConfig,
    driver: Config,
    shutdown: ShutdownHandle,
}

/// A connection that was accepted and wants a machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// The time.
    pub now: Instant,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// Makes the connection's next turn come soon, from any thread: [`Turn::Woken`](crate::Turn::Woken).
    pub waker: Waker,
}

/// A connection whose turn it is.
#[derive(Debug)]
pub struct Served<'a, M: StreamMachine> {
    engine: &'a mut Engine<M>,
    peer: SocketAddr,
    now: Instant,
    shutting_down: bool,
}

impl<M: StreamMachine> Served<'_, M> {
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

/// How a [`Server`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// How many connections were aborted because they had not ended in time.
    pub aborted: usize,
    /// What the stack has counted.
    pub statistics: Statistics,
}

impl<D: Device> Server<D> {
    /// A server that does not listen yet, with the default limits. The addresses of `stack` are those of the host.
    pub fn new(device: D, stack: Stack) -> Self {
        Self::with_config(device, stack, ServerConfig::default(), Config::default())
    }

    /// A server with limits of its own, and with those of each connection's engine.
    pub fn with_config(device: D, stack: Stack, config: ServerConfig, driver: Config) -> Self {
        Self { device, stack, listeners: Vec::new(), config, driver, shutdown: ShutdownHandle::new() }
    }

    /// Listens at `address`, too. An unspecified one stands for all of the host's of its family.
    pub fn listen(&mut self, address: SocketAddr, config: ListenerConfig) -> Result<(), OpenError> {
        self.listeners.push(self.stack.listen(address, config)?);
        Ok(())
    }

    /// Asks the server to stop, from anywhere.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Serves until the shutdown.
    ///
    /// `accept` makes the machine of each connection. `on_turn` is told everything that happens on one, and gives commands;
    /// it must not block, as nobody else is served meanwhile. Once it was told [`Turn::Closed`](crate::Turn::Closed) or
    /// an error, the connection is over.
    ///
    /// Fails if the device does.
    pub fn run<M, A, H>(self, accept: A, on_turn: H) -> io::Result<Stopped>
    where
        M: StreamMachine,
        A: FnMut(Incoming) -> M,
        H: FnMut(&mut Served<'_, M>, TurnResult<M>),
    {
        let Self { device, stack, listeners, config, driver, shutdown } = self;
        let wakes = Wakes::new(device.waker());
        let _registration = shutdown.register(&device.waker());
        let mut running = Running {
            device,
            stack,
            listeners,
            config,
            driver,
            shutdown,
            wakes,
            connections: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            drain_until: None,
            accept,
            on_turn,
            packet: BytesMut::new(),
        };
        let aborted = running.run()?;
        Ok(Stopped { aborted, statistics: *running.stack.statistics() })
    }
}

/// A connection and its machine.
struct Conn<M: StreamMachine> {
    engine: Engine<M>,
    peer: SocketAddr,
    closed: Option<CloseReason>,
    woken: bool,
    /// Where it stands in the list of deadlines.
    deadline: Option<Instant>,
}

struct Running<D, M: StreamMachine, A, H> {
    device: D,
    stack: Stack,
    listeners: Vec<ListenerHandle>,
    config: ServerConfig,
    driver: Config,
    shutdown: ShutdownHandle,
    wakes: Arc<Wakes>,
    connections: BTreeMap<ConnectionHandle, Box<Conn<M>>>,
    deadlines: BTreeSet<(Instant, ConnectionHandle)>,
    /// Set once the shutdown has begun.
    drain_until: Option<Instant>,
    accept: A,
    on_turn: H,
    packet: BytesMut,
}

impl<D, M, A, H> Running<D, M, A, H>
where
    D: Device,
    M: StreamMachine,
    A: FnMut(Incoming) -> M,
    H: FnMut(&mut Served<'_, M>, TurnResult<M>),
{
    /// Serves until the end; returns how many connections were aborted.
    fn run(&mut self) -> io::Result<usize> {
        loop {
            let now = self.device.now();
            let Self { device, stack, .. } = self;
            let more = device.receive(&mut |packet| stack.handle_packet(now, packet))?;
            if self.stack.poll_timeout().is_some_and(|due| due <= now) {
                self.stack.handle_timeout(now);
            }
            if self.drain_until.is_none() && self.shutdown.is_shutting_down() {
                self.begin_drain(now);
            }
            self.serve_due(now);
            loop {
                self.accept(now);
                let served = self.serve_events(now);
                if !self.transmit(now)? && !served {
                    break;
                }
            }
            if let Some(until) = self.drain_until
                && (self.stack.connections() == 0 || until <= now)
            {
                return self.abort_all(now);
            }
            if !more {
                let deadlines =
                    [self.stack.poll_timeout(), self.deadlines.first().map(|first| first.0), self.drain_until];
                self.device.park(deadlines.into_iter().flatten().min())?;
            }
        }
    }

    /// Starts a machine on every connection that waits, up to the limit.
    fn accept(&mut self, now: Instant) {
        for index in 0..self.listeners.len() {
            let listener = self.listeners[index];
            while self.connections.len() < self.config.max_connections {
                let Some(handle) = self.stack.accept(listener) else { break };
                let Some(connection) = self.stack.connection(handle) else { continue };
                let Some(peer) = connection.remote() else { continue };
                let waker = self.wakes.waker(handle);
                let machine = (self.accept)(Incoming { now, local: connection.local(), peer, waker });
                let config = self.driver.clone();
                let (engine, ()) = Engine::from_parts(Parts { machine, transport: (), recv: RecvBuf::new(), config });
                let conn = Conn { engine, peer, closed: None, woken: false, deadline: None };
                self.connections.insert(handle, Box::new(conn));
                // It may have received something, or even ended, while it waited.
                self.serve(handle, now);
            }
        }
    }

    /// Serves the connections to which something has happened below; returns whether there were any.
    fn serve_events(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(event) = self.stack.poll_event() {
            any = true;
            if let StackEvent::Connection(handle) = event {
                self.serve(handle, now);
            }
        }
        any
    }

    /// Serves the connections that were woken, or whose time has come.
    fn serve_due(&mut self, now: Instant) {
        for handle in self.wakes.take() {
            if let Some(conn) = self.connections.get_mut(&handle) {
                conn.woken = true;
                self.serve(handle, now);
            }
        }
        while let Some(&(due, handle)) = self.deadlines.first()
            && due <= now
        {
            // Taken off the list first: a deadline that does not move must not hold everybody up.
            self.deadlines.pop_first();
            if let Some(conn) = self.connections.get_mut(&handle) {
                conn.deadline = None;
            }
            self.serve(handle, now);
        }
    }

    /// Lets a connection do all that it can.
    fn serve(&mut self, handle: ConnectionHandle, now: Instant) {
        let Self { connections, stack, deadlines, drain_until, on_turn, .. } = self;
        let Some(conn) = connections.get_mut(&handle) else { return };
        let Conn { engine, peer, closed, woken, deadline } = &mut **conn;
        let Some(connection) = stack.connection_mut(handle) else { return };
        let mut wire = ConnectionWire { connection, now, closed, woken };
        while let Poll::Ready(turn) = engine.poll_turn(&mut wire) {
            let mut served = Served { engine, peer: *peer, now, shutting_down: drain_until.is_some() };
            on_turn(&mut served, turn);
            if engine.is_closed() {
                break;
            }
        }
        let next = engine.deadline().filter(|_| !engine.is_closed());
        if *deadline != next {
            deadline.take().map(|old| deadlines.remove(&(old, handle)));
            next.map(|next| deadlines.insert((next, handle)));
            *deadline = next;
        }
        if engine.is_closed() {
            connections.remove(&handle);
            stack.release(handle);
        }
    }

    /// Sends everything that is due; returns whether there was anything.
    fn transmit(&mut self, now: Instant) -> io::Result<bool> {
        let mut any = false;
        while self.stack.poll_transmit(now, &mut self.packet).is_some() {
            any = true;
            self.device.send(&self.packet)?;
            self.packet.clear();
        }
        Ok(any)
    }

    /// Refuses connections from here on, and wakes those that are there.
    fn begin_drain(&mut self, now: Instant) {
        self.drain_until = Some(now + self.config.drain);
        for listener in self.listeners.drain(..) {
            self.stack.close_listener(listener);
        }
        let handles: Vec<ConnectionHandle> = self.connections.keys().copied().collect();
        for handle in handles {
            if let Some(conn) = self.connections.get_mut(&handle) {
                conn.woken = true;
            }
            self.serve(handle, now);
        }
    }

    fn abort_all(&mut self, now: Instant) -> io::Result<usize> {
        for &handle in self.connections.keys() {
            if let Some(connection) = self.stack.connection_mut(handle) {
                connection.abort();
            }
        }
        self.transmit(now)?;
        Ok(self.connections.len())
    }
}
