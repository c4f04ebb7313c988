//! The TUN device of Linux.

use std::io::{self, ErrorKind};
use std::net::IpAddr;

use drywire::tcp::Stack;
use drywire::tun::Tun;

use crate::args::{Link, TunAddress};
use crate::{Failure, seed};

/// The device, and a stack with the addresses that are ours.
pub(crate) fn open(link: &Link) -> Result<(Tun, Stack), Failure> {
    if link.addresses.is_empty() {
        return Err(Failure::usage("--runtime tun needs a --tun-address"));
    }
    let name = link.name.as_deref().unwrap_or("dry0");
    let open = if link.offload { Tun::with_offload } else { Tun::open };
    let device = open(name).map_err(|error| cannot_open(name, &error))?;
    let mut stack = Stack::new(device.stack_config(), &seed()?);
    for &TunAddress { address, .. } in &link.addresses {
        if !stack.add_address(address) {
            return Err(Failure::usage(format_args!("{address} cannot be a host's address, or stands there twice")));
        }
    }
    Ok((device, stack))
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

/// The device `name` cannot be used any more: somebody has removed it.
pub(crate) fn failed(name: &str, error: &io::Error) -> Failure {
    Failure::failed(format_args!("the TUN device {name} failed: {error}"))
}

impl TunAddress {
    /// The first other address of the link, for the kernel.
    pub(crate) fn neighbour(self) -> Option<IpAddr> {
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
