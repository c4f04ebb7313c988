//! One stack under packets and calls of the input's choosing: listeners, cookies, connections, datagrams, ICMP, addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::ip::{Ecn, Header as IpHeader, Packet, Protocol};
use drywire::tcp::{
    Config, ConnectionHandle, Flags, Header, ListenerConfig, ListenerHandle, Options, Segment, SeqNumber, Stack,
    StackConfig, StackEvent, Timestamps, UdpConfig, UdpHandle,
};
use drywire::{Bytes, BytesMut, Instant, Seed};

use super::input::Input;

/// The addresses that the stack may have, and those of its peers.
const OURS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];
const PEERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
];
const PORT: u16 = 80;
const CONNECTIONS: usize = 4;
const TIME_WAITS: usize = 2;
const HANDLES: usize = 8;

/// The laws hold after every call, and the same input gives the same packets.
pub fn run(data: &[u8]) {
    assert_eq!(play(data), play(data), "law 4");
}

fn play(data: &[u8]) -> Vec<u8> {
    let mut input = Input::new(data);
    let mut bench = Bench::new(&mut input);
    while !input.is_empty() {
        bench.step(&mut input);
        bench.settle();
    }
    bench.sent
}

struct Bench {
    stack: Stack,
    now: Instant,
    listeners: Vec<ListenerHandle>,
    connections: Vec<ConnectionHandle>,
    sockets: Vec<UdpHandle>,
    /// The last segment that left: what a good answer must fit to.
    last: Option<Last>,
    /// The last packet that left: what an ICMP error quotes.
    packet: Vec<u8>,
    sent: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Last {
    local: SocketAddr,
    remote: SocketAddr,
    /// What comes next from either side.
    ack: SeqNumber,
    seq: SeqNumber,
    clock: Option<u32>,
}

impl Bench {
    fn new(input: &mut Input<'_>) -> Self {
        let mode = input.byte();
        let config = StackConfig {
            max_connections: CONNECTIONS,
            max_time_wait: TIME_WAITS,
            max_replies: 8,
            max_datagrams: 3,
            challenge_acks: u32::from(mode & 7),
            icmp_errors: u32::from(mode >> 3 & 3),
            echo_replies: mode & 32 == 0,
            ephemeral_ports: 50_000..=50_003,
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, &Seed::from(u64::from(mode)));
        stack.add_address(OURS[0]);
        let mut bench = Self {
            stack,
            now: Instant::ORIGIN,
            listeners: vec![],
            connections: vec![],
            sockets: vec![],
            last: None,
            packet: vec![],
            sent: vec![],
        };
        bench.listen(SocketAddr::new(OURS[0], PORT), mode >> 6);
        bench
    }

    fn listen(&mut self, local: SocketAddr, queue: u8) {
        let connection = Config { recv_capacity: 2000, time_wait: Duration::from_secs(5), ..Config::default() };
        let config = ListenerConfig {
            syn_queue: usize::from(queue & 1) * 2,
            backlog: 2,
            syn_cookies: queue & 2 == 0,
            max_replies: 3,
            connection,
            ..ListenerConfig::default()
        };
        if self.listeners.len() < HANDLES {
            self.listeners.extend(self.stack.listen(local, config));
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 24 {
            0 => {
                // Bytes as they are.
                let len = usize::from(input.byte());
                self.stack.handle_packet(self.now, input.bytes(len));
            }
            1 => {
                // The payload of a packet for us.
                let (protocol, len) = (Protocol(input.byte()), usize::from(input.byte()));
                let (source, destination) = endpoints(input);
                let bytes = input.bytes(len);
                self.arrive(source, destination, protocol, bytes);
            }
            2..=4 => self.segment(input),
            5..=9 => self.answer(input),
            10 => self.now += Duration::from_millis(input.number() as u64),
            11 => self.now = self.stack.poll_timeout().unwrap_or(self.now).max(self.now),
            12 => {
                let handle = self.listeners.get(usize::from(input.byte()) % HANDLES).copied();
                self.connections.extend(handle.and_then(|listener| self.stack.accept(listener)));
            }
            13 => self.open(input),
            14 => self.command(input),
            15 if !self.connections.is_empty() => {
                let at = usize::from(input.byte()) % self.connections.len();
                self.stack.release(self.connections.swap_remove(at));
            }
            16 => {
                let (_, local) = endpoints(input);
                self.listen(SocketAddr::new(local, PORT + u16::from(input.byte() % 2)), input.byte());
            }
            17 if !self.listeners.is_empty() => {
                let at = usize::from(input.byte()) % self.listeners.len();
                self.stack.close_listener(self.listeners.swap_remove(at));
            }
            18 => {
                self.stack.add_address(OURS[usize::from(input.byte()) % OURS.len()]);
            }
            19 => self.bind(input),
            20 => self.datagram(input),
            21 => self.icmp_error(input),
            22 => self.echo_request(input),
            _ => {
                // What left last comes back.
                let packet = self.packet.clone();
                self.stack.handle_packet(self.now, &packet);
            }
        }
    }

    /// A segment of any peer's with any flags.
    fn segment(&mut self, input: &mut Input<'_>) {
        let (source, destination) = endpoints(input);
        let (flags, ports) = (input.byte(), input.byte());
        let header = Header {
            source_port: 1 + u16::from(ports & 3),
            destination_port: PORT + u16::from(ports >> 6),
            seq: SeqNumber::new(5000) + u32::from(input.byte() % 8),
            ack: SeqNumber::new(input.signed()),
            flags: if flags < 128 { Flags::SYN } else { Flags::from_bits(flags & 0x3f) },
            window: 4000,
            options: options(input.byte(), None),
            ..Header::default()
        };
        self.arrive_segment(source, destination, header, usize::from(input.byte() % 100));
    }

    /// A segment that follows what left last: the end of a handshake, data, a FIN, an RST.
    fn answer(&mut self, input: &mut Input<'_>) {
        let Some(last) = self.last else { return };
        let flags = match input.byte() {
            0..=139 => Flags::ACK,
            140..=179 => Flags::ACK | Flags::FIN,
            180..=199 => Flags::RST,
            200..=229 => Flags::SYN | Flags::ACK,
            _ => Flags::SYN,
        };
        let near = |input: &mut Input<'_>| if input.byte() < 220 { 0 } else { input.signed() };
        let header = Header {
            source_port: last.remote.port(),
            destination_port: last.local.port(),
            seq: last.seq + near(input),
            ack: last.ack + near(input),
            flags,
            window: 4000,
            options: options(input.byte(), last.clock),
            ..Header::default()
        };
        self.arrive_segment(last.remote.ip(), last.local.ip(), header, usize::from(input.byte()) * 2);
    }

    fn arrive_segment(&mut self, source: IpAddr, destination: IpAddr, header: Header, len: usize) {
        let mut segment = BytesMut::new();
        Segment { header, payload: &vec![3; len] }.emit(source, destination, &mut segment);
        self.arrive(source, destination, Protocol::TCP, &segment);
    }

    fn arrive(&mut self, source: IpAddr, destination: IpAddr, protocol: Protocol, payload: &[u8]) {
        let mut wire = BytesMut::new();
        IpHeader { source, destination, protocol, hop_limit: 64, ecn: Ecn::NotEct }.emit(payload, &mut wire);
        self.stack.handle_packet(self.now, &wire);
    }

    fn open(&mut self, input: &mut Input<'_>) {
        let (peer, local) = endpoints(input);
        let remote = SocketAddr::new(peer, 9 + u16::from(input.byte() % 2));
        let config = Config { recv_capacity: 3000, ..Config::default() };
        let opened = match input.byte() {
            0..=127 => self.stack.connect(self.now, remote, config),
            port => self.stack.connect_from(self.now, SocketAddr::new(local, 600 + u16::from(port % 2)), remote, config),
        };
        self.connections.extend(opened);
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let Some(handle) = self.connections.get(usize::from(input.byte()) % HANDLES) else { return };
        // It may be gone: the handle is then nobody's.
        let Some(connection) = self.stack.connection_mut(*handle) else { return };
        match input.byte() % 8 {
            0..=2 => {
                let bytes = Bytes::from(vec![5; input.number().min(connection.send_room())]);
                let _ = connection.send(bytes);
            }
            3 => {
                connection.recv().skip(input.number());
            }
            4 | 5 => connection.shutdown(),
            6 => connection.shutdown_read(),
            _ => connection.abort(),
        }
    }

    fn bind(&mut self, input: &mut Input<'_>) {
        let (_, local) = endpoints(input);
        if self.sockets.len() < HANDLES {
            let port = u16::from(input.byte() % 4);
            let config = UdpConfig { recv_capacity: 1000 };
            self.sockets.extend(self.stack.bind_udp(SocketAddr::new(local, port), config));
        } else {
            self.stack.close_udp(self.sockets.remove(0));
        }
    }

    /// A datagram comes, leaves, or is taken.
    fn datagram(&mut self, input: &mut Input<'_>) {
        let (source, destination) = endpoints(input);
        let (choice, len) = (input.byte(), input.number());
        let Some(handle) = self.sockets.get(usize::from(choice) % HANDLES).copied() else { return };
        match choice >> 6 {
            0 => drop(self.stack.recv_datagram(handle)),
            1 => drop(self.stack.send_datagram(self.now, handle, SocketAddr::new(source, 53), &vec![7; len])),
            _ => {
                let to = self.stack.udp_local(handle).map_or(9, |local| local.port());
                let mut bytes = vec![0, 53];
                bytes.extend(to.to_be_bytes());
                bytes.extend((8 + len.min(1000) as u16).to_be_bytes());
                // Over IPv4 zero stands for no checksum (RFC 768).
                bytes.extend([0, 0]);
                bytes.resize(8 + len.min(1000), 1);
                self.arrive(source, destination, Protocol::UDP, &bytes);
            }
        }
    }

    /// An error about what left last, or what pretends to be one.
    fn icmp_error(&mut self, input: &mut Input<'_>) {
        let (source, destination) = endpoints(input);
        let mtu = (input.number() as u16).to_be_bytes();
        let v4 = source.is_ipv4();
        let (kind, code) = match (v4, input.byte() % 4) {
            (true, code) => (3, [1, 2, 3, 4][usize::from(code)]),
            (false, 0) => (2, 0),
            (false, code) => (1, code),
        };
        let mut message = vec![kind, code, 0, 0, 0, 0, mtu[0], mtu[1]];
        let quoted = self.packet.len().min(28 + usize::from(input.byte()));
        message.extend_from_slice(&self.packet[..quoted]);
        if v4 {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum);
        }
        self.arrive(source, destination, if v4 { Protocol::ICMP } else { Protocol::ICMPV6 }, &message);
    }

    fn echo_request(&mut self, input: &mut Input<'_>) {
        let mut message = vec![8, 0, 0, 0];
        message.resize(8 + usize::from(input.byte()), 2);
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum);
        self.arrive(PEERS[0], OURS[0], Protocol::ICMP, &message);
    }

    /// What is due is handled, everything that can leave leaves, and the laws are checked.
    fn settle(&mut self) {
        self.stack.handle_timeout(self.now);
        let mut out = BytesMut::new();
        let mut packets = 0;
        while let Some(transmit) = self.stack.poll_transmit(self.now, &mut out) {
            packets += 1;
            assert!(packets < 1000, "packets without end");
            assert_eq!(transmit.len, out.len());
            let packet = Packet::parse(&out).expect("what leaves is well formed");
            let IpHeader { source, destination, protocol, .. } = packet.header;
            assert!(OURS.contains(&source), "a source that is not ours");
            if protocol == Protocol::TCP {
                let segment = Segment::parse(packet.payload, source, destination).expect("what leaves is well formed");
                let header = segment.header;
                self.last = Some(Last {
                    local: SocketAddr::new(source, header.source_port),
                    remote: SocketAddr::new(destination, header.destination_port),
                    ack: header.seq + segment.sequence_len(),
                    seq: header.ack,
                    clock: header.options.timestamps.map(|timestamps| timestamps.value),
                });
            }
            self.packet = out.to_vec();
            self.sent.extend_from_slice(&out);
            out.clear();
        }
        assert!(out.is_empty());
        assert!(self.stack.poll_timeout().is_none_or(|at| at > self.now), "law 6");
        assert!(self.stack.connections() <= CONNECTIONS && self.stack.time_waits() <= TIME_WAITS, "law 3");
        while let Some(event) = self.stack.poll_event() {
            if let StackEvent::Datagram(handle) = event {
                assert!(self.sockets.contains(&handle), "news of a socket that is closed");
            }
        }
        self.check_statistics();
    }

    /// Every packet is counted by what became of it.
    fn check_statistics(&self) {
        let it = self.stack.statistics();
        let ip = it.ip_malformed + it.ip_checksum + it.ip_fragments + it.ip_options + it.ip_source;
        let tcp = it.segments + it.segments_to_listeners + it.segments_in_time_wait + it.segments_to_closed_ports;
        let tcp = tcp + it.segment_checksum + it.segment_malformed + it.connections_full - it.time_wait_reopened;
        let udp = it.datagrams + it.datagram_malformed + it.datagrams_to_closed_ports + it.datagram_queue_full;
        let icmp = it.echo_replies + it.icmp_malformed + it.icmp_errors + it.icmp_ignored;
        let counted = ip + it.ip_not_ours + it.ip_protocol + tcp + udp + icmp;
        let refused = it.refused_sequence + it.refused_timestamp + it.refused_reset + it.refused_syn;
        assert!(refused + it.refused_no_ack + it.refused_ack <= it.segments, "{it:?}");
        // An echo reply that finds no room is counted as a reply that was dropped.
        assert!(counted <= it.packets && it.packets <= counted + it.replies_dropped, "{it:?}");
    }
}

/// A peer and one of our addresses, of one family.
fn endpoints(input: &mut Input<'_>) -> (IpAddr, IpAddr) {
    match input.byte() {
        byte @ 0..=199 => (PEERS[usize::from(byte & 1)], OURS[usize::from(byte > 150)]),
        _ => (PEERS[2], OURS[2]),
    }
}

fn options(choice: u8, clock: Option<u32>) -> Options {
    let timestamps = (choice & 1 != 0).then_some(Timestamps { value: 100, echo: clock.unwrap_or(0) });
    Options {
        mss: (choice & 2 != 0).then_some(900),
        window_scale: (choice & 4 != 0).then_some(3),
        sack_permitted: choice & 8 != 0,
        timestamps,
        ..Options::default()
    }
}

/// RFC 1071, over whole words and a last byte.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (!(sum as u16)).to_be_bytes()
}
