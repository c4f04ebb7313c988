//! The site on our own TCP, all connections on this thread.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use drywire::tcp::{ListenerConfig, Stack, StackConfig};
use drywire::tun::{Device as _, Server, Tun, Turn};

use super::{Log, announce, at_signal, cannot_listen};
use crate::args::{Serve, TunAddress};
use crate::site::{Calendar, Session, Site};
use crate::{Failure, seed};

pub(super) fn run(args: &Serve, log: Log) -> Result<(), Failure> {
    if args.tun_addresses.is_empty() {
        return Err(Failure::usage("--runtime tun needs a --tun-address"));
    }
    let name = args.tun_name.as_deref().unwrap_or("dry0");
    let open = if args.tun_offload { Tun::with_offload } else { Tun::open };
    let device = open(name).map_err(|error| cannot_open(name, &error))?;
    let mut stack = Stack::new(StackConfig { mtu: device.mtu(), ..StackConfig::default() }, &seed()?);
    for &TunAddress { address, .. } in &args.tun_addresses {
        if !stack.add_address(address) {
            return Err(Failure::usage(format_args!("{address} cannot be a host's address, or stands there twice")));
        }
    }
    let calendar = Calendar::new(device.now(), SystemTime::now());
    let name = device.name().to_owned();
    let mut server = Server::new(device, stack);
    let all = args.tun_addresses.iter().map(|at| SocketAddr::new(at.address, 80)).collect();
    for address in args.listen.map_or(all, |listen| vec![listen]) {
        server.listen(address, ListenerConfig::default()).map_err(|error| cannot_listen(address, &error))?;
        announce(address)?;
    }
    if !log.quiet {
        for link in args.tun_addresses.iter().filter_map(|at| at.neighbour().map(|neighbour| (neighbour, at.prefix))) {
            eprintln!("to reach it: ip address add {}/{} dev {name} && ip link set {name} up", link.0, link.1);
        }
    }
    let shutdown = server.shutdown_handle();
    at_signal(move || shutdown.shutdown())?;

    let site = Site::new();
    server
        .run(
            |incoming| Session::new(incoming.now, site.clone(), calendar, incoming.waker),
            |served, turn| {
                if served.is_shutting_down() {
                    let now = served.now();
                    served.machine_mut().shutdown(now);
                }
                match turn {
                    Ok(Turn::Event(event)) => log.event(served.peer(), &event),
                    // News for the session, or room: the next turn polls it.
                    Ok(_) => {}
                    Err(error) => log.failed(served.peer(), &error),
                }
            },
        )
        .map(drop)
        .map_err(Failure::failed)
}

fn cannot_open(name: &str, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => " (it takes root, or a device that was made for this user)",
        ErrorKind::ResourceBusy => " (another program has it)",
        ErrorKind::InvalidInput => " (a wrong name, or that of a device of another kind)",
        ErrorKind::NotFound => " (the kernel offers no TUN devices)",
        _ => "",
    };
    Failure::usage(format_args!("cannot open the TUN device {name}: {error}{hint}"))
}

impl TunAddress {
    /// The first other address of the link, for the kernel.
    fn neighbour(self) -> Option<IpAddr> {
        let (own, bits) = match self.address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let host_bits = bits - u32::from(self.prefix);
        let network = own.checked_shr(host_bits).map_or(0, |network| network << host_bits);
        let other = if own == network + 1 { network + 2 } else { network + 1 };
        (host_bits >= 2).then(|| match self.address {
            IpAddr::V4(_) => IpAddr::V4((other as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(other.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_offered_another_address_of_the_link() {
        for (ours, theirs) in [
            ("10.77.0.2/24", Some("10.77.0.1")),
            ("10.77.0.1/24", Some("10.77.0.2")),
            ("10.77.0.2/32", None),
            ("10.77.0.2", None),
            ("fd00::7/64", Some("fd00::1")),
            ("9.9.9.9/0", Some("0.0.0.1")),
        ] {
            let ours: TunAddress = ours.parse().unwrap();
            assert_eq!(ours.neighbour(), theirs.map(|theirs| theirs.parse().unwrap()), "{ours:?}");
        }
        for wrong in ["", "10.77.0.2/33", "fd00::7/129", "10.77.0.2/", "10.77.0/24"] {
            assert!(wrong.parse::<TunAddress>().is_err(), "{wrong}");
        }
    }
}
