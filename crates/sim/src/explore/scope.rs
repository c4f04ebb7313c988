//! How far an exploration goes.

use std::time::Duration;

use drywire_tcp::Config;

use super::run::Explorer;
use super::{CounterExample, Exploration};
use crate::Open;

/// In which order the network delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// In any.
    #[default]
    Any,
    /// As sent.
    Kept,
}

/// When the applications read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reading {
    /// As soon as anything arrives.
    #[default]
    AtOnce,
    /// At any moment, or never: windows close and are probed.
    AnyTime,
}

/// What is explored: the two ends, and the budget of what may go wrong on one path.
///
/// In arrays [`Side::A`](crate::Side::A) stands first. Each application may close its direction at any moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// How the connection is opened.
    pub open: Open,
    /// The settings of each end. Those of [`Scope::tcp`] by default; windows must be too small to be scaled, and the
    /// time-outs equal, or the number of states grows without an end.
    pub tcp: [Config; 2],
    /// How many bytes each application may send, one at a time, each at any moment. At most 20.
    pub bytes: [u8; 2],
    /// Whether each application may abort, at any moment.
    pub aborts: bool,
    /// When the applications read.
    pub reading: Reading,
    /// In which order the network delivers.
    pub order: Order,
    /// How many segments may be under way in one direction: from 1 to 5. What would need more is not explored.
    pub channel: usize,
    /// How many segments may be lost.
    pub losses: u8,
    /// How many segments may be delivered once more.
    pub duplicates: u8,
    /// How many segments that may be marked are (RFC 3168 5), as if they had met congestion. The ends use ECN if their
    /// settings say so.
    pub marks: u8,
    /// How many timers may go off while something is still under way. (When nothing is, they may without limit.) That
    /// of TIME-WAIT never does, because it is longer than a segment lives and than the peer's other timers run.
    pub early_timers: u8,
    /// How many segments of an earlier incarnation of the connection may arrive.
    pub earlier: u8,
    /// After how many states the exploration ends, complete or not.
    pub max_states: u32,
}

impl Scope {
    /// Settings that keep the number of states small: small buffers, one value for all time-outs, no timestamps, few
    /// retries. Nagle's algorithm is off, so that two segments can be in flight, and no acknowledgment is delayed.
    pub fn tcp() -> Config {
        let rto = Duration::from_secs(1);
        Config {
            recv_capacity: 8,
            send_capacity: 32,
            initial_rto: rto,
            min_rto: rto,
            max_rto: rto,
            syn_retries: 1,
            syn_ack_retries: 1,
            data_retries: 2,
            no_delay: true,
            timestamps: false,
            challenge_acks: 2,
            ..Config::default()
        }
    }

    /// Explores everything that can happen, and returns how much that was or the shortest way to what must not be.
    pub fn explore(&self) -> Result<Exploration, CounterExample> {
        Explorer::new(self).run()
    }
}

impl Default for Scope {
    /// One byte from [`Side::A`](crate::Side::A), in any order, with nothing lost.
    fn default() -> Self {
        Self {
            open: Open::ClientServer,
            tcp: [Self::tcp(), Self::tcp()],
            bytes: [1, 0],
            aborts: false,
            reading: Reading::AtOnce,
            order: Order::Any,
            channel: 3,
            losses: 0,
            duplicates: 0,
            marks: 0,
            early_timers: 0,
            earlier: 0,
            max_states: 5_000_000,
        }
    }
}
