//! IP packets in memory.

use std::collections::VecDeque;

use bytes::BytesMut;

/// A queue of packets in one direction, whose buffers are used again: after the first round trip neither side allocates
/// for packets.
#[derive(Default)]
pub(crate) struct Wire {
    queue: VecDeque<Train>,
    spare: Vec<BytesMut>,
    pub(crate) packets: u64,
}

/// Packets in one buffer, one behind the other, as whoever sent them has handed them over.
pub(crate) struct Train {
    pub(crate) bytes: BytesMut,
    /// The length of each packet but the last, which may be shorter.
    each: usize,
}

impl Train {
    pub(crate) fn packets(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bytes.chunks(self.each)
    }
}

/// No packet is longer, however many travel together.
const MTU: usize = 1500;

impl Wire {
    /// A buffer to write a packet to, with whatever an earlier one has left in it.
    pub(crate) fn buffer(&mut self) -> BytesMut {
        self.spare.pop().unwrap_or_else(|| BytesMut::with_capacity(2048))
    }

    /// Takes one packet.
    pub(crate) fn push(&mut self, packet: BytesMut) {
        let each = packet.len();
        self.push_train(packet, each);
    }

    /// Takes packets of `each` bytes, the last of which may be shorter.
    pub(crate) fn push_train(&mut self, bytes: BytesMut, each: usize) {
        assert!(each <= MTU, "a packet is longer than the MTU");
        let train = Train { bytes, each };
        self.packets += train.packets().len() as u64;
        self.queue.push_back(train);
    }

    pub(crate) fn pop(&mut self) -> Option<Train> {
        self.queue.pop_front()
    }

    pub(crate) fn recycle(&mut self, packet: BytesMut) {
        self.spare.push(packet);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
