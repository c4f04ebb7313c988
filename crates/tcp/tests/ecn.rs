//! Explicit congestion notification where a script cannot look: offload, and the window that stays (RFC 3168).

mod common;

use bytes::{Bytes, BytesMut};
use common::{A, ACK, B, Bench, SYN, config, ms, pattern, segment};
use drywire_core::Instant;
use drywire_tcp::ip::Ecn;
use drywire_tcp::{Config, Congestion, EcnMode, Flags, NewReno, Segment};

fn bench(config: &Config) -> Bench {
    let config = Config {
        ecn: EcnMode::Request,
        initial_window: 20,
        send_capacity: 1 << 20,
        congestion: Congestion::NewReno(NewReno::default()),
        ..config.clone()
    };
    let syn_ack = segment(SYN | ACK | Flags::ECE, 5000, 1001).window(u16::MAX);
    let bench = Bench::established_with(config, syn_ack);
    assert!(bench.end.info().ecn);
    bench
}

/// Length, mark and whether CWR is set, of everything that leaves when `n` bytes are queued.
fn sends(bench: &mut Bench, n: usize) -> Vec<(usize, Ecn, bool)> {
    bench.end.send(Bytes::from(pattern(n))).unwrap();
    let mut out = BytesMut::new();
    let mut sent = vec![];
    while let Some(transmit) = bench.end.poll_transmit(bench.now, &mut out) {
        let bytes = out.split();
        let parsed = Segment::parse(&bytes, A.ip(), B.ip()).unwrap();
        sent.push((parsed.payload.len(), transmit.ecn, parsed.header.flags.contains(Flags::CWR)));
    }
    sent
}

#[test]
fn rfc_3168_6_1_2_cwr_stands_on_one_segment_also_with_offload() {
    let mut bench = bench(&Config { segmentation_offload: true, ..config() });
    assert_eq!(sends(&mut bench, 20_000), [(20_000, Ecn::Ect0, false)]);
    bench.arrives(segment(ACK | Flags::ECE, 5001, 21_001).window(u16::MAX));
    // Whoever cuts a segment copies its header, so the one with CWR is not to be cut.
    assert_eq!(sends(&mut bench, 10_000), [(1000, Ecn::Ect0, true), (9000, Ecn::Ect0, false)]);
}

/// The window is reduced once a round trip also where more than half of the sequence numbers have passed since the last
/// time, and comparing with the number from then on would say the opposite.
#[test]
fn rfc_3168_6_1_2_a_reduction_does_not_outlive_its_round_trip() {
    let mut bench = bench(&config());
    sends(&mut bench, 10_000);
    bench.take(&segment(ACK | Flags::ECE, 5001, 2001).window(u16::MAX));
    let reduced = bench.end.info().congestion_window;
    bench.take(&segment(ACK | Flags::ECE, 5001, 11_001).window(u16::MAX));
    assert_eq!(bench.end.info().congestion_window, reduced);
    // One that acknowledges more ends it, with ECE or without.
    assert_eq!(sends(&mut bench, 1000), [(1000, Ecn::Ect0, true)]);
    bench.take(&segment(ACK, 5001, 12_001).window(u16::MAX));
    sends(&mut bench, 5000);
    bench.take(&segment(ACK | Flags::ECE, 5001, 17_001).window(u16::MAX));
    assert!(bench.end.info().congestion_window < reduced);
}

/// A window update with ECE arrives while nothing is in flight: there is nothing that could have met congestion.
#[test]
fn an_echo_without_anything_in_flight_reduces_nothing() {
    let mut bench = bench(&config());
    let window = bench.end.info().congestion_window;
    bench.arrives(segment(ACK | Flags::ECE, 5001, 1001).window(20_000));
    assert_eq!(bench.end.info().congestion_window, window);
}

/// Nothing new leaves while the timer runs, however often the connection is asked, and what leaves then is no
/// retransmission.
#[test]
fn rfc_3168_6_1_2_a_marked_window_of_one_segment_pauses() {
    let mut bench = bench(&Config { min_rto: ms(200), ..config() });
    sends(&mut bench, 1000);
    for at in [2001, 3001, 4001, 5001, 6001] {
        bench.arrives(segment(ACK | Flags::ECE, 5001, at).window(u16::MAX));
        if bench.end.info().congestion_window == 1000 && sends(&mut bench, 1000).is_empty() {
            assert_eq!(bench.sent(), [""; 0]);
            let (waited, sent) = bench.times_out();
            assert!(waited >= ms(200));
            assert_eq!((sent.len(), bench.end.info().counters.timeouts), (1, 0));
            assert!(bench.end.poll_timeout().is_some_and(|at| at > bench.now && at < Instant::MAX));
            return;
        }
        sends(&mut bench, 1000);
    }
    panic!("the window never became one segment: {:?}", bench.end.info());
}
