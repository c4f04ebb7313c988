//! The readiness loop on scripted wires, in virtual time: edges, short reads and writes, stalls, failures, wakes.

mod polling;
#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use drywire_core::Bytes;
use drywire_std::poll::{ConnectionHandle, Loop, LoopConfig, LoopEvent, Plain, Server};
use drywire_std::{DriveError, ServerConfig, Turn};
use polling::{Arrival, Virtual, limits};
use proptest::prelude::*;
use shared::{
    Lines, LinesConfig, Outcome, ReadStep, Rule, Run, START, Script, Toy as _, Wire, WriteStep, data, millis, repeat,
};

type Lined<const SHORT: bool> = Loop<Lines, Plain, Virtual<SHORT>>;

/// Small buffers, and no flushes, which sockets do not have.
fn looped<const SHORT: bool>(poller: Virtual<SHORT>, server: ServerConfig) -> Lined<SHORT> {
    let mut config = LoopConfig::default();
    (config.driver, config.server) = (limits(), server);
    let port = poller.port();
    let mut looped = Loop::with_poller(poller, config);
    looped.listen(port).unwrap();
    looped
}

fn wire(script: &Script) -> Wire {
    Wire::new(Script { flushes: Vec::new(), ..script.clone() })
}

/// A wire on which so much arrives, with pauses.
fn arriving(reads: impl IntoIterator<Item = ReadStep>) -> Wire {
    wire(&Script { reads: reads.into_iter().collect(), ..Script::default() })
}

/// Goes on until there is something to tell.
fn next<const SHORT: bool>(looped: &mut Lined<SHORT>) -> LoopEvent<Lines> {
    loop {
        if let Some(event) = looped.next(None).unwrap() {
            return event;
        }
    }
}

/// Goes on up to the next connection, and runs lines on it.
fn accept<const SHORT: bool>(looped: &mut Lined<SHORT>) -> ConnectionHandle {
    let LoopEvent::Incoming(incoming) = next(looped) else { panic!("something else happened") };
    assert!(looped.accept(incoming.handle, Lines::new(incoming.now, LinesConfig::default())));
    incoming.handle
}

/// The next line, and whose it is.
fn line<const SHORT: bool>(looped: &mut Lined<SHORT>) -> (ConnectionHandle, Bytes) {
    loop {
        if let LoopEvent::Turn(handle, turn) = next(looped)
            && let Turn::Event(line) = turn.unwrap()
        {
            return (handle, line);
        }
    }
}

/// All of them at once in one loop, until each has come to its end.
fn run_all<const SHORT: bool>(cases: &[(Script, LinesConfig)]) -> Vec<(Run, Wire)> {
    let wires: Vec<Wire> = cases.iter().map(|(script, _)| wire(script)).collect();
    let mut looped = looped(Virtual::<SHORT>::with_connections(&wires), ServerConfig::default());
    let mut by_handle = BTreeMap::new();
    let mut runs: Vec<_> = cases.iter().map(|_| (Vec::new(), None)).collect();
    while runs.iter().any(|(_, outcome)| outcome.is_none()) {
        match next(&mut looped) {
            LoopEvent::Incoming(incoming) => {
                let number = by_handle.len();
                let machine = Lines::new(incoming.now, cases[number].1);
                wires[number].judge(machine.probe());
                by_handle.insert(incoming.handle, number);
                assert!(looped.accept(incoming.handle, machine));
            }
            LoopEvent::Turn(handle, turn) => {
                let number = by_handle[&handle];
                let (events, outcome) = &mut runs[number];
                assert_eq!(*outcome, None, "something happened behind the end");
                match turn {
                    Ok(Turn::Event(event)) => events.push(String::from_utf8_lossy(&event).into_owned()),
                    Ok(Turn::Closed) => *outcome = Some(Outcome::Closed),
                    Ok(_) => {}
                    Err(DriveError::Protocol(rule)) => {
                        wires[number].check_error();
                        *outcome = Some(Outcome::Protocol(rule));
                    }
                    Err(DriveError::Io(error)) => *outcome = Some(Outcome::Io(error.kind())),
                }
            }
            event => panic!("{event:?}"),
        }
    }
    let runs = runs.into_iter().zip(wires);
    runs.map(|((events, outcome), wire)| (Run { events, written: wire.written(), outcome: outcome.unwrap() }, wire))
        .collect()
}

proptest! {
    // A failure is kept as a test of its own, not as a seed.
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn awkward_wires_change_neither_events_nor_bytes_of_any_connection(
        connections in prop::collection::vec((shared::script(), shared::config()), 1..5),
        short in any::<bool>(),
    ) {
        let cases: Vec<_> = connections
            .iter()
            .map(|((_, script), config)| (script.clone(), LinesConfig { idle: None, ..*config }))
            .collect();
        let runs = if short { run_all::<true>(&cases) } else { run_all::<false>(&cases) };
        for ((run, wire), ((input, _), config)) in runs.into_iter().zip(&connections) {
            prop_assert_eq!(run, shared::reference(input, config));
            prop_assert!(wire.is_shut() && !wire.is_aborted());
        }
    }

    #[test]
    fn the_invariants_hold_with_deadlines_and_failures_beside_each_other(
        connections in prop::collection::vec(
            (prop_oneof![shared::script(), shared::failing_script()], shared::config()),
            1..5,
        ),
        short in any::<bool>(),
    ) {
        let cases: Vec<_> = connections.iter().map(|((_, script), config)| (script.clone(), *config)).collect();
        let runs = if short { run_all::<true>(&cases) } else { run_all::<false>(&cases) };
        for ((run, _), ((input, _), config)) in runs.into_iter().zip(&connections) {
            prop_assert!(shared::reference(input, config).events.starts_with(&run.events));
        }
    }
}

#[test]
fn a_request_takes_one_read_and_one_write() {
    let requests = repeat(&[data("hello\n"), ReadStep::Block(millis(1))], 10);
    let poller = Virtual::<true>::with_connections(&[arriving(requests)]);
    let mut looped = looped(poller.clone(), ServerConfig::default());
    accept(&mut looped);
    for _ in 0..10 {
        assert_eq!(&line(&mut looped).1[..], b"hello");
    }
    assert!(matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Flushed))));
    let world = poller.0.borrow();
    assert_eq!((world.reads, world.writes), (10, 10));
}

#[test]
fn a_write_that_was_short_is_gone_on_with_at_the_edge() {
    let short = Script { reads: vec![data("hello\n")], writes: vec![WriteStep::Take(4)], ..Script::default() };
    let poller = Virtual::<true>::with_connections(&[wire(&short)]);
    let mut looped = looped(poller.clone(), ServerConfig::default());
    accept(&mut looped);
    while !matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Flushed))) {}
    assert_eq!(poller.0.borrow().writes, 2);
}

/// The end came together with the last bytes, so that there is no edge between the two.
#[test]
fn the_end_behind_a_short_read_is_read_without_an_edge() {
    let poller = Virtual::<true>::with_connections(&[arriving([data("bye\n"), ReadStep::End])]);
    let mut looped = looped(poller.clone(), ServerConfig::default());
    accept(&mut looped);
    assert_eq!(&line(&mut looped).1[..], b"bye");
    while !matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Closed))) {}
    assert_eq!((poller.0.borrow().reads, looped.now()), (2, START));
}

#[test]
fn who_always_has_more_to_do_gives_way_to_the_others() {
    let flood = arriving(repeat(&[data("flood\n"), data("flood\nflo"), data("od\n")], 1_000));
    let wires = [flood, arriving([data("one\n")]), arriving([data("two\n")])];
    let mut looped = looped(Virtual::<false>::with_connections(&wires), ServerConfig::default());
    let [flood, one, two] = [(); 3].map(|()| accept(&mut looped));
    let mut lines = Vec::new();
    while !(lines.contains(&one) && lines.contains(&two)) {
        lines.push(line(&mut looped).0);
    }
    assert!(lines.len() < 16, "{} lines came first", lines.len());
    assert_eq!(line(&mut looped).0, flood);
}

#[test]
fn a_connection_that_fails_leaves_the_others_alone() {
    let breaks = [
        arriving([data("a\n"), ReadStep::Error(ErrorKind::ConnectionReset)]),
        wire(&Script { reads: vec![data("b\n")], writes: vec![WriteStep::Zero], ..Script::default() }),
        arriving([data("bad\n"), ReadStep::End]),
        arriving([data("abort\n")]),
    ];
    let lasts = arriving(repeat(&[ReadStep::Block(millis(10)), data("on\n")], 5));
    let mut looped = looped(Virtual::<true>::with_connections(breaks.iter().chain([&lasts])), ServerConfig::default());
    let handles = [(); 5].map(|()| accept(&mut looped));
    let (mut ends, mut lines) = (BTreeMap::new(), 0);
    while lines < 5 {
        match next(&mut looped) {
            LoopEvent::Turn(handle, Ok(Turn::Event(_))) => lines += u8::from(handle == handles[4]),
            LoopEvent::Turn(handle, Ok(Turn::Closed)) => drop(ends.insert(handle, Outcome::Closed)),
            LoopEvent::Turn(handle, Err(DriveError::Io(error))) => {
                ends.insert(handle, Outcome::Io(error.kind()));
            }
            LoopEvent::Turn(handle, Err(DriveError::Protocol(rule))) => {
                ends.insert(handle, Outcome::Protocol(rule));
            }
            _ => {}
        }
    }
    let ends: Vec<_> = ends.into_values().collect();
    let [reset, zero] = [ErrorKind::ConnectionReset, ErrorKind::WriteZero].map(Outcome::Io);
    assert_eq!(ends, [reset, zero, Outcome::Protocol(Rule::Bad), Outcome::Closed]);
    assert_eq!(looped.connections(), 1);
}

#[test]
fn accepting_pauses_after_a_failure_and_the_others_go_on() {
    let talks = arriving(repeat(&[data("on\n"), ReadStep::Block(millis(1))], 40));
    let failures = [ErrorKind::ConnectionAborted, ErrorKind::OutOfMemory, ErrorKind::OutOfMemory];
    let arrivals = [Arrival::Connection(START, talks)]
        .into_iter()
        .chain(failures.map(Arrival::Error))
        .chain([Arrival::Connection(START, arriving([]))]);
    let poller = Virtual::<true>::new(arrivals);
    let mut looped = looped(poller.clone(), ServerConfig::default());
    accept(&mut looped);
    let mut lines = 0;
    while poller.0.borrow().attempts.len() < 5 {
        if let LoopEvent::Turn(_, Ok(Turn::Event(_))) = next(&mut looped) {
            lines += 1;
        }
    }
    let attempts: Vec<_> = poller.0.borrow().attempts.iter().map(|at| (*at - START).as_millis()).collect();
    // At once behind a connection that its peer gave up, then after 5 and 10 milliseconds.
    assert_eq!(attempts, [0, 0, 0, 5, 15]);
    // One each millisecond, before the last attempt and at its time.
    assert_eq!(lines, 16);
}

#[test]
fn a_connection_beyond_the_limit_waits_for_one_to_end() {
    let wires = [arriving([data("one\n"), ReadStep::Block(millis(70)), ReadStep::End]), arriving([data("two\n")])];
    let mut server = ServerConfig::default();
    server.max_connections = 1;
    let mut looped = looped(Virtual::<true>::with_connections(&wires), server);
    let first = accept(&mut looped);
    assert_eq!(line(&mut looped), (first, Bytes::from_static(b"one")));
    while !matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Closed))) {}
    assert_eq!(looped.now(), START + millis(70));
    let second = accept(&mut looped);
    assert_eq!(line(&mut looped), (second, Bytes::from_static(b"two")));
}

#[test]
fn a_stale_handle_does_nothing() {
    let wires = [arriving([ReadStep::End]), arriving([])];
    let mut server = ServerConfig::default();
    server.max_connections = 1;
    let mut looped = looped(Virtual::<true>::with_connections(&wires), server);
    let stale = accept(&mut looped);
    let waker = looped.waker(stale);
    while !matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Closed))) {}
    // In the same place, where anything that was meant for the other would be taken for its own.
    let fresh = accept(&mut looped);
    waker.wake();
    looped.release(stale);
    assert!(looped.machine_mut(stale).is_none() && looped.machine(stale).is_none() && looped.peer(stale).is_none());
    assert_eq!(looped.next(Some(looped.now() + millis(1))).unwrap().map(|_| "told"), None);
    assert!(looped.machine(fresh).is_some());
    looped.waker(fresh).wake();
    assert!(matches!(next(&mut looped), LoopEvent::Turn(handle, Ok(Turn::Woken)) if handle == fresh));
}

#[test]
fn what_is_offered_and_not_accepted_is_reset() {
    let wires = [arriving([]), arriving([data("hello\n")])];
    let mut looped = looped(Virtual::<true>::with_connections(&wires), ServerConfig::default());
    let LoopEvent::Incoming(first) = next(&mut looped) else { panic!() };
    let second = accept(&mut looped);
    assert!(wires[0].is_aborted());
    assert!(!looped.accept(first.handle, Lines::new(first.now, LinesConfig::default())));
    assert_eq!((line(&mut looped).0, looped.connections()), (second, 1));
}

#[test]
fn a_deadline_that_moves_on_comes_in_time_and_only_then() {
    let idle = LinesConfig { idle: Some(millis(30)), ..LinesConfig::default() };
    let wire = arriving(repeat(&[data("on\n"), ReadStep::Block(millis(20))], 10));
    let mut looped = looped(Virtual::<true>::with_connections([&wire]), ServerConfig::default());
    let LoopEvent::Incoming(incoming) = next(&mut looped) else { panic!() };
    looped.accept(incoming.handle, Lines::new(incoming.now, idle));
    let mut lines = 0;
    let error = loop {
        match next(&mut looped) {
            LoopEvent::Turn(_, Ok(turn)) => lines += u8::from(matches!(turn, Turn::Event(_))),
            LoopEvent::Turn(_, Err(error)) => break error,
            event => panic!("{event:?}"),
        }
    };
    assert!(matches!(error, DriveError::Protocol(Rule::Idle)));
    assert_eq!((lines, wire.written().ends_with("on\ntimeout\n")), (10, true));
    // The last line at 180, the deadline 30 later, and then the wait for a peer that does not close.
    assert_eq!(looped.now(), START + millis(180 + 30) + shared::LINGER);
}

#[test]
fn an_attempt_to_connect_ends_in_a_connection_or_in_a_reason() {
    let wire = arriving([data("hello\n")]);
    let poller = Virtual::<true>::new([]);
    poller.0.borrow_mut().attempts_to_connect.extend([
        (millis(50), Ok(wire.clone())),
        (millis(10), Err(ErrorKind::ConnectionRefused)),
        (millis(30), Ok(arriving([]))),
    ]);
    let mut looped = looped(poller, ServerConfig::default());
    let [one, two, three] = [(); 3].map(|()| {
        let machine = Lines::new(looped.now(), LinesConfig::default());
        looped.connect(([192, 0, 2, 9], 7).into(), machine).unwrap()
    });
    // Nothing leaves, nor is told to have left, before there is a connection.
    assert!(looped.machine_mut(one).unwrap().say(b"early\n"));
    let LoopEvent::Turn(refused, Err(DriveError::Io(error))) = next(&mut looped) else { panic!() };
    assert_eq!((refused, error.kind()), (two, ErrorKind::ConnectionRefused));
    assert_eq!(looped.now(), START + millis(10));
    // Given up before it came to an end.
    looped.release(three);
    assert!(matches!(next(&mut looped), LoopEvent::Connected(handle) if handle == one));
    assert_eq!((looped.now(), wire.written().as_str()), (START + millis(50), ""));
    assert_eq!(line(&mut looped), (one, Bytes::from_static(b"hello")));
    assert!(matches!(next(&mut looped), LoopEvent::Turn(_, Ok(Turn::Flushed))));
    assert_eq!((wire.written().as_str(), looped.connections()), ("early\nhello\n", 1));
}

/// Runs a server that is told to stop at the first line. Each machine says `bye` when it hears of that.
fn drained(arrivals: impl IntoIterator<Item = Arrival>, drain: Duration) -> (usize, Virtual<true>) {
    let poller = Virtual::<true>::new(arrivals);
    let mut config = ServerConfig::default();
    config.drain = drain;
    let server = Server::with_poller(poller.clone(), poller.port()).unwrap().with_config(config).with_driver(limits());
    let shutdown = server.shutdown_handle();
    let stopped = server.run(
        |incoming| Lines::new(incoming.now, LinesConfig::default()),
        |served, turn| match turn.unwrap() {
            Turn::Woken => assert!(served.is_shutting_down() && served.machine_mut().say(b"bye\n")),
            Turn::Event(line) if line == "first" => shutdown.shutdown(),
            _ => {}
        },
    );
    (stopped.unwrap().aborted, poller)
}

/// It once waited for the end of the drain behind the last connection, which was dropped only then.
#[test]
fn a_shutdown_wakes_everybody_and_waits_for_the_last_exchange() {
    let wires = [
        arriving([data("first\n"), ReadStep::Block(millis(40)), data("last\n"), ReadStep::End]),
        arriving([ReadStep::Block(millis(20)), ReadStep::End]),
    ];
    let late = Arrival::Connection(START + millis(5), arriving([]));
    let arrivals = wires.each_ref().map(|wire| Arrival::Connection(START, wire.clone())).into_iter().chain([late]);
    let (aborted, poller) = drained(arrivals, millis(500));
    let world = poller.0.borrow();
    assert_eq!((aborted, world.now), (0, START + millis(40)));
    assert_eq!(wires.each_ref().map(Wire::written), ["first\nbye\nlast\n", "bye\n"]);
    assert_eq!(world.arrivals.len(), 1, "a connection was accepted behind the shutdown");
}

#[test]
fn what_is_left_after_the_drain_is_reset() {
    let wires = [arriving([data("first\n")]), arriving([ReadStep::Block(millis(20)), ReadStep::End]), arriving([])];
    let arrivals = wires.each_ref().map(|wire| Arrival::Connection(START, wire.clone()));
    let (aborted, poller) = drained(arrivals, millis(500));
    assert_eq!((aborted, poller.0.borrow().now), (2, START + millis(500)));
    assert_eq!(wires.each_ref().map(Wire::is_aborted), [true, false, true]);
}
