//! The send path: from commands to bytes.

use alloc::borrow::Cow;

use bytes::Bytes;

use super::state::{Input, State};
use super::{Connection, Exchange};
use crate::content::encode::Encoder;
use crate::head::syntax;
use crate::head::target::{self, TargetForm};
use crate::head::write::{self, Checked, FramingField, Persistence};
use crate::{CommandError, Length, RequestParts, Trailers};

impl Connection {
    /// Begins a request. `Content-Length`, `Transfer-Encoding` and `Connection` are written by the machine, and `Host`
    /// where the fields have none and `parts` knows the authority; `Connection: close` among the fields makes the
    /// exchange the last one.
    ///
    /// [`finish`](Self::finish) has to follow, also where there is no content. With `Expect: 100-continue` among the
    /// fields, hold the content back until [`Event::Informational`](super::Event::Informational) brings 100, a final
    /// response comes, or patience ends.
    pub fn send_request(&mut self, parts: &impl RequestParts, length: Length) -> Result<(), CommandError> {
        self.may_begin()?;
        let method = parts.method();
        if method.is_empty() || !method.bytes().all(syntax::is_token) {
            return Err(CommandError::InvalidMethod);
        }
        let request_target = self.target(parts, method)?;
        let form = TargetForm::of(method.as_bytes(), request_target.as_bytes()).ok_or(CommandError::InvalidTarget)?;
        let checked = Checked::new(parts.fields())?;
        let (encoder, framing) = framing(method, length, &checked)?;
        checked.agrees_with(framing)?;
        // RFC 9112, 3.2: a client sends Host in every request, and the target's authority where there is one.
        let host = match parts.fields().find(|(name, _)| name.eq_ignore_ascii_case(b"host")) {
            Some((_, value)) => value,
            None => target::authority(&request_target, form)
                .or_else(|| parts.authority())
                .map(str::as_bytes)
                .filter(|host| target::is_host_and_port(host))
                .ok_or(CommandError::InvalidHost)?,
        };

        let queue = &mut self.transmit;
        queue.extend_from_slice(method.as_bytes());
        queue.extend_from_slice(b" ");
        queue.extend_from_slice(request_target.as_bytes());
        queue.extend_from_slice(b" HTTP/1.1\r\n");
        // RFC 9110, 7.2: "A user agent that sends Host SHOULD send it as the first field".
        write::field(queue, b"Host", host);
        let persistence = if checked.close { Persistence::Close } else { Persistence::Default };
        write::section(queue, || parts.fields(), &checked, framing, persistence);

        self.encoder = encoder;
        self.exchange = Exchange {
            is_head: method == "HEAD",
            is_connect: method == "CONNECT",
            offers_upgrade: checked.upgrade,
            keep_alive: !checked.close,
            informational: 0,
        };
        self.go(Input::RequestBegan);
        Ok(())
    }

    /// Sends a piece of the request's content; with [`Length::Unknown`] each piece is one chunk. Pieces from 1 KiB on
    /// are queued by reference. Empty pieces do nothing.
    pub fn send_content(&mut self, content: Bytes) -> Result<(), CommandError> {
        self.check_alive()?;
        self.encoder.send(content, &mut self.transmit)
    }

    /// Ends the request, with trailers if it is chunked.
    pub fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), CommandError> {
        self.check_alive()?;
        self.encoder.finish(trailers, &mut self.transmit)?;
        self.go(Input::RequestEnded);
        Ok(())
    }

    fn target<'a>(&self, parts: &'a impl RequestParts, method: &str) -> Result<Cow<'a, str>, CommandError> {
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

    fn may_begin(&self) -> Result<(), CommandError> {
        self.check_alive()?;
        if self.state != State::Idle || self.intake.end_is_due {
            return Err(CommandError::ExchangeUnderWay);
        }
        if self.intake.peer_ended() { Err(CommandError::Closed) } else { Ok(()) }
    }

    fn check_alive(&self) -> Result<(), CommandError> {
        match (self.error, self.state) {
            (Some(error), _) => Err(CommandError::Failed(error)),
            (None, State::Upgraded | State::Closed) => Err(CommandError::Closed),
            (None, _) => Ok(()),
        }
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
