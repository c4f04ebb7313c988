//! The receive path: from bytes to events.

use drywire_core::RecvBuf;

use super::state::{Input, State};
use super::{Connection, Event, Exchange};
use crate::content::decode::Step;
use crate::head::facts;
use crate::timer::Pace;
use crate::{Error, Lenient, RequestHead, Trailers};

impl Connection {
    /// What follows on an error, a new one or the one that is kept.
    pub(super) fn break_off(&mut self, error: Error, recv: &mut RecvBuf) {
        if self.error.is_none() {
            self.fail(error);
        }
        self.linger(recv);
    }

    /// Parses to the next event.
    pub(super) fn parse(&mut self, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        if core::mem::take(&mut self.intake.end_is_due) {
            return Ok(Some(Event::End(Trailers::default())));
        }
        loop {
            match self.state {
                State::Idle => {
                    // A peer that sends requests but takes no responses is not served further.
                    if self.transmit.is_full() {
                        return Ok(None);
                    }
                    if core::mem::take(&mut self.ready_is_due) {
                        return Ok(Some(Event::Ready));
                    }
                    self.skip_empty_lines(recv)?;
                    if recv.is_finished() {
                        self.go(Input::PeerEnded);
                    } else if recv.is_empty() || (recv[..] == *b"\r" && !recv.is_end_of_stream()) {
                        self.intake.starve();
                        return Ok(None);
                    } else {
                        self.go(Input::HeadBegan);
                    }
                }
                State::Head => {
                    if self.intake.scan_head(recv)? {
                        return self.begin_request(recv);
                    }
                    return self.intake.starve_inside(recv);
                }
                State::Receiving | State::Duplex => {
                    // What a response echoes has to leave before more comes.
                    if self.state == State::Duplex && self.transmit.is_full() {
                        return Ok(None);
                    }
                    return match self.intake.decode(recv)? {
                        Step::Content(content) => {
                            // RFC 9110, 10.1.1: content has come, so 100 (Continue) is moot.
                            self.request.awaits_continue = false;
                            self.content_came(content.len());
                            Ok(Some(Event::Content(content)))
                        }
                        Step::End { trailers, .. } => {
                            self.go(Input::ContentEnded);
                            Ok(Some(Event::End(trailers)))
                        }
                        Step::Blocked => self.intake.starve_inside(recv),
                    };
                }
                State::Draining => match self.intake.decode(recv)? {
                    Step::Content(content) => {
                        self.content_came(content.len());
                        self.dropped = self.dropped.saturating_add(content.len() as u64);
                        if self.dropped > self.config.drain_limit {
                            self.go(Input::TooMuchToDrain);
                        }
                    }
                    Step::End { trailers, .. } => {
                        self.go(Input::ContentEnded);
                        return Ok(Some(Event::End(trailers)));
                    }
                    Step::Blocked => return self.intake.starve_inside(recv),
                },
                State::Lingering | State::Closing => {
                    self.linger(recv);
                    return Ok(None);
                }
                // Whoever takes long to answer wants to know that nobody waits any more.
                State::Received | State::Responding if recv.is_end_of_stream() && !self.end_told => {
                    self.end_told = true;
                    return Ok(Some(Event::PeerEnded));
                }
                // Nothing is parsed before the response has ended, and nothing behind the end.
                State::Received | State::Responding | State::Upgraded | State::Closed => return Ok(None),
            }
        }
    }

    /// The peer makes progress.
    fn content_came(&mut self, bytes: usize) {
        self.timer.disarm();
        self.pace.stop(self.now);
        self.pace.received(bytes);
    }

    /// RFC 9112, 2.2: a server ignores at least one empty line in front of a request line.
    fn skip_empty_lines(&mut self, recv: &mut RecvBuf) -> Result<(), Error> {
        loop {
            let len = match recv[..] {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] if self.config.lenient.allows(Lenient::BARE_LF) => 1,
                _ => break,
            };
            self.empty_lines += 1;
            if self.empty_lines > self.config.max_empty_lines {
                return Err(Error::EmptyLines);
            }
            recv.skip(len);
        }
        match recv[..] {
            [b'\n', ..] => Err(Error::BareLf),
            [b'\r', _, ..] => Err(Error::BareCr),
            _ => Ok(()),
        }
    }

    fn begin_request(&mut self, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        let line = self.intake.scanner.request_line();
        let fields = self.intake.scanner.take(recv);
        let (facts, framing) = facts::of_request(&fields, line.version, self.config.lenient)?;
        let head = RequestHead { fields, line, facts };
        self.intake.expect(framing)?;
        self.request = Exchange {
            version: line.version,
            is_head: head.is_method(b"HEAD"),
            is_connect: head.is_method(b"CONNECT"),
            offers_upgrade: facts.offers_upgrade,
            keep_alive: facts.keep_alive,
            awaits_continue: facts.expects_continue,
            accepts_trailers: facts.accepts_trailers,
            informational: 0,
        };
        self.intake.end_is_due = self.intake.decoder.is_none();
        if self.intake.end_is_due {
            self.go(Input::HeadAlone);
        } else {
            self.pace = Pace::default();
            self.go(Input::HeadWithContent);
        }
        Ok(Some(Event::Request(head)))
    }

    /// Waits for the peer's end, dropping what is left of a message that nobody wants.
    fn linger(&mut self, recv: &mut RecvBuf) {
        if self.state == State::Lingering {
            self.dropped = self.dropped.saturating_add(recv.len() as u64);
            recv.skip(recv.len());
            if self.dropped > self.config.linger_limit {
                self.go(Input::GaveUp);
            }
        }
        if recv.is_end_of_stream() && matches!(self.state, State::Lingering | State::Closing) {
            self.go(Input::PeerEnded);
        }
    }

    /// Keeps the error and queues its farewell, unless a response is under way that it would spoil.
    pub(super) fn fail(&mut self, error: Error) {
        self.error = Some(error);
        self.intake.end_is_due = false;
        match self.state {
            State::Idle | State::Head | State::Receiving => self.farewell(error),
            // Only a reset tells the peer that a response which the close would have ended is not whole.
            State::Duplex if self.is_until_close() => return self.abort(),
            _ => {}
        }
        self.dropped = 0;
        self.go(Input::Failed);
    }
}
