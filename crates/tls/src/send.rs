//! The send path: from plaintext to ciphertext, and the end of the direction.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::task::{Poll, ready};

use drywire_driver::Wire;

use crate::session::Sending;
use crate::{Error, Session};

/// How much plaintext may wait in encrypted form before no more is taken until all of it is written. Half of rustls's
/// limit: at the limit a slow peer would make room byte by byte, and each byte would become a record of its own.
const HELD: usize = 32 * 1024;

impl Session {
    /// Encrypts from `pieces` and keeps the result, up to rustls's limit of 64 KiB: [`push`](Self::push) writes it.
    pub(crate) fn write(&mut self, inner: &mut impl Wire, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.handshake(inner))?;
        if self.sending != Sending::Open {
            ready!(self.push(inner))?;
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        loop {
            if self.held >= HELD {
                ready!(self.push(inner))?;
            }
            let n = self.tls.writer().write_vectored(pieces)?;
            if n > 0 {
                self.held += n;
                return Poll::Ready(Ok(n));
            }
            ready!(self.push(inner))?;
        }
    }

    /// Writes and flushes everything, also what the handshake still has.
    pub(crate) fn flush(&mut self, inner: &mut impl Wire) -> Poll<io::Result<()>> {
        ready!(self.handshake(inner))?;
        self.push(inner)
    }

    /// Ends the sending direction: `close_notify` (RFC 8446, 6.1), and behind it the inner wire's end. It is said under
    /// the connection's keys, so the handshake comes first.
    pub(crate) fn shutdown_write(&mut self, inner: &mut impl Wire) -> Poll<io::Result<()>> {
        if self.sending == Sending::Open {
            match ready!(self.handshake(inner)) {
                Ok(()) => self.tls.send_close_notify(),
                // There is nothing secure to end, and it was said.
                Err(error) if Error::of(&error).is_some() => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.sending = Sending::Closing;
        }
        ready!(self.push(inner))?;
        if self.sending != Sending::Ended {
            ready!(inner.shutdown_write())?;
            self.sending = Sending::Ended;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what there is for the peer, and flushes it. Behind the end of the direction there is nothing more.
    pub(crate) fn push(&mut self, inner: &mut impl Wire) -> Poll<io::Result<()>> {
        while matches!(self.sending, Sending::Open | Sending::Closing) {
            match ready!(self.push_once(inner)) {
                Ok(true) => {}
                Ok(false) => {
                    self.held = 0;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.sending = Sending::Broken;
                    self.broken = Some(error);
                }
            }
        }
        Poll::Ready(match self.sending {
            Sending::Broken => Err(self.broken.take().unwrap_or_else(|| ErrorKind::BrokenPipe.into())),
            _ => Ok(()),
        })
    }

    /// Writes or flushes once; returns whether there was anything to do.
    fn push_once(&mut self, inner: &mut impl Wire) -> Poll<io::Result<bool>> {
        let n = match self.in_plain() {
            Some(rest) if !rest.is_empty() => {
                let n = ready!(inner.write_vectored(&[IoSlice::new(rest)]))?;
                self.plain_answer = self.plain_answer.take().map(|rest| rest.slice(n.min(rest.len())..));
                n
            }
            None if self.tls.wants_write() => {
                let mut out = Outgoing { wire: inner, is_pending: false };
                match self.tls.write_tls(&mut out) {
                    Err(_) if out.is_pending => return Poll::Pending,
                    result => result?,
                }
            }
            _ if self.unflushed => {
                ready!(inner.flush())?;
                self.unflushed = false;
                return Poll::Ready(Ok(true));
            }
            _ => return Poll::Ready(Ok(false)),
        };
        self.unflushed = true;
        Poll::Ready(if n > 0 { Ok(true) } else { Err(ErrorKind::WriteZero.into()) })
    }
}

/// A wire as rustls writes to it.
struct Outgoing<'a, W> {
    wire: &'a mut W,
    is_pending: bool,
}

impl<W: Wire> Write for Outgoing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.wire.write_vectored(pieces) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                self.is_pending = true;
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
