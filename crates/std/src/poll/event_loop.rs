//! Connections of both directions, all on one thread.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, Waker};

use drywire_core::{Instant, RecvBuf, StreamMachine};
use drywire_driver::{Acceptance, Admission, Engine, Layer, Place, Plain, Schedule, Wakes};

use super::poller::{Poller, Readiness, Source, Stream};
use super::slab::{ConnectionHandle, Slab};
use super::sockets::Sockets;
use super::wire::{Known, StreamWire};
use crate::{Config, DriveError, Parts, ServerConfig, Turn};

/// How many connections are accepted before the others are looked at again.
const ACCEPTS: u32 = 64;

/// A machine on each of many sockets: those that this side opens, and those that it accepts.
///
/// ```text
///                    ┌────────────────────── next() ──────────────────────┐
///                    ▼                                                    │
///   serve who may have something to do ──▶ park until ready, due or woken ┘
///     │
///     ├──▶ LoopEvent::Connected   what connect() has begun is established
///     ├──▶ LoopEvent::Incoming    a connection that wants a machine
///     └──▶ LoopEvent::Turn        something on a connection
/// ```
///
/// It does nothing but in [`next`](Self::next). Commands go to the machines between two calls, to any of them: a proxy
/// gives what it hears on one to the other.
///
/// A connection that always has more to do gives way to the others after a few system calls.
///
/// ```
/// # use std::convert::Infallible;
/// # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
/// use drywire_std::Turn;
/// use drywire_std::poll::{Loop, LoopEvent};
/// #
/// # /// Raw bytes as a protocol.
/// # struct Raw { send: SendQueue, ended: bool, stop: bool }
/// # impl Raw { fn new(_now: Instant) -> Self { Self { send: SendQueue::new(65_536), ended: false, stop: false } } }
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
/// #         let close = (self.ended || self.stop) && self.send.is_empty();
/// #         Demand { read: true, close: close.then_some(Close::Both) }
/// #     }
/// # }
///
/// // Both ends on one thread.
/// let mut sockets = Loop::new()?;
/// let address = sockets.bind("127.0.0.1:0")?;
/// let machine = Raw::new(sockets.now());
/// let client = sockets.connect(address, machine)?;
/// sockets.machine_mut(client).expect("it has just begun").send.push("hello".into());
/// loop {
///     match sockets.next(None)? {
///         Some(LoopEvent::Incoming(incoming)) => {
///             sockets.accept(incoming.handle, Raw::new(incoming.now));
///         }
///         Some(LoopEvent::Turn(handle, turn)) => match turn? {
///             // The server's end: back with it.
///             Turn::Event(bytes) if handle != client => sockets.machine_mut(handle).unwrap().send.push(bytes),
///             Turn::Event(bytes) => {
///                 assert_eq!(&bytes[..], b"hello");
///                 sockets.machine_mut(client).unwrap().stop = true;
///             }
///             Turn::Closed if handle == client => break,
///             _ => {}
///         },
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loop<M: StreamMachine, L = Plain, P: Poller = Sockets> {
    poller: P,
    config: LoopConfig,
    listeners: Vec<Listening<P::Listener>>,
    /// Whose turn it is to be asked for a connection.
    next_listener: usize,
    acceptance: Acceptance,
    /// How many connections may still be accepted before the next look at the poller.
    accepts: u32,
    wakes: Wakes<ConnectionHandle>,
    connections: Slab<Box<Conn<M, L, P::Stream>>>,
    schedule: Schedule<ConnectionHandle>,
    /// What was told as incoming with the last event.
    offered: Option<Offered<P::Stream>>,
    now: Instant,
    scratch: Box<[u8]>,
}

/// The limits of a [`Loop`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopConfig {
    /// The limits of each connection's engine.
    pub driver: Config,
    /// How many connections are handled at a time before no more are accepted, and how long accepting pauses after a
    /// failure. Connections that this side opens count, but are not limited. The drain is a [`Server`](super::Server)'s.
    pub server: ServerConfig,
}

/// What has happened in a [`Loop`].
#[derive(Debug)]
#[non_exhaustive]
pub enum LoopEvent<M: StreamMachine> {
    /// The connection that [`Loop::connect`] has begun is established. If it cannot be, a failed turn says why.
    Connected(ConnectionHandle),
    /// A connection wants a machine: [`Loop::accept`]. It is reset if it has none by the next call.
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
    /// The address of the listener.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// Makes the connection's next turn come soon, from any thread: [`Turn::Woken`](crate::Turn::Woken).
    pub waker: Waker,
}

struct Listening<T> {
    listener: T,
    address: SocketAddr,
    /// It may have a connection.
    ready: bool,
}

struct Offered<S> {
    handle: ConnectionHandle,
    stream: S,
    peer: SocketAddr,
}

/// A connection and its machine.
struct Conn<M: StreamMachine, L, S> {
    engine: Engine<M>,
    layer: L,
    stream: S,
    peer: SocketAddr,
    known: Known,
    place: Place,
}

impl<M: StreamMachine> Loop<M> {
    /// A loop over the system's sockets, with the default limits.
    pub fn new() -> io::Result<Self> {
        Ok(Self::with_poller(Sockets::new()?, LoopConfig::default()))
    }
}

impl<M: StreamMachine, L> Loop<M, L> {
    /// Listens at `address`, too, and tells where that is: port 0 picks a free one.
    pub fn bind(&mut self, address: impl std::net::ToSocketAddrs) -> io::Result<SocketAddr> {
        self.listen(super::bind(address)?)
    }
}

impl<M: StreamMachine, P: Poller> Loop<M, Plain, P> {
    /// Begins to connect to `remote` and runs `machine` there. What the machine has queued leaves once the connection is
    /// established; how long that may take is the system's affair, or that of a caller who
    /// [releases](Self::release) the connection.
    pub fn connect(&mut self, remote: SocketAddr, machine: M) -> io::Result<ConnectionHandle> {
        self.connect_over(remote, Plain, machine)
    }

    /// Runs `machine` on the connection that the last event has offered. Returns whether there was such a one.
    pub fn accept(&mut self, handle: ConnectionHandle, machine: M) -> bool {
        self.accept_over(handle, Plain, machine)
    }
}

impl<M: StreamMachine, L, P: Poller> Loop<M, L, P> {
    /// A loop with a poller and limits of its own.
    pub fn with_poller(poller: P, config: LoopConfig) -> Self {
        Self {
            wakes: Wakes::new(poller.waker()),
            now: poller.now(),
            poller,
            acceptance: Acceptance::new(&config.server),
            scratch: vec![0; config.driver.read_size_max.max(config.driver.read_size).max(1)].into(),
            config,
            listeners: Vec::new(),
            next_listener: 0,
            accepts: ACCEPTS,
            connections: Slab::new(),
            schedule: Schedule::new(),
            offered: None,
        }
    }

    /// Accepts the connections of `listener`, too, and tells where it listens.
    pub fn listen(&mut self, mut listener: P::Listener) -> io::Result<SocketAddr> {
        let address = self.poller.local_addr(&listener)?;
        self.poller.watch_listener(&mut listener, self.listeners.len() as u32)?;
        self.listeners.push(Listening { listener, address, ready: false });
        Ok(address)
    }

    /// Stops listening. New connections are refused; those that were not yet accepted are reset.
    pub fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    /// [`connect`](Self::connect) with something between the machine and the socket.
    pub fn connect_over(&mut self, remote: SocketAddr, layer: L, machine: M) -> io::Result<ConnectionHandle> {
        let mut stream = self.poller.connect(remote)?;
        let handle = self.connections.reserve();
        if let Err(error) = self.poller.watch(&mut stream, handle.index) {
            self.connections.free(handle);
            return Err(error);
        }
        self.insert(Offered { handle, stream, peer: remote }, layer, machine, false);
        Ok(handle)
    }

    /// [`accept`](Self::accept) with something between the machine and the socket.
    pub fn accept_over(&mut self, handle: ConnectionHandle, layer: L, machine: M) -> bool {
        match self.offered.take_if(|offered| offered.handle == handle) {
            Some(offered) => {
                self.insert(offered, layer, machine, true);
                true
            }
            None => false,
        }
    }

    fn insert(&mut self, offered: Offered<P::Stream>, layer: L, machine: M, connected: bool) {
        let Offered { handle, stream, peer } = offered;
        let parts = Parts { machine, transport: stream, recv: RecvBuf::new(), config: self.config.driver.clone() };
        let (engine, stream) = Engine::from_parts(parts);
        let known = Known::new(connected);
        let conn = Conn { engine, layer, stream, peer, known, place: Place::default() };
        self.connections.fill(handle, Box::new(conn));
        // The machine may have something to say, and has a deadline.
        self.mark_due(handle);
    }

    /// Makes the connection's next turn come soon, from any thread: [`Turn::Woken`](crate::Turn::Woken).
    pub fn waker(&self, handle: ConnectionHandle) -> Waker {
        self.wakes.waker(handle)
    }

    fn mark_due(&mut self, handle: ConnectionHandle) {
        if let Some(conn) = self.connections.get_mut(handle) {
            self.schedule.mark(handle, &mut conn.place);
        }
    }

    fn wake(&mut self, handle: ConnectionHandle) {
        if let Some(conn) = self.connections.get_mut(handle) {
            conn.known.woken = true;
            self.schedule.mark(handle, &mut conn.place);
        }
    }

    /// Wakes every connection.
    pub fn wake_all(&mut self) {
        for handle in self.handles() {
            self.wake(handle);
        }
    }

    /// Gives a connection up, with its machine and all that is queued there. What the socket has taken still leaves, unless
    /// there is input that nobody has read: then the peer sees a reset.
    pub fn release(&mut self, handle: ConnectionHandle) {
        if let Some(mut conn) = self.connections.free(handle) {
            self.schedule.forget(handle, &mut conn.place);
        }
    }

    /// Resets every connection. Returns how many there were.
    pub fn abort(&mut self) -> usize {
        let handles = self.handles();
        for &handle in &handles {
            if let Some(conn) = self.connections.get_mut(handle) {
                conn.stream.abort();
            }
            self.release(handle);
        }
        handles.len()
    }

    fn handles(&self) -> Vec<ConnectionHandle> {
        self.connections.handles().collect()
    }

    /// A connection's protocol; `None` once the connection is over.
    pub fn machine(&self, handle: ConnectionHandle) -> Option<&M> {
        self.connections.get(handle).map(|conn| conn.engine.machine())
    }

    /// A connection's protocol, for commands. What they queue leaves with the next call of [`next`](Self::next).
    pub fn machine_mut(&mut self, handle: ConnectionHandle) -> Option<&mut M> {
        self.mark_due(handle);
        self.connections.get_mut(handle).map(|conn| conn.engine.machine_mut())
    }

    /// The peer's address and port.
    pub fn peer(&self, handle: ConnectionHandle) -> Option<SocketAddr> {
        self.connections.get(handle).map(|conn| conn.peer)
    }

    /// The engine of a connection that has just had a turn, and will have the next one.
    pub(super) fn engine_mut(&mut self, handle: ConnectionHandle) -> Option<(&mut Engine<M>, SocketAddr)> {
        self.connections.get_mut(handle).map(|conn| (&mut conn.engine, conn.peer))
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The time, for commands that take it: when the last turn began.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The poller.
    pub fn poller(&self) -> &P {
        &self.poller
    }
}

impl<M: StreamMachine, L: Layer, P: Poller> Loop<M, L, P> {
    /// Goes on until there is something to tell, waiting once at most.
    ///
    /// `None` means that it has waited, or that `until` is reached, and nothing came of it that the caller must know:
    /// call again. The poller's own waker has that effect, too.
    ///
    /// Fails if the poller does.
    pub fn next(&mut self, until: Option<Instant>) -> io::Result<Option<LoopEvent<M>>> {
        if let Some(mut offered) = self.offered.take() {
            offered.stream.abort();
            self.connections.free(offered.handle);
        }
        let event = self.next_at_once();
        if event.is_some() {
            return Ok(event);
        }
        self.wait(until)?;
        Ok(self.next_at_once())
    }

    /// Goes on without a look at the poller.
    fn next_at_once(&mut self) -> Option<LoopEvent<M>> {
        self.serve().or_else(|| self.take_incoming().map(LoopEvent::Incoming))
    }

    /// Serves the connections that may have something to do, up to the first that has something to tell.
    fn serve(&mut self) -> Option<LoopEvent<M>> {
        loop {
            let handle = self.schedule.first()?;
            let Some(conn) = self.connections.get_mut(handle) else {
                self.schedule.skip();
                continue;
            };
            if conn.engine.is_closed() {
                self.release(handle);
                continue;
            }
            if !conn.known.connected && conn.known.take_writable() {
                match conn.stream.is_connected() {
                    Ok(true) => {
                        conn.known.connect();
                        return Some(LoopEvent::Connected(handle));
                    }
                    Ok(false) => {}
                    Err(error) => return Some(LoopEvent::Turn(handle, Err(conn.engine.fail(error)))),
                }
            }
            self.now = self.poller.now();
            let Conn { engine, layer, stream, known, .. } = &mut **conn;
            let mut socket = StreamWire { stream, known, scratch: &mut self.scratch, now: self.now };
            if let Poll::Ready(turn) = engine.poll_turn(&mut layer.wire(&mut socket)) {
                return Some(LoopEvent::Turn(handle, turn));
            }
            if conn.known.end_visit() {
                self.schedule.defer();
            } else {
                self.schedule.rest(&mut conn.place, conn.engine.deadline());
            }
        }
    }

    /// The next connection that wants to be accepted, if there is room for it.
    fn take_incoming(&mut self) -> Option<Incoming> {
        while self.accepts > 0 && self.acceptance.next(self.now, self.connections.len()) == Admission::Accept {
            let count = self.listeners.len();
            let mut order = (0..count).map(|n| (self.next_listener + n) % count);
            let number = order.find(|number| self.listeners[*number].ready)?;
            self.next_listener = number + 1;
            self.accepts -= 1;

            let listening = &mut self.listeners[number];
            match self.poller.accept(&listening.listener) {
                Ok((mut stream, peer)) => {
                    let handle = self.connections.reserve();
                    if let Err(error) = self.poller.watch(&mut stream, handle.index) {
                        self.connections.free(handle);
                        self.acceptance.failed(self.now, &error);
                        continue;
                    }
                    self.acceptance.accepted();
                    self.offered = Some(Offered { handle, stream, peer });
                    let (local, waker) = (listening.address, self.wakes.waker(handle));
                    return Some(Incoming { handle, now: self.now, local, peer, waker });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => listening.ready = false,
                Err(error) => self.acceptance.failed(self.now, &error),
            }
        }
        None
    }

    /// Waits until there is something to do, and finds out for whom.
    fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let accept = if self.listeners.iter().any(|listening| listening.ready) {
            match self.acceptance.next(self.now, self.connections.len()) {
                Admission::Accept => Some(self.now),
                Admission::Pause(until) => Some(until),
                Admission::Full => None,
            }
        } else {
            None
        };
        let more = self.schedule.has_deferred().then_some(self.now);
        let until = [accept, more, self.schedule.next_deadline(), until].into_iter().flatten().min();

        let Self { poller, listeners, connections, schedule, .. } = self;
        poller.park(until, &mut |source, ready| match source {
            Source::Listener(number) => {
                if let Some(listening) = listeners.get_mut(number as usize) {
                    listening.ready = true;
                }
            }
            Source::Stream(number) => tell(connections, schedule, number, ready),
        })?;
        self.now = self.poller.now();
        self.accepts = ACCEPTS;
        for handle in self.wakes.take() {
            self.wake(handle);
        }
        while let Some(handle) = self.schedule.expire(self.now) {
            if let Some(conn) = self.connections.get_mut(handle) {
                self.schedule.reconsider(handle, &mut conn.place, conn.engine.deadline(), self.now);
            }
        }
        self.schedule.begin_round();
        Ok(())
    }
}

/// The connection in this place has become ready.
fn tell<M: StreamMachine, L, S>(
    connections: &mut Slab<Box<Conn<M, L, S>>>,
    schedule: &mut Schedule<ConnectionHandle>,
    number: u32,
    ready: Readiness,
) {
    let Some(handle) = connections.handle_at(number) else { return };
    if let Some(conn) = connections.get_mut(handle) {
        conn.known.tell(ready);
        schedule.mark(handle, &mut conn.place);
    }
}

impl<M: StreamMachine, L, P: Poller + fmt::Debug> fmt::Debug for Loop<M, L, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop")
            .field("poller", &self.poller)
            .field("config", &self.config)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}
