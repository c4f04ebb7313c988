//! Where in a section its field lines lie.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Fields, Known};

/// Where one field line lies. Offsets fit: [`MAX_SECTION`](super::scan::MAX_SECTION) bounds every section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) name: u32,
    pub(crate) name_len: u32,
    pub(crate) value: u32,
    pub(crate) value_len: u32,
    pub(crate) known: Known,
}

/// A span in eight bytes: four numbers of 14 bits each, and the number of the name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed(u64);

const BITS: u32 = 14;
const MASK: u32 = (1 << BITS) - 1;

impl Packed {
    const LEN: usize = size_of::<u64>();

    fn new(span: Span) -> Option<Self> {
        let Span { name, name_len, value, value_len, known } = span;
        let fits = (name | name_len | value | value_len) <= MASK;
        let numbers =
            [value_len, value, name_len, name].iter().fold(known as u64, |all, n| all << BITS | u64::from(*n));
        fits.then_some(Self(numbers))
    }

    fn unpack(self) -> Span {
        let number = |index: u32| (self.0 >> (index * BITS)) as u32 & MASK;
        let known = Known::from_number((self.0 >> (4 * BITS)) as u8);
        Span { name: number(0), name_len: number(1), value: number(2), value_len: number(3), known }
    }
}

/// Where the spans of a finished section are.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    /// So many of them, packed, at this place in the section's own memory, behind its text.
    Inside {
        at: u32,
        len: u32,
    },
    Apart(Box<[Span]>),
}

impl Default for Table {
    fn default() -> Self {
        Self::Inside { at: 0, len: 0 }
    }
}

impl Table {
    /// The spans, of which `memory` may hold some.
    pub(crate) fn iter<'a>(&'a self, memory: &'a [u8]) -> SpanIter<'a> {
        let (packed, apart) = match self {
            Self::Inside { at, len } => {
                let (at, len) = (*at as usize, *len as usize);
                (memory.get(at..at + len * Packed::LEN).unwrap_or_default(), &[][..])
            }
            Self::Apart(spans) => (&[][..], &spans[..]),
        };
        SpanIter { packed: packed.as_chunks().0.iter(), apart: apart.iter() }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Inside { len, .. } => *len as usize,
            Self::Apart(spans) => spans.len(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SpanIter<'a> {
    packed: core::slice::Iter<'a, [u8; Packed::LEN]>,
    apart: core::slice::Iter<'a, Span>,
}

impl Iterator for SpanIter<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        match self.packed.next() {
            Some(packed) => Some(Packed(u64::from_le_bytes(*packed)).unpack()),
            None => self.apart.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.packed.len() + self.apart.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for SpanIter<'_> {}

/// The spans of a section that is being scanned, in wire order.
#[derive(Clone, Debug)]
pub(crate) enum Spans {
    /// So many of the places hold a span.
    Few(usize, [Packed; FEW]),
    /// Of a section that is too long for [`Packed`] or has more than [`FEW`] lines.
    Many(Vec<Span>),
}

/// Sections up to this size are copied out of the receive buffer instead of keeping all of it alive.
pub(super) const COPIED: usize = 2048;

/// What most heads have at most.
const FEW: usize = 16;

impl Default for Spans {
    fn default() -> Self {
        Self::Few(0, [Packed(0); FEW])
    }
}

impl Spans {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Few(len, _) => *len,
            Self::Many(spans) => spans.len(),
        }
    }

    pub(crate) fn push(&mut self, span: Span) {
        if let Self::Few(len, packed) = self {
            if let (Some(place), Some(span)) = (packed.get_mut(*len), Packed::new(span)) {
                *place = span;
                *len += 1;
                return;
            }
            let mut spans = Vec::with_capacity(2 * FEW);
            spans.extend(packed.iter().take(*len).map(|packed| packed.unpack()));
            *self = Self::Many(spans);
        }
        if let Self::Many(spans) = self {
            spans.push(span);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Span> {
        match self {
            Self::Few(len, packed) => {
                *len = len.checked_sub(1)?;
                packed.get(*len).map(|packed| packed.unpack())
            }
            Self::Many(spans) => spans.pop(),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::Few(len, _) => *len = 0,
            Self::Many(_) => *self = Self::default(),
        }
    }

    /// The fields of a copy of `text`, with the spans behind it where they are packed.
    pub(crate) fn of_copy(&self, text: &[u8]) -> Fields {
        match self {
            Self::Few(len, packed) => {
                let mut memory = Vec::with_capacity(text.len() + len * Packed::LEN);
                memory.extend_from_slice(text);
                packed.iter().take(*len).for_each(|packed| memory.extend_from_slice(&packed.0.to_le_bytes()));
                let table = Table::Inside { at: text.len() as u32, len: *len as u32 };
                Fields { bytes: memory.into(), table }
            }
            Self::Many(spans) => Fields { bytes: Bytes::copy_from_slice(text), table: Table::Apart(spans[..].into()) },
        }
    }

    /// The fields of `text`; of a copy where it is short, since it would keep alive whatever it is a part of.
    pub(crate) fn of(&self, text: Bytes) -> Fields {
        if text.len() <= COPIED {
            return self.of_copy(&text);
        }
        let spans = match self {
            Self::Few(len, packed) => packed.iter().take(*len).map(|packed| packed.unpack()).collect(),
            Self::Many(spans) => spans[..].into(),
        };
        Fields { bytes: text, table: Table::Apart(spans) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(spans: &Spans, text: &[u8]) -> Vec<Span> {
        let copy = spans.of_copy(text);
        assert!(copy.bytes.starts_with(text));
        let listed: Vec<_> = copy.table.iter(&copy.bytes).collect();
        assert_eq!((copy.table.iter(&copy.bytes).len(), copy.len()), (listed.len(), listed.len()));
        let long = spans.of(alloc::vec![0; COPIED + 1].into());
        assert!(long.table.iter(&long.bytes).eq(listed.iter().copied()));
        listed
    }

    /// Against a list, over the borders at which spans stop being packed.
    #[test]
    fn spans_are_kept_as_they_are() {
        let span = |n: u32| Span { name: n, name_len: n / 2, value: n + 3, value_len: n / 3, known: Known::of(b"te") };
        for start in [0, MASK - 10, MASK - 3, MASK, 1 << 20, u32::MAX / 2] {
            let (mut spans, mut model) = (Spans::default(), Vec::new());
            for n in 0..40 {
                spans.push(span(start + n));
                model.push(span(start + n));
                assert_eq!((spans.len(), listed(&spans, b"text")), (model.len(), model.clone()), "{n} behind {start}");
            }
            while let Some(last) = model.pop() {
                assert_eq!(spans.pop(), Some(last));
                assert_eq!(listed(&spans, b""), model);
            }
            assert_eq!(spans.pop(), None);
            spans.push(span(start));
            spans.clear();
            assert_eq!(spans.len(), 0);
        }
    }

    #[test]
    fn each_number_has_all_its_bits() {
        let largest = Span { name: MASK, name_len: MASK, value: MASK, value_len: MASK, known: Known::Other };
        assert_eq!(Packed::new(largest).map(Packed::unpack), Some(largest));
        for too_large in [
            Span { name: MASK + 1, ..largest },
            Span { name_len: MASK + 1, ..largest },
            Span { value: MASK + 1, ..largest },
            Span { value_len: MASK + 1, ..largest },
        ] {
            assert!(Packed::new(too_large).is_none());
        }
    }
}
