//! The deadlines of a connection.

use core::time::Duration;

use drywire_core::{Instant, SendQueue};

/// A deadline, and how much was waiting to be sent when it was set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer {
    deadline: Option<Instant>,
    unsent: usize,
}

impl Timer {
    /// Sets the deadline `timeout` behind `now`; there is none where that lies past the end of time, since a deadline
    /// has to lie in the future (law 6).
    pub(crate) fn arm(&mut self, now: Instant, timeout: Option<Duration>, unsent: usize) {
        self.unsent = unsent;
        self.deadline = timeout.and_then(|timeout| now.checked_add(timeout.max(Duration::from_nanos(1))));
    }

    pub(crate) fn disarm(&mut self) {
        self.deadline = None;
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.deadline.is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Bytes that were waiting to be sent when the deadline was set.
    pub(crate) fn unsent(&self) -> usize {
        self.unsent
    }
}

/// Whether the peer takes what is queued for it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    timer: Timer,
    /// What had been taken when the deadline was set.
    taken: u64,
}

impl Stall {
    /// Sets the deadline anew where something has been taken, and lifts it where nothing is queued.
    pub(crate) fn watch(&mut self, now: Instant, timeout: Option<Duration>, queue: &SendQueue) {
        if queue.is_empty() {
            self.timer.disarm();
        } else if !self.timer.is_armed() || self.taken != queue.taken() {
            self.taken = queue.taken();
            self.timer.arm(now, timeout, 0);
        }
    }

    pub(crate) fn deadline(&self, queue: &SendQueue) -> Option<Instant> {
        self.timer.deadline().filter(|_| !queue.is_empty())
    }

    /// Whether the deadline has passed and nothing was taken since it was set.
    pub(crate) fn has_expired(&self, now: Instant, queue: &SendQueue) -> bool {
        self.taken == queue.taken() && self.deadline(queue).is_some_and(|deadline| deadline <= now)
    }
}

/// How long the peer was waited for, against how much it sent meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    /// Since when it is being waited for.
    since: Option<Instant>,
    received: u64,
}

impl Pace {
    pub(crate) fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(now.saturating_duration_since(since));
        }
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    /// How much longer the peer may take: `grace`, and a second for every `rate` bytes that it sent.
    pub(crate) fn left(&self, grace: Duration, rate: u64) -> Duration {
        let earned = self.received.checked_div(rate).map_or(Duration::MAX, Duration::from_secs);
        grace.saturating_add(earned).saturating_sub(self.waited)
    }
}
