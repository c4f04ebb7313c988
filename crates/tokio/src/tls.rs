//! TLS over any transport.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use drywire_core::{Bytes, Instant};
use drywire_driver::Wire as _;
use drywire_tls::{ClientConfig, ServerConfig, ServerName, Session};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::driver::AsWire;
use crate::{Clock, Transport};

/// A transport with TLS over it.
///
/// The handshake comes with the first turn of the driver, or before by [`handshake`](Self::handshake). How errors and a
/// missing `close_notify` show stands at [`TlsWire`](drywire_tls::TlsWire).
///
/// Reading may write and writing may read, so all of it belongs to one task at a time, as with a
/// [`Driver`](crate::Driver).
///
/// ```no_run
/// use std::sync::Arc;
/// use drywire_core::{Instant, StreamMachine};
/// use drywire_tokio::{Driver, TcpTransport, TlsTransport};
/// use drywire_tls::{Roots, ServerName, client};
///
/// # async fn f<M: StreamMachine>(machine: M) -> Result<(), Box<dyn std::error::Error>> {
/// let config = Arc::new(client::config(Roots::platform()?, None)?);
/// let tcp = TcpTransport::connect("example.org:443", None).await?;
/// let mut tls = TlsTransport::client(tcp, config, ServerName::try_from("example.org")?)?;
/// tls.handshake().await?;
/// let mut driver = Driver::new(machine, tls);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TlsTransport<T> {
    session: Session,
    inner: T,
    clock: Clock,
}

impl<T: Transport> TlsTransport<T> {
    /// The client's side, for a server of this name or address.
    pub fn client(inner: T, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, drywire_tls::Error> {
        Ok(Self { session: Session::client(config, name)?, clock: inner.clock(), inner })
    }

    /// The server's side.
    pub fn server(inner: T, config: Arc<ServerConfig>) -> Result<Self, drywire_tls::Error> {
        Ok(Self { session: Session::server(config)?, clock: inner.clock(), inner })
    }

    /// What a peer is told that does not speak TLS: see [`Session::with_plain_answer`].
    #[must_use]
    pub fn with_plain_answer(mut self, answer: Bytes) -> Self {
        self.session = self.session.with_plain_answer(answer);
        self
    }

    /// Waits until the connection is secure.
    ///
    /// Cancel-safe: what was exchanged is in the session, and another call or the driver goes on from there.
    pub async fn handshake(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.session.wire(&mut AsWire::new(&mut self.inner, cx, self.clock)).poll_handshake()).await
    }

    /// The state of TLS: what was negotiated.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The transport below.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// The time, from which a machine for this connection starts.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<T: Transport> Transport for TlsTransport<T> {
    fn abort(&mut self) {
        self.inner.abort();
    }

    fn clock(&self) -> Clock {
        self.clock
    }
}

impl<T: Transport> AsyncRead for TlsTransport<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        match this.session.wire(&mut AsWire::new(&mut this.inner, cx, this.clock)).read_to(room) {
            // The handshake is over, and there may be a write that waited for it.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            result => result.map_ok(drop),
        }
    }
}

impl<T: Transport> AsyncWrite for TlsTransport<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.session.wire(&mut AsWire::new(&mut this.inner, cx, this.clock)).write_vectored(pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.session.wire(&mut AsWire::new(&mut this.inner, cx, this.clock)).flush()
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.session.wire(&mut AsWire::new(&mut this.inner, cx, this.clock)).shutdown_write()
    }
}
