//! The receive path: from ciphertext to plaintext, and through the handshake.

use std::io::{self, BufRead as _, ErrorKind};
use std::mem;
use std::task::{Poll, ready};

use drywire_core::BufMut;
use drywire_driver::Wire;
use rustls::{Connection, InvalidMessage};

use crate::session::Sending;
use crate::{Error, Session};

/// How many bytes are asked of the inner wire at least: one full record with its overhead (RFC 8446, 5.2).
const RECORD: usize = 16 * 1024 + 256 + 5;

/// How many of the peer's first bytes are kept, for an error to show.
const START: usize = 16;

impl Session {
    /// Brings plaintext to `out`, as much of it as is there and as has room. `Ok(0)` is the peer's `close_notify`.
    pub(crate) fn read(&mut self, inner: &mut impl Wire, out: &mut impl BufMut) -> Poll<io::Result<usize>> {
        let room = out.remaining_mut();
        loop {
            let end = self.take(out);
            let taken = room - out.remaining_mut();
            match end {
                // What has come before the end, and before an error, comes first.
                _ if taken == room => return Poll::Ready(Ok(taken)),
                Some(_) if taken > 0 => return Poll::Ready(Ok(taken)),
                Some(end) => return Poll::Ready(end.map(|()| 0)),
                None if taken > 0 && (self.incoming.is_empty() || self.failure.is_some()) => {
                    return Poll::Ready(Ok(taken));
                }
                None => {
                    let handshakes = self.is_handshaking();
                    ready!(self.advance(inner, room))?;
                    if handshakes && !self.is_handshaking() {
                        // A write that waited for this was tried before: the engine has to begin its turn again.
                        return Poll::Ready(Err(ErrorKind::Interrupted.into()));
                    }
                }
            }
        }
    }

    /// Takes the plaintext that is there and has room. `Some` where there is not going to be more.
    fn take(&mut self, out: &mut impl BufMut) -> Option<io::Result<()>> {
        while out.has_remaining_mut() {
            let mut reader = self.tls.reader();
            match reader.fill_buf() {
                Ok([]) => return Some(self.ended().map_err(io::Error::from)),
                Ok(chunk) => {
                    let n = chunk.len().min(out.remaining_mut());
                    out.put_slice(&chunk[..n]);
                    reader.consume(n);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(self.ended().map_err(io::Error::from)),
            }
        }
        None
    }

    /// What the end of the stream means.
    fn ended(&self) -> Result<(), Error> {
        match &self.tls {
            // Somebody who looked whether the port is open.
            Connection::Server(_) if self.start.is_empty() && self.is_handshaking() => Ok(()),
            _ if self.is_handshaking() => Err(Error::EndedInHandshake),
            _ if self.peer_closed => Ok(()),
            _ => Err(Error::Truncated),
        }
    }

    /// Goes on until the connection is secure. What was queued last may be still to write: what the caller sends next
    /// leaves together with it.
    pub(crate) fn handshake(&mut self, inner: &mut impl Wire) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            if self.incoming.is_finished() {
                return Poll::Ready(Err(Error::EndedInHandshake.into()));
            }
            ready!(self.advance(inner, RECORD))?;
        }
        if self.failure.is_some() { self.give_up(inner) } else { Poll::Ready(Ok(())) }
    }

    /// One step: processes what has arrived, and where nothing has, reads.
    fn advance(&mut self, inner: &mut impl Wire, max: usize) -> Poll<io::Result<()>> {
        if self.failure.is_some() {
            return self.give_up(inner);
        }
        if self.incoming.is_empty() {
            // The peer may wait for it. An error is told when there is nothing to read: an answer may have come before.
            if self.sending != Sending::Broken
                && let Poll::Ready(Err(error)) = self.push(inner)
            {
                self.broken = Some(error);
            }
            match inner.read_buf(&mut self.incoming, max.max(RECORD)) {
                Poll::Ready(Ok(0)) => {
                    self.incoming.finish();
                    self.to_drain = 0;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // An idle connection holds no buffer.
                    self.incoming.release();
                    return self.broken.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
                }
            }
        }
        self.process();
        Poll::Ready(Ok(()))
    }

    /// Feeds rustls what has arrived, or the end of the stream.
    fn process(&mut self) {
        if self.tls.is_handshaking() {
            let missing = START - self.start.len();
            self.start.extend(self.incoming.iter().take(missing));
        }
        // It takes as much as it has room for.
        let fed = self.tls.read_tls(&mut &self.incoming[..]);
        // RFC 8446, 6.1: what comes behind close_notify, where it takes nothing, is ignored.
        self.incoming.skip(fed.as_ref().map_or(0, |n| if *n == 0 { usize::MAX } else { *n }));
        // The only error is a handshake message that is too large.
        let fed = fed.map_err(|error| rustls::Error::General(error.to_string()));
        match fed.and_then(|_| self.tls.process_new_packets()) {
            Ok(state) => {
                self.peer_closed = state.peer_has_closed();
                if !self.tls.is_handshaking() {
                    self.start = Vec::new();
                }
            }
            Err(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType))
                if self.tls.is_handshaking() && self.start.first().is_some_and(u8::is_ascii_graphic) =>
            {
                self.failure = Some(Error::NotTls(mem::take(&mut self.start)));
            }
            Err(error) => self.failure = Some(Error::Tls(error)),
        }
    }

    /// Tells the failure, once the peer has been told (RFC 8446, 6.2).
    fn give_up(&mut self, inner: &mut impl Wire) -> Poll<io::Result<()>> {
        // Where the alert cannot be written, the failure is still the reason.
        let _ = ready!(self.push(inner));
        self.drain(inner);
        let failure = self.failure.clone();
        Poll::Ready(failure.map_or(Ok(()), |failure| Err(failure.into())))
    }

    /// Reads what has come and nobody wants. A socket that is closed with unread input sends a reset, and that destroys an
    /// alert which the peer has not read.
    fn drain(&mut self, inner: &mut impl Wire) {
        while self.to_drain > 0 {
            match inner.read(&mut [0; 4096]) {
                Poll::Ready(Ok(n)) if n > 0 => self.to_drain = self.to_drain.saturating_sub(n),
                _ => self.to_drain = 0,
            }
        }
    }
}
