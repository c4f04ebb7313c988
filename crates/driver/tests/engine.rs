//! The engine on a scripted wire. Its invariants are tested at length through the drivers, `drywire-std` and
//! `drywire-tokio`; here is what a driver of one's own builds on.

mod shared;

use std::io::{self, ErrorKind, IoSlice};
use std::task::Poll;

use drywire_core::{Instant, RecvBuf, StreamMachine as _};
use drywire_driver::{Config, DriveError, Engine, Interest, Parts, Turn, Wire};
use proptest::prelude::*;
use shared::{
    LINGER, Lines, LinesConfig, Outcome, READ_SIZE, READ_SIZE_MAX, ReadStep, Rule, Run, Script, Toy as _, WriteStep,
    data, millis,
};

struct Scripted {
    wire: shared::Wire,
    /// What each read was offered.
    rooms: Vec<usize>,
}

fn tried<R>(result: io::Result<R>) -> Poll<io::Result<R>> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl Wire for Scripted {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        tried(self.wire.read(room))
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        self.rooms.push(max);
        tried(recv.fill_with(max, |room| self.wire.read(room)))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        tried(self.wire.write_vectored(pieces))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        tried(self.wire.flush())
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        tried(self.wire.shutdown_write())
    }

    fn abort(&mut self) {
        self.wire.abort();
    }

    fn now(&self) -> Instant {
        self.wire.now()
    }
}

fn engine(script: &Script, config: &LinesConfig) -> (Engine<Lines>, Scripted) {
    let wire = shared::Wire::new(script.clone());
    let machine = Lines::new(wire.now(), *config);
    wire.judge(machine.probe());
    let mut limits = Config::default();
    (limits.read_size, limits.read_size_max, limits.linger) = (READ_SIZE, READ_SIZE_MAX, LINGER);
    Engine::from_parts(Parts {
        machine,
        transport: Scripted { wire, rooms: Vec::new() },
        recv: RecvBuf::new(),
        config: limits,
    })
}

/// Drives to the end, and moves the time to whatever comes next at every wait.
fn run(script: &Script, config: &LinesConfig) -> Run {
    let (mut engine, mut wire) = engine(script, config);
    let mut events = Vec::new();
    let outcome = loop {
        match engine.poll_turn(&mut wire) {
            Poll::Ready(Ok(Turn::Event(event))) => events.push(String::from_utf8_lossy(&event).into_owned()),
            Poll::Ready(Ok(Turn::Closed)) => break Outcome::Closed,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(DriveError::Protocol(rule))) => break Outcome::Protocol(rule),
            Poll::Ready(Err(DriveError::Io(error))) => break Outcome::Io(error.kind()),
            Poll::Pending => {
                let Interest { read, write } = engine.interest();
                let deadline = engine.deadline();
                let (spurious, ready) = wire.wire.park(shared::Interest { read, write }, deadline);
                if !spurious {
                    let next = ready.into_iter().chain(deadline).min().expect("parked for ever");
                    wire.wire.set_now(next.max(wire.now()));
                }
            }
        }
    };
    assert!(engine.is_closed());
    assert_eq!((engine.interest(), engine.deadline()), (Interest::default(), None));
    Run { events, written: wire.wire.written(), outcome }
}

proptest! {
    // A failure is kept as a test of its own, not as a seed.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn interest_and_deadline_are_enough_to_get_to_the_end(
        (input, script) in shared::script(),
        config in shared::config(),
    ) {
        let config = LinesConfig { idle: None, ..config };
        prop_assert_eq!(run(&script, &config), shared::reference(&input, &config));
    }
}

/// Pending with nothing buffered, after both buffers were in use.
#[test]
fn an_idle_connection_holds_no_buffer() {
    let script = Script { reads: vec![data("a\nb\n")], ..Script::default() };
    let (mut engine, mut wire) = engine(&script, &LinesConfig::default());
    let mut turns = 0;
    while engine.poll_turn(&mut wire).is_ready() {
        turns += 1;
    }
    assert_eq!((turns, wire.wire.written().as_str()), (3, "a\nb\n"));
    let Parts { mut machine, recv, .. } = engine.into_parts(wire);
    assert_eq!((recv.capacity(), machine.transmit().capacity()), (0, 0));
}

#[test]
fn what_is_not_a_whole_line_yet_is_kept() {
    let script = Script { reads: vec![data("one\ntw")], ..Script::default() };
    let (mut engine, mut wire) = engine(&script, &LinesConfig::default());
    while engine.poll_turn(&mut wire).is_ready() {}
    assert_eq!(&engine.into_parts(wire).recv[..], b"tw");
}

/// Two lines come while the caller has no use for any: nothing is parsed or read, and what is queued still leaves.
#[test]
fn a_paused_engine_takes_nothing_and_still_writes() {
    let script = Script { reads: vec![data("one\n"), data("two\n")], ..Script::default() };
    let (mut engine, mut wire) = engine(&script, &LinesConfig::default());
    assert!(matches!(engine.poll_turn(&mut wire), Poll::Ready(Ok(Turn::Event(_)))));
    engine.pause_events(true);
    assert!(!engine.is_flushed());
    assert!(matches!(engine.poll_turn(&mut wire), Poll::Ready(Ok(Turn::Flushed))));
    assert!(engine.is_flushed());
    assert!(engine.poll_turn(&mut wire).is_pending());
    assert_eq!((wire.wire.written().as_str(), wire.wire.reads_left()), ("one\n", 1));
    assert_eq!(engine.interest(), Interest::default());
    engine.pause_events(false);
    assert!(matches!(engine.poll_turn(&mut wire), Poll::Ready(Ok(Turn::Event(_)))));
}

/// The deadline of the machine passes while the caller takes nothing.
#[test]
fn a_failure_in_a_pause_is_told() {
    let script = Script { reads: vec![ReadStep::Block(millis(7)), ReadStep::End], ..Script::default() };
    let (mut engine, mut wire) = engine(&script, &LinesConfig::default());
    engine.machine_mut().hurry(wire.now(), millis(5));
    engine.pause_events(true);
    assert!(engine.poll_turn(&mut wire).is_pending());
    wire.wire.set_now(engine.deadline().expect("the machine has one"));
    assert!(engine.poll_turn(&mut wire).is_pending());
    assert_eq!((wire.wire.written().as_str(), engine.interest().read), ("timeout\n", true));
    let (_, ready) = wire.wire.park(shared::Interest { read: true, write: false }, engine.deadline());
    wire.wire.set_now(ready.expect("the peer ends"));
    assert!(matches!(engine.poll_turn(&mut wire), Poll::Ready(Err(DriveError::Protocol(Rule::Idle)))));
}

#[test]
fn reads_grow_while_they_are_filled_and_shrink_again() {
    let script = Script { reads: vec![data(&"x".repeat(200)), data("x\n")], ..Script::default() };
    let (mut engine, mut wire) = engine(&script, &LinesConfig::default());
    while engine.poll_turn(&mut wire).is_ready() {}
    // 7 + 14 + 8 * 20 + 19 + 2 bytes, and then one pending read before each of the two last turns.
    assert_eq!(wire.rooms, [vec![7, 14], vec![20; 10], vec![10; 2]].concat());
}

#[test]
fn a_wire_that_cannot_be_waited_for_ends_the_connection_and_the_first_error_counts() {
    let lost = || io::Error::from(ErrorKind::NotConnected);
    let (mut waiting, mut wire) = engine(&Script::default(), &LinesConfig::default());
    assert!(waiting.poll_turn(&mut wire).is_pending());
    assert!(matches!(waiting.fail(lost()), DriveError::Io(error) if error.kind() == ErrorKind::NotConnected));
    assert!(matches!(waiting.poll_turn(&mut wire), Poll::Ready(Ok(Turn::Closed))));

    let script =
        Script { reads: vec![data("bad\n")], writes: vec![WriteStep::Block(millis(60_000))], ..Script::default() };
    let (mut failed, mut wire) = engine(&script, &LinesConfig::default());
    assert!(failed.poll_turn(&mut wire).is_pending());
    assert!(matches!(failed.fail(lost()), DriveError::Protocol(Rule::Bad)));
}
