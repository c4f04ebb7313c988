//! The client of the tour: HTTP first, WebSocket at the end.

use std::fmt;

use drywire::http::{self, client};
use drywire::ws;
use drywire::{Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// A client that changes its protocol on the way.
pub(super) enum Visitor {
    Http(Box<client::Connection>),
    WebSocket(Box<ws::Connection>),
}

pub(super) enum Event {
    Http(client::Event),
    WebSocket(ws::Event),
}

#[derive(Clone, Debug)]
pub(super) enum Error {
    Http(http::Error),
    WebSocket(ws::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::WebSocket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl StreamMachine for Visitor {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        match self {
            Self::Http(http) => http.poll_event(now, recv).map(|event| event.map(Event::Http)).map_err(Error::Http),
            Self::WebSocket(ws) => {
                ws.poll_event(now, recv).map(|event| event.map(Event::WebSocket)).map_err(Error::WebSocket)
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        match self {
            Self::Http(http) => http.transmit(),
            Self::WebSocket(ws) => ws.transmit(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Http(http) => http.poll_timeout(),
            Self::WebSocket(ws) => ws.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Http(http) => http.handle_timeout(now),
            Self::WebSocket(ws) => ws.handle_timeout(now),
        }
    }

    fn demand(&self) -> Demand {
        match self {
            Self::Http(http) => http.demand(),
            Self::WebSocket(ws) => ws.demand(),
        }
    }
}
