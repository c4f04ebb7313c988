//! Segmentation offload: segments larger than the MSS, both ways.

mod common;

use bytes::{Bytes, BytesMut};
use common::{A, ACK, B, Bench, FIN, SYN, config, pattern, segment};
use drywire_core::{Instant, Seed};
use drywire_tcp::{Config, Flags, ListenerConfig, ParseError, Segment, Stack, StackConfig, State};

fn bench(window: u16) -> Bench {
    let config =
        Config { segmentation_offload: true, initial_window: 100, no_delay: false, send_capacity: 1 << 20, ..config() };
    Bench::established_with(config, segment(SYN | ACK, 5000, 1001).window(window))
}

/// Length, cut and flags of what leaves when `n` bytes are queued.
fn sends(bench: &mut Bench, n: usize) -> Vec<(usize, Option<u16>, bool)> {
    bench.end.send(Bytes::from(pattern(n))).unwrap();
    let mut out = BytesMut::new();
    let mut sent = vec![];
    while let Some(transmit) = bench.end.poll_transmit(bench.now, &mut out) {
        let bytes = out.split();
        let parsed = Segment::parse(&bytes, A.ip(), B.ip()).unwrap();
        sent.push((parsed.payload.len(), transmit.gso_size, parsed.header.flags.contains(Flags::PSH)));
    }
    sent
}

#[test]
fn a_segment_carries_as_many_mss_as_fit_into_a_packet() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 70_000), [(65_000, Some(1000), false)]);
    bench.arrives(segment(ACK, 5001, 66_001));
    assert_eq!(sends(&mut bench, 0), []);
}

#[test]
fn what_fits_into_one_segment_is_not_to_be_cut() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 1000), [(1000, None, true)]);
    assert_eq!(sends(&mut bench, 999), [(999, None, true)]);
}

#[test]
fn the_end_goes_along_if_nagle_lets_it() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 2500), [(2500, Some(1000), true)]);
    // The end of the first is in flight, so that of the second waits.
    assert_eq!(sends(&mut bench, 2500), [(2000, Some(1000), false)]);
}

#[test]
fn the_peers_window_cuts_at_a_full_segment() {
    let mut bench = bench(4700);
    assert_eq!(sends(&mut bench, 9000), [(4000, Some(1000), false)]);
}

#[test]
fn a_segment_larger_than_the_mss_is_taken() {
    let mut bench = Bench::established();
    let text = pattern(9000);
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1001).data(&text)).len(), 1);
    assert_eq!((bench.reads(), bench.end.state()), (text, State::CloseWait));
}

#[test]
fn a_fin_goes_with_the_last_piece() {
    let mut bench = bench(u16::MAX);
    bench.end.send(Bytes::from(pattern(2500))).unwrap();
    bench.end.shutdown();
    assert_eq!(bench.sent(), ["FIN,PSH,ACK seq=1001 ack=5001 win=10000 len=2500"]);
}

/// Fills in the checksum as a network device does: over the segment, in whose field the pseudo-header's part stands.
fn complete(segment: &mut [u8]) {
    let mut sum: u32 = 0;
    for pair in segment.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    segment[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[test]
fn a_partial_checksum_needs_only_the_sum_of_the_segment() {
    for len in [1, 700, 2000] {
        let config = Config { checksum_offload: true, segmentation_offload: true, ..config() };
        let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
        bench.end.send(Bytes::from(pattern(len))).unwrap();
        let mut out = BytesMut::new();
        assert!(bench.end.poll_transmit(bench.now, &mut out).unwrap().partial_checksum);
        assert_eq!(Segment::parse(&out, A.ip(), B.ip()), Err(ParseError::Checksum));
        complete(&mut out);
        assert_eq!(Segment::parse(&out, A.ip(), B.ip()).unwrap().payload, pattern(len));
        // What carries no text is cheap to sum up.
        bench.end.abort();
        assert!(!bench.end.poll_transmit(bench.now, &mut out).unwrap().partial_checksum);
    }
}

/// Two stacks on a link that cuts nothing and checks no sums, since the packets never leave the machine.
#[test]
fn stacks_on_a_link_with_offloads_exchange_large_segments_without_checksums() {
    for (from, to) in [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")] {
        let now = Instant::ORIGIN;
        let config = || StackConfig { offload: true, ..StackConfig::default() };
        let (mut a, mut b) = (Stack::new(config(), &Seed::from(1)), Stack::new(config(), &Seed::from(2)));
        assert!(a.add_address(from.parse().unwrap()) && b.add_address(to.parse().unwrap()));
        let remote = std::net::SocketAddr::new(to.parse().unwrap(), 80);
        let listener = b.listen(remote, ListenerConfig::default()).unwrap();
        let client = a.connect(now, remote, Config::default()).unwrap();
        let (text, mut longest, mut server) = (pattern(200_000), 0, None);
        let mut received = vec![];
        a.connection_mut(client).unwrap().send(Bytes::from(text.clone())).unwrap();
        let mut packet = BytesMut::new();
        loop {
            packet.clear();
            if let Some(transmit) = a.poll_transmit(now, &mut packet) {
                longest = longest.max(packet.len());
                assert_eq!(transmit.gso_size.is_some(), packet.len() > 1500);
                let before = b.statistics().segment_checksum;
                if transmit.partial_checksum {
                    b.handle_packet(now, &packet);
                    assert_eq!(b.statistics().segment_checksum, before + 1, "the sum was complete");
                }
                b.handle_verified_packet(now, &packet);
            } else if b.poll_transmit(now, &mut packet).is_some() {
                a.handle_verified_packet(now, &packet);
            } else {
                break;
            }
            server = server.or_else(|| b.accept(listener));
            if let Some(connection) = server.and_then(|server| b.connection_mut(server)) {
                let recv = connection.recv();
                received.extend_from_slice(&recv.take(recv.len()));
            }
        }
        assert!(received == text, "{} bytes of {}", received.len(), text.len());
        assert!(longest > 20_000, "{longest}");
    }
}

/// A checksum that the link vouches for is not looked at, and everything else is.
#[test]
fn a_verified_packet_is_still_parsed() {
    let mut stack = Stack::new(StackConfig::default(), &Seed::from(1));
    stack.add_address("192.0.2.1".parse().unwrap());
    // A datagram from 192.0.2.2 that says it has 12 bytes, and has eight.
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
    packet.extend([0, 7, 0, 7, 0, 12, 1, 2]);
    let sum = packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    stack.handle_verified_packet(Instant::ORIGIN, &packet);
    assert_eq!((stack.statistics().datagram_malformed, stack.statistics().datagrams_to_closed_ports), (1, 0));
    packet[25] = 8;
    stack.handle_packet(Instant::ORIGIN, &packet);
    assert_eq!((stack.statistics().datagram_malformed, stack.statistics().datagrams_to_closed_ports), (2, 0));
    stack.handle_verified_packet(Instant::ORIGIN, &packet);
    assert_eq!((stack.statistics().datagram_malformed, stack.statistics().datagrams_to_closed_ports), (2, 1));
}
