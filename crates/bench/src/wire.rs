//! IP packets in memory.

use std::collections::VecDeque;

use bytes::BytesMut;

/// A queue of packets in one direction, whose buffers are used again: after the first round trip neither side allocates
/// for packets.
#[derive(Default)]
pub(crate) struct Wire {
    queue: VecDeque<BytesMut>,
    pub(crate) spare: Vec<BytesMut>,
    pub(crate) packets: u64,
}

impl Wire {
    /// A buffer to write a packet to, with whatever an earlier one has left in it.
    pub(crate) fn buffer(&mut self) -> BytesMut {
        self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(2048))
    }

    pub(crate) fn push(&mut self, packet: BytesMut) {
        self.packets += 1;
        self.queue.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<BytesMut> {
        self.queue.pop_front()
    }

    pub(crate) fn recycle(&mut self, packet: BytesMut) {
        self.spare.push(packet);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
