//! From the system's monotonic clock to the machines' time.

use std::time::Instant as SystemInstant;

use drywire_core::Instant;

/// The system's monotonic clock, counted from the moment at which this value was made.
///
/// Copies share the origin, so that the instants of all connections of a server can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: SystemInstant,
}

impl Clock {
    /// A clock that starts now, at [`Instant::ORIGIN`].
    pub fn new() -> Self {
        Self { origin: SystemInstant::now() }
    }

    /// The time since the origin.
    pub fn now(self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
