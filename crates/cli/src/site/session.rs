//! One connection of the server, from its first request to its close, whichever protocol it speaks by then.

use std::task::Waker;

use drywire::http::{self, RequestHead};
use drywire::ws::{self, CloseFrame};
use drywire::{Demand, Either, Instant, RecvBuf, SendQueue, StreamMachine};

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
pub(crate) type SessionError = Either<http::Error, ws::Error>;

/// The machine of one connection: HTTP first, WebSocket after an upgrade.
pub(crate) struct Session {
    protocol: Either<Box<HttpSession>, Box<SocketSession>>,
}

impl Session {
    /// `waker` is woken when the site has news for this connection: then call `poll_event`.
    pub(crate) fn new(now: Instant, site: Site, calendar: Calendar, waker: Waker) -> Self {
        Self { protocol: Either::First(Box::new(HttpSession::new(now, site, calendar, waker))) }
    }

    /// Ends the connection in order: behind the running exchange, or by a Close frame with 1001.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        match &mut self.protocol {
            Either::First(http) => http.shutdown(now),
            Either::Second(socket) => socket.shutdown(now),
        }
    }
}

impl StreamMachine for Session {
    type Event = Event;
    type Error = SessionError;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, SessionError> {
        loop {
            match self.protocol.poll_event(now, recv)? {
                None => return Ok(None),
                Some(Either::First(Step::Event(event)) | Either::Second(event)) => return Ok(Some(event)),
                Some(Either::First(Step::Upgraded(socket))) => self.protocol = Either::Second(socket),
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.protocol.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.protocol.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.protocol.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        self.protocol.demand()
    }
}
