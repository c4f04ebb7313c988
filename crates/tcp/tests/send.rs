//! Text of ours: segmentation, the peer's window, retransmission and congestion (RFC 9293 3.7, 3.8, RFC 6298, RFC 5681,
//! RFC 6582).

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{ACK, Bench, FIN, SYN, config, ms, pattern, segment};
use drywire_tcp::{CloseReason, Config, Congestion, Event, NewReno, SendError, State};

/// The sequence numbers and lengths of lines.
fn spans(lines: &[String]) -> Vec<(u32, u32)> {
    let number = |line: &str, key: &str| {
        let rest = line.split_once(key).expect("the key is there").1;
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    lines.iter().map(|line| (number(line, "seq="), number(line, "len="))).collect()
}

/// Established with a window of `window` bytes and an MSS of 1000.
fn with_window(window: u16) -> Bench {
    Bench::established_with(config(), segment(SYN | ACK, 5000, 1001).window(window))
}

#[test]
fn rfc_9293_3_7_1_text_is_cut_at_the_mss_and_pushed_at_its_end() {
    let mut bench = Bench::established();
    assert_eq!(
        bench.sends(2500),
        [
            "ACK seq=1001 ack=5001 win=10000 len=1000",
            "ACK seq=2001 ack=5001 win=10000 len=1000",
            "PSH,ACK seq=3001 ack=5001 win=10000 len=500",
        ]
    );
}

#[test]
fn pieces_share_segments() {
    let mut bench = Bench::established();
    for _ in 0..150 {
        bench.end.send(Bytes::from_static(b"0123456789")).unwrap();
    }
    bench.end.send(Bytes::from(pattern(1200))).unwrap();
    assert_eq!(spans(&bench.sent()), [(1001, 1000), (2001, 1000), (3001, 700)]);
}

#[test]
fn rfc_6928_2_the_initial_window_is_ten_segments() {
    let mut bench = with_window(50_000);
    assert_eq!(bench.sends(20_000).len(), 10);
}

#[test]
fn rfc_9293_3_8_6_the_peers_window_is_respected() {
    let mut bench = with_window(2000);
    assert_eq!(spans(&bench.sends(5000)), [(1001, 1000), (2001, 1000)]);
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 2001).window(2000))), [(3001, 1000)]);
}

#[test]
fn rfc_9293_3_8_6_2_1_small_segments_wait_for_window_unless_it_is_half_of_the_largest() {
    // Less than a segment and less than half of the largest window: wait for more.
    let mut bench = with_window(2900);
    assert_eq!(spans(&bench.sends(5000)), [(1001, 1000), (2001, 1000)]);
    // Half of the largest window.
    let mut bench = with_window(900);
    assert_eq!(spans(&bench.sends(5000)), [(1001, 900)]);
    // All that there is.
    let mut bench = with_window(2900);
    assert_eq!(spans(&bench.sends(2100)), [(1001, 1000), (2001, 1000), (3001, 100)]);
}

#[test]
fn rfc_9293_3_8_6_2_1_the_override_timer_sends_into_a_small_window() {
    let mut bench = with_window(2000);
    bench.sends(5000);
    assert!(bench.arrives(segment(ACK, 5001, 3001).window(300)).is_empty());
    let (waited, sent) = bench.times_out();
    assert_eq!((waited, spans(&sent)), (Duration::from_micros(337_500), vec![(3001, 300)]));
}

#[test]
fn rfc_9293_3_8_6_1_a_closed_window_is_probed_with_back_off() {
    let mut bench = with_window(1000);
    assert_eq!(spans(&bench.sends(2000)), [(1001, 1000)]);
    assert!(bench.arrives(segment(ACK, 5001, 2001).window(0)).is_empty());
    // The round-trip time was 100 ms and then 0, which gives 88 + 4 * 63 ms.
    for factor in [1, 2, 4, 8] {
        let (waited, sent) = bench.times_out();
        assert_eq!(waited.as_millis(), Duration::from_micros(337_500 * factor).as_millis());
        assert_eq!(spans(&sent), [(2001, 1)]);
    }
    // The window opens: everything follows at once.
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 2001).window(5000))), [(2001, 1000)]);
    assert_eq!(bench.end.unacknowledged(), 1000);
}

#[test]
fn rfc_9293_3_8_6_1_a_probe_that_is_taken_counts() {
    let mut bench = with_window(0);
    assert!(bench.sends(2000).is_empty());
    assert_eq!(spans(&bench.times_out().1), [(1001, 1)]);
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 1002).window(5000))), [(1002, 1000), (2002, 999)]);
}

#[test]
fn rfc_9293_3_8_6_1_the_connection_stays_while_probes_are_answered() {
    let mut bench = with_window(0);
    bench.sends(2000);
    for _ in 0..100 {
        assert_eq!(spans(&bench.times_out().1), [(1001, 1)]);
        bench.arrives(segment(ACK, 5001, 1001).window(0));
    }
    assert_eq!(bench.end.state(), State::Established);
    // Without answers it gives up.
    for _ in 0..15 {
        bench.times_out();
    }
    assert!(bench.times_out().1.is_empty());
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn answers_to_probes_are_no_duplicates() {
    let mut bench = with_window(0);
    bench.sends(20_000);
    for _ in 0..5 {
        bench.times_out();
        bench.arrives(segment(ACK, 5001, 1001).window(0));
    }
    // The congestion window is still the initial one.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).window(50_000)).len(), 10);
}

#[test]
fn a_window_that_closes_over_what_is_in_flight_is_probed_from_there() {
    let mut bench = with_window(2000);
    bench.sends(2000);
    assert!(bench.arrives(segment(ACK, 5001, 1001).window(0)).is_empty());
    assert_eq!(spans(&bench.times_out().1), [(1001, 1)]);
    // Everything had arrived after all.
    bench.arrives(segment(ACK, 5001, 3001).window(0));
    assert_eq!((bench.end.unacknowledged(), bench.end.poll_timeout()), (0, None));
}

#[test]
fn a_fin_waits_for_the_window_and_is_its_own_probe() {
    let mut bench = with_window(0);
    bench.end.shutdown();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.times_out().1, ["FIN,ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001)), ["FIN,ACK seq=1001 ack=5001 win=10000 len=0"]);
}

/// The window is closed, shutdown, the FIN leaves as its own probe and is acknowledged, and nobody asks for segments: the
/// persist timer ran on in FIN-WAIT-2, from where it cannot give up, and its deadline stayed in the past.
#[test]
fn the_acknowledgment_of_everything_stops_the_persist_timer() {
    let mut bench = with_window(0);
    bench.end.shutdown();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.times_out().1.len(), 1);
    bench.take(&segment(ACK, 5001, 1002).window(0));
    assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::FinWait2, None));
}

#[test]
fn acknowledgments_with_a_closed_window_begin_where_the_peer_expects() {
    let mut bench = with_window(0);
    bench.sends(2000);
    bench.times_out();
    // The probe byte was not taken: an acknowledgment behind it would be outside the peer's window.
    assert_eq!(bench.arrives(segment(ACK, 5001, 1001).window(0).data(b"x")), ["ACK seq=1001 ack=5002 win=9999 len=0"]);
}

#[test]
fn rfc_6298_5_retransmission_backs_off_until_the_limit() {
    let mut bench = Bench::established();
    bench.sends(3000);
    let mut expected = ms(300);
    for _ in 0..15 {
        let (waited, sent) = bench.times_out();
        assert_eq!((waited, spans(&sent)), (expected, vec![(1001, 1000)]));
        expected = (expected * 2).min(Duration::from_secs(60));
    }
    assert!(bench.times_out().1.is_empty());
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_6298_5_2_and_5_3_the_timer_follows_the_acknowledgments() {
    let mut bench = Bench::established();
    bench.sends(2000);
    let first = bench.end.poll_timeout();
    bench.now += ms(100);
    bench.arrives(segment(ACK, 5001, 2001));
    assert!(bench.end.poll_timeout() > first);
    bench.arrives(segment(ACK, 5001, 3001));
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_6298_3_karn_what_was_sent_twice_is_not_measured() {
    let mut bench = Bench::established();
    bench.sends(1000);
    assert_eq!(bench.times_out().0, ms(300));
    bench.now += ms(10);
    bench.arrives(segment(ACK, 5001, 2001));
    // Still backed off, and still from the first measurement.
    bench.sends(1000);
    assert_eq!(bench.end.poll_timeout(), Some(bench.now + ms(600)));
    // New data that is sent once collapses the back-off: SRTT 88.75 ms, RTTVAR 60 ms.
    bench.now += ms(10);
    bench.arrives(segment(ACK, 5001, 3001));
    bench.sends(1000);
    assert_eq!(bench.end.poll_timeout(), Some(bench.now + Duration::from_micros(328_750)));
}

#[test]
fn rfc_5681_3_1_after_a_timeout_slow_start_begins_from_the_first_hole() {
    let mut bench = with_window(50_000);
    bench.sends(10_000);
    assert_eq!(spans(&bench.times_out().1), [(1001, 1000)]);
    // A partial acknowledgment brings the next hole at once, and two segments of window.
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 4001))), [(4001, 1000), (5001, 1000)]);
    // Duplicates of what was in flight start no second recovery (RFC 6582 4).
    for _ in 0..5 {
        assert!(bench.arrives(segment(ACK, 5001, 4001)).is_empty());
    }
}

#[test]
fn rfc_5681_3_2_three_duplicates_bring_a_fast_retransmit() {
    let mut bench = with_window(50_000);
    bench.sends(10_000);
    let duplicate = || segment(ACK, 5001, 1001).window(50_000);
    assert!(bench.arrives(duplicate()).is_empty());
    assert!(bench.arrives(duplicate()).is_empty());
    assert_eq!(spans(&bench.arrives(duplicate())), [(1001, 1000)]);
    assert!(bench.arrives(duplicate()).is_empty());
}

#[test]
fn rfc_5681_2_what_differs_in_window_or_text_is_no_duplicate() {
    let mut bench = with_window(50_000);
    bench.sends(10_000);
    for n in 0..5 {
        bench.arrives(segment(ACK, 5001, 1001).window(40_000 + n));
        bench.arrives(segment(ACK, 5001 + u32::from(n), 1001).window(40_000 + n).data(b"x"));
    }
    assert_eq!(bench.end.unacknowledged(), 10_000);
    assert!(bench.sent().is_empty());
}

#[test]
fn rfc_6582_3_2_a_partial_acknowledgment_brings_the_next_hole() {
    let config = Config { congestion: Congestion::NewReno(NewReno::default()), ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001).window(50_000));
    bench.sends(10_000);
    for _ in 0..3 {
        bench.arrives(segment(ACK, 5001, 1001).window(50_000));
    }
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 4001).window(50_000))), [(4001, 1000)]);
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 6001).window(50_000))), [(6001, 1000)]);
    // The end of recovery: the window is half of what was in flight.
    bench.arrives(segment(ACK, 5001, 11_001).window(50_000));
    assert!(bench.sends(10_000).len() <= 5);
}

#[test]
fn rfc_5681_3_2_duplicates_in_recovery_let_new_data_leave() {
    let mut bench = with_window(50_000);
    bench.sends(12_000);
    let sent: usize = (0..9).map(|_| bench.arrives(segment(ACK, 5001, 1001).window(50_000)).len()).sum();
    // The one that was lost, and what the nine that have arrived make room for: 5 + 9 - 10 segments, of which two exist.
    assert_eq!(sent, 1 + 2);
}

#[test]
fn rfc_5681_4_1_an_idle_connection_starts_again_with_the_initial_window() {
    let mut bench = with_window(50_000);
    bench.sends(20_000);
    for n in 2..=21 {
        bench.arrives(segment(ACK, 5001, 1 + n * 1000).window(50_000));
    }
    assert!(bench.sends(15_000).len() > 10);
    bench.arrives(segment(ACK, 5001, 36_001).window(50_000));
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.sends(15_000).len(), 10);
}

#[test]
fn rfc_9293_3_10_2_send_takes_all_or_nothing() {
    let config = Config { send_capacity: 1000, ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    assert_eq!(bench.end.send_room(), 1000);
    bench.end.send(Bytes::from(pattern(600))).unwrap();
    assert_eq!(bench.end.send_room(), 400);
    let more = Bytes::from(pattern(401));
    assert_eq!(bench.end.send(more.clone()), Err(SendError::Full(more)));
    bench.sent();
    bench.arrives(segment(ACK, 5001, 1601));
    assert_eq!(bench.end.send_room(), 1000);
}

#[test]
fn text_and_fin_leave_together() {
    let mut bench = Bench::established();
    bench.end.send(Bytes::from_static(b"bye")).unwrap();
    bench.end.shutdown();
    assert_eq!(bench.sent(), ["FIN,PSH,ACK seq=1001 ack=5001 win=10000 len=3"]);
    // And again.
    assert_eq!(bench.times_out().1, ["FIN,PSH,ACK seq=1001 ack=5001 win=10000 len=3"]);
    // And without what is acknowledged.
    bench.arrives(segment(ACK, 5001, 1004));
    assert_eq!(bench.times_out().1, ["FIN,ACK seq=1004 ack=5001 win=10000 len=0"]);
    assert!(bench.arrives(segment(ACK | FIN, 5001, 1005)).len() == 1);
}

/// Like [`Bench::established`], with Nagle's algorithm.
fn nagle() -> Bench {
    Bench::established_with(Config { no_delay: false, ..config() }, segment(SYN | ACK, 5000, 1001))
}

#[test]
fn rfc_9293_3_7_4_a_small_segment_waits_while_another_is_in_flight() {
    let mut bench = nagle();
    assert_eq!(spans(&bench.sends(10)), [(1001, 10)]);
    assert!(bench.sends(10).is_empty());
    assert!(bench.sends(10).is_empty());
    // All that has waited leaves together.
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 1011))), [(1011, 20)]);
}

#[test]
fn rfc_9293_3_7_4_a_full_segment_does_not_wait() {
    let mut bench = nagle();
    bench.sends(10);
    assert_eq!(spans(&bench.sends(2005)), [(1011, 1000), (2011, 1000)]);
}

#[test]
fn rfc_9293_a_3_the_end_of_a_message_does_not_wait_for_its_beginning() {
    let mut bench = nagle();
    assert_eq!(spans(&bench.sends(2100)), [(1001, 1000), (2001, 1000), (3001, 100)]);
    // The next one waits for that end, and for it alone.
    assert!(bench.sends(50).is_empty());
    assert!(bench.arrives(segment(ACK, 5001, 3001)).is_empty());
    assert_eq!(spans(&bench.arrives(segment(ACK, 5001, 3101))), [(3101, 50)]);
}

#[test]
fn rfc_9293_3_7_4_a_fin_takes_what_waits_along() {
    let mut bench = nagle();
    bench.sends(10);
    assert!(bench.sends(10).is_empty());
    bench.end.shutdown();
    assert_eq!(bench.sent(), ["FIN,PSH,ACK seq=1011 ack=5001 win=10000 len=10"]);
}

#[test]
fn rfc_9293_3_7_4_what_is_sent_again_does_not_wait() {
    let mut bench = nagle();
    bench.sends(10);
    assert!(bench.sends(10).is_empty());
    // As it was: what was never sent goes on waiting.
    assert_eq!(spans(&bench.times_out().1), [(1001, 10)]);
}

#[test]
fn rfc_9293_3_7_4_nagle_can_be_switched_off() {
    let mut bench = Bench::established_with(Config { no_delay: true, ..config() }, segment(SYN | ACK, 5000, 1001));
    bench.sends(10);
    assert_eq!(spans(&bench.sends(10)), [(1011, 10)]);
}

#[test]
fn a_send_capacity_of_nothing_is_one_byte() {
    let mut bench = Bench::established_with(Config { send_capacity: 0, ..config() }, segment(SYN | ACK, 5000, 1001));
    assert_eq!(spans(&bench.sends(1)), [(1001, 1)]);
}
