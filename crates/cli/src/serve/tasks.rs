//! The site on tokio, a task for each connection.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::driver::ServerConfig;
use drywire::tokio::{Driver, Server, ShutdownHandle, TlsTransport, Transport, Turn};

use super::secure::Secure;
use super::{Log, announce, at_signal, cannot_listen};
use crate::Failure;
use crate::pulse::Pulse;
use crate::site::{Calendar, Session, Site};

pub(super) fn run(
    listen: SocketAddr,
    limits: ServerConfig,
    site: Site,
    secure: Option<Secure>,
    log: Log,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let server = Server::bind(listen).await.map_err(|error| cannot_listen(listen, &error))?.with_config(limits);
        let shutdown = server.shutdown_handle();
        at_signal(move || shutdown.shutdown())?;
        announce(server.local_addr(), secure.is_some())?;
        let handler = move |tcp, peer, shutdown| {
            let (site, secure) = (site.clone(), secure.clone());
            async move {
                match secure {
                    None => connection(site, tcp, peer, shutdown, log).await,
                    Some(secure) => match TlsTransport::server(tcp, secure.config()) {
                        Ok(tls) => {
                            connection(site, tls.with_plain_answer(secure.plain_answer()), peer, shutdown, log).await;
                        }
                        Err(error) => log.failed(peer, &error),
                    },
                }
            }
        };
        server.run(handler).await.map(drop).map_err(Failure::failed)
    })
}

async fn connection<T: Transport>(site: Site, transport: T, peer: SocketAddr, shutdown: ShutdownHandle, log: Log) {
    let now = transport.clock().now();
    let calendar = Calendar::new(now, SystemTime::now());
    let pulse = Pulse::default();
    let mut driver = Driver::new(Session::new(now, site, calendar, pulse.waker()), transport);
    let mut stopping = false;
    loop {
        tokio::select! {
            turn = driver.next_turn() => match turn {
                Ok(Turn::Event(event)) => log.event(peer, &event),
                Ok(Turn::Closed) => return,
                // Room: the next turn polls the session.
                Ok(_) => {}
                Err(error) => return log.failed(peer, &error),
            },
            // News for the session, likewise.
            () = pulse.beat() => {}
            () = shutdown.requested(), if !stopping => {
                stopping = true;
                let now = driver.now();
                driver.machine_mut().shutdown(now);
            }
        }
    }
}
