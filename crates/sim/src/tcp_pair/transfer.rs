//! What the application at one end of a [`TcpPair`](super::TcpPair) does.

use std::time::Duration;

use drywire_core::{Bytes, Instant, Rng, Seed};
use drywire_tcp::{CloseReason, Connection, Event, SendError};

/// What one end sends, how it reads, and when it closes.
///
/// Whatever the settings, it reads to the end of the peer's stream and compares every byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The number of bytes to send.
    pub send: u64,
    /// The most bytes handed to TCP at once; zero counts as one.
    pub write: usize,
    /// The most bytes read at once; zero counts as one.
    pub read: usize,
    /// The time between two reads. With a pause the receive buffer fills up, and the peer meets a closed window.
    pub pause: Duration,
    /// When the sending direction is closed.
    pub finish: Finish,
}

impl Default for Transfer {
    /// Sends nothing, reads everything at once, and closes right away.
    fn default() -> Self {
        Self { send: 0, write: 64 * 1024, read: usize::MAX, pause: Duration::ZERO, finish: Finish::WhenSent }
    }
}

/// When an end closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// As soon as everything is handed to TCP.
    WhenSent,
    /// Once the peer has closed its direction too, and everything is handed to TCP: the passive end, which may go on
    /// sending in CLOSE-WAIT.
    AfterPeer,
    /// At this time, but not before everything is handed to TCP: two ends that wait for the same moment close at once.
    At(Instant),
    /// Not at all: as soon as everything is handed to TCP, the connection is aborted.
    Abort,
}

/// The bytes of one direction: random, and known at every offset, so that no copy of what was sent has to be kept.
#[derive(Clone, Debug)]
pub(super) struct Content(Bytes);

impl Content {
    /// A prime, so that no segment size or buffer size divides it, and shifted data never looks right.
    const PERIOD: usize = 65_521;

    pub(super) fn new(seed: &Seed) -> Self {
        let mut bytes = vec![0; Self::PERIOD];
        Rng::new(seed).fill(&mut bytes);
        Self(bytes.into())
    }

    /// Up to `max` bytes that stand at `offset`.
    fn at(&self, offset: u64, max: usize) -> Bytes {
        let start = (offset % Self::PERIOD as u64) as usize;
        self.0.slice(start..Self::PERIOD.min(start.saturating_add(max)))
    }

    /// Whether `bytes` stand at `offset`, or the offset of the first that does not.
    fn check(&self, mut offset: u64, mut bytes: &[u8]) -> Result<(), u64> {
        while !bytes.is_empty() {
            let expected = self.at(offset, bytes.len());
            let (now, behind) = bytes.split_at(expected.len());
            if now != expected {
                let good = now.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                return Err(offset + good as u64);
            }
            offset += now.len() as u64;
            bytes = behind;
        }
        Ok(())
    }
}

/// One end: a connection, and how far its application has come.
#[derive(Debug)]
pub(super) struct End {
    pub(super) connection: Connection,
    pub(super) closed: Option<CloseReason>,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// When the peer's last byte, and the end of its stream, were read.
    pub(super) received_all: Option<Instant>,
    transfer: Transfer,
    outgoing: Content,
    incoming: Content,
    established: bool,
    finished: bool,
    next_read: Instant,
}

impl End {
    pub(super) fn new(connection: Connection, transfer: Transfer, outgoing: Content, incoming: Content) -> Self {
        Self {
            connection,
            closed: None,
            sent: 0,
            received: 0,
            received_all: None,
            transfer,
            outgoing,
            incoming,
            established: false,
            finished: false,
            next_read: Instant::ORIGIN,
        }
    }

    /// Does what the application can do now; an error is the offset of a wrong byte.
    pub(super) fn act(&mut self, now: Instant) -> Result<(), u64> {
        self.note_events();
        // Reading comes first: whether the peer has ended shows only behind its last byte.
        self.read(now)?;
        if self.established && self.closed.is_none() {
            self.write();
            self.finish(now);
            self.note_events();
        }
        Ok(())
    }

    fn note_events(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Established => self.established = true,
                Event::Closed(reason) => self.closed = Some(reason),
                // The end of the stream stands in the receive buffer.
                _ => {}
            }
        }
    }

    /// When the application will act by itself.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let read = (!self.connection.recv().is_empty()).then_some(self.next_read);
        let may_finish = self.established && !self.finished && self.closed.is_none() && self.sent == self.transfer.send;
        let finish = match self.transfer.finish {
            Finish::At(at) if may_finish => Some(at),
            _ => None,
        };
        [read, finish].into_iter().flatten().min()
    }

    fn write(&mut self) {
        while self.sent < self.transfer.send && !self.finished {
            let left = usize::try_from(self.transfer.send - self.sent).unwrap_or(usize::MAX);
            let max = left.min(self.transfer.write.max(1)).min(self.connection.send_room());
            let bytes = self.outgoing.at(self.sent, max);
            let n = bytes.len() as u64;
            if n == 0 {
                return;
            }
            match self.connection.send(bytes) {
                Ok(()) => self.sent += n,
                Err(SendError::Full(_) | SendError::NotConnected(_) | SendError::Closed(_) | _) => return,
            }
        }
    }

    fn finish(&mut self, now: Instant) {
        if self.finished || self.sent < self.transfer.send {
            return;
        }
        self.finished = match self.transfer.finish {
            Finish::WhenSent | Finish::Abort => true,
            Finish::AfterPeer => self.connection.recv().is_finished(),
            Finish::At(at) => at <= now,
        };
        match self.transfer.finish {
            _ if !self.finished => {}
            Finish::Abort => self.connection.abort(),
            _ => self.connection.shutdown(),
        }
    }

    fn read(&mut self, now: Instant) -> Result<(), u64> {
        let Self { transfer, incoming, .. } = self;
        let recv = self.connection.recv();
        while !recv.is_empty() && self.next_read <= now {
            let n = recv.len().min(transfer.read.max(1));
            incoming.check(self.received, &recv[..n])?;
            recv.skip(n);
            self.received += n as u64;
            self.next_read = now + transfer.pause;
        }
        if recv.is_finished() && self.received_all.is_none() {
            self.received_all = Some(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_known_at_every_offset() {
        let content = Content::new(&Seed::from(1));
        let mut stream = Vec::new();
        while stream.len() < 200_000 {
            stream.extend_from_slice(&content.at(stream.len() as u64, 40_000));
        }
        assert_eq!(content.check(0, &stream), Ok(()));
        assert_eq!(content.check(70_000, &stream[70_000..]), Ok(()));
        stream[150_000] ^= 1;
        assert_eq!(content.check(10, &stream[10..]), Err(150_000));
        assert!(content.check(0, &stream[1..]).is_err());
    }
}
