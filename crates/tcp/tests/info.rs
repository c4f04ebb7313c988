//! What a connection tells of itself, and the receive buffer that grows with its use.

mod common;

use std::time::Duration;

use common::{ACK, Bench, Pair, SYN, config, ms, pattern, segment};
use drywire_tcp::{Config, State};

#[test]
fn info_tells_what_linux_tells() {
    let mut bench = Bench::established();
    let info = bench.end.info();
    assert_eq!((info.state, info.rtt, info.rto), (State::Established, Some(ms(100)), ms(300)));
    assert_eq!((info.snd_mss, info.advertised_mss, info.path_mtu), (1000, 1460, 1040));
    assert_eq!((info.congestion_window, info.slow_start_threshold), (10_000, None));
    assert_eq!((info.snd_wnd, info.rcv_wnd), (10_000, 10_000));
    assert!(!info.timestamps && !info.sack && info.window_scale.is_none());

    bench.sends(2500);
    bench.now += ms(50);
    bench.arrives(segment(ACK, 5001, 2001).data(b"hello"));
    bench.arrives(segment(ACK, 5007, 2001).data(b"behind a gap"));
    let info = bench.end.info();
    assert_eq!((info.unacknowledged, info.unsent, info.rcv_mss), (1500, 0, 5));
    assert_eq!((info.segments_in_flight, info.segments_sacked, info.segments_lost), (2, 0, 0));
    assert_eq!(info.min_rtt, Some(ms(50)));
    assert_eq!((info.last_sent, info.last_heard), (ms(50), Duration::ZERO));
    let counters = info.counters;
    assert_eq!((counters.segments_sent, counters.data_segments_sent, counters.bytes_sent), (7, 3, 2500));
    assert_eq!((counters.segments_received, counters.data_segments_received), (3, 2));
    assert_eq!((counters.bytes_acknowledged, counters.bytes_received, counters.segments_out_of_order), (1000, 5, 1));
}

#[test]
fn rfc_9293_3_8_3_after_three_retransmissions_the_path_is_in_doubt() {
    let mut bench = Bench::established();
    bench.sends(100);
    let mut doubts = vec![];
    while bench.end.info().counters.timeouts < 4 {
        bench.times_out();
        doubts.push((bench.end.info().counters.timeouts, bench.end.info().path_in_doubt));
    }
    doubts.retain(|(timeouts, _)| *timeouts > 0);
    assert_eq!(doubts, [(1, false), (2, false), (3, true), (4, true)]);
    let info = bench.end.info();
    assert_eq!((info.retransmits, info.backoff), (4, 4));
    assert!(info.counters.bytes_retransmitted >= 400 && info.counters.segments_retransmitted >= 4);
    bench.arrives(segment(ACK, 5001, 1101));
    assert!(!bench.end.info().path_in_doubt);
}

#[test]
fn counting_makes_no_difference() {
    let mut bench = Bench::established();
    let before = bench.end.clone();
    // Something that is ignored.
    bench.arrives(segment(common::RST, 1, 0));
    assert!(bench.end.info().counters.segments_received > before.info().counters.segments_received);
    assert_eq!(bench.end, before);
}

const KIB: usize = 1024;

fn capacities() -> Config {
    Config { initial_recv_capacity: 16 * KIB, recv_capacity: 512 * KIB, ..config() }
}

#[test]
fn the_receive_buffer_grows_with_what_the_user_takes() {
    let mut pair = Pair::new(3, common::PERFECT, &capacities(), [&pattern(4000 * KIB), b""]);
    let mut most = 0;
    while pair.step() {
        let now = pair.ends[1].info().receive_capacity;
        assert!(now >= most);
        most = now;
    }
    assert_eq!(most, 512 * KIB as u32);
    assert_eq!(pair.received[0].len() + pair.received[1].len(), 4000 * KIB);
}

#[test]
fn a_slow_user_keeps_a_small_receive_buffer() {
    let mut bench = Bench::established_with(capacities(), segment(SYN | ACK, 5000, 1001).scale(0));
    for n in 0..1000 {
        bench.now += ms(100);
        bench.arrives(segment(ACK, 5001 + n * 500, 1001).data(&[0; 500]));
        bench.reads();
    }
    assert_eq!(bench.end.info().receive_capacity, 16 * KIB as u32);
}

#[test]
fn the_receive_buffer_does_not_grow_for_a_user_who_takes_nothing() {
    let mut pair = Pair::new(3, common::PERFECT, &capacities(), [&pattern(64 * KIB), b""]);
    pair.reading = [false; 2];
    for _ in 0..200 {
        pair.step();
    }
    // The scale of the window rounds up.
    assert!((16 * KIB..16 * KIB + 16).contains(&pair.ends[1].recv().len()));
    pair.reading = [true; 2];
    pair.run();
    assert_eq!(pair.received[1].len(), 64 * KIB);
}
