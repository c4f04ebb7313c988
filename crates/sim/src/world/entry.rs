//! What is told of a world, in the order of its time.

use std::fmt;
use std::sync::Arc;

use drywire_core::Instant;
use drywire_tcp::{Segment, State};

use crate::{Observation, Packet};

/// One thing that happened in a [`World`](crate::World).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// What.
    pub what: Happening,
}

/// What happened in a [`World`](crate::World).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Something became of a packet.
    Packet(Observation),
    /// A connection went from one state to another.
    State {
        /// Whose connection.
        host: Arc<str>,
        /// From this state.
        from: State,
        /// To this one.
        to: State,
    },
    /// An application wrote into the log.
    Note {
        /// Whose application.
        host: Arc<str>,
        /// What it wrote.
        text: String,
    },
}

impl fmt::Display for Entry {
    /// One line, which for packets ends in the segment as it reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Happening::Packet(observation) => {
                write!(f, "{observation}: ")?;
                let Packet { source, destination, bytes, .. } = &observation.packet;
                match Segment::parse(bytes, *source, *destination) {
                    Ok(segment) => write!(f, "{segment}"),
                    Err(error) => write!(f, "{error}"),
                }
            }
            Happening::State { host, from, to } => write!(f, "{} {host} {from} -> {to}", self.at),
            Happening::Note { host, text } => write!(f, "{} {host}: {text}", self.at),
        }
    }
}
