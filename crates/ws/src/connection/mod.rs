//! The connection after its opening: messages, control frames and the closing handshake.

mod assembly;
mod incoming;
mod outgoing;
mod send;
mod timers;

use alloc::boxed::Box;
use alloc::string::ToString;

use bytes::Bytes;
use drywire_core::{Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use self::incoming::Incoming;
use self::outgoing::Outgoing;
use self::timers::{Due, Timers};
#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, Inflater, Parameters, Pool};
use crate::frame::Opcode;
use crate::state::{Input, State};
use crate::utf8::{self, NotUtf8};
use crate::{
    CapacityError, CloseCode, CloseFrame, CloseInfo, Config, End, Error, Message, MessageKind, ProtocolError, Role,
    Utf8Bytes,
};

/// What a connection tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message ([`Delivery::Messages`](crate::Delivery::Messages)).
    Message(Message),
    /// A message begins ([`Delivery::Chunks`](crate::Delivery::Chunks)).
    MessageStart(MessageKind),
    /// The next piece of the message that has begun, never an empty one. Text is cut between characters.
    MessageChunk(Message),
    /// The message that has begun is complete. Text is UTF-8 as a whole only now: what came before this may still turn
    /// out to be the front of something else.
    MessageEnd,
    /// A Ping frame. The Pong that answers it is the connection's own work.
    Ping(Bytes),
    /// A Pong frame: an answer to a [`ping`](Connection::ping), or unasked for as a sign of life (RFC 6455, 5.5.3). The
    /// answers to Pings of [`Config::ping_interval`] are the connection's own.
    Pong(Bytes),
    /// The peer's Close frame; `None` if it had no code. It is the last event, and it has been answered, or will be
    /// at the end of the frame that is [under way](Connection::start_frame).
    Close(Option<CloseFrame>),
}

/// A WebSocket connection after its opening handshake, in either role: RFC 6455, sections 5 to 8.
///
/// Commands may come at any time. Those with a payload are refused with [`SendError::Full`](crate::SendError::Full)
/// while the send queue is at its high-water mark.
///
/// How the handshake went makes no difference from here on. A stream of HTTP/2 that was opened by extended CONNECT
/// (RFC 8441) carries the same frames: make its connection from what was negotiated in its header fields
/// ([`handshake::accept_stream`](crate::handshake::accept_stream) and
/// [`StreamHandshake`](crate::handshake::StreamHandshake)), give it the content of DATA frames, end the stream where
/// [`Close::Both`] is demanded, and reset it with CANCEL where [`Close::Abort`] is (RFC 8441, 5).
#[derive(Debug)]
pub struct Connection {
    role: Role,
    state: State,
    /// Why the connection failed: repeated by every later call.
    failure: Option<Error>,
    /// The latest time seen.
    now: Instant,
    /// How many bytes the last poll left unread.
    unread: usize,
    timers: Timers,
    incoming: Incoming,
    outgoing: Outgoing,
    /// From the first Close frame on.
    info: Option<Box<CloseInfo>>,
    config: Config,
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
            state: State::Open,
            failure: None,
            now,
            unread: 0,
            timers: Timers::new(now),
            incoming: Incoming::new(&config),
            outgoing: Outgoing::new(role, seed, transmit),
            info: None,
            config,
        }
    }

    /// The same connection with permessage-deflate, if the handshake agreed on it (RFC 7692). To be called before
    /// anything is sent or received.
    ///
    /// Nothing is allocated for it before the first compressed message in each direction. Without context takeover
    /// every message takes its compressor from `pool` and gives it back.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, agreed: Option<Parameters>, pool: &Pool) -> Self {
        if let Some(agreed) = agreed {
            self.incoming.use_deflate(Inflater::new(self.role, agreed, pool.clone()));
            self.outgoing.use_deflate(Deflater::new(self.role, agreed, self.config.compression, pool.clone()));
        }
        self
    }

    /// Which end this is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why the connection failed, if it did. The farewell may still be on its way.
    pub fn failure(&self) -> Option<Error> {
        self.failure
    }

    /// How the connection closed, or how far its closing has come.
    pub fn close_info(&self) -> CloseInfo {
        let info = self.info.as_deref().cloned().unwrap_or_default();
        // 7.1.4: "the TCP connection was closed after the WebSocket closing handshake was completed".
        CloseInfo { clean: self.state == State::Closed, ..info }
    }

    #[inline]
    fn see(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Moves by the transition table. Every move but the last gives the peer the close timeout for the next step.
    fn step(&mut self, input: Input) {
        let next = self.state.after(input, self.role);
        if next != self.state {
            self.state = next;
            let patience = (next != State::Aborted).then(|| self.now + self.config.close_timeout);
            self.timers.wait_for_closing(patience);
        }
    }

    /// Answers a control frame that the peer sent. Gives the event if it is for the user.
    fn react(&mut self, event: Event) -> Option<Event> {
        match &event {
            // 5.5.2: a Pong "unless it already received a Close frame"; our own Close frame does not matter.
            Event::Ping(payload) => self.outgoing.answer_ping(payload),
            Event::Pong(payload) if self.timers.is_answered_by(payload) => return None,
            Event::Close(frame) => {
                self.info.get_or_insert_default().note(End::Peer, frame.clone());
                self.outgoing.forget_ping();
                if self.state == State::Open && self.outgoing.is_frame_under_way() {
                    // 5.5.1: "An endpoint MAY delay sending a Close frame until its current message is sent".
                    self.step(Input::PeerCloseInFrame);
                } else {
                    if self.state == State::Open {
                        self.answer_close();
                    }
                    self.step(Input::PeerClose);
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// Fails the connection (RFC 6455, 7.1.7).
    #[cold]
    fn fail(&mut self, failure: Error) -> Error {
        if self.state == State::Open
            && !self.outgoing.is_frame_under_way()
            && let Some(code) = failure.close_code()
        {
            self.push_close(Some(CloseFrame::new(code, failure.to_string())));
        }
        self.outgoing.forget_ping();
        self.incoming = Incoming::default();
        self.failure = Some(failure);
        self.step(if failure == Error::EndOfStream { Input::EndOfStream } else { Input::Violation });
        failure
    }

    /// What is left to see once both Close frames are exchanged, or the connection has failed.
    #[cold]
    fn poll_closing(&mut self, recv: &RecvBuf) {
        if self.state == State::AwaitingEnd {
            // 7.1.1: the client waits for the server to end the stream. Bytes behind a Close frame stay where they
            // are, and a server that sends them is not waited for.
            if !recv.is_empty() {
                self.step(Input::TrailingBytes);
            } else if recv.is_end_of_stream() {
                self.step(Input::EndOfStream);
            }
        }
    }

    /// Closes because of the time. Inside a frame no Close frame can be sent.
    fn close_for(&mut self, reason: &'static str) {
        if self.close(self.now, Some(CloseFrame::new(CloseCode::GOING_AWAY, reason))).is_err() {
            self.fail(Error::UnfinishedFrame);
        }
    }

    fn send_keep_alive(&mut self) {
        if self.outgoing.is_frame_under_way() {
            // As good as heard: it asks again at the next turn.
            self.timers.hear(self.now, false);
        } else {
            let payload = self.timers.ping(self.now);
            self.outgoing.push_control(Opcode::Ping, Bytes::copy_from_slice(&payload));
        }
    }
}

impl StreamMachine for Connection {
    type Event = Event;
    type Error = Error;

    #[inline]
    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        self.see(now);
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        if !matches!(self.state, State::Open | State::CloseSent) {
            self.poll_closing(recv);
            return Ok(None);
        }
        if recv.len() != self.unread {
            self.timers.hear(self.now, self.incoming.is_frame_under_way());
        }
        if let Some((kind, payload)) = self.incoming.find_short(self.role, recv) {
            let end = payload.end;
            self.unread = recv.len() - end;
            self.timers.use_for_message(self.now);
            // Each kind returns by itself, so that no value goes through memory to be moved once more.
            if kind == MessageKind::Binary {
                let message = Bytes::copy_from_slice(&recv[payload]);
                recv.skip(end);
                return Ok(Some(Event::Message(Message::Binary(message))));
            }
            // 8.1: text that is not UTF-8 fails the connection.
            let message = utf8::check(&recv[payload]).map(Utf8Bytes::from);
            recv.skip(end);
            return match message {
                Ok(text) => Ok(Some(Event::Message(Message::Text(text)))),
                Err(NotUtf8) => Err(self.fail(ProtocolError::TextNotUtf8.into())),
            };
        }
        loop {
            let polled = self.incoming.poll(self.now, self.role, &self.config, recv);
            self.unread = recv.len();
            self.timers.follow_message(self.now, self.incoming.is_message_under_way());
            match polled {
                Ok(Some(event @ (Event::Message(_) | Event::MessageChunk(_)))) => {
                    self.timers.use_for_message(self.now);
                    return Ok(Some(event));
                }
                Ok(Some(event)) => {
                    if let Some(event) = self.react(event) {
                        return Ok(Some(event));
                    }
                }
                Ok(None) if recv.is_end_of_stream() => return Err(self.fail(Error::EndOfStream)),
                Ok(None) => return Ok(None),
                Err(failure) => return Err(self.fail(failure)),
            }
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.outgoing.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let (at, _) = self.timers.next(self.state, &self.config)?;
        // Once the transport is to be closed there is nothing left to wait for.
        self.demand().close.is_none().then_some(at)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.see(now);
        while let Some((at, due)) = self.timers.next(self.state, &self.config)
            && at <= self.now
        {
            match due {
                Due::Ping => self.send_keep_alive(),
                Due::Lifetime => self.close_for("the connection has reached its lifetime"),
                Due::Idle => self.close_for("the connection is idle"),
                Due::Message => _ = self.fail(CapacityError::MessageTimeout.into()),
                Due::Pong => _ = self.fail(CapacityError::PongTimeout.into()),
                Due::Closing => {
                    if self.state == State::CloseSent {
                        self.failure = Some(Error::CloseTimeout);
                    }
                    // What the peer has not taken by now it never will.
                    self.outgoing.clear();
                    self.step(Input::Deadline);
                    if self.state == State::Closed {
                        self.timers.wait_for_closing(None);
                    }
                }
            }
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
