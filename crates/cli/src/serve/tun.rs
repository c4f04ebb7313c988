//! The site on our own TCP, all connections on this thread.

use std::net::SocketAddr;
use std::time::SystemTime;

use drywire::tcp::ListenerConfig;
use drywire::tun::{Device as _, Server};

use super::{Log, announce, at_signal, cannot_listen};
use crate::args::Serve;
use crate::site::{Calendar, Session, Site};
use crate::{Failure, link};

pub(super) fn run(args: &Serve, site: &Site, log: Log) -> Result<(), Failure> {
    let (device, stack) = link::open(&args.link)?;
    let addresses = &args.link.addresses;
    let calendar = Calendar::new(device.now(), SystemTime::now());
    let name = device.name().to_owned();
    let mut server = Server::new(device, stack);
    let all = addresses.iter().map(|at| SocketAddr::new(at.address, 80)).collect();
    for address in args.listen.map_or(all, |listen| vec![listen]) {
        server.listen(address, ListenerConfig::default()).map_err(|error| cannot_listen(address, &error))?;
        announce(address, false)?;
    }
    if !log.quiet {
        for (neighbour, prefix) in addresses.iter().filter_map(|at| Some((at.neighbour()?, at.prefix))) {
            eprintln!("to reach it: ip address add {neighbour}/{prefix} dev {name} && ip link set {name} up");
        }
    }
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;

    server
        .run(
            |incoming| Session::new(incoming.now, site.clone(), calendar, incoming.waker),
            |served, turn| super::on_turn(served, turn, log),
        )
        .map(drop)
        .map_err(|error| link::failed(&name, &error))
}
