//! The header that a device with offloads puts in front of every packet (virtio 1.3, 5.1.6, in the host's byte order).

use std::io::{self, ErrorKind};

use drywire_tcp::Transmit;

use crate::Received;

pub(crate) use tun_rs::VIRTIO_NET_HDR_LEN as HEADER_LEN;

/// What the checksum field holds is the pseudo-header's part (`VIRTIO_NET_HDR_F_NEEDS_CSUM`).
const NEEDS_CHECKSUM: u8 = 1;
/// The checksum was checked (`VIRTIO_NET_HDR_F_DATA_VALID`).
const IS_VALID: u8 = 2;

/// Into what the packet is to be cut (`VIRTIO_NET_HDR_GSO_…`).
const SEGMENTS_V4: u8 = 1;
const SEGMENTS_V6: u8 = 4;
const DATAGRAMS: u8 = 5;
/// Added where the first segment has CWR, which the others then have not.
const WITH_CWR: u8 = 0x80;

const UDP_HEADER: usize = 8;

/// The header for a packet that leaves.
pub(crate) fn header(packet: &[u8], transmit: &Transmit) -> io::Result<[u8; HEADER_LEN]> {
    let mut header = [0; HEADER_LEN];
    if !transmit.partial_checksum {
        // The pieces need sums of their own, and those begin with that of the pseudo-header.
        return if transmit.gso_size.is_none() { Ok(header) } else { Err(too_much()) };
    }
    // What is left to the link is a segment of the stack's making: an IP header without options or extensions.
    let (start, kind) =
        if packet.first().is_some_and(|first| first >> 4 == 4) { (20, SEGMENTS_V4) } else { (40, SEGMENTS_V6) };
    let [offset, flags] = *packet.get(start + 12..).and_then(|rest| rest.first_chunk()).ok_or_else(too_much)?;
    header[0] = NEEDS_CHECKSUM;
    if let Some(gso_size) = transmit.gso_size {
        let cwr = flags & 0x80 != 0;
        header[1] = kind | if cwr { WITH_CWR } else { 0 };
        put(&mut header, 2, start as u16 + u16::from(offset >> 4) * 4);
        put(&mut header, 4, gso_size);
    }
    put(&mut header, 6, start as u16);
    // The checksum field of a segment.
    put(&mut header, 8, 16);
    Ok(header)
}

/// The stack was told that the link does more than it can.
pub(crate) fn too_much() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "the stack leaves to the device what it cannot do")
}

/// Takes the header off what was read, and hands over what is behind it. A segment of up to 64 KiB stays whole; several
/// datagrams in one packet are not a datagram, so they are parted. What is cut off is dropped.
pub(crate) fn unwrap(read: &mut [u8], handle: &mut dyn FnMut(Received<'_>)) {
    let Some((header, packet)) = read.split_first_chunk_mut::<HEADER_LEN>() else { return };
    let verified = header[0] & (NEEDS_CHECKSUM | IS_VALID) != 0;
    if header[1] & !WITH_CWR == DATAGRAMS {
        part(packet, usize::from(take(header, 6)), usize::from(take(header, 4)), handle);
    } else {
        handle(Received { packet, verified });
    }
}

/// Parts the datagrams behind one pair of headers, of which the second begins at `start`: `size` bytes each, but the last.
fn part(packet: &mut [u8], start: usize, size: usize, handle: &mut dyn FnMut(Received<'_>)) {
    let front = start + UDP_HEADER;
    let Some((headers, mut payload)) = packet.split_at_checked(front) else { return };
    let is_v4 = headers[0] >> 4 == 4;
    if size == 0 || start < if is_v4 { 20 } else { 40 } {
        return;
    }
    let mut room = headers.to_vec();
    while !payload.is_empty() {
        let (piece, rest) = payload.split_at(payload.len().min(size));
        payload = rest;
        room.truncate(front);
        room.extend_from_slice(piece);
        let len = room.len();
        put(&mut room, start + 4, ((len - start) as u16).to_be());
        if is_v4 {
            put(&mut room, 2, (len as u16).to_be());
            put(&mut room, 10, 0);
            let sum = !sum(&room[..start]);
            put(&mut room, 10, sum.to_be());
        } else {
            put(&mut room, 4, ((len - 40) as u16).to_be());
        }
        // The kernel has left their sums to us, which nobody needs.
        handle(Received { packet: &room, verified: true });
    }
}

fn take(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, number: u16) {
    bytes[at..at + 2].copy_from_slice(&number.to_ne_bytes());
}

/// The sum of RFC 1071 over an IPv4 header, whose length is even.
fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use drywire_core::{Bytes, BytesMut, Instant, Seed};
    use drywire_tcp::ip::Ecn;
    use drywire_tcp::{Config, ListenerConfig, Stack, StackConfig};

    use super::*;

    /// What is handed over of `read`: packets, and whether they are vouched for.
    fn unwrapped(mut read: Vec<u8>) -> Vec<(Vec<u8>, bool)> {
        let mut packets = vec![];
        unwrap(&mut read, &mut |received| packets.push((received.packet.to_vec(), received.verified)));
        packets
    }

    /// Two stacks exchange everything, by way of the headers; returns those of the first and their packets.
    fn headers_of_a_transfer(from: &str, to: &str) -> Vec<([u8; HEADER_LEN], Vec<u8>)> {
        let config = || StackConfig { offload: true, ..StackConfig::default() };
        let (mut a, mut b) = (Stack::new(config(), &Seed::from(1)), Stack::new(config(), &Seed::from(2)));
        assert!(a.add_address(from.parse().unwrap()) && b.add_address(to.parse().unwrap()));
        let (now, remote) = (Instant::ORIGIN, std::net::SocketAddr::new(to.parse().unwrap(), 80));
        b.listen(remote, ListenerConfig::default()).unwrap();
        let client = a.connect(now, remote, Config::default()).unwrap();
        a.connection_mut(client).unwrap().send(Bytes::from(vec![7; 10_000])).unwrap();
        let (mut packet, mut headers) = (BytesMut::new(), vec![]);
        loop {
            packet.clear();
            if let Some(transmit) = a.poll_transmit(now, &mut packet) {
                let header = header(&packet, &transmit).unwrap();
                headers.push((header, packet.to_vec()));
                for (packet, verified) in unwrapped([&header, &packet[..]].concat()) {
                    assert_eq!(verified, transmit.partial_checksum);
                    b.handle_verified_packet(now, &packet);
                }
            } else if b.poll_transmit(now, &mut packet).is_some() {
                a.handle_verified_packet(now, &packet);
            } else {
                return headers;
            }
        }
    }

    #[test]
    fn a_long_segment_says_where_to_cut_and_where_to_sum() {
        for (from, to, ip, kind) in
            [("192.0.2.1", "192.0.2.2", 20, SEGMENTS_V4), ("2001:db8::1", "2001:db8::2", 40, SEGMENTS_V6)]
        {
            let headers = headers_of_a_transfer(from, to);
            assert_eq!(headers[0].0, [0; HEADER_LEN], "a SYN is summed up and short");
            let (header, packet) = headers.iter().max_by_key(|(_, packet)| packet.len()).unwrap();
            assert!(packet.len() > 9000);
            // TCP's header has 12 bytes of timestamps.
            assert_eq!(header[..2], [NEEDS_CHECKSUM, kind]);
            assert_eq!([2, 4, 6, 8].map(|at| take(header, at)), [ip + 32, 1500 - ip - 32, ip, 16]);
        }
    }

    #[test]
    fn cwr_is_told_so_that_only_the_first_piece_has_it() {
        let (_, mut packet) = headers_of_a_transfer("192.0.2.1", "192.0.2.2").pop().unwrap();
        packet[20 + 13] |= 0x80;
        let at = "192.0.2.1:7".parse().unwrap();
        let (len, gso_size, ecn) = (packet.len(), Some(1000), Ecn::Ect0);
        let transmit = Transmit { source: at, destination: at, len, gso_size, partial_checksum: true, ecn };
        assert_eq!(header(&packet, &transmit).unwrap()[1], SEGMENTS_V4 | WITH_CWR);
    }

    #[test]
    fn what_a_header_cannot_say_is_refused() {
        let at = "192.0.2.1:7".parse().unwrap();
        let (gso_size, ecn) = (Some(1), Ecn::NotEct);
        let cut = Transmit { source: at, destination: at, len: 0, gso_size, partial_checksum: false, ecn };
        assert_eq!(header(&[0x45; 60], &cut).unwrap_err().kind(), ErrorKind::InvalidInput);
        let cut = Transmit { partial_checksum: true, ..cut };
        for len in [0, 20, 33] {
            assert_eq!(header(&vec![0x45; len], &cut).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn what_is_cut_off_is_dropped() {
        assert_eq!(unwrapped(vec![0xff; HEADER_LEN - 1]), []);
        assert_eq!(unwrapped(vec![0; HEADER_LEN + 1]), [(vec![0], false)]);
        for fill in [0, DATAGRAMS, 0xff] {
            let mut read = vec![fill; HEADER_LEN + 20];
            read[1] = DATAGRAMS;
            assert_eq!(unwrapped(read), []);
        }
    }

    #[test]
    fn datagrams_in_one_packet_are_parted() {
        // 250 bytes for port 7, to be cut at 100, from a kernel that has summed nothing up.
        for (source, any, ip) in [("192.0.2.9", "0.0.0.0:7", 20), ("2001:db8::9", "[::]:7", 40)] {
            let to: std::net::IpAddr = source.replace('9', "1").parse().unwrap();
            let header = drywire_tcp::ip::Header {
                source: source.parse().unwrap(),
                destination: to,
                protocol: drywire_tcp::ip::Protocol::UDP,
                hop_limit: 64,
                ecn: drywire_tcp::ip::Ecn::NotEct,
            };
            let payload: Vec<u8> = (0..250).collect();
            let mut packet = BytesMut::new();
            header.emit(&[&[0, 9, 0, 7, 1, 2, 0, 0], &payload[..]].concat(), &mut packet);
            let mut read = vec![NEEDS_CHECKSUM, DATAGRAMS, 0, 0, 0, 0, 0, 0, 0, 0];
            put(&mut read, 4, 100);
            put(&mut read, 6, ip);
            read.extend_from_slice(&packet);

            let mut stack = Stack::new(StackConfig::default(), &Seed::from(1));
            stack.add_address(to);
            let socket = stack.bind_udp(any.parse().unwrap(), drywire_tcp::UdpConfig::default()).unwrap();
            unwrap(&mut read, &mut |received| {
                assert!(received.verified);
                stack.handle_verified_packet(Instant::ORIGIN, received.packet);
            });
            for piece in payload.chunks(100) {
                let datagram = stack.recv_datagram(socket).expect("a datagram");
                assert_eq!(&datagram.payload[..], piece);
            }
            assert_eq!(stack.statistics().datagrams, 3, "{:?}", stack.statistics());
        }
    }
}
