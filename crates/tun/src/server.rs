//! Serving until somebody says stop.

use std::io;
use std::net::SocketAddr;

use drywire_core::StreamMachine;
use drywire_tcp::{ListenerConfig, ListenerHandle, OpenError, Stack, Statistics};

use crate::{Config, Device, Host, HostConfig, HostEvent, Incoming, Served, ServerConfig, ShutdownHandle, TurnResult};

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
    pub fn run<M, A, H>(self, mut accept: A, mut on_turn: H) -> io::Result<Stopped>
    where
        M: StreamMachine,
        A: FnMut(Incoming) -> M,
        H: FnMut(&mut Served<'_, M>, TurnResult<M>),
    {
        let Self { device, stack, listeners, config, driver, shutdown } = self;
        let _registration = shutdown.register(&device.waker());
        let limits = HostConfig { driver, max_connections: config.max_connections };
        let mut host = Host::with_listeners(device, stack, listeners, limits);
        let mut drain_until = None;
        loop {
            match host.next(drain_until)? {
                Some(HostEvent::Incoming(incoming)) => {
                    let handle = incoming.handle;
                    host.accept(handle, accept(incoming));
                }
                Some(HostEvent::Turn(handle, turn)) => {
                    let now = host.now();
                    if let Some((engine, peer)) = host.engine_mut(handle) {
                        on_turn(&mut Served::new(engine, peer, now, drain_until.is_some()), turn);
                    }
                }
                _ => {}
            }
            if drain_until.is_none() && shutdown.is_shutting_down() {
                drain_until = Some(host.now() + config.drain);
                host.close_listeners();
                host.wake_all();
            }
            if drain_until.is_some_and(|until| host.is_idle() || until <= host.now()) {
                let aborted = host.abort()?;
                return Ok(Stopped { aborted, statistics: *host.stack().statistics() });
            }
        }
    }
}
