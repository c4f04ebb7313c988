//! Making a connection, as [`Dial`] says.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::task::{Context, Poll};

use drywire_client::dial::{Action, Dial};
use drywire_client::{Error, Host, TunnelError};
use drywire_driver::DriveError;
use tokio::net::{TcpStream, lookup_host};

use super::{Client, Link, until};
use crate::{Driver, TcpTransport};

impl Client {
    /// Does what `dial` says until the connection is there.
    pub(super) async fn dial(&self, dial: &mut Dial) -> Result<Link, Error> {
        let clock = self.inner.clock;
        let mut attempts = Attempts::default();
        let mut link: Option<Link> = None;
        loop {
            let deadline = Some(dial.deadline());
            let action = self.with(|shared| dial.next(clock.now(), &mut shared.names))?;
            match (action, link.take()) {
                (None, Some(link)) => return Ok(link),
                (None | Some(Action::Tunnel(_) | Action::Secure(_)), None) => {
                    return Err(Error::ConnectTimeout { host: dial.host() });
                }
                (Some(Action::Resolve(name)), _) => {
                    let looked_up = until(clock, deadline, lookup_host((&*name, 0))).await;
                    if let Some(found) = looked_up {
                        let found = found.map(|addresses| addresses.map(|address| address.ip()).collect());
                        self.with(|shared| dial.resolved(clock.now(), &mut shared.names, found));
                    }
                }
                (Some(Action::Connect(address)), _) => attempts.0.push(Box::pin(TcpStream::connect(address))),
                (Some(Action::Wait(at_most)), _) => {
                    match until(clock, at_most, poll_fn(|cx| attempts.poll_first(cx))).await {
                        Some(Ok(stream)) => {
                            attempts.0.clear();
                            link = Some(Box::new(TcpTransport::with_clock(stream, clock)));
                            dial.connected();
                        }
                        Some(Err(error)) => dial.attempt_failed(error),
                        None => {}
                    }
                }
                (Some(Action::Tunnel(tunnel)), Some(below)) => {
                    let mut driver = Driver::new(*tunnel, below);
                    match driver.next_event().await {
                        Ok(Some(_)) => {
                            link = Some(driver.into_parts().transport);
                            dial.ready();
                        }
                        Ok(None) => dial.failed(TunnelError::from(drywire_http::Error::NoResponse).into()),
                        Err(DriveError::Protocol(error)) => dial.failed(error.into()),
                        Err(DriveError::Io(error)) => dial.failed(Error::transport(error)),
                    }
                }
                (Some(Action::Secure(host)), Some(below)) => match self.secure(dial, host, below).await {
                    Ok(Some(above)) => {
                        link = Some(above);
                        dial.ready();
                    }
                    Ok(None) => {}
                    Err(error) => dial.failed(error),
                },
            }
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "as with TLS")]
    async fn secure(&self, _: &Dial, host: Host, _: Link) -> Result<Option<Link>, Error> {
        Err(Error::NoTls { host: host.to_string() })
    }

    /// TLS over `below`. `None`: the time is up.
    #[cfg(feature = "tls")]
    async fn secure(&self, dial: &Dial, host: Host, below: Link) -> Result<Option<Link>, Error> {
        let Some(config) = &self.inner.tls else { return Err(Error::NoTls { host: host.to_string() }) };
        let failed = |error| Error::Tls { host: host.to_string(), error: Arc::new(error) };
        let name = server_name(&host).map_err(failed)?;
        let tls = crate::TlsTransport::client(below, Arc::clone(config), name);
        let mut tls = tls.map_err(|error| failed(io::Error::other(error)))?;
        match until(self.inner.clock, Some(dial.deadline()), tls.handshake()).await {
            Some(Ok(())) => Ok(Some(Box::new(tls))),
            Some(Err(error)) => Err(failed(error)),
            None => Ok(None),
        }
    }
}

/// The name that the server's certificate has to be for.
#[cfg(feature = "tls")]
fn server_name(host: &Host) -> io::Result<drywire_tls::ServerName<'static>> {
    let name = match host {
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    name.try_into().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Connection attempts that run beside one another. Dropping one gives it up.
#[derive(Default)]
struct Attempts(Vec<Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>>);

impl Attempts {
    /// The first that ends.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        for (index, attempt) in self.0.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.as_mut().poll(cx) {
                drop(self.0.swap_remove(index));
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}
