//! What happens when: a queue ordered by virtual time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fmt;

use drywire_core::Instant;

/// Things that happen at an instant, earliest first, and in the order of their scheduling where the instant is equal.
///
/// The second half of that rule is what makes a run replay: nothing depends on how the heap breaks ties.
///
/// ```
/// use drywire_core::Instant;
/// use drywire_sim::Schedule;
///
/// let mut schedule = Schedule::new();
/// schedule.push(Instant::from_millis(2), "late");
/// schedule.push(Instant::from_millis(1), "first");
/// schedule.push(Instant::from_millis(1), "second");
/// assert_eq!(schedule.next_at(), Some(Instant::from_millis(1)));
/// assert_eq!(schedule.pop_due(Instant::from_millis(1)), Some((Instant::from_millis(1), "first")));
/// assert_eq!(schedule.pop_due(Instant::from_millis(1)), Some((Instant::from_millis(1), "second")));
/// assert_eq!(schedule.pop_due(Instant::from_millis(1)), None);
/// ```
pub struct Schedule<T> {
    heap: BinaryHeap<Scheduled<T>>,
    next_number: u64,
}

struct Scheduled<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Schedule<T> {
    /// Nothing scheduled.
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), next_number: 0 }
    }

    /// Lets `what` happen at `at`.
    pub fn push(&mut self, at: Instant, what: T) {
        self.heap.push(Scheduled { at, number: self.next_number, what });
        self.next_number += 1;
    }

    /// The instant of the earliest entry.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|next| next.at)
    }

    /// Takes the earliest entry, with its instant, if that is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|next| (next.at, next.what))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Schedule<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("len", &self.len()).field("next_at", &self.next_at()).finish()
    }
}

impl<T> Ord for Scheduled<T> {
    /// Reversed: [`BinaryHeap`] gives its greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<T> PartialOrd for Scheduled<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Scheduled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Scheduled<T> {}
