//! The deadlines of many owners, the earliest first.

use alloc::vec::Vec;

use drywire_core::Instant;

use crate::work;

const NOWHERE: u32 = u32::MAX;

/// A binary heap that knows where each owner's deadline stands, so that it can be moved: one entry an owner, and
/// logarithmic work for each change. Owners are small numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimerHeap {
    heap: Vec<(Instant, u32)>,
    /// Where the deadline of each owner stands in `heap`.
    positions: Vec<u32>,
}

impl TimerHeap {
    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Sets or removes the deadline of `owner`.
    pub(crate) fn set(&mut self, owner: u32, deadline: Option<Instant>) {
        work::visit();
        let position = self.positions.get(owner as usize).copied().filter(|position| *position != NOWHERE);
        match (position, deadline) {
            (None, None) => {}
            (None, Some(at)) => {
                if self.positions.len() <= owner as usize {
                    self.positions.resize(owner as usize + 1, NOWHERE);
                }
                self.heap.push((at, owner));
                self.up(self.heap.len() - 1);
            }
            (Some(position), Some(at)) => {
                let position = position as usize;
                let before = core::mem::replace(&mut self.heap[position].0, at);
                if at < before { self.up(position) } else { self.down(position) }
            }
            (Some(position), None) => {
                self.remove(position as usize);
            }
        }
    }

    /// Sets the deadline of `owner` unless an earlier one stands already.
    ///
    /// A deadline that moves away with every segment then costs nothing until the first one is reached.
    pub(crate) fn set_no_later(&mut self, owner: u32, deadline: Option<Instant>) {
        let position = self.positions.get(owner as usize).copied().unwrap_or(NOWHERE);
        let standing = self.heap.get(position as usize).map(|(at, _)| *at);
        if let Some(at) = deadline
            && standing.is_none_or(|standing| at < standing)
        {
            self.set(owner, deadline);
        }
    }

    /// Takes the owner of the earliest deadline out, if that is not later than `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        self.next().filter(|at| *at <= now).map(|_| self.remove(0))
    }

    /// Takes the owner of the earliest deadline out.
    pub(crate) fn pop(&mut self) -> Option<u32> {
        self.pop_due(Instant::MAX)
    }

    fn remove(&mut self, position: usize) -> u32 {
        let (_, owner) = self.heap.swap_remove(position);
        self.positions[owner as usize] = NOWHERE;
        if self.heap.capacity() > 64 && self.heap.len() < self.heap.capacity() / 4 {
            // Law 3: the idle have no timers, and leave no room behind.
            self.heap.shrink_to(self.heap.capacity() / 2);
        }
        if position < self.heap.len() {
            self.note(position);
            self.up(position);
            self.down(position);
        }
        owner
    }

    fn up(&mut self, mut position: usize) {
        while position > 0 {
            work::visit();
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                break;
            }
            self.heap.swap(parent, position);
            self.note(position);
            position = parent;
        }
        self.note(position);
    }

    fn down(&mut self, mut position: usize) {
        loop {
            work::visit();
            let left = 2 * position + 1;
            let Some(child) = (left..self.heap.len().min(left + 2)).min_by_key(|child| self.heap[*child].0) else {
                break;
            };
            if self.heap[position].0 <= self.heap[child].0 {
                break;
            }
            self.heap.swap(position, child);
            self.note(position);
            position = child;
        }
        self.note(position);
    }

    fn note(&mut self, position: usize) {
        self.positions[self.heap[position].1 as usize] = position as u32;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(ops in prop::collection::vec((0..20u32, prop::option::of(0..50u64), 0..60u64), 0..200)) {
            let mut heap = TimerHeap::default();
            let mut model = BTreeMap::new();
            for (owner, at, now) in ops {
                let (at, now) = (at.map(Instant::from_secs), Instant::from_secs(now));
                heap.set(owner, at);
                match at {
                    Some(at) => model.insert(owner, at),
                    None => model.remove(&owner),
                };
                prop_assert_eq!(heap.next(), model.values().min().copied());
                if owner % 5 == 0 {
                    let mut due: Vec<u32> = core::iter::from_fn(|| heap.pop_due(now)).collect();
                    due.sort_unstable();
                    let expected: Vec<u32> = model.iter().filter(|(_, at)| **at <= now).map(|(owner, _)| *owner).collect();
                    prop_assert_eq!(due, expected);
                    model.retain(|_, at| *at > now);
                }
            }
        }
    }

    #[test]
    fn a_later_deadline_waits_for_the_first() {
        let mut heap = TimerHeap::default();
        heap.set_no_later(3, Some(Instant::from_secs(5)));
        heap.set_no_later(3, Some(Instant::from_secs(9)));
        heap.set_no_later(3, None);
        assert_eq!(heap.next(), Some(Instant::from_secs(5)));
        heap.set_no_later(3, Some(Instant::from_secs(2)));
        assert_eq!((heap.next(), heap.pop()), (Some(Instant::from_secs(2)), Some(3)));
        assert_eq!(heap.next(), None);
    }
}
