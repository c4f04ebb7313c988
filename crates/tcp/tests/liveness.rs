//! How long a connection believes in a silent peer: RFC 9293 3.8.3, 3.8.4 and 3.9.1.

mod common;

use std::time::Duration;

use common::{ACK, Bench, FIN, SYN, config, ms, segment};
use drywire_tcp::{CloseReason, Config, Event, KeepAlive, State};

const KEEP_ALIVE: KeepAlive = KeepAlive { idle: Duration::from_secs(60), interval: Duration::from_secs(5), count: 3 };

fn kept_alive() -> Bench {
    Bench::established_with(Config { keep_alive: Some(KEEP_ALIVE), ..config() }, segment(SYN | ACK, 5000, 1001))
}

const PROBE: &str = "ACK seq=1000 ack=5001 win=10000 len=0";

#[test]
fn rfc_9293_3_8_4_keep_alive_is_off_by_default() {
    assert_eq!(Config::default().keep_alive, None);
    assert_eq!(Bench::established().end.poll_timeout(), None);
    assert!(KeepAlive::default().idle >= Duration::from_secs(7200));
}

#[test]
fn rfc_9293_3_8_4_a_silent_peer_is_asked_and_given_up_after_several_probes() {
    let mut bench = kept_alive();
    assert_eq!(bench.times_out(), (Duration::from_secs(60), vec![PROBE.into()]));
    for _ in 1..KEEP_ALIVE.count {
        assert_eq!(bench.times_out(), (Duration::from_secs(5), vec![PROBE.into()]));
    }
    assert_eq!(bench.times_out(), (Duration::from_secs(5), vec![]));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn rfc_9293_3_8_4_an_answer_starts_the_idle_time_again() {
    let mut bench = kept_alive();
    for _ in 0..10 {
        bench.times_out();
        bench.times_out();
        bench.now += ms(100);
        assert!(bench.arrives(segment(ACK, 5001, 1001)).is_empty());
        // The probe that was due is found needless: something was heard 4.9 s before.
        assert_eq!(bench.times_out(), (ms(4900), vec![]));
        bench.now += Duration::from_secs(1);
        assert!(bench.arrives(segment(ACK, 5001, 1001)).is_empty());
        assert_eq!(bench.times_out(), (ms(54_100), vec![]));
    }
    assert_eq!(bench.end.state(), State::Established);
}

#[test]
fn rfc_9293_3_8_4_no_probe_while_something_is_unacknowledged() {
    let mut bench = kept_alive();
    bench.now += Duration::from_millis(59_900);
    bench.sends(10);
    assert_eq!(bench.times_out(), (ms(100), vec![]));
}

#[test]
fn rfc_9293_3_8_4_keep_alive_ends_a_half_closed_connection() {
    let mut bench = kept_alive();
    bench.end.shutdown();
    bench.sent();
    bench.arrives(segment(ACK, 5001, 1002));
    assert_eq!(bench.end.state(), State::FinWait2);
    while bench.end.state() != State::Closed {
        bench.times_out();
    }
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
}

#[test]
fn rfc_9293_3_8_4_the_peers_keep_alive_is_answered() {
    let mut bench = Bench::established();
    for probe in [segment(ACK, 5000, 1001), segment(ACK, 5000, 1001).data(b"?")] {
        assert_eq!(bench.arrives(probe), ["ACK seq=1001 ack=5001 win=10000 len=0"]);
    }
    assert!(bench.reads().is_empty());
}

#[test]
fn rfc_9293_3_8_3_syn_ack_limit_is_its_own() {
    let mut bench = Bench::syn_received(Config { syn_ack_retries: 2, ..config() });
    assert_eq!(bench.times_out().1.len(), 1);
    assert_eq!(bench.times_out().1.len(), 1);
    assert!(bench.times_out().1.is_empty());
    assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)]);
    let defaults = Config::default();
    assert_eq!((defaults.syn_retries, defaults.syn_ack_retries, defaults.data_retries), (6, 5, 15));
}

fn impatient() -> Bench {
    let config = Config { user_timeout: Some(Duration::from_secs(3)), ..config() };
    Bench::established_with(config, segment(SYN | ACK, 5000, 1001))
}

/// Lets every timer go off until the connection is gone; how long that took.
fn outlasts(bench: &mut Bench) -> Duration {
    let mut waited = Duration::ZERO;
    while bench.end.state() != State::Closed {
        waited += bench.times_out().0;
    }
    assert_eq!(bench.events(), [Event::Closed(CloseReason::UserTimeout)]);
    waited
}

#[test]
fn rfc_9293_3_9_1_user_timeout_ends_what_stays_unacknowledged() {
    let mut bench = impatient();
    assert_eq!(bench.end.poll_timeout(), None);
    bench.sends(2500);
    bench.now += Duration::from_secs(2);
    // Progress starts it again.
    bench.arrives(segment(ACK, 5001, 2001));
    assert_eq!(outlasts(&mut bench), Duration::from_secs(3));
}

#[test]
fn rfc_9293_3_9_1_user_timeout_covers_a_closed_window() {
    let mut bench = impatient();
    bench.arrives(segment(ACK, 5001, 1001).window(0));
    assert!(bench.sends(100).is_empty());
    let (waited, probe) = bench.times_out();
    assert_eq!(probe.len(), 1);
    // The answer to a probe is no progress.
    bench.arrives(segment(ACK, 5001, 1001).window(0));
    assert_eq!(waited + outlasts(&mut bench), Duration::from_secs(3));
}

#[test]
fn rfc_9293_3_9_1_user_timeout_covers_syn_and_fin() {
    let config = Config { user_timeout: Some(Duration::from_secs(3)), ..config() };
    let mut opening = Bench::connecting(config);
    opening.sent();
    assert_eq!(outlasts(&mut opening), Duration::from_secs(3));
    let mut closing = impatient();
    closing.arrives(segment(ACK | FIN, 5001, 1001));
    closing.events();
    closing.end.shutdown();
    closing.sent();
    assert_eq!(outlasts(&mut closing), Duration::from_secs(3));
}

#[test]
fn rfc_9293_3_9_1_no_user_timeout_without_anything_queued() {
    let mut bench = impatient();
    bench.sends(100);
    bench.arrives(segment(ACK, 5001, 1101));
    assert_eq!(bench.end.poll_timeout(), None);
}

/// How often something is sent in all, until the connection gives up.
fn attempts(mut bench: Bench, first: usize) -> usize {
    let mut sent = first;
    while bench.end.poll_timeout().is_some() {
        sent += bench.times_out().1.len();
    }
    sent
}

#[test]
fn rfc_9293_3_8_3_a_syn_leaves_7_times_a_syn_ack_6_times_and_text_16_times() {
    let mut syn = Bench::connecting(config());
    let first = syn.sent().len();
    assert_eq!(attempts(syn, first), 1 + 6);

    let mut syn_ack = Bench::listening(config());
    let first = syn_ack.arrives(segment(SYN, 5000, 0)).len();
    assert_eq!(attempts(syn_ack, first), 1 + 5);

    let mut text = Bench::established();
    let first = text.sends(100).len();
    assert_eq!(attempts(text, first), 1 + 15);

    let mut fin = Bench::established();
    fin.end.shutdown();
    let first = fin.sent().len();
    assert_eq!(attempts(fin, first), 1 + 15);

    // Probes of a closed window that nobody answers count likewise.
    let mut probes = Bench::established();
    probes.arrives(segment(ACK, 5001, 1001).window(0));
    let first = probes.sends(100).len();
    assert_eq!(attempts(probes, first), 15);
}
