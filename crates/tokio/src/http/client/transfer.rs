//! One exchange on one connection: content goes out while the response comes in.

use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use drywire_client::plan::{MAX_DISCARD, Plan};
use drywire_client::{Error, ExchangeError};
use drywire_driver::DriveError;
use drywire_http::client::Event;
use drywire_http::{CommandError, ResponseHead};

use super::Connection;
use super::content::Source;
use crate::Turn;

/// One exchange on one connection.
pub(super) struct Transfer {
    connection: Connection,
    source: Source,
    /// The response has arrived in full.
    is_over: bool,
}

impl Transfer {
    pub(super) fn begin(mut connection: Connection, plan: &Plan, source: Source) -> Result<Self, Error> {
        plan.begin(connection.machine_mut())?;
        Ok(Self { connection, source, is_over: false })
    }

    /// Whether a byte of the response has come.
    pub(super) fn heard(&self) -> bool {
        self.connection.machine().heard()
    }

    /// The head of the final response.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        loop {
            match ready!(self.poll_event(cx))? {
                Event::Response(head) => {
                    // Who answers otherwise than with success does not wait for the rest.
                    if !(200..300).contains(&head.status()) && !matches!(self.source, Source::Ended) {
                        self.source = Source::Ended;
                    }
                    return Poll::Ready(Ok(head));
                }
                Event::Informational(_) => {}
                Event::Content(_) | Event::End(_) | Event::Closed => {
                    return Poll::Ready(Err(drywire_http::Error::NoResponse.into()));
                }
            }
        }
    }

    /// The next piece of the response's content, or its end.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        loop {
            self.feed(cx)?;
            match ready!(self.connection.poll_turn(cx)) {
                Ok(Turn::Event(event)) => {
                    self.is_over |= matches!(event, Event::End(_));
                    return Poll::Ready(Ok(event));
                }
                Ok(Turn::Closed) => return Poll::Ready(Ok(Event::Closed)),
                // There may be room for more content.
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(told(error))),
            }
        }
    }

    /// Moves content into the machine until that is full or there is none at hand.
    fn feed(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !matches!(self.source, Source::Ended) {
            let Poll::Ready(piece) = self.source.poll_piece(cx) else { break };
            let piece = piece.map_err(|error| Error::Content(Arc::new(error)))?;
            let machine = self.connection.machine_mut();
            let (sent, is_end) =
                if piece.is_empty() { (machine.finish(None), true) } else { (machine.send_content(piece), false) };
            match sent {
                Ok(()) if is_end => self.source = Source::Ended,
                Ok(()) => {}
                Err(CommandError::Full(piece)) => {
                    self.source.give_back(piece);
                    break;
                }
                // The next turn tells why.
                Err(CommandError::Failed(_) | CommandError::Closed) => self.source = Source::Ended,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads the rest of the response; `false` if it is not worth it.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut left = MAX_DISCARD;
        loop {
            match ready!(self.poll_event(cx)) {
                Ok(Event::Content(piece)) => match left.checked_sub(piece.len() as u64) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(false),
                },
                Ok(Event::End(_)) => return Poll::Ready(true),
                Ok(Event::Informational(_) | Event::Response(_)) => {}
                Ok(Event::Closed) | Err(_) => return Poll::Ready(false),
            }
        }
    }

    /// The connection, if it can take another exchange.
    pub(super) fn into_reusable(self) -> Option<Connection> {
        let Self { mut connection, is_over, .. } = self;
        // The turn also gives back the buffers, and sees a server that has closed behind its response.
        (is_over && connection.machine_mut().is_reusable() && is_quiet(&mut connection)).then_some(connection)
    }
}

/// Whether a connection between two exchanges is open and the server says nothing.
pub(super) fn is_quiet(connection: &mut Connection) -> bool {
    connection.poll_turn(&mut Context::from_waker(Waker::noop())).is_pending() && connection.machine_mut().is_reusable()
}

fn told(error: DriveError<ExchangeError>) -> Error {
    match error {
        DriveError::Protocol(error) => error.into(),
        DriveError::Io(error) => Error::transport(error),
    }
}
