//! Sequence numbers.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number: arithmetic and comparison are modulo 2^32 (RFC 9293 3.4).
///
/// The comparisons ask on which side of the circle the other number lies, so they are not transitive, and the type is
/// deliberately not `Ord`.
///
/// ```
/// use drywire_tcp::SeqNumber;
///
/// let last = SeqNumber::new(u32::MAX);
/// let next = last + 1;
/// assert_eq!(next, SeqNumber::new(0));
/// assert!(last.before(next) && next.after(last));
/// assert_eq!(next.since(last), 1);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(u32);

impl SeqNumber {
    /// The sequence number with this value.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The value, as it stands in a header.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// How many steps forward lead from `earlier` to `self`.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// `self < other`: `other` is 1 to 2^31 - 1 steps ahead.
    pub const fn before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// `self =< other`.
    pub const fn at_or_before(self, other: Self) -> bool {
        !self.after(other)
    }

    /// `self > other`: `other` is 1 to 2^31 - 1 steps behind.
    pub const fn after(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }

    /// `self >= other`.
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// The one that lies further ahead.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.after(other) { self } else { other }
    }

    /// The one that lies further behind.
    #[must_use]
    pub const fn min(self, other: Self) -> Self {
        if self.after(other) { other } else { self }
    }
}

impl From<u32> for SeqNumber {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;

    fn add(self, steps: u32) -> Self {
        Self(self.0.wrapping_add(steps))
    }
}

impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, steps: u32) {
        *self = *self + steps;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;

    fn sub(self, steps: u32) -> Self {
        Self(self.0.wrapping_sub(steps))
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_wraps() {
        let (low, high) = (SeqNumber::new(5), SeqNumber::new(u32::MAX - 5));
        assert!(high.before(low) && low.after(high));
        assert!(low.at_or_before(low) && low.at_or_after(low) && !low.before(low) && !low.after(low));
        assert_eq!(low.since(high), 11);
        assert_eq!((high.max(low), high.min(low)), (low, high));
        assert_eq!(low - 11, high);
    }
}
