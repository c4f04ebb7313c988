//! TCP sockets as a transport.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use drywire_core::{Instant, StreamMachine};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::{Clock, Driver, Transport};

/// Connects to the first of the addresses that answers, and drives the machine that `machine` makes.
///
/// Cancel-safe: dropping the future gives the attempt up, and nothing is left behind.
///
/// ```no_run
/// # use drywire_core::{Instant, StreamMachine};
/// # async fn f<M: StreamMachine>(new: fn(Instant) -> M) -> std::io::Result<()> {
/// let mut driver = drywire_tokio::connect("example.org:80", new).await?;
/// # Ok(()) }
/// ```
pub async fn connect<M: StreamMachine>(
    address: impl ToSocketAddrs,
    machine: impl FnOnce(Instant) -> M,
) -> io::Result<Driver<M, TcpTransport>> {
    let transport = TcpTransport::connect(address, None).await?;
    Ok(Driver::new(machine(transport.now()), transport))
}

/// A TCP socket with a clock.
///
/// Segments leave without Nagle's delay, because machines already gather what belongs together.
#[derive(Debug)]
pub struct TcpTransport {
    stream: TcpStream,
    clock: Clock,
    /// Set by the server that accepted this connection when it aborts what is left.
    aborted: Option<Arc<AtomicBool>>,
}

impl TcpTransport {
    /// Connects to the first of the addresses that answers, giving each `timeout`.
    ///
    /// Cancel-safe: dropping the future gives the attempt up, and nothing is left behind.
    pub async fn connect(address: impl ToSocketAddrs, timeout: Option<Duration>) -> io::Result<Self> {
        let Some(timeout) = timeout else {
            return Ok(Self::new(TcpStream::connect(address).await?));
        };
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for address in tokio::net::lookup_host(address).await? {
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Self::new(stream)),
                Ok(Err(error)) => failure = error,
                Err(elapsed) => failure = elapsed.into(),
            }
        }
        Err(failure)
    }

    /// Takes over a connected socket, with a clock of its own.
    pub fn new(stream: TcpStream) -> Self {
        Self::with_clock(stream, Clock::new())
    }

    pub(crate) fn with_clock(stream: TcpStream, clock: Clock) -> Self {
        // Not every socket that can be connected has the option.
        let _ = stream.set_nodelay(true);
        Self { stream, clock, aborted: None }
    }

    /// Resets the connection when it is dropped after `aborted` was set.
    pub(crate) fn watch(&mut self, aborted: Arc<AtomicBool>) {
        self.aborted = Some(aborted);
    }

    /// The time, from which a machine for this connection starts.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        if self.aborted.as_ref().is_some_and(|aborted| aborted.load(Ordering::Acquire)) {
            self.abort();
        }
    }
}

impl Transport for TcpTransport {
    fn abort(&mut self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    fn clock(&self) -> Clock {
        self.clock
    }
}

impl AsyncRead for TcpTransport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, room)
    }
}

impl AsyncWrite for TcpTransport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, piece)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
