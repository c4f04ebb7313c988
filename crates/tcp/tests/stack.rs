//! Two stacks that exchange IP packets, and one stack with a peer made by hand.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drywire_core::{Instant, Seed};
use drywire_tcp::ip::{self, Ecn, Packet, Protocol};
use drywire_tcp::{
    CloseReason, Config, ConnectionHandle, DatagramError, Event, Flags, Header, IcmpErrorKind, ListenerConfig,
    ListenerHandle, OpenError, Options, Segment, SeqNumber, Stack, StackConfig, StackEvent, State, Timestamps,
    UdpConfig, UdpSendError,
};

use common::{ms, pattern};

const A4: &str = "192.0.2.1";
const B4: &str = "192.0.2.2";
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8::2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

/// Two stacks on one link without delay.
struct Link {
    now: Instant,
    a: Stack,
    b: Stack,
    /// Every packet with a segment, as one line.
    log: Vec<String>,
}

impl Link {
    fn new(a: StackConfig, b: StackConfig) -> Self {
        let (mut a, mut b) = (Stack::new(a, &Seed::from(1)), Stack::new(b, &Seed::from(2)));
        for (stack, addresses) in [(&mut a, [A4, A6]), (&mut b, [B4, B6])] {
            for address in addresses {
                assert!(stack.add_address(ip(address)));
            }
        }
        Self { now: Instant::ORIGIN, a, b, log: vec![] }
    }

    fn default() -> Self {
        Self::new(StackConfig::default(), StackConfig::default())
    }

    /// Carries packets both ways until neither side has any; returns how many there were.
    fn run(&mut self) -> usize {
        let mut packets = 0;
        let mut wire = BytesMut::new();
        loop {
            let before = packets;
            while let Some(transmit) = self.a.poll_transmit(self.now, &mut wire) {
                assert_eq!(transmit.len, wire.len());
                self.log("a>", &wire);
                self.b.handle_packet(self.now, &wire.split());
                packets += 1;
            }
            while let Some(transmit) = self.b.poll_transmit(self.now, &mut wire) {
                assert_eq!(transmit.len, wire.len());
                self.log("b>", &wire);
                self.a.handle_packet(self.now, &wire.split());
                packets += 1;
            }
            assert!(wire.is_empty());
            if packets == before {
                return packets;
            }
        }
    }

    fn log(&mut self, who: &str, packet: &[u8]) {
        let packet = Packet::parse(packet).unwrap();
        if packet.header.protocol == Protocol::TCP && self.log.len() < 1000 {
            let (source, destination) = (packet.header.source, packet.header.destination);
            let segment = Segment::parse(packet.payload, source, destination).unwrap();
            self.log.push(format!("{who} {}", segment.header.flags));
        }
    }

    /// Waits, and lets timers do their work.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.run();
            let next = [self.a.poll_timeout(), self.b.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            for stack in [&mut self.a, &mut self.b] {
                stack.handle_timeout(self.now);
                assert!(stack.poll_timeout().is_none_or(|at| at > self.now), "law 6");
            }
        }
        self.now = end;
    }

    fn listen(&mut self, local: SocketAddr) -> ListenerHandle {
        self.b.listen(local, ListenerConfig::default()).unwrap()
    }

    /// An established connection: the ends at a and b.
    fn open(&mut self, listener: ListenerHandle, remote: SocketAddr) -> (ConnectionHandle, ConnectionHandle) {
        let client = self.a.connect(self.now, remote, Config::default()).unwrap();
        self.run();
        let server = self.b.accept(listener).unwrap();
        assert_eq!(self.a.connection(client).unwrap().state(), State::Established);
        assert_eq!(self.b.connection(server).unwrap().state(), State::Established);
        (client, server)
    }

    fn port_of(&self, client: ConnectionHandle) -> u16 {
        self.a.connection(client).unwrap().local().port()
    }
}

fn send(stack: &mut Stack, handle: ConnectionHandle, bytes: &[u8]) {
    stack.connection_mut(handle).unwrap().send(Bytes::copy_from_slice(bytes)).unwrap();
}

fn read(stack: &mut Stack, handle: ConnectionHandle) -> Vec<u8> {
    let recv = stack.connection_mut(handle).unwrap().recv();
    recv.take(recv.len()).to_vec()
}

fn events(stack: &mut Stack, handle: ConnectionHandle) -> Vec<Event> {
    let connection = stack.connection_mut(handle).unwrap();
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn news(stack: &mut Stack) -> Vec<StackEvent> {
    std::iter::from_fn(|| stack.poll_event()).collect()
}

#[test]
fn a_whole_connection_over_ipv4_and_ipv6() {
    for (any, server_at) in [("0.0.0.0", at(B4, 80)), ("::", at(B6, 80))] {
        let mut link = Link::default();
        let listener = link.listen(at(any, 80));
        let (client, server) = link.open(listener, server_at);
        assert_eq!(link.log, ["a> SYN", "b> SYN,ACK", "a> ACK"]);
        assert_eq!(link.a.connection(client).unwrap().remote(), Some(server_at));
        assert_eq!(link.b.connection(server).unwrap().local(), server_at);

        let request = pattern(100_000);
        send(&mut link.a, client, &request);
        link.wait(ms(1000));
        assert_eq!(read(&mut link.b, server), request);
        send(&mut link.b, server, b"answer");
        link.b.connection_mut(server).unwrap().shutdown();
        link.wait(ms(1000));
        assert_eq!(read(&mut link.a, client), b"answer");
        link.a.connection_mut(client).unwrap().shutdown();
        link.run();

        assert_eq!(
            events(&mut link.a, client),
            [Event::Established, Event::PeerFinished, Event::Closed(CloseReason::Normal)]
        );
        assert_eq!(
            events(&mut link.b, server),
            [Event::Established, Event::PeerFinished, Event::Closed(CloseReason::Normal)]
        );
        // The side that closed first keeps an entry, not the connection.
        assert_eq!((link.a.time_waits(), link.b.time_waits()), (0, 1));
        link.a.release(client);
        link.b.release(server);
        link.run();
        assert_eq!((link.a.connections(), link.b.connections()), (0, 0));
        link.wait(Duration::from_secs(60));
        assert_eq!(link.b.time_waits(), 0);
        assert_eq!((link.a.poll_timeout(), link.b.poll_timeout()), (None, None));
    }
}

#[test]
fn news_come_once_until_they_are_polled() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    let (client, server) = link.open(listener, at(B4, 80));
    assert_eq!(news(&mut link.b), [StackEvent::Accept(listener)]);
    assert_eq!(news(&mut link.a), [StackEvent::Connection(client)]);
    send(&mut link.a, client, b"one");
    link.run();
    send(&mut link.a, client, b"two");
    link.run();
    assert_eq!(news(&mut link.b), [StackEvent::Connection(server)]);
    // There is room again for what was acknowledged.
    link.wait(ms(100));
    assert_eq!(news(&mut link.a), [StackEvent::Connection(client)]);
    link.b.connection_mut(server).unwrap().shutdown();
    link.run();
    assert_eq!(news(&mut link.a), [StackEvent::Connection(client)]);
}

#[test]
fn rfc_9293_3_10_7_1_a_closed_port_answers_with_rst() {
    let mut link = Link::default();
    let client = link.a.connect(link.now, at(B4, 81), Config::default()).unwrap();
    link.run();
    assert_eq!(link.log, ["a> SYN", "b> RST,ACK"]);
    assert_eq!(events(&mut link.a, client), [Event::Closed(CloseReason::Refused)]);
    assert_eq!(link.b.statistics().resets_sent, 1);
    // An RST is not answered.
    link.b.handle_packet(link.now, &packet(at(A4, 5), at(B4, 81), header(Flags::RST, 5, 0), b""));
    assert_eq!(link.run(), 0);
    assert_eq!(link.b.statistics().segments_to_closed_ports, 2);
}

#[test]
fn ten_thousand_connections_echo() {
    let config = StackConfig { ephemeral_ports: 1024..=65_535, ..StackConfig::default() };
    let mut link = Link::new(config.clone(), config);
    let config = ListenerConfig { backlog: 20_000, ..ListenerConfig::default() };
    let listener = link.b.listen(at("0.0.0.0", 80), config).unwrap();
    let mut pairs = vec![];
    for _ in 0..10_000 {
        pairs.push(link.open(listener, at(B4, 80)));
    }
    assert_eq!((link.a.connections(), link.b.connections()), (10_000, 10_000));
    for (n, (client, _)) in pairs.iter().enumerate() {
        send(&mut link.a, *client, &n.to_be_bytes());
    }
    link.run();
    for (n, (client, server)) in pairs.iter().enumerate() {
        let bytes = read(&mut link.b, *server);
        assert_eq!(bytes, n.to_be_bytes());
        send(&mut link.b, *server, &bytes);
        link.a.connection_mut(*client).unwrap().shutdown();
        link.b.connection_mut(*server).unwrap().shutdown();
    }
    link.wait(ms(1000));
    for (n, (client, server)) in pairs.iter().enumerate() {
        assert_eq!(read(&mut link.a, *client), n.to_be_bytes());
        assert_eq!(link.a.connection(*client).unwrap().state(), State::Closed);
        link.a.release(*client);
        link.b.release(*server);
    }
    link.wait(Duration::from_secs(61));
    for stack in [&link.a, &link.b] {
        assert_eq!((stack.connections(), stack.time_waits(), stack.poll_timeout()), (0, 0, None));
    }
}

fn header(flags: Flags, seq: u32, ack: u32) -> Header {
    Header { seq: SeqNumber::new(seq), ack: SeqNumber::new(ack), flags, window: 10_000, ..Header::default() }
}

/// A packet with a segment, made by hand.
fn packet(from: SocketAddr, to: SocketAddr, header: Header, payload: &[u8]) -> Vec<u8> {
    let header = Header { source_port: from.port(), destination_port: to.port(), ..header };
    let mut segment = BytesMut::new();
    Segment { header, payload }.emit(from.ip(), to.ip(), &mut segment);
    let mut wire = BytesMut::new();
    envelope(from.ip(), to.ip(), Protocol::TCP).emit(&segment, &mut wire);
    wire.to_vec()
}

fn envelope(source: IpAddr, destination: IpAddr, protocol: Protocol) -> ip::Header {
    ip::Header { source, destination, protocol, hop_limit: 64, ecn: Ecn::NotEct }
}

/// A stack at b, and whatever segments we like from a.
struct Bench {
    now: Instant,
    stack: Stack,
}

impl Bench {
    fn new(config: StackConfig) -> Self {
        let mut stack = Stack::new(config, &Seed::from(9));
        stack.add_address(ip(B4));
        Self { now: Instant::from_secs(1000), stack }
    }

    /// The answers to a segment from a port of a to port 80.
    fn arrives(&mut self, port: u16, header: Header, payload: &[u8]) -> Vec<Header> {
        self.stack.handle_packet(self.now, &packet(at(A4, port), at(B4, 80), header, payload));
        self.sent()
    }

    fn sent(&mut self) -> Vec<Header> {
        let mut headers = vec![];
        let mut wire = BytesMut::new();
        while self.stack.poll_transmit(self.now, &mut wire).is_some() {
            let packet = Packet::parse(&wire).unwrap();
            headers
                .push(Segment::parse(packet.payload, packet.header.source, packet.header.destination).unwrap().header);
            wire.clear();
        }
        headers
    }

    /// A connection from `port` that we have closed first, in TIME-WAIT. The peer's next sequence number is 5002; ours is
    /// returned.
    fn time_wait(&mut self, port: u16, listener: ListenerHandle, timestamp: Option<u32>) -> u32 {
        let options =
            Options { timestamps: timestamp.map(|value| Timestamps { value, echo: 0 }), ..Options::default() };
        let peer = |flags, seq, ack| Header { options, ..header(flags, seq, ack) };
        let syn_ack = self.arrives(port, peer(Flags::SYN, 5000, 0), b"");
        let iss = syn_ack[0].seq.value();
        self.arrives(port, peer(Flags::ACK, 5001, iss + 1), b"");
        let server = self.stack.accept(listener).unwrap();
        self.stack.connection_mut(server).unwrap().shutdown();
        assert_eq!(self.sent().len(), 1);
        let answers = self.arrives(port, peer(Flags::FIN | Flags::ACK, 5001, iss + 2), b"");
        assert_eq!(answers.len(), 1);
        assert_eq!(self.stack.time_waits(), 1);
        self.stack.release(server);
        assert_eq!(self.sent(), []);
        assert_eq!(self.stack.connections(), 0);
        iss + 2
    }
}

#[test]
fn rfc_9293_3_10_7_4_time_wait_answers_a_repeated_fin_and_starts_again() {
    let mut bench = Bench::new(StackConfig::default());
    let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    let next = bench.time_wait(7, listener, None);
    let over = bench.stack.poll_timeout().unwrap();
    assert_eq!(over, bench.now + Duration::from_secs(60));
    bench.now += Duration::from_secs(30);
    let answers = bench.arrives(7, header(Flags::FIN | Flags::ACK, 5001, next), b"");
    let [ack] = answers[..] else { panic!("{answers:?}") };
    assert_eq!((ack.flags, ack.seq.value(), ack.ack.value()), (Flags::ACK, next, 5002));
    assert_eq!(bench.stack.poll_timeout(), Some(bench.now + Duration::from_secs(60)));
}

#[test]
fn rfc_9293_3_10_7_4_time_wait_ends_by_an_rst_only_at_exactly_rcv_nxt() {
    let mut bench = Bench::new(StackConfig::default());
    let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    bench.time_wait(7, listener, None);
    assert_eq!(bench.arrives(7, header(Flags::RST, 5003, 0), b"").len(), 1);
    assert_eq!(bench.arrives(7, header(Flags::RST, 4000, 0), b"").len(), 0);
    assert_eq!(bench.stack.time_waits(), 1);
    assert_eq!(bench.arrives(7, header(Flags::RST, 5002, 0), b"").len(), 0);
    assert_eq!((bench.stack.time_waits(), bench.stack.poll_timeout()), (0, None));
}

#[test]
fn rfc_6191_2_a_later_syn_reopens_and_an_earlier_one_is_challenged() {
    // What the first connection and the second SYN say: timestamps, sequence numbers; and whether it reopens.
    let cases = [
        (None, None, 5003, true),
        (None, None, 4000, false),
        (None, Some(1), 4000, true),
        (Some(100), Some(101), 4000, true),
        (Some(100), Some(100), 5003, true),
        (Some(100), Some(100), 4000, false),
        (Some(100), Some(99), 6000, false),
        (Some(100), None, 6000, true),
        (Some(100), None, 4000, false),
    ];
    for case @ (first, second, seq, reopens) in cases {
        let mut bench = Bench::new(StackConfig::default());
        let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
        let next = bench.time_wait(7, listener, first);
        let options = Options { timestamps: second.map(|value| Timestamps { value, echo: 0 }), ..Options::default() };
        let answers = bench.arrives(7, Header { options, ..header(Flags::SYN, seq, 0) }, b"");
        let [answer] = answers[..] else { panic!("{case:?} {answers:?}") };
        if reopens {
            assert_eq!((answer.flags, answer.ack.value()), (Flags::SYN | Flags::ACK, seq + 1), "{case:?}");
            assert!(answer.seq.after(SeqNumber::new(next)), "beyond everything that the old connection used");
            assert_eq!((bench.stack.time_waits(), bench.stack.statistics().time_wait_reopened), (0, 1));
        } else {
            assert_eq!((answer.flags, answer.seq.value(), answer.ack.value()), (Flags::ACK, next, 5002), "{case:?}");
            assert_eq!(bench.stack.time_waits(), 1);
        }
    }
}

/// RFC 6191 2: where the new connection would not use timestamps, only the sequence number counts.
#[test]
fn rfc_6191_2_timestamps_that_nobody_would_use_prove_nothing() {
    for (seq, reopens) in [(4000, false), (6000, true)] {
        let mut bench = Bench::new(StackConfig::default());
        let connection = Config { timestamps: false, ..Config::default() };
        let config = ListenerConfig { connection, ..ListenerConfig::default() };
        let listener = bench.stack.listen(at(B4, 80), config).unwrap();
        bench.time_wait(7, listener, Some(100));
        let options = Options { timestamps: Some(Timestamps { value: 200, echo: 0 }), ..Options::default() };
        bench.arrives(7, Header { options, ..header(Flags::SYN, seq, 0) }, b"");
        assert_eq!(bench.stack.statistics().time_wait_reopened, u64::from(reopens), "{seq}");
    }
}

#[test]
fn time_wait_is_bounded_and_the_oldest_goes_first() {
    let mut bench = Bench::new(StackConfig { max_time_wait: 1, ..StackConfig::default() });
    let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    bench.time_wait(7, listener, None);
    bench.now += Duration::from_secs(1);
    bench.time_wait(8, listener, None);
    assert_eq!(bench.stack.statistics().time_wait_recycled, 1);
    assert_eq!(bench.stack.poll_timeout(), Some(bench.now + Duration::from_secs(60)));
}

#[test]
fn rfc_6056_a_client_reconnects_from_another_port_while_the_first_waits() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    let (client, server) = link.open(listener, at(B4, 80));
    let port = link.port_of(client);
    link.a.connection_mut(client).unwrap().shutdown();
    link.run();
    link.b.connection_mut(server).unwrap().shutdown();
    link.run();
    assert_eq!(link.a.time_waits(), 1);
    let again = link.a.connect_from(link.now, at(A4, port), at(B4, 80), Config::default());
    assert_eq!(again, Err(OpenError::InUse));
    let (second, _) = link.open(listener, at(B4, 80));
    assert_ne!(link.port_of(second), port);
}

#[test]
fn rfc_4987_a_syn_flood_is_answered_with_cookies_and_clients_still_connect() {
    let mut link = Link::default();
    let config = ListenerConfig { syn_queue: 8, ..ListenerConfig::default() };
    let listener = link.b.listen(at("0.0.0.0", 80), config).unwrap();
    for port in 1..=1000 {
        link.b.handle_packet(link.now, &packet(at("198.51.100.7", port), at(B4, 80), header(Flags::SYN, 1, 0), b""));
        let mut wire = BytesMut::new();
        assert!(link.b.poll_transmit(link.now, &mut wire).is_some());
    }
    assert_eq!(link.b.listener(listener).unwrap().handshakes(), 8);
    assert_eq!(link.b.listener(listener).unwrap().statistics().cookies_sent, 992);
    let (client, server) = link.open(listener, at(B4, 80));
    assert_eq!(link.b.listener(listener).unwrap().statistics().cookies_accepted, 1);
    send(&mut link.a, client, &pattern(200_000));
    link.wait(ms(1000));
    // More than a window without a scale: the scale came back with the timestamp.
    assert_eq!(read(&mut link.b, server), pattern(200_000));
    send(&mut link.b, server, &pattern(200_000));
    link.wait(ms(1000));
    assert_eq!(read(&mut link.a, client), pattern(200_000));
}

#[test]
fn rfc_4987_a_forged_cookie_is_reset() {
    let mut bench = Bench::new(StackConfig::default());
    let config = ListenerConfig { syn_queue: 0, ..ListenerConfig::default() };
    let listener = bench.stack.listen(at(B4, 80), config).unwrap();
    let cookie = bench.arrives(7, header(Flags::SYN, 5000, 0), b"")[0].seq.value();
    let answers = bench.arrives(7, header(Flags::ACK, 5001, cookie + 2), b"");
    assert_eq!(answers.iter().map(|header| header.flags).collect::<Vec<_>>(), [Flags::RST]);
    // Nor is a good one taken long after.
    bench.now += Duration::from_secs(200);
    assert_eq!(bench.arrives(7, header(Flags::ACK, 5001, cookie + 1), b"")[0].flags, Flags::RST);
    bench.now = bench.now.max(Instant::from_secs(2000));
    let cookie = bench.arrives(7, header(Flags::SYN, 5000, 0), b"")[0].seq.value();
    assert_eq!(bench.arrives(7, header(Flags::ACK, 5001, cookie + 1), b""), []);
    assert!(bench.stack.accept(listener).is_some());
}

#[test]
fn syn_acks_are_sent_again_until_their_own_limit() {
    let mut bench = Bench::new(StackConfig::default());
    let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    let first = bench.arrives(7, header(Flags::SYN, 5000, 0), b"");
    let mut waits = vec![];
    while let Some(next) = bench.stack.poll_timeout() {
        waits.push((next - bench.now).as_secs());
        bench.now = next;
        bench.stack.handle_timeout(bench.now);
        let again = bench.sent();
        if !again.is_empty() {
            assert_eq!((again.len(), again[0].flags, again[0].seq), (1, first[0].flags, first[0].seq));
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32]);
    let listener = bench.stack.listener(listener).unwrap();
    assert_eq!((listener.handshakes(), listener.statistics().timed_out), (0, 1));
    assert_eq!(listener.statistics().syn_acks_repeated, 5);
}

#[test]
fn the_accept_queue_is_bounded_and_drains() {
    let mut link = Link::default();
    let config = ListenerConfig { backlog: 2, ..ListenerConfig::default() };
    let listener = link.b.listen(at("0.0.0.0", 80), config).unwrap();
    let clients: Vec<_> = (0..3).map(|_| link.a.connect(link.now, at(B4, 80), Config::default()).unwrap()).collect();
    link.run();
    assert_eq!(link.b.connections(), 2);
    assert!(link.b.listener(listener).unwrap().statistics().accept_queue_full > 0);
    assert!(link.b.accept(listener).is_some());
    link.wait(Duration::from_secs(10));
    assert_eq!(link.b.connections(), 3);
    assert!(clients.iter().all(|client| link.a.connection(*client).unwrap().state() == State::Established));
}

#[test]
fn rfc_9293_3_10_7_4_a_reset_handshake_is_forgotten() {
    let mut bench = Bench::new(StackConfig::default());
    let listener = bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    bench.arrives(7, header(Flags::SYN, 5000, 0), b"");
    bench.arrives(7, header(Flags::RST, 5001, 0), b"");
    assert_eq!(bench.stack.listener(listener).unwrap().handshakes(), 0);
    // A repeated SYN gets the same answer; another one begins anew.
    let first = bench.arrives(7, header(Flags::SYN, 5000, 0), b"");
    assert_eq!(bench.arrives(7, header(Flags::SYN, 5000, 0), b""), first);
    let other = bench.arrives(7, header(Flags::SYN, 5100, 0), b"");
    assert_eq!((other[0].flags, other[0].ack.value()), (Flags::SYN | Flags::ACK, 5101));
}

#[test]
fn rfc_5961_7_challenges_of_all_connections_are_limited_together() {
    let config = StackConfig { challenge_acks: 8, ..StackConfig::default() };
    let mut bench = Bench::new(config);
    bench.stack.listen(at(B4, 80), ListenerConfig::default()).unwrap();
    for port in 1..=40 {
        let iss = bench.arrives(port, header(Flags::SYN, 5000, 0), b"")[0].seq.value();
        bench.arrives(port, header(Flags::ACK, 5001, iss + 1), b"");
    }
    let challenges = |bench: &mut Bench| -> usize {
        (1..=40).map(|port| bench.arrives(port, header(Flags::RST, 5002, 0), b"").len()).sum()
    };
    assert!((4..=8).contains(&challenges(&mut bench)));
    assert_eq!(challenges(&mut bench), 0);
    bench.now += Duration::from_secs(1);
    assert!((4..=8).contains(&challenges(&mut bench)));
}

#[test]
fn rfc_2525_2_17_data_for_a_released_connection_is_reset() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    let (client, server) = link.open(listener, at(B4, 80));
    link.b.release(server);
    link.run();
    assert_eq!(link.a.connection(client).unwrap().state(), State::CloseWait);
    send(&mut link.a, client, b"anybody?");
    link.run();
    assert_eq!(events(&mut link.a, client).last(), Some(&Event::Closed(CloseReason::Reset)));
    assert_eq!((link.b.connections(), link.b.statistics().released_reset), (0, 1));
}

/// The peer never closes. Nobody waits for that, so the connection goes; what the peer sends later finds a closed port.
#[test]
fn rfc_1122_4_2_2_13_a_released_connection_does_not_wait_for_ever() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    let (client, server) = link.open(listener, at(B4, 80));
    link.b.release(server);
    link.wait(ms(59_000));
    assert_eq!((link.b.connections(), link.b.time_waits()), (1, 0));
    link.wait(ms(2000));
    assert_eq!((link.b.connections(), link.b.time_waits()), (0, 0));
    assert_eq!(link.a.connection(client).unwrap().state(), State::CloseWait);
    send(&mut link.a, client, b"anybody?");
    link.run();
    assert_eq!(events(&mut link.a, client).last(), Some(&Event::Closed(CloseReason::Reset)));
    // The listener is asked, as nobody else is there.
    assert_eq!(link.b.listener(listener).unwrap().statistics().strays, 1);
    assert_eq!(link.b.statistics().released_reset, 0);
}

#[test]
fn a_released_connection_sends_everything_before_it_ends() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    let (client, server) = link.open(listener, at(B4, 80));
    send(&mut link.b, server, &pattern(150_000));
    link.b.release(server);
    assert!(link.b.connection_mut(server).is_none());
    link.wait(ms(1000));
    assert_eq!(read(&mut link.a, client), pattern(150_000));
    link.a.connection_mut(client).unwrap().shutdown();
    link.run();
    assert_eq!((link.b.connections(), link.b.time_waits()), (0, 1));
}

#[test]
fn rfc_768_datagrams_go_both_ways() {
    for (a, b) in [(A4, B4), (A6, B6)] {
        let mut link = Link::default();
        let any = if ip(a).is_ipv4() { "0.0.0.0" } else { "::" };
        let server = link.b.bind_udp(at(any, 53), UdpConfig::default()).unwrap();
        let client = link.a.bind_udp(at(any, 0), UdpConfig::default()).unwrap();
        link.a.send_datagram(link.now, client, at(b, 53), b"question").unwrap();
        link.run();
        assert_eq!(news(&mut link.b), [StackEvent::Datagram(server)]);
        let question = link.b.recv_datagram(server).unwrap();
        assert_eq!((&question.payload[..], question.destination), (&b"question"[..], at(b, 53)));
        assert_eq!(question.source.ip(), ip(a));
        link.b.send_datagram(link.now, server, question.source, b"").unwrap();
        link.run();
        assert_eq!(link.a.recv_datagram(client).unwrap().payload, "");
        assert_eq!(link.a.recv_datagram(client), None);
        let long = vec![0; 1500];
        assert_eq!(link.a.send_datagram(link.now, client, at(b, 53), &long), Err(UdpSendError::TooLong));
    }
}

#[test]
fn rfc_1122_4_1_3_1_a_datagram_to_a_closed_port_is_answered_port_unreachable() {
    for (any, b, kind) in [("0.0.0.0", B4, [3, 3]), ("::", B6, [1, 4])] {
        let mut link = Link::new(StackConfig::default(), StackConfig { icmp_errors: 2, ..StackConfig::default() });
        let client = link.a.bind_udp(at(any, 0), UdpConfig::default()).unwrap();
        for _ in 0..3 {
            link.a.send_datagram(link.now, client, at(b, 54), b"nobody").unwrap();
        }
        let mut wire = BytesMut::new();
        while link.a.poll_transmit(link.now, &mut wire).is_some() {
            link.b.handle_packet(link.now, &wire);
            let sent = wire.split();
            if link.b.poll_transmit(link.now, &mut wire).is_some() {
                let packet = Packet::parse(&wire).unwrap();
                assert_eq!(packet.payload[..2], kind);
                assert_eq!(packet.payload[8..], sent[..]);
                wire.clear();
            }
        }
        assert_eq!(link.b.statistics().port_unreachable_sent, 2);
        assert_eq!(link.b.statistics().icmp_errors_suppressed, 1);
    }
}

#[test]
fn rfc_1122_4_1_3_3_an_icmp_error_reaches_the_socket_whose_datagram_it_quotes() {
    for (any, a, b, kind) in [("0.0.0.0", A4, B4, [3, 3]), ("::", A6, B6, [1, 4])] {
        let mut link = Link::default();
        let socket = link.a.bind_udp(at(any, 5000), UdpConfig::default()).unwrap();
        let other = link.a.bind_udp(at(any, 5001), UdpConfig::default()).unwrap();
        for port in [54, 55] {
            link.a.send_datagram(link.now, socket, at(b, port), b"nobody").unwrap();
        }
        link.run();
        assert_eq!(news(&mut link.a), [StackEvent::Datagram(socket)]);
        let error = DatagramError { destination: at(b, 55), kind: IcmpErrorKind::Hard };
        assert_eq!(link.a.take_datagram_error(socket), Some(error), "the last one");
        assert_eq!((link.a.take_datagram_error(socket), link.a.take_datagram_error(other)), (None, None));
        assert_eq!(link.a.statistics().icmp_errors, 2);
        // About a port that is not ours, an address that is not ours, and cut off before the ports.
        let head = [kind[0], kind[1], 0, 0, 0, 0, 0, 0];
        for (source, bytes) in [(a, &[0, 1, 0, 54][..]), (b, &[0x13, 0x88, 0, 54]), (a, &[0x13, 0x88, 0])] {
            let mut quoted = BytesMut::new();
            envelope(ip(source), ip(b), Protocol::UDP).emit(bytes, &mut quoted);
            link.a.handle_packet(link.now, &icmp_error(ip(b), ip(a), head, &quoted));
        }
        assert_eq!((link.a.statistics().icmp_errors, link.a.statistics().icmp_ignored), (2, 3));
        assert_eq!(news(&mut link.a), []);
    }
}

#[test]
fn a_datagram_queue_is_bounded() {
    let mut link = Link::default();
    let server = link.b.bind_udp(at(B4, 53), UdpConfig { recv_capacity: 300 }).unwrap();
    let client = link.a.bind_udp(at(A4, 0), UdpConfig::default()).unwrap();
    for _ in 0..5 {
        link.a.send_datagram(link.now, client, at(B4, 53), &[1; 36]).unwrap();
    }
    link.run();
    assert_eq!(link.b.statistics().datagram_queue_full, 2);
    assert_eq!(std::iter::from_fn(|| link.b.recv_datagram(server)).count(), 3);
}

#[test]
fn rfc_1122_3_2_2_6_an_echo_request_is_answered() {
    let mut link = Link::default();
    for (a, b, protocol, kinds) in [(A4, B4, Protocol::ICMP, [8, 0]), (A6, B6, Protocol::ICMPV6, [128, 129])] {
        let mut request = vec![kinds[0], 0, 0, 0, 1, 2, 3, 4, b'p', b'i', b'n', b'g', b'!'];
        let sum = icmp_checksum(ip(a), ip(b), &request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut wire = BytesMut::new();
        envelope(ip(a), ip(b), protocol).emit(&request, &mut wire);
        link.b.handle_packet(link.now, &wire);
        let mut out = BytesMut::new();
        link.b.poll_transmit(link.now, &mut out).unwrap();
        let reply = Packet::parse(&out).unwrap();
        assert_eq!((reply.header.source, reply.header.destination), (ip(b), ip(a)));
        assert_eq!((reply.payload[0], &reply.payload[4..]), (kinds[1], &request[4..]));
        assert_eq!(icmp_checksum(ip(b), ip(a), reply.payload), 0);
        // With a wrong checksum there is no answer.
        let last = wire.len() - 1;
        wire[last] ^= 1;
        link.b.handle_packet(link.now, &wire);
        assert_eq!(link.run(), 0);
    }
    assert_eq!((link.b.statistics().echo_replies, link.b.statistics().icmp_malformed), (2, 2));
}

/// An ICMP message with these first eight bytes, which quotes `packet`.
fn icmp_error(from: IpAddr, to: IpAddr, head: [u8; 8], packet: &[u8]) -> Vec<u8> {
    let mut message = [&head[..], packet].concat();
    let sum = icmp_checksum(from, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let protocol = if from.is_ipv4() { Protocol::ICMP } else { Protocol::ICMPV6 };
    let mut wire = BytesMut::new();
    envelope(from, to, protocol).emit(&message, &mut wire);
    wire.to_vec()
}

#[test]
fn rfc_9293_3_9_2_2_icmp_errors_reach_the_connection_whose_segment_they_quote() {
    for (router, b, unreachable) in
        [("203.0.113.9", B4, [3, 3, 0, 0, 0, 0, 0, 0]), ("2001:db8:9::1", B6, [1, 4, 0, 0, 0, 0, 0, 0])]
    {
        let mut link = Link::default();
        let client = link.a.connect(link.now, at(b, 81), Config::default()).unwrap();
        let other = link.a.connect(link.now, at(b, 82), Config::default()).unwrap();
        let mut syn = BytesMut::new();
        link.a.poll_transmit(link.now, &mut syn).unwrap();
        let local = link.a.connection(client).unwrap().local().ip();
        // No more than eight bytes of the segment need be quoted.
        let quoted = &syn[..syn.len() - 20];
        link.a.handle_packet(link.now, &icmp_error(ip(router), local, unreachable, quoted));
        assert_eq!(events(&mut link.a, client), [Event::Closed(CloseReason::Unreachable)]);
        assert_eq!(events(&mut link.a, other), []);
        assert_eq!(link.a.statistics().icmp_errors, 1);
    }
}

/// The entry of the SYN queue stands for a connection in SYN-RECEIVED, to which the same rules apply.
#[test]
fn rfc_9293_3_9_2_2_an_icmp_error_ends_a_handshake_under_way() {
    let mut link = Link::default();
    let listener = link.listen(at("0.0.0.0", 80));
    link.a.connect(link.now, at(B4, 80), Config::default()).unwrap();
    let (mut syn, mut syn_ack) = (BytesMut::new(), BytesMut::new());
    link.a.poll_transmit(link.now, &mut syn).unwrap();
    link.b.handle_packet(link.now, &syn);
    link.b.poll_transmit(link.now, &mut syn_ack).unwrap();
    let mut arrives = |head: [u8; 8], quoted: &[u8]| {
        link.b.handle_packet(link.now, &icmp_error(ip("203.0.113.9"), ip(B4), head, quoted));
        let statistics = *link.b.statistics();
        let listener = link.b.listener(listener).unwrap();
        (listener.handshakes(), listener.statistics().unreachable, statistics.icmp_errors, statistics.icmp_ignored)
    };
    // A soft error may pass; a sequence number that is not ours proves nothing (RFC 5927 4.1); nor do sockets of nobody.
    assert_eq!(arrives([3, 1, 0, 0, 0, 0, 0, 0], &syn_ack), (1, 0, 1, 0));
    let mut forged = syn_ack.clone();
    forged[27] ^= 1;
    assert_eq!(arrives([3, 3, 0, 0, 0, 0, 0, 0], &forged), (1, 0, 2, 0));
    let mut stranger = syn_ack.clone();
    stranger[23] ^= 1;
    assert_eq!(arrives([3, 3, 0, 0, 0, 0, 0, 0], &stranger), (1, 0, 2, 1));
    assert_eq!(arrives([3, 3, 0, 0, 0, 0, 0, 0], &syn_ack), (0, 1, 3, 1));
}

#[test]
fn a_removed_address_takes_its_connections_and_sockets_with_it() {
    let other = "192.0.2.77";
    let mut link = Link::default();
    assert!(link.b.add_address(ip(other)));
    let listener = link.listen(at("0.0.0.0", 80));
    let alone = link.b.listen(at(other, 81), ListenerConfig::default()).unwrap();
    let datagrams = link.b.bind_udp(at(other, 53), UdpConfig::default()).unwrap();
    let (_, kept) = link.open(listener, at(B4, 80));
    let (client, lost) = link.open(listener, at(other, 80));
    let (closing, waits) = link.open(listener, at(other, 80));
    link.b.connection_mut(waits).unwrap().shutdown();
    link.a.connection_mut(closing).unwrap().shutdown();
    link.run();
    assert_eq!(link.b.time_waits(), 1);
    // And a handshake under way.
    link.a.connect(link.now, at(other, 80), Config::default()).unwrap();
    let mut syn = BytesMut::new();
    link.a.poll_transmit(link.now, &mut syn).unwrap();
    link.b.handle_packet(link.now, &syn);
    while link.b.poll_transmit(link.now, &mut BytesMut::new()).is_some() {}
    assert_eq!(link.b.listener(listener).unwrap().handshakes(), 1);

    assert!(link.b.remove_address(ip(other)));
    assert!(!link.b.remove_address(ip(other)));
    assert!(link.b.poll_transmit(link.now, &mut BytesMut::new()).is_none(), "nothing may leave from there");
    assert_eq!(events(&mut link.b, lost).last(), Some(&Event::Closed(CloseReason::Unreachable)));
    assert_eq!(link.b.connection(kept).unwrap().state(), State::Established);
    assert_eq!((link.b.time_waits(), link.b.listener(listener).unwrap().handshakes()), (0, 0));
    assert!(link.b.listener(alone).is_none() && link.b.udp_local(datagrams).is_none());
    // What is sent there is not ours, and connections begin from what is left.
    send(&mut link.a, client, b"anybody?");
    let before = link.b.statistics().ip_not_ours;
    link.run();
    assert!(link.b.statistics().ip_not_ours > before);
    assert!(link.b.remove_address(ip(B4)));
    assert_eq!(link.b.connect(link.now, at(A4, 80), Config::default()), Err(OpenError::NoAddress));
    assert!(link.b.add_address(ip(other)));
    let again = link.b.connect(link.now, at(A4, 80), Config::default()).unwrap();
    assert_eq!(link.b.connection(again).unwrap().local().ip(), ip(other));
}

#[test]
fn rfc_1191_and_rfc_8201_a_packet_too_big_makes_segments_smaller() {
    for (router, b, head) in
        [("203.0.113.9", B4, [3, 4, 0, 0, 0, 0, 5, 0x14]), ("2001:db8:9::1", B6, [2, 0, 0, 0, 0, 0, 5, 0x14])]
    {
        let mut link = Link::default();
        let any = if ip(b).is_ipv4() { "0.0.0.0" } else { "::" };
        let listener = link.listen(at(any, 80));
        let (client, _) = link.open(listener, at(b, 80));
        send(&mut link.a, client, &pattern(5000));
        let mut wire = BytesMut::new();
        link.a.poll_transmit(link.now, &mut wire).unwrap();
        assert_eq!(wire.len(), 1500);
        let local = link.a.connection(client).unwrap().local().ip();
        link.a.handle_packet(link.now, &icmp_error(ip(router), local, head, &wire[..100]));
        wire.clear();
        let mut longest = 0;
        while link.a.poll_transmit(link.now, &mut wire).is_some() {
            longest = longest.max(wire.len());
            link.b.handle_packet(link.now, &wire.split());
        }
        assert_eq!(longest, 0x514);
    }
}

fn icmp_checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    let mut bytes = vec![];
    if let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) {
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        bytes.extend((message.len() as u32).to_be_bytes());
        bytes.extend([0, 0, 0, 58]);
    }
    bytes.extend(message);
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[test]
fn many_addresses_are_all_ours_and_others_are_not() {
    let mut link = Link::default();
    for host in 10..250 {
        assert!(link.b.add_address(ip(&format!("192.0.2.{host}"))));
    }
    assert!(!link.b.add_address(ip("192.0.2.10")) && !link.b.add_address(ip("224.0.0.1")));
    let listener = link.listen(at("0.0.0.0", 80));
    let only = link.listen(at("192.0.2.200", 80));
    for (host, listener) in [(10, listener), (249, listener), (200, only)] {
        let local = at(&format!("192.0.2.{host}"), 80);
        let (_, server) = link.open(listener, local);
        assert_eq!(link.b.connection(server).unwrap().local(), local);
    }
    link.b.handle_packet(link.now, &packet(at(A4, 7), at("192.0.2.251", 80), header(Flags::SYN, 5, 0), b""));
    assert_eq!(link.run(), 0);
    assert_eq!(link.b.statistics().ip_not_ours, 1);
}

#[test]
fn opening_fails_for_a_reason() {
    let mut stack = Stack::new(StackConfig { max_connections: 1, ..StackConfig::default() }, &Seed::from(1));
    let now = Instant::ORIGIN;
    let config = Config::default;
    assert_eq!(stack.connect(now, at(B4, 80), config()), Err(OpenError::NoAddress));
    stack.add_address(ip(A4));
    assert_eq!(stack.connect(now, at(B6, 80), config()), Err(OpenError::NoAddress));
    assert_eq!(stack.connect_from(now, at(B4, 0), at(B4, 80), config()), Err(OpenError::NoAddress));
    assert_eq!(stack.connect(now, at(B4, 0), config()), Err(OpenError::NoPeer));
    assert_eq!(stack.connect(now, at("224.0.0.1", 80), config()), Err(OpenError::NoPeer));
    assert!(stack.connect(now, at(B4, 80), config()).is_ok());
    assert_eq!(stack.connect(now, at(B4, 80), config()), Err(OpenError::TooMany));
    assert!(stack.listen(at(A4, 80), ListenerConfig::default()).is_ok());
    assert_eq!(stack.listen(at(A4, 80), ListenerConfig::default()), Err(OpenError::InUse));
    assert_eq!(stack.listen(at(B4, 80), ListenerConfig::default()), Err(OpenError::NoAddress));
    assert_eq!(stack.bind_udp(at(B4, 80), UdpConfig::default()), Err(OpenError::NoAddress));
}

#[test]
fn law_4_the_same_secret_and_packets_give_the_same_packets() {
    let run = || {
        let mut link = Link::default();
        let listener = link.listen(at("0.0.0.0", 80));
        let (client, _) = link.open(listener, at(B4, 80));
        (link.port_of(client), link.log.clone())
    };
    assert_eq!(run(), run());
}
