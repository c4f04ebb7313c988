//! An open WebSocket: messages in, messages out, and the close.

use std::collections::VecDeque;
use std::task::{Poll, ready};

use drywire_core::{Instant, StreamMachine as _};
use drywire_driver::{Engine, Turn, Wire};
use drywire_ws::{CloseFrame, Connection, Event, Message, SendError, State};

use super::Error;

/// What a reader gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Next {
    /// A message of the peer.
    Message(Message),
    /// The WebSocket has failed. Told once; [`Next::End`] follows.
    Failed(Error),
    /// The closing handshake is over and the transport is closed. Every later call says so again.
    End,
    /// The driver's waker was woken.
    Woken,
}

/// An open WebSocket whose one user reads and whose other one writes, or who does both in turn.
///
/// Whoever waits drives the whole connection: it answers Pings, writes what is queued, and carries the closing handshake
/// on. So a reader alone gets the writer's messages out, and a writer alone keeps the connection alive. Messages that
/// come while only the writer waits are kept up to the *read-ahead*; with more to come nothing is read until some are
/// taken, which the peer feels, and which holds up its Pings as well.
#[derive(Debug)]
pub struct Session {
    /// Messages that came while nobody read.
    inbox: VecDeque<Message>,
    /// How much the inbox holds.
    ahead: usize,
    read_ahead: usize,
    /// A message that was taken on and did not fit the send queue.
    held: Option<Message>,
    /// A close that waits for it.
    closing: Option<CloseFrame>,
    failure: Option<Error>,
    /// The reader has heard of the failure.
    is_told: bool,
    is_over: bool,
    /// Nobody reads any more.
    is_deaf: bool,
}

impl Session {
    /// How many bytes of messages are kept for a reader who does not wait, by default.
    pub const READ_AHEAD: usize = 64 * 1024;

    /// What a message in the inbox counts beside its bytes, so that empty ones are bounded too.
    const OVERHEAD: usize = 64;

    /// A WebSocket that has just opened.
    pub fn new() -> Self {
        Self {
            inbox: VecDeque::new(),
            ahead: 0,
            read_ahead: Self::READ_AHEAD,
            held: None,
            closing: None,
            failure: None,
            is_told: false,
            is_over: false,
            is_deaf: false,
        }
    }

    /// Sets from how many bytes of kept messages on nothing more is read, each counted with 64 bytes on top. One message
    /// is always kept, however long.
    pub fn set_read_ahead(&mut self, bytes: usize) {
        self.read_ahead = bytes;
    }

    /// Waits for the peer's next message, or for the end.
    ///
    /// What is queued leaves before it waits: a reader that answers as it goes need not flush, and the answers to all
    /// that came in one read leave in one write.
    pub fn poll_next(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<Next> {
        if let Some(message) = self.inbox.pop_front() {
            self.ahead -= message.len() + Self::OVERHEAD;
            if self.inbox.is_empty() {
                // An idle connection holds no buffers.
                self.inbox = VecDeque::new();
            }
            return Poll::Ready(Next::Message(message));
        }
        engine.pause_events(false);
        loop {
            if self.is_over {
                let untold = self.failure.clone().filter(|_| !self.is_told);
                self.is_told = true;
                return Poll::Ready(untold.map_or(Next::End, Next::Failed));
            }
            self.offer(engine, wire);
            match ready!(self.poll_turn(engine, wire)) {
                Step::Message(message) => return Poll::Ready(Next::Message(message)),
                Step::Woken => return Poll::Ready(Next::Woken),
                Step::Again => {}
            }
        }
    }

    /// Waits for room for a message. Nothing is written unless there is none.
    pub fn poll_ready(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<Result<(), Error>> {
        loop {
            self.check_open(engine)?;
            if self.offer(engine, wire) {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_aside(engine, wire));
        }
    }

    /// Queues a message, for which [`poll_ready`](Self::poll_ready) has found room. It leaves with the next flush, or
    /// when the reader waits.
    pub fn start_send(&mut self, engine: &mut Engine<Connection>, message: Message) -> Result<(), Error> {
        self.check_open(engine)?;
        if self.held.is_some() {
            return Err(Error::NotReady);
        }
        match engine.machine_mut().send(message) {
            // The reader has answered Pings since there was room.
            Err(SendError::Full(message)) => self.held = Some(message),
            Err(SendError::Misuse(misuse)) => return Err(misuse.into()),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Waits until everything that was sent has been written.
    pub fn poll_flush(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<Result<(), Error>> {
        loop {
            self.check_failure(engine)?;
            self.offer(engine, wire);
            if self.held.is_none() && engine.is_flushed() {
                return Poll::Ready(Ok(()));
            }
            if self.is_over {
                return Poll::Ready(Err(Error::Closed));
            }
            ready!(self.poll_aside(engine, wire));
        }
    }

    /// Starts the closing handshake behind what was sent, without waiting for anything (RFC 6455, 7.1.2).
    pub fn start_close(
        &mut self,
        engine: &mut Engine<Connection>,
        now: Instant,
        frame: CloseFrame,
    ) -> Result<(), Error> {
        self.check_open(engine)?;
        if self.held.is_some() {
            self.closing = Some(frame);
            return Ok(());
        }
        Ok(engine.machine_mut().close(now, Some(frame))?)
    }

    /// Waits until the connection is closed, which somebody has started.
    ///
    /// Messages that still come are kept for the reader up to the read-ahead, and dropped beyond it: who closes and
    /// wants to hear all reads to the end.
    pub fn poll_closed(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<Result<(), Error>> {
        engine.pause_events(false);
        while !self.is_over {
            self.offer(engine, wire);
            match ready!(self.poll_turn(engine, wire)) {
                Step::Message(message) if !self.is_full() => self.keep(message),
                _ => {}
            }
        }
        Poll::Ready(self.failure.clone().map_or(Ok(()), Err))
    }

    /// Whether the connection has ended.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether a reader would get something without waiting.
    pub fn has_news(&self) -> bool {
        self.is_over || !self.inbox.is_empty()
    }

    /// Nobody is going to read any more: messages are dropped, and the peer is held up no longer.
    pub fn stop_reading(&mut self) {
        self.inbox = VecDeque::new();
        self.ahead = 0;
        self.is_deaf = true;
    }

    /// Drives the connection for a writer, and keeps what comes for the reader.
    fn poll_aside(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<()> {
        engine.pause_events(self.is_full());
        if let Step::Message(message) = ready!(self.poll_turn(engine, wire)) {
            self.keep(message);
        }
        Poll::Ready(())
    }

    fn poll_turn(&mut self, engine: &mut Engine<Connection>, wire: &mut impl Wire) -> Poll<Step> {
        Poll::Ready(match ready!(engine.poll_turn(wire)) {
            Ok(Turn::Event(Event::Message(message))) => Step::Message(message),
            Ok(Turn::Closed) => {
                self.is_over = true;
                Step::Again
            }
            Ok(Turn::Woken) => Step::Woken,
            Ok(_) => Step::Again,
            Err(error) => {
                self.failure = Some(error.into());
                self.is_over = true;
                Step::Again
            }
        })
    }

    /// Sends what is held, and says whether there is room for more.
    fn offer(&mut self, engine: &mut Engine<Connection>, wire: &impl Wire) -> bool {
        let connection = engine.machine_mut();
        if connection.transmit().is_full() {
            return false;
        }
        // Any other refusal means that the connection is closing or failed: what was not sent by then never will be.
        if let Some(message) = self.held.take()
            && let Err(SendError::Full(message)) = connection.send(message)
        {
            self.held = Some(message);
            return false;
        }
        if let Some(frame) = self.closing.take() {
            // A frame that may not be sent closes without a code.
            if connection.close(wire.now(), Some(frame)).is_err() {
                let _ = connection.close(wire.now(), None);
            }
        }
        !connection.transmit().is_full()
    }

    fn check_open(&self, engine: &Engine<Connection>) -> Result<(), Error> {
        self.check_failure(engine)?;
        if self.is_over || self.closing.is_some() || engine.machine().state() != State::Open {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// A writer hears of a failure at once, also while its farewell leaves.
    fn check_failure(&self, engine: &Engine<Connection>) -> Result<(), Error> {
        match (&self.failure, engine.machine().failure()) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Some(failure)) => Err(failure.into()),
            (None, None) => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.ahead >= self.read_ahead.max(1)
    }

    fn keep(&mut self, message: Message) {
        if self.is_deaf {
            return;
        }
        self.ahead += message.len() + Self::OVERHEAD;
        self.inbox.push_back(message);
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

enum Step {
    Message(Message),
    Woken,
    Again,
}
