//! Making a connection, as [`Dial`] says.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
#[cfg(feature = "tls")]
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;

use drywire_client::dial::{Action, Dial};
use drywire_client::{Error, Host, TunnelError};
use drywire_core::Instant;
use drywire_driver::DriveError;

use super::attempts::Attempts;
use super::{Client, Link};
use crate::{Driver, TcpTransport};

impl Client {
    /// Does what `dial` says until the connection is there.
    pub(super) fn dial(&self, dial: &mut Dial) -> Result<Link, Error> {
        let clock = self.inner.clock;
        let mut attempts = None;
        let mut link: Option<Link> = None;
        loop {
            let action = self.with(|shared| dial.next(clock.now(), &mut shared.names))?;
            match (action, link.take()) {
                (None, Some(link)) => return Ok(link),
                (None | Some(Action::Tunnel(_) | Action::Secure(_)), None) => {
                    return Err(Error::ConnectTimeout { host: dial.host() });
                }
                (Some(Action::Resolve(name)), _) => {
                    if let Some(found) = self.look_up(name, dial.deadline()) {
                        self.with(|shared| dial.resolved(clock.now(), &mut shared.names, found));
                    }
                }
                (Some(Action::Connect(address)), _) => match &mut attempts {
                    Some(attempts) => Attempts::begin(attempts, address),
                    None => match Attempts::new() {
                        Ok(first) => attempts.insert(first).begin(address),
                        Err(error) => dial.attempt_failed(error),
                    },
                },
                (Some(Action::Wait(at_most)), _) => {
                    let timeout = at_most.map(|at_most| at_most - clock.now());
                    match attempts.as_mut().and_then(|attempts| attempts.first(timeout)) {
                        Some(Ok(stream)) => match TcpTransport::with_clock(stream, clock) {
                            Ok(transport) => {
                                attempts = None;
                                link = Some(Box::new(transport));
                                dial.connected();
                            }
                            Err(error) => dial.attempt_failed(error),
                        },
                        Some(Err(error)) => dial.attempt_failed(error),
                        None => {}
                    }
                }
                (Some(Action::Tunnel(tunnel)), Some(below)) => {
                    let mut driver = Driver::new(*tunnel, below);
                    match driver.next_event() {
                        Ok(Some(_)) => {
                            link = Some(driver.into_parts().transport);
                            dial.ready();
                        }
                        Ok(None) => dial.failed(TunnelError::from(drywire_http::Error::NoResponse).into()),
                        Err(DriveError::Protocol(error)) => dial.failed(error.into()),
                        Err(DriveError::Io(error)) => dial.failed(Error::transport(error)),
                    }
                }
                (Some(Action::Secure(host)), Some(below)) => match self.secure(dial, host, below) {
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

    /// The addresses of a name, or `None` when the time is up.
    ///
    /// The system's resolver cannot be given a time, so it runs on a thread of its own, which is left behind if it takes too long.
    fn look_up(&self, name: String, deadline: Instant) -> Option<io::Result<Vec<IpAddr>>> {
        let (sender, receiver) = sync_channel(1);
        let look_up = move || {
            let found = (&*name, 0).to_socket_addrs();
            // Nobody waits any more where this fails.
            let _ = sender.send(found.map(|found| found.map(|address| address.ip()).collect()));
        };
        if let Err(error) = thread::Builder::new().name("name lookup".into()).spawn(look_up) {
            return Some(Err(error));
        }
        match receiver.recv_timeout(deadline - self.now()) {
            Ok(found) => Some(found),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(io::Error::other("the lookup panicked"))),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, clippy::needless_pass_by_value, reason = "as with TLS")]
    fn secure(&self, _: &Dial, host: Host, _: Link) -> Result<Option<Link>, Error> {
        Err(Error::NoTls { host: host.to_string() })
    }

    /// TLS over `below`. `None`: the time is up.
    #[cfg(feature = "tls")]
    #[expect(clippy::needless_pass_by_value, reason = "the name that was asked for")]
    fn secure(&self, dial: &Dial, host: Host, below: Link) -> Result<Option<Link>, Error> {
        let Some(config) = &self.inner.tls else { return Err(Error::NoTls { host: host.to_string() }) };
        let failed = |error| Error::Tls { host: host.to_string(), error: Arc::new(error) };
        let name = server_name(&host).map_err(failed)?;
        let tls = crate::TlsTransport::client(below, Arc::clone(config), name);
        let mut tls = tls.map_err(|error| failed(io::Error::other(error)))?;
        match tls.handshake(Some(dial.deadline())) {
            Ok(()) => Ok(Some(Box::new(tls))),
            Err(_) if dial.deadline() <= self.now() => Ok(None),
            Err(error) => Err(failed(error)),
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
