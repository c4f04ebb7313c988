//! The send path: from commands to bytes.

use bytes::Bytes;

use super::Connection;
use super::state::{Input, State};
use crate::content::decode::Decoder;
use crate::content::encode::Encoder;
use crate::head::write::{self, Checked, FramingField, Persistence};
use crate::parts::canonical_reason;
use crate::prepared::{Dated, PreparedResponse};
use crate::{CommandError, Error, Length, PlainResponse, ResponseParts, Trailers, Version};

impl Connection {
    /// Begins the final response. `Content-Length`, `Transfer-Encoding` and `Connection` are written by the machine;
    /// `Connection: close` among the fields makes it the last one.
    ///
    /// [`finish`](Self::finish) has to follow, also where there is no content. 2xx to `CONNECT` is the exception: it
    /// has no content, and the connection belongs to the tunnel from then on, so it has to wait for the end of the
    /// request.
    pub fn respond(&mut self, parts: &impl ResponseParts, length: Length) -> Result<(), CommandError> {
        self.may_begin()?;
        let (status, reason) = status_and_reason(parts)?;
        check_final(status)?;
        let checked = Checked::new(parts.fields())?;
        if self.request.is_connect && matches!(status, 200..300) {
            return self.switch(parts, &checked, status, reason);
        }
        let (encoder, framing) = framing(status, length, &checked, self.request.version, self.request.is_head)?;
        // RFC 9112, 9.6: a server that is going to close says so.
        let keep_alive = self.persists(status) && !checked.close && encoder != Encoder::UntilClose;
        let persistence = match (keep_alive, self.request.version) {
            (false, _) => Persistence::Close,
            (true, Version::Http10) => Persistence::KeepAlive,
            (true, Version::Http11) => Persistence::Default,
        };
        write::status_line(&mut self.transmit, status, reason, checked.len);
        write::section(&mut self.transmit, || parts.fields(), &checked, framing, persistence);
        self.request.keep_alive = keep_alive;
        self.encoder = encoder;
        self.go(Input::ResponseBegan);
        Ok(())
    }

    /// Begins the final response with a head that was encoded before, and `date` as its `Date` field, which has 29 bytes
    /// (`Sun, 06 Nov 1994 08:49:37 GMT`; RFC 9110, 5.6.7). Otherwise as [`respond`](Self::respond).
    ///
    /// ```
    /// use drywire_core::{Bytes, Instant, RecvBuf, StreamMachine};
    /// use drywire_http::{Length, PlainResponse, PreparedResponse, server};
    ///
    /// let fields = [("Content-Type", "text/plain")];
    /// let hello = PreparedResponse::new(&PlainResponse::new(200, &fields), Length::Known(5))?;
    ///
    /// let mut connection = server::Connection::new(Instant::ORIGIN, server::Config::default());
    /// let mut recv = RecvBuf::new();
    /// recv.extend_from_slice(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    /// connection.poll_event(Instant::ORIGIN, &mut recv)?;
    /// connection.respond_prepared(&hello, Some("Sun, 06 Nov 1994 08:49:37 GMT"))?;
    /// connection.send_content(Bytes::from_static(b"hello"))?;
    /// connection.finish(None)?;
    /// assert_eq!(
    ///     connection.transmit().pop(usize::MAX),
    ///     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\
    ///      Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn respond_prepared(&mut self, head: &PreparedResponse, date: Option<&str>) -> Result<(), CommandError> {
        let ordinary = head.is_plain
            && self.request.version == Version::Http11
            && !self.request.is_head
            && !self.request.is_connect
            && self.persists(head.status);
        self.may_begin()?;
        if ordinary && head.queue(date, &mut self.transmit) {
            self.encoder = head.encoder;
            self.go(Input::ResponseBegan);
            return Ok(());
        }
        self.respond(&Dated { head, date }, head.length)
    }

    /// Sends a piece of the response's content; towards HTTP/1.1 with [`Length::Unknown`] each piece is one chunk.
    /// Pieces from 1 KiB on are queued by reference. Empty pieces do nothing, and content in answer to `HEAD` is
    /// dropped.
    pub fn send_content(&mut self, content: Bytes) -> Result<(), CommandError> {
        self.check_alive()?;
        self.encoder.send(content, &mut self.transmit)
    }

    /// Ends the response, with trailers if it is chunked and the client keeps them
    /// ([`accepts_trailers`](crate::RequestHead::accepts_trailers)): to another client they are not sent.
    ///
    /// If the request is still arriving, what is left of it is dropped up to [`drain_limit`](super::Config::drain_limit),
    /// and with more to come the connection closes in stages.
    pub fn finish(&mut self, trailers: Option<&Trailers>) -> Result<(), CommandError> {
        self.check_alive()?;
        self.encoder.check_finish(trailers)?;
        // RFC 9110, 6.5.1: trailers are for a recipient that is known not to discard them.
        let trailers = trailers.filter(|_| self.request.accepts_trailers);
        self.encoder.finish(trailers, &mut self.transmit)?;
        self.dropped = 0;
        let last = !self.request.keep_alive || self.shutdown || self.rest_is_too_large();
        self.go(if last { Input::LastResponseEnded } else { Input::ResponseEnded });
        Ok(())
    }

    /// Sends 100 (Continue), for which a request with [`expects_continue`](crate::RequestHead::expects_continue)
    /// waits before it sends its content. Where content has come already, nothing is sent.
    pub fn send_continue(&mut self) -> Result<(), CommandError> {
        self.check_alive()?;
        if self.state != State::Receiving || !self.request.awaits_continue {
            return Err(CommandError::ContinueNotExpected);
        }
        self.request.awaits_continue = false;
        // RFC 9110, 10.1.1: a server may leave 100 out where it "has already received some or all of the content".
        if self.intake.has_more() {
            return Ok(());
        }
        write::status_line(&mut self.transmit, 100, canonical_reason(100), 0);
        self.transmit.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Sends an informational response such as 103 (Early Hints), ahead of the final one. 100 and 101 have commands
    /// of their own.
    pub fn send_informational(&mut self, parts: &impl ResponseParts) -> Result<(), CommandError> {
        self.may_begin()?;
        let (status, reason) = status_and_reason(parts)?;
        if !matches!(status, 102..200) {
            return Err(CommandError::InvalidStatus(status));
        }
        // RFC 9110, 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
        if self.request.version == Version::Http10 {
            return Err(CommandError::InformationalToHttp10);
        }
        if self.request.informational >= self.config.max_informational {
            return Err(CommandError::TooManyInformational);
        }
        let checked = Checked::new(parts.fields())?;
        checked.agrees_with(FramingField::Absent)?;
        self.request.informational += 1;
        write::status_line(&mut self.transmit, status, reason, checked.len);
        write::section(&mut self.transmit, || parts.fields(), &checked, FramingField::Absent, Persistence::Default);
        Ok(())
    }

    /// Answers 101 (Switching Protocols). From then on the connection belongs to the protocol that the `Upgrade` field
    /// of `parts` names; whatever the client has sent behind its request is still in the receive buffer.
    ///
    /// To refuse an upgrade, [`respond`](Self::respond) as to any request.
    pub fn upgrade(&mut self, parts: &impl ResponseParts) -> Result<(), CommandError> {
        self.may_begin()?;
        let (status, reason) = status_and_reason(parts)?;
        if status != 101 {
            return Err(CommandError::InvalidStatus(status));
        }
        if !self.request.offers_upgrade {
            return Err(CommandError::UpgradeNotOffered);
        }
        let checked = Checked::new(parts.fields())?;
        // RFC 9110, 15.2.2: "The server MUST generate an Upgrade header field in the response".
        if !checked.upgrade {
            return Err(CommandError::MissingUpgrade);
        }
        self.switch(parts, &checked, status, reason)
    }

    /// Writes the last head of HTTP on this connection.
    fn switch(
        &mut self,
        parts: &impl ResponseParts,
        checked: &Checked,
        status: u16,
        reason: &str,
    ) -> Result<(), CommandError> {
        // RFC 9110, 9.3.6 and 15.2: neither has content, and neither framing field may be in it.
        checked.agrees_with(FramingField::Absent)?;
        if !self.go(Input::Switched) {
            return Err(CommandError::RequestIncomplete);
        }
        write::status_line(&mut self.transmit, status, reason, checked.len);
        write::section(&mut self.transmit, || parts.fields(), checked, FramingField::Absent, Persistence::Default);
        Ok(())
    }

    /// Whether the connection may go on behind a response with this status.
    fn persists(&self, status: u16) -> bool {
        // RFC 9110, 10.1.1: a client that awaits 100 (Continue) and gets a final response may send its content or not;
        // what comes next could be either, so nothing may come next.
        // RFC 9112, 9.6: one that answers with an error is not going to read a large rest of the request.
        self.request.keep_alive
            && !self.request.awaits_continue
            && (status < 400 || !self.rest_is_too_large())
            && !self.shutdown
    }

    /// Whether more of the request is known to be left than would be dropped to keep the connection.
    fn rest_is_too_large(&self) -> bool {
        let rest = self.intake.decoder.as_ref().and_then(Decoder::remaining);
        rest.is_some_and(|rest| rest > self.config.drain_limit)
    }

    /// Whether a response, informational or final, may begin.
    fn may_begin(&self) -> Result<(), CommandError> {
        self.check_alive()?;
        match self.state {
            State::Receiving | State::Received => Ok(()),
            State::Idle | State::Head => Err(CommandError::NoRequest),
            State::Duplex | State::Responding | State::Draining => Err(CommandError::AlreadyAnswered),
            State::Lingering | State::Closing | State::Upgraded | State::Closed => Err(CommandError::Closed),
        }
    }

    fn check_alive(&self) -> Result<(), CommandError> {
        match (self.error, self.state) {
            (Some(error), _) => Err(CommandError::Failed(error)),
            (None, State::Lingering | State::Closing | State::Upgraded | State::Closed) => Err(CommandError::Closed),
            (None, _) => Ok(()),
        }
    }

    pub(super) fn is_until_close(&self) -> bool {
        self.encoder == Encoder::UntilClose
    }

    /// Answers a broken rule, before the error is returned (law 8).
    pub(super) fn farewell(&mut self, error: Error) {
        let Some(status) = error.status() else { return };
        let text = alloc::format!("{error}\n");
        let parts = PlainResponse::new(status, &[("Content-Type", "text/plain; charset=utf-8")]);
        let framing = FramingField::ContentLength(text.len() as u64);
        write::status_line(&mut self.transmit, status, canonical_reason(status), text.len());
        write::section(&mut self.transmit, || parts.fields(), &Checked::default(), framing, Persistence::Close);
        self.transmit.extend_from_slice(text.as_bytes());
    }
}

/// How the content of a response is framed (RFC 9112, 6; RFC 9110, 6.4.1 and 8.6).
pub(crate) fn framing(
    status: u16,
    length: Length,
    checked: &Checked,
    version: Version,
    is_head: bool,
) -> Result<(Encoder, FramingField), CommandError> {
    // In a response that only describes content, the caller's field says as much as `Length` does.
    let described = match (length, checked.content_length) {
        (Length::Known(length), _) | (Length::Unknown, Some(length)) => FramingField::ContentLength(length),
        (Length::Unknown, None) => FramingField::Absent,
    };
    let (encoder, framing) = match (status, length) {
        (204 | 205 | 304, Length::Known(1..)) if status != 304 => return Err(CommandError::ContentNotAllowed),
        // RFC 9110, 8.6: no Content-Length in 204.
        (204, _) => (Encoder::Nothing, FramingField::Absent),
        // RFC 9110, 15.3.6: no content, said by the framing.
        (205, _) => (Encoder::Nothing, FramingField::ContentLength(0)),
        (304, Length::Known(0)) => (Encoder::Nothing, FramingField::Absent),
        (304, _) => (Encoder::Nothing, described),
        _ if is_head => (Encoder::Dropped, described),
        (_, Length::Known(length)) => (Encoder::Length(length), FramingField::ContentLength(length)),
        // RFC 9112, 6.1: no Transfer-Encoding to a client that is not known to understand it.
        (_, Length::Unknown) if version == Version::Http10 => (Encoder::UntilClose, FramingField::Absent),
        (_, Length::Unknown) => (Encoder::Chunked, FramingField::Chunked),
    };
    // `chunked` from a caller who has the same response for every request is no contradiction where it is moot.
    let moot = matches!(encoder, Encoder::Dropped | Encoder::UntilClose) && checked.content_length.is_none();
    if !moot {
        checked.agrees_with(framing)?;
    }
    Ok((encoder, framing))
}

/// A status that ends an exchange (RFC 9110, 15).
pub(crate) fn check_final(status: u16) -> Result<(), CommandError> {
    if status < 200 { Err(CommandError::InvalidStatus(status)) } else { Ok(()) }
}

pub(crate) fn status_and_reason(parts: &impl ResponseParts) -> Result<(u16, &str), CommandError> {
    let status = parts.status();
    if !matches!(status, 100..=999) {
        return Err(CommandError::InvalidStatus(status));
    }
    let reason = parts.reason().unwrap_or(canonical_reason(status));
    write::check_reason(reason)?;
    Ok((status, reason))
}
