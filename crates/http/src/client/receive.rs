//! The receive path: from bytes to events.

use drywire_core::RecvBuf;

use super::state::{Input, State};
use super::{Connection, Event};
use crate::content::decode::Step;
use crate::content::encode::Encoder;
use crate::head::facts::{self, Framing};
use crate::{Error, ResponseHead, Trailers};

impl Connection {
    /// Parses to the next event, and tells whether only input is missing for it.
    pub(super) fn receive(&mut self, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        self.intake.begin();
        if let Some(error) = self.error {
            return Err(error);
        }
        let result = self.parse(recv);
        if let Err(error) = result {
            self.fail(error);
        }
        result
    }

    fn parse(&mut self, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        if core::mem::take(&mut self.intake.end_is_due) {
            return Ok(Some(Event::End(Trailers::default())));
        }
        match self.state {
            // RFC 9112, 9.2: what comes unasked is no response, and the connection is not to be used further.
            State::Idle if !recv.is_empty() => Err(Error::UnrequestedResponse),
            State::Idle => {
                if recv.is_finished() {
                    return Ok(self.end());
                }
                self.intake.starve();
                Ok(None)
            }
            State::Expecting | State::Sending | State::Waiting => {
                if self.intake.scan_head(recv)? {
                    return self.begin_response(recv).map(Some);
                }
                // RFC 9112, 9.5: a server may close at any time; whether to ask again is for the caller to say.
                if recv.is_finished() { Err(Error::NoResponse) } else { self.intake.starve_inside(recv) }
            }
            State::Duplex | State::Receiving => match self.intake.decode(recv)? {
                Step::Content(content) => Ok(Some(Event::Content(content))),
                Step::End { trailers, .. } => {
                    self.end_response();
                    Ok(Some(Event::End(trailers)))
                }
                Step::Blocked => self.intake.starve_inside(recv),
            },
            State::Answered if recv.is_finished() => Ok(self.end()),
            State::Answered => Ok(None),
            // RFC 9112, 9.6: requests in the pipeline behind the last response are not going to be answered.
            State::Closed if !self.exchanges.is_empty() && !self.aborted => Err(Error::NoResponse),
            // Nothing is parsed behind the end.
            State::Closed => Ok(self.end()),
            State::Upgraded => Ok(None),
        }
    }

    /// The connection has ended, which is told once.
    fn end(&mut self) -> Option<Event> {
        self.go(Input::PeerEnded);
        (!core::mem::replace(&mut self.end_told, true)).then_some(Event::Closed)
    }

    fn begin_response(&mut self, recv: &mut RecvBuf) -> Result<Event, Error> {
        let line = self.intake.scanner.status_line();
        let fields = self.intake.scanner.take(recv);
        let (facts, framing) = facts::of_response(&fields, line.version)?;
        let head = ResponseHead { fields, line, facts };
        let Some(exchange) = self.exchanges.front_mut() else { return Err(Error::UnrequestedResponse) };
        match line.status {
            101 => {
                // RFC 9110, 7.8 and 15.2.2: a switch answers an offer, and comes when the request has been received.
                if !exchange.offers_upgrade || !self.go(Input::Switched) {
                    return Err(Error::UnexpectedUpgrade);
                }
                self.exchanges.clear();
                return Ok(Event::Response(head));
            }
            100..200 => {
                exchange.informational += 1;
                if exchange.informational > self.config.max_informational {
                    return Err(Error::TooManyInformational);
                }
                if line.status == 100 {
                    self.release_content();
                }
                return Ok(Event::Informational(head));
            }
            // RFC 9112, 6.3: 2xx to CONNECT is followed by the tunnel, whatever the framing fields say.
            200..300 if exchange.is_connect => {
                self.encoder = Encoder::Idle;
                self.go(Input::RequestEnded);
                self.go(Input::Switched);
                self.exchanges.clear();
                return Ok(Event::Response(head));
            }
            _ => {}
        }
        // RFC 9112, 6.3: these end with their head, whatever the framing fields say.
        let alone = exchange.is_head || matches!(line.status, 204 | 304);
        let framing = if alone { Framing::Length(0) } else { framing };
        exchange.answered = true;
        exchange.keep_alive &= facts.keep_alive && framing != Framing::UntilClose;
        self.intake.expect(framing)?;
        if self.state == State::Expecting {
            self.drop_content();
        } else {
            self.go(Input::ResponseBegan);
        }
        if self.intake.decoder.is_none() {
            self.intake.end_is_due = true;
            self.end_response();
        }
        Ok(Event::Response(head))
    }

    fn end_response(&mut self) {
        let keep_alive = self.exchanges.pop_front().is_some_and(|exchange| exchange.keep_alive);
        self.go(match (keep_alive, self.exchanges.is_empty()) {
            (false, _) => Input::LastResponseEnded,
            (true, true) if self.shutdown => Input::LastResponseEnded,
            (true, true) => Input::ResponseEnded,
            (true, false) => Input::NextAwaited,
        });
    }

    /// Keeps the error. A client has no farewell to say: what it was sending is dropped, and the connection closes.
    pub(super) fn fail(&mut self, error: Error) {
        self.error = Some(error);
        self.intake.end_is_due = false;
        self.go(Input::Failed);
    }
}
