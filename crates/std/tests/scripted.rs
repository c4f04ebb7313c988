//! The driver's invariants on a scripted wire: short writes, stalls, interruptions, spurious wakes, failures.

mod blocking;
#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::io::ErrorKind;
use std::time::Duration;

use blocking::{Scripted, driver, run, run_lines};
use drywire_core::{Bytes, Instant, StreamMachine};
use drywire_std::{Config, Driver, Turn};
use proptest::prelude::*;
use shared::{
    LINGER, Lines, LinesConfig, Outcome, Patient, ReadStep, Rule, START, Script, Stubborn, Ticker, Toy, Wire,
    WriteStep, data, millis, repeat,
};

fn cases() -> ProptestConfig {
    // A failure is kept as a test of its own, not as a seed.
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_awkward_wire_changes_neither_events_nor_bytes(
        (input, script) in shared::script(),
        config in shared::config(),
    ) {
        let config = LinesConfig { idle: None, ..config };
        let (run, wire) = run_lines(&script, &config);
        prop_assert_eq!(run, shared::reference(&input, &config));
        prop_assert!(wire.is_shut() && !wire.is_aborted());
    }

    #[test]
    fn the_invariants_hold_with_deadlines_and_failures(
        (input, script) in prop_oneof![shared::script(), shared::failing_script()],
        config in shared::config(),
    ) {
        let (run, _) = run_lines(&script, &config);
        let whole = shared::reference(&input, &config);
        prop_assert!(whole.events.starts_with(&run.events));
    }
}

#[test]
fn one_byte_at_a_time_gives_the_same() {
    let input = b"one\nhalf\ntwo\n";
    let script = Script {
        reads: input.iter().map(|byte| ReadStep::Data(vec![*byte])).chain([ReadStep::End]).collect(),
        writes: vec![WriteStep::Take(1); 64],
        ..Script::default()
    };
    let config = LinesConfig::default();
    assert_eq!(run_lines(&script, &config).0, shared::reference(input, &config));
}

#[test]
fn an_event_does_not_wait_for_the_flush() {
    let script = Script { reads: vec![data("a\nb\n"), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, LinesConfig::default()));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"a")));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"b")));
    assert_eq!((wire.written().as_str(), wire.parks()), ("", 0));
    assert_eq!(driver.next_event().unwrap(), None);
    assert_eq!(wire.written(), "a\nb\n");
}

#[test]
fn room_in_the_queue_lets_the_machine_parse_on() {
    let script = Script {
        reads: vec![data("1234567\nnext\n"), ReadStep::End],
        writes: vec![WriteStep::Take(4), WriteStep::Block(millis(60_000))],
        ..Script::default()
    };
    let config = LinesConfig { high_water: 8, idle: None };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, config));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"1234567")));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"next")));
    assert_eq!(wire.parks(), 0);
}

#[test]
fn an_error_shows_behind_its_farewell_and_the_close() {
    let script = Script {
        reads: vec![data("bad\nmore"), ReadStep::Block(millis(3)), data("and more"), ReadStep::End],
        writes: vec![WriteStep::Take(2), WriteStep::Block(millis(5))],
        ..Script::default()
    };
    let (run, wire) = run_lines(&script, &LinesConfig::default());
    assert_eq!(run.outcome, Outcome::Protocol(Rule::Bad));
    assert_eq!(run.written, "that was bad\n");
    assert!(wire.is_shut() && !wire.is_aborted());
}

#[test]
fn a_peer_that_takes_no_farewell_is_aborted_in_time() {
    let script =
        Script { reads: vec![data("bad\n")], writes: vec![WriteStep::Block(millis(60_000))], ..Script::default() };
    let (run, wire) = run_lines(&script, &LinesConfig::default());
    assert_eq!(run.outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_aborted() && !wire.is_shut());
    assert_eq!(wire.now(), Instant::from_millis(3_000));
}

#[test]
fn a_close_waits_for_the_peers_end_no_longer_than_it_may() {
    let script = Script { reads: vec![data("close\n")], ..Script::default() };
    let (run, wire) = run_lines(&script, &LinesConfig::default());
    assert_eq!((run.outcome, run.written.as_str()), (Outcome::Closed, "close\n"));
    assert_eq!(wire.now(), Instant::from_millis(3_000));
}

#[test]
fn a_close_discards_no_more_than_it_may() {
    let flood = vec![ReadStep::Data(vec![b'x'; 4096]); 10_000];
    let script = Script { reads: [vec![data("close\n")], flood].concat(), ..Script::default() };
    let (run, wire) = run_lines(&script, &LinesConfig::default());
    assert_eq!((run.outcome, wire.parks()), (Outcome::Closed, 0));
}

#[test]
fn an_abort_does_not_wait() {
    let script =
        Script { reads: vec![data("abort\n")], writes: vec![WriteStep::Block(millis(60_000))], ..Script::default() };
    let (run, wire) = run_lines(&script, &LinesConfig::default());
    assert_eq!((run.outcome, wire.parks()), (Outcome::Closed, 0));
    assert!(wire.is_aborted() && !wire.is_shut());
}

#[test]
fn a_write_of_zero_is_write_zero() {
    let script =
        Script { reads: vec![data("a\n")], writes: vec![WriteStep::Take(1), WriteStep::Zero], ..Script::default() };
    let (run, _) = run_lines(&script, &LinesConfig::default());
    assert_eq!(run.outcome, Outcome::Io(ErrorKind::WriteZero));
    assert_eq!(run.events, ["a"]);
}

/// A server that answers early and closes makes the client's writes fail before the client has read the answer.
#[test]
fn what_the_peer_sent_before_a_write_failed_is_still_read() {
    let script = Script {
        reads: vec![data("early\n"), data("answer\n")],
        writes: vec![WriteStep::Error(ErrorKind::BrokenPipe)],
        ..Script::default()
    };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, LinesConfig::default()));
    assert!(driver.machine_mut().say(b"a long request"));
    let run = run(&mut driver, &wire);
    assert_eq!(run.events, ["early", "answer"]);
    assert_eq!(run.outcome, Outcome::Io(ErrorKind::BrokenPipe));
}

#[test]
fn a_deadline_comes_in_time_and_its_farewell_leaves() {
    let script = Script { reads: vec![data("a\n")], ..Script::default() };
    let config = LinesConfig { idle: Some(millis(30)), ..LinesConfig::default() };
    let (run, wire) = run_lines(&script, &config);
    assert_eq!(run.outcome, Outcome::Protocol(Rule::Idle));
    assert_eq!(run.written, "a\ntimeout\n");
    // The deadline, and then the wait for a peer that does not close.
    assert_eq!(wire.now(), Instant::from_millis(3_030));
}

#[test]
fn a_timer_goes_on_whatever_arrives() {
    let noise = [data("noise"), ReadStep::Block(millis(7))];
    let script = Script { reads: repeat(&noise, 20), ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Ticker::new(now, millis(10), 5));
    let run = run(&mut driver, &wire);
    assert_eq!(run.events, ["tick"; 5]);
    assert_eq!((run.written, run.outcome), ("tick\n".repeat(5), Outcome::Closed));
}

#[test]
fn the_end_of_the_stream_is_read_once() {
    let script = Script { reads: vec![data("noise"), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Ticker::new(now, millis(10), 5));
    assert_eq!(run(&mut driver, &wire).events, ["tick"; 5]);
    assert_eq!(wire.now(), Instant::from_millis(1_050));
}

#[test]
fn a_failed_machine_that_never_closes_is_given_up() {
    let flood = [data("more and more"), ReadStep::Block(millis(30))];
    let script = Script { reads: [vec![data("x")], repeat(&flood, 1_000)].concat(), ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Stubborn::new(now, true));
    assert_eq!(run(&mut driver, &wire).outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_aborted());
    assert_eq!(wire.now(), Instant::from_millis(3_000));
    // Nothing piled up for a machine that takes nothing.
    assert_eq!(&driver.into_parts().recv[..], b"x");
}

#[test]
fn a_flood_buys_a_failed_connection_no_time() {
    let script = Script { reads: repeat(&[data("more and more")], 1_000), ..Script::default() };
    let wire = Wire::new(script);
    let mut config = Config::default();
    config.linger = Duration::ZERO;
    let mut driver = Driver::with_config(Stubborn::new(wire.now(), true), Scripted(wire.clone()), config);
    assert_eq!(run(&mut driver, &wire).outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_aborted() && wire.reads_left() > 990);
}

#[test]
fn a_failed_machine_that_waits_for_nothing_is_closed() {
    let script = Script { reads: vec![data("x"), ReadStep::Block(millis(3)), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Stubborn::new(now, false));
    assert_eq!(run(&mut driver, &wire).outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_shut() && !wire.is_aborted());
    assert_eq!(wire.now(), Instant::from_millis(1_003));
}

/// The peer sends garbage and ends its direction 3 ms later. The machine, which had failed, was no more told of that, and the
/// connection stayed until the time for its farewell was up.
#[test]
fn a_failed_machine_whose_peer_has_ended_is_closed_at_once() {
    let script = Script { reads: vec![data("x"), ReadStep::Block(millis(3)), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Stubborn::new(now, true));
    assert_eq!(run(&mut driver, &wire).outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_shut() && !wire.is_aborted());
    assert_eq!(wire.now(), Instant::from_millis(1_003));
}

/// Half-close at 0 s, the machine's patience ends at 5 s, the peer never closes: it took 7 s, for the driver then lingered
/// once more.
#[test]
fn a_machine_that_lingers_is_not_followed_by_a_second_wait() {
    for (patience, took) in [(millis(5_000), millis(5_000)), (millis(500), LINGER)] {
        let (mut driver, wire) = driver(&Script::default(), |now| Patient::new(now, patience));
        assert_eq!(run(&mut driver, &wire).outcome, Outcome::Closed);
        assert!(wire.is_shut() && !wire.is_aborted());
        assert_eq!(wire.now() - START, took);
    }
}

#[test]
fn a_flush_is_told_so_that_content_can_go_on() {
    let script = Script {
        reads: vec![ReadStep::Block(millis(50)), ReadStep::End],
        writes: [WriteStep::Take(3), WriteStep::Block(millis(1))].repeat(10),
        ..Script::default()
    };
    let config = LinesConfig { high_water: 8, idle: None };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, config));
    let mut left = 10;
    loop {
        while left > 0 && driver.machine_mut().say(b"content ") {
            left -= 1;
        }
        match driver.next_turn().unwrap() {
            Turn::Flushed => {}
            Turn::Closed => break,
            turn => panic!("{turn:?}"),
        }
    }
    assert_eq!(wire.written(), "content ".repeat(10));
}

#[test]
fn another_protocol_takes_over_with_the_bytes_left_over() {
    let script = Script { reads: vec![data("upgrade\nnew "), data("words\n"), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, LinesConfig::default()));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"upgrade")));
    let now = driver.now();
    let mut driver = driver.map_machine(|old| {
        let mut new = Lines::new(now, LinesConfig::default());
        assert!(new.say(&old.into_transmit().pop(usize::MAX)));
        new
    });
    wire.judge(driver.machine().probe());
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"new words")));
    assert_eq!(driver.next_event().unwrap(), None);
    assert_eq!(wire.written(), "upgrade\nnew words\n");
}

#[test]
fn parts_make_a_driver_again() {
    let script = Script { reads: vec![data("a\nb\n"), ReadStep::End], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, LinesConfig::default()));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"a")));
    let parts = driver.into_parts();
    assert_eq!(&parts.recv[..], b"b\n");
    let mut driver = Driver::from_parts(parts);
    assert_eq!(run(&mut driver, &wire).events, ["b"]);
    assert_eq!(wire.written(), "a\nb\n");
}

#[test]
fn a_machine_behind_a_pointer_is_driven_like_any_other() {
    let script = Script { reads: vec![data("a\n"), ReadStep::End], ..Script::default() };
    let wire = Wire::new(script);
    let machine: Box<dyn StreamMachine<Event = Bytes, Error = Rule>> =
        Box::new(Lines::new(wire.now(), LinesConfig::default()));
    let mut driver = Driver::new(machine, Scripted(wire.clone()));
    assert_eq!(driver.next_event().unwrap(), Some(Bytes::from_static(b"a")));
    assert_eq!(driver.next_event().unwrap(), None);
}

#[test]
fn an_idle_driver_holds_no_buffer() {
    let script = Script { reads: vec![data("a\nb\n")], ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Lines::new(now, LinesConfig::default()));
    while driver.poll_turn().is_ready() {}
    assert_eq!(wire.written(), "a\nb\n");
    let mut parts = driver.into_parts();
    assert_eq!((parts.recv.capacity(), parts.machine.transmit().capacity()), (0, 0));
}
