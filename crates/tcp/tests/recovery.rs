//! Loss recovery with selective acknowledgments: RFC 6675, RFC 8985, RFC 9937, RFC 3042.

mod common;

use std::time::Duration;

use common::{ACK, Bench, FromPeer, SYN, config, ms, segment};
use drywire_tcp::{Config, Congestion, NewReno};

fn with_sack() -> Config {
    Config { sack: true, send_capacity: 1 << 20, ..config() }
}

/// Established with a window of 60,000 bytes, an MSS of 1000, and 100 ms of round trip measured.
fn established(config: Config) -> Bench {
    Bench::established_with(config, segment(SYN | ACK, 5000, 1001).window(60_000).sack_permitted())
}

/// An acknowledgment of the first `n` segments that reports the segments `blocks`.
fn ack(n: u32, blocks: &[(u32, u32)]) -> FromPeer {
    let blocks: Vec<_> = blocks.iter().map(|(left, right)| (1001 + left * 1000, 1001 + right * 1000)).collect();
    segment(ACK, 5001, 1001 + n * 1000).window(60_000).sack(&blocks)
}

/// The numbers of the segments that leave.
fn numbers(lines: &[String]) -> Vec<u32> {
    let number = |line: &String| {
        let rest = line.split_once("seq=").expect("a segment").1;
        (rest.split(' ').next().unwrap().parse::<u32>().unwrap() - 1001) / 1000
    };
    lines.iter().map(number).collect()
}

fn window(bench: &Bench) -> u32 {
    bench.end.info().congestion_window / 1000
}

#[test]
fn rfc_3042_2_each_report_of_an_arrival_lets_a_new_segment_leave_before_a_loss_is_known() {
    let mut bench = established(with_sack());
    assert_eq!(numbers(&bench.sends(20_000)), (0..10).collect::<Vec<_>>());
    bench.now += ms(100);
    assert_eq!(numbers(&bench.arrives(ack(0, &[(1, 2)]))), [10]);
    assert_eq!(numbers(&bench.arrives(ack(0, &[(1, 3)]))), [11]);
    assert_eq!(window(&bench), 10);
}

#[test]
fn rfc_6675_5_the_lowest_hole_is_filled_first_and_new_data_comes_after_all_of_them() {
    let mut bench = established(with_sack());
    bench.sends(20_000);
    bench.now += ms(100);
    // Holes at 0, 2 and 4.
    assert_eq!(numbers(&bench.arrives(ack(0, &[(5, 8), (3, 4), (1, 2)]))), [0, 2, 4, 10, 11]);
}

#[test]
fn rfc_6675_5_one_reduction_for_all_losses_of_a_window() {
    let mut bench = established(with_sack());
    bench.sends(20_000);
    bench.now += ms(100);
    bench.arrives(ack(0, &[(1, 4)]));
    assert_eq!(window(&bench), 7);
    bench.arrives(ack(0, &[(6, 9), (1, 4)]));
    assert_eq!((window(&bench), bench.end.info().counters.segments_retransmitted), (7, 3));
}

/// The acknowledgment that tells of segment 2 is lost. The next one names the newer block 4 first; taken in this order, 2
/// looked as if it had come late, reordering counted as seen, and each later loss was found a quarter of a round trip later.
#[test]
fn rfc_8985_6_2_step_3_a_report_that_was_lost_is_no_reordering() {
    let mut bench = established(with_sack());
    bench.sends(20_000);
    bench.now += ms(100);
    bench.arrives(ack(1, &[(4, 5), (2, 3)]));
    // Three behind the gap are a loss at once, as long as no reordering was seen.
    assert_eq!(numbers(&bench.arrives(ack(1, &[(4, 6), (2, 3)]))), [1]);
    assert_eq!(bench.end.info().segments_lost, 1);
}

#[test]
fn rfc_8985_6_3_a_timeout_sends_only_what_had_time_to_arrive() {
    let config = Config { congestion: Congestion::NewReno(NewReno::default()), ..with_sack() };
    let mut bench = established(config);
    assert_eq!(bench.sends(4000).len(), 4);
    bench.now += ms(250);
    bench.end.handle_timeout(bench.now);
    assert_eq!(numbers(&bench.sent()), [3], "the probe");
    bench.now += ms(240);
    assert_eq!(numbers(&bench.sends(2000)), [4, 5]);
    // The time-out finds two that left 60 ms ago, which nobody can have acknowledged yet.
    let (waited, sent) = bench.times_out();
    assert_eq!((waited, numbers(&sent)), (ms(60), vec![0]));
    let info = bench.end.info();
    assert_eq!((info.segments_lost, info.segments_in_flight), (3, 6));
}

#[test]
fn rfc_8985_7_2_a_probe_after_two_round_trips() {
    let mut bench = established(with_sack());
    bench.sends(3000);
    let (waited, sent) = bench.times_out();
    assert_eq!((waited, numbers(&sent)), (ms(200), vec![2]));
}

#[test]
fn rfc_8985_7_2_a_single_segment_waits_for_the_peers_delayed_acknowledgment_but_not_beyond_the_timeout() {
    let mut bench = established(with_sack());
    bench.sends(1000);
    // 2 * SRTT + 200 ms would be later than the time-out.
    assert_eq!(bench.times_out().0, ms(300));
    let mut patient = established(Config { min_rto: Duration::from_secs(1), ..with_sack() });
    patient.sends(1000);
    assert_eq!(patient.times_out().0, ms(400));
}

#[test]
fn rfc_8985_7_2_no_probe_while_losses_are_repaired() {
    let mut bench = established(with_sack());
    bench.sends(10_000);
    bench.now += ms(100);
    bench.arrives(ack(0, &[(1, 4)]));
    // Only the retransmission timer runs: SRTT 100 ms, RTTVAR 37.5 ms.
    assert_eq!(numbers(&bench.times_out().1), [0]);
    assert_eq!(bench.end.info().counters.timeouts, 1);
}

#[test]
fn rfc_8985_7_3_the_probe_is_new_data_where_there_is_some_and_the_last_segment_otherwise() {
    let mut bench = established(with_sack());
    // The congestion window is full, and does not count.
    bench.sends(12_000);
    assert_eq!(numbers(&bench.times_out().1), [10]);
    let mut all_sent = established(with_sack());
    all_sent.sends(4000);
    assert_eq!(numbers(&all_sent.times_out().1), [3]);
}

#[test]
fn rfc_8985_7_3_one_probe_at_a_time_and_the_retransmission_timer_starts_again() {
    let mut bench = established(with_sack());
    bench.sends(3000);
    bench.times_out();
    let (waited, sent) = bench.times_out();
    assert_eq!((waited, numbers(&sent)), (ms(300), vec![0]));
    assert_eq!(bench.end.info().counters.timeouts, 1);
}

#[test]
fn rfc_8985_7_4_2_a_probe_that_has_repaired_a_loss_reduces_the_window() {
    let mut bench = established(with_sack());
    bench.sends(3000);
    bench.times_out();
    bench.now += ms(100);
    // The last segment was lost, and the probe has filled the hole. The answer to something later tells.
    bench.arrives(ack(3, &[]));
    assert_eq!(window(&bench), 10);
    bench.sends(1000);
    bench.now += ms(100);
    bench.arrives(ack(4, &[]));
    assert!(window(&bench) < 10);
}

#[test]
fn rfc_8985_7_4_2_a_probe_that_was_not_needed_changes_nothing() {
    let mut bench = established(with_sack());
    bench.sends(3000);
    bench.times_out();
    bench.now += ms(100);
    bench.arrives(ack(3, &[]));
    // The peer reports the probe as a duplicate.
    bench.arrives(ack(3, &[(2, 3)]));
    bench.sends(1000);
    bench.now += ms(100);
    bench.arrives(ack(4, &[]));
    assert!(window(&bench) >= 10);
}

#[test]
fn rfc_9937_6_1_what_had_arrived_before_does_not_slow_the_recovery_down() {
    let congestion = Congestion::NewReno(NewReno::default());
    let mut bench = established(Config { congestion, initial_window: 20, ..with_sack() });
    bench.sends(40_000);
    bench.now += ms(100);
    // Limited transmit has sent two more by the time that the loss is known. Of the 22 then in flight two had arrived.
    bench.arrives(ack(0, &[(1, 2)]));
    bench.arrives(ack(0, &[(1, 3)]));
    assert_eq!(numbers(&bench.arrives(ack(0, &[(1, 4)]))), [0]);
    // Ten of twenty are to remain: one leaves for every two that arrive, counted from the report of the loss.
    let sent: Vec<usize> = (5..=17).map(|n| bench.arrives(ack(0, &[(1, n)])).len()).collect();
    assert_eq!(sent, [0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
}

/// All but the first of `n` segments have arrived, then that one, too.
fn recovered(config: Config, n: u32) -> Bench {
    let mut bench = established(config);
    bench.sends(n as usize * 1000);
    bench.now += ms(100);
    bench.arrives(ack(0, &[(1, n)]));
    bench.now += ms(100);
    bench.arrives(ack(n, &[]));
    bench
}

fn with_new_reno() -> Config {
    Config { congestion: Congestion::NewReno(NewReno::default()), ..with_sack() }
}

#[test]
fn rfc_9937_6_4_the_recovery_ends_with_the_window_that_was_left() {
    let mut bench = recovered(with_new_reno(), 10);
    assert_eq!(bench.end.info().congestion_window, 5000);
    assert_eq!(bench.sends(20_000).len(), 5);
    // What the last acknowledgment has told of counts: with four more it is a window of five, and the window grows.
    bench.arrives(ack(13, &[]));
    assert_eq!(window(&bench), 5);
    bench.arrives(ack(14, &[]));
    assert_eq!(window(&bench), 6);
}

#[test]
fn rfc_5681_3_1_what_leaves_is_never_more_than_the_window() {
    let mut bench = recovered(with_new_reno(), 9);
    // A half of nine, of which only whole segments leave.
    assert_eq!(bench.end.info().congestion_window, 4500);
    assert_eq!(bench.sends(60_000).len(), 4);
}

#[test]
fn rfc_9438_4_the_window_is_whole_segments_rounded_to_the_nearest() {
    let mut bench = recovered(with_sack(), 9);
    // Seven tenths of nine are 6.3. Half a segment more is reached by growth, at nine of seventeen of a segment a round trip.
    assert_eq!(bench.end.info().congestion_window, 6000);
    assert_eq!(bench.sends(60_000).len(), 6);
    for n in 1..=3 {
        bench.arrives(ack(9 + n, &[]));
    }
    assert_eq!((bench.end.info().congestion_window, bench.end.info().segments_in_flight), (7000, 7));
}
