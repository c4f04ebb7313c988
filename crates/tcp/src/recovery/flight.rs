//! What is in flight: one record for each segment, by sequence number and by time (RFC 6675 3, RFC 8985 5).

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use drywire_core::Instant;

use crate::{SackBlocks, SeqNumber};

/// What is known of a segment that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    /// Nothing: it may be under way.
    Unknown,
    /// It has not arrived, and waits for being sent again.
    Lost,
    /// The peer holds it (RFC 2018), and may yet drop it.
    Sacked,
}

/// A segment that was sent and is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) start: SeqNumber,
    pub(crate) end: SeqNumber,
    /// The last time.
    pub(crate) time: Instant,
    /// Whether any of it was sent more than once.
    pub(crate) again: bool,
    fate: Fate,
    /// Neighbours in the order of sending, among those of unknown fate.
    older: u64,
    newer: u64,
}

impl Sent {
    fn len(&self) -> u32 {
        self.end.since(self.start)
    }
}

/// No neighbour.
const NONE: u64 = u64::MAX;

/// All segments in flight, from SND.UNA to SND.NXT without a gap.
///
/// Each has a number that counts up, so that it is found in no time wherever it stands. Those of unknown fate are also
/// linked in the order in which they were last sent. An acknowledgment costs as much as it says anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    sent: VecDeque<Sent>,
    /// The number of the first record.
    first: u64,
    oldest: u64,
    newest: u64,
    /// Those to be sent again.
    lost: BTreeSet<u64>,
    lost_bytes: u32,
    sacked_bytes: u32,
    sacked_segments: u32,
    /// The blocks that the peer reported last: what they cover is not looked at again.
    /// Most of the time there are none, and then they take no room.
    seen: Option<Box<SackBlocks>>,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            sent: VecDeque::new(),
            first: 0,
            oldest: NONE,
            newest: NONE,
            lost: BTreeSet::new(),
            lost_bytes: 0,
            sacked_bytes: 0,
            sacked_segments: 0,
            seen: None,
        }
    }
}

impl Flight {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> usize {
        self.sent.len()
    }

    pub(crate) fn sacked_segments(&self) -> u32 {
        self.sacked_segments
    }

    pub(crate) fn sacked_bytes(&self) -> u32 {
        self.sacked_bytes
    }

    pub(crate) fn lost_segments(&self) -> usize {
        self.lost.len()
    }

    /// `pipe` (RFC 6675 4): the bytes that are most likely still in the network.
    pub(crate) fn pipe(&self) -> u32 {
        match (self.sent.front(), self.sent.back()) {
            (Some(first), Some(last)) => last.end.since(first.start) - self.lost_bytes - self.sacked_bytes,
            _ => 0,
        }
    }

    /// The segment sent last of all by sequence number.
    pub(crate) fn last(&self) -> Option<(u64, Sent)> {
        Some((self.first + self.sent.len() as u64 - 1, *self.sent.back()?))
    }

    /// Records a segment at the end.
    pub(crate) fn push(&mut self, start: SeqNumber, end: SeqNumber, now: Instant, again: bool) {
        debug_assert!(self.sent.back().is_none_or(|last| last.end == start), "records have no gaps");
        let number = self.first + self.sent.len() as u64;
        self.sent.push_back(Sent { start, end, time: now, again, fate: Fate::Unknown, older: NONE, newer: NONE });
        self.link(number);
    }

    /// The first segment that is to be sent again.
    pub(crate) fn next_lost(&self) -> Option<(u64, Sent)> {
        let number = *self.lost.first()?;
        Some((number, *self.get(number)?))
    }

    /// A segment was sent again.
    pub(crate) fn resend(&mut self, number: u64, now: Instant) {
        self.set_fate(number, Fate::Unknown);
        if let Some(sent) = self.get_mut(number) {
            (sent.time, sent.again) = (now, true);
        }
        // It is the newest now.
        self.unlink(number);
        self.link(number);
    }

    /// Everything before `ack` has arrived. Tells `delivered` of each segment that was not known to have arrived before,
    /// and returns the number of bytes in them.
    pub(crate) fn acknowledge(&mut self, ack: SeqNumber, mut delivered: impl FnMut(&Sent)) -> u32 {
        let mut bytes = 0;
        while let Some(sent) = self.sent.front().copied().filter(|sent| sent.start.before(ack)) {
            let number = self.first;
            let cut = Sent { end: ack.min(sent.end), ..sent };
            if sent.fate != Fate::Sacked {
                bytes += cut.len();
                delivered(&cut);
            }
            if cut.end == sent.end {
                self.set_fate(number, Fate::Unknown);
                self.unlink(number);
                self.sent.pop_front();
                self.first += 1;
            } else {
                match sent.fate {
                    Fate::Unknown => {}
                    Fate::Lost => self.lost_bytes -= cut.len(),
                    Fate::Sacked => self.sacked_bytes -= cut.len(),
                }
                if let Some(front) = self.sent.front_mut() {
                    front.start = ack;
                }
                // What is left of it may be whole in a block that had only a part of it.
                self.seen = None;
            }
        }
        bytes
    }

    /// The peer holds what lies between `left` and `right` (RFC 2018 3). As [`acknowledge`](Self::acknowledge) else.
    ///
    /// Only whole segments count: what a peer reports that cuts them otherwise is told again by its acknowledgment.
    pub(crate) fn sack(&mut self, left: SeqNumber, right: SeqNumber, mut delivered: impl FnMut(&Sent)) -> u32 {
        let (mut from, mut to) = (left, right);
        for (seen_left, seen_right) in self.seen.iter().flat_map(|seen| seen.as_slice()) {
            if seen_left.at_or_before(from) && seen_right.after(from) {
                from = seen_right.min(to);
            }
            if seen_right.at_or_after(to) && seen_left.before(to) {
                to = seen_left.max(from);
            }
        }
        // A segment that straddles the border of an older block is looked at again.
        let index = self.sent.partition_point(|sent| sent.end.at_or_before(from));
        let mut bytes = 0;
        for index in index..self.sent.len() {
            let Some(sent) = self.sent.get(index).copied().filter(|sent| sent.end.at_or_before(right)) else { break };
            if sent.start.at_or_after(left) && sent.fate != Fate::Sacked {
                self.set_fate(self.first + index as u64, Fate::Sacked);
                bytes += sent.len();
                delivered(&sent);
            }
            if sent.start.at_or_after(to) {
                break;
            }
        }
        bytes
    }

    /// Remembers the blocks of an acknowledgment, so that the next one costs only what it says anew.
    pub(crate) fn remember(&mut self, blocks: &[(SeqNumber, SeqNumber)]) {
        if blocks.is_empty() {
            self.seen = None;
            return;
        }
        let seen = self.seen.get_or_insert_default();
        **seen = SackBlocks::new();
        for (left, right) in blocks {
            seen.push(*left, *right);
        }
    }

    /// The segment that was sent least lately, among those of which nothing is known.
    pub(crate) fn oldest(&self) -> Option<(u64, &Sent)> {
        Some((self.oldest, self.get(self.oldest)?))
    }

    /// A segment has not arrived.
    pub(crate) fn lose(&mut self, number: u64) {
        self.set_fate(number, Fate::Lost);
    }

    /// The first segment has not arrived; returns whether that is news.
    pub(crate) fn lose_first(&mut self) -> bool {
        let news = self.sent.front().is_some_and(|sent| sent.fate == Fate::Unknown);
        if news {
            self.lose(self.first);
        }
        news
    }

    /// The time-out has gone off (RFC 6675 5.1): the first segment is lost, and what was sent at least `patience` ago
    /// unless the peer holds it (RFC 8985 6.3).
    pub(crate) fn lose_overdue(&mut self, now: Instant, patience: Duration) {
        // RFC 2018 8: a peer that holds the first segment but does not acknowledge it has dropped what it held.
        let reneged = self.sent.front().is_some_and(|sent| sent.fate == Fate::Sacked);
        if reneged {
            self.seen = None;
        }
        for number in self.first..self.first + self.sent.len() as u64 {
            let Some(&Sent { fate, time, .. }) = self.get(number) else { break };
            let overdue = number == self.first || time + patience <= now;
            if reneged || (fate == Fate::Unknown && overdue) {
                self.set_fate(number, Fate::Lost);
            }
        }
    }

    /// Nothing was lost after all: all that waits for being sent again is under way.
    pub(crate) fn lose_none(&mut self) {
        for number in core::mem::take(&mut self.lost) {
            self.set_fate(number, Fate::Unknown);
        }
        // They stand where they stood before they were lost.
        let unknown = self.sent.iter().zip(self.first..).filter(|(sent, _)| sent.fate == Fate::Unknown);
        let mut order: Vec<(Instant, u64)> = unknown.map(|(sent, number)| (sent.time, number)).collect();
        order.sort_unstable();
        (self.oldest, self.newest) = (NONE, NONE);
        for (_, number) in order {
            self.link(number);
        }
    }

    /// The times at which things were sent are not known after all: their answers measure nothing.
    pub(crate) fn distrust_times(&mut self) {
        for sent in &mut self.sent {
            sent.again = true;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.sent.clear();
        self.lost.clear();
        *self =
            Self { sent: core::mem::take(&mut self.sent), lost: core::mem::take(&mut self.lost), ..Self::default() };
    }

    /// Gives the storage back when nothing is held.
    pub(crate) fn release(&mut self) {
        if self.sent.is_empty() && self.sent.capacity() > 0 {
            self.sent = VecDeque::new();
        }
    }

    /// As if everything had been sent at `now`, in the same order, and numbered from zero.
    #[cfg(feature = "explore")]
    pub(crate) fn forget_time(&mut self, now: Instant) {
        let first = core::mem::take(&mut self.first);
        let number = |number: &mut u64| {
            if *number != NONE {
                *number -= first;
            }
        };
        number(&mut self.oldest);
        number(&mut self.newest);
        self.lost = self.lost.iter().map(|lost| lost - first).collect();
        for sent in &mut self.sent {
            sent.time = now;
            number(&mut sent.older);
            number(&mut sent.newer);
        }
    }

    fn get(&self, number: u64) -> Option<&Sent> {
        self.sent.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Sent> {
        self.sent.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn set_fate(&mut self, number: u64, fate: Fate) {
        let Some(sent) = self.get_mut(number) else { return };
        let (len, before) = (sent.len(), core::mem::replace(&mut sent.fate, fate));
        if before == fate {
            return;
        }
        match before {
            Fate::Unknown => self.unlink(number),
            Fate::Lost => {
                self.lost.remove(&number);
                self.lost_bytes -= len;
            }
            Fate::Sacked => {
                self.sacked_bytes -= len;
                self.sacked_segments -= 1;
            }
        }
        match fate {
            Fate::Unknown => self.link(number),
            Fate::Lost => {
                self.lost.insert(number);
                self.lost_bytes += len;
            }
            Fate::Sacked => {
                self.sacked_bytes += len;
                self.sacked_segments += 1;
            }
        }
    }

    /// Makes a record the newest.
    fn link(&mut self, number: u64) {
        let older = core::mem::replace(&mut self.newest, number);
        if let Some(sent) = self.get_mut(number) {
            (sent.older, sent.newer) = (older, NONE);
        }
        match self.get_mut(older) {
            Some(sent) => sent.newer = number,
            None => self.oldest = number,
        }
    }

    /// Takes a record out of the order of sending.
    fn unlink(&mut self, number: u64) {
        let Some(sent) = self.get(number) else { return };
        let (older, newer) = (sent.older, sent.newer);
        match self.get_mut(older) {
            Some(sent) => sent.newer = newer,
            None => self.oldest = newer,
        }
        match self.get_mut(newer) {
            Some(sent) => sent.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seq(n: u32) -> SeqNumber {
        // The numbers wrap in every test.
        SeqNumber::new(n.wrapping_sub(500))
    }

    const fn at(n: u64) -> Instant {
        Instant::from_millis(n)
    }

    /// Ten segments of 100 bytes, one a millisecond.
    fn ten() -> Flight {
        let mut flight = Flight::default();
        for n in 0..10 {
            flight.push(seq(n * 100), seq(n * 100 + 100), at(n.into()), false);
        }
        flight
    }

    fn by_age(flight: &Flight) -> Vec<u32> {
        let mut order = Vec::new();
        let mut number = flight.oldest;
        while let Some(sent) = flight.get(number) {
            order.push(sent.start.since(seq(0)) / 100);
            number = sent.newer;
        }
        order
    }

    #[test]
    fn rfc_6675_4_pipe_is_what_is_neither_held_nor_lost() {
        let mut flight = ten();
        assert_eq!(flight.pipe(), 1000);
        assert_eq!(flight.sack(seq(300), seq(500), |_| {}), 200);
        assert_eq!((flight.pipe(), flight.sacked_segments()), (800, 2));
        assert!(flight.lose_first() && !flight.lose_first());
        assert_eq!(flight.pipe(), 700);
        let (number, sent) = flight.next_lost().unwrap();
        assert_eq!(sent.start, seq(0));
        flight.resend(number, at(20));
        assert_eq!((flight.pipe(), flight.lost_segments()), (800, 0));
        // The first four, of which one was held before.
        assert_eq!(flight.acknowledge(seq(400), |_| {}), 300);
        assert_eq!((flight.pipe(), flight.sacked_segments()), (500, 1));
    }

    #[test]
    fn what_is_sent_again_is_the_newest() {
        let mut flight = ten();
        flight.lose(0);
        flight.lose(4);
        assert_eq!(by_age(&flight), [1, 2, 3, 5, 6, 7, 8, 9]);
        flight.resend(4, at(20));
        flight.resend(0, at(21));
        // One that was not known to be lost.
        flight.resend(7, at(22));
        assert_eq!(by_age(&flight), [1, 2, 3, 5, 6, 8, 9, 4, 0, 7]);
    }

    #[test]
    fn rfc_2018_8_a_peer_that_drops_what_it_held_gets_it_again() {
        let mut flight = ten();
        flight.sack(seq(100), seq(1000), |_| {});
        flight.lose_overdue(at(100), Duration::ZERO);
        assert_eq!((flight.pipe(), flight.lost.len()), (0, 1));
        // The hole is filled, but the acknowledgment ends there.
        flight.acknowledge(seq(100), |_| {});
        flight.lose_overdue(at(100), Duration::ZERO);
        assert_eq!((flight.pipe(), flight.lost.len(), flight.sacked_segments()), (0, 9, 0));
    }

    #[test]
    fn rfc_8985_6_3_a_timeout_loses_the_first_segment_and_what_was_sent_long_enough_ago() {
        let mut flight = ten();
        flight.sack(seq(300), seq(400), |_| {});
        // Sent at 0 to 9 ms, the first once more lately.
        flight.lose(0);
        flight.resend(0, at(15));
        flight.lose_overdue(at(15), Duration::from_millis(10));
        assert_eq!(
            (flight.lost.iter().copied().collect::<Vec<_>>(), by_age(&flight)),
            ([0, 1, 2, 4, 5].into(), [6, 7, 8, 9].into())
        );
    }

    #[test]
    fn what_was_not_lost_after_all_stands_where_it_was_sent() {
        let mut flight = ten();
        flight.sack(seq(300), seq(400), |_| {});
        for number in [0, 4, 2] {
            flight.lose(number);
        }
        flight.resend(4, at(20));
        flight.lose_none();
        assert_eq!(by_age(&flight), [0, 1, 2, 5, 6, 7, 8, 9, 4]);
        assert_eq!((flight.pipe(), flight.lost_segments()), (900, 0));
    }

    #[test]
    fn a_block_costs_only_what_it_says_anew() {
        let mut flight = ten();
        let mut told = 0;
        for n in 3..10 {
            flight.sack(seq(200), seq(n * 100), |_| told += 1);
            flight.remember(&[(seq(200), seq(n * 100))]);
        }
        assert_eq!(told, 7);
    }

    proptest! {
        /// Against a plain list of bytes' fates.
        #[test]
        fn counts_what_a_plain_model_counts(ops in prop::collection::vec((0..5u8, 0..12u32, 0..12u32), 0..80)) {
            let mut flight = Flight::default();
            // Start, end, and fate of each segment.
            let mut model: Vec<(u32, u32, Fate)> = Vec::new();
            let (mut una, mut nxt) = (0, 0);
            for (now, (op, a, b)) in ops.into_iter().enumerate() {
                let now = at(now as u64);
                match op {
                    0 | 1 => {
                        flight.push(seq(nxt), seq(nxt + 10 + a), now, false);
                        model.push((nxt, nxt + 10 + a, Fate::Unknown));
                        nxt += 10 + a;
                    }
                    2 => {
                        let ack = (una + a * b).min(nxt);
                        let fresh: u32 = model.iter().filter(|sent| sent.2 != Fate::Sacked)
                            .map(|sent| sent.1.min(ack).saturating_sub(sent.0)).sum();
                        prop_assert_eq!(flight.acknowledge(seq(ack), |_| {}), fresh);
                        una = ack;
                        model.retain(|sent| sent.1 > ack);
                        if let Some(first) = model.first_mut() {
                            first.0 = first.0.max(ack);
                        }
                    }
                    3 => {
                        let (left, right) = (una + a * 10, (una + a * 10 + b * 10).min(nxt));
                        flight.sack(seq(left), seq(right), |_| {});
                        flight.remember(&[(seq(left), seq(right))]);
                        for sent in &mut model {
                            if sent.0 >= left && sent.1 <= right {
                                sent.2 = Fate::Sacked;
                            }
                        }
                    }
                    _ => {
                        if a < 6 {
                            if flight.lose_first() {
                                model[0].2 = Fate::Lost;
                            }
                        } else if let Some((number, sent)) = flight.next_lost() {
                            flight.resend(number, now);
                            let sent = model.iter_mut().find(|other| seq(other.0) == sent.start).unwrap();
                            sent.2 = Fate::Unknown;
                        }
                    }
                }
                let bytes = |fate| model.iter().filter(|sent| sent.2 == fate).map(|sent| sent.1 - sent.0).sum::<u32>();
                prop_assert_eq!(flight.pipe(), bytes(Fate::Unknown));
                prop_assert_eq!(flight.sacked_bytes, bytes(Fate::Sacked));
                prop_assert_eq!(by_age(&flight).len(), model.iter().filter(|sent| sent.2 == Fate::Unknown).count());
                prop_assert_eq!(flight.segments(), model.len());
            }
        }
    }
}
