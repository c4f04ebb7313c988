//! What is ready to leave and belongs to no connection: answers, one behind the other.

use alloc::collections::VecDeque;

use bytes::{Buf, BytesMut};

use crate::Transmit;

/// A bounded queue of whole segments or packets, in one buffer.
#[derive(Debug)]
pub(crate) struct Outbox {
    bytes: BytesMut,
    queue: VecDeque<Transmit>,
    max: usize,
}

impl Outbox {
    /// Room for `max` entries.
    pub(crate) fn new(max: usize) -> Self {
        Self { bytes: BytesMut::new(), queue: VecDeque::new(), max }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.max
    }

    /// Appends what `write` appends to the buffer, unless it appends nothing or there is no room. Returns whether there
    /// was room.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut BytesMut) -> Option<Transmit>) -> bool {
        if self.is_full() {
            return false;
        }
        if let Some(transmit) = write(&mut self.bytes) {
            self.queue.push_back(transmit);
        }
        true
    }

    /// Moves the first entry to `out`.
    pub(crate) fn pop(&mut self, out: &mut BytesMut) -> Option<Transmit> {
        let transmit = self.queue.pop_front()?;
        let len = transmit.len.min(self.bytes.len());
        out.extend_from_slice(&self.bytes[..len]);
        self.bytes.advance(len);
        if self.queue.is_empty() {
            // Law 3: nothing is held for what has left.
            (self.bytes, self.queue) = (BytesMut::new(), VecDeque::new());
        }
        Some(transmit)
    }
}
