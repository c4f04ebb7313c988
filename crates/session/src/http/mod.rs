//! The exchanges of a server's connection.

mod date;

use std::task::{Poll, ready};

use drywire_core::Bytes;
use drywire_driver::{DriveError, Engine, Turn, Wire};
use drywire_http::server::{Connection, Event};
use drywire_http::{Error, RequestHead, Trailers};

pub use date::{Calendar, Dated};

/// What brings a server's connection forward.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// The head of the next request.
    Request(RequestHead),
    /// A piece of the request's content.
    Content(Bytes),
    /// The request has arrived in full.
    End(Trailers),
    /// The peer has ended its direction while it waits for its response.
    PeerEnded,
    /// The exchange is over and the connection takes the next request; told where the machine is configured to.
    Ready,
    /// Everything that was queued has left: there is room for more content.
    Room,
    /// The driver's waker was woken.
    Woken,
    /// The connection is closed in order.
    Closed,
}

/// The exchanges of a connection, for a caller that at times takes what arrives and at times only sends.
///
/// Commands go to the machine itself, through [`Engine::machine_mut`].
///
/// At most one event is kept for a caller that does not take any; behind it nothing is read, and the peer feels it.
#[derive(Debug, Default)]
pub struct Exchanges {
    /// What came while the caller took nothing.
    kept: Option<Event>,
    /// The client waits to be told to send its content.
    is_awaited: bool,
}

impl Exchanges {
    /// A connection that has not seen a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Drives the connection until there is something to tell. Where the caller does not take events, that is
    /// [`Progress::Room`], [`Progress::Woken`] or the end.
    pub fn poll(
        &mut self,
        engine: &mut Engine<Connection>,
        wire: &mut impl Wire,
        takes_events: bool,
    ) -> Poll<Result<Progress, DriveError<Error>>> {
        if takes_events && let Some(event) = self.kept.take() {
            return Poll::Ready(Ok(self.tell(event)));
        }
        loop {
            engine.pause_events(self.kept.is_some());
            return Poll::Ready(Ok(match ready!(engine.poll_turn(wire))? {
                Turn::Event(event) if takes_events => self.tell(event),
                Turn::Event(event) => {
                    self.kept = Some(event);
                    continue;
                }
                Turn::Flushed => Progress::Room,
                Turn::Closed => Progress::Closed,
                _ => Progress::Woken,
            }));
        }
    }

    /// The caller is about to read content: a client that waits for 100 (Continue) gets it (RFC 9110, 10.1.1), unless
    /// the response has begun or content has come. Later calls do nothing.
    pub fn want_content(&mut self, machine: &mut Connection) {
        if std::mem::take(&mut self.is_awaited) {
            let _ = machine.send_continue();
        }
    }

    fn tell(&mut self, event: Event) -> Progress {
        match event {
            Event::Request(head) => {
                self.is_awaited = head.expects_continue();
                Progress::Request(head)
            }
            Event::Content(content) => Progress::Content(content),
            Event::End(trailers) => Progress::End(trailers),
            Event::PeerEnded => Progress::PeerEnded,
            Event::Ready => Progress::Ready,
        }
    }
}
