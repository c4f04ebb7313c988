//! Finds the end of the content that arrives.

use bytes::Bytes;
use drywire_core::RecvBuf;

use super::chunked::Chunked;
use crate::head::facts::Framing;
use crate::{Error, Lenient, Trailers};

/// Pieces up to this size are copied out of the receive buffer, all of which a few bytes would else keep alive; and
/// chunks up to this size are joined, since an event for each would cost more than the copy.
pub(super) const COPIED: usize = 2048;

/// Limits on content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of content in one message.
    pub(crate) content: u64,
    /// Bytes of one chunk line.
    pub(crate) chunk_line: usize,
    /// Bytes in the chunk lines of one message that say nothing about a size.
    pub(crate) chunk_extensions: u64,
    /// How many more of them each KiB of content allows.
    pub(crate) chunk_extension_rate: u64,
    /// Bytes of the trailer section.
    pub(crate) trailers: usize,
    /// Field lines of the trailer section.
    pub(crate) trailer_fields: usize,
    pub(crate) lenient: Lenient,
}

/// The content of the message that is arriving.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

pub(crate) enum Step {
    Content(Bytes),
    End {
        trailers: Trailers,
        /// Trailer fields that are not among them, because they do not belong there.
        dropped: usize,
    },
    /// More input is needed.
    Blocked,
}

impl Step {
    /// The end of content that has no trailers.
    pub(crate) fn end() -> Self {
        Self::End { trailers: Trailers::default(), dropped: 0 }
    }
}

impl Decoder {
    /// `None` where there is no content.
    pub(crate) fn new(framing: Framing, limits: &Limits) -> Result<Option<Self>, Error> {
        match framing {
            Framing::Length(0) => Ok(None),
            Framing::Length(length) if length > limits.content => Err(Error::ContentTooLarge),
            Framing::Length(length) => Ok(Some(Self::Length(length))),
            Framing::Chunked => Ok(Some(Self::Chunked(Chunked::default()))),
            Framing::UntilClose => Ok(Some(Self::UntilClose)),
        }
    }

    /// Takes the next piece. The end of the stream inside a message is for the caller to judge.
    pub(crate) fn decode(&mut self, recv: &mut RecvBuf, limits: &Limits) -> Result<Step, Error> {
        match self {
            Self::Length(0) => Ok(Step::end()),
            Self::Length(missing) => Ok(take(missing, recv).map_or(Step::Blocked, Step::Content)),
            Self::Chunked(chunked) => chunked.decode(recv, limits),
            Self::UntilClose if !recv.is_empty() => Ok(Step::Content(piece(recv, usize::MAX))),
            // RFC 9112, 9.8: such content is whole only if the close is the server's word.
            Self::UntilClose if recv.is_end_of_stream() && !recv.is_truncated() => Ok(Step::end()),
            Self::UntilClose => Ok(Step::Blocked),
        }
    }

    /// Bytes that are still to come, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self {
            Self::Length(missing) => Some(*missing),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

/// Takes what is there of `missing` bytes.
pub(super) fn take(missing: &mut u64, recv: &mut RecvBuf) -> Option<Bytes> {
    if recv.is_empty() {
        return None;
    }
    let piece = piece(recv, usize::try_from(*missing).unwrap_or(usize::MAX));
    *missing -= piece.len() as u64;
    Some(piece)
}

/// Takes the first `max` bytes, or all if there are fewer; a large piece without a copy.
fn piece(recv: &mut RecvBuf, max: usize) -> Bytes {
    if max.min(recv.len()) <= COPIED { recv.take_copied(max) } else { recv.take(max) }
}
