//! Segmentation offload: segments larger than the MSS, both ways.

mod common;

use bytes::{Bytes, BytesMut};
use common::{A, ACK, B, Bench, FIN, SYN, config, pattern, segment};
use drywire_tcp::{Config, Flags, Segment, State};

fn bench(window: u16) -> Bench {
    let config =
        Config { segmentation_offload: true, initial_window: 100, no_delay: false, send_capacity: 1 << 20, ..config() };
    Bench::established_with(config, segment(SYN | ACK, 5000, 1001).window(window))
}

/// Length, cut and flags of what leaves when `n` bytes are queued.
fn sends(bench: &mut Bench, n: usize) -> Vec<(usize, Option<u16>, bool)> {
    bench.end.send(Bytes::from(pattern(n))).unwrap();
    let mut out = BytesMut::new();
    let mut sent = vec![];
    while let Some(transmit) = bench.end.poll_transmit(bench.now, &mut out) {
        let bytes = out.split();
        let parsed = Segment::parse(&bytes, A.ip(), B.ip()).unwrap();
        sent.push((parsed.payload.len(), transmit.gso_size, parsed.header.flags.contains(Flags::PSH)));
    }
    sent
}

#[test]
fn a_segment_carries_as_many_mss_as_fit_into_a_packet() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 70_000), [(65_000, Some(1000), false)]);
    bench.arrives(segment(ACK, 5001, 66_001));
    assert_eq!(sends(&mut bench, 0), []);
}

#[test]
fn what_fits_into_one_segment_is_not_to_be_cut() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 1000), [(1000, None, true)]);
    assert_eq!(sends(&mut bench, 999), [(999, None, true)]);
}

#[test]
fn the_end_goes_along_if_nagle_lets_it() {
    let mut bench = bench(u16::MAX);
    assert_eq!(sends(&mut bench, 2500), [(2500, Some(1000), true)]);
    // The end of the first is in flight, so that of the second waits.
    assert_eq!(sends(&mut bench, 2500), [(2000, Some(1000), false)]);
}

#[test]
fn the_peers_window_cuts_at_a_full_segment() {
    let mut bench = bench(4700);
    assert_eq!(sends(&mut bench, 9000), [(4000, Some(1000), false)]);
}

#[test]
fn a_segment_larger_than_the_mss_is_taken() {
    let mut bench = Bench::established();
    let text = pattern(9000);
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1001).data(&text)).len(), 1);
    assert_eq!((bench.reads(), bench.end.state()), (text, State::CloseWait));
}

#[test]
fn a_fin_goes_with_the_last_piece() {
    let mut bench = bench(u16::MAX);
    bench.end.send(Bytes::from(pattern(2500))).unwrap();
    bench.end.shutdown();
    assert_eq!(bench.sent(), ["FIN,PSH,ACK seq=1001 ack=5001 win=10000 len=2500"]);
}
