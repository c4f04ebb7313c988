//! The site on std::net, a thread for each connection.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::driver::ServerConfig;
use drywire::std::{Driver, Server, TlsTransport, Transport, Turn};

use super::secure::Secure;
use super::{Log, announce, at_signal, cannot_listen};
use crate::Failure;
use crate::site::{Calendar, Session, Site};

pub(super) fn run(
    listen: SocketAddr,
    limits: ServerConfig,
    site: Site,
    secure: Option<Secure>,
    log: Log,
) -> Result<(), Failure> {
    let server = Server::bind(listen).map_err(|error| cannot_listen(listen, &error))?.with_config(limits);
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;
    announce(server.local_addr(), secure.is_some())?;
    let handler = move |tcp, peer| match &secure {
        None => connection(&site, tcp, peer, log),
        Some(secure) => match TlsTransport::server(tcp, secure.config()) {
            Ok(tls) => connection(&site, tls.with_plain_answer(secure.plain_answer()), peer, log),
            Err(error) => log.failed(peer, &error),
        },
    };
    server.run(handler).map(drop).map_err(Failure::failed)
}

fn connection<T: Transport>(site: &Site, transport: T, peer: SocketAddr, log: Log) {
    let now = transport.now();
    let calendar = Calendar::new(now, SystemTime::now());
    let session = Session::new(now, site.clone(), calendar, transport.waker());
    let mut driver = Driver::new(session, transport);
    let mut stopping = false;
    loop {
        if !stopping && driver.is_shutting_down() {
            stopping = true;
            let now = driver.now();
            driver.machine_mut().shutdown(now);
        }
        match driver.next_turn() {
            Ok(Turn::Event(event)) => log.event(peer, &event),
            Ok(Turn::Closed) => return,
            // News for the session, or room: the next turn polls it.
            Ok(_) => {}
            Err(error) => return log.failed(peer, &error),
        }
    }
}
