//! Which blocks a SACK option reports (RFC 2018 4, RFC 2883).

use alloc::boxed::Box;

use crate::assembler::Assembler;
use crate::{SackBlocks, SeqNumber};

/// What the receiver remembers for its SACK options.
///
/// The blocks themselves are looked up when an acknowledgment leaves, so they are never older than the data that is held.
///
/// Most of the time there is nothing, and then it takes no room.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SackReporter(Option<Box<Memory>>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Memory {
    /// A byte of each block that was reported lately, the latest first.
    recent: [Option<SeqNumber>; SackBlocks::MAX],
    /// Data that arrived although it was here already, not yet reported.
    duplicate: Option<(SeqNumber, SeqNumber)>,
}

impl SackReporter {
    /// Text at `seq` was kept out of order.
    pub(crate) fn on_out_of_order(&mut self, seq: SeqNumber, held: &Assembler) {
        // RFC 2018 4: the first block is the one that this segment belongs to. Those that it joined are one with it.
        let Some((left, right)) = held.run_at(seq) else { return };
        let memory = self.0.get_or_insert_default();
        let mut next = [None; SackBlocks::MAX];
        let others = memory.recent.into_iter().flatten().filter(|at| at.before(left) || at.at_or_after(right));
        for (slot, at) in next.iter_mut().zip([left].into_iter().chain(others)) {
            *slot = Some(at);
        }
        memory.recent = next;
    }

    /// Text from `left` up to `right` had already arrived (RFC 2883 4).
    pub(crate) fn on_duplicate(&mut self, left: SeqNumber, right: SeqNumber) {
        self.0.get_or_insert_default().duplicate = Some((left, right));
    }

    /// Whether an acknowledgment has something to report.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|memory| memory.duplicate.is_none() && memory.recent[0].is_none())
    }

    /// The blocks for an acknowledgment of `rcv_nxt` that leaves now, `max` at most.
    pub(crate) fn blocks(&mut self, rcv_nxt: SeqNumber, held: &Assembler, max: usize) -> SackBlocks {
        let mut blocks = SackBlocks::new();
        if max == 0 {
            return blocks;
        }
        // RFC 2883 4: a duplicate comes first, once. If it lies within a larger block, that one comes second.
        let Some(memory) = &mut self.0 else { return blocks };
        let duplicate = memory.duplicate.take();
        if let Some((left, right)) = duplicate {
            blocks.push(left, right);
        }
        let around = duplicate.filter(|(left, _)| left.at_or_after(rcv_nxt)).and_then(|(left, _)| held.run_at(left));
        if let Some((left, right)) = around.filter(|_| max > 1) {
            blocks.push(left, right);
        }
        for slot in &mut memory.recent {
            // What is acknowledged, or was dropped, is no block any more.
            let Some((left, right)) = slot.and_then(|at| held.run_at(at)) else {
                *slot = None;
                continue;
            };
            if blocks.as_slice().len() < max && Some((left, right)) != around {
                blocks.push(left, right);
            }
        }
        memory.close_gaps();
        if memory.recent[0].is_none() {
            self.0 = None;
        }
        blocks
    }
}

impl Memory {
    /// Moves what is remembered to the front, in its order.
    fn close_gaps(&mut self) {
        let mut next = [None; SackBlocks::MAX];
        for (slot, at) in next.iter_mut().zip(self.recent.into_iter().flatten()) {
            *slot = Some(at);
        }
        self.recent = next;
    }
}
