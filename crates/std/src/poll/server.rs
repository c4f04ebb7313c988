//! Serving until somebody says stop.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};

use drywire_core::StreamMachine;
use drywire_driver::{Layer, Plain, Served};
use mio::net::TcpListener;

use super::event_loop::{Incoming, Loop, LoopConfig, LoopEvent};
use super::poller::Poller;
use super::sockets::Sockets;
use crate::{Config, ServerConfig, ShutdownHandle, Stopped, TurnResult};

/// Accepts connections and runs a machine on each, all on the thread that calls [`run`](Self::run).
///
/// ```text
///              ShutdownHandle::shutdown            all connections have ended
///   accepting ─────────────────────────▶ draining ───────────────────────────▶ run() returns
///                                           │  ServerConfig::drain is up           ▲
///                                           └──────────▶ abort what is left ───────┘
/// ```
///
/// A failed accept is survived: with a pause where resources ran out. Several threads run a server each, on listeners
/// that share a port (`SO_REUSEPORT`) or are clones of one.
pub struct Server<P: Poller = Sockets> {
    poller: P,
    listener: P::Listener,
    address: SocketAddr,
    config: LoopConfig,
    shutdown: ShutdownHandle,
}

impl Server {
    /// Listens on the first of the addresses that is free. Port 0 picks one.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::with_poller(Sockets::new()?, super::bind(address)?)
    }

    /// Takes over a listening socket.
    pub fn new(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::with_poller(Sockets::new()?, TcpListener::from_std(listener))
    }
}

impl<P: Poller> Server<P> {
    /// A server with a poller of its own.
    pub fn with_poller(poller: P, listener: P::Listener) -> io::Result<Self> {
        let address = poller.local_addr(&listener)?;
        Ok(Self { poller, listener, address, config: LoopConfig::default(), shutdown: ShutdownHandle::new() })
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.config.server = config;
        self
    }

    /// Sets the limits of each connection's engine.
    #[must_use]
    pub fn with_driver(mut self, config: Config) -> Self {
        self.config.driver = config;
        self
    }

    /// Lets a handle that exists already stop this server.
    #[must_use]
    pub fn with_shutdown(mut self, shutdown: ShutdownHandle) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The poller, whose time the machines see.
    pub fn poller(&self) -> &P {
        &self.poller
    }

    /// A handle that stops it.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Accepts until the shutdown, and returns once all connections have ended, or once [`ServerConfig::drain`] is up:
    /// then their peers see a reset.
    ///
    /// `accept` makes the machine of each connection. `on_turn` is told everything that happens on one, and gives
    /// commands; it must not block, as nobody else is served meanwhile. Once it was told
    /// [`Turn::Closed`](crate::Turn::Closed) or an error, the connection is over.
    ///
    /// Fails if the poller does.
    pub fn run<M, A, H>(self, mut accept: A, on_turn: H) -> io::Result<Stopped>
    where
        M: StreamMachine,
        A: FnMut(Incoming) -> M,
        H: FnMut(&mut Served<'_, M>, TurnResult<M>),
    {
        self.run_over(|incoming| (Plain, accept(incoming)), on_turn)
    }

    /// [`run`](Self::run) with something between each machine and its socket.
    pub fn run_over<L, M, A, H>(self, mut accept: A, mut on_turn: H) -> io::Result<Stopped>
    where
        L: Layer,
        M: StreamMachine,
        A: FnMut(Incoming) -> (L, M),
        H: FnMut(&mut Served<'_, M>, TurnResult<M>),
    {
        let Self { poller, listener, config, shutdown, .. } = self;
        let _registration = shutdown.register(&poller.waker());
        let drain = config.server.drain;
        let mut connections = Loop::with_poller(poller, config);
        connections.listen(listener)?;
        let mut drain_until = None;
        loop {
            match connections.next(drain_until)? {
                Some(LoopEvent::Incoming(incoming)) => {
                    let handle = incoming.handle;
                    let (layer, machine) = accept(incoming);
                    connections.accept_over(handle, layer, machine);
                }
                Some(LoopEvent::Turn(handle, turn)) => {
                    let now = connections.now();
                    if let Some((engine, peer)) = connections.engine_mut(handle) {
                        on_turn(&mut Served::new(engine, peer, now, drain_until.is_some()), turn);
                        // At once: it may be the last, for which nobody should wait.
                        if engine.is_closed() {
                            connections.release(handle);
                        }
                    }
                }
                _ => {}
            }
            if drain_until.is_none() && shutdown.is_shutting_down() {
                drain_until = Some(connections.now() + drain);
                connections.close_listeners();
                connections.wake_all();
            }
            if drain_until.is_some_and(|until| connections.connections() == 0 || until <= connections.now()) {
                return Ok(Stopped { aborted: connections.abort() });
            }
        }
    }
}

impl<P: Poller + fmt::Debug> fmt::Debug for Server<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("poller", &self.poller)
            .field("address", &self.address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
