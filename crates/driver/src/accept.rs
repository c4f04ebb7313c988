//! When to accept the next connection, without a socket or a clock.

use std::io::{self, ErrorKind};
use std::time::Duration;

use drywire_core::Instant;

use crate::ServerConfig;

/// What an accept loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Try to accept.
    Accept,
    /// Wait until this instant, or until a handler ends.
    Pause(Instant),
    /// Wait until a handler ends.
    Full,
}

/// The limit on connections and the back-off after failures, for a server's accept loop.
#[derive(Debug)]
pub struct Acceptance {
    max_connections: usize,
    first_pause: Duration,
    longest_pause: Duration,
    pause: Duration,
    until: Option<Instant>,
}

impl Acceptance {
    /// Nothing has failed yet.
    pub fn new(config: &ServerConfig) -> Self {
        Self {
            max_connections: config.max_connections,
            first_pause: config.backoff,
            longest_pause: config.backoff_max,
            pause: config.backoff,
            until: None,
        }
    }

    /// What to do at `now` with so many connections open.
    pub fn next(&self, now: Instant, connections: usize) -> Admission {
        if connections >= self.max_connections {
            return Admission::Full;
        }
        match self.until {
            Some(until) if now < until => Admission::Pause(until),
            _ => Admission::Accept,
        }
    }

    /// A connection was accepted and its handler started: the next failure pauses for the shortest time again.
    pub fn accepted(&mut self) {
        self.pause = self.first_pause;
        self.until = None;
    }

    /// Judges a failure to accept or to start a handler.
    ///
    /// A connection that its peer gave up in the backlog is no reason to wait. Everything else (no descriptors, no
    /// memory, no threads, a firewall's refusal) passes with time, and trying at once again would only burn the
    /// processor.
    pub fn failed(&mut self, now: Instant, error: &io::Error) {
        use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            self.until = Some(now + self.pause);
            self.pause = (self.pause * 2).min(self.longest_pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acceptance() -> Acceptance {
        Acceptance::new(&ServerConfig { max_connections: 2, ..ServerConfig::default() })
    }

    #[test]
    fn the_limit_holds_until_a_handler_ends() {
        let acceptance = acceptance();
        assert_eq!(acceptance.next(Instant::ORIGIN, 1), Admission::Accept);
        assert_eq!(acceptance.next(Instant::ORIGIN, 2), Admission::Full);
        assert_eq!(acceptance.next(Instant::ORIGIN, 1), Admission::Accept);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_anew_after_a_success() {
        let mut acceptance = acceptance();
        let mut now = Instant::ORIGIN;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            acceptance.failed(now, &ErrorKind::OutOfMemory.into());
            let Admission::Pause(until) = acceptance.next(now, 0) else { panic!("no pause") };
            pauses.push((until - now).as_millis());
            now = until;
            assert_eq!(acceptance.next(now, 0), Admission::Accept);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        acceptance.accepted();
        acceptance.failed(now, &ErrorKind::OutOfMemory.into());
        assert_eq!(acceptance.next(now, 0), Admission::Pause(now + Duration::from_millis(5)));
    }

    #[test]
    fn a_peer_that_gave_up_in_the_backlog_costs_no_pause() {
        let mut acceptance = acceptance();
        acceptance.failed(Instant::ORIGIN, &ErrorKind::ConnectionAborted.into());
        assert_eq!(acceptance.next(Instant::ORIGIN, 0), Admission::Accept);
    }
}
