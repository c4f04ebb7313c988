//! The content of a request.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use drywire_core::{Bytes, BytesMut};
use drywire_http::Length;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much is read of a source at a time.
const PIECE: usize = 16 * 1024;

/// The content of a request: nothing, bytes that are there, or what a reader gives.
///
/// Bytes can be sent again, for a redirect or a second try. A reader is read once.
pub struct Content {
    kind: Kind,
}

enum Kind {
    Bytes(Bytes),
    /// `None`: it has been read.
    Reader(Option<Reader>, Length),
}

type Reader = Pin<Box<dyn AsyncRead + Send>>;

impl Content {
    /// What `reader` gives until its end. With [`Length::Known`] it has to be exactly so much, and with
    /// [`Length::Unknown`] it is sent in chunks.
    pub fn reader(reader: impl AsyncRead + Send + 'static, length: Length) -> Self {
        Self { kind: Kind::Reader(Some(Box::pin(reader)), length) }
    }

    pub(super) fn length(&self) -> Length {
        match &self.kind {
            Kind::Bytes(bytes) => Length::Known(bytes.len() as u64),
            Kind::Reader(_, length) => *length,
        }
    }

    pub(super) fn is_replayable(&self) -> bool {
        matches!(self.kind, Kind::Bytes(_))
    }

    /// What one request sends of it: all, or nothing of a reader that an earlier one has taken.
    pub(super) fn source(&mut self) -> Source {
        match &mut self.kind {
            Kind::Bytes(bytes) => Source::Bytes(bytes.clone()),
            Kind::Reader(reader, _) => {
                let held = Bytes::new();
                reader.take().map_or(Source::Ended, |reader| Source::Reader { reader, buffer: BytesMut::new(), held })
            }
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("length", &self.length()).finish_non_exhaustive()
    }
}

impl From<()> for Content {
    fn from((): ()) -> Self {
        Self::from(Bytes::new())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self { kind: Kind::Bytes(bytes) }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

/// Content on its way into a connection.
pub(super) enum Source {
    Bytes(Bytes),
    Reader {
        reader: Reader,
        buffer: BytesMut,
        /// A piece that the connection had no room for.
        held: Bytes,
    },
    /// The end was sent, or nobody wants it any more.
    Ended,
}

impl Source {
    /// The next piece; an empty one is the end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Ended => Poll::Ready(Ok(Bytes::new())),
            Self::Bytes(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            Self::Reader { held, .. } if !held.is_empty() => Poll::Ready(Ok(std::mem::take(held))),
            Self::Reader { reader, buffer, .. } => {
                buffer.reserve(PIECE);
                // A future of one poll: it keeps nothing.
                ready!(pin!(reader.read_buf(buffer)).poll(cx))?;
                Poll::Ready(Ok(buffer.split().freeze()))
            }
        }
    }

    /// Takes a piece back for which there was no room.
    pub(super) fn give_back(&mut self, piece: Bytes) {
        match self {
            Self::Bytes(bytes) => *bytes = piece,
            Self::Reader { held, .. } => *held = piece,
            Self::Ended => {}
        }
    }
}
