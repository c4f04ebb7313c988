//! What an exploration finds.

use core::fmt;
use std::collections::BTreeMap;

use super::Property;
use super::property::Violation;

/// Everything was as it must be, and this much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exploration {
    /// Whether every state within the budget was reached, and not [`Scope::max_states`](super::Scope::max_states).
    pub complete: bool,
    /// Distinct states of the whole: both ends, what is under way, and what is left of the budget.
    pub states: u64,
    /// Distinct states if what is left of the budget makes no difference.
    pub situations: u64,
    /// Steps from one state to another, or to itself.
    pub transitions: u64,
    /// Steps that were left out because they need more room under way than [`Scope::channel`](super::Scope::channel).
    pub cut: u64,
    /// The length of the longest of the shortest ways to each state.
    pub depth: u32,
    /// Distinct states of one end.
    pub endpoint_states: u64,
    /// Distinct segments.
    pub segments: u64,
    /// How often the real code was asked. The other answers were known.
    pub calls: u64,
    /// The largest number of deliveries in a row, without a timer or a command, that came one from another.
    pub longest_exchange: u32,
    /// How it ends: the states of both sides where nothing more happens by itself, and in how many ways.
    pub at_rest: BTreeMap<String, u64>,
    /// The size of the tables, in bytes.
    pub memory: usize,
}

impl fmt::Display for Exploration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = if self.complete { "all" } else { "the first" };
        writeln!(
            f,
            "{complete} {} states ({} without the budget), {} steps ({} cut), depth {}; {} states of an end, {} segments, {} calls; longest \
             exchange {}; {} MiB",
            self.states,
            self.situations,
            self.transitions,
            self.cut,
            self.depth,
            self.endpoint_states,
            self.segments,
            self.calls,
            self.longest_exchange,
            self.memory >> 20,
        )?;
        self.at_rest.iter().try_for_each(|(states, count)| writeln!(f, "{count:>9}  {states}"))
    }
}

/// The shortest way to a state in which a [`Property`] does not hold. Its text is a sequence diagram.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{property} does not hold: {detail}\n\n{diagram}")]
pub struct CounterExample {
    /// What does not hold.
    pub property: Property,
    /// In which way.
    pub detail: String,
    /// How many steps lead there.
    pub steps: usize,
    pub(super) diagram: String,
}

impl CounterExample {
    pub(super) fn at_start(Violation { property, detail }: Violation) -> Self {
        Self { property, detail, steps: 0, diagram: String::new() }
    }

    /// The sequence diagram: a line for each step, [`Side::A`](crate::Side::A) on the left. Sequence numbers are
    /// relative to the initial ones.
    pub fn diagram(&self) -> &str {
        &self.diagram
    }
}

impl fmt::Debug for CounterExample {
    /// As `Display`: this is what `unwrap` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
