//! ICMP errors about a connection: RFC 9293 3.9.2.2, RFC 5927, RFC 1191, RFC 8201.

mod common;

use std::net::{Ipv6Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use common::{ACK, Bench, SYN, config, ms, segment};
use drywire_core::Instant;
use drywire_tcp::{
    CloseReason, Config, Connection, Event, Flags, Header, IcmpError, IcmpErrorKind, Options, Segment, SeqNumber, State,
};

const HARD: IcmpErrorKind = IcmpErrorKind::Hard;
const SOFT: IcmpErrorKind = IcmpErrorKind::Soft;

fn too_big(mtu: u32) -> IcmpErrorKind {
    IcmpErrorKind::PacketTooBig { mtu }
}

impl Bench {
    fn errs(&mut self, kind: IcmpErrorKind, seq: u32) -> Vec<String> {
        self.end.handle_icmp(self.now, IcmpError { kind, seq: SeqNumber::new(seq) });
        self.sent()
    }
}

/// The lengths of segments.
fn lens(lines: &[String]) -> Vec<usize> {
    let len = |line: &String| line.split_once("len=").unwrap().1.parse().unwrap();
    lines.iter().map(len).collect()
}

fn with_mss_1460() -> Bench {
    Bench::established_with(config(), segment(SYN | ACK, 5000, 1001).mss(Some(1460)))
}

#[test]
fn rfc_9293_3_9_2_2_a_hard_error_ends_the_handshake() {
    let mut bench = Bench::connecting(config());
    bench.sent();
    assert!(bench.errs(HARD, 1000).is_empty());
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Unreachable)]);
}

#[test]
fn rfc_9293_3_9_2_2_a_hard_error_returns_a_passive_open_to_listen() {
    let mut bench = Bench::syn_received(config());
    bench.errs(HARD, 1000);
    assert_eq!((bench.end.state(), bench.events()), (State::Listen, vec![]));
}

#[test]
fn rfc_9293_3_9_2_2_a_soft_error_ends_nothing_but_names_the_reason() {
    let mut bench = Bench::connecting(Config { syn_retries: 1, ..config() });
    bench.sent();
    bench.errs(SOFT, 1000);
    assert_eq!(bench.end.state(), State::SynSent);
    bench.times_out();
    bench.times_out();
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Unreachable)]);
}

#[test]
fn rfc_5927_5_2_no_error_ends_an_established_connection() {
    let mut bench = Bench::established_with(Config { data_retries: 1, ..config() }, segment(SYN | ACK, 5000, 1001));
    bench.sends(100);
    bench.errs(HARD, 1001);
    bench.errs(SOFT, 1001);
    assert_eq!(bench.end.state(), State::Established);
    // An answer, and it is forgotten.
    bench.arrives(segment(ACK, 5001, 1101));
    bench.sends(100);
    bench.times_out();
    bench.times_out();
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn rfc_5927_4_1_an_error_counts_only_for_what_is_in_flight() {
    let mut opening = Bench::connecting(config());
    opening.sent();
    for seq in [999, 1001, 0, u32::MAX] {
        opening.errs(HARD, seq);
    }
    assert_eq!(opening.end.state(), State::SynSent);
    let mut bench = with_mss_1460();
    bench.sends(3000);
    for seq in [1000, 4001, 5001] {
        assert!(bench.errs(too_big(600), seq).is_empty());
    }
}

#[test]
fn rfc_1191_6_4_a_smaller_path_mtu_lowers_the_mss_and_sends_again() {
    let mut bench = with_mss_1460();
    assert_eq!(lens(&bench.sends(3000)), [1460, 1460, 80]);
    // 1000 bytes leave 960 beside the headers of IP and TCP.
    let again = bench.errs(too_big(1000), 1001);
    assert_eq!(lens(&again), [960, 960, 960, 120]);
    assert!(again[0].contains("seq=1001"), "{again:?}");
    bench.arrives(segment(ACK, 5001, 4001));
    assert_eq!(lens(&bench.sends(1000)), [960, 40]);
}

#[test]
fn rfc_1191_6_3_the_path_mtu_never_grows_by_a_message() {
    let mut bench = with_mss_1460();
    bench.sends(3000);
    bench.errs(too_big(1000), 1001);
    for mtu in [1000, 1200, 1500, 65_535, u32::MAX] {
        assert!(bench.errs(too_big(mtu), 1001).is_empty());
    }
}

/// RFC 1191 6.3 and RFC 8201 4: paths change, so after ten minutes larger packets are tried again, and not before.
#[test]
fn rfc_1191_6_3_after_ten_minutes_the_old_size_is_tried_again() {
    let mut bench = with_mss_1460();
    bench.sends(3000);
    bench.errs(too_big(1200), 1001);
    bench.now += ms(1000);
    bench.errs(too_big(1000), 1001);
    bench.arrives(segment(ACK, 5001, 4001));
    bench.now += ms(10 * 60 * 1000 - 1);
    assert_eq!(lens(&bench.sends(1500)), [960, 540]);
    bench.arrives(segment(ACK, 5001, 5501));
    bench.now += ms(1);
    assert_eq!(lens(&bench.sends(1500)), [1460, 40]);
    // Still too large: the router says so again.
    assert_eq!(lens(&bench.errs(too_big(1000), 5501)), [960, 540]);
}

#[test]
fn rfc_1191_7_1_a_router_that_tells_nothing_means_the_next_plateau() {
    let mut bench = with_mss_1460();
    bench.sends(1460);
    assert_eq!(lens(&bench.errs(too_big(0), 1001))[0], 1492 - 40);
    assert_eq!(lens(&bench.errs(too_big(0), 1001))[0], 1006 - 40);
}

#[test]
fn rfc_5927_7_an_absurd_path_mtu_is_not_believed() {
    let mut bench = with_mss_1460();
    bench.sends(1460);
    assert_eq!(lens(&bench.errs(too_big(68), 1001))[0], 552 - 40);
}

#[test]
fn rfc_8201_4_the_path_mtu_of_ipv6_is_1280_at_least() {
    let [a, b] = [1, 2].map(|n| SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n).into(), 80));
    let now = Instant::ORIGIN;
    let config = Config { timestamps: false, ..Config::default() };
    let mut end = Connection::connect(now, a, b, SeqNumber::new(1000), config);
    let mut out = BytesMut::new();
    end.poll_transmit(now, &mut out).unwrap();
    let header = Header {
        source_port: 80,
        destination_port: 80,
        seq: SeqNumber::new(5000),
        ack: SeqNumber::new(1001),
        flags: Flags::SYN | Flags::ACK,
        window: 60_000,
        options: Options { mss: Some(1440), ..Options::default() },
        ..Header::default()
    };
    end.handle_segment(now, b.ip(), &Segment { header, payload: b"" });
    end.send(Bytes::from(vec![0; 5000])).unwrap();
    let mut sizes = |end: &mut Connection| {
        out.clear();
        let lens = std::iter::from_fn(|| end.poll_transmit(now, &mut out)).map(|transmit| transmit.len - 20);
        lens.collect::<Vec<_>>()
    };
    assert_eq!(sizes(&mut end)[..2], [1440, 1440]);
    let seq = SeqNumber::new(1001);
    end.handle_icmp(now, IcmpError { kind: too_big(1400), seq });
    assert_eq!(sizes(&mut end), [1340, 1340, 1340, 980]);
    end.handle_icmp(now, IcmpError { kind: too_big(600), seq });
    assert_eq!(sizes(&mut end), [1220, 1220, 1220, 1220, 120]);
}
