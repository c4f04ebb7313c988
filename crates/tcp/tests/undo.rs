//! Reductions that were a mistake: RFC 3522, RFC 3708, RFC 4015, RFC 5682, RFC 9438 4.9.

mod common;

use common::{ACK, Bench, FromPeer, SYN, config, ms, segment};
use drywire_tcp::{Config, EcnMode, Flags, Timestamps};

/// Our clock begins with the ISN, so what leaves after 100 ms says 1100.
const SENT: u32 = 1100;

fn with_sack() -> Config {
    Config { sack: true, send_capacity: 1 << 20, ..config() }
}

fn with_timestamps() -> Config {
    Config { timestamps: true, send_capacity: 1 << 20, ..config() }
}

/// Established with a window of 60,000 bytes, segments of 1000, and 100 ms of round trip measured.
fn established(config: Config) -> Bench {
    let mut syn_ack = segment(SYN | ACK, 5000, 1001).window(60_000).sack_permitted();
    if config.timestamps {
        // The option takes 12 bytes of each segment.
        syn_ack = syn_ack.mss(Some(1012));
        syn_ack.header.options.timestamps = Some(Timestamps { value: 1, echo: 1000 });
    }
    Bench::established_with(config, syn_ack)
}

/// An acknowledgment of the first `n` segments that reports the segments `blocks`.
fn ack(n: u32, blocks: &[(u32, u32)]) -> FromPeer {
    let blocks: Vec<_> = blocks.iter().map(|(left, right)| (1001 + left * 1000, 1001 + right * 1000)).collect();
    segment(ACK, 5001, 1001 + n * 1000).window(60_000).sack(&blocks)
}

/// As [`ack`], with an echo of our clock.
fn echo(n: u32, echo: u32) -> FromPeer {
    let mut ack = ack(n, &[]);
    ack.header.options.timestamps = Some(Timestamps { value: 2, echo });
    ack
}

/// The numbers of the segments that leave.
fn numbers(lines: &[String]) -> Vec<u32> {
    let number = |line: &String| {
        let rest = line.split_once("seq=").expect("a segment").1;
        (rest.split(' ').next().unwrap().parse::<u32>().unwrap() - 1001) / 1000
    };
    lines.iter().map(number).collect()
}

/// The window in segments, and the threshold.
fn window(bench: &Bench) -> (u32, Option<u32>) {
    let info = bench.end.info();
    (info.congestion_window / 1000, info.slow_start_threshold.map(|threshold| threshold / 1000))
}

/// Ten segments are in flight, there is more to send, and the time-out has sent the first again.
fn timed_out(config: Config) -> Bench {
    let mut bench = established(config);
    assert_eq!(bench.sends(40_000).len(), 10);
    while bench.end.info().counters.timeouts == 0 {
        bench.times_out();
    }
    assert_eq!(window(&bench), (1, Some(7)));
    bench
}

#[test]
fn rfc_3522_3_2_an_echo_from_before_the_timeout_takes_it_back() {
    let mut bench = timed_out(with_timestamps());
    bench.now += ms(10);
    let sent = numbers(&bench.arrives(echo(1, SENT)));
    // Slow start goes on with new data where it was.
    assert_eq!((sent, window(&bench)), (vec![10, 11], (11, None)));
}

/// A time-out that is taken back before anything new has left: the peer is not told of a reduction, and the mark that
/// comes next reduces the window, as no other reduction of this round trip stands.
#[test]
fn rfc_3168_6_1_2_a_reduction_that_is_taken_back_is_not_told() {
    let config = Config { ecn: EcnMode::Request, timestamps: true, send_capacity: 1 << 20, ..config() };
    let mut syn_ack = segment(SYN | ACK | Flags::ECE, 5000, 1001).window(60_000).mss(Some(1012));
    syn_ack.header.options.timestamps = Some(Timestamps { value: 1, echo: 1000 });
    let mut bench = Bench::established_with(config, syn_ack);
    assert!(bench.end.info().ecn);
    assert_eq!(bench.sends(40_000).len(), 10);
    while bench.end.info().counters.timeouts == 0 {
        bench.times_out();
    }
    bench.now += ms(10);
    let sent = bench.arrives(echo(1, SENT));
    assert_eq!((numbers(&sent), window(&bench)), (vec![10, 11], (11, None)));
    assert!(sent.iter().all(|line| !line.contains("CWR")), "{sent:?}");
    let mut marked = echo(2, SENT);
    marked.header.flags |= Flags::ECE;
    bench.arrives(marked);
    assert!(window(&bench).0 < 11, "{:?}", window(&bench));
}

#[test]
fn rfc_3522_3_2_an_echo_of_what_was_sent_again_confirms_the_timeout() {
    let mut bench = timed_out(with_timestamps());
    bench.now += ms(100);
    let sent = numbers(&bench.arrives(echo(1, SENT + 300)));
    assert_eq!((sent, window(&bench)), (vec![1, 2], (2, Some(7))));
}

#[test]
fn an_echo_of_nothing_takes_nothing_back() {
    let mut bench = timed_out(with_timestamps());
    bench.now += ms(10);
    bench.arrives(echo(1, 0));
    assert_eq!(window(&bench).1, Some(7));
}

#[test]
fn rfc_3522_3_2_only_the_first_acknowledgment_of_what_was_sent_again_decides() {
    let mut bench = timed_out(with_timestamps());
    bench.now += ms(100);
    bench.arrives(echo(1, SENT + 300));
    bench.arrives(echo(2, SENT));
    assert_eq!(window(&bench).1, Some(7));
}

#[test]
fn rfc_4015_3_2_the_timeout_adapts_to_the_round_trip_that_it_was_too_short_for() {
    let mut bench = timed_out(with_timestamps());
    bench.now += ms(100);
    bench.arrives(echo(1, SENT));
    // SRTT was 100 ms, and this one took 400.
    let info = bench.end.info();
    assert_eq!((info.rtt, info.backoff), (Some(ms(137) + ms(1) / 2), 0));
    assert!(info.rto > ms(400), "{:?}", info.rto);
}

/// The answer was lost, not late: the peer reports the second sending as a duplicate, and echoes the clock of the first.
/// Taken for a round trip, the time-out would be part of the next one.
#[test]
fn what_arrived_twice_is_no_measurement_but_nothing_was_lost_either() {
    let mut bench = timed_out(Config { sack: true, ..with_timestamps() });
    let before = bench.end.info().rtt;
    bench.now += ms(100);
    let mut answer = ack(10, &[(0, 1)]);
    answer.header.options.timestamps = Some(Timestamps { value: 2, echo: SENT });
    bench.arrives(answer);
    assert_eq!((bench.end.info().rtt, window(&bench).1), (before, None));
}

#[test]
fn rfc_4015_3_2_a_fast_retransmit_is_taken_back_likewise() {
    let mut bench = established(Config { sack: true, ..with_timestamps() });
    bench.sends(40_000);
    bench.now += ms(100);
    let mut report = ack(0, &[(1, 4)]);
    report.header.options.timestamps = Some(Timestamps { value: 2, echo: SENT });
    assert_eq!(numbers(&bench.arrives(report)), [0]);
    assert_eq!(window(&bench), (7, Some(7)));
    bench.now += ms(10);
    bench.arrives(echo(4, SENT));
    assert_eq!(window(&bench).1, None);
    assert!(window(&bench).0 >= 10);
}

#[test]
fn rfc_5682_3_1_step_2_a_part_is_acknowledged_and_new_data_leaves() {
    let mut bench = timed_out(with_sack());
    bench.now += ms(10);
    // The tail loss probe was segment 10.
    assert_eq!(numbers(&bench.arrives(ack(1, &[]))), [11, 12]);
}

#[test]
fn rfc_5682_3_1_step_2a_a_duplicate_means_that_the_loss_is_real() {
    let mut bench = timed_out(with_sack());
    bench.now += ms(10);
    bench.arrives(ack(0, &[(5, 6)]));
    assert_eq!(numbers(&bench.arrives(ack(1, &[(5, 6)])))[0], 1);
    assert_eq!(window(&bench).1, Some(7));
}

#[test]
fn rfc_5682_3_1_step_2b_without_new_data_the_recovery_is_the_usual_one() {
    let mut bench = established(with_sack());
    bench.sends(10_000);
    while bench.end.info().counters.timeouts == 0 {
        bench.times_out();
    }
    bench.now += ms(10);
    assert_eq!(numbers(&bench.arrives(ack(1, &[])))[0], 1);
}

#[test]
fn rfc_5682_3_1_step_3a_news_of_the_new_data_alone_means_that_the_loss_is_real() {
    let mut bench = timed_out(with_sack());
    bench.now += ms(10);
    bench.arrives(ack(1, &[]));
    bench.now += ms(100);
    let sent = numbers(&bench.arrives(ack(1, &[(11, 12)])));
    assert_eq!((sent[0], window(&bench).1), (1, Some(7)));
}

#[test]
fn rfc_5682_3_1_step_3b_the_arrival_of_what_was_sent_once_takes_the_timeout_back() {
    // Acknowledged, or reported.
    for second in [ack(2, &[]), ack(1, &[(3, 4)])] {
        let mut bench = timed_out(with_sack());
        bench.now += ms(10);
        bench.arrives(ack(1, &[]));
        bench.now += ms(1);
        bench.arrives(second);
        assert_eq!(window(&bench).1, None);
        assert!(window(&bench).0 >= 10);
        assert_eq!(bench.end.info().segments_lost, 0);
    }
}

#[test]
fn rfc_5682_3_1_step_1_a_second_timeout_is_not_doubted() {
    let mut bench = timed_out(with_sack());
    bench.times_out();
    assert_eq!(bench.end.info().counters.timeouts, 2);
    bench.now += ms(10);
    assert_eq!(numbers(&bench.arrives(ack(1, &[]))), [1, 2]);
}

/// Segment 0 was only overtaken, and is sent again; so is segment 4 if `both`. Everything arrives in the end.
fn overtaken(both: bool) -> Bench {
    let mut bench = established(with_sack());
    bench.sends(40_000);
    bench.now += ms(100);
    bench.arrives(ack(0, &[(1, 4)]));
    if both {
        bench.arrives(ack(0, &[(5, 9), (1, 4)]));
    }
    bench.now += ms(1);
    bench.arrives(ack(10, &[]));
    assert_eq!(window(&bench).1, Some(7));
    bench
}

#[test]
fn rfc_3708_3_reports_of_all_that_was_sent_again_take_the_reduction_back() {
    let mut bench = overtaken(false);
    bench.arrives(ack(10, &[(0, 1)]));
    assert_eq!(window(&bench), (10, None));
    let mut bench = overtaken(true);
    bench.arrives(ack(10, &[(0, 1)]));
    assert_eq!(window(&bench).1, Some(7));
    bench.arrives(ack(10, &[(4, 5)]));
    assert_eq!(window(&bench), (10, None));
}

#[test]
fn a_second_loss_is_not_taken_back_with_the_first() {
    let mut bench = overtaken(false);
    bench.now += ms(100);
    bench.arrives(ack(10, &[(11, 14)]));
    assert_eq!(window(&bench).1, Some(5));
    // Late news of the first.
    bench.arrives(ack(10, &[(0, 1), (11, 14)]));
    assert_eq!(window(&bench).1, Some(5));
}

#[test]
fn rfc_9438_4_9_no_reduction_is_taken_back_once_its_time_is_over() {
    let mut bench = overtaken(false);
    // Everything in flight at the end of the recovery is acknowledged: a report would have come before.
    bench.now += ms(100);
    let sent = bench.end.info().segments_in_flight;
    bench.arrives(ack(10 + sent, &[]));
    bench.arrives(ack(10 + sent, &[(0, 1)]));
    assert_eq!(window(&bench).1, Some(7));
}
