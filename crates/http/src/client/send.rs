//! The send path: from commands to bytes.

use alloc::borrow::Cow;

use bytes::Bytes;
use drywire_core::SendQueue;

use super::state::{Input, State};
use super::{Connection, Exchange};
use crate::content::encode::Encoder;
use crate::head::syntax;
use crate::head::target::{self, TargetForm};
use crate::head::write::{self, Checked, FramingField, Persistence};
use crate::{CommandError, Length, PreparedRequest, RequestParts, Trailers};

impl Connection {
    /// Begins a request. `Content-Length`, `Transfer-Encoding` and `Connection` are written by the machine, and `Host`
    /// where the fields have none and `parts` knows the authority; `Connection: close` among the fields makes the
    /// exchange the last one.
    ///
    /// [`finish`](Self::finish) has to follow, also where there is no content.
    ///
    /// With `Expect: 100-continue` among the fields, the content that is given waits inside the machine, up to
    /// [`send_high_water`](super::Config::send_high_water), until 100 comes or
    /// [`continue_timeout`](super::Config::continue_timeout) passes. A final response instead means that the server
    /// does not want it: what waits and what still comes is dropped, and the connection closes behind that response.
    /// Such a request begins only where no other one is outstanding.
    ///
    /// Behind `CONNECT`, an `Upgrade` or `Connection: close` no request is taken before the response.
    pub fn send_request(&mut self, parts: &impl RequestParts, length: Length) -> Result<(), CommandError> {
        self.may_begin()?;
        let target = self.target(parts)?;
        let plan = Plan::new(parts, &target, length)?;
        self.check_expectation(&plan)?;
        plan.write(parts, &target, &mut self.transmit)?;
        self.begin(&plan);
        Ok(())
    }

    /// Begins a request with a head that was encoded before. Otherwise as [`send_request`](Self::send_request).
    pub fn send_prepared(&mut self, head: &PreparedRequest) -> Result<(), CommandError> {
        self.may_begin()?;
        if self.config.absolute_form && head.is_origin_form {
            return Err(CommandError::InvalidTarget);
        }
        self.check_expectation(&head.plan)?;
        self.transmit.push(head.encoded.clone());
        self.begin(&head.plan);
        Ok(())
    }

    /// A request whose content waits begins only where its 100 cannot be another one's.
    fn check_expectation(&self, plan: &Plan) -> Result<(), CommandError> {
        let alone = self.state == State::Idle;
        if plan.expects_continue && !alone { Err(CommandError::ExchangeUnderWay) } else { Ok(()) }
    }

    fn begin(&mut self, plan: &Plan) {
        self.encoder = plan.encoder;
        self.exchanges.push_back(plan.exchange);
        self.go(if plan.expects_continue { Input::ExpectingBegan } else { Input::RequestBegan });
    }

    /// Sends a piece of the request's content; with [`Length::Unknown`] each piece is one chunk. Pieces from 1 KiB on
    /// are queued by reference. Empty pieces do nothing.
    pub fn send_content(&mut self, content: Bytes) -> Result<(), CommandError> {
        self.check_alive()?;
        let queue = if self.state == State::Expecting { &mut self.held } else { &mut self.transmit };
        self.encoder.send(content, queue)
    }

    /// Ends the request, with trailers if it is chunked.
    pub fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), CommandError> {
        self.check_alive()?;
        let queue = if self.state == State::Expecting { &mut self.held } else { &mut self.transmit };
        self.encoder.finish(trailers, queue)?;
        self.go(Input::RequestEnded);
        Ok(())
    }

    /// Sends what waited for 100 (Continue), and the end of the request if that is among it.
    pub(super) fn release_content(&mut self) {
        if self.go(Input::Continued) {
            while !self.held.is_empty() {
                self.transmit.push(self.held.pop(usize::MAX));
            }
            self.held.release();
            if self.encoder == Encoder::Idle {
                self.go(Input::RequestEnded);
            }
        }
    }

    /// The final response has come instead of 100 (Continue): the content is not wanted, and without it the server
    /// cannot tell where the next request begins.
    pub(super) fn drop_content(&mut self) {
        self.held.clear();
        self.held.release();
        if let Some(exchange) = self.exchanges.front_mut() {
            exchange.keep_alive = false;
        }
        self.go(Input::ResponseBegan);
        if self.encoder == Encoder::Idle {
            self.go(Input::RequestEnded);
        } else {
            self.encoder = Encoder::Dropped;
        }
    }

    fn target<'a>(&self, parts: &'a impl RequestParts) -> Result<Cow<'a, str>, CommandError> {
        let method = parts.method();
        let asterisk = method == "OPTIONS" && parts.target() == "*";
        if self.config.absolute_form && method != "CONNECT" && !asterisk {
            if let Some(absolute) = parts.absolute_target() {
                return Ok(absolute);
            }
            // Already absolute, or not to be had.
            if parts.target().starts_with('/') {
                return Err(CommandError::InvalidTarget);
            }
        }
        Ok(parts.target())
    }

    /// Whether a request may begin.
    pub(super) fn may_begin(&self) -> Result<(), CommandError> {
        self.check_alive()?;
        // RFC 9112, 9.6: no request behind a `close`, whoever sent it.
        if self.intake.peer_ended() || self.shutdown || self.exchanges.iter().any(|exchange| !exchange.keep_alive) {
            return Err(CommandError::Closed);
        }
        // What comes behind an offer to switch could be read as the other protocol's.
        let open_end = self.exchanges.back().is_some_and(|last| last.is_connect || last.offers_upgrade);
        let room = self.exchanges.len() < self.config.max_pipeline.max(1);
        let sent = matches!(self.state, State::Idle | State::Waiting | State::Receiving);
        if sent && room && !open_end && !self.intake.end_is_due { Ok(()) } else { Err(CommandError::ExchangeUnderWay) }
    }

    fn check_alive(&self) -> Result<(), CommandError> {
        match (self.error, self.state) {
            (Some(error), _) => Err(CommandError::Failed(error)),
            (None, State::Upgraded | State::Closed) => Err(CommandError::Closed),
            (None, _) => Ok(()),
        }
    }
}

/// A request's head once it has been found harmless, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    checked: Checked,
    framing: FramingField,
    form: TargetForm,
    encoder: Encoder,
    exchange: Exchange,
    expects_continue: bool,
}

impl Plan {
    pub(crate) fn new(parts: &impl RequestParts, target: &str, length: Length) -> Result<Self, CommandError> {
        let method = parts.method();
        if method.is_empty() || syntax::token_len(method.as_bytes()) != method.len() {
            return Err(CommandError::InvalidMethod);
        }
        let form = TargetForm::of_outgoing(method.as_bytes(), target.as_bytes()).ok_or(CommandError::InvalidTarget)?;
        let checked = Checked::new(parts.fields())?;
        let (encoder, framing) = framing(method, length, &checked)?;
        checked.agrees_with(framing)?;
        let expects_continue = checked.expects_continue;
        // RFC 9110, 10.1.1.
        if expects_continue && matches!(encoder, Encoder::Nothing | Encoder::Length(0)) {
            return Err(CommandError::ExpectWithoutContent);
        }
        let exchange = Exchange {
            is_head: method == "HEAD",
            is_connect: method == "CONNECT",
            offers_upgrade: checked.upgrade,
            keep_alive: !checked.close,
            informational: 0,
            answered: false,
        };
        Ok(Self { checked, framing, form, encoder, exchange, expects_continue })
    }

    pub(crate) fn write(
        &self,
        parts: &impl RequestParts,
        request_target: &str,
        queue: &mut SendQueue,
    ) -> Result<(), CommandError> {
        // RFC 9112, 3.2: a client sends Host in every request, and the target's authority where there is one.
        let host = match parts.fields().find(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
            Some((_, value)) => value,
            None => target::authority(request_target, self.form)
                .or_else(|| parts.authority())
                .map(str::as_bytes)
                .filter(|host| target::is_host_and_port(host))
                .ok_or(CommandError::InvalidHost)?,
        };
        queue.reserve(parts.method().len() + request_target.len() + host.len() + self.checked.len + write::MARGIN);
        queue.extend_from_slice(parts.method().as_bytes());
        queue.extend_from_slice(b" ");
        queue.extend_from_slice(request_target.as_bytes());
        queue.extend_from_slice(b" HTTP/1.1\r\n");
        // RFC 9110, 7.2: "A user agent that sends Host SHOULD send it as the first field".
        write::field(queue, b"Host", host);
        let persistence = if self.checked.close { Persistence::Close } else { Persistence::Default };
        write::section(queue, || parts.fields(), &self.checked, self.framing, persistence);
        Ok(())
    }
}

/// How the content of a request is framed (RFC 9112, 6; RFC 9110, 8.6).
fn framing(method: &str, length: Length, checked: &Checked) -> Result<(Encoder, FramingField), CommandError> {
    match length {
        // RFC 9110, 9.3.6: a CONNECT request has no content.
        Length::Known(1..) | Length::Unknown if method == "CONNECT" => Err(CommandError::ContentNotAllowed),
        // RFC 9110, 8.6: no Content-Length where the method does not anticipate content, unless the caller has one.
        Length::Known(0)
            if matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE")
                && checked.content_length.is_none() =>
        {
            Ok((Encoder::Nothing, FramingField::Absent))
        }
        Length::Known(length) => Ok((Encoder::Length(length), FramingField::ContentLength(length))),
        Length::Unknown => Ok((Encoder::Chunked, FramingField::Chunked)),
    }
}
