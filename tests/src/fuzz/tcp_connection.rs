//! One TCP connection under segments and calls of the input's choosing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::{Config, Connection, Event, Flags, Header, Options, Segment, SeqNumber, State, Timestamps};
use drywire::{Bytes, BytesMut, Instant};

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 49152);
const SEND_CAPACITY: usize = 9000;

/// The laws hold after every call, and the same input gives the same output.
pub fn run(data: &[u8]) {
    assert_eq!(play(data), play(data), "law 4");
}

/// Everything that left the connection: segments and events.
fn play(data: &[u8]) -> (Vec<u8>, Vec<Event>) {
    let mut input = Input(data);
    let mut bench = Bench::new(&mut input);
    while !input.0.is_empty() {
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
    sent: Vec<u8>,
    events: Vec<Event>,
}

impl Bench {
    fn new(input: &mut Input<'_>) -> Self {
        let mode = input.byte();
        let config = Config {
            // Below 64 KiB there is no scale, so that the edge is exact.
            recv_capacity: 1 + input.number(),
            send_capacity: SEND_CAPACITY,
            max_out_of_order: usize::from(mode >> 5),
            timestamps: mode & 4 != 0,
            ..Config::default()
        };
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
        let mut bench = Self { end, now, recv_capacity, next, acked, edge, sent: vec![], events: vec![] };
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
        self.end.handle_segment(self.now, PEER.ip(), &Segment { header, payload });
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 12 {
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
            _ if input.byte().is_multiple_of(8) => self.end.abort(),
            _ => {}
        }
    }

    fn arbitrary_segment(&mut self, input: &mut Input<'_>) {
        let mut flags = Flags::from_bits(input.byte());
        if flags.bits() & 0x60 != 0 {
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
            self.observe(&segment);
            self.sent.extend_from_slice(&out);
        }
        panic!("segments without end");
    }

    /// What a peer may rely on.
    fn observe(&mut self, segment: &Segment<'_>) {
        let header = &segment.header;
        assert!(segment.payload.len() <= 1460);
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
    }
}

fn timestamps(choice: u8) -> Options {
    let timestamps = match choice {
        0..=99 => None,
        _ => Some(Timestamps { value: 0xffff_ff80u32.wrapping_add(u32::from(choice)), echo: u32::from(choice) }),
    };
    Options { timestamps, ..Options::default() }
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// The next byte; zero when there are no more.
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// Small numbers are as likely as large ones.
    fn number(&mut self) -> usize {
        let byte = self.byte();
        if byte < 128 { usize::from(byte) } else { usize::from(byte & 127) << 8 | usize::from(self.byte()) }
    }

    /// A distance in sequence space, mostly a short one; negative ones wrap.
    fn signed(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..=200 => i32::from(byte % 8) - 3,
            byte @ 201..=240 => (i32::from(byte) - 220) * 400,
            byte => i32::from(byte - 240) << 27,
        }
        .cast_unsigned()
    }
}
