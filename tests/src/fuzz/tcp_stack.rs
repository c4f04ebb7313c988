//! One stack under packets and calls of the input's choosing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::ip::{Ecn, Header as IpHeader, Packet, Protocol};
use drywire::tcp::{
    Config, Flags, Header, ListenerConfig, Segment, SeqNumber, Stack, StackConfig, StackEvent, UdpConfig,
};
use drywire::{BytesMut, Instant, Seed};

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const CONNECTIONS: usize = 4;
const TIME_WAITS: usize = 2;

/// The laws hold after every call, and the same input gives the same packets.
pub fn run(data: &[u8]) {
    assert_eq!(play(data), play(data), "law 4");
}

fn play(mut data: &[u8]) -> Vec<u8> {
    let config = StackConfig {
        max_connections: CONNECTIONS,
        max_time_wait: TIME_WAITS,
        max_replies: 8,
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, &Seed::from(7));
    stack.add_address(LOCAL.ip());
    let config = ListenerConfig { syn_queue: 2, backlog: 2, ..ListenerConfig::default() };
    let Ok(listener) = stack.listen(LOCAL, config) else { return vec![] };
    let udp = stack.bind_udp(LOCAL, UdpConfig { recv_capacity: 1000 });
    let (mut now, mut next) = (Instant::ORIGIN, SeqNumber::new(0));
    let (mut sent, mut handles) = (vec![], vec![]);
    while let Some((&op, rest)) = data.split_first() {
        data = rest;
        let mut number = || {
            let Some((&byte, rest)) = data.split_first() else { return 0 };
            data = rest;
            byte
        };
        match op % 9 {
            0 => {
                // Bytes as they are, or as the payload of a packet for us.
                let (kind, len) = (number(), usize::from(number()));
                let (bytes, rest) = data.split_at(len.min(data.len()));
                data = rest;
                if kind == 0 {
                    stack.handle_packet(now, bytes);
                } else {
                    stack.handle_packet(now, &packet(Protocol(kind), bytes));
                }
            }
            1..=3 => {
                let (flags, port, seq, ack) = (number(), number(), number(), number());
                let header = Header {
                    source_port: 1 + u16::from(port % 4),
                    destination_port: LOCAL.port() + u16::from(port > 200),
                    seq: SeqNumber::new(5000) + u32::from(seq % 8),
                    ack: next + u32::from(ack % 4),
                    flags: Flags::from_bits(flags & 0x17),
                    window: 4000,
                    ..Header::default()
                };
                let mut segment = BytesMut::new();
                let text = vec![3; usize::from(seq / 8)];
                Segment { header, payload: &text }.emit(PEER, LOCAL.ip(), &mut segment);
                stack.handle_packet(now, &packet(Protocol::TCP, &segment));
            }
            4 => now += Duration::from_millis(u64::from(number()) * 300),
            5 => handles.extend(stack.accept(listener)),
            6 => handles.extend(stack.connect(now, SocketAddr::new(PEER, 9), Config::default()).ok()),
            7 => {
                if let Some(handle) = handles.pop() {
                    stack.release(handle);
                }
            }
            _ => {
                if let Some(connection) = handles.last().and_then(|handle| stack.connection_mut(*handle)) {
                    connection.shutdown();
                }
            }
        }
        stack.handle_timeout(now);
        let mut out = BytesMut::new();
        while let Some(transmit) = stack.poll_transmit(now, &mut out) {
            assert_eq!(transmit.len, out.len());
            let packet = Packet::parse(&out).expect("what leaves is well formed");
            if packet.header.protocol == Protocol::TCP {
                let segment = Segment::parse(packet.payload, LOCAL.ip(), PEER).expect("what leaves is well formed");
                next = segment.header.seq;
            }
            sent.extend_from_slice(&out);
            out.clear();
        }
        assert!(out.is_empty());
        assert!(stack.poll_timeout().is_none_or(|at| at > now), "law 6");
        assert!(stack.connections() <= CONNECTIONS && stack.time_waits() <= TIME_WAITS, "law 3");
        while let Some(event) = stack.poll_event() {
            if let (StackEvent::Datagram(handle), Ok(udp)) = (event, udp) {
                assert_eq!(handle, udp);
                stack.recv_datagram(handle);
            }
        }
    }
    sent
}

fn packet(protocol: Protocol, payload: &[u8]) -> Vec<u8> {
    let mut wire = BytesMut::new();
    IpHeader { source: PEER, destination: LOCAL.ip(), protocol, hop_limit: 64, ecn: Ecn::NotEct }
        .emit(payload, &mut wire);
    wire.to_vec()
}
