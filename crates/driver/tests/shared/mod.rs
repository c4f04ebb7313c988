//! Toy machines and a scripted wire with virtual time, shared by the tests of the engine and of both drivers.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test binary uses its part of this module")]

mod toys;
mod wire;

pub use toys::{Lines, LinesConfig, Patient, Probe, Rule, Stubborn, Ticker, Toy};
pub use wire::{Interest, ReadStep, Script, Wire, WriteStep};

use std::time::Duration;

use drywire_core::{Buf as _, Instant, RecvBuf};
use proptest::prelude::*;

/// Where a wire's own time starts.
pub const START: Instant = Instant::from_millis(1_000);

/// Longer than all pauses of a script together.
pub const LINGER: Duration = millis(2_000);

/// Small, so that scripts reach them.
pub const READ_SIZE: usize = 7;
pub const READ_SIZE_MAX: usize = 20;

/// How a driver's run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Closed,
    Protocol(Rule),
    Io(std::io::ErrorKind),
}

/// Everything that shows of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub events: Vec<String>,
    pub written: String,
    pub outcome: Outcome,
}

pub fn data(bytes: &str) -> ReadStep {
    ReadStep::Data(bytes.as_bytes().to_vec())
}

pub fn repeat(steps: &[ReadStep], times: usize) -> Vec<ReadStep> {
    std::iter::repeat_n(steps, times).flatten().cloned().collect()
}

pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What must come of `input` and the end of the stream, whatever the wire does between: the machine without a driver.
pub fn reference(input: &[u8], config: &LinesConfig) -> Run {
    let mut machine = Lines::new(Instant::ORIGIN, LinesConfig { idle: None, ..*config });
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(input);
    recv.finish();
    let (mut events, mut written) = (Vec::new(), Vec::new());
    let outcome = loop {
        use drywire_core::StreamMachine as _;
        let event = machine.poll_event(Instant::ORIGIN, &mut recv);
        let queued = machine.transmit().len();
        match event {
            Ok(Some(event)) => {
                events.push(String::from_utf8_lossy(&event).into_owned());
                continue;
            }
            Ok(None) if queued == 0 => break Outcome::Closed,
            Ok(None) => {}
            Err(rule) if queued == 0 => break Outcome::Protocol(rule),
            Err(_) => {}
        }
        written.extend_from_slice(&machine.transmit().copy_to_bytes(queued));
    };
    Run { events, written: String::from_utf8_lossy(&written).into_owned(), outcome }
}

/// Lines, some of which have a meaning, and now and then an unfinished one at the end.
pub fn input() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        12 => "[a-z]{0,12}\n",
        1 => Just("half\n".to_owned()),
        1 => Just("bad\n".to_owned()),
        1 => Just("close\n".to_owned()),
    ];
    (prop::collection::vec(line, 0..24), prop_oneof![4 => Just(String::new()), 1 => "[a-z]{1,3}"])
        .prop_map(|(lines, rest)| (lines.concat() + &rest).into_bytes())
}

fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 1..20u64].prop_map(millis)
}

/// Cuts `input` into reads, with stalls and interruptions between, and ends the stream behind it.
pub fn reads(input: Vec<u8>) -> impl Strategy<Value = Vec<ReadStep>> {
    let between = prop_oneof![
        3 => Just(None),
        3 => pause().prop_map(|pause| Some(ReadStep::Block(pause))),
        1 => Just(Some(ReadStep::Interrupted)),
    ];
    prop::collection::vec((1..9usize, between), 0..=input.len()).prop_map(move |cuts| {
        let mut steps = Vec::new();
        let mut rest = &input[..];
        for (n, step) in cuts {
            let (piece, tail) = rest.split_at(n.min(rest.len()));
            rest = tail;
            if !piece.is_empty() {
                steps.push(ReadStep::Data(piece.to_vec()));
            }
            steps.extend(step);
        }
        if !rest.is_empty() {
            steps.push(ReadStep::Data(rest.to_vec()));
        }
        steps.push(ReadStep::End);
        steps
    })
}

/// Short writes, stalls and interruptions.
pub fn writes() -> impl Strategy<Value = Vec<WriteStep>> {
    let step = prop_oneof![
        4 => (1..6usize).prop_map(WriteStep::Take),
        2 => pause().prop_map(WriteStep::Block),
        1 => Just(WriteStep::Interrupted),
    ];
    prop::collection::vec(step, 0..40)
}

/// A wire that is as awkward as it may be but never fails.
pub fn script() -> impl Strategy<Value = (Vec<u8>, Script)> {
    input().prop_flat_map(|input| {
        let parts = (
            reads(input.clone()),
            writes(),
            prop::collection::vec(pause(), 0..2),
            prop::collection::vec(pause(), 0..6),
            prop::collection::vec(any::<bool>(), 0..40),
        );
        parts.prop_map(move |(reads, writes, shutdowns, flushes, spurious)| {
            (input.clone(), Script { reads, writes, shutdowns, flushes, spurious })
        })
    })
}

/// A wire that also fails somewhere.
pub fn failing_script() -> impl Strategy<Value = (Vec<u8>, Script)> {
    let failure = prop_oneof![
        (any::<prop::sample::Index>(), Just(None)),
        (any::<prop::sample::Index>(), Just(Some(WriteStep::Zero))),
        (any::<prop::sample::Index>(), Just(Some(WriteStep::Error(std::io::ErrorKind::BrokenPipe)))),
    ];
    (script(), failure).prop_map(|((input, mut script), (at, failure))| {
        if let Some(step) = failure {
            let at = at.index(script.writes.len() + 1);
            script.writes.insert(at, step);
        } else {
            let at = at.index(script.reads.len());
            script.reads.truncate(at);
            script.reads.push(ReadStep::Error(std::io::ErrorKind::ConnectionReset));
        }
        (input, script)
    })
}

/// High-water marks from one byte on, with and without an idle deadline.
pub fn config() -> impl Strategy<Value = LinesConfig> {
    (prop_oneof![1..32usize, Just(4096)], prop::option::of(pause()))
        .prop_map(|(high_water, idle)| LinesConfig { high_water, idle: idle.map(|idle| idle + millis(5)) })
}
