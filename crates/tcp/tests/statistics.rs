//! Whatever is wrong with a packet, exactly one counter says so.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use drywire_core::{Instant, Seed};
use drywire_tcp::ip::{self, Ecn, Protocol};
use drywire_tcp::{
    Config, Flags, Header, ListenerConfig, ListenerStatistics, Options, Segment, SeqNumber, Stack, StackConfig,
    Statistics, Timestamps, UdpConfig,
};

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn stack() -> Stack {
    let config = StackConfig { max_replies: 2, icmp_errors: 1, ..StackConfig::default() };
    let mut stack = Stack::new(config, &Seed::from(1));
    assert!(stack.add_address(ip(HERE)));
    stack.listen(SocketAddr::new(ip(HERE), 80), ListenerConfig::default()).unwrap();
    stack.bind_udp(SocketAddr::new(ip(HERE), 53), UdpConfig { recv_capacity: 100 }).unwrap();
    stack
}

fn packet(source: &str, destination: &str, protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = (ip(source), ip(destination));
    let mut wire = BytesMut::new();
    ip::Header { source, destination, protocol, hop_limit: 64, ecn: Ecn::NotEct }.emit(payload, &mut wire);
    wire.to_vec()
}

fn tcp(port: u16, flags: Flags) -> Vec<u8> {
    let (seq, ack) = (SeqNumber::new(5000), SeqNumber::new(1));
    let header = Header { source_port: 7, destination_port: port, seq, ack, flags, window: 1000, ..Header::default() };
    let mut segment = BytesMut::new();
    Segment { header, payload: b"" }.emit(ip(THERE), ip(HERE), &mut segment);
    packet(THERE, HERE, Protocol::TCP, &segment)
}

fn udp(port: u16, len: usize) -> Vec<u8> {
    let mut bytes = [[0, 7], port.to_be_bytes(), (8 + len as u16).to_be_bytes(), [0, 0]].concat();
    bytes.resize(8 + len, 1);
    packet(THERE, HERE, Protocol::UDP, &bytes)
}

fn echo_request() -> Vec<u8> {
    packet(THERE, HERE, Protocol::ICMP, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0])
}

/// The byte at `at` is another one, and the checksum of the IP header is that of before.
fn with(mut packet: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    assert_ne!(packet[at], byte);
    packet[at] = byte;
    packet
}

/// The same with the checksum of the IPv4 header corrected.
fn with_header(packet: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    let mut packet = with(packet, at, byte);
    let len = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let words = packet[..len].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum = words.sum::<u32>();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// After `packets` the counters are those that `expected` sets, and the number of packets.
#[track_caller]
fn counts(packets: &[Vec<u8>], expected: impl FnOnce(&mut Statistics)) {
    let mut stack = stack();
    for packet in packets {
        stack.handle_packet(Instant::ORIGIN, packet);
    }
    let mut statistics = Statistics::default();
    statistics.packets = packets.len() as u64;
    expected(&mut statistics);
    assert_eq!(*stack.statistics(), statistics);
}

#[test]
fn what_is_wrong_with_the_ip_header() {
    let good = tcp(80, Flags::SYN);
    counts(&[vec![], vec![0x70; 40], good[..30].to_vec()], |it| it.ip_malformed = 3);
    counts(&[with(good.clone(), 8, 63)], |it| it.ip_checksum = 1);
    counts(&[with_header(good.clone(), 6, 0x20)], |it| it.ip_fragments = 1);
    counts(&[packet("224.0.0.1", HERE, Protocol::TCP, b"")], |it| it.ip_source = 1);
    counts(&[packet(THERE, "192.0.2.9", Protocol::TCP, b"")], |it| it.ip_not_ours = 1);
    counts(&[packet(THERE, HERE, Protocol(99), b"")], |it| it.ip_protocol = 1);
    // Loose source route (RFC 7126 4.3): a header of 24 bytes.
    let mut routed = good;
    routed.splice(20..20, [131, 3, 4, 0]);
    let routed = with_header(with(routed, 3, 44), 0, 0x46);
    counts(&[routed], |it| it.ip_options = 1);
}

#[test]
fn what_is_wrong_with_a_segment() {
    let good = tcp(80, Flags::SYN);
    counts(&[with(good.clone(), 24, 1)], |it| it.segment_checksum = 1);
    counts(&[with(good.clone(), 32, 0x40)], |it| it.segment_malformed = 1);
    counts(&[tcp(81, Flags::SYN), tcp(81, Flags::RST)], |it| {
        (it.segments_to_closed_ports, it.resets_sent) = (2, 1);
    });
    counts(&[tcp(81, Flags::SYN), tcp(81, Flags::SYN), tcp(81, Flags::SYN)], |it| {
        (it.segments_to_closed_ports, it.resets_sent, it.replies_dropped) = (3, 2, 1);
    });
    counts(&[good], |it| it.segments_to_listeners = 1);
}

#[test]
fn what_is_wrong_with_a_datagram() {
    counts(&[with(udp(53, 4), 25, 200)], |it| it.datagram_malformed = 1);
    counts(&[with(udp(53, 4), 27, 9)], |it| it.datagram_malformed = 1);
    counts(&[udp(54, 4), udp(54, 4)], |it| {
        (it.datagrams_to_closed_ports, it.port_unreachable_sent, it.icmp_errors_suppressed) = (2, 1, 1);
    });
    counts(&[udp(53, 4), udp(53, 4)], |it| (it.datagrams, it.datagram_queue_full) = (1, 1));
}

#[test]
fn what_is_wrong_with_an_icmp_message() {
    counts(&[echo_request()], |it| it.echo_replies = 1);
    counts(&[with(echo_request(), 23, 0)], |it| it.icmp_malformed = 1);
    // A reply that nobody has asked for, and an error about a packet that we have not sent.
    counts(&[packet(THERE, HERE, Protocol::ICMP, &[0, 0, 0xff, 0xff, 0, 0, 0, 0])], |it| it.icmp_ignored = 1);
    counts(&[echo_request(), echo_request(), echo_request()], |it| (it.echo_replies, it.replies_dropped) = (2, 1));
}

/// What a listener has counted after a SYN from each of `peers`, and then an ACK of nothing from the last.
fn listened(config: ListenerConfig, peers: u16) -> ListenerStatistics {
    let mut stack = Stack::new(StackConfig::default(), &Seed::from(1));
    assert!(stack.add_address(ip(HERE)));
    let listener = stack.listen(SocketAddr::new(ip(HERE), 80), config).unwrap();
    for peer in 1..=peers {
        // The source port is the first of the segment; its checksum follows.
        let mut syn = tcp(80, Flags::SYN);
        (syn[20], syn[21]) = (peer.to_be_bytes()[0], peer.to_be_bytes()[1]);
        stack.handle_verified_packet(Instant::ORIGIN, &syn);
    }
    stack.handle_packet(Instant::ORIGIN, &tcp(80, Flags::ACK));
    *stack.listener(listener).unwrap().statistics()
}

#[test]
fn what_a_listener_has_no_room_for() {
    let of = |syn_queue, syn_cookies| ListenerConfig { syn_queue, syn_cookies, ..ListenerConfig::default() };
    let with_cookies = listened(of(2, true), 5);
    assert_eq!((with_cookies.syns_queued, with_cookies.cookies_sent, with_cookies.syn_queue_full), (2, 3, 0));
    assert_eq!((with_cookies.strays, with_cookies.cookies_accepted), (1, 0));
    let without = listened(of(2, false), 5);
    assert_eq!((without.syns_queued, without.cookies_sent, without.syn_queue_full), (2, 0, 3));
}

#[test]
fn syns_beyond_the_most_connections_are_counted() {
    let config = StackConfig { max_connections: 1, ..StackConfig::default() };
    let mut stack = Stack::new(config, &Seed::from(1));
    assert!(stack.add_address(ip(HERE)));
    stack.listen(SocketAddr::new(ip(HERE), 80), ListenerConfig::default()).unwrap();
    stack.connect(Instant::ORIGIN, SocketAddr::new(ip(THERE), 9), Config::default()).unwrap();
    stack.handle_packet(Instant::ORIGIN, &tcp(80, Flags::SYN));
    assert_eq!((stack.statistics().connections_full, stack.statistics().segments_to_listeners), (1, 0));
}

/// What is refused of segments that reach an established connection with timestamps.
#[track_caller]
fn refused(segment: impl FnOnce(&mut Header), expected: impl FnOnce(&mut Statistics)) {
    let mut stack = stack();
    let arrive = |stack: &mut Stack, header: Header| {
        let mut bytes = BytesMut::new();
        Segment { header, payload: b"" }.emit(ip(THERE), ip(HERE), &mut bytes);
        stack.handle_packet(Instant::from_secs(10), &packet(THERE, HERE, Protocol::TCP, &bytes));
    };
    let options = Options { timestamps: Some(Timestamps { value: 1000, echo: 0 }), ..Options::default() };
    let syn = Header {
        source_port: 7,
        destination_port: 80,
        seq: SeqNumber::new(5000),
        flags: Flags::SYN,
        window: 1000,
        options,
        ..Header::default()
    };
    arrive(&mut stack, syn);
    let mut out = BytesMut::new();
    assert!(stack.poll_transmit(Instant::from_secs(10), &mut out).is_some());
    let ack = SeqNumber::new(u32::from_be_bytes(out[24..28].try_into().unwrap())) + 1;
    let good = Header { seq: SeqNumber::new(5001), ack, flags: Flags::ACK, ..syn };
    arrive(&mut stack, good);
    assert_eq!(stack.connections(), 1);
    let mut statistics = *stack.statistics();
    let mut bad = good;
    segment(&mut bad);
    arrive(&mut stack, bad);
    (statistics.packets, statistics.segments) = (statistics.packets + 1, statistics.segments + 1);
    expected(&mut statistics);
    assert_eq!(*stack.statistics(), statistics);
}

#[test]
fn what_a_connection_refuses() {
    refused(|_| {}, |_| {});
    refused(|it| it.seq += 0x1000_0000, |it| it.refused_sequence = 1);
    refused(|it| it.options.timestamps = None, |it| it.refused_timestamp = 1);
    refused(|it| it.options.timestamps = Some(Timestamps { value: 999, echo: 0 }), |it| it.refused_timestamp = 1);
    refused(|it| (it.flags, it.seq) = (Flags::RST, it.seq + 1), |it| it.refused_reset = 1);
    refused(|it| it.flags = Flags::SYN, |it| it.refused_syn = 1);
    refused(|it| it.flags = Flags::NONE, |it| it.refused_no_ack = 1);
    refused(|it| it.ack += 1, |it| it.refused_ack = 1);
}
