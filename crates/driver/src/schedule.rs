//! Whose turn it is, among many connections on one thread.

use std::collections::{BTreeSet, VecDeque};

use drywire_core::Instant;

/// The connections that may have something to do, and when the others will.
///
/// ```text
///              mark                          rest
///   waiting ─────────▶ due, first come ───────────────▶ waiting, with or without a deadline
///      ▲                   │   ▲                              │
///      │             defer │   │ begin_round          expire  │ the deadline that was told first has come
///      │                   ▼   │                              ▼
///      │              due, next round            reconsider: due, or waiting for the later one
///      └──────────────────────────────────────────────────────┘
/// ```
///
/// `K` names a connection. What is known of a connection by itself, its [`Place`], is kept with it, so that nothing is
/// looked up.
///
/// **Deadlines are kept lazily.** Most move on with every message and never come. So one that becomes later changes
/// nothing: the earlier instant stays in the list, and when it comes the connection is asked again
/// ([`reconsider`](Self::reconsider)). The list holds one instant a connection.
#[derive(Debug)]
pub struct Schedule<K> {
    due: VecDeque<K>,
    /// Those that have had enough for this round.
    deferred: Vec<K>,
    deadlines: BTreeSet<(Instant, K)>,
}

/// Where one connection stands in a [`Schedule`].
#[derive(Debug, Default)]
pub struct Place {
    due: bool,
    /// The instant in the list, which is no later than the connection's deadline.
    listed: Option<Instant>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { due: VecDeque::new(), deferred: Vec::new(), deadlines: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Schedule<K> {
    /// Nobody is due.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a connection behind those that are due, unless it is one of them.
    pub fn mark(&mut self, key: K, place: &mut Place) {
        if !std::mem::replace(&mut place.due, true) {
            self.due.push_back(key);
        }
    }

    /// Whose turn it is. It stays its turn until one of the next three calls.
    pub fn first(&self) -> Option<K> {
        self.due.front().copied()
    }

    /// Takes the first off the queue because there is no such connection any more.
    pub fn skip(&mut self) {
        self.due.pop_front();
    }

    /// Takes the first, whose place is `place`, off the queue: it waits, also for `deadline`.
    pub fn rest(&mut self, place: &mut Place, deadline: Option<Instant>) {
        if let Some(key) = self.due.pop_front() {
            place.due = false;
            self.list(key, place, deadline);
        }
    }

    /// Lets the first go on in the next round: it has more to do, but so may others.
    pub fn defer(&mut self) {
        self.deferred.extend(self.due.pop_front());
    }

    /// Whether anybody waits for the next round.
    pub fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Puts those that were deferred behind those that are due.
    pub fn begin_round(&mut self) {
        self.due.extend(self.deferred.drain(..));
    }

    /// The next instant at which [`expire`](Self::expire) has somebody. It may be too early, never too late.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|first| first.0)
    }

    /// Takes somebody off the list whose listed instant has come, for [`reconsider`](Self::reconsider).
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        self.deadlines.first().filter(|first| first.0 <= now)?;
        self.deadlines.pop_first().map(|first| first.1)
    }

    /// What becomes of a connection that [`expire`](Self::expire) has given: due if its deadline, which may have moved,
    /// has come, and else listed with it.
    pub fn reconsider(&mut self, key: K, place: &mut Place, deadline: Option<Instant>, now: Instant) {
        place.listed = None;
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.mark(key, place);
        } else {
            self.list(key, place, deadline);
        }
    }

    /// Forgets the deadline of a connection that is over. If it is due, [`first`](Self::first) may still name it.
    pub fn forget(&mut self, key: K, place: &mut Place) {
        if let Some(listed) = place.listed.take() {
            self.deadlines.remove(&(listed, key));
        }
    }

    fn list(&mut self, key: K, place: &mut Place, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if place.listed.is_none_or(|listed| deadline < listed) {
            self.forget(key, place);
            self.deadlines.insert((deadline, key));
            place.listed = Some(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONNECTIONS: usize = 4;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Mark(usize),
        /// The first rests with this deadline.
        Rest(Option<u64>),
        Defer,
        BeginRound,
        /// So much later, everybody whose time has come is reconsidered.
        Wait(u64),
        Forget(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let who = 0..CONNECTIONS;
        prop_oneof![
            4 => who.clone().prop_map(Op::Mark),
            6 => prop::option::of(0..20u64).prop_map(Op::Rest),
            1 => Just(Op::Defer),
            1 => Just(Op::BeginRound),
            2 => (0..10u64).prop_map(Op::Wait),
            1 => who.prop_map(Op::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// A deadline is never missed, nobody stands in the queue twice, and the list holds one instant a connection.
        #[test]
        fn everybody_has_a_turn_when_the_deadline_has_come(ops in prop::collection::vec(op(), 0..200)) {
            let mut schedule = Schedule::new();
            let mut places: [Place; CONNECTIONS] = Default::default();
            let mut deadlines = [None; CONNECTIONS];
            let mut now = Instant::ORIGIN;
            for op in ops {
                match op {
                    Op::Mark(who) => schedule.mark(who, &mut places[who]),
                    Op::Rest(after) => {
                        let Some(who) = schedule.first() else { continue };
                        // In the past, too: then the list has it at once.
                        deadlines[who] = after.map(Instant::from_millis);
                        schedule.rest(&mut places[who], deadlines[who]);
                    }
                    Op::Defer => schedule.defer(),
                    Op::BeginRound => schedule.begin_round(),
                    Op::Wait(millis) => {
                        now += std::time::Duration::from_millis(millis);
                        while let Some(who) = schedule.expire(now) {
                            schedule.reconsider(who, &mut places[who], deadlines[who], now);
                        }
                        for (who, place) in places.iter().enumerate() {
                            prop_assert!(place.due || deadlines[who].is_none_or(|at| now < at), "{} is late", who);
                        }
                    }
                    Op::Forget(who) => {
                        schedule.forget(who, &mut places[who]);
                        deadlines[who] = None;
                    }
                }
                let queued = |who| schedule.due.iter().chain(&schedule.deferred).filter(|key| **key == who).count();
                for (who, place) in places.iter().enumerate() {
                    prop_assert_eq!(queued(who), usize::from(place.due));
                    prop_assert_eq!(schedule.deadlines.iter().filter(|entry| entry.1 == who).count(), usize::from(place.listed.is_some()));
                    prop_assert!(place.due || deadlines[who].is_none_or(|at| place.listed.is_some_and(|listed| listed <= at)));
                }
            }
        }
    }

    #[test]
    fn a_later_deadline_changes_nothing_until_the_first_one_comes() {
        let at = Instant::from_millis;
        let (mut schedule, mut place) = (Schedule::new(), Place::default());
        for millis in [10, 20, 30] {
            schedule.mark('a', &mut place);
            schedule.rest(&mut place, Some(at(millis)));
            assert_eq!(schedule.next_deadline(), Some(at(10)));
        }
        assert_eq!(schedule.expire(at(9)), None);
        assert_eq!(schedule.expire(at(10)), Some('a'));
        schedule.reconsider('a', &mut place, Some(at(30)), at(10));
        assert_eq!((schedule.first(), schedule.next_deadline()), (None, Some(at(30))));
        assert_eq!(schedule.expire(at(31)), Some('a'));
        schedule.reconsider('a', &mut place, Some(at(30)), at(31));
        assert_eq!((schedule.first(), schedule.next_deadline()), (Some('a'), None));
    }

    #[test]
    fn who_is_deferred_comes_behind_all_others() {
        let (mut schedule, mut places) = (Schedule::new(), [Place::default(), Place::default(), Place::default()]);
        schedule.mark(0, &mut places[0]);
        schedule.mark(1, &mut places[1]);
        schedule.defer();
        schedule.mark(0, &mut places[0]);
        schedule.rest(&mut places[1], None);
        assert_eq!((schedule.first(), schedule.has_deferred()), (None, true));
        schedule.mark(2, &mut places[2]);
        schedule.begin_round();
        assert_eq!((schedule.first(), schedule.has_deferred()), (Some(2), false));
        schedule.rest(&mut places[2], None);
        assert_eq!(schedule.first(), Some(0));
    }
}
