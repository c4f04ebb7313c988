//! The response, as it comes.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use drywire_client::{Error, Plan, Url};
use drywire_core::{Bytes, BytesMut};
use drywire_http::client::Event;
use drywire_http::{ResponseHead, Trailers};
use tokio::io::{AsyncRead, ReadBuf};

use super::Place;
use super::transfer::Transfer;

/// A response: its head is here, its content comes as it is [asked for](Self::chunk).
///
/// When it has been read to its end, its connection is kept for the next request. Dropped before, it closes it.
pub struct Response {
    head: ResponseHead,
    url: Url,
    redirects: usize,
    /// The exchange, and the place of its connection. `None` once it is over.
    running: Option<(Transfer, Place)>,
    trailers: Trailers,
    error: Option<Error>,
    /// What [`AsyncRead`] has not taken of the last piece.
    rest: Bytes,
}

impl Response {
    pub(super) fn new(head: ResponseHead, plan: &Plan, transfer: Transfer, place: Place) -> Self {
        Self {
            head,
            url: plan.url().clone(),
            redirects: plan.redirects(),
            running: Some((transfer, place)),
            trailers: Trailers::default(),
            error: None,
            rest: Bytes::new(),
        }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// The value of the first field line of this name, in any case of letters.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// The whole head.
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The URL that the response is from, behind all redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How many redirects led here.
    pub fn redirects(&self) -> usize {
        self.redirects
    }

    /// The trailers. There are none before the content has been read to its end.
    pub fn trailers(&self) -> &Trailers {
        &self.trailers
    }

    /// The next piece of the content, `None` at its end. How content is cut into pieces says nothing.
    ///
    /// Cancel-safe: a piece is either returned or still to come.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`chunk`](Self::chunk) for a `poll_fn` that waits for more than one thing.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.rest))));
        }
        loop {
            let Some((transfer, _)) = &mut self.running else {
                return Poll::Ready(self.error.clone().map_or(Ok(None), Err));
            };
            match ready!(transfer.poll_event(cx)) {
                Ok(Event::Content(piece)) => return Poll::Ready(Ok(Some(piece))),
                Ok(Event::End(trailers)) => {
                    self.trailers = trailers;
                    if let Some((transfer, place)) = self.running.take() {
                        place.keep(transfer);
                    }
                }
                Ok(Event::Informational(_) | Event::Response(_)) => {}
                // Behind a switch of protocols there is no end, and the transport ends it.
                Ok(Event::Closed) => self.running = None,
                Err(error) => {
                    self.error = Some(error);
                    self.running = None;
                }
            }
        }
    }

    /// The whole content, if it is no longer than `limit` bytes.
    ///
    /// Not cancel-safe: what was read is lost with the future.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(mut whole) = self.chunk().await?.map(BytesMut::from) else { return Ok(Bytes::new()) };
        loop {
            if whole.len() > limit {
                return Err(Error::TooLong { limit });
            }
            match self.chunk().await? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(whole.freeze()),
            }
        }
    }
}

/// Reads the content. Errors are [`Error`]s inside.
impl AsyncRead for Response {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(mut piece) = ready!(self.poll_chunk(cx))? else { return Poll::Ready(Ok(())) };
        let taken = piece.split_to(piece.len().min(room.remaining()));
        room.put_slice(&taken);
        self.rest = piece;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("url", &self.url.as_str()).field("head", &self.head).finish_non_exhaustive()
    }
}
