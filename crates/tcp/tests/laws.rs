//! The laws of every machine, under arbitrary segments and calls in any order.

mod common;

use bytes::{Bytes, BytesMut};
use common::{A, B, ms};
use drywire_core::Instant;
use drywire_tcp::{
    Config, Connection, Event, Flags, Header, IcmpError, IcmpErrorKind, Input, KeepAlive, LateData, Options, Segment,
    SeqNumber, State, Timestamps,
};
use proptest::prelude::*;

const RECV_CAPACITY: usize = 3000;
const SEND_CAPACITY: usize = 5000;

/// What happens to the connection. Numbers of segments are near those that the connection uses, so that many are valid.
#[derive(Clone, Debug)]
enum Op {
    Segment {
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        len: usize,
        options: u8,
    },
    /// Time passes, without a call.
    Pass(u64),
    /// The next deadline comes.
    Due,
    Timeout,
    Transmit,
    Send(usize),
    Read(usize),
    Append(usize),
    Shutdown,
    ShutdownRead,
    Icmp {
        kind: IcmpErrorKind,
        seq: i32,
    },
    Abort,
}

fn op() -> impl Strategy<Value = Op> {
    let near = || prop_oneof![6 => -2..3i32, 3 => -3000..3000i32, 1 => any::<i32>()];
    let flags = prop_oneof![6 => Just(0x10u8), 2 => Just(0x11), 1 => Just(0x02), 1 => Just(0x12), 1 => Just(0x04), 2 => any::<u8>()];
    let window = prop_oneof![1 => Just(0u16), 2 => 1..2000u16, 1 => any::<u16>()];
    let len = prop_oneof![2 => Just(0usize), 2 => 1..20usize, 1 => 0..4000usize];
    let icmp = prop_oneof![
        Just(IcmpErrorKind::Soft),
        Just(IcmpErrorKind::Hard),
        (0..3000u32).prop_map(|mtu| IcmpErrorKind::PacketTooBig { mtu }),
    ];
    let segment = (flags, near(), near(), window, len, any::<u8>());
    prop_oneof![
        12 => segment.prop_map(|(flags, seq, ack, window, len, options)| Op::Segment { flags, seq, ack, window, len, options }),
        2 => (0..100_000u64).prop_map(Op::Pass),
        4 => Just(Op::Due),
        1 => Just(Op::Timeout),
        6 => Just(Op::Transmit),
        4 => (0..3000usize).prop_map(Op::Send),
        4 => (0..3000usize).prop_map(Op::Read),
        1 => (0..300usize).prop_map(Op::Append),
        1 => Just(Op::Shutdown),
        1 => prop::bool::weighted(0.2).prop_map(|sure| if sure { Op::ShutdownRead } else { Op::Transmit }),
        2 => (icmp, -3000..10i32).prop_map(|(kind, seq)| Op::Icmp { kind, seq }),
        1 => Just(Op::Abort),
    ]
}

/// What is known of the connection from its segments, as a peer would know it.
struct Watch {
    end: Connection,
    now: Instant,
    /// SEG.SEQ + SEG.LEN of what it sent last, and its last acknowledgment: where valid segments of a peer lie.
    next: SeqNumber,
    acked: SeqNumber,
    /// The window's right edge as announced, once it is known.
    edge: Option<SeqNumber>,
    shift: u8,
    appended: usize,
    events: Vec<Event>,
    out: Vec<u8>,
    offload: bool,
}

impl Watch {
    fn new(passive: bool, established: bool, isn: u32) -> Self {
        let config = Config {
            recv_capacity: RECV_CAPACITY,
            send_capacity: SEND_CAPACITY,
            max_out_of_order: 4,
            // The number stands for a choice of everything that can be switched on.
            keep_alive: (isn & 1 == 0).then_some(KeepAlive { idle: ms(9000), interval: ms(700), count: 2 }),
            user_timeout: (isn & 2 == 0).then_some(ms(8000)),
            no_delay: isn & 4 == 0,
            segmentation_offload: isn & 8 == 0,
            late_data: if isn & 16 == 0 { LateData::Drop } else { LateData::Reset },
            quick_acks: (isn >> 5) as u8 % 4,
            delayed_ack: ms(u64::from(isn >> 7) % 100),
            ..Config::default()
        };
        let now = Instant::from_millis(1);
        let end = if passive && !established {
            Connection::listen(A, isn.into(), config)
        } else {
            Connection::connect(now, A, B, isn.into(), config)
        };
        let next = SeqNumber::new(isn);
        let mut watch = Self {
            end,
            now,
            next,
            acked: SeqNumber::new(5000),
            edge: None,
            shift: 0,
            appended: 0,
            events: vec![],
            out: vec![],
            offload: isn & 8 == 0,
        };
        if established {
            watch.transmit();
            watch.apply(&Op::Segment {
                flags: 0x12,
                seq: 0,
                ack: 0,
                window: 4000,
                len: 0,
                options: u8::from(passive) * 4,
            });
            watch.transmit();
            assert_eq!(watch.end.state(), State::Established);
        }
        watch
    }

    fn apply(&mut self, op: &Op) {
        let before = self.end.state();
        match *op {
            Op::Segment { flags, seq, ack, window, len, options } => {
                let has = |bit: u8| options & bit != 0;
                let header = Header {
                    source_port: B.port(),
                    destination_port: A.port(),
                    seq: self.acked + seq.cast_unsigned(),
                    ack: self.next + ack.cast_unsigned(),
                    flags: Flags::from_bits(flags),
                    window,
                    urgent: 3,
                    options: Options {
                        mss: has(1).then_some(u16::from(options) * 16),
                        window_scale: has(2).then_some(options >> 3),
                        timestamps: has(4).then_some(Timestamps { value: u32::from(options), echo: 7 }),
                        ..Options::default()
                    },
                };
                let payload = vec![options; len];
                self.end.handle_segment(self.now, B.ip(), &Segment { header, payload: &payload });
            }
            Op::Pass(millis) => self.now += ms(millis),
            Op::Due => {
                if let Some(at) = self.end.poll_timeout() {
                    self.now = self.now.max(at);
                    self.time_out();
                }
            }
            Op::Timeout => self.time_out(),
            Op::Transmit => self.transmit(),
            Op::Send(n) => {
                let room = self.end.send_room();
                let taken = self.end.send(Bytes::from(vec![1; n])).is_ok();
                assert!(!taken || n <= room);
            }
            Op::Read(n) => self.end.recv().skip(n),
            Op::Append(n) => {
                self.appended += n;
                self.end.recv().extend_from_slice(&vec![2; n]);
            }
            Op::Shutdown => self.end.shutdown(),
            Op::ShutdownRead => self.end.shutdown_read(),
            Op::Icmp { kind, seq } => {
                let seq = self.next + seq.cast_unsigned();
                self.end.handle_icmp(self.now, IcmpError { kind, seq });
            }
            Op::Abort => self.end.abort(),
        }
        self.check(before);
    }

    fn time_out(&mut self) {
        self.end.handle_timeout(self.now);
        assert!(self.end.poll_timeout().is_none_or(|at| at > self.now), "law 6");
    }

    fn transmit(&mut self) {
        // Each call sends something new or tells something new: it comes to an end.
        for _ in 0..200 {
            let mut out = BytesMut::new();
            let before = self.out.len();
            if self.end.poll_transmit(self.now, &mut out).is_none() {
                assert!(out.is_empty());
                return;
            }
            self.out.extend_from_slice(&out);
            assert!(self.out.len() > before);
            let segment = Segment::parse(&out, A.ip(), B.ip()).unwrap();
            assert!(segment.payload.len() <= if self.offload { 65_435 } else { 1460 });
            self.observe(&segment);
        }
        panic!("transmits without end");
    }

    fn observe(&mut self, segment: &Segment<'_>) {
        let header = &segment.header;
        if header.flags.contains(Flags::RST) {
            return;
        }
        self.next = self.next.max(header.seq + segment.sequence_len());
        if !header.flags.contains(Flags::ACK) {
            return;
        }
        let is_syn = header.flags.contains(Flags::SYN);
        // A connection that is back in LISTEN begins anew.
        assert!(is_syn || self.edge.is_none() || header.ack.at_or_after(self.acked), "RCV.NXT goes back");
        self.acked = header.ack;
        let edge = header.ack + (u32::from(header.window) << self.shift);
        assert!(is_syn || self.edge.is_none_or(|before| edge.at_or_after(before)), "the window is taken back");
        self.edge = Some(edge);
    }

    fn check(&mut self, before: State) {
        // Only along the table, and in one call no further than FIN-WAIT-1 to TIME-WAIT or SYN-RECEIVED to CLOSE-WAIT.
        let mut reached = vec![before];
        for _ in 0..4 {
            let next: Vec<_> =
                reached.iter().flat_map(|from| Input::ALL.map(|input| from.on(input))).flatten().collect();
            reached.extend(next);
            reached.sort();
            reached.dedup();
        }
        // Nothing but a new connection leaves CLOSED.
        if before == State::Closed {
            reached = vec![State::Closed];
        }
        assert!(reached.contains(&self.end.state()), "{before} to {}", self.end.state());
        assert!(self.end.unacknowledged() <= SEND_CAPACITY);
        assert!(self.end.recv().len() <= RECV_CAPACITY + self.appended, "law 3");
        while let Some(event) = self.end.poll_event() {
            // The only one that comes again and again.
            if event != Event::Urgent {
                self.events.push(event);
            }
        }
        let order = |event: &Event| match event {
            Event::Established => 0,
            Event::PeerFinished => 1,
            _ => 2,
        };
        assert!(self.events.is_sorted_by(|a, b| order(a) < order(b)), "{:?}", self.events);
        let closed = self.events.iter().any(|event| matches!(event, Event::Closed(_)));
        assert_eq!(closed, self.end.state() == State::Closed);
        assert!(!closed || self.end.poll_timeout().is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn laws_3_5_6_hold_under_any_segments_and_calls(
        passive in any::<bool>(),
        established in prop::bool::weighted(0.7),
        isn in any::<u32>(),
        ops in prop::collection::vec(op(), 0..60),
    ) {
        let mut watch = Watch::new(passive, established, isn);
        for op in &ops {
            watch.apply(op);
        }
        watch.transmit();
    }

    #[test]
    fn law_4_every_run_replays(established in any::<bool>(), ops in prop::collection::vec(op(), 0..40)) {
        let run = || {
            let mut watch = Watch::new(false, established, 77);
            for op in &ops {
                watch.apply(op);
                watch.transmit();
            }
            (watch.out, watch.events)
        };
        prop_assert_eq!(run(), run());
    }
}

#[test]
fn law_6_holds_at_the_end_of_time() {
    let mut watch = Watch::new(false, true, 1);
    watch.apply(&Op::Send(3000));
    watch.now = Instant::MAX;
    watch.transmit();
    for _ in 0..40 {
        watch.time_out();
        watch.transmit();
    }
    assert_eq!(watch.end.poll_timeout(), None);
}

#[test]
fn law_3_an_idle_connection_holds_no_buffers() {
    let mut watch = Watch::new(false, true, 1);
    watch.apply(&Op::Send(900));
    watch.transmit();
    watch.apply(&Op::Segment { flags: 0x10, seq: 0, ack: 0, window: 4000, len: 1000, options: 0 });
    watch.apply(&Op::Read(1000));
    watch.transmit();
    assert_eq!(watch.end.recv().take_mut(0).capacity(), 0);
    let debug = format!("{:?}", watch.end);
    assert!(debug.contains("SendBuffer { len: 0, chunks: 0, tail_capacity: 0, .. }"), "{debug}");
}

#[test]
fn law_2_a_dripped_stream_costs_no_more_a_byte_at_its_end() {
    // One byte a segment, all behind a gap, in both directions of filling: a quadratic insertion would take minutes.
    const N: u32 = 200_000;
    let config = Config { recv_capacity: 1 << 20, timestamps: false, ..Config::default() };
    for backwards in [false, true] {
        let mut end = Connection::connect(Instant::ORIGIN, A, B, SeqNumber::new(0), config.clone());
        let mut out = BytesMut::new();
        let mut take = |flags: Flags, seq: u32, payload: &[u8]| {
            let header = Header {
                source_port: B.port(),
                destination_port: A.port(),
                seq: SeqNumber::new(seq),
                ack: SeqNumber::new(1),
                flags,
                window: 1000,
                options: Options { window_scale: Some(0).filter(|_| flags.contains(Flags::SYN)), ..Options::default() },
                ..Header::default()
            };
            end.handle_segment(Instant::ORIGIN, B.ip(), &Segment { header, payload });
            while end.poll_transmit(Instant::ORIGIN, &mut out).is_some() {
                out.clear();
            }
            end.recv().len()
        };
        // A segment that is ignored lets the SYN out.
        take(Flags::NONE, 0, b"");
        take(Flags::SYN | Flags::ACK, 0, b"");
        for n in 2..N {
            take(Flags::ACK, if backwards { 1 + N - n } else { n }, b"x");
        }
        let held = take(Flags::ACK, 1, b"x");
        // Backwards, each byte is a piece of its own, and only some are kept.
        assert_eq!(held, if backwards { 1 } else { N as usize - 1 });
    }
}

#[test]
fn law_4_a_clone_is_equal_and_goes_on_alike() {
    fn is_value<T: Clone + Eq + std::hash::Hash>(_: &T) {}
    let (now, local, remote) = (Instant::ORIGIN, "192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
    let mut connection = Connection::connect(now, local, remote, SeqNumber::new(7), Config::default());
    is_value(&connection);
    let mut clone = connection.clone();
    let (mut a, mut b) = (BytesMut::new(), BytesMut::new());
    connection.poll_transmit(now, &mut a).unwrap();
    assert_ne!(connection, clone);
    clone.poll_transmit(now, &mut b).unwrap();
    assert_eq!((connection, a), (clone, b));
}
