//! What both sides have in common: a host with one connection, and its application.

use bytes::Bytes;
use drywire_core::Instant;

use crate::wire::Wire;

/// One host with one connection to another one.
pub(crate) trait Host: Sized {
    /// A client that connects and a server that listens. `buffer` bytes is the size of each receive and send buffer.
    fn pair(buffer: usize) -> (Self, Self);

    /// Handles what has arrived and what is due. Answers that cannot wait go to `outbox`.
    fn ingress(&mut self, now: Instant, inbox: &mut Wire, outbox: &mut Wire);

    /// Puts everything that may leave into `outbox`.
    fn egress(&mut self, now: Instant, outbox: &mut Wire);

    /// When something is due, if nothing else happens before.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;

    /// Queues as much of `source` as there is room for.
    fn send(&mut self, source: &mut Source);

    /// Gives everything that has arrived to `sink`.
    fn recv(&mut self, sink: &mut Sink);
}

/// The bytes that the application sends: a block again and again.
pub(crate) struct Source {
    pub(crate) block: Bytes,
    pub(crate) left: u64,
    offset: usize,
}

/// The block is as long as what a program reads from a file at a time.
const BLOCK: usize = 64 * 1024;

fn block() -> Bytes {
    (0..BLOCK as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into()
}

impl Source {
    pub(crate) fn new(left: u64) -> Self {
        Self { block: block(), left, offset: 0 }
    }

    /// The next bytes, `most` at most.
    pub(crate) fn next(&mut self, most: usize) -> Bytes {
        let len = most.min(BLOCK - self.offset).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.block.slice(self.offset..self.offset + len)
    }

    /// So many bytes of [`next`](Self::next) were taken.
    pub(crate) fn advance(&mut self, n: usize) {
        self.offset = (self.offset + n) % BLOCK;
        self.left -= n as u64;
    }
}

/// The application that receives: it counts, and at the beginning compares.
pub(crate) struct Sink {
    block: Bytes,
    verify: u64,
    pub(crate) received: u64,
}

impl Sink {
    /// Compares the first `verify` bytes with what was sent.
    pub(crate) fn new(verify: u64) -> Self {
        Self { block: block(), verify, received: 0 }
    }

    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while self.received < self.verify && !bytes.is_empty() {
            let at = (self.received % BLOCK as u64) as usize;
            let n = bytes.len().min(BLOCK - at);
            assert!(bytes[..n] == self.block[at..at + n], "other bytes have arrived than were sent");
            self.received += n as u64;
            bytes = &bytes[n..];
        }
        self.received += bytes.len() as u64;
    }
}
