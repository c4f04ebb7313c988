//! Connections of both directions, all on one thread.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, Waker};
use std::time::Duration;

use drywire_core::{BytesMut, Instant, RecvBuf, StreamMachine};
use drywire_driver::{Engine, Place, Schedule, Wakes};
use drywire_tcp::{
    CloseReason, Config as TcpConfig, Connection, ConnectionHandle, ListenerConfig, ListenerHandle, OpenError, Stack,
    StackEvent, State, Transmit,
};

use crate::wire::ConnectionWire;
use crate::{Config, Device, DriveError, Parts, Turn};

/// How many packets are made at a time.
const BATCH: usize = 64;

/// A [`Stack`] on a [`Device`], with a machine on every connection: those that this side opens, and those that it
/// accepts.
///
/// ```text
///                    ┌────────────────────────── next() ──────────────────────────┐
///                    ▼                                                            │
///   serve what has news ──▶ transmit ──▶ park until a packet, ──▶ receive, ───────┘
///     │                                  due or woken             time-outs
///     ├──▶ HostEvent::Connected   what connect() has opened is established
///     ├──▶ HostEvent::Incoming    a connection that wants a machine
///     └──▶ HostEvent::Turn        something on a connection
/// ```
///
/// It does nothing but in [`next`](Self::next). Commands go to the machines between two calls, to any of them: a proxy gives
/// what it hears on one to the other.
///
/// ```no_run
/// # #[cfg(target_os = "linux")] {
/// # use std::convert::Infallible;
/// # use std::time::Duration;
/// # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
/// use drywire_tcp::{Config, Stack};
/// use drywire_tun::{Host, HostEvent, Tun, Turn};
/// #
/// # /// Raw bytes as a protocol.
/// # struct Raw { send: SendQueue, ended: bool }
/// # impl Raw { fn new(_now: Instant) -> Self { Self { send: SendQueue::new(65_536), ended: false } } }
/// # impl StreamMachine for Raw {
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
/// #         Demand { read: true, close: (self.ended && self.send.is_empty()).then_some(Close::Both) }
/// #     }
/// # }
/// # let secret = Seed::from(1);
///
/// let device = Tun::with_offload("dry0")?;
/// // The secret comes from the operating system.
/// let mut stack = Stack::new(device.stack_config(), &secret);
/// stack.add_address("10.77.0.2".parse()?);
/// let mut host = Host::new(device, stack);
/// let machine = Raw::new(host.now());
/// let connection = host.connect("10.77.0.1:7".parse()?, Config::default(), machine)?;
/// loop {
///     match host.next(None)? {
///         Some(HostEvent::Connected(_)) => {
///             host.machine_mut(connection).expect("it has just begun").send.push("hello".into());
///         }
///         Some(HostEvent::Turn(_, turn)) => match turn? {
///             Turn::Event(bytes) => println!("{bytes:?}"),
///             Turn::Closed => break,
///             _ => {}
///         },
///         _ => {}
///     }
/// }
/// host.close(Duration::from_secs(2))?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Host<D, M: StreamMachine> {
    device: D,
    stack: Stack,
    config: HostConfig,
    listeners: Vec<ListenerHandle>,
    wakes: Wakes<ConnectionHandle>,
    connections: BTreeMap<ConnectionHandle, Box<Conn<M>>>,
    schedule: Schedule<ConnectionHandle>,
    /// What was told as incoming with the last event.
    offered: Option<ConnectionHandle>,
    /// When the device was last looked at.
    now: Instant,
    /// The device may have more packets.
    more: bool,
    packets: BytesMut,
}

/// The limits of a [`Host`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostConfig {
    /// The limits of each connection's engine.
    pub driver: Config,
    /// How many connections are handled at a time before no more are accepted: 1024. Further ones wait in the listener's
    /// accept queue. Those that this side opens count, but are not limited.
    pub max_connections: usize,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { driver: Config::default(), max_connections: 1024 }
    }
}

/// What has happened on a [`Host`].
#[derive(Debug)]
#[non_exhaustive]
pub enum HostEvent<M: StreamMachine> {
    /// The connection that [`Host::connect`] has opened is established. If it cannot be, a failed turn says why.
    Connected(ConnectionHandle),
    /// A connection wants a machine: [`Host::accept`]. It is reset if it has none by the next call.
    Incoming(Incoming),
    /// What a connection's turn came to. With [`Turn::Closed`](crate::Turn::Closed) or an error it is over: the next call
    /// drops its machine.
    Turn(ConnectionHandle, Result<Turn<M::Event>, DriveError<M::Error>>),
}

/// A connection that wants a machine.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming {
    /// Its name.
    pub handle: ConnectionHandle,
    /// The time.
    pub now: Instant,
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// Makes the connection's next turn come soon, from any thread: [`Turn::Woken`](crate::Turn::Woken).
    pub waker: Waker,
}

/// A connection and its machine.
struct Conn<M: StreamMachine> {
    engine: Engine<M>,
    peer: SocketAddr,
    /// It is established, and the caller knows.
    connected: bool,
    closed: Option<CloseReason>,
    woken: bool,
    place: Place,
}

impl<D: Device, M: StreamMachine> Host<D, M> {
    /// A host with the default limits. Its addresses are those of `stack`.
    pub fn new(device: D, stack: Stack) -> Self {
        Self::with_config(device, stack, HostConfig::default())
    }

    /// A host with limits of its own.
    pub fn with_config(device: D, stack: Stack, config: HostConfig) -> Self {
        Self::with_listeners(device, stack, Vec::new(), config)
    }

    /// A host whose stack already listens.
    pub(crate) fn with_listeners(device: D, stack: Stack, listeners: Vec<ListenerHandle>, config: HostConfig) -> Self {
        Self {
            wakes: Wakes::new(device.waker()),
            now: device.now(),
            device,
            stack,
            config,
            listeners,
            connections: BTreeMap::new(),
            schedule: Schedule::new(),
            offered: None,
            more: true,
            packets: BytesMut::new(),
        }
    }

    /// Listens at `address`, too. An unspecified one stands for all of the host's of its family.
    pub fn listen(&mut self, address: SocketAddr, config: ListenerConfig) -> Result<(), OpenError> {
        self.listeners.push(self.stack.listen(address, config)?);
        Ok(())
    }

    /// Stops listening. Connections that were not yet accepted are reset.
    pub fn close_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            self.stack.close_listener(listener);
        }
    }

    /// Opens a connection to `remote` and runs `machine` on it. What the machine has queued leaves once it is established.
    pub fn connect(
        &mut self,
        remote: SocketAddr,
        config: TcpConfig,
        machine: M,
    ) -> Result<ConnectionHandle, OpenError> {
        self.now = self.device.now();
        let handle = self.stack.connect(self.now, remote, config)?;
        self.insert(handle, remote, machine, false);
        Ok(handle)
    }

    /// Runs `machine` on the connection that the last event has offered. Returns whether there was such a one.
    pub fn accept(&mut self, handle: ConnectionHandle, machine: M) -> bool {
        let peer = self.stack.connection(handle).and_then(Connection::remote);
        match peer {
            Some(peer) if self.offered == Some(handle) => {
                self.offered = None;
                self.insert(handle, peer, machine, true);
                true
            }
            _ => false,
        }
    }

    fn insert(&mut self, handle: ConnectionHandle, peer: SocketAddr, machine: M, connected: bool) {
        let config = self.config.driver.clone();
        let (engine, ()) = Engine::from_parts(Parts { machine, transport: (), recv: RecvBuf::new(), config });
        let conn = Conn { engine, peer, connected, closed: None, woken: false, place: Place::default() };
        self.connections.insert(handle, Box::new(conn));
        // It may have received something, or even ended, while it waited.
        self.mark_due(handle);
    }

    /// Goes on until there is something to tell, waiting once at most.
    ///
    /// `None` means that it has waited, or that `until` is reached, and nothing came of it that the caller must know: call
    /// again. The device's own waker has that effect, too.
    ///
    /// Fails if the device does.
    pub fn next(&mut self, until: Option<Instant>) -> io::Result<Option<HostEvent<M>>> {
        if let Some(handle) = self.offered.take() {
            if let Some(connection) = self.stack.connection_mut(handle) {
                connection.abort();
            }
            self.stack.release(handle);
        }
        let event = self.next_at_once()?;
        if event.is_some() {
            return Ok(event);
        }
        self.exchange(until)?;
        self.next_at_once()
    }

    /// Goes on without a look at the device.
    fn next_at_once(&mut self) -> io::Result<Option<HostEvent<M>>> {
        loop {
            if let Some(event) = self.serve() {
                return Ok(Some(event));
            }
            if let Some(incoming) = self.take_incoming() {
                return Ok(Some(HostEvent::Incoming(incoming)));
            }
            // Both, always: what leaves makes room, and that is news.
            if !(self.transmit()? | self.take_news()) {
                return Ok(None);
            }
        }
    }

    /// Takes what the device has, after waiting for it if need be, and finds out who is concerned.
    fn exchange(&mut self, until: Option<Instant>) -> io::Result<()> {
        if !self.more {
            let deadlines = [self.stack.poll_timeout(), self.schedule.next_deadline(), until];
            self.device.park(deadlines.into_iter().flatten().min())?;
        }
        let now = self.device.now();
        self.now = now;
        let Self { device, stack, .. } = self;
        self.more = device.receive(&mut |received| {
            if received.verified {
                stack.handle_verified_packet(now, received.packet);
            } else {
                stack.handle_packet(now, received.packet);
            }
        })?;
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
        }
        for handle in self.wakes.take() {
            self.wake(handle);
        }
        while let Some(handle) = self.schedule.expire(now) {
            if let Some(conn) = self.connections.get_mut(&handle) {
                self.schedule.reconsider(handle, &mut conn.place, conn.engine.deadline(), now);
            }
        }
        self.take_news();
        Ok(())
    }

    /// Serves the connections that may have something to do, up to the first that has something to tell.
    fn serve(&mut self) -> Option<HostEvent<M>> {
        loop {
            let handle = self.schedule.first()?;
            let Some(conn) = self.connections.get_mut(&handle) else {
                self.schedule.skip();
                continue;
            };
            if conn.engine.is_closed() {
                self.release(handle);
                continue;
            }
            let Some(connection) = self.stack.connection_mut(handle) else {
                self.schedule.skip();
                continue;
            };
            if !conn.connected && !matches!(connection.state(), State::SynSent | State::SynReceived | State::Closed) {
                conn.connected = true;
                return Some(HostEvent::Connected(handle));
            }
            let Conn { engine, closed, woken, .. } = &mut **conn;
            let mut wire = ConnectionWire { connection, now: self.now, closed, woken };
            if let Poll::Ready(turn) = engine.poll_turn(&mut wire) {
                return Some(HostEvent::Turn(handle, turn));
            }
            self.schedule.rest(&mut conn.place, conn.engine.deadline());
        }
    }

    /// The connection that has waited longest to be accepted, if there is room for it.
    fn take_incoming(&mut self) -> Option<Incoming> {
        if self.connections.len() >= self.config.max_connections {
            return None;
        }
        for &listener in &self.listeners {
            while let Some(handle) = self.stack.accept(listener) {
                let Some(connection) = self.stack.connection(handle) else { continue };
                let Some(peer) = connection.remote() else { continue };
                self.offered = Some(handle);
                let (local, waker) = (connection.local(), self.wakes.waker(handle));
                return Some(Incoming { handle, now: self.now, local, peer, waker });
            }
        }
        None
    }

    /// Finds the connections to which something has happened below; returns whether there is anything new.
    fn take_news(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.stack.poll_event() {
            any = true;
            if let StackEvent::Connection(handle) = event {
                self.mark_due(handle);
            }
        }
        any
    }

    /// Sends everything that is due; returns whether there was anything.
    fn transmit(&mut self) -> io::Result<bool> {
        let mut any = false;
        while let Some(batch) = self.stack.poll_transmit_batch(self.now, BATCH, &mut self.packets) {
            any = true;
            for packet in batch.split(&self.packets) {
                self.device.send(packet, &Transmit { len: packet.len(), ..batch.first })?;
            }
            self.packets.clear();
        }
        Ok(any)
    }

    fn mark_due(&mut self, handle: ConnectionHandle) {
        if let Some(conn) = self.connections.get_mut(&handle) {
            self.schedule.mark(handle, &mut conn.place);
        }
    }

    fn wake(&mut self, handle: ConnectionHandle) {
        if let Some(conn) = self.connections.get_mut(&handle) {
            conn.woken = true;
            self.mark_due(handle);
        }
    }

    /// Wakes every connection.
    pub(crate) fn wake_all(&mut self) {
        for handle in self.handles() {
            self.wake(handle);
        }
    }

    /// Gives a connection up, with its machine: it ends by itself, in order, while [`next`](Self::next) is called. What the
    /// machine still has queued is lost, what the connection has taken of it is not.
    pub fn release(&mut self, handle: ConnectionHandle) {
        if let Some(mut conn) = self.connections.remove(&handle) {
            self.schedule.forget(handle, &mut conn.place);
        }
        self.stack.release(handle);
    }

    /// Gives every connection up, and goes on until all are over, those that were released before included, for `limit` at
    /// most. Returns whether they are.
    ///
    /// For the end of a program: with the device, what the peers have not taken yet would be lost.
    pub fn close(&mut self, limit: Duration) -> io::Result<bool> {
        self.close_listeners();
        for handle in self.handles() {
            self.release(handle);
        }
        let until = self.device.now() + limit;
        loop {
            self.transmit()?;
            if self.is_idle() || until <= self.now {
                return Ok(self.is_idle());
            }
            self.exchange(Some(until))?;
        }
    }

    /// Resets every connection that has a machine. Returns how many there were.
    pub fn abort(&mut self) -> io::Result<usize> {
        let handles = self.handles();
        for &handle in &handles {
            if let Some(connection) = self.stack.connection_mut(handle) {
                connection.abort();
            }
            self.release(handle);
        }
        self.transmit()?;
        Ok(handles.len())
    }

    fn handles(&self) -> Vec<ConnectionHandle> {
        self.connections.keys().copied().collect()
    }

    /// A connection's protocol; `None` once the connection is over.
    pub fn machine(&self, handle: ConnectionHandle) -> Option<&M> {
        self.connections.get(&handle).map(|conn| conn.engine.machine())
    }

    /// A connection's protocol, for commands. What they queue leaves with the next call of [`next`](Self::next).
    pub fn machine_mut(&mut self, handle: ConnectionHandle) -> Option<&mut M> {
        self.mark_due(handle);
        self.connections.get_mut(&handle).map(|conn| conn.engine.machine_mut())
    }

    /// The peer's address and port.
    pub fn peer(&self, handle: ConnectionHandle) -> Option<SocketAddr> {
        self.connections.get(&handle).map(|conn| conn.peer)
    }

    /// The engine of a connection that has just had a turn, and will have the next one.
    pub(crate) fn engine_mut(&mut self, handle: ConnectionHandle) -> Option<(&mut Engine<M>, SocketAddr)> {
        self.connections.get_mut(&handle).map(|conn| (&mut conn.engine, conn.peer))
    }

    /// Makes the connection's next turn come soon, from any thread: [`Turn::Woken`](crate::Turn::Woken).
    pub fn waker(&self, handle: ConnectionHandle) -> Waker {
        self.wakes.waker(handle)
    }

    /// How many connections have a machine.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether every connection is over, those that were released included, TIME-WAIT not.
    pub fn is_idle(&self) -> bool {
        self.stack.connections() == 0
    }

    /// The time, for commands that take it: when the device was last looked at.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The stack, to look at.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }
}

impl<D: fmt::Debug, M: StreamMachine> fmt::Debug for Host<D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("device", &self.device)
            .field("config", &self.config)
            .field("connections", &self.connections.keys())
            .finish_non_exhaustive()
    }
}
