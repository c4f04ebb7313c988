//! What outlives a connection: the last id, how long to wait, whether to connect again (HTML standard, 9.2.3).

use core::time::Duration;

use bytes::Bytes;
use drywire_core::Instant;

use super::{Decoder, Error, Limits, MEDIA_TYPE, Message};
use crate::ResponseHead;

/// The client's side of an event stream over as many connections as it takes. It makes none itself: it says when one is
/// due and what to ask for, and takes what arrives.
///
/// ```
/// # use core::time::Duration;
/// # use drywire_core::{Bytes, Instant};
/// # use drywire_http::sse::{Limits, Source};
/// let mut now = Instant::ORIGIN;
/// let mut source = Source::new(Limits::default());
/// assert!(source.is_due());
/// // GET with `Accept: text/event-stream`; then `source.opened(&head)?`, and the content:
/// let mut content = Bytes::from("retry: 500\nid: 7\ndata: x\n\ndata: never finished");
/// assert_eq!(source.decode(&mut content)?.expect("an event").data, "x");
/// assert_eq!(source.decode(&mut content)?, None);
///
/// source.lost(now);
/// assert_eq!(source.poll_timeout(), Some(now + Duration::from_millis(500)));
/// now = now + Duration::from_millis(500);
/// source.handle_timeout(now);
/// // GET with `Last-Event-ID: 7`.
/// assert!(source.is_due());
/// assert_eq!(source.last_event_id(), Some("7"));
/// # Ok::<(), drywire_http::sse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Source {
    decoder: Decoder,
    state: State,
    /// Attempts in a row that ended before a response.
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A connection is to be made.
    Due,
    Open,
    Waiting(Instant),
    Closed,
}

/// A response that is no event stream. There is no use in asking again (HTML standard, 9.2.2: "fail the connection").
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A status other than 200; with 204 (No Content) a server tells its clients to stop.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// A `Content-Type` other than `text/event-stream`.
    #[error("the response is no event stream")]
    ContentType,
}

impl Source {
    /// The time to wait where the server has given none ("in the region of a few seconds").
    pub const DELAY: Duration = Duration::from_secs(3);
    /// Attempts that fail in a row double the time to wait, at most up to this.
    pub const DELAY_MAX: Duration = Duration::from_secs(60);

    /// A source whose first connection is due at once.
    pub fn new(limits: Limits) -> Self {
        Self { decoder: Decoder::new(limits), state: State::Due, failures: 0 }
    }

    /// Whether a connection is to be made.
    pub fn is_due(&self) -> bool {
        self.state == State::Due
    }

    /// Whether no further connection is to be made.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The value of `Last-Event-ID` in the request; `None`: leave the field out (HTML standard, 9.2.4).
    pub fn last_event_id(&self) -> Option<&str> {
        Some(self.decoder.last_event_id()).filter(|id| !id.is_empty())
    }

    /// The head of the response to the request. After a refusal the source is closed.
    pub fn opened(&mut self, head: &ResponseHead) -> Result<(), Refused> {
        let is_stream = head.field("content-type").is_some_and(|kind| {
            let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
            essence.trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
        });
        let refused = match head.status() {
            200 if is_stream => {
                self.failures = 0;
                self.go(State::Open);
                return Ok(());
            }
            200 => Refused::ContentType,
            status => Refused::Status(status),
        };
        self.close();
        Err(refused)
    }

    /// Takes bytes off the front of `content` up to the next complete event. After an error the source is closed.
    pub fn decode(&mut self, content: &mut Bytes) -> Result<Option<Message>, Error> {
        self.decoder.decode(content).inspect_err(|_| self.close())
    }

    /// The response has ended, the connection broke, or none came about: the next one is due after a while.
    pub fn lost(&mut self, now: Instant) {
        let delay = self.decoder.retry().unwrap_or(Self::DELAY);
        let doubled = delay.saturating_mul(1 << self.failures.min(16));
        if self.state == State::Due {
            self.failures = self.failures.saturating_add(1);
        }
        self.decoder.restart();
        self.go(State::Waiting(now + doubled.min(Self::DELAY_MAX.max(delay))));
    }

    /// Makes no further connection.
    pub fn close(&mut self) {
        self.go(State::Closed);
    }

    /// When the next connection is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// The time has come to look whether a connection is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.go(State::Due);
        }
    }

    /// A closed source stays closed.
    fn go(&mut self, state: State) {
        if self.state != State::Closed {
            self.state = state;
        }
    }
}
