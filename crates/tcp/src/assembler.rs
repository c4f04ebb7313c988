//! Data that arrived ahead of a gap.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf, BytesMut};

use crate::SeqNumber;

/// Out-of-order data, in pieces that are sorted and do not overlap.
///
/// The receive window bounds the bytes and `max` bounds the pieces, and with them the cost of an insertion. A piece grows
/// only at its back: joining pieces from the front would copy a long one again and again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Assembler {
    pieces: VecDeque<Piece>,
    max: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Piece {
    start: SeqNumber,
    bytes: BytesMut,
}

impl Piece {
    fn end(&self) -> SeqNumber {
        self.start + self.bytes.len() as u32
    }
}

impl Assembler {
    pub(crate) fn new(max: usize) -> Self {
        Self { pieces: VecDeque::new(), max }
    }

    /// Keeps what is new of `payload`, which begins at `seq`. The caller has cut it to the receive window.
    pub(crate) fn insert(&mut self, mut seq: SeqNumber, mut payload: &[u8]) {
        let mut index = self.pieces.partition_point(|piece| piece.end().at_or_before(seq));
        while !payload.is_empty() {
            let gap = match self.pieces.get(index) {
                Some(piece) if piece.start.at_or_before(seq) => 0,
                Some(piece) => payload.len().min(piece.start.since(seq) as usize),
                None => payload.len(),
            };
            let (fresh, rest) = payload.split_at(gap);
            if !fresh.is_empty() {
                self.fill(&mut index, seq, fresh);
            }
            // `index` is now at the piece behind the gap: what it holds already is skipped.
            let held = self.pieces.get(index).map_or(0, |piece| piece.end().since(seq + gap as u32) as usize);
            let held = held.min(rest.len());
            payload = &rest[held..];
            seq += (gap + held) as u32;
            index += 1;
        }
    }

    /// Puts `fresh` before the piece at `index` and moves `index` to stay at that piece.
    fn fill(&mut self, index: &mut usize, seq: SeqNumber, fresh: &[u8]) {
        if let Some(before) = index.checked_sub(1).and_then(|before| self.pieces.get_mut(before))
            && before.end() == seq
        {
            before.bytes.extend_from_slice(fresh);
        } else if self.pieces.len() < self.max {
            self.pieces.insert(*index, Piece { start: seq, bytes: BytesMut::from(fresh) });
            *index += 1;
        }
    }

    /// Takes the next piece of what continues the stream at `next`, if the gap before it is closed.
    pub(crate) fn pop(&mut self, next: SeqNumber) -> Option<BytesMut> {
        while self.pieces.front()?.start.at_or_before(next) {
            let mut piece = self.pieces.pop_front()?;
            let known = next.since(piece.start) as usize;
            if known < piece.bytes.len() {
                piece.bytes.advance(known);
                return Some(piece.bytes);
            }
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The unbroken run of bytes around `seq`, if that one is held.
    pub(crate) fn run_at(&self, seq: SeqNumber) -> Option<(SeqNumber, SeqNumber)> {
        let index = self.pieces.partition_point(|piece| piece.end().at_or_before(seq));
        let piece = self.pieces.get(index).filter(|piece| piece.start.at_or_before(seq))?;
        // Pieces may touch, since they grow only at their back.
        let (mut left, mut right) = (piece.start, piece.end());
        for before in self.pieces.range(..index).rev() {
            if before.end() != left {
                break;
            }
            left = before.start;
        }
        for behind in self.pieces.range(index + 1..) {
            if behind.start != right {
                break;
            }
            right = behind.end();
        }
        Some((left, right))
    }

    /// Where the last piece ends.
    pub(crate) fn end(&self) -> Option<SeqNumber> {
        self.pieces.back().map(Piece::end)
    }

    /// Drops everything, and the storage.
    pub(crate) fn clear(&mut self) {
        self.pieces = VecDeque::new();
    }
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pieces.iter().map(|piece| (piece.start, piece.end()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn byte_at(offset: u32) -> u8 {
        (offset.wrapping_mul(2_654_435_761) >> 24) as u8
    }

    proptest! {
        #[test]
        fn gives_back_every_byte_once_and_in_order(
            base in any::<u32>(),
            segments in prop::collection::vec((1..400u32, 1..60u32), 0..40),
        ) {
            let mut assembler = Assembler::new(usize::MAX);
            let mut model = BTreeMap::new();
            for (offset, len) in segments {
                let payload: Vec<u8> = (offset..offset + len).map(byte_at).collect();
                assembler.insert(SeqNumber::new(base) + offset, &payload);
                model.extend((offset..offset + len).map(|at| (at, byte_at(at))));
                let mut end = 0;
                for piece in &assembler.pieces {
                    let start = piece.start.since(SeqNumber::new(base));
                    prop_assert!(start >= end && !piece.bytes.is_empty());
                    end = start + piece.bytes.len() as u32;
                }
            }
            // Close one gap after the other.
            let mut next = 0;
            while let Some((&first, _)) = model.range(next..).next() {
                prop_assert!(next == first || assembler.pop(SeqNumber::new(base) + next).is_none());
                next = first;
                while let Some(bytes) = assembler.pop(SeqNumber::new(base) + next) {
                    for byte in bytes {
                        prop_assert_eq!(model.remove(&next), Some(byte));
                        next += 1;
                    }
                }
            }
            prop_assert!(model.is_empty() && assembler.pieces.is_empty());
        }
    }

    #[test]
    fn pieces_are_bounded_in_number() {
        let mut assembler = Assembler::new(3);
        for n in 1..1000 {
            assembler.insert(SeqNumber::new(n * 10), b"x");
        }
        assert_eq!(assembler.pieces.len(), 3);
        // A piece that only grows is no new one.
        assembler.insert(SeqNumber::new(11), b"y");
        assert_eq!(&assembler.pop(SeqNumber::new(10)).unwrap()[..], b"xy");
    }

    #[test]
    fn data_in_order_behind_a_gap_is_one_piece() {
        let mut assembler = Assembler::new(8);
        for n in 0..100 {
            assembler.insert(SeqNumber::new(1000 + n * 10), b"0123456789");
        }
        assert_eq!(assembler.pieces.len(), 1);
    }
}
