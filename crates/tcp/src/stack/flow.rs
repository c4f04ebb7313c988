//! The short way of a packet: packets come in trains, and most of a train is the next piece of one stream.

use core::net::IpAddr;

use super::Stack;
use crate::ip::{self, Protocol};
use crate::segment::checksum::Sum;
use crate::segment::{Checksum, TextSegment};
use crate::slab::Key;

/// The connection of the last segment, by what its next one has in common with that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    key: Key,
    source: IpAddr,
    destination: IpAddr,
    /// The peer's and ours, as they stand in a header.
    ports: [u8; 4],
    /// Of the pseudo-header, but for its length.
    pseudo_header: Sum,
}

impl Flow {
    fn new(key: Key, source: IpAddr, destination: IpAddr, ports: [u8; 4]) -> Self {
        let pseudo_header = Sum::pseudo_header(source, destination, Protocol::TCP);
        Self { key, source, destination, ports, pseudo_header }
    }

    /// The segment in a packet of this flow, if it is one whose checksum is right and that carries text only.
    #[inline]
    fn read<'a>(&self, packet: &'a [u8]) -> Option<(&'a [u8], TextSegment<'a>)> {
        let segment = ip::read_plain(packet, self.source, self.destination)?;
        if segment.first_chunk()? != &self.ports {
            return None;
        }
        Some((segment, TextSegment::read(segment)?))
    }

    fn verifies(&self, segment: &[u8]) -> bool {
        let mut sum = self.pseudo_header;
        sum.add_number(segment.len() as u32);
        sum.add(segment);
        sum.finish() == 0
    }
}

impl Stack {
    /// Remembers the connection for the next packet.
    pub(super) fn follow(&mut self, key: Key, source: IpAddr, destination: IpAddr, segment: &[u8]) {
        if self.flow.is_none_or(|flow| flow.key != key) {
            self.flow = segment.first_chunk().map(|ports| Flow::new(key, source, destination, *ports));
        }
    }

    /// Takes a packet if it is the next piece of the stream that the last one was a piece of. `false` says nothing but that
    /// the long way must be gone.
    #[inline]
    pub(super) fn take_predicted(&mut self, bytes: &[u8], checksum: Checksum) -> bool {
        let Some(flow) = &self.flow else { return false };
        let Some((segment, text)) = flow.read(bytes) else { return false };
        let Some(socket) = self.sockets.get_mut(flow.key) else { return false };
        // The checksum last: it is what costs, and the long way would compute it again.
        if socket.released || !socket.connection.predicts(&text) {
            return false;
        }
        if checksum == Checksum::Unknown && !flow.verifies(segment) {
            return false;
        }
        socket.connection.take_predicted(self.now, &text);
        self.statistics.segments += 1;
        let key = flow.key;
        self.mark_ready(key);
        self.mark_news(key);
        true
    }
}
