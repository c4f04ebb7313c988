//! A non-blocking socket, as an engine sees it for one turn.

use std::io::{self, ErrorKind, IoSlice};
use std::task::Poll;

use drywire_core::{Instant, RecvBuf};
use drywire_driver::Wire;

use super::poller::{Readiness, Stream};

/// How many calls of the system a connection makes before it is the next one's turn.
const CALLS: u8 = 16;

/// What is known of a socket without asking the system.
#[derive(Debug)]
pub(super) struct Known {
    /// Until it is connected every call is pending.
    pub(super) connected: bool,
    /// A read, or a write, is not known to block.
    readable: bool,
    writable: bool,
    /// There will be no more edges for reading.
    ended: bool,
    /// How many calls of this visit are left.
    calls: u8,
    /// A call was put off to the next visit.
    put_off: bool,
    /// Somebody has woken the connection.
    pub(super) woken: bool,
}

impl Known {
    /// A socket that has just begun to be watched. What it has to read is told as an edge, and how
    /// an attempt to connect ends; writing to a new connection is worth an attempt.
    pub(super) fn new(connected: bool) -> Self {
        Self { connected, readable: false, writable: true, ended: false, calls: CALLS, put_off: false, woken: false }
    }

    /// What the poller has told.
    pub(super) fn tell(&mut self, ready: Readiness) {
        self.readable |= ready.read;
        self.writable |= ready.write;
        self.ended |= ready.ended;
    }

    /// Whether an attempt to connect may have ended, since the last call.
    pub(super) fn take_writable(&mut self) -> bool {
        std::mem::take(&mut self.writable)
    }

    /// The attempt to connect has succeeded.
    pub(super) fn connect(&mut self) {
        (self.connected, self.writable) = (true, true);
    }

    /// The visit is over. Returns whether it ended only because others wait, and the connection could go on.
    pub(super) fn end_visit(&mut self) -> bool {
        self.calls = CALLS;
        std::mem::take(&mut self.put_off)
    }

    /// Whether a call is worth its while now.
    fn may(&mut self, ready: bool) -> bool {
        let now = self.connected && ready;
        self.put_off |= now && self.calls == 0;
        let now = now && self.calls > 0;
        self.calls -= u8::from(now);
        now
    }
}

/// A socket for one turn.
pub(super) struct StreamWire<'a, S> {
    pub(super) stream: &'a mut S,
    pub(super) known: &'a mut Known,
    /// What reads are made into: one for all connections, so that none is cleared or kept for the next bytes.
    pub(super) scratch: &'a mut [u8],
    pub(super) now: Instant,
}

/// Reads into `room` unless that would surely block.
fn read<S: Stream>(stream: &mut S, known: &mut Known, room: &mut [u8]) -> Poll<io::Result<usize>> {
    if !known.may(known.readable) {
        return Poll::Pending;
    }
    let result = stream.read(room);
    match &result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            known.readable = false;
            return Poll::Pending;
        }
        // Everything that was there. An end of the stream that is there already gives no further edge.
        Ok(n) if S::SHORT_IS_BLOCKED && *n < room.len() => known.readable = known.ended,
        _ => {}
    }
    Poll::Ready(result)
}

impl<S: Stream> Wire for StreamWire<'_, S> {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        read(self.stream, self.known, room)
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        let max = max.min(self.scratch.len());
        let result = read(self.stream, self.known, &mut self.scratch[..max]);
        if let Poll::Ready(Ok(n)) = result {
            recv.extend_from_slice(&self.scratch[..n]);
        }
        result
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if !self.known.may(self.known.writable) {
            return Poll::Pending;
        }
        let result = self.stream.write_vectored(pieces);
        match &result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.known.writable = false;
                return Poll::Pending;
            }
            Ok(n) if S::SHORT_IS_BLOCKED => {
                let all: usize = pieces.iter().map(|piece| piece.len()).sum();
                self.known.writable = *n == all;
            }
            _ => {}
        }
        Poll::Ready(result)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        if !self.known.connected {
            return Poll::Pending;
        }
        match self.stream.shutdown_write() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn abort(&mut self) {
        self.stream.abort();
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.known.woken)
    }
}
