//! The client's side of a connection.
//!
//! ```text
//!            RequestBegan             RequestEnded
//!   ┌──────┐ ───────────▶ ┌─────────┐ ───────────▶ ┌─────────┐ ─▶ Upgraded
//!   │ Idle │              │ Sending │              │ Waiting │
//!   └──────┘              └─────────┘              └─────────┘
//!     ▲  ▲      ResponseBegan │        ResponseBegan    │
//!     │  │                    ▼                         ▼
//!     │  │                ┌────────┐ RequestEnded ┌───────────┐
//!     │  │                │ Duplex │ ───────────▶ │ Receiving │
//!     │  │                └────────┘              └───────────┘
//!     │  │ RequestEnded       │ ResponseEnded           │
//!     │  └── ┌──────────┐ ◀───┘                         │ ResponseEnded
//!     │      │ Answered │                               │
//!     │      └──────────┘                               │
//!     └─────────────────────────────────────────────────┘
//!        Expecting: before Sending, where content waits for 100 (Continue)
//!        with requests in a pipeline: Waiting ─▶ Sending and Receiving ─▶ Duplex (RequestBegan),
//!        Duplex ─▶ Sending and Receiving ─▶ Waiting (NextAwaited)
//!        any of them ─▶ Closed
//! ```

mod config;
mod receive;
pub(crate) mod send;
mod state;

use alloc::collections::VecDeque;

use bytes::Bytes;
use drywire_core::{Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

pub use config::Config;
pub use state::State;

use crate::content::encode::Encoder;
use crate::head::scan::Kind;
use crate::intake::Intake;
use crate::timer::{Stall, Timer};
use crate::{Error, ResponseHead, Trailers};
use state::Input;

/// What the client tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of an informational response other than 101; the final one follows.
    Informational(ResponseHead),
    /// The head of the final response, or of the 101 that switches protocols.
    Response(ResponseHead),
    /// A piece of the response's content, never empty. Where content is cut says nothing: small chunks come joined,
    /// large ones in parts.
    Content(Bytes),
    /// The response has arrived in full; comes exactly once for each, also where there is no content. Behind a switch
    /// of protocols there is none.
    End(Trailers),
    /// The connection has ended in order and takes no more requests: behind its last exchange, by the server between two
    /// exchanges, by the idle timeout, or as the caller asked. Comes once and last; not behind an error or a switch of protocols.
    Closed,
}

/// The client's side of one connection: one exchange after the other, or some in a pipeline.
///
/// Every request takes the same three steps: [`send_request`](Self::send_request),
/// [`send_content`](Self::send_content) as often as there is some, [`finish`](Self::finish). The response may begin
/// before the request has ended.
///
/// With [`max_pipeline`](Config::max_pipeline) above 1, the next request may begin when the one before has been
/// finished; the responses come in the order of the requests. When the connection fails,
/// [`unanswered`](Self::unanswered) tells how many of the latest requests got no response.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    state: State,
    /// The latest time that was seen.
    now: Instant,
    transmit: SendQueue,
    timer: Timer,
    stall: Stall,
    error: Option<Error>,
    /// The transport is to be dropped without ceremony.
    aborted: bool,
    /// The caller wants to end behind the running exchanges.
    shutdown: bool,
    /// The caller knows that the connection has ended.
    end_told: bool,

    intake: Intake,
    encoder: Encoder,
    /// Content that waits for 100 (Continue).
    held: SendQueue,
    /// The requests that have not got their whole response, oldest first.
    exchanges: VecDeque<Exchange>,
}

/// What the reading side has to know of a request, and what it knows of its response.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    is_head: bool,
    is_connect: bool,
    offers_upgrade: bool,
    keep_alive: bool,
    /// Informational responses so far.
    informational: usize,
    /// The final response has begun.
    answered: bool,
}

impl Connection {
    /// A connection that waits for its first request.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut timer = Timer::default();
        timer.arm(now, config.idle_timeout, 0);
        Self {
            transmit: SendQueue::new(config.send_high_water),
            held: SendQueue::new(config.send_high_water),
            intake: Intake::new(Kind::Response, config.head_limits(), config.content_limits()),
            config,
            state: State::Idle,
            now,
            timer,
            stall: Stall::default(),
            error: None,
            aborted: false,
            shutdown: false,
            end_told: false,
            encoder: Encoder::Idle,
            exchanges: VecDeque::new(),
        }
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a request would be taken now.
    pub fn is_ready(&self) -> bool {
        self.may_begin().is_ok()
    }

    /// How many requests have begun and not got their whole response. A failure leaves it as it was.
    pub fn outstanding(&self) -> usize {
        self.exchanges.len()
    }

    /// How many of the latest requests have got no part of a final response. A failure leaves it as it was: these
    /// requests may be repeated on another connection if their methods are idempotent (RFC 9110, 9.2.2).
    pub fn unanswered(&self) -> usize {
        self.exchanges.iter().filter(|exchange| !exchange.answered).count()
    }

    /// How many trailer fields were dropped in all responses so far, because they frame, route or authenticate and do
    /// not belong into a trailer section (RFC 9110, 6.5.1).
    pub fn dropped_trailers(&self) -> u64 {
        self.intake.dropped_trailers
    }

    /// Whether the connection belongs to another protocol: the response that switches has been returned. The machine
    /// then leaves the receive buffer alone.
    pub fn is_upgraded(&self) -> bool {
        self.state == State::Upgraded
    }

    /// What is still to be sent, for the protocol that takes over.
    pub fn into_transmit(self) -> SendQueue {
        self.transmit
    }

    /// Ends the connection behind the exchanges that are running, at once where none is. Does nothing when repeated.
    pub fn shutdown(&mut self) {
        self.shutdown = true;
        self.go(Input::Ended);
    }

    /// Drops the connection at once, with whatever is queued: the only way out of a request that cannot be finished.
    pub fn abort(&mut self) {
        if self.go(Input::GaveUp) {
            self.aborted = true;
            self.transmit.clear();
        }
    }

    /// Takes a transition; `false` where the table has none. A new state brings a new deadline.
    fn go(&mut self, input: Input) -> bool {
        let Some(next) = self.state.next(input) else { return false };
        self.state = next;
        self.timer.disarm();
        match next {
            State::Idle if self.shutdown => return self.go(Input::Ended),
            // What is left of a request that nobody waits for would only keep the close waiting.
            State::Closed => {
                self.transmit.clear();
                self.held.clear();
            }
            _ => {}
        }
        true
    }

    /// Time does not go backwards.
    fn tick(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Gives the current state its deadline, if it has none yet.
    fn arm(&mut self) {
        if self.timer.is_armed() {
            return;
        }
        let timeout = match self.state {
            State::Idle => self.config.idle_timeout,
            State::Expecting => Some(self.config.continue_timeout),
            State::Waiting => self.config.response_timeout,
            State::Duplex | State::Receiving => self.config.content_timeout,
            State::Sending | State::Answered | State::Upgraded | State::Closed => None,
        };
        self.timer.arm(self.now, timeout, self.transmit.len());
    }

    /// Looks whether the server takes what is queued for it.
    fn watch(&mut self) {
        // What another protocol queues is its own matter.
        if self.state != State::Upgraded {
            self.stall.watch(self.now, self.config.send_timeout, &self.transmit);
        }
    }

    /// The deadline of the state has passed.
    fn expire(&mut self) {
        match self.state {
            State::Idle => drop(self.go(Input::Ended)),
            // RFC 9110, 10.1.1: a client "SHOULD NOT wait for an indefinite period before sending the content".
            State::Expecting => self.release_content(),
            State::Waiting => self.fail(Error::ResponseTimeout),
            State::Duplex | State::Receiving => self.fail(Error::ContentTimeout),
            State::Sending | State::Answered | State::Upgraded | State::Closed => {}
        }
    }
}

impl StreamMachine for Connection {
    type Event = Event;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        self.tick(now);
        if matches!(self.state, State::Expecting | State::Sending | State::Waiting) && self.intake.drips(recv) {
            self.arm();
            self.watch();
            return Ok(None);
        }
        let result = self.receive(recv);
        self.intake.end(recv);
        if let Ok(Some(_)) = result {
            // While the caller has an event in hand, it is not the peer who is slow.
            self.timer.disarm();
        } else {
            self.arm();
        }
        self.watch();
        result
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.transmit
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let stall = self.stall.deadline(&self.transmit).filter(|_| self.state != State::Upgraded);
        [self.timer.deadline(), stall].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let now = self.tick(now);
        if self.state != State::Upgraded && self.stall.has_expired(now, &self.transmit) {
            self.fail(Error::SendTimeout);
            self.aborted = true;
        }
        if self.timer.deadline().is_some_and(|deadline| deadline <= now) {
            self.expire();
            self.timer.disarm();
            self.arm();
        }
        self.watch();
    }

    fn demand(&self) -> Demand {
        let close = match self.state {
            _ if self.aborted => Some(Close::Abort),
            State::Closed if self.transmit.is_empty() => Some(Close::Both),
            _ => None,
        };
        let wanted = match self.state {
            State::Upgraded | State::Closed => false,
            State::Answered => self.intake.has_room(self.config.receive_high_water),
            _ => self.intake.is_hungry(self.config.receive_high_water),
        };
        Demand { read: wanted && !self.intake.peer_ended(), close }
    }
}
