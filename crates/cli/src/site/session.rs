//! One connection of the server, from its first request to its close, whichever protocol it speaks by then.

use std::fmt;
use std::task::Waker;

use drywire::http::{self, RequestHead};
use drywire::ws::{self, CloseFrame};
use drywire::{Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

use super::exchange::{HttpSession, Step};
use super::socket::SocketSession;
use super::{Calendar, Site};

/// What happened on a connection, for the log.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request's head arrived.
    Request(RequestHead),
    /// Its response has begun.
    Answered { method: String, target: String, status: u16 },
    /// The peer closed the WebSocket, or agreed to close it.
    Closed(Option<CloseFrame>),
}

/// Why a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    Http(http::Error),
    WebSocket(ws::Error),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "HTTP: {error}"),
            Self::WebSocket(error) => write!(f, "WebSocket: {error}"),
        }
    }
}

impl std::error::Error for SessionError {}

/// The machine of one connection: HTTP first, WebSocket after an upgrade.
pub(crate) struct Session {
    protocol: Protocol,
}

enum Protocol {
    Http(Box<HttpSession>),
    WebSocket(Box<SocketSession>),
    /// Nothing is ever left here: only `switch` passes through it.
    Switching(SendQueue),
}

impl Session {
    /// `waker` is woken when the site has news for this connection: then call `poll_event`.
    pub(crate) fn new(now: Instant, site: Site, calendar: Calendar, waker: Waker) -> Self {
        Self { protocol: Protocol::Http(Box::new(HttpSession::new(now, site, calendar, waker))) }
    }

    /// Ends the connection in order: behind the running exchange, or by a Close frame with 1001.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        match &mut self.protocol {
            Protocol::Http(http) => http.shutdown(now),
            Protocol::WebSocket(socket) => socket.shutdown(now),
            Protocol::Switching(_) => {}
        }
    }

    fn switch(&mut self, now: Instant) {
        let switching = Protocol::Switching(SendQueue::new(0));
        if let Protocol::Http(http) = std::mem::replace(&mut self.protocol, switching) {
            self.protocol = Protocol::WebSocket(Box::new(SocketSession::after(now, *http)));
        }
    }
}

impl StreamMachine for Session {
    type Event = Event;
    type Error = SessionError;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, SessionError> {
        if let Protocol::Http(http) = &mut self.protocol {
            match http.poll(now, recv).map_err(SessionError::Http)? {
                Step::Idle => return Ok(None),
                Step::Event(event) => return Ok(Some(event)),
                Step::Upgraded => self.switch(now),
            }
        }
        match &mut self.protocol {
            Protocol::WebSocket(socket) => socket.poll(now, recv).map_err(SessionError::WebSocket),
            _ => Ok(None),
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        match &mut self.protocol {
            Protocol::Http(http) => http.transmit(),
            Protocol::WebSocket(socket) => socket.transmit(),
            Protocol::Switching(queue) => queue,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.protocol {
            Protocol::Http(http) => http.poll_timeout(),
            Protocol::WebSocket(socket) => socket.poll_timeout(),
            Protocol::Switching(_) => None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.protocol {
            Protocol::Http(http) => http.handle_timeout(now),
            Protocol::WebSocket(socket) => socket.handle_timeout(now),
            Protocol::Switching(_) => {}
        }
    }

    fn demand(&self) -> Demand {
        match &self.protocol {
            Protocol::Http(http) => http.demand(),
            Protocol::WebSocket(socket) => socket.demand(),
            Protocol::Switching(_) => Demand { read: false, close: Some(Close::Abort) },
        }
    }
}
