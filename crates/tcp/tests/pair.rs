//! Two connections with a network between them.

mod common;

use common::{Faults, PERFECT, Pair, ms, pattern};
use drywire_core::Instant;
use drywire_tcp::{CloseReason, Config, Event, State};

const ALL_EVENTS: [Event; 3] = [Event::Established, Event::PeerFinished, Event::Closed(CloseReason::Normal)];

fn assert_delivered(pair: &Pair, payload: [&[u8]; 2]) {
    for side in 0..2 {
        assert!(pair.received[side] == payload[1 - side], "side {side} got {} bytes", pair.received[side].len());
        assert_eq!(pair.events[side], ALL_EVENTS, "side {side}");
    }
    assert_eq!(pair.states(), [State::Closed; 2]);
}

#[test]
fn a_perfect_network_delivers_both_ways_and_closes() {
    for size in [0, 1, 1459, 1460, 1461, 100_000, 3_000_000] {
        let (up, down) = (pattern(size), pattern(size / 2));
        let mut pair = Pair::new(1, PERFECT, &Config::default(), [&up, &down]);
        pair.run();
        assert_delivered(&pair, [&up, &down]);
    }
}

#[test]
fn twenty_percent_loss_both_ways_delivers_and_closes() {
    let payload = pattern(1 << 20);
    let faults = Faults { loss: 20, duplication: 0, latency: ms(10), jitter: ms(0) };
    for seed in 0..50 {
        let mut pair = Pair::new(seed, faults, &Config::default(), [&payload, &payload]);
        pair.run();
        assert_delivered(&pair, [&payload, &payload]);
        // Time-outs follow one another only while nothing comes through.
        assert!(pair.now < Instant::from_secs(900), "seed {seed} took {}", pair.now);
    }
}

#[test]
fn loss_duplication_and_reordering_together_deliver_and_close() {
    let (up, down) = (pattern(200_000), pattern(100_000));
    for seed in 0..100 {
        let faults = Faults { loss: seed % 30, duplication: seed % 17, latency: ms(5), jitter: ms(seed % 40) };
        let mut pair = Pair::new(seed, faults, &Config::default(), [&up, &down]);
        pair.run();
        assert_delivered(&pair, [&up, &down]);
    }
}

#[test]
fn small_buffers_and_segments_deliver_under_loss() {
    let (up, down) = (pattern(5_000), pattern(3_000));
    let faults = Faults { loss: 10, duplication: 5, latency: ms(5), jitter: ms(10) };
    for (recv_capacity, send_capacity, mss) in [(1, 1, 88), (2, 500, 88), (100, 100, 200), (1000, 3000, 500)] {
        let config = Config { recv_capacity, send_capacity, mss, ..Config::default() };
        let mut pair = Pair::new(7, faults, &config, [&up, &down]);
        pair.run();
        assert_delivered(&pair, [&up, &down]);
    }
}

#[test]
fn one_piece_out_of_order_is_enough_to_deliver() {
    let payload = pattern(100_000);
    let faults = Faults { loss: 10, duplication: 10, latency: ms(5), jitter: ms(10) };
    for max_out_of_order in [0, 1] {
        let config = Config { max_out_of_order, ..Config::default() };
        let mut pair = Pair::new(7, faults, &config, [&payload, &payload]);
        pair.run();
        assert_delivered(&pair, [&payload, &payload]);
    }
}

#[test]
fn a_slow_reader_closes_the_window_and_loses_nothing() {
    let payload = pattern(300_000);
    let config = Config { recv_capacity: 20_000, ..Config::default() };
    let faults = Faults { loss: 5, ..PERFECT };
    let mut pair = Pair::new(2, faults, &config, [&payload, b""]);
    let mut closed = 0;
    for turn in 0u32.. {
        // Reads in bursts, with pauses in which the window closes and is probed.
        pair.reading[1] = turn % 40 == 0;
        let before = pair.now;
        if !pair.step() {
            break;
        }
        closed += u32::from(pair.now - before > ms(150));
    }
    pair.reading[1] = true;
    pair.run();
    assert_delivered(&pair, [&payload, b""]);
    assert!(closed > 3, "the window closed {closed} times");
}

#[test]
fn law_4_the_same_seed_gives_the_same_segments() {
    let payload = pattern(50_000);
    let faults = Faults { loss: 20, duplication: 10, latency: ms(5), jitter: ms(10) };
    let run = || {
        let mut pair = Pair::new(11, faults, &Config::default(), [&payload, &payload]);
        pair.logging = true;
        pair.run();
        pair.log
    };
    let log = run();
    assert!(log.len() > 100);
    assert_eq!(log, run());
}

#[test]
fn without_loss_no_reset_is_sent_and_nothing_is_sent_twice() {
    let payload = pattern(300_000);
    let mut pair = Pair::new(1, PERFECT, &Config::default(), [&payload, &payload]);
    pair.logging = true;
    pair.run();
    assert!(pair.log.iter().all(|line| !line.contains("RST")));
    let data = |side: &str| pair.log.iter().filter(|line| line.contains(side) && !line.contains("len=0")).count();
    let segments = 300_000usize.div_ceil(1448);
    // The last segment before the window or the send buffer is full may be a short one.
    assert!(data("A>") < segments + 25 && data("B>") < segments + 25, "{} and {}", data("A>"), data("B>"));
}
