//! TLS over any transport.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

use drywire_core::{Bytes, Instant};
use drywire_driver::Wire as _;
use drywire_tls::{ClientConfig, ServerConfig, ServerName, Session, TlsWire};

use crate::transport::AsWire;
use crate::{Interest, Transport};

/// A transport with TLS over it.
///
/// The handshake comes with the first turn of the driver, or before by [`handshake`](Self::handshake). How errors and a
/// missing `close_notify` show stands at [`TlsWire`].
///
/// ```no_run
/// use std::sync::Arc;
/// use drywire_core::{Instant, StreamMachine};
/// use drywire_std::{Driver, TcpTransport, TlsTransport};
/// use drywire_tls::{Roots, ServerName, client};
///
/// # fn f<M: StreamMachine>(machine: M) -> Result<(), Box<dyn std::error::Error>> {
/// let config = Arc::new(client::config(Roots::platform()?, None)?);
/// let tcp = TcpTransport::connect("example.org:443", None)?;
/// let mut tls = TlsTransport::client(tcp, config, ServerName::try_from("example.org")?)?;
/// tls.handshake(None)?;
/// let mut driver = Driver::new(machine, tls);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct TlsTransport<T> {
    session: Session,
    inner: T,
    /// The handshake was woken, and the driver has not been told.
    woken: bool,
}

impl<T: Transport> TlsTransport<T> {
    /// The client's side, for a server of this name or address.
    pub fn client(inner: T, config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, drywire_tls::Error> {
        Ok(Self { session: Session::client(config, name)?, inner, woken: false })
    }

    /// The server's side.
    pub fn server(inner: T, config: Arc<ServerConfig>) -> Result<Self, drywire_tls::Error> {
        Ok(Self { session: Session::server(config)?, inner, woken: false })
    }

    /// What a peer is told that does not speak TLS: see [`Session::with_plain_answer`].
    #[must_use]
    pub fn with_plain_answer(mut self, answer: Bytes) -> Self {
        self.session = self.session.with_plain_answer(answer);
        self
    }

    /// Blocks until the connection is secure. At `deadline` it fails with [`ErrorKind::TimedOut`]. A waker does not end
    /// it; the wake is told to the driver.
    pub fn handshake(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            let mut inner = AsWire(&mut self.inner);
            if let Poll::Ready(result) = self.session.wire(&mut inner).poll_handshake() {
                return result;
            }
            if deadline.is_some_and(|deadline| deadline <= self.inner.now()) {
                return Err(io::Error::new(ErrorKind::TimedOut, "the TLS handshake took too long"));
            }
            match self.park(Interest { read: false, write: true }, deadline) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => self.woken |= self.inner.take_woken(),
            }
        }
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
        self.inner.now()
    }

    /// One call on the wire; a call that cannot go on would have blocked.
    fn call<R>(
        &mut self,
        call: impl FnOnce(&mut TlsWire<'_, '_, AsWire<'_, T>>) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        match call(&mut self.session.wire(&mut AsWire(&mut self.inner))) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl<T: Transport> Transport for TlsTransport<T> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.call(|wire| wire.read(room))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.call(|wire| wire.write_vectored(pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call(|wire| wire.flush())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.call(|wire| wire.shutdown_write())
    }

    fn abort(&mut self) {
        self.inner.abort();
    }

    fn park(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        self.inner.park(self.session.interest(interest), deadline)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn take_woken(&mut self) -> bool {
        self.inner.take_woken() | mem::take(&mut self.woken)
    }

    fn is_shutting_down(&self) -> bool {
        self.inner.is_shutting_down()
    }
}
