//! Bytes on their way from the machine to the transport.

use alloc::collections::VecDeque;
use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// What a machine has ready for the wire, in order.
///
/// The machine owns it and appends; the driver writes from the front. Small pieces (heads, frame headers, short
/// messages) coalesce in a tail buffer; payloads of at least [`SendQueue::BY_REFERENCE`] bytes are queued without a
/// copy. It implements [`Buf`], so `chunks_vectored` with `advance` is a gathering write that survives any short
/// write.
///
/// The *high-water mark* is advice that machines turn into a `Full` answer to their user: the queue itself takes
/// whatever it is given, because a farewell must always fit.
///
/// ```
/// use drywire_core::{Buf, Bytes, SendQueue};
///
/// let mut queue = SendQueue::new(64 * 1024);
/// queue.extend_from_slice(b"HTTP/1.1 200 OK\r\n\r\n");
/// queue.push(Bytes::from(vec![b'x'; 5000]));
/// assert_eq!(queue.remaining(), 5019);
/// queue.advance(19);
/// assert_eq!(queue.pop(2), "xx");
/// ```
pub struct SendQueue {
    /// Complete pieces, front first. None is empty.
    chunks: VecDeque<Bytes>,
    /// The sum of the lengths of `chunks`.
    chunked: usize,
    /// What follows the last chunk and may still grow.
    tail: BytesMut,
    high_water: usize,
    /// Bytes that have left at the front.
    taken: u64,
}

impl SendQueue {
    /// From this many bytes on, [`push`](Self::push) queues by reference instead of copying.
    pub const BY_REFERENCE: usize = 1024;

    /// The tail is closed at this size, so that one short write never holds a large buffer.
    const TAIL_MAX: usize = 16 * 1024;

    /// The tail begins with room for this many bytes, so that a header and a short payload behind it allocate once.
    const TAIL_MIN: usize = 128;

    /// An empty queue that calls itself full from `high_water` bytes on. Allocates nothing.
    pub fn new(high_water: usize) -> Self {
        Self { chunks: VecDeque::new(), chunked: 0, tail: BytesMut::new(), high_water, taken: 0 }
    }

    /// The number of queued bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    /// Whether nothing is queued.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the high-water mark is reached.
    pub fn is_full(&self) -> bool {
        self.len() >= self.high_water
    }

    /// The size, in bytes, from which the queue calls itself full.
    pub fn high_water(&self) -> usize {
        self.high_water
    }

    /// The number of bytes that were taken off the front so far; what [`clear`](Self::clear) drops is not among them.
    /// A transport that takes nothing shows in it, whatever is appended meanwhile.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Makes room for `additional` bytes that are going to be appended as small pieces.
    pub fn reserve(&mut self, additional: usize) {
        self.tail.reserve(additional);
    }

    /// Appends a copy of `bytes` and returns the copy, which may be changed in place (a mask, a checksum).
    #[inline]
    pub fn extend_from_slice(&mut self, bytes: &[u8]) -> &mut [u8] {
        if self.tail.len() >= Self::TAIL_MAX {
            self.close_tail();
            // Whoever fills one fills the next: growing there step by step would copy it once more.
            self.tail.reserve(Self::TAIL_MAX + bytes.len());
        }
        if self.tail.capacity() == 0 {
            // Costs less than to reserve in the old one.
            self.tail = BytesMut::with_capacity(bytes.len().max(Self::TAIL_MIN));
        }
        let start = self.tail.len();
        self.tail.extend_from_slice(bytes);
        &mut self.tail[start..]
    }

    /// Appends `bytes`: by reference from [`BY_REFERENCE`](Self::BY_REFERENCE) bytes on, as a copy below.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < Self::BY_REFERENCE {
            self.extend_from_slice(&bytes);
        } else {
            self.close_tail();
            self.chunked += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// Takes up to `max` bytes off the front as one piece, without a copy. Empty only if nothing is queued or `max`
    /// is zero. This is how another machine, such as a TCP in memory, takes what this one sends.
    pub fn pop(&mut self, max: usize) -> Bytes {
        let Some(front) = self.chunks.front_mut() else {
            let n = max.min(self.tail.len());
            self.taken += n as u64;
            return self.tail.split_to(n).freeze();
        };
        if max < front.len() {
            self.chunked -= max;
            self.taken += max as u64;
            return front.split_to(max);
        }
        self.chunked -= front.len();
        self.taken += front.len() as u64;
        self.chunks.pop_front().unwrap_or_default()
    }

    /// Drops everything, as an abort does.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.chunked = 0;
        self.tail.clear();
    }

    /// How many bytes of storage it holds: what is queued, by reference too, the room behind it, and the list of the
    /// pieces.
    pub fn capacity(&self) -> usize {
        self.chunks.capacity() * size_of::<Bytes>() + self.chunked + self.tail.capacity()
    }

    /// Gives the storage back when nothing is queued, so that an idle connection holds no buffer.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.chunks = VecDeque::new();
            self.tail = BytesMut::new();
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunked += self.tail.len();
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

impl Buf for SendQueue {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail[..], |front| &front[..])
    }

    /// Drops the first `n` bytes (or all, if there are fewer: unlike other [`Buf`]s, this one does not panic).
    fn advance(&mut self, n: usize) {
        let mut n = n.min(self.len());
        self.taken += n as u64;
        while let Some(front) = self.chunks.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.chunked -= n;
                return;
            }
            n -= front.len();
            self.chunked -= front.len();
            self.chunks.pop_front();
        }
        self.tail.advance(n);
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, dst: &mut [std::io::IoSlice<'a>]) -> usize {
        let pieces = self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[..]]);
        let mut filled = 0;
        for (slot, piece) in dst.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slot = std::io::IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn copy_to_bytes(&mut self, n: usize) -> Bytes {
        if n <= self.chunk().len() {
            return self.pop(n);
        }
        let mut whole = BytesMut::with_capacity(n.min(self.len()));
        while whole.len() < n && !self.is_empty() {
            let piece = self.pop(n - whole.len());
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }
}

impl fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendQueue")
            .field("len", &self.len())
            .field("high_water", &self.high_water)
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
        Extend(usize),
        Mask(usize),
        Push(usize),
        Take(usize),
        CopyToBytes(usize),
        Advance(usize),
        Vectored(usize),
        Clear,
        Release,
    }

    fn op() -> impl Strategy<Value = Op> {
        let size = || prop_oneof![3 => 0..64usize, 1 => 900..1200usize, 1 => 0..40_000usize];
        prop_oneof![
            6 => size().prop_map(Op::Extend),
            2 => size().prop_map(Op::Mask),
            6 => size().prop_map(Op::Push),
            4 => size().prop_map(Op::Take),
            2 => size().prop_map(Op::CopyToBytes),
            4 => size().prop_map(Op::Advance),
            4 => (0..6usize).prop_map(Op::Vectored),
            1 => Just(Op::Clear),
            1 => Just(Op::Release),
        ]
    }

    /// Bytes that differ along the run, so that a lost or swapped piece shows.
    fn fresh(count: &mut u32, n: usize) -> Vec<u8> {
        (0..n)
            .map(|_| {
                *count = count.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (*count >> 24) as u8
            })
            .collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_vec(ops in prop::collection::vec(op(), 0..48)) {
            let mut queue = SendQueue::new(10_000);
            let mut model = Vec::<u8>::new();
            let mut count = 0;
            let mut taken: Vec<(Bytes, Vec<u8>)> = Vec::new();
            let mut left = 0;
            for op in ops {
                let (before, takes) =
                    (model.len(), matches!(op, Op::Take(_) | Op::CopyToBytes(_) | Op::Advance(_)));
                match op {
                    Op::Extend(n) => {
                        let bytes = fresh(&mut count, n);
                        prop_assert_eq!(&*queue.extend_from_slice(&bytes), &bytes[..]);
                        model.extend(bytes);
                    }
                    Op::Mask(n) => {
                        let bytes = fresh(&mut count, n);
                        queue.extend_from_slice(&bytes).iter_mut().for_each(|b| *b ^= 0x55);
                        model.extend(bytes.iter().map(|b| b ^ 0x55));
                    }
                    Op::Push(n) => {
                        let bytes = fresh(&mut count, n);
                        queue.push(Bytes::from(bytes.clone()));
                        model.extend(bytes);
                    }
                    Op::Take(n) => {
                        let piece = queue.pop(n);
                        prop_assert!(piece.len() <= n);
                        prop_assert_eq!(piece.is_empty(), n == 0 || model.is_empty());
                        let expected = model.drain(..piece.len()).collect();
                        taken.push((piece, expected));
                    }
                    Op::CopyToBytes(n) => {
                        let whole = queue.copy_to_bytes(n);
                        taken.push((whole, model.drain(..n.min(model.len())).collect()));
                    }
                    Op::Advance(n) => {
                        queue.advance(n);
                        model.drain(..n.min(model.len()));
                    }
                    Op::Vectored(slots) => {
                        let mut slices = [std::io::IoSlice::new(&[]); 6];
                        let filled = queue.chunks_vectored(&mut slices[..slots]);
                        let gathered: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
                        prop_assert!(slices[..filled].iter().all(|s| !s.is_empty()));
                        prop_assert!(model.starts_with(&gathered));
                        if filled < slots { prop_assert_eq!(gathered.len(), model.len()) }
                    }
                    Op::Clear => {
                        queue.clear();
                        model.clear();
                    }
                    Op::Release => queue.release(),
                }
                if takes { left += (before - model.len()) as u64 }
                prop_assert_eq!(queue.taken(), left);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.is_full(), model.len() >= 10_000);
                prop_assert!(model.starts_with(queue.chunk()));
                prop_assert_eq!(queue.chunk().is_empty(), model.is_empty());
            }
            let rest = queue.copy_to_bytes(queue.len());
            prop_assert_eq!(&rest[..], &model[..]);
            for (bytes, expected) in taken {
                prop_assert_eq!(&bytes[..], &expected[..]);
            }
        }
    }

    #[test]
    fn large_payloads_are_queued_by_reference() {
        let mut queue = SendQueue::new(0);
        let payload = Bytes::from(alloc::vec![1u8; SendQueue::BY_REFERENCE]);
        queue.push(payload.clone());
        assert_eq!(queue.chunk().as_ptr(), payload.as_ptr());
        assert_eq!(queue.pop(usize::MAX).as_ptr(), payload.as_ptr());
    }

    #[test]
    fn small_pieces_leave_as_one() {
        let mut queue = SendQueue::new(1024);
        for _ in 0..10 {
            queue.push(Bytes::from_static(b"0123456789"));
        }
        assert_eq!(queue.chunk().len(), 100);
    }

    #[test]
    fn release_frees_an_empty_queue_and_keeps_a_full_one() {
        let mut queue = SendQueue::new(1024);
        queue.push(Bytes::from(alloc::vec![1; 5000]));
        queue.extend_from_slice(&[1; 300]);
        queue.release();
        assert!(queue.capacity() >= 5300);
        queue.advance(5300);
        assert!(queue.capacity() > 0);
        queue.release();
        assert_eq!(queue.capacity(), 0);
    }
}
