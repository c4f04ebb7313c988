//! The one deadline of a connection.

use core::time::Duration;

use drywire_core::Instant;

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
