//! The blocking driver on the scripted wire, shared with the tests of its twin.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]

use std::io::{self, IoSlice};

use drywire_core::Instant;
use drywire_std::{Config, DriveError, Driver, Interest, Transport, Turn};

use crate::shared::{LINGER, Lines, LinesConfig, Outcome, READ_SIZE, READ_SIZE_MAX, Run, Script, Toy, Wire};

pub struct Scripted(pub Wire);

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
        let (spurious, ready) = self.0.park(crate::shared::Interest { read, write }, deadline);
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

/// Small limits, so that scripts reach them.
pub fn limits() -> Config {
    let mut config = Config::default();
    config.read_size = READ_SIZE;
    config.read_size_max = READ_SIZE_MAX;
    config.linger = LINGER;
    config
}

pub fn driver<M: Toy>(script: &Script, machine: impl FnOnce(Instant) -> M) -> (Driver<M, Scripted>, Wire) {
    let wire = Wire::new(script.clone());
    let machine = machine(wire.now());
    wire.judge(machine.probe());
    (Driver::with_config(machine, Scripted(wire.clone()), limits()), wire)
}

pub fn run<M: Toy>(driver: &mut Driver<M, Scripted>, wire: &Wire) -> Run {
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

pub fn run_lines(script: &Script, config: &LinesConfig) -> (Run, Wire) {
    let (mut driver, wire) = driver(script, |now| Lines::new(now, *config));
    (run(&mut driver, &wire), wire)
}
