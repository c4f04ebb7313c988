//! The site on a readiness loop, all connections on this thread.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::driver::{Served, ServerConfig};
use drywire::std::poll::{Incoming, Poller as _, Server};

use super::secure::Secure;
use super::{Log, announce, at_signal, cannot_listen};
use crate::Failure;
use crate::site::{Calendar, Session, Site};

pub(super) fn run(
    listen: SocketAddr,
    limits: ServerConfig,
    site: &Site,
    secure: Option<&Secure>,
    log: Log,
) -> Result<(), Failure> {
    let server = Server::bind(listen).map_err(|error| cannot_listen(listen, &error))?.with_config(limits);
    let calendar = Calendar::new(server.poller().now(), SystemTime::now());
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;
    announce(server.local_addr(), secure.is_some())?;
    let new = |incoming: Incoming| Session::new(incoming.now, site.clone(), calendar, incoming.waker);
    let on_turn = |served: &mut Served<'_, Session>, turn| super::on_turn(served, turn, log);
    match secure {
        Some(secure) => server.run_over(|incoming| (secure.session(), new(incoming)), on_turn),
        None => server.run(new, on_turn),
    }
    .map(drop)
    .map_err(Failure::failed)
}
