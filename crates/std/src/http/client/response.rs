//! The response, as it comes.

use std::fmt;
use std::io::{self, Read};

use drywire_client::{Error, Plan, Url};
use drywire_core::{Bytes, BytesMut};
use drywire_http::client::Event;
use drywire_http::{ResponseHead, Trailers};

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
    /// What [`Read`] has not taken of the last piece.
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
    pub fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.rest.is_empty() {
            return Ok(Some(std::mem::take(&mut self.rest)));
        }
        loop {
            let Some((transfer, _)) = &mut self.running else {
                return self.error.clone().map_or(Ok(None), Err);
            };
            match transfer.event() {
                Ok(Event::Content(piece)) => return Ok(Some(piece)),
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
    pub fn bytes(mut self, limit: usize) -> Result<Bytes, Error> {
        let Some(mut whole) = self.chunk()?.map(BytesMut::from) else { return Ok(Bytes::new()) };
        loop {
            if whole.len() > limit {
                return Err(Error::TooLong { limit });
            }
            match self.chunk()? {
                Some(piece) => whole.extend_from_slice(&piece),
                None => return Ok(whole.freeze()),
            }
        }
    }
}

/// Reads the content. Errors are [`Error`]s inside.
impl Read for Response {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        let Some(mut piece) = self.chunk()? else { return Ok(0) };
        let taken = piece.split_to(piece.len().min(room.len()));
        room[..taken.len()].copy_from_slice(&taken);
        self.rest = piece;
        Ok(taken.len())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("url", &self.url.as_str()).field("head", &self.head).finish_non_exhaustive()
    }
}
