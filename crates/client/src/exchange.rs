//! The machine on a client's connection: HTTP, with the deadline of the exchange.

use bytes::Bytes;
use drywire_core::{Buf as _, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_http::client::{self, Config, Connection, Event};
use drywire_http::{CommandError, Length, RequestParts, Trailers};

use crate::{Error, Seen, Trace};

/// Why an exchange's connection ended out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// The server broke a rule of HTTP, was too slow, or closed without an answer.
    #[error(transparent)]
    Http(#[from] drywire_http::Error),
    /// The exchange took longer than it may.
    #[error("the exchange takes too long")]
    Timeout,
}

impl From<ExchangeError> for Error {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Http(error) => Self::Http(error),
            ExchangeError::Timeout => Self::Timeout,
        }
    }
}

/// A connection that carries one exchange after the other, each with a deadline for the whole of it.
///
/// It is an [HTTP client connection](Connection) that also remembers whether anything came back, which decides about
/// a second try.
#[derive(Debug)]
pub struct Exchange {
    http: Connection,
    deadline: Option<Instant>,
    heard: bool,
    is_late: bool,
    trace: Option<Trace>,
}

impl Exchange {
    /// A connection that waits for its first request.
    pub fn new(now: Instant, config: Config) -> Self {
        Self { http: Connection::new(now, config), deadline: None, heard: false, is_late: false, trace: None }
    }

    /// Begins a request, and its time.
    pub fn begin(
        &mut self,
        request: &impl RequestParts,
        length: Length,
        deadline: Option<Instant>,
    ) -> Result<(), CommandError> {
        self.http.send_request(request, length)?;
        (self.deadline, self.heard) = (deadline, false);
        Ok(())
    }

    /// Shows the head of the request, which has just begun, and those of its responses.
    pub(crate) fn set_trace(&mut self, trace: Option<Trace>) {
        if let Some(trace) = &trace {
            trace.see(Seen::Request(self.http.transmit().chunk()));
        }
        self.trace = trace;
    }

    /// [`Connection::send_content`].
    pub fn send_content(&mut self, content: Bytes) -> Result<(), CommandError> {
        self.http.send_content(content)
    }

    /// [`Connection::finish`].
    pub fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), CommandError> {
        self.http.finish(trailers)
    }

    /// Whether a byte of the response has come.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// Whether the exchange has ended and the connection can take another one: also the request has left in full, which
    /// a server that answers early does not wait for.
    pub fn is_reusable(&mut self) -> bool {
        self.http.state() == client::State::Idle && self.http.is_ready() && self.http.transmit().is_empty()
    }

    /// The connection of the protocol.
    pub fn http(&self) -> &Connection {
        &self.http
    }
}

impl StreamMachine for Exchange {
    type Event = Event;
    type Error = ExchangeError;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, ExchangeError> {
        if self.is_late {
            return Err(ExchangeError::Timeout);
        }
        self.heard |= !recv.is_empty();
        let event = self.http.poll_event(now, recv)?;
        match &event {
            Some(Event::End(_)) => self.deadline = None,
            Some(Event::Informational(head) | Event::Response(head)) => {
                if let Some(trace) = &self.trace {
                    trace.see(Seen::Response(head));
                }
            }
            _ => {}
        }
        Ok(event)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.http.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.deadline, self.http.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.is_late = true;
            self.http.abort();
        }
        self.http.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        if self.is_late { Demand { read: false, close: Some(Close::Abort) } } else { self.http.demand() }
    }
}
