//! Closing: RFC 9293 3.6, 3.10.4, 3.10.5, 3.10.7.1 and the states behind ESTABLISHED.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{ACK, Bench, FIN, Faults, PERFECT, Pair, RST, SYN, config, ms, pattern, segment};
use drywire_tcp::{CloseReason, Config, Event, SendError, State};

const MSL2: Duration = Duration::from_secs(60);

fn in_state(state: State) -> Bench {
    let mut bench = match state {
        State::Listen => return Bench::listening(config()),
        State::SynReceived => return Bench::syn_received(config()),
        State::SynSent => {
            let mut bench = Bench::connecting(config());
            bench.sent();
            return bench;
        }
        _ => Bench::established(),
    };
    let shuts = !matches!(state, State::Established | State::CloseWait | State::LastAck);
    if shuts {
        bench.end.shutdown();
        bench.sent();
    }
    match state {
        State::FinWait2 => drop(bench.arrives(segment(ACK, 5001, 1002))),
        State::TimeWait => drop(bench.arrives(segment(ACK | FIN, 5001, 1002))),
        State::Closing | State::CloseWait | State::LastAck => drop(bench.arrives(segment(ACK | FIN, 5001, 1001))),
        _ => {}
    }
    if state == State::LastAck {
        bench.end.shutdown();
        bench.sent();
    }
    bench.events();
    assert_eq!(bench.end.state(), state);
    bench
}

#[test]
fn rfc_9293_3_6_case_1_the_local_user_closes_first() {
    let mut bench = Bench::established();
    bench.end.shutdown();
    assert_eq!(bench.end.state(), State::FinWait1);
    assert_eq!(bench.sent(), ["FIN,ACK seq=1001 ack=5001 win=10000 len=0"]);
    assert!(bench.arrives(segment(ACK, 5001, 1002)).is_empty());
    assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::FinWait2, None));
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1002)), ["ACK seq=1002 ack=5002 win=9999 len=0"]);
    assert_eq!((bench.end.state(), bench.events()), (State::TimeWait, vec![Event::PeerFinished]));
    assert_eq!(bench.times_out(), (MSL2, vec![]));
    assert_eq!((bench.end.state(), bench.events()), (State::Closed, vec![Event::Closed(CloseReason::Normal)]));
}

#[test]
fn rfc_9293_3_6_case_2_the_peer_closes_first() {
    let mut bench = Bench::established();
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1001)), ["ACK seq=1001 ack=5002 win=9999 len=0"]);
    assert_eq!((bench.end.state(), bench.events()), (State::CloseWait, vec![Event::PeerFinished]));
    bench.end.shutdown();
    assert_eq!(bench.end.state(), State::LastAck);
    assert_eq!(bench.sent(), ["FIN,ACK seq=1001 ack=5002 win=9999 len=0"]);
    assert!(bench.arrives(segment(ACK, 5002, 1002)).is_empty());
    assert_eq!((bench.end.state(), bench.events()), (State::Closed, vec![Event::Closed(CloseReason::Normal)]));
    assert_eq!(bench.end.poll_timeout(), None);
}

#[test]
fn rfc_9293_3_6_case_3_both_close_at_the_same_time() {
    let mut bench = Bench::established();
    bench.end.shutdown();
    bench.sent();
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1001)), ["ACK seq=1002 ack=5002 win=9999 len=0"]);
    assert_eq!(bench.end.state(), State::Closing);
    assert!(bench.arrives(segment(ACK, 5002, 1002)).is_empty());
    assert_eq!(bench.end.state(), State::TimeWait);
    bench.times_out();
    assert_eq!(bench.events(), [Event::PeerFinished, Event::Closed(CloseReason::Normal)]);
}

#[test]
fn rfc_9293_3_6_a_fin_that_acknowledges_ours_goes_straight_to_time_wait() {
    let mut bench = in_state(State::FinWait1);
    bench.arrives(segment(ACK | FIN, 5001, 1002));
    assert_eq!(bench.end.state(), State::TimeWait);
}

#[test]
fn rfc_9293_3_6_close_wait_goes_on_sending() {
    let mut bench = in_state(State::CloseWait);
    assert_eq!(bench.sends(1500).len(), 2);
    bench.arrives(segment(ACK, 5002, 2501));
    assert_eq!(bench.end.unacknowledged(), 0);
}

#[test]
fn rfc_9293_3_6_fin_wait_goes_on_receiving() {
    for state in [State::FinWait1, State::FinWait2] {
        let mut bench = in_state(state);
        assert_eq!(bench.arrives(segment(ACK, 5001, 1001).data(b"more")), ["ACK seq=1002 ack=5005 win=9996 len=0"]);
        assert_eq!(bench.reads(), b"more");
    }
}

#[test]
fn rfc_9293_3_6_half_close_of_a_pair() {
    // The client sends a little and shuts down, the server then goes on for long.
    let (up, down) = (pattern(10), pattern(2_000_000));
    let mut pair = Pair::new(5, PERFECT, &Config::default(), [&up, &down]);
    while pair.step() {
        if pair.ends[0].state() == State::FinWait2 {
            assert!(matches!(pair.ends[1].state(), State::CloseWait | State::LastAck | State::Established));
        }
    }
    assert!(pair.received[0] == down && pair.received[1] == up);
}

#[test]
fn rfc_9293_3_10_4_fin_leaves_after_everything_queued() {
    let mut bench = Bench::established();
    bench.end.send(Bytes::from(pattern(15_000))).unwrap();
    bench.end.shutdown();
    let lines = bench.sent();
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| !line.contains("FIN")));
    let lines = bench.arrives(segment(ACK, 5001, 11_001));
    assert!(lines.last().unwrap().starts_with("FIN,PSH,ACK seq=15001"), "{lines:?}");
    assert!(matches!(bench.end.send(Bytes::from_static(b"x")), Err(SendError::Closed(_))));
}

#[test]
fn rfc_9293_3_10_4_a_second_close_does_nothing() {
    for state in [State::FinWait1, State::FinWait2, State::Closing, State::LastAck, State::TimeWait] {
        let mut bench = in_state(state);
        bench.end.shutdown();
        assert!(bench.sent().is_empty());
        assert_eq!(bench.end.state(), state);
    }
}

#[test]
fn rfc_9293_3_10_7_4_eighth_time_wait_answers_a_repeated_fin_and_starts_again() {
    let mut bench = in_state(State::TimeWait);
    bench.now += Duration::from_secs(59);
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1002)), ["ACK seq=1002 ack=5002 win=9999 len=0"]);
    assert_eq!(bench.end.poll_timeout(), Some(bench.now + MSL2));
    // Anything else does not hold it up.
    bench.now += Duration::from_secs(1);
    let deadline = bench.end.poll_timeout();
    bench.arrives(segment(ACK, 5002, 1002));
    bench.arrives(segment(SYN, 9000, 0));
    assert_eq!(bench.end.poll_timeout(), deadline);
}

#[test]
fn time_wait_is_as_long_as_configured() {
    let config = Config { time_wait: ms(5), ..config() };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001));
    bench.end.shutdown();
    bench.sent();
    bench.arrives(segment(ACK | FIN, 5001, 1002));
    assert_eq!(bench.times_out().0, ms(5));
}

#[test]
fn rfc_6298_5_a_lost_fin_is_sent_again() {
    for state in [State::FinWait1, State::Closing, State::LastAck] {
        let mut bench = in_state(state);
        assert!(bench.times_out().1[0].starts_with("FIN,ACK seq=1001"));
        for _ in 0..14 {
            assert_eq!(bench.times_out().1.len(), 1);
        }
        bench.times_out();
        assert_eq!(bench.events(), [Event::Closed(CloseReason::TimedOut)], "{state}");
    }
}

#[test]
fn rfc_9293_3_10_5_abort_tells_the_peer_by_rst() {
    for state in [State::SynReceived, State::Established, State::FinWait1, State::FinWait2, State::CloseWait] {
        let mut bench = in_state(state);
        bench.end.abort();
        let seq = if matches!(state, State::FinWait1 | State::FinWait2) { 1002 } else { 1001 };
        assert_eq!(bench.sent(), [format!("RST seq={seq} win=0 len=0")], "{state}");
        assert_eq!((bench.end.state(), bench.end.poll_timeout()), (State::Closed, None));
        assert_eq!(bench.events(), [Event::Closed(CloseReason::Aborted)]);
    }
}

#[test]
fn rfc_9293_3_10_5_abort_is_silent_where_nothing_is_left_to_tell() {
    for state in [State::Listen, State::SynSent, State::Closing, State::LastAck, State::TimeWait] {
        let mut bench = in_state(state);
        bench.end.abort();
        assert!(bench.sent().is_empty(), "{state}");
        let reason = if state == State::TimeWait { CloseReason::Normal } else { CloseReason::Aborted };
        assert_eq!(bench.events(), [Event::Closed(reason)]);
        bench.end.abort();
        assert!(bench.events().is_empty() && bench.sent().is_empty());
    }
}

#[test]
fn rfc_9293_3_10_5_abort_drops_what_is_queued() {
    let mut bench = Bench::established();
    bench.end.send(Bytes::from(pattern(1000))).unwrap();
    bench.end.abort();
    assert_eq!(bench.sent(), ["RST seq=1001 win=0 len=0"]);
    assert_eq!(bench.end.unacknowledged(), 0);
    assert!(matches!(bench.end.send(Bytes::new()), Err(SendError::Closed(_))));
}

#[test]
fn rfc_9293_3_10_7_4_second_reset_ends_every_synchronized_state() {
    use CloseReason::{Normal, Reset};
    for (state, reason) in [
        (State::Established, Reset),
        (State::FinWait1, Reset),
        (State::FinWait2, Reset),
        (State::CloseWait, Reset),
        (State::Closing, Normal),
        (State::LastAck, Normal),
        (State::TimeWait, Normal),
    ] {
        let mut bench = in_state(state);
        let seq = if bench.end.recv().is_end_of_stream() { 5002 } else { 5001 };
        assert!(bench.arrives(segment(RST, seq, 0)).is_empty());
        assert_eq!(bench.events(), [Event::Closed(reason)], "{state}");
    }
}

#[test]
fn a_reset_before_everything_is_acknowledged_is_told() {
    let mut bench = in_state(State::CloseWait);
    bench.sends(100);
    bench.end.shutdown();
    bench.sent();
    bench.arrives(segment(RST, 5002, 0));
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Reset)]);
}

#[test]
fn bytes_that_arrived_before_a_reset_can_be_read() {
    let mut bench = Bench::established();
    bench.arrives(segment(ACK, 5001, 1001).data(b"last words"));
    bench.arrives(segment(RST, 5011, 0));
    assert_eq!(bench.reads(), b"last words");
    assert!(!bench.end.recv().is_end_of_stream());
}

#[test]
fn rfc_9293_3_10_7_1_closed_answers_with_rst() {
    let mut bench = in_state(State::LastAck);
    bench.arrives(segment(ACK, 5002, 1002));
    assert_eq!(bench.end.state(), State::Closed);
    assert_eq!(bench.arrives(segment(ACK | FIN, 5001, 1002)), ["RST seq=1002 win=0 len=0"]);
    assert_eq!(bench.arrives(segment(SYN, 9000, 0).data(b"xy")), ["RST,ACK seq=0 ack=9003 win=0 len=0"]);
    assert!(bench.arrives(segment(RST, 5002, 0)).is_empty());
    assert_eq!(bench.events(), [Event::Closed(CloseReason::Normal)]);
}

#[test]
fn a_pair_that_closes_at_the_same_time_ends_in_time_wait_both() {
    let mut pair = Pair::simultaneous(9, PERFECT, &Config::default(), [b"", b""]);
    let mut seen = std::collections::BTreeSet::new();
    while pair.step() {
        seen.extend(pair.states());
    }
    assert!(seen.contains(&State::Closing) && !seen.contains(&State::LastAck));
    // SYN, SYN-ACK, ACK, FIN and ACK cross, one latency each.
    assert_eq!(pair.now.as_millis(), 60_000 + 5 * 10);
}

#[test]
fn closing_survives_heavy_loss() {
    let faults = Faults { loss: 40, duplication: 20, latency: ms(10), jitter: ms(50) };
    for seed in 0..300 {
        let mut pair = Pair::new(seed, faults, &Config::default(), [b"", b""]);
        pair.run();
        assert_eq!(pair.states(), [State::Closed; 2], "seed {seed}");
        for events in &pair.events {
            assert_eq!(events.last(), Some(&Event::Closed(CloseReason::Normal)), "seed {seed}");
        }
    }
}
