//! The commands of a connection.

use bytes::Bytes;
use drywire_core::Instant;

use super::Connection;
use crate::frame::{CONTROL_MAX, Opcode};
use crate::state::{Input, State};
use crate::{CloseFrame, End, Message, MessageKind, Misuse, PreparedMessage, SendError, Utf8Bytes};

impl Connection {
    /// Sends a message as one frame.
    pub fn send(&mut self, message: impl Into<Message>) -> Result<(), SendError<Message>> {
        match message.into() {
            Message::Text(text) => self.send_text(text).map_err(|error| error.map(Message::Text)),
            Message::Binary(bytes) => self.send_binary(bytes).map_err(|error| error.map(Message::Binary)),
        }
    }

    /// Sends a text message as one frame (RFC 6455, 5.6).
    pub fn send_text(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), SendError<Utf8Bytes>> {
        let text = text.into();
        self.may_start_message()?;
        if self.outgoing.is_full() {
            return Err(SendError::Full(text));
        }
        self.outgoing.push_message(Opcode::Text, text.into());
        Ok(())
    }

    /// Sends a binary message as one frame (RFC 6455, 5.6).
    pub fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        let bytes = bytes.into();
        self.may_start_message()?;
        if self.outgoing.is_full() {
            return Err(SendError::Full(bytes));
        }
        self.outgoing.push_message(Opcode::Binary, bytes);
        Ok(())
    }

    /// Sends a message that was encoded before, as one frame. A message refused with [`SendError::Full`] may be sent
    /// again.
    pub fn send_prepared(&mut self, message: &PreparedMessage) -> Result<(), SendError<()>> {
        self.may_start_message()?;
        if self.outgoing.is_full() {
            return Err(SendError::Full(()));
        }
        self.outgoing.push_prepared(message);
        Ok(())
    }

    /// Whether the messages that begin from now on are compressed, where permessage-deflate was agreed on. They are by
    /// default; RFC 7692, 6 leaves it to the sender message by message.
    pub fn set_compressing(&mut self, compressing: bool) {
        self.outgoing.set_compressing(compressing);
    }

    /// Begins a message that is sent in fragments of unknown number (RFC 6455, 5.4). Nothing is sent before the first
    /// [`send_fragment`](Self::send_fragment); until the last one, control frames may be sent, other messages not.
    pub fn start_message(&mut self, kind: MessageKind) -> Result<(), Misuse> {
        self.may_start_message()?;
        self.outgoing.start_message(kind);
        Ok(())
    }

    /// Begins a message of a known length that is sent as one frame, whose payload follows in pieces by
    /// [`send_fragment`](Self::send_fragment). It is not compressed, because then its length would not be known. An
    /// empty message has one empty piece.
    ///
    /// Nothing can stand inside a frame: until its end Pings wait for their answers, and [`ping`](Self::ping),
    /// [`pong`](Self::pong) and [`close`](Self::close) are refused. A Close frame of the peer is answered at its end.
    pub fn start_frame(&mut self, kind: MessageKind, len: u64) -> Result<(), SendError<()>> {
        self.may_start_message()?;
        // 5.2: "the most significant bit MUST be 0".
        if len >> 63 != 0 {
            return Err(Misuse::WrongLength.into());
        }
        if self.outgoing.is_full() {
            return Err(SendError::Full(()));
        }
        self.outgoing.start_frame(kind, len);
        Ok(())
    }

    /// Sends the next piece of the message under way; `last` ends the message.
    ///
    /// A text message may be cut anywhere, also inside a character, but its pieces must add up to UTF-8. The pieces of
    /// a frame of known length must add up to that length, and the one that reaches it is the last.
    pub fn send_fragment(&mut self, payload: impl Into<Bytes>, last: bool) -> Result<(), SendError<Bytes>> {
        let payload = payload.into();
        if self.state != State::CloseReceived {
            self.may_send()?;
        }
        if self.outgoing.is_full() {
            return Err(SendError::Full(payload));
        }
        self.outgoing.push_fragment(payload, last)?;
        self.timers.use_for_message(self.now);
        if last && self.state == State::CloseReceived {
            self.answer_close();
            self.step(Input::AnswerSent);
        }
        Ok(())
    }

    /// Sends a Ping with up to 125 bytes of payload (RFC 6455, 5.5.2). Its answer is an
    /// [`Event::Pong`](crate::Event::Pong).
    pub fn ping(&mut self, payload: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        self.send_control(Opcode::Ping, payload.into())
    }

    /// Sends a Pong that nobody asked for, as a sign of life (RFC 6455, 5.5.3). Pings are answered without it.
    pub fn pong(&mut self, payload: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        self.send_control(Opcode::Pong, payload.into())
    }

    /// Starts the closing handshake (RFC 6455, 7.1.2) with a code and a reason, or with neither.
    ///
    /// It is never refused as full, and it ends a fragmented message where it stands. Messages that the peer has
    /// under way still arrive until its own Close frame does.
    pub fn close(&mut self, now: Instant, frame: Option<CloseFrame>) -> Result<(), Misuse> {
        self.see(now);
        self.may_send()?;
        if let Some(frame) = &frame {
            frame.check()?;
        }
        if self.outgoing.is_frame_under_way() {
            return Err(Misuse::FrameUnderWay);
        }
        self.push_close(frame);
        self.step(Input::CloseCommand);
        Ok(())
    }

    /// Queues a Close frame and notes it.
    pub(super) fn push_close(&mut self, frame: Option<CloseFrame>) {
        self.outgoing.push_close(frame.as_ref());
        self.info.get_or_insert_default().note(End::Local, frame);
    }

    /// 5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the endpoint MUST send
    /// a Close frame in response", which "typically echos the status code".
    pub(super) fn answer_close(&mut self) {
        let received = self.info.as_ref().and_then(|info| info.received.as_ref());
        let echo = received.filter(|frame| frame.code.is_sendable()).map(|frame| CloseFrame::new(frame.code, ""));
        self.push_close(echo);
    }

    fn send_control(&mut self, opcode: Opcode, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.may_send()?;
        if payload.len() > CONTROL_MAX {
            return Err(Misuse::ControlTooLong.into());
        }
        if self.outgoing.is_frame_under_way() {
            return Err(Misuse::FrameUnderWay.into());
        }
        if self.outgoing.is_full() {
            return Err(SendError::Full(payload));
        }
        self.outgoing.push_control(opcode, payload);
        Ok(())
    }

    #[inline]
    fn may_send(&self) -> Result<(), Misuse> {
        match self.failure {
            Some(failure) => Err(Misuse::Failed(failure)),
            // 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
            None if self.state != State::Open => Err(Misuse::Closing),
            None => Ok(()),
        }
    }

    #[inline]
    fn may_start_message(&mut self) -> Result<(), Misuse> {
        self.may_send()?;
        // 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message".
        if let Some(misuse) = self.outgoing.is_message_under_way() {
            return Err(misuse);
        }
        self.timers.use_for_message(self.now);
        Ok(())
    }
}
