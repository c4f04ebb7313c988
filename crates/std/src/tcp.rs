//! TCP sockets as a transport.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use drywire_core::{Instant, StreamMachine};
use drywire_driver::Registration;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use socket2::SockRef;

use crate::{Clock, Driver, Interest, Transport};

const STREAM: Token = Token(0);
const WAKER: Token = Token(1);

/// Connects to the first of the addresses that answers, and drives the machine that `machine` makes.
///
/// ```no_run
/// # use drywire_core::{Instant, StreamMachine};
/// # fn f<M: StreamMachine>(new: fn(Instant) -> M) -> std::io::Result<()> {
/// let mut driver = drywire_std::connect("example.org:80", new)?;
/// # Ok(()) }
/// ```
pub fn connect<M: StreamMachine>(
    address: impl ToSocketAddrs,
    machine: impl FnOnce(Instant) -> M,
) -> io::Result<Driver<M, TcpTransport>> {
    let transport = TcpTransport::connect(address, None)?;
    Ok(Driver::new(machine(transport.now()), transport))
}

/// A non-blocking TCP socket that one thread waits for and any thread can wake.
///
/// It takes three file descriptors: the socket, the poller and the poller's waker. Segments leave without Nagle's
/// delay, because machines already gather what belongs together.
#[derive(Debug)]
pub struct TcpTransport {
    socket: Arc<Socket>,
    poll: Poll,
    events: Events,
    clock: Clock,
    /// The server's notice of a shutdown, for connections that a server accepted.
    shutdown: Option<Registration>,
}

/// What other threads may reach: the socket and the wake.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    waker: mio::Waker,
    woken: AtomicBool,
    aborted: AtomicBool,
}

impl TcpTransport {
    /// Connects to the first of the addresses that answers, giving each `timeout`.
    pub fn connect(address: impl ToSocketAddrs, timeout: Option<Duration>) -> io::Result<Self> {
        let Some(timeout) = timeout else {
            return Self::new(std::net::TcpStream::connect(address)?);
        };
        let mut failure = io::Error::new(ErrorKind::InvalidInput, "the name has no address");
        for address in address.to_socket_addrs()? {
            match std::net::TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Self::new(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Takes over a connected socket, with a clock of its own.
    pub fn new(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Self::with_clock(TcpStream::from_std(stream), Clock::new())
    }

    pub(crate) fn with_clock(mut stream: TcpStream, clock: Clock) -> io::Result<Self> {
        // Not every socket that can be connected has the option.
        let _ = stream.set_nodelay(true);
        let poll = Poll::new()?;
        poll.registry().register(&mut stream, STREAM, mio::Interest::READABLE | mio::Interest::WRITABLE)?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let socket = Socket { stream, waker, woken: AtomicBool::new(false), aborted: AtomicBool::new(false) };
        Ok(Self { socket: Arc::new(socket), poll, events: Events::with_capacity(4), clock, shutdown: None })
    }

    /// Wakes the driver when the server is asked to stop.
    pub(crate) fn watch(&mut self, shutdown: Registration) {
        self.shutdown = Some(shutdown);
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// The time, from which a machine for this connection starts.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.stream.local_addr()
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.stream.peer_addr()
    }
}

impl Socket {
    /// Ends the connection from another thread: the driver's next turn fails with
    /// [`ConnectionAborted`](ErrorKind::ConnectionAborted), and the peer sees a reset.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        self.reset_on_drop();
        let _ = self.waker.wake();
    }

    fn reset_on_drop(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn check(&self) -> io::Result<&TcpStream> {
        if self.aborted.load(Ordering::Acquire) { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(&self.stream) }
    }
}

impl Wake for Socket {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let _ = self.waker.wake();
        }
    }
}

impl Transport for TcpTransport {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.socket.check()?.read(room)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut socket = self.socket.check()?;
        // The kernel takes one piece faster where it is not in a list.
        match pieces {
            [piece] => socket.write(piece),
            _ => socket.write_vectored(pieces),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.check()?.shutdown(Shutdown::Write)
    }

    fn abort(&mut self) {
        self.socket.reset_on_drop();
    }

    fn park(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            self.socket.check()?;
            if self.socket.woken.load(Ordering::Acquire) {
                return Ok(());
            }
            let timeout = deadline.map(|deadline| deadline - self.clock.now());
            self.poll.poll(&mut self.events, timeout)?;
            if self.events.is_empty() {
                return Ok(());
            }
            // The socket is registered for both ways on edges. What nobody waits for now is not lost: every turn
            // tries before it parks.
            let wanted = self.events.iter().any(|event| {
                let reads = interest.read && (event.is_readable() || event.is_read_closed());
                let writes = interest.write && (event.is_writable() || event.is_write_closed());
                event.token() == STREAM && (reads || writes || event.is_error())
            });
            if wanted {
                return Ok(());
            }
        }
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.socket))
    }

    fn take_woken(&mut self) -> bool {
        self.socket.woken.load(Ordering::Relaxed) && self.socket.woken.swap(false, Ordering::AcqRel)
    }

    fn is_shutting_down(&self) -> bool {
        self.shutdown.as_ref().is_some_and(Registration::is_shutting_down)
    }
}
