//! Received bytes on their way from the transport to the machine.

use core::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes that a transport has delivered and the machine has not yet consumed, with the end of the stream.
///
/// The driver owns it. It grows only at the back (by the driver) and only the machine takes from the front. The end
/// of the stream travels with the bytes, so it can never overtake them. When one protocol follows another on the
/// same connection, the bytes that the first left over are simply still here.
///
/// It dereferences to the slice of unconsumed bytes, which the machine may change in place, for example to unmask them.
///
/// ```
/// use drywire_core::RecvBuf;
///
/// let mut recv = RecvBuf::new();
/// recv.extend_from_slice(b"GET / HTTP/1.1");
/// let method = recv.take(3);
/// assert_eq!(&method[..], b"GET");
/// assert_eq!(&recv[..], b" / HTTP/1.1");
/// ```
/// Two buffers are equal if they hold the same bytes and both have the same end of the stream or neither has one.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RecvBuf {
    bytes: BytesMut,
    end_of_stream: bool,
    truncated: bool,
}

impl RecvBuf {
    /// An empty buffer. Allocates nothing until bytes arrive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the first `n` bytes (or all, if there are fewer) without a copy.
    ///
    /// The result keeps the underlying allocation alive; use [`take_copied`](Self::take_copied) for a few bytes that
    /// are kept for long.
    #[inline]
    pub fn take(&mut self, n: usize) -> Bytes {
        let n = n.min(self.bytes.len());
        self.bytes.split_to(n).freeze()
    }

    /// Takes the first `n` bytes (or all, if there are fewer) into an allocation of their own size.
    ///
    /// For a few hundred bytes that costs less than the two atomic operations by which a part of a shared buffer comes
    /// and goes, and it does not keep the buffer alive.
    #[inline]
    pub fn take_copied(&mut self, n: usize) -> Bytes {
        let n = n.min(self.bytes.len());
        let copy = Bytes::copy_from_slice(&self.bytes[..n]);
        self.bytes.advance(n);
        copy
    }

    /// Takes the first `n` bytes (or all, if there are fewer) without a copy and leaves them writable, for example
    /// to unmask them in place.
    #[inline]
    pub fn take_mut(&mut self, n: usize) -> BytesMut {
        let n = n.min(self.bytes.len());
        self.bytes.split_to(n)
    }

    /// Drops the first `n` bytes (or all, if there are fewer).
    #[inline]
    pub fn skip(&mut self, n: usize) {
        self.bytes.advance(n.min(self.bytes.len()));
    }

    /// Whether the peer has ended its direction. Bytes may still be here.
    pub fn is_end_of_stream(&self) -> bool {
        self.end_of_stream
    }

    /// Whether the peer has ended its direction and every byte has been taken.
    pub fn is_finished(&self) -> bool {
        self.end_of_stream && self.bytes.is_empty()
    }

    /// Marks the end of the stream. Bytes that are appended afterwards are dropped, as a transport has none.
    pub fn finish(&mut self) {
        self.end_of_stream = true;
    }

    /// Whether the end of the stream is not the peer's word: TLS without `close_notify`, which somebody in between may
    /// have cut (RFC 8446, 6.1). Whatever is whole by its own framing is whole; what the end itself delimits is not.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Marks an end of the stream that is not the peer's word.
    pub fn finish_truncated(&mut self) {
        // The end comes once.
        self.truncated |= !self.end_of_stream;
        self.end_of_stream = true;
    }

    /// Appends a copy of `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.end_of_stream {
            return;
        }
        if self.bytes.capacity() == 0 {
            // Costs less than to grow an empty one.
            self.bytes = BytesMut::from(bytes);
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Appends `bytes`, without a copy where this buffer is empty and `bytes` has no other owner.
    pub fn push(&mut self, bytes: Bytes) {
        if self.end_of_stream {
            return;
        }
        if self.bytes.is_empty() {
            match bytes.try_into_mut() {
                Ok(whole) => self.bytes = whole,
                Err(shared) => self.bytes.extend_from_slice(&shared),
            }
        } else {
            self.bytes.extend_from_slice(&bytes);
        }
    }

    /// Room for at most `max` bytes at the back, to be written by an asynchronous read (`read_buf`).
    pub fn spare(&mut self, max: usize) -> impl BufMut + '_ {
        let max = if self.end_of_stream { 0 } else { max };
        self.bytes.reserve(max);
        (&mut self.bytes).limit(max)
    }

    /// Lets `read` fill up to `max` bytes at the back and keeps as many as it says it wrote.
    ///
    /// An error of `read` is returned as it is, and nothing is kept. A count of zero marks nothing: whether it means
    /// the end of the stream is for the driver to say, with [`finish`](Self::finish).
    pub fn fill_with<E>(&mut self, max: usize, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        let max = if self.end_of_stream { 0 } else { max };
        let kept = self.bytes.len();
        self.bytes.resize(kept + max, 0);
        let result = read(&mut self.bytes[kept..]).map(|n| n.min(max));
        self.bytes.truncate(kept + *result.as_ref().unwrap_or(&0));
        result
    }

    /// How many bytes of storage it holds: those not yet consumed, and the room behind them.
    ///
    /// What was taken is not counted, although the taken bytes may keep the same allocation alive.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives the storage back when no byte is held, so that an idle connection holds no buffer.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

impl core::ops::Deref for RecvBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl core::ops::DerefMut for RecvBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for RecvBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvBuf")
            .field("len", &self.bytes.len())
            .field("end_of_stream", &self.end_of_stream)
            .field("truncated", &self.truncated)
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
        Extend(Vec<u8>),
        Push(Vec<u8>, bool),
        Spare(Vec<u8>, usize),
        Fill(Vec<u8>, usize),
        FillFails(usize),
        Take(usize),
        TakeCopied(usize),
        TakeMut(usize),
        Skip(usize),
        Finish,
        Release,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..48);
        let op = prop_oneof![
            4 => bytes().prop_map(Op::Extend),
            4 => (bytes(), any::<bool>()).prop_map(|(b, shared)| Op::Push(b, shared)),
            2 => (bytes(), 0..64usize).prop_map(|(b, n)| Op::Spare(b, n)),
            2 => (bytes(), 0..64usize).prop_map(|(b, n)| Op::Fill(b, n)),
            1 => (0..64usize).prop_map(Op::FillFails),
            4 => (0..64usize).prop_map(Op::Take),
            2 => (0..64usize).prop_map(Op::TakeCopied),
            2 => (0..64usize).prop_map(Op::TakeMut),
            2 => (0..64usize).prop_map(Op::Skip),
            1 => Just(Op::Release),
        ];
        // The end comes at most once, so that most of a run is spent before it.
        (prop::collection::vec(op, 0..64), prop::option::of(0..64usize)).prop_map(|(mut ops, end)| {
            if let Some(at) = end {
                ops.insert(at.min(ops.len()), Op::Finish);
            }
            ops
        })
    }

    proptest! {
        #[test]
        fn behaves_as_a_vec_with_an_end(ops in ops()) {
            let mut recv = RecvBuf::new();
            let (mut model, mut ended) = (Vec::<u8>::new(), false);
            // Everything taken stays alive to the end, so that no later write may show through it.
            let mut taken: Vec<(Bytes, Vec<u8>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Extend(b) => {
                        recv.extend_from_slice(&b);
                        if !ended { model.extend(b) }
                    }
                    Op::Push(b, shared) => {
                        let bytes = Bytes::from(b.clone());
                        let other = shared.then(|| bytes.clone());
                        recv.push(bytes);
                        taken.extend(other.map(|o| (o, b.clone())));
                        if !ended { model.extend(b) }
                    }
                    Op::Spare(b, max) => {
                        let mut spare = recv.spare(max);
                        let n = b.len().min(spare.remaining_mut());
                        prop_assert!(spare.remaining_mut() <= max);
                        spare.put_slice(&b[..n]);
                        drop(spare);
                        if !ended { prop_assert_eq!(n, b.len().min(max)) }
                        model.extend(&b[..n]);
                    }
                    Op::Fill(b, max) => {
                        let n = recv.fill_with(max, |room| {
                            let n = b.len().min(room.len());
                            room[..n].copy_from_slice(&b[..n]);
                            Ok::<_, ()>(n)
                        }).unwrap();
                        model.extend(&b[..n]);
                    }
                    Op::FillFails(max) => {
                        let result = recv.fill_with(max, |room| { room.fill(0xff); Err::<usize, _>(7) });
                        prop_assert_eq!(result, Err(7));
                    }
                    Op::Take(n) => {
                        let n = n.min(model.len());
                        taken.push((recv.take(n), model.drain(..n).collect()));
                    }
                    Op::TakeCopied(n) => {
                        let n = n.min(model.len());
                        taken.push((recv.take_copied(n), model.drain(..n).collect()));
                    }
                    Op::TakeMut(n) => {
                        let mut bytes = recv.take_mut(n);
                        let n = n.min(model.len());
                        bytes.iter_mut().for_each(|b| *b ^= 0x55);
                        taken.push((bytes.freeze(), model.drain(..n).map(|b| b ^ 0x55).collect()));
                    }
                    Op::Skip(n) => {
                        recv.skip(n);
                        model.drain(..n.min(model.len()));
                    }
                    Op::Finish => {
                        recv.finish();
                        ended = true;
                    }
                    Op::Release => recv.release(),
                }
                prop_assert_eq!(&recv[..], &model[..]);
                prop_assert_eq!(recv.is_end_of_stream(), ended);
                prop_assert_eq!(recv.is_finished(), ended && model.is_empty());
            }
            for (bytes, expected) in taken {
                prop_assert_eq!(&bytes[..], &expected[..]);
            }
        }
    }

    #[test]
    fn an_end_is_the_peers_word_or_it_is_not_and_stays_what_it_was() {
        let mut cut = RecvBuf::new();
        cut.finish_truncated();
        assert!(cut.is_finished() && cut.is_truncated());
        let mut whole = RecvBuf::new();
        whole.finish();
        whole.finish_truncated();
        assert!(whole.is_finished() && !whole.is_truncated());
        cut.finish();
        assert!(cut.is_truncated());
        assert_ne!(cut, whole);
    }

    #[test]
    fn release_frees_an_empty_buffer_and_keeps_a_full_one() {
        let mut recv = RecvBuf::new();
        recv.extend_from_slice(&[7; 4096]);
        recv.skip(4095);
        recv.release();
        assert_eq!(&recv[..], [7]);
        assert!(recv.capacity() >= 1);
        recv.skip(1);
        recv.release();
        assert_eq!(recv.capacity(), 0);
    }

    #[test]
    fn push_adopts_an_allocation_that_nobody_shares() {
        let mut recv = RecvBuf::new();
        let bytes = Bytes::from(alloc::vec![1u8; 4096]);
        let address = bytes.as_ptr();
        recv.push(bytes);
        assert_eq!(recv.as_ptr(), address);
    }
}
