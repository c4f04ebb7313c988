//! The content of a message.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use drywire_core::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::pipe::{Item, Pipe, Room};

/// Why content does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The connection ended, or failed, before all content had come.
    #[error("the connection ended before the content was complete")]
    Incomplete,
    /// The response has ended: the rest of the request's content is dropped (RFC 9112, 9.3).
    #[error("the exchange is over, and the rest of its content is dropped")]
    Over,
    /// The [`Sender`] was dropped without [`finish`](Sender::finish).
    #[error("the content was given up before its end")]
    Unfinished,
    /// There is more content than [`Body::collect`] was to take.
    #[error("there is more content than was to be taken")]
    TooLarge,
}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Incomplete | BodyError::Over | BodyError::Unfinished => io::ErrorKind::UnexpectedEof,
            BodyError::TooLarge => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// The content of a request, as it arrives, or of a response, as it is to be sent: pieces, and trailers behind them.
///
/// It may be read in another task than the one that got it. Where it is not read, little of it is: the peer's window
/// closes. A client that waits for 100 (Continue) gets it when the content is first asked for.
#[derive(Debug, Default)]
pub struct Body {
    content: Content,
    trailers: Option<Box<HeaderMap>>,
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    Empty,
    Whole(Bytes),
    Piped {
        pipe: Arc<Pipe>,
        /// How much is still to come, where that is known.
        length: Option<u64>,
    },
}

impl Body {
    /// No content.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Content that is sent piece by piece, of which up to `limit` bytes wait, and the end to send from.
    pub fn channel(limit: usize) -> (Sender, Self) {
        let pipe = Arc::new(Pipe::new(limit.max(1)));
        (Sender(Arc::clone(&pipe)), Self::piped(pipe, None))
    }

    pub(super) fn piped(pipe: Arc<Pipe>, length: Option<u64>) -> Self {
        Self { content: Content::Piped { pipe, length }, trailers: None }
    }

    /// Waits for the next piece. `None` is the end.
    ///
    /// Cancel-safe: a piece is either returned or still to come.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The trailers, once [`chunk`](Self::chunk) has returned `None` (RFC 9110, 6.5). They are given once.
    pub fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    /// Waits for everything, up to `limit` bytes.
    ///
    /// Cancel-safe in this sense: dropping the future drops the content.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, BodyError> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else {
            return if first.len() > limit { Err(BodyError::TooLarge) } else { Ok(first) };
        };
        let mut whole = BytesMut::from(first);
        whole.extend_from_slice(&second);
        while whole.len() <= limit {
            let Some(piece) = self.chunk().await? else { return Ok(whole.freeze()) };
            whole.extend_from_slice(&piece);
        }
        Err(BodyError::TooLarge)
    }

    /// The content as `AsyncRead` and `AsyncBufRead`.
    pub fn into_reader(self) -> BodyReader {
        BodyReader { body: self, piece: Bytes::new() }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let (pipe, length) = match &mut self.content {
            Content::Empty => return Poll::Ready(Ok(None)),
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Empty;
                return Poll::Ready(Ok(Some(bytes)));
            }
            Content::Piped { pipe, length } => (pipe, length),
        };
        Poll::Ready(match ready!(pipe.poll_read(cx)) {
            Ok(Item::Piece(piece)) => {
                *length = length.map(|length| length.saturating_sub(piece.len() as u64));
                Ok(Some(piece))
            }
            Ok(Item::End(trailers)) => {
                self.trailers = trailers.map(Box::new);
                self.content = Content::Empty;
                Ok(None)
            }
            Err(error) => Err(error),
        })
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        if let Self::Piped { pipe, .. } = self {
            pipe.drop_reader();
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match ready!(self.poll_chunk(cx)) {
            Ok(Some(piece)) => Some(Ok(Frame::data(piece))),
            Ok(None) => self.trailers().map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => {
                // Told once.
                self.content = Content::Empty;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.content {
            Content::Empty => true,
            Content::Whole(_) => false,
            Content::Piped { pipe, .. } => pipe.is_at_end(),
        };
        ended && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Piped { length, .. } => length.map_or_else(SizeHint::new, SizeHint::with_exact),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let content = if bytes.is_empty() { Content::Empty } else { Content::Whole(bytes) };
        Self { content, trailers: None }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

/// The end of a [`Body::channel`] to send from. Dropped before [`finish`](Self::finish), it leaves a response that is
/// visibly not whole: the connection is reset.
pub struct Sender(Arc<Pipe>);

impl Sender {
    /// Waits for room, and sends a piece. `false`: nobody reads any more.
    ///
    /// Cancel-safe: the piece is sent as a whole or not at all.
    pub async fn send(&mut self, piece: impl Into<Bytes>) -> bool {
        match poll_fn(|cx| self.0.poll_room(cx)).await {
            Room::Gone => false,
            Room::Wanted | Room::Free => {
                self.0.push(piece.into());
                true
            }
        }
    }

    /// Ends the content, with trailers or without.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        self.0.finish(Ok(trailers));
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        // Counts only where there is no other end.
        self.0.finish(Err(BodyError::Unfinished));
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// A [`Body`] as `AsyncRead` and `AsyncBufRead`.
#[derive(Debug)]
pub struct BodyReader {
    body: Body,
    piece: Bytes,
}

impl BodyReader {
    /// The trailers, once everything has been read.
    pub fn trailers(&mut self) -> Option<HeaderMap> {
        self.body.trailers()
    }
}

impl AsyncBufRead for BodyReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.piece.is_empty()
            && let Some(piece) = ready!(this.body.poll_chunk(cx))?
        {
            this.piece = piece;
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        let n = n.min(self.piece.len());
        self.piece.advance(n);
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = piece.len().min(room.remaining());
        room.put_slice(&piece[..n]);
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}
