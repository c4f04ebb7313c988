//! Bytes between `send` and their acknowledgment.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// The bytes from SND.UNA on: those in flight, then those not yet sent.
///
/// Large pieces are kept by reference. Small ones are copied into a tail, so that a thousand sends of one byte do not
/// become a thousand pieces.
///
/// A cursor remembers the piece from which the last new bytes were copied, so that sending is linear in the number of
/// bytes and of pieces.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct SendBuffer {
    /// Complete pieces, front first. None is empty.
    chunks: VecDeque<Bytes>,
    /// The sum of the lengths of `chunks`.
    chunked: usize,
    /// What follows the last piece and may still grow.
    tail: BytesMut,
    cursor: Cursor,
}

/// A piece and the offset at which it begins. One past the last piece is the tail.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Cursor {
    index: usize,
    start: usize,
}

impl SendBuffer {
    /// From this many bytes on, a piece is kept by reference instead of being copied.
    const BY_REFERENCE: usize = 1024;
    /// The tail becomes a piece at this size.
    const TAIL_MAX: usize = 16 * 1024;

    pub(crate) fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends `bytes`.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < Self::BY_REFERENCE {
            if self.tail.len() >= Self::TAIL_MAX {
                self.close_tail();
            }
            self.tail.extend_from_slice(&bytes);
        } else {
            self.close_tail();
            self.chunked += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Drops the first `n` bytes (or all, if there are fewer): they are acknowledged.
    pub(crate) fn advance(&mut self, n: usize) {
        let mut left = n;
        let mut popped = 0;
        while let Some(front) = self.chunks.front_mut() {
            if left < front.len() {
                front.advance(left);
                self.chunked -= left;
                left = 0;
                break;
            }
            left -= front.len();
            self.chunked -= front.len();
            self.chunks.pop_front();
            popped += 1;
        }
        self.tail.advance(left.min(self.tail.len()));
        self.cursor = match self.cursor.index.checked_sub(popped) {
            // The piece may have lost bytes at its front: it then begins at zero.
            Some(index) => Cursor { index, start: self.cursor.start.saturating_sub(n) },
            None => Cursor::default(),
        };
    }

    /// The `len` bytes at `offset` (or as many as there are), piece by piece.
    pub(crate) fn pieces(&mut self, offset: usize, len: usize) -> Pieces<'_> {
        // What lies behind the cursor is a retransmission: it is found from the front and leaves the cursor alone.
        let ahead = offset >= self.cursor.start;
        let mut at = if ahead { self.cursor } else { Cursor::default() };
        while let Some(chunk) = self.chunks.get(at.index)
            && at.start + chunk.len() <= offset
        {
            at.start += chunk.len();
            at.index += 1;
        }
        if ahead {
            self.cursor = at;
        }
        Pieces { buffer: self, index: at.index, skip: offset - at.start, left: len }
    }

    /// Sending starts again from the front.
    pub(crate) fn rewind(&mut self) {
        self.cursor = Cursor::default();
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives the storage back when nothing is held, so that an idle connection holds no buffer.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && (self.tail.capacity() > 0 || self.chunks.capacity() > 0) {
            self.clear();
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunked += self.tail.len();
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

/// Iterator over a part of a [`SendBuffer`].
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a> {
    buffer: &'a SendBuffer,
    index: usize,
    skip: usize,
    left: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.left == 0 {
            return None;
        }
        let SendBuffer { chunks, tail, .. } = self.buffer;
        let piece = match chunks.get(self.index) {
            Some(chunk) => &chunk[..],
            None if self.index == chunks.len() => &tail[..],
            None => return None,
        };
        let piece = piece.get(self.skip..).unwrap_or(&[]);
        let piece = &piece[..piece.len().min(self.left)];
        (self.index, self.skip) = (self.index + 1, 0);
        self.left -= piece.len();
        Some(piece)
    }
}

impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer")
            .field("len", &self.len())
            .field("chunks", &self.chunks.len())
            .field("tail_capacity", &self.tail.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize),
        Advance(usize),
        Copy(usize, usize),
        Rewind,
        Release,
    }

    fn op() -> impl Strategy<Value = Op> {
        let size = || prop_oneof![3 => 0..64usize, 2 => 900..1200usize, 1 => 0..20_000usize];
        prop_oneof![
            4 => size().prop_map(Op::Push),
            2 => size().prop_map(Op::Advance),
            6 => (0..40_000usize, 0..1500usize).prop_map(|(at, n)| Op::Copy(at, n)),
            1 => Just(Op::Rewind),
            1 => Just(Op::Release),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_vec(ops in prop::collection::vec(op(), 0..64)) {
            let mut buffer = SendBuffer::default();
            let mut model = Vec::<u8>::new();
            let mut next = 0u32;
            for op in ops {
                match op {
                    Op::Push(n) => {
                        let bytes: Vec<u8> = (0..n).map(|_| {
                            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                            (next >> 24) as u8
                        }).collect();
                        model.extend(&bytes);
                        buffer.push(Bytes::from(bytes));
                    }
                    Op::Advance(n) => {
                        buffer.advance(n);
                        model.drain(..n.min(model.len()));
                    }
                    Op::Copy(at, n) => {
                        let at = if model.is_empty() { 0 } else { at % model.len() };
                        let out: Vec<u8> = buffer.pieces(at, n).flatten().copied().collect();
                        prop_assert_eq!(&out[..], &model[at..model.len().min(at + n)]);
                    }
                    Op::Rewind => buffer.rewind(),
                    Op::Release => buffer.release(),
                }
                prop_assert_eq!(buffer.len(), model.len());
            }
        }
    }

    #[test]
    fn the_cursor_stays_where_the_last_new_bytes_were() {
        let mut buffer = SendBuffer::default();
        for _ in 0..100 {
            buffer.push(Bytes::from_static(&[7; SendBuffer::BY_REFERENCE]));
        }
        assert_eq!(buffer.pieces(90 * 1024, 1024).count(), 1);
        assert_eq!(buffer.cursor.index, 90);
        assert_eq!(buffer.pieces(1, 1024).count(), 2);
        assert_eq!(buffer.cursor.index, 90);
        buffer.advance(10 * 1024 + 5);
        assert_eq!((buffer.cursor.index, buffer.cursor.start), (80, 80 * 1024 - 5));
    }

    #[test]
    fn small_pieces_share_a_tail() {
        let mut buffer = SendBuffer::default();
        for _ in 0..10_000 {
            buffer.push(Bytes::from_static(b"x"));
        }
        assert!(buffer.chunks.is_empty());
        buffer.advance(10_000);
        buffer.release();
        assert_eq!(buffer.tail.capacity(), 0);
    }
}
