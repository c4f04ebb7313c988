//! A thread for each accepted connection.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::thread;

use drywire_core::Instant;
use drywire_driver::{Acceptance, Admission};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};

use crate::tcp::Socket;
use crate::{Clock, ServerConfig, ShutdownHandle, TcpTransport};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);

/// Accepts connections and runs a handler on a thread of its own for each.
///
/// ```text
///              ShutdownHandle::shutdown           all handlers have returned
///   accepting ─────────────────────────▶ draining ──────────────────────────▶ run() returns
///                                           │  ServerConfig::drain is up           ▲
///                                           └──────────▶ abort what is left ───────┘
/// ```
///
/// A failed accept is survived: with a pause where resources ran out. A panic of a handler ends its connection only.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    poll: Poll,
    config: ServerConfig,
    shutdown: ShutdownHandle,
    clock: Clock,
}

/// How a [`Server`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stopped {
    /// How many connections were aborted because their handlers had not returned in time.
    pub aborted: usize,
}

impl Server {
    /// Listens on the first of the addresses that is free. Port 0 picks one.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(StdListener::bind(address)?)
    }

    /// Takes over a listening socket.
    pub fn new(listener: StdListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut listener = TcpListener::from_std(listener);
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (config, shutdown, clock) = (ServerConfig::default(), ShutdownHandle::new(), Clock::new());
        Ok(Self { listener, address, poll, config, shutdown, clock })
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_config(mut self, config: ServerConfig) -> Self {
        self.config = config;
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

    /// A handle that stops it.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.shutdown.clone()
    }

    /// Accepts until the shutdown, and returns once the handlers have, or once [`ServerConfig::drain`] is up.
    ///
    /// Each handler gets its connection, on which it runs a [`Driver`](crate::Driver), and the peer's address. It
    /// learns of the shutdown by [`Turn::Woken`](crate::Turn::Woken) and
    /// [`Driver::is_shutting_down`](crate::Driver::is_shutting_down). The driver of a connection that is aborted
    /// fails with [`ErrorKind::ConnectionAborted`]; a handler that computes on without it is left behind.
    pub fn run<H>(self, handler: H) -> io::Result<Stopped>
    where
        H: Fn(TcpTransport, SocketAddr) + Send + Sync + 'static,
    {
        let Self { listener, poll, config, shutdown, clock, .. } = self;
        let handler = Arc::new(handler);
        let waker = Arc::new(AcceptorWaker(mio::Waker::new(poll.registry(), WAKER)?));
        let connections = Arc::new(Connections { live: Mutex::default(), acceptor: Waker::from(waker) });
        let _registration = shutdown.register(&connections.acceptor);
        let mut acceptor = Acceptor { poll, events: Events::with_capacity(4), clock };

        let mut acceptance = Acceptance::new(&config);
        let mut id = 0;
        while !shutdown.is_shutting_down() {
            let live = connections.lock().len();
            match acceptance.next(clock.now(), live) {
                Admission::Full => acceptor.park(None)?,
                Admission::Pause(until) => acceptor.park(Some(until))?,
                Admission::Accept => {
                    let (stream, peer) = match listener.accept() {
                        Ok(accepted) => accepted,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            acceptor.park(None)?;
                            continue;
                        }
                        Err(error) => {
                            acceptance.failed(clock.now(), &error);
                            continue;
                        }
                    };
                    id += 1;
                    // A thread that cannot be started fails with `WouldBlock` too, and is worth a pause.
                    let started = TcpTransport::with_clock(stream, clock).and_then(|mut transport| {
                        transport.watch(shutdown.register(&crate::Transport::waker(&transport)));
                        start(id, transport, peer, &connections, &handler)
                    });
                    match started {
                        Ok(()) => acceptance.accepted(),
                        Err(error) => acceptance.failed(clock.now(), &error),
                    }
                }
            }
        }
        // New connections are refused from here on, instead of waiting for nobody.
        drop(listener);

        let deadline = clock.now() + config.drain;
        while !connections.lock().is_empty() && clock.now() < deadline {
            acceptor.park(Some(deadline))?;
        }
        let left: Vec<Weak<Socket>> = connections.lock().values().cloned().collect();
        left.iter().filter_map(Weak::upgrade).for_each(|socket| socket.abort());
        Ok(Stopped { aborted: left.len() })
    }
}

/// Starts the thread of one connection.
fn start<H>(
    id: u64,
    transport: TcpTransport,
    peer: SocketAddr,
    connections: &Arc<Connections>,
    handler: &Arc<H>,
) -> io::Result<()>
where
    H: Fn(TcpTransport, SocketAddr) + Send + Sync + 'static,
{
    let live = Live::new(id, &transport, Arc::clone(connections));
    let handler = Arc::clone(handler);
    thread::Builder::new()
        .name(format!("drywire {peer}"))
        .spawn(move || {
            // Dropped last, also by a panic: the connection is gone before it is counted as gone.
            let _live = live;
            handler(transport, peer);
        })
        .map(drop)
}

struct Acceptor {
    poll: Poll,
    events: Events,
    clock: Clock,
}

impl Acceptor {
    fn park(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|deadline| deadline - self.clock.now());
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

struct AcceptorWaker(mio::Waker);

impl Wake for AcceptorWaker {
    fn wake(self: Arc<Self>) {
        let _ = self.0.wake();
    }
}

/// The connections whose handlers have not returned.
struct Connections {
    live: Mutex<BTreeMap<u64, Weak<Socket>>>,
    acceptor: Waker,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Socket>>> {
        // A panic elsewhere leaves the map whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection for as long as its handler runs.
struct Live {
    id: u64,
    connections: Arc<Connections>,
}

impl Live {
    fn new(id: u64, transport: &TcpTransport, connections: Arc<Connections>) -> Self {
        connections.lock().insert(id, Arc::downgrade(transport.socket()));
        Self { id, connections }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
        self.connections.acceptor.wake_by_ref();
    }
}
