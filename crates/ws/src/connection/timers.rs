//! Time as state: what is due, and when.

use core::time::Duration;

use drywire_core::Instant;

use crate::{Config, State};

/// The shortest time between two Pings, so that none is due when another has just been thought of.
const SHORTEST: Duration = Duration::from_millis(1);

/// The instants that deadlines are counted from. What is due follows from them and the configuration, so traffic only
/// notes the time.
#[derive(Debug)]
pub(super) struct Timers {
    /// When the connection opened.
    opened: Instant,
    /// When bytes last arrived.
    heard: Instant,
    /// When a message last went in either direction.
    traffic: Instant,
    /// When the message that is arriving began.
    message: Option<Instant>,
    /// Since when the answer to the Ping of this number is waited for.
    pinged: Option<Instant>,
    pings: u32,
    /// When patience with the peer's part in the closing ends.
    closing: Option<Instant>,
}

/// What a connection has to do about the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Give up waiting for the next step of the closing.
    Closing,
    /// Close, because the connection has lived long enough.
    Lifetime,
    /// Close, because nobody uses it.
    Idle,
    /// Fail, because a message does not come to its end.
    Message,
    /// Fail, because the peer does not answer.
    Pong,
    /// Ask the peer whether it is there.
    Ping,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self { opened: now, heard: now, traffic: now, message: None, pinged: None, pings: 0, closing: None }
    }

    /// Bytes arrived; within a frame or not.
    #[inline]
    pub(super) fn hear(&mut self, now: Instant, within_frame: bool) {
        self.heard = now;
        if within_frame && let Some(pinged) = &mut self.pinged {
            *pinged = now;
        }
    }

    /// A message was received or sent.
    #[inline]
    pub(super) fn use_for_message(&mut self, now: Instant) {
        self.traffic = now;
    }

    /// A message is under way or not.
    #[inline]
    pub(super) fn follow_message(&mut self, now: Instant, under_way: bool) {
        if under_way != self.message.is_some() {
            self.message = under_way.then_some(now);
        }
    }

    /// A Ping goes out: its payload.
    pub(super) fn ping(&mut self, now: Instant) -> [u8; 4] {
        self.pings = self.pings.wrapping_add(1);
        self.pinged = Some(now);
        self.pings.to_be_bytes()
    }

    /// Whether a Pong answers our Ping, which then is waited for no longer.
    pub(super) fn is_answered_by(&mut self, payload: &[u8]) -> bool {
        self.pinged.take_if(|_| payload == self.pings.to_be_bytes()).is_some()
    }

    /// Begins to wait for the next step of the closing, or stops waiting.
    pub(super) fn wait_for_closing(&mut self, until: Option<Instant>) {
        self.closing = until;
    }

    /// The next thing that will be due, and when.
    pub(super) fn next(&self, state: State, config: &Config) -> Option<(Instant, Due)> {
        if state != State::Open {
            return self.closing.map(|at| (at, Due::Closing));
        }
        // Asked for at every turn of a driver, and without an answer for most connections.
        let unasked = self.pinged.is_none() && config.ping_interval.is_none();
        if unasked && self.message.is_none() && config.idle_timeout.is_none() && config.max_lifetime.is_none() {
            return None;
        }
        // The order decides between what is due at the same time.
        [
            config.max_lifetime.map(|limit| (self.opened + limit, Due::Lifetime)),
            config.idle_timeout.map(|limit| (self.traffic + limit, Due::Idle)),
            config.message_timeout.zip(self.message).map(|(limit, began)| (began + limit, Due::Message)),
            match self.pinged {
                Some(pinged) => Some((pinged + config.pong_timeout, Due::Pong)),
                None => config.ping_interval.map(|interval| (self.heard + interval.max(SHORTEST), Due::Ping)),
            },
        ]
        .into_iter()
        .flatten()
        .min_by_key(|&(at, _)| at)
    }
}
