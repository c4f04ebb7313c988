//! What is seen of a packet's journey.

use std::fmt;

use drywire_core::Instant;

use super::Packet;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Its source sent it. Every packet starts with this, also one that is lost next.
    Sent,
    /// Lost on the way.
    Lost,
    /// Dropped: larger than the link's MTU.
    TooBig,
    /// Dropped: the link's queue had no room.
    QueueFull,
    /// Dropped: no link leads from its source to its destination.
    Unroutable,
    /// It met congestion, of which its IP header tells from here on (RFC 3168 5).
    Marked,
    /// A second copy of it is under way.
    Duplicated,
    /// Bits of it are flipped; the packet shown is the flipped one.
    Corrupted,
    /// It is held back, and younger packets may overtake it.
    Delayed {
        /// When it will arrive.
        until: Instant,
    },
    /// It has arrived.
    Delivered {
        /// When it was sent.
        sent: Instant,
    },
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent => f.write_str("sent"),
            Self::Lost => f.write_str("lost"),
            Self::TooBig => f.write_str("too big"),
            Self::QueueFull => f.write_str("queue full"),
            Self::Unroutable => f.write_str("unroutable"),
            Self::Marked => f.write_str("marked"),
            Self::Duplicated => f.write_str("duplicated"),
            Self::Corrupted => f.write_str("corrupted"),
            Self::Delayed { until } => write!(f, "delayed until {until}"),
            Self::Delivered { sent } => write!(f, "delivered, sent {sent}"),
        }
    }
}

/// One thing that happened to one packet, with all that a sequence diagram needs: an arrow starts at
/// [`Fate::Sent`] and ends at the [`Fate::Delivered`] of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observation {
    /// When it happened.
    pub at: Instant,
    /// Which packet: counts from zero over everything sent into the network.
    pub number: u64,
    /// Which copy of it: zero, or one for the duplicate.
    pub copy: u8,
    /// What happened.
    pub fate: Fate,
    /// The packet, as it is now.
    pub packet: Packet,
}

impl fmt::Display for Observation {
    /// One line without the bytes: `0.005000000s #3 10.0.0.1 > 10.0.0.2, 45 bytes: lost`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Packet { source, destination, .. } = &self.packet;
        let prime = if self.copy == 0 { "" } else { "'" };
        let size = self.packet.size();
        write!(f, "{} #{}{prime} {source} > {destination}, {size} bytes: {}", self.at, self.number, self.fate)
    }
}

/// A fingerprint of everything that is added to it, in order: two runs of one seed have the same (64-bit FNV-1a).
///
/// It tells runs apart in tests; it is no defence against someone who wants two runs to look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The fingerprint of nothing.
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Adds everything there is to know of an observation, its packet's bytes included.
    pub fn add_observation(&mut self, observation: &Observation) {
        self.add(observation.to_string().as_bytes());
        self.add(&observation.packet.bytes);
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
