//! The search, breadth first.

use std::collections::BTreeMap;

use drywire_tcp::ip::Ecn;
use drywire_tcp::{Config, State};

use super::earlier::{BY_NUMBER, earlier_incarnation};
use super::endpoint::{Effect, Endpoint, MAX_ANSWERS, Stimulus, Wire, other};
use super::intern::{Interner, fingerprint};
use super::property::Violation;
use super::world::{Action, Channel, Left, World};
use super::{CounterExample, Exploration, Order, Reading, Scope};
use crate::{Open, Side};

pub(super) const SIDES: [Side; 2] = [Side::A, Side::B];

/// What is known so far.
pub(super) struct Explorer<'a> {
    pub(super) scope: &'a Scope,
    pub(super) ends: Interner<Endpoint>,
    pub(super) wires: Interner<Wire>,
    /// An end and what happened to it, beside what came of it in `outcomes`.
    asked: Interner<(u32, Asked)>,
    outcomes: Vec<Outcome>,
    earlier: [Vec<u32>; 2],
    pub(super) worlds: Interner<World>,
    /// The world from which each was first reached. The first is its own.
    parents: Vec<u32>,
    transitions: u64,
    cut: u64,
    pub(super) at_rest: BTreeMap<String, u64>,
    /// Storage, to be used again.
    actions: Vec<Action>,
}

/// A stimulus by number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Segment(u32),
    Marked(u32),
    Timer,
    Send,
    Read,
    Shutdown,
    Abort,
}

/// What an end does.
#[derive(Clone, Copy)]
struct Outcome {
    /// `None`: nothing.
    next: Option<u32>,
    sent: Sent,
    reset: bool,
}

/// A world that was reached.
pub(super) struct Reached {
    pub(super) world: World,
    /// What the end sent that moved.
    pub(super) sent: Sent,
}

/// Segments that left at once, by number.
#[derive(Clone, Copy, Default)]
pub(super) struct Sent {
    numbers: [u32; MAX_ANSWERS],
    count: u8,
}

impl Sent {
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers[..usize::from(self.count)]
    }
}

impl<'a> Explorer<'a> {
    pub(super) fn new(scope: &'a Scope) -> Self {
        Self {
            scope,
            ends: Interner::new(),
            wires: Interner::new(),
            asked: Interner::new(),
            outcomes: Vec::new(),
            earlier: [Vec::new(), Vec::new()],
            worlds: Interner::new(),
            parents: Vec::new(),
            transitions: 0,
            cut: 0,
            at_rest: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Exploration, CounterExample> {
        let start = match self.start() {
            Ok(start) => start,
            Err(violation) => return Err(CounterExample::at_start(violation)),
        };
        self.worlds.intern(start);
        self.parents.push(0);
        let (mut next, mut depth, mut layer_end) = (0, 0, 1);
        while next < self.worlds.len() as u32 && self.worlds.len() < self.scope.max_states as usize {
            if next == layer_end {
                (depth, layer_end) = (depth + 1, self.worlds.len() as u32);
            }
            if let Err((violation, last)) = self.expand(next) {
                return Err(self.counter_example(violation, next, last));
            }
            next += 1;
        }
        let expanded = next;
        let longest_exchange = match self.longest_exchange(expanded) {
            Ok(longest) => longest,
            Err((violation, at, actions)) => return Err(self.circle(violation, at, &actions)),
        };
        let memory = self.ends.memory() + self.wires.memory() + self.asked.memory() + self.worlds.memory();
        Ok(Exploration {
            complete: expanded == self.worlds.len() as u32,
            states: self.worlds.len() as u64,
            situations: self.situations(),
            transitions: self.transitions,
            cut: self.cut,
            depth,
            endpoint_states: self.ends.len() as u64,
            segments: self.wires.len() as u64,
            calls: self.outcomes.len() as u64,
            longest_exchange,
            at_rest: self.at_rest,
            memory: memory
                + self.parents.capacity() * size_of::<u32>()
                + self.outcomes.capacity() * size_of::<Outcome>()
                // For a while, beside the others.
                + self.worlds.len() * size_of::<u64>(),
        })
    }

    /// How many worlds there are if what is left of the budget makes no difference.
    fn situations(&self) -> u64 {
        let untouched = self.untouched();
        let mut prints: Vec<u64> =
            self.worlds.iter().map(|world| fingerprint(&World { left: untouched, ..*world })).collect();
        prints.sort_unstable();
        prints.dedup();
        prints.len() as u64
    }

    fn start(&mut self) -> Result<World, Violation> {
        let scope = self.scope;
        let at_once = scope.reading == Reading::AtOnce;
        let mut towards = [Channel::default(); 2];
        let mut ends = [0; 2];
        for side in SIDES {
            let listens = side == Side::B && scope.open == Open::ClientServer;
            let Effect { next, sent } = Endpoint::open(side, listens, at_once, self.config(side))?;
            ends[side.index()] = self.ends.intern(next).0;
            for wire in sent {
                let number = self.wires.intern(wire).0;
                // The first segment always finds room.
                let _ = towards[other(side).index()].push(number, scope.channel.max(1), false);
            }
            if scope.earlier > 0 {
                let wires = earlier_incarnation(side, self.config(side).timestamps);
                self.earlier[side.index()] = wires.into_iter().map(|wire| self.wires.intern(wire).0).collect();
            }
        }
        let left = self.untouched();
        Ok(World { ends, towards, left })
    }

    fn config(&self, side: Side) -> &'a Config {
        &self.scope.tcp[side.index()]
    }

    /// The whole budget.
    pub(super) fn untouched(&self) -> Left {
        let &Scope { losses, duplicates, marks, early_timers, earlier, .. } = self.scope;
        Left { losses, duplicates, marks, early_timers, earlier }
    }

    /// Tries everything that can happen in the world of this number.
    fn expand(&mut self, number: u32) -> Result<(), (Violation, Option<Action>)> {
        let world = *self.worlds.get(number);
        let mut at_rest = world.towards.iter().all(Channel::is_empty);
        let mut actions = core::mem::take(&mut self.actions);
        self.list_actions(&world, &mut actions);
        for &action in &actions {
            at_rest &= !matches!(action, Action::Timer(_));
            let Some(reached) = self.step(&world, action).map_err(|violation| (violation, Some(action)))? else {
                continue;
            };
            self.transitions += 1;
            let (_, is_new) = self.worlds.intern(reached.world);
            if is_new {
                self.parents.push(number);
                self.check(&reached.world).map_err(|violation| (violation, Some(action)))?;
            }
        }
        self.actions = actions;
        if at_rest {
            self.check_rest(&world).map_err(|violation| (violation, None))?;
        }
        Ok(())
    }

    /// Everything that may happen in `world`. Whether it changes anything is another question.
    pub(super) fn actions(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        self.list_actions(world, &mut actions);
        actions
    }

    fn list_actions(&self, world: &World, actions: &mut Vec<Action>) {
        let scope = self.scope;
        actions.clear();
        for side in SIDES {
            let channel = &world.towards[side.index()];
            let slots = if scope.order == Order::Any { channel.len() } else { channel.len().min(1) };
            for slot in 0..slots {
                // Where the order does not count, equal segments stand side by side: one of them is enough.
                if slot > 0 && channel.get(slot) == channel.get(slot - 1) {
                    continue;
                }
                actions.push(Action::Deliver(side, slot));
                if world.left.duplicates > 0 {
                    actions.push(Action::Duplicate(side, slot));
                }
                if world.left.losses > 0 {
                    actions.push(Action::Lose(side, slot));
                }
                if world.left.marks > 0
                    && channel.get(slot).is_some_and(|number| self.wires.get(number).ecn != Ecn::NotEct)
                {
                    actions.push(Action::Mark(side, slot));
                }
            }
            let end = self.ends.get(world.ends[side.index()]);
            if self.may_time_out(world, side) {
                actions.push(Action::Timer(side));
            }
            if end.sent < scope.bytes[side.index()] && !end.shut {
                actions.push(Action::Send(side));
            }
            if scope.reading == Reading::AnyTime {
                actions.push(Action::Read(side));
            }
            if end.closed.is_none() {
                if !end.shut {
                    actions.push(Action::Shutdown(side));
                }
                if scope.aborts {
                    actions.push(Action::Abort(side));
                }
            }
            if world.left.earlier > 0 {
                let compares = !matches!(end.state(), State::Closed | State::Listen | State::SynSent);
                let count = if compares { self.earlier[side.index()].len() } else { BY_NUMBER };
                actions.extend((0..count).map(|which| Action::Earlier(side, which)));
            }
        }
    }

    /// TIME-WAIT is longer than a segment lives and than the peer's other timers run (RFC 9293 3.6.1).
    fn may_time_out(&self, world: &World, side: Side) -> bool {
        let quiet = world.towards.iter().all(Channel::is_empty);
        let [end, peer] = [side, other(side)].map(|side| self.ends.get(world.ends[side.index()]));
        if end.state() == State::TimeWait {
            quiet && (!peer.has_timer() || peer.state() == State::TimeWait)
        } else {
            end.has_timer() && (quiet || world.left.early_timers > 0)
        }
    }

    /// What `action` makes of `world`, or `None` if it changes nothing or needs more room than there is.
    pub(super) fn step(&mut self, world: &World, action: Action) -> Result<Option<Reached>, Violation> {
        let side = action.side();
        let mut next = *world;
        let channel = &mut next.towards[side.index()];
        let quiet = world.towards.iter().all(Channel::is_empty);
        let asked = match action {
            Action::Deliver(_, slot) | Action::Duplicate(_, slot) | Action::Lose(_, slot) | Action::Mark(_, slot) => {
                let Some(number) = channel.get(slot) else { return Ok(None) };
                match action {
                    Action::Duplicate(..) => next.left.duplicates -= 1,
                    _ => channel.remove(slot),
                }
                if matches!(action, Action::Lose(..)) {
                    next.left.losses -= 1;
                    return Ok(Some(Reached { world: next, sent: Sent::default() }));
                }
                if matches!(action, Action::Mark(..)) {
                    next.left.marks -= 1;
                    Asked::Marked(number)
                } else {
                    Asked::Segment(number)
                }
            }
            Action::Timer(_) => {
                next.left.early_timers -= u8::from(!quiet);
                Asked::Timer
            }
            Action::Earlier(_, which) => {
                next.left.earlier -= 1;
                Asked::Segment(self.earlier[side.index()][which])
            }
            Action::Send(_) => Asked::Send,
            Action::Read(_) => Asked::Read,
            Action::Shutdown(_) => Asked::Shutdown,
            Action::Abort(_) => Asked::Abort,
        };
        let outcome = self.ask(world.ends[side.index()], asked)?;
        let Some(end) = outcome.next else {
            // A segment that changes nothing is gone all the same; a repeated one need not be tried.
            let gone = matches!(action, Action::Deliver(..) | Action::Mark(..));
            return Ok(gone.then_some(Reached { world: next, sent: Sent::default() }));
        };
        next.ends[side.index()] = end;
        let sorted = self.scope.order == Order::Any;
        for &number in outcome.sent.numbers() {
            if !next.towards[other(side).index()].push(number, self.scope.channel, sorted) {
                self.cut += 1;
                return Ok(None);
            }
        }
        if outcome.reset {
            self.check_reset(world, &next, side)?;
        }
        Ok(Some(Reached { world: next, sent: outcome.sent }))
    }

    /// What the end does, by asking the real code the first time.
    fn ask(&mut self, end: u32, asked: Asked) -> Result<Outcome, Violation> {
        if let Some(known) = self.asked.find(&(end, asked)) {
            return Ok(self.outcomes[known as usize]);
        }
        let stimulus = match asked {
            Asked::Segment(number) => Stimulus::Segment(self.wires.get(number)),
            Asked::Marked(number) => Stimulus::Marked(self.wires.get(number)),
            Asked::Timer => Stimulus::Timer,
            Asked::Send => Stimulus::Send,
            Asked::Read => Stimulus::Read,
            Asked::Shutdown => Stimulus::Shutdown,
            Asked::Abort => Stimulus::Abort,
        };
        let effect = self.ends.get(end).on(stimulus)?;
        let mut outcome = Outcome { next: None, sent: Sent::default(), reset: false };
        if let Some(Effect { next, sent }) = effect {
            outcome.next = Some(self.ends.intern(next).0);
            outcome.sent.count = sent.len() as u8;
            outcome.reset = sent.iter().any(Wire::is_reset);
            for (slot, wire) in outcome.sent.numbers.iter_mut().zip(sent) {
                *slot = self.wires.intern(wire).0;
            }
        }
        self.asked.intern((end, asked));
        self.outcomes.push(outcome);
        Ok(outcome)
    }

    /// The way to the world of this number, and one more step.
    pub(super) fn path(&mut self, number: u32) -> Vec<Action> {
        let mut numbers = vec![number];
        while let Some(&last) = numbers.last()
            && last != 0
        {
            numbers.push(self.parents[last as usize]);
        }
        numbers.reverse();
        numbers.windows(2).filter_map(|pair| self.action_between(pair[0], pair[1])).collect()
    }

    fn action_between(&mut self, from: u32, to: u32) -> Option<Action> {
        let (from, to) = (*self.worlds.get(from), *self.worlds.get(to));
        self.actions(&from)
            .into_iter()
            .find(|action| matches!(self.step(&from, *action), Ok(Some(reached)) if reached.world == to))
    }

    fn counter_example(mut self, violation: Violation, at: u32, last: Option<Action>) -> CounterExample {
        let mut actions = self.path(at);
        actions.extend(last);
        self.draw(violation, &actions, 0)
    }

    fn circle(mut self, violation: Violation, at: u32, circle: &[Action]) -> CounterExample {
        let mut actions = self.path(at);
        actions.extend_from_slice(circle);
        self.draw(violation, &actions, circle.len())
    }

    pub(super) fn first(&self) -> World {
        *self.worlds.get(0)
    }

    pub(super) fn earlier_wire(&self, side: Side, which: usize) -> Option<u32> {
        self.earlier[side.index()].get(which).copied()
    }
}
