//! The server's side of a connection.
//!
//! ```text
//!              HeadBegan           HeadWithContent              ContentEnded
//!   ┌──────┐ ───────────▶ ┌──────┐ ──────────────▶ ┌───────────┐ ──────────▶ ┌──────────┐
//!   │ Idle │              │ Head │                 │ Receiving │             │ Received │ ─▶ Upgraded
//!   └──────┘              └──────┘ ───────────┐    └───────────┘             └──────────┘
//!     ▲  ▲                          HeadAlone └─────────│────────────────────▶ │
//!     │  │                                 ResponseBegan▼                      ▼ ResponseBegan
//!     │  │   ContentEnded  ┌──────────┐ ResponseEnded ┌────────┐ ContentEnded ┌────────────┐
//!     │  └──────────────── │ Draining │ ◀──────────── │ Duplex │ ───────────▶ │ Responding │
//!     │                    └──────────┘               └────────┘              └────────────┘
//!     └──────────────────────────────────────────────────────────── ResponseEnded ──┘
//!        any of them ─▶ Closing or Lingering (our direction ended) ─▶ Closed
//! ```

mod config;
mod receive;
pub(crate) mod send;
mod state;

use core::time::Duration;

use bytes::Bytes;
use drywire_core::{Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

pub use config::Config;
pub use state::State;

use crate::content::encode::Encoder;
use crate::head::scan::Kind;
use crate::intake::Intake;
use crate::timer::{Pace, Stall, Timer};
use crate::{Error, RequestHead, Trailers, Version};
use state::Input;

/// What the server tells its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a request. The next one comes only after this one's response has ended.
    Request(RequestHead),
    /// A piece of the request's content, never empty. Where content is cut says nothing: small chunks come joined,
    /// large ones in parts.
    Content(Bytes),
    /// The request has arrived in full; comes exactly once for each that does, also where there is no content.
    End(Trailers),
    /// The peer has ended its direction while it waits for its response: it has gone, or still reads. Comes at most
    /// once, and says whether a response that takes long is worth the wait; without one, the connection just closes.
    PeerEnded,
    /// The exchange is over in both directions and the next request may come: what belonged to it can be let go. Comes only
    /// with [`tell_ready`](Config::tell_ready), once behind each exchange, as soon as the send queue has room for another
    /// response; not behind the last exchange of a connection.
    Ready,
}

/// The server's side of one connection.
///
/// Every response takes the same three steps: [`respond`](Self::respond), [`send_content`](Self::send_content) as
/// often as there is some, [`finish`](Self::finish). It may begin as soon as the request's head has come.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    state: State,
    /// The latest time that was seen.
    now: Instant,
    transmit: SendQueue,
    timer: Timer,
    stall: Stall,
    pace: Pace,
    error: Option<Error>,
    /// The transport is to be dropped without ceremony.
    aborted: bool,
    /// The caller wants to end behind the running exchange.
    shutdown: bool,
    /// The caller knows that the peer has ended.
    end_told: bool,
    /// The end of an exchange is still to be told.
    ready_is_due: bool,

    intake: Intake,
    /// Empty lines in front of the request.
    empty_lines: usize,
    /// Content dropped behind the response, or bytes dropped while lingering.
    dropped: u64,
    encoder: Encoder,
    request: Exchange,
}

/// What the response has to know of its request.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    version: Version,
    is_head: bool,
    is_connect: bool,
    offers_upgrade: bool,
    keep_alive: bool,
    /// 100 (Continue) is awaited: the client may or may not send its content without.
    awaits_continue: bool,
    accepts_trailers: bool,
    /// Informational responses that were sent.
    informational: usize,
}

impl Exchange {
    const NONE: Self = Self {
        version: Version::Http11,
        is_head: false,
        is_connect: false,
        offers_upgrade: false,
        keep_alive: true,
        awaits_continue: false,
        accepts_trailers: false,
        informational: 0,
    };
}

impl Connection {
    /// A connection that waits for its first request, which is to begin within the idle timeout from `now` on.
    pub fn new(now: Instant, config: Config) -> Self {
        let mut timer = Timer::default();
        timer.arm(now, config.idle_timeout, 0);
        Self {
            transmit: SendQueue::new(config.send_high_water),
            intake: Intake::new(Kind::Request, config.head_limits(), config.content_limits()),
            config,
            state: State::Idle,
            now,
            timer,
            stall: Stall::default(),
            pace: Pace::default(),
            error: None,
            aborted: false,
            shutdown: false,
            end_told: false,
            ready_is_due: false,
            empty_lines: 0,
            dropped: 0,
            encoder: Encoder::Idle,
            request: Exchange::NONE,
        }
    }

    /// Where the connection stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the peer has ended its direction. It may still be waiting for its response.
    pub fn is_peer_finished(&self) -> bool {
        self.intake.peer_ended()
    }

    /// How many trailer fields were dropped in all requests so far, because they frame, route or authenticate and do
    /// not belong into a trailer section (RFC 9110, 6.5.1).
    pub fn dropped_trailers(&self) -> u64 {
        self.intake.dropped_trailers
    }

    /// Whether the connection belongs to another protocol: 101, or 2xx to `CONNECT`, is in the send queue or sent.
    /// The machine then leaves the receive buffer alone.
    pub fn is_upgraded(&self) -> bool {
        self.state == State::Upgraded
    }

    /// What is still to be sent, for the protocol that takes over.
    pub fn into_transmit(self) -> SendQueue {
        self.transmit
    }

    /// Ends the connection behind the exchange that is running, at once where none is. Does nothing when repeated.
    ///
    /// A request that has begun to arrive is still answered, with `Connection: close`.
    pub fn shutdown(&mut self) {
        self.shutdown = true;
        if matches!(self.state, State::Idle | State::Draining) {
            self.go(Input::Ended);
        }
    }

    /// Drops the connection at once, with whatever is queued: the only way out of a response that cannot be finished.
    pub fn abort(&mut self) {
        if self.go(Input::GaveUp) || (self.state == State::Closed && !self.transmit.is_empty()) {
            self.aborted = true;
            self.transmit.clear();
        }
    }

    /// Takes a transition; `false` where the table has none. A new state brings a new deadline.
    fn go(&mut self, input: Input) -> bool {
        let Some(next) = self.state.next(input) else { return false };
        if next != self.state {
            self.state = next;
            self.timer.disarm();
            self.pace.stop(self.now);
        }
        if next == State::Idle {
            self.request = Exchange::NONE;
            self.empty_lines = 0;
            if self.shutdown {
                return self.go(Input::Ended);
            }
            self.ready_is_due = self.config.tell_ready;
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
        if self.timer.is_armed() && !(self.is_at_rest() && self.timer.unsent() > 0 && self.transmit.is_empty()) {
            return;
        }
        let timeout = match self.state {
            State::Idle => self.config.idle_timeout,
            State::Head => self.config.head_timeout,
            State::Receiving | State::Draining => self.content_patience(),
            // Who does not take the response is not read from either, and has its deadline for that.
            State::Duplex if self.transmit.is_full() => None,
            State::Duplex => self.config.content_timeout,
            State::Lingering | State::Closing => Some(self.config.linger_timeout),
            State::Received | State::Responding | State::Upgraded | State::Closed => None,
        };
        self.timer.arm(self.now, timeout, self.transmit.len());
    }

    /// How much longer content may take: the pause that is allowed, or what its rate so far leaves of it.
    fn content_patience(&mut self) -> Option<Duration> {
        let pause = self.config.content_timeout?;
        self.pace.wait(self.now);
        Some(pause.min(self.pace.left(pause, self.config.min_content_rate)))
    }

    /// Looks whether the peer takes what is queued for it.
    fn watch(&mut self) {
        // What another protocol queues is its own matter.
        if self.state != State::Upgraded {
            self.stall.watch(self.now, self.config.send_timeout, &self.transmit);
        }
    }

    /// Whether nothing is expected but a new request or the end.
    fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Idle | State::Lingering | State::Closing)
    }

    /// The deadline of the state has passed.
    fn expire(&mut self) {
        match self.state {
            // What is queued has to leave first, for as long as it does leave.
            _ if self.is_at_rest() && !self.transmit.is_empty() => {}
            State::Duplex if self.transmit.is_full() => {}
            State::Idle => drop(self.go(Input::Ended)),
            State::Head => self.fail(Error::HeadTimeout),
            State::Draining => drop(self.go(Input::TooMuchToDrain)),
            State::Receiving | State::Duplex => self.fail(Error::ContentTimeout),
            State::Lingering | State::Closing => drop(self.go(Input::GaveUp)),
            State::Received | State::Responding | State::Upgraded | State::Closed => {}
        }
    }
}

impl StreamMachine for Connection {
    type Event = Event;
    type Error = Error;

    /// The next event. Where the caller has to act first (answer, or let the send queue drain) it is `None` as well.
    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        self.tick(now);
        if self.state == State::Head && self.intake.drips(recv) {
            self.arm();
            self.watch();
            return Ok(None);
        }
        self.intake.begin();
        let result = match self.error {
            None => self.parse(recv),
            Some(error) => Err(error),
        };
        if let Err(error) = result {
            self.break_off(error, recv);
        }
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
            self.error.get_or_insert(Error::SendTimeout);
            self.abort();
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
            _ if !self.transmit.is_empty() => None,
            // RFC 9112, 9.6: half-close first, so that the peer sees the response before it sees a reset.
            State::Lingering | State::Closing => Some(Close::WriteHalf),
            State::Closed => Some(Close::Both),
            _ => None,
        };
        let room = self.intake.is_hungry(self.config.receive_high_water);
        let wanted = match self.state {
            State::Idle | State::Duplex => room && !self.transmit.is_full(),
            State::Head | State::Receiving | State::Draining | State::Lingering => room,
            // Nothing more is parsed now, but the peer's end is worth knowing.
            State::Received | State::Responding | State::Closing => {
                self.intake.has_room(self.config.receive_high_water)
            }
            State::Upgraded | State::Closed => false,
        };
        Demand { read: wanted && !self.intake.peer_ended(), close }
    }
}
