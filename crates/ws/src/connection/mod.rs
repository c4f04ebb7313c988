//! The connection after its opening: messages, control frames and the closing handshake.

mod incoming;
mod outgoing;

use alloc::string::ToString;

use bytes::Bytes;
use drywire_core::{Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use self::incoming::Incoming;
use self::outgoing::Outgoing;
use crate::frame::{CONTROL_MAX, Opcode};
use crate::state::{Input, State};
use crate::{CloseFrame, Config, Error, Message, Misuse, Role, SendError, Utf8Bytes};

/// What a connection tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// A Ping frame. The Pong that answers it is the connection's own work.
    Ping(Bytes),
    /// A Pong frame: an answer to a Ping of ours, or unasked for as a sign of life (RFC 6455, 5.5.3).
    Pong(Bytes),
    /// The peer's Close frame; `None` if it had no code. It is the last event, and it has been answered.
    Close(Option<CloseFrame>),
}

/// A WebSocket connection after its opening handshake, in either role: RFC 6455, sections 5 to 8.
///
/// Commands may come at any time. Those with a payload are refused with [`SendError::Full`] while the send queue is
/// at its high-water mark.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    config: Config,
    state: State,
    /// Why the connection failed: repeated by every later call.
    failure: Option<Error>,
    /// The latest time seen.
    now: Instant,
    /// When patience with the peer's part in the closing ends.
    deadline: Option<Instant>,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Connection {
    /// A connection whose opening handshake is over.
    ///
    /// `transmit` is what the handshake left to be sent, often the response head; its high-water mark stays in force.
    /// Masking keys are drawn from `seed`, which must be unpredictable to applications on a client that faces real
    /// networks (RFC 6455, 5.3 and 10.3). A server masks nothing and draws nothing.
    pub fn new(now: Instant, role: Role, config: Config, seed: &Seed, transmit: SendQueue) -> Self {
        Self {
            role,
            config,
            state: State::Open,
            failure: None,
            now,
            deadline: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::new(role, seed, transmit),
        }
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

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
        self.outgoing.push(Opcode::Text, true, text.into());
        Ok(())
    }

    /// Sends a binary message as one frame (RFC 6455, 5.6).
    pub fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        let bytes = bytes.into();
        self.may_start_message()?;
        if self.outgoing.is_full() {
            return Err(SendError::Full(bytes));
        }
        self.outgoing.push(Opcode::Binary, true, bytes);
        Ok(())
    }

    /// Begins a message that is sent in fragments of unknown number (RFC 6455, 5.4). Nothing is sent before the first
    /// [`send_fragment`](Self::send_fragment); until the last one, control frames may be sent, other messages not.
    pub fn start_message(&mut self, kind: MessageKind) -> Result<(), Misuse> {
        self.may_start_message()?;
        self.outgoing.start_message(kind);
        Ok(())
    }

    /// Sends the next fragment of the message under way; `last` ends the message.
    ///
    /// A text message may be cut anywhere, also inside a character, but its fragments must add up to UTF-8.
    pub fn send_fragment(&mut self, payload: impl Into<Bytes>, last: bool) -> Result<(), SendError<Bytes>> {
        let payload = payload.into();
        self.may_send()?;
        if self.outgoing.is_full() {
            return Err(SendError::Full(payload));
        }
        Ok(self.outgoing.push_fragment(payload, last)?)
    }

    /// Sends a Ping with up to 125 bytes of payload (RFC 6455, 5.5.2). Its answer is an [`Event::Pong`].
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
        self.outgoing.push_close(frame);
        self.step(Input::CloseCommand);
        Ok(())
    }

    fn send_control(&mut self, opcode: Opcode, payload: Bytes) -> Result<(), SendError<Bytes>> {
        self.may_send()?;
        if payload.len() > CONTROL_MAX {
            return Err(Misuse::ControlTooLong.into());
        }
        if self.outgoing.is_full() {
            return Err(SendError::Full(payload));
        }
        self.outgoing.push(opcode, true, payload);
        Ok(())
    }

    fn may_send(&self) -> Result<(), Misuse> {
        match self.failure {
            Some(failure) => Err(Misuse::Failed(failure)),
            // 5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
            None if self.state != State::Open => Err(Misuse::Closing),
            None => Ok(()),
        }
    }

    fn may_start_message(&self) -> Result<(), Misuse> {
        self.may_send()?;
        // 5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message".
        if self.outgoing.is_message_under_way() { Err(Misuse::MessageUnderWay) } else { Ok(()) }
    }

    fn see(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Moves by the transition table. Every move but the last gives the peer the close timeout for the next step.
    fn step(&mut self, input: Input) {
        let next = self.state.after(input, self.role);
        if next != self.state {
            self.state = next;
            self.deadline = (next != State::Aborted).then(|| self.now + self.config.close_timeout);
        }
    }

    /// Answers a control frame that the peer sent.
    fn react(&mut self, event: &Event) {
        match event {
            // 5.5.2: a Pong "unless it already received a Close frame"; our own Close frame does not matter.
            Event::Ping(payload) => self.outgoing.answer_ping(payload),
            Event::Close(frame) => {
                // 5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
                // endpoint MUST send a Close frame in response", which "typically echos the status code".
                if self.state == State::Open {
                    let echo = frame.as_ref().map(|frame| CloseFrame::new(frame.code, Utf8Bytes::new()));
                    self.outgoing.push_close(echo);
                }
                self.outgoing.forget_ping();
                self.step(Input::PeerClose);
            }
            Event::Message(_) | Event::Pong(_) => {}
        }
    }

    /// Fails the connection (RFC 6455, 7.1.7).
    fn fail(&mut self, failure: Error) -> Error {
        if self.state == State::Open
            && let Some(code) = failure.close_code()
        {
            self.outgoing.push_close(Some(CloseFrame::new(code, failure.to_string())));
        }
        self.outgoing.forget_ping();
        self.incoming = Incoming::default();
        self.failure = Some(failure);
        self.step(if failure == Error::EndOfStream { Input::EndOfStream } else { Input::Violation });
        failure
    }
}

impl StreamMachine for Connection {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        self.see(now);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        match self.state {
            State::Open | State::CloseSent => {}
            State::AwaitingEnd => {
                // 7.1.1: the client waits for the server to end the stream. Bytes behind a Close frame stay where
                // they are, and a server that sends them is not waited for.
                if !recv.is_empty() {
                    self.step(Input::TrailingBytes);
                } else if recv.is_end_of_stream() {
                    self.step(Input::EndOfStream);
                }
                return Ok(None);
            }
            State::Closed | State::Failed | State::Aborted => return Ok(None),
        }
        match self.incoming.poll(self.role, &self.config, recv) {
            Ok(Some(event)) => {
                self.react(&event);
                Ok(Some(event))
            }
            Ok(None) if recv.is_end_of_stream() => Err(self.fail(Error::EndOfStream)),
            Ok(None) => Ok(None),
            Err(failure) => Err(self.fail(failure)),
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.outgoing.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        // Once the transport is to be closed there is nothing left to wait for.
        self.deadline.filter(|_| self.demand().close.is_none())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.see(now);
        if self.deadline.is_none_or(|deadline| self.now < deadline) {
            return;
        }
        if self.state == State::CloseSent {
            self.failure = Some(Error::CloseTimeout);
        }
        // What the peer has not taken by now it never will.
        self.outgoing.transmit().clear();
        self.step(Input::Deadline);
        if self.state == State::Closed {
            self.deadline = None;
        }
    }

    fn demand(&self) -> Demand {
        let close = match self.state {
            State::Closed | State::Failed if self.outgoing.is_drained() => Some(Close::Both),
            State::Aborted => Some(Close::Abort),
            _ => None,
        };
        let read = matches!(self.state, State::Open | State::CloseSent | State::AwaitingEnd);
        Demand { read, close }
    }
}

/// What kind of message is sent in fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Text, which is UTF-8 as a whole.
    Text,
    /// Bytes.
    Binary,
}
