//! TLS as a wire.

use std::io::{self, IoSlice};
use std::task::Poll;

use drywire_core::{BufMut, Instant, RecvBuf};
use drywire_driver::{Layer, Wire};

use crate::Session;

/// A [`Session`] over a wire, for one turn. [`Session::wire`] makes it.
///
/// Beside what [`Wire`] promises:
///
/// - The handshake begins with the first call, whichever it is, and no call returns before it has what it needs of it.
/// - A read that completes the handshake is [`Interrupted`](io::ErrorKind::Interrupted), once: a write may have waited for
///   that, and is to be tried again.
/// - A write fills at most 64 KiB, and `flush` writes them.
/// - The end of the stream is the peer's `close_notify`. Without one it is
///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) ([`Error::Truncated`](crate::Error::Truncated)).
/// - Every other error of TLS is [`InvalidData`](io::ErrorKind::InvalidData), comes once the alert for it is written,
///   and is repeated by later calls.
#[derive(Debug)]
pub struct TlsWire<'s, 'w, W> {
    pub(crate) session: &'s mut Session,
    pub(crate) inner: &'w mut W,
}

impl<W: Wire> TlsWire<'_, '_, W> {
    /// Goes on until the connection is secure, and everything of the handshake is written.
    ///
    /// Nobody has to call it: reads and writes begin with it. It is for who wants to know before there is anything to
    /// send.
    pub fn poll_handshake(&mut self) -> Poll<io::Result<()>> {
        self.session.flush(self.inner)
    }

    /// Reads to where there is room. `Ok(0)` is the end of the stream.
    pub fn read_to(&mut self, out: &mut impl BufMut) -> Poll<io::Result<usize>> {
        self.session.read(self.inner, out)
    }
}

impl Layer for Session {
    fn wire<W: Wire>(&mut self, socket: &mut W) -> impl Wire {
        Self::wire(self, socket)
    }
}

impl<W: Wire> Wire for TlsWire<'_, '_, W> {
    fn read(&mut self, mut room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.session.read(self.inner, &mut room)
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        self.session.read(self.inner, &mut recv.spare(max))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.session.write(self.inner, pieces)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        self.session.flush(self.inner)
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        self.session.shutdown_write(self.inner)
    }

    fn abort(&mut self) {
        self.inner.abort();
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn take_woken(&mut self) -> bool {
        self.inner.take_woken()
    }
}
