//! The content of a request.

use std::fmt;
use std::io::{self, Read};

use drywire_core::Bytes;
use drywire_http::Length;

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

type Reader = Box<dyn Read + Send>;

impl Content {
    /// What `reader` gives until its end. With [`Length::Known`] it has to be exactly so much, and with
    /// [`Length::Unknown`] it is sent in chunks.
    ///
    /// While the reader waits, the connection does too: a response that comes early is seen between two pieces.
    pub fn reader(reader: impl Read + Send + 'static, length: Length) -> Self {
        Self { kind: Kind::Reader(Some(Box::new(reader)), length) }
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
                reader.take().map_or(Source::Ended, |reader| Source::Reader { reader, held: Bytes::new() })
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
        /// A piece that the connection had no room for.
        held: Bytes,
    },
    /// The end was sent, or nobody wants it any more.
    Ended,
}

impl Source {
    /// The next piece; an empty one is the end.
    pub(super) fn piece(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Ended => Ok(Bytes::new()),
            Self::Bytes(bytes) => Ok(std::mem::take(bytes)),
            Self::Reader { held, .. } if !held.is_empty() => Ok(std::mem::take(held)),
            Self::Reader { reader, .. } => {
                let mut piece = vec![0; PIECE];
                loop {
                    match reader.read(&mut piece) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => {
                            piece.truncate(result?);
                            return Ok(piece.into());
                        }
                    }
                }
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
