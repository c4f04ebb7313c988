//! The site on a readiness loop, all connections on this thread.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::driver::ServerConfig;
use drywire::std::poll::{Poller as _, Server};

use super::{Log, announce, at_signal, cannot_listen};
use crate::Failure;
use crate::site::{Calendar, Session, Site};

pub(super) fn run(listen: SocketAddr, limits: ServerConfig, site: &Site, log: Log) -> Result<(), Failure> {
    let server = Server::bind(listen).map_err(|error| cannot_listen(listen, &error))?.with_config(limits);
    let calendar = Calendar::new(server.poller().now(), SystemTime::now());
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;
    announce(server.local_addr())?;
    server
        .run(
            |incoming| Session::new(incoming.now, site.clone(), calendar, incoming.waker),
            |served, turn| super::on_turn(served, turn, log),
        )
        .map(drop)
        .map_err(Failure::failed)
}
