//! The whole: two ends, what is under way, and what may still go wrong.

use crate::Side;

/// How many segments can be under way in one direction at most.
pub(super) const MAX_CHANNEL: usize = 5;

/// One state of the whole, by the numbers of its parts. Two states are the same exactly if these are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) ends: [u32; 2],
    /// What is under way towards each side.
    pub(super) towards: [Channel; 2],
    pub(super) left: Left,
}

/// What may still go wrong on the way to later states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    pub(super) losses: u8,
    pub(super) duplicates: u8,
    pub(super) marks: u8,
    pub(super) early_timers: u8,
    pub(super) earlier: u8,
}

/// Segments under way in one direction, by number plus one; zero is none, and stands behind all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Channel([u16; MAX_CHANNEL]);

impl Channel {
    pub(super) fn len(&self) -> usize {
        self.0.iter().take_while(|slot| **slot != 0).count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0[0] == 0
    }

    pub(super) fn get(&self, slot: usize) -> Option<u32> {
        u32::from(*self.0.get(slot)?).checked_sub(1)
    }

    /// Appends a segment, if there is room among `capacity`.
    #[must_use]
    pub(super) fn push(&mut self, number: u32, capacity: usize, sorted: bool) -> bool {
        let (len, Ok(entry)) = (self.len(), u16::try_from(number + 1)) else { return false };
        if len >= capacity.min(MAX_CHANNEL) {
            return false;
        }
        self.0[len] = entry;
        if sorted {
            self.0[..=len].sort_unstable();
        }
        true
    }

    pub(super) fn remove(&mut self, slot: usize) {
        self.0[slot..].rotate_left(1);
        self.0[MAX_CHANNEL - 1] = 0;
    }
}

/// What happens next. The side is the one that it happens to; slots count in the channel towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Deliver(Side, usize),
    /// Delivered, while another copy stays under way.
    Duplicate(Side, usize),
    Lose(Side, usize),
    /// Delivered, and marked on the way.
    Mark(Side, usize),
    Timer(Side),
    Send(Side),
    Read(Side),
    Shutdown(Side),
    Abort(Side),
    /// A segment of an earlier incarnation arrives, by its number.
    Earlier(Side, usize),
}

impl Action {
    pub(super) fn side(self) -> Side {
        match self {
            Self::Deliver(side, _)
            | Self::Duplicate(side, _)
            | Self::Lose(side, _)
            | Self::Mark(side, _)
            | Self::Timer(side)
            | Self::Send(side)
            | Self::Read(side)
            | Self::Shutdown(side)
            | Self::Abort(side)
            | Self::Earlier(side, _) => side,
        }
    }
}
