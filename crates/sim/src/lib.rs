//! A seeded network and virtual time for drywire machines.

#![forbid(unsafe_code)]

mod network;
mod schedule;

pub use network::{Chance, Digest, Fate, LinkConfig, LinkStats, Network, Observation, Packet};
pub use schedule::Schedule;
