//! The driver's invariants on a scripted wire: short writes, stalls, interruptions, spurious wakes, failures.

mod shared;

use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use drywire_core::{Bytes, Instant, StreamMachine};
use drywire_std::{Config, DriveError, Driver, Interest, Transport, Turn};
use proptest::prelude::*;
use shared::{Lines, LinesConfig, Outcome, ReadStep, Rule, Run, Script, Ticker, Toy, Wire, WriteStep, millis};

struct Scripted(Wire);

impl Transport for Scripted {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write()
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn park(&mut self, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
        let Interest { read, write } = interest;
        let (spurious, ready) = self.0.park(shared::Interest { read, write }, deadline);
        if !spurious {
            let next = ready.into_iter().chain(deadline).min().expect("parked for ever");
            self.0.set_now(next.max(self.0.now()));
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}

/// Longer than all pauses of a script together.
const LINGER: Duration = millis(2_000);

/// Small limits, so that scripts reach them.
fn limits() -> Config {
    let mut config = Config::default();
    config.read_size = 7;
    config.read_size_max = 20;
    config.linger = LINGER;
    config
}

fn driver<M: Toy>(script: &Script, machine: impl FnOnce(Instant) -> M) -> (Driver<M, Scripted>, Wire) {
    let wire = Wire::new(script.clone());
    let machine = machine(wire.now());
    wire.judge(machine.probe());
    (Driver::with_config(machine, Scripted(wire.clone()), limits()), wire)
}

fn cases() -> ProptestConfig {
    // A failure is kept as a test of its own, not as a seed.
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

fn run<M: Toy>(driver: &mut Driver<M, Scripted>, wire: &Wire) -> Run {
    let mut events = Vec::new();
    let outcome = loop {
        match driver.next_turn() {
            Ok(Turn::Event(event)) => events.push(String::from_utf8_lossy(&event).into_owned()),
            Ok(Turn::Closed) => break Outcome::Closed,
            Ok(_) => {}
            Err(DriveError::Protocol(rule)) => {
                wire.check_error();
                break Outcome::Protocol(rule);
            }
            Err(DriveError::Io(error)) => break Outcome::Io(error.kind()),
        }
    };
    // Whatever the end was, it is told once.
    assert!(matches!(driver.next_turn(), Ok(Turn::Closed)));
    Run { events, written: wire.written(), outcome }
}

fn run_lines(script: &Script, config: &LinesConfig) -> (Run, Wire) {
    let (mut driver, wire) = driver(script, |now| Lines::new(now, *config));
    (run(&mut driver, &wire), wire)
}

fn data(bytes: &str) -> ReadStep {
    ReadStep::Data(bytes.as_bytes().to_vec())
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
    let noise = || [data("noise"), ReadStep::Block(millis(7))];
    let script = Script { reads: (0..20).flat_map(|_| noise()).collect(), ..Script::default() };
    let (mut driver, wire) = driver(&script, |now| Ticker::new(now, millis(10), 5));
    let run = run(&mut driver, &wire);
    assert_eq!(run.events, ["tick"; 5]);
    assert_eq!((run.written, run.outcome), ("tick\n".repeat(5), Outcome::Closed));
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
