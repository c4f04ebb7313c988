//! One TCP connection under segments and calls of the input's choosing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::ip::Ecn;
use drywire::tcp::{
    Config, Congestion, Connection, EcnMode, Event, Flags, Header, IcmpError, IcmpErrorKind, KeepAlive, LateData, NewReno, Options,
    SackBlocks, Segment, SeqNumber, State, Timestamps,
};
use drywire::{Bytes, BytesMut, Instant};

use super::input::Input;

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 49152);
const SEND_CAPACITY: usize = 9000;

/// The laws hold after every call, and the same input gives the same output.
pub fn run(data: &[u8]) {
    assert_eq!(play(data), play(data), "law 4");
}

/// Settings of which each input switches some.
fn config(mode: u8, input: &mut Input<'_>) -> Config {
    let (features, times) = (input.byte(), input.byte());
    let on = |bit: u8| features & bit != 0;
    let time = |shift: u8| Duration::from_millis(1 << (times >> shift & 15));
    Config {
        // Below 64 KiB there is no scale, so that the edge is exact.
        recv_capacity: 1 + input.number(),
        send_capacity: SEND_CAPACITY,
        max_out_of_order: usize::from(mode >> 5),
        timestamps: mode & 4 != 0,
        sack: mode & 16 != 0,
        ecn: if mode & 8 != 0 { EcnMode::Request } else { EcnMode::Accept },
        no_delay: on(1),
        delayed_ack: if on(2) { Duration::ZERO } else { Config::default().delayed_ack },
        quick_acks: if on(4) { 0 } else { 16 },
        keep_alive: on(8).then(|| KeepAlive { idle: time(0) * 4, interval: time(0), count: times & 3 }),
        user_timeout: on(16).then(|| time(4) * 8),
        late_data: if on(32) { LateData::Drop } else { LateData::Reset },
        segmentation_offload: on(64),
        congestion: if on(128) { Congestion::NewReno(NewReno::default()) } else { Congestion::default() },
        ..Config::default()
    }
}

/// Everything that left the connection: segments and events.
fn play(data: &[u8]) -> (Vec<u8>, Vec<Event>) {
    let mut input = Input::new(data);
    let mut bench = Bench::new(&mut input);
    while !input.is_empty() {
        bench.step(&mut input);
        bench.check();
    }
    bench.transmit();
    bench.check();
    (bench.sent, bench.events)
}

struct Bench {
    end: Connection,
    now: Instant,
    recv_capacity: usize,
    /// Beyond the highest sequence number that the connection has used, and its latest acknowledgment: numbers in
    /// segments are counted from here.
    next: SeqNumber,
    acked: SeqNumber,
    /// The right edge of the window as announced last, unless a SYN was sent since.
    edge: Option<SeqNumber>,
    /// How the network has marked the next segment.
    ecn: Ecn,
    sent: Vec<u8>,
    events: Vec<Event>,
}

impl Bench {
    fn new(input: &mut Input<'_>) -> Self {
        let mode = input.byte();
        let config = config(mode, input);
        let recv_capacity = config.recv_capacity;
        let isn = SeqNumber::new(u32::from(input.byte()) << 24 | 0x00ff_ff00);
        let now = Instant::ORIGIN;
        let passive = mode & 1 != 0;
        let end = if passive {
            Connection::listen(LOCAL, isn, config)
        } else {
            Connection::connect(now, LOCAL, PEER, isn, config)
        };
        let (next, acked, edge) = (isn, SeqNumber::new(0xffff_fff0), None);
        let ecn = Ecn::NotEct;
        let mut bench = Self { end, now, recv_capacity, next, acked, edge, ecn, sent: vec![], events: vec![] };
        if mode & 2 != 0 {
            bench.establish(passive, mode & 8 != 0);
        }
        bench
    }

    /// A handshake in order, so that most inputs need not spell it out.
    fn establish(&mut self, passive: bool, timestamps: bool) {
        let options = Options {
            mss: Some(1000),
            window_scale: Some(2),
            sack_permitted: true,
            timestamps: timestamps.then_some(Timestamps { value: 0xffff_fff0, echo: 0 }),
            ..Options::default()
        };
        if passive {
            self.segment(Flags::SYN, self.acked, 8000, options, &[]);
        }
        self.transmit();
        let (flags, seq) = if passive { (Flags::ACK, self.acked) } else { (Flags::SYN | Flags::ACK, self.acked) };
        self.segment(flags, seq, 8000, options, &[]);
        self.transmit();
        assert_eq!(self.end.state(), State::Established);
    }

    fn segment(&mut self, flags: Flags, seq: SeqNumber, window: u16, options: Options, payload: &[u8]) {
        let header = Header {
            source_port: PEER.port(),
            destination_port: LOCAL.port(),
            seq,
            ack: self.next,
            flags,
            window,
            urgent: 0,
            options,
        };
        let ecn = std::mem::replace(&mut self.ecn, Ecn::NotEct);
        self.end.handle_marked_segment(self.now, PEER.ip(), ecn, &Segment { header, payload });
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 19 {
            // The most likely segments: in order, near, and anywhere.
            0 => {
                let (next, len) = (self.acked, input.number() % 2000);
                self.segment(Flags::ACK, next, 5000, timestamps(input.byte()), &vec![3; len]);
            }
            1..=4 => self.arbitrary_segment(input),
            5 => {
                self.now += Duration::from_millis(input.number() as u64);
                self.time_out();
            }
            6 => {
                self.now = self.end.poll_timeout().unwrap_or(self.now).max(self.now);
                self.time_out();
            }
            7 => self.transmit(),
            8 => {
                let bytes = Bytes::from(vec![5; input.number() % 4000]);
                let (len, room, state) = (bytes.len(), self.end.send_room(), self.end.state());
                let taken = self.end.send(bytes).is_ok();
                assert!(!taken || (len <= room && !matches!(state, State::Closed | State::Listen | State::LastAck)));
            }
            9 => self.end.recv().skip(input.number()),
            10 => self.end.shutdown(),
            11 if input.byte().is_multiple_of(8) => self.end.abort(),
            12 => self.icmp(input),
            13 => {
                // What a link with offload has put together.
                let len = input.number() * 2;
                self.segment(Flags::ACK, self.acked, 5000, timestamps(input.byte()), &vec![3; len]);
            }
            14 => self.selective_acknowledgment(input),
            15 if input.byte().is_multiple_of(4) => self.end.shutdown_read(),
            16 => {
                // To the peer's FIN and to everything of ours.
                let (next, len) = (self.acked, input.number() % 100);
                self.segment(Flags::ACK | Flags::FIN, next, 5000, timestamps(input.byte()), &vec![3; len]);
            }
            17 => self.ecn = [Ecn::Ect0, Ecn::Ect1, Ecn::Ce][usize::from(input.byte() % 3)],
            18 => {
                // Taken in pieces, which share their memory with what remains.
                let taken = self.end.recv().take(input.number());
                assert!(taken.iter().all(|byte| matches!(byte, 3 | 9)));
            }
            _ => {}
        }
    }

    fn icmp(&mut self, input: &mut Input<'_>) {
        let kind = match input.byte() % 4 {
            0 => IcmpErrorKind::Hard,
            1 => IcmpErrorKind::Soft,
            _ => IcmpErrorKind::PacketTooBig { mtu: input.number() as u32 },
        };
        // Mostly about what is in flight.
        let behind = self.end.info().unacknowledged;
        let seq = self.next + input.signed() + (behind / 2).wrapping_neg();
        self.end.handle_icmp(self.now, IcmpError { kind, seq });
    }

    fn selective_acknowledgment(&mut self, input: &mut Input<'_>) {
        let flight = self.end.info().unacknowledged;
        let una = self.next + flight.wrapping_neg();
        let mut sack = SackBlocks::new();
        for _ in 0..=input.byte() % 4 {
            let left = una + input.number() as u32;
            sack.push(left, left + input.number() as u32);
        }
        let options = Options { sack, ..timestamps(input.byte()) };
        let (next, acked) = (self.next, self.acked);
        self.next = una + (flight / 256) * u32::from(input.byte());
        self.segment(Flags::ACK, acked, 5000, options, &[]);
        self.next = next;
    }

    fn arbitrary_segment(&mut self, input: &mut Input<'_>) {
        let mut flags = Flags::from_bits(input.byte());
        if flags.contains(Flags::URG) {
            flags = Flags::ACK;
        }
        let seq = self.acked + input.signed();
        let next = self.next;
        self.next = next + input.signed();
        let window = input.number() as u16;
        let mut options = timestamps(input.byte());
        options.mss = (flags.contains(Flags::SYN)).then_some(window);
        let payload = vec![9; usize::from(input.byte()) * 8];
        self.segment(flags, seq, window, options, &payload);
        self.next = next;
    }

    fn time_out(&mut self) {
        self.end.handle_timeout(self.now);
        assert!(self.end.poll_timeout().is_none_or(|at| at > self.now), "law 6");
    }

    fn transmit(&mut self) {
        for _ in 0..300 {
            let mut out = BytesMut::new();
            let Some(transmit) = self.end.poll_transmit(self.now, &mut out) else {
                assert!(out.is_empty());
                return;
            };
            assert_eq!((transmit.source, transmit.len), (LOCAL, out.len()));
            let segment = Segment::parse(&out, LOCAL.ip(), PEER.ip()).expect("what leaves is well formed");
            self.observe(&segment, transmit.gso_size);
            self.sent.extend_from_slice(&out);
        }
        panic!("segments without end");
    }

    /// What a peer may rely on.
    fn observe(&mut self, segment: &Segment<'_>, gso_size: Option<u16>) {
        let header = &segment.header;
        match gso_size {
            None => assert!(segment.payload.len() <= 1460),
            Some(size) => assert!((1..=1460).contains(&size) && segment.payload.len() > usize::from(size)),
        }
        if header.flags.contains(Flags::RST) {
            return;
        }
        self.next = self.next.max(header.seq + segment.sequence_len());
        if !header.flags.contains(Flags::ACK) {
            return;
        }
        let edge = header.ack + u32::from(header.window);
        if header.flags.contains(Flags::SYN) {
            self.edge = None;
        } else if let Some(before) = self.edge {
            assert!(header.ack.at_or_after(self.acked), "RCV.NXT moves back");
            assert!(edge.at_or_after(before), "the window is taken back");
        }
        (self.acked, self.edge) = (header.ack, Some(edge));
    }

    fn check(&mut self) {
        assert!(self.end.unacknowledged() <= SEND_CAPACITY, "law 3");
        assert!(self.end.recv().len() <= self.recv_capacity, "law 3");
        self.events.extend(std::iter::from_fn(|| self.end.poll_event()));
        assert!(self.events.len() <= 3);
        let closed = matches!(self.events.last(), Some(Event::Closed(_)));
        assert_eq!(closed, self.end.state() == State::Closed, "law 8");
        assert!(!closed || self.end.poll_timeout().is_none());
        let finished = self.events.contains(&Event::PeerFinished);
        assert_eq!(finished, self.end.recv().is_end_of_stream());
        let info = self.end.info();
        assert!(info.segments_sacked + info.segments_lost <= info.segments_in_flight, "{info:?}");
        assert!(info.unsent <= self.end.unacknowledged());
    }
}

fn timestamps(choice: u8) -> Options {
    let timestamps = match choice {
        0..=99 => None,
        _ => Some(Timestamps { value: 0xffff_ff80u32.wrapping_add(u32::from(choice)), echo: u32::from(choice) }),
    };
    Options { timestamps, ..Options::default() }
}
