//! IP and ICMP around the segments of a script.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ast::{EcnMark, IcmpPacket};
use super::wire::{checksum, sum};

const TCP: u8 = 6;

/// A packet with this payload.
pub(super) fn wrap(protocol: u8, ecn: EcnMark, from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet = header(protocol, ecn, from, to, payload.len());
    packet.extend(payload);
    packet
}

/// What is in a packet that carries TCP: its ECN mark, its addresses and its segment.
pub(super) fn unwrap(packet: &[u8]) -> Result<(EcnMark, IpAddr, IpAddr, &[u8]), String> {
    let traffic_class = match packet {
        [0x45, class, ..] => *class,
        [first, second, ..] if first >> 4 == 6 => first << 4 | second >> 4,
        _ => return Err("what leaves is no IP packet".to_owned()),
    };
    let ecn = match traffic_class & 3 {
        0 => EcnMark::NotEct,
        1 => EcnMark::Ect1,
        2 => EcnMark::Ect0,
        _ => EcnMark::Ce,
    };
    if let (0x45, Some((head, payload))) = (packet[0], packet.split_first_chunk::<20>()) {
        let [.., p, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *head;
        if p != TCP || sum(head.chunks(2)) != 0 || usize::from(u16::from_be_bytes([head[2], head[3]])) != packet.len() {
            return Err("the IPv4 header of what leaves is wrong".to_owned());
        }
        let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
        return Ok((ecn, source.into(), destination.into(), payload));
    }
    let Some((head, payload)) = packet.split_first_chunk::<40>() else {
        return Err("the header of what leaves is cut off".to_owned());
    };
    let address = |at: usize| {
        let bytes: [u8; 16] = std::array::from_fn(|index| head[at + index]);
        IpAddr::from(Ipv6Addr::from(bytes))
    };
    if head[6] != TCP || usize::from(u16::from_be_bytes([head[4], head[5]])) != payload.len() {
        return Err("the IPv6 header of what leaves is wrong".to_owned());
    }
    Ok((ecn, address(8), address(24), payload))
}

fn header(protocol: u8, ecn: EcnMark, from: IpAddr, to: IpAddr, len: usize) -> Vec<u8> {
    let ecn = match ecn {
        EcnMark::NotEct => 0,
        EcnMark::Ect1 => 1,
        EcnMark::Ect0 | EcnMark::Ect01 => 2,
        EcnMark::Ce => 3,
    };
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = ((len + 20) as u16).to_be_bytes();
            let mut header = vec![0x45, ecn, total[0], total[1], 0, 0, 0x40, 0, 64, protocol, 0, 0];
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = sum(header.chunks(2));
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            header
        }
        (from, to) => {
            let payload = (len as u16).to_be_bytes();
            let mut header = vec![0x60, ecn << 4, 0, 0, payload[0], payload[1], protocol, 64];
            for address in [from, to] {
                match address {
                    IpAddr::V6(address) => header.extend(address.octets()),
                    IpAddr::V4(address) => header.extend(address.to_ipv6_mapped().octets()),
                }
            }
            header
        }
    }
}

/// An ICMP message about the segment of ours that begins with `quoted`, from the peer's address.
pub(super) fn icmp(packet: &IcmpPacket, quoted: [u8; 8], local: IpAddr, remote: IpAddr) -> Result<Vec<u8>, String> {
    let code = packet.code.as_deref().unwrap_or_default();
    let (kind, code) = match (remote.is_ipv4(), packet.kind.as_str(), code) {
        (true, "unreachable", "net_unreachable") => (3, 0),
        (true, "unreachable", "host_unreachable") => (3, 1),
        (true, "unreachable", "protocol_unreachable") => (3, 2),
        (true, "unreachable", "port_unreachable") => (3, 3),
        (true, "unreachable", "frag_needed") => (3, 4),
        (true, "time_exceeded", _) => (11, 0),
        (false, "unreachable", "noroute") => (1, 0),
        (false, "unreachable", "adm_prohibited") => (1, 1),
        (false, "unreachable", "addr_unreachable") => (1, 3),
        (false, "unreachable", "port_unreachable") => (1, 4),
        (false, "packet_too_big", _) => (2, 0),
        _ => return Err(format!("there is no ICMP message {packet}")),
    };
    let mut message = vec![kind, code, 0, 0];
    message.extend(packet.mtu.unwrap_or(0).to_be_bytes());
    message.extend(header(TCP, EcnMark::NotEct, local, remote, 20 + packet.len as usize));
    message.extend(quoted);
    let (protocol, sum) = match remote {
        IpAddr::V4(_) => (1, sum(message.chunks(2))),
        IpAddr::V6(_) => (58, checksum(58, &message, remote, local)),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Ok(wrap(protocol, EcnMark::NotEct, remote, local, &message))
}
