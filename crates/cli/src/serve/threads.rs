//! The site on std::net, a thread for each connection.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::driver::ServerConfig;
use drywire::std::{Driver, Server, TcpTransport, Transport as _, Turn};

use super::{Log, announce, at_signal, cannot_listen};
use crate::Failure;
use crate::site::{Calendar, Session, Site};

pub(super) fn run(listen: SocketAddr, limits: ServerConfig, site: Site, log: Log) -> Result<(), Failure> {
    let server = Server::bind(listen).map_err(|error| cannot_listen(listen, &error))?.with_config(limits);
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;
    announce(server.local_addr())?;
    server.run(move |transport, peer| connection(&site, transport, peer, log)).map(drop).map_err(Failure::failed)
}

fn connection(site: &Site, transport: TcpTransport, peer: SocketAddr, log: Log) {
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
