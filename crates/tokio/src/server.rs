//! A task for each accepted connection.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use drywire_core::Instant;
use drywire_driver::{Acceptance, Admission};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::JoinSet;

use crate::{Clock, ServerConfig, ShutdownHandle, TcpTransport};

/// Accepts connections and runs a handler in a task of its own for each.
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
    ///
    /// Cancel-safe: dropping the future leaves nothing behind.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::new(TcpListener::bind(address).await?)
    }

    /// Takes over a listening socket.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (config, shutdown, clock) = (ServerConfig::default(), ShutdownHandle::new(), Clock::new());
        Ok(Self { listener, address, config, shutdown, clock })
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
    /// Each handler gets its connection, on which it runs a [`Driver`](crate::Driver), the peer's address, and a
    /// handle that tells it of the shutdown. Tasks that are left when the time is up are cancelled where they wait,
    /// and their peers see a reset.
    ///
    /// Cancel-safe in this sense: dropping the future closes the listener and aborts all connections, as a shutdown
    /// without any time to drain does.
    pub async fn run<H, F>(self, handler: H) -> io::Result<Stopped>
    where
        H: Fn(TcpTransport, SocketAddr, ShutdownHandle) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { listener, config, mut shutdown, clock, .. } = self;
        let mut connections = Connections::default();
        let mut acceptance = Acceptance::new(&config);
        loop {
            let until = match acceptance.next(clock.now(), connections.tasks.len()) {
                Admission::Accept => None,
                Admission::Full => Some(Instant::MAX),
                Admission::Pause(until) => Some(until),
            };
            let mut pause = until.map(|until| Box::pin(sleep_until(clock, until)));
            let accepted = poll_fn(|cx| {
                if shutdown.poll_requested(cx).is_ready() {
                    return Poll::Ready(Happened::Shutdown);
                }
                // A panicked handler ends like any other.
                if let Poll::Ready(Some(_)) = connections.tasks.poll_join_next(cx) {
                    return Poll::Ready(Happened::Freed);
                }
                match &mut pause {
                    Some(pause) => pause.as_mut().poll(cx).map(|()| Happened::Freed),
                    None => listener.poll_accept(cx).map(Happened::Accepted),
                }
            })
            .await;
            match accepted {
                Happened::Shutdown => break,
                Happened::Freed => {}
                Happened::Accepted(Ok((stream, peer))) => {
                    acceptance.accepted();
                    let mut transport = TcpTransport::with_clock(stream, clock);
                    transport.watch(Arc::clone(&connections.aborted));
                    connections.tasks.spawn(handler(transport, peer, shutdown.clone()));
                }
                Happened::Accepted(Err(error)) => acceptance.failed(clock.now(), &error),
            }
        }
        // New connections are refused from here on, instead of waiting for nobody.
        drop(listener);

        let all_returned = async { while connections.tasks.join_next().await.is_some() {} };
        // Either way what is left is aborted, and nothing may be.
        let _ = tokio::time::timeout(config.drain, all_returned).await;
        let aborted = connections.tasks.len();
        connections.aborted.store(true, Ordering::Release);
        connections.tasks.shutdown().await;
        Ok(Stopped { aborted })
    }
}

enum Happened {
    Shutdown,
    Freed,
    Accepted(io::Result<(TcpStream, SocketAddr)>),
}

async fn sleep_until(clock: Clock, instant: Instant) {
    match clock.to_tokio(instant) {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The connections whose handlers have not returned.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// Whether a task that is cancelled resets its connection.
    aborted: Arc<AtomicBool>,
}

impl Drop for Connections {
    fn drop(&mut self) {
        // Before the tasks go, because their transports look.
        self.aborted.store(true, Ordering::Release);
    }
}
