//! What the tests share: two connections joined by a pipe with seeded faults, and a hand-made peer for one.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::needless_pass_by_value, reason = "a segment is written where it arrives")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drywire_core::{Instant, Rng, Seed};
use drywire_tcp::{Config, Connection, Event, Flags, Header, Options, Segment, SeqNumber, State};

pub(crate) const A: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 49152);
pub(crate) const B: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 80);

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Bytes that differ along the stream, so that a lost, doubled or swapped piece shows.
pub(crate) fn pattern(n: usize) -> Vec<u8> {
    (0..n as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What the network does to segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Percent of the segments.
    pub(crate) loss: u64,
    pub(crate) duplication: u64,
    /// One way; each segment takes up to `jitter` longer, which reorders them.
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
}

pub(crate) const PERFECT: Faults = Faults { loss: 0, duplication: 0, latency: ms(10), jitter: Duration::ZERO };

/// Two connections, the segments between them, and what each application does: send its bytes, shut down, read all.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) ends: [Connection; 2],
    pub(crate) events: [Vec<Event>; 2],
    pub(crate) received: [Vec<u8>; 2],
    to_send: [Bytes; 2],
    shut: [bool; 2],
    /// Whether the application reads what has arrived.
    pub(crate) reading: [bool; 2],
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    faults: Faults,
    rng: Rng,
    pub(crate) log: Vec<String>,
    pub(crate) logging: bool,
}

impl Pair {
    /// A client in SYN-SENT and a listener.
    pub(crate) fn new(seed: u64, faults: Faults, config: &Config, payload: [&[u8]; 2]) -> Self {
        let mut rng = Rng::new(&Seed::from(seed));
        let isn = [rng.next_u32().into(), rng.next_u32().into()];
        let client = Connection::connect(Instant::ORIGIN, A, B, isn[0], config.clone());
        let server = Connection::listen(B, isn[1], config.clone());
        Self::of([client, server], rng, faults, payload)
    }

    /// Both ends active.
    pub(crate) fn simultaneous(seed: u64, faults: Faults, config: &Config, payload: [&[u8]; 2]) -> Self {
        let mut rng = Rng::new(&Seed::from(seed));
        let isn = [rng.next_u32().into(), rng.next_u32().into()];
        let ends = [
            Connection::connect(Instant::ORIGIN, A, B, isn[0], config.clone()),
            Connection::connect(Instant::ORIGIN, B, A, isn[1], config.clone()),
        ];
        Self::of(ends, rng, faults, payload)
    }

    fn of(ends: [Connection; 2], rng: Rng, faults: Faults, payload: [&[u8]; 2]) -> Self {
        Self {
            now: Instant::ORIGIN,
            ends,
            events: [vec![], vec![]],
            received: [vec![], vec![]],
            to_send: payload.map(Bytes::copy_from_slice),
            shut: [false; 2],
            reading: [true; 2],
            wire: BTreeMap::new(),
            sent: 0,
            faults,
            rng,
            log: vec![],
            logging: false,
        }
    }

    pub(crate) fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    /// Lets the applications act and the connections send until nothing more happens at this instant.
    pub(crate) fn settle(&mut self) {
        for side in 0..2 {
            self.application(side);
            let mut out = BytesMut::new();
            while let Some(transmit) = self.ends[side].poll_transmit(self.now, &mut out) {
                assert_eq!(transmit.len, out.len());
                self.carry(side, &out);
                out.clear();
            }
            while let Some(event) = self.ends[side].poll_event() {
                self.events[side].push(event);
            }
        }
    }

    fn application(&mut self, side: usize) {
        let end = &mut self.ends[side];
        while !self.to_send[side].is_empty() && end.state() != State::Listen && end.state() != State::Closed {
            let n = end.send_room().min(self.to_send[side].len()).min(16 * 1024);
            if n == 0 {
                break;
            }
            end.send(self.to_send[side].split_to(n)).unwrap();
        }
        if self.to_send[side].is_empty() && !self.shut[side] && end.state().is_synchronized() {
            self.shut[side] = true;
            end.shutdown();
        }
        if self.reading[side] {
            let recv = end.recv();
            let taken = recv.take(recv.len());
            self.received[side].extend_from_slice(&taken);
        }
    }

    fn carry(&mut self, from: usize, segment: &[u8]) {
        if self.logging {
            let [source, destination] = if from == 0 { [A.ip(), B.ip()] } else { [B.ip(), A.ip()] };
            let parsed = Segment::parse(segment, source, destination).unwrap();
            self.log.push(format!("{} {} {parsed}", self.now, ["A>", "B>"][from]));
        }
        let copies = 1 + usize::from(self.rng.chance(self.faults.duplication, 100));
        for _ in 0..copies {
            if !self.rng.chance(self.faults.loss, 100) {
                let jitter = Duration::from_nanos(self.rng.below(self.faults.jitter.as_nanos() as u64 + 1));
                self.wire.insert((self.now + self.faults.latency + jitter, self.sent), (from, segment.to_vec()));
                self.sent += 1;
            }
        }
    }

    /// Moves to the next arrival or deadline; `false` if there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
        let deadlines = self.ends.iter().filter_map(Connection::poll_timeout);
        let Some(next) = deadlines.chain(arrival).min() else { return false };
        self.now = self.now.max(next);
        for end in &mut self.ends {
            end.handle_timeout(self.now);
            assert!(end.poll_timeout().is_none_or(|at| at > self.now), "law 6");
        }
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (from, bytes) = entry.remove();
            let [source, destination] = if from == 0 { [A.ip(), B.ip()] } else { [B.ip(), A.ip()] };
            let segment = Segment::parse(&bytes, source, destination).unwrap();
            self.ends[1 - from].handle_segment(self.now, source, &segment);
            self.settle();
        }
        true
    }

    /// Runs until nothing more can happen.
    pub(crate) fn run(&mut self) {
        for _ in 0..5_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("endless: {:?}", self.states());
    }

    /// How many segments were put on the wire.
    pub(crate) fn segments(&self) -> u64 {
        self.sent
    }
}

/// One connection, and a peer made by hand. The connection's ISN is 1000, the peer's is 5000, so the first bytes are 1001
/// and 5001. Segments are shown as their one line of text.
pub(crate) struct Bench {
    pub(crate) now: Instant,
    pub(crate) end: Connection,
}

/// A segment of the peer.
#[derive(Clone, Debug)]
pub(crate) struct FromPeer {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const RST: Flags = Flags::RST;
pub(crate) const FIN: Flags = Flags::FIN;

/// A segment of the peer with a window of 10,000 bytes; on a SYN it announces an MSS of 1000 bytes.
pub(crate) fn segment(flags: Flags, seq: u32, ack: u32) -> FromPeer {
    let mss = flags.contains(SYN).then_some(1000);
    let header = Header {
        source_port: B.port(),
        destination_port: A.port(),
        seq: SeqNumber::new(seq),
        ack: SeqNumber::new(ack),
        flags,
        window: 10_000,
        urgent: 0,
        options: Options { mss, ..Options::default() },
    };
    FromPeer { header, payload: vec![] }
}

impl FromPeer {
    pub(crate) fn window(mut self, window: u16) -> Self {
        self.header.window = window;
        self
    }

    pub(crate) fn scale(mut self, shift: u8) -> Self {
        self.header.options.window_scale = Some(shift);
        self
    }

    pub(crate) fn mss(mut self, mss: Option<u16>) -> Self {
        self.header.options.mss = mss;
        self
    }

    pub(crate) fn sack_permitted(mut self) -> Self {
        self.header.options.sack_permitted = true;
        self
    }

    pub(crate) fn sack(mut self, blocks: &[(u32, u32)]) -> Self {
        for (left, right) in blocks {
            self.header.options.sack.push(SeqNumber::new(*left), SeqNumber::new(*right));
        }
        self
    }

    pub(crate) fn data(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }
}

/// A window small enough to be announced without a scale, and neither timestamps nor SACK, so that lines stay short. Nothing
/// waits for Nagle's algorithm, and the receive buffer does not grow.
pub(crate) fn config() -> Config {
    Config {
        recv_capacity: 10_000,
        initial_recv_capacity: usize::MAX,
        timestamps: false,
        sack: false,
        no_delay: true,
        ..Config::default()
    }
}

impl Bench {
    /// In SYN-SENT; the SYN is not yet taken.
    pub(crate) fn connecting(config: Config) -> Self {
        let end = Connection::connect(Instant::ORIGIN, A, B, SeqNumber::new(1000), config);
        Self { now: Instant::ORIGIN, end }
    }

    pub(crate) fn listening(config: Config) -> Self {
        Self { now: Instant::ORIGIN, end: Connection::listen(A, SeqNumber::new(1000), config) }
    }

    /// In ESTABLISHED by an active open, 100 ms after the start.
    pub(crate) fn established() -> Self {
        Self::established_with(config(), segment(SYN | ACK, 5000, 1001))
    }

    pub(crate) fn established_with(config: Config, syn_ack: FromPeer) -> Self {
        let mut bench = Self::connecting(config);
        assert_eq!(bench.sent().len(), 1);
        bench.now += ms(100);
        bench.take(&syn_ack);
        bench.sent();
        assert_eq!(bench.end.state(), State::Established);
        assert_eq!(bench.events(), [Event::Established]);
        bench
    }

    /// In SYN-RECEIVED by a passive open.
    pub(crate) fn syn_received(config: Config) -> Self {
        let mut bench = Self::listening(config);
        bench.take(&segment(SYN, 5000, 0));
        assert_eq!(bench.sent().len(), 1);
        assert_eq!(bench.end.state(), State::SynReceived);
        bench
    }

    /// A segment arrives; what leaves is not yet taken.
    pub(crate) fn take(&mut self, from: &FromPeer) {
        let segment = Segment { header: from.header, payload: &from.payload };
        let mut wire = BytesMut::new();
        segment.emit(B.ip(), A.ip(), &mut wire);
        let parsed = Segment::parse(&wire, B.ip(), A.ip()).unwrap();
        assert_eq!(parsed, segment);
        self.end.handle_segment(self.now, B.ip(), &parsed);
    }

    /// A segment arrives; the answers.
    pub(crate) fn arrives(&mut self, from: FromPeer) -> Vec<String> {
        self.take(&from);
        self.sent()
    }

    /// Everything that is ready to leave.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let mut lines = vec![];
        let mut out = BytesMut::new();
        while let Some(transmit) = self.end.poll_transmit(self.now, &mut out) {
            assert_eq!((transmit.source, transmit.destination, transmit.len), (A, B, out.len()));
            lines.push(Segment::parse(&out, A.ip(), B.ip()).unwrap().to_string());
            out.clear();
        }
        assert!(out.is_empty());
        lines
    }

    /// Queues bytes and sends what may leave.
    pub(crate) fn sends(&mut self, n: usize) -> Vec<String> {
        self.end.send(Bytes::from(pattern(n))).unwrap();
        self.sent()
    }

    /// Waits until the next deadline; how long that was, and what leaves then.
    pub(crate) fn times_out(&mut self) -> (Duration, Vec<String>) {
        let deadline = self.end.poll_timeout().expect("a timer runs");
        let waited = deadline - self.now;
        // A moment before, nothing happens.
        self.end.handle_timeout(deadline - Duration::from_nanos(1));
        assert_eq!(self.end.poll_timeout(), Some(deadline));
        self.now = deadline;
        self.end.handle_timeout(self.now);
        assert!(self.end.poll_timeout().is_none_or(|at| at > self.now), "law 6");
        (waited, self.sent())
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.end.poll_event()).collect()
    }

    /// Everything that has arrived in order.
    pub(crate) fn reads(&mut self) -> Vec<u8> {
        let recv = self.end.recv();
        recv.take(recv.len()).to_vec()
    }
}
