//! From tokio's clock to the machines' time.

use drywire_core::Instant;
use tokio::time::Instant as TokioInstant;

/// Tokio's clock, counted from the moment at which this value was made. It stands still while tokio's time is paused.
///
/// Copies share the origin, so that the instants of all connections of a server can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: TokioInstant,
}

impl Clock {
    /// A clock that starts now, at [`Instant::ORIGIN`].
    pub fn new() -> Self {
        Self { origin: TokioInstant::now() }
    }

    /// The time since the origin.
    pub fn now(self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }

    /// When tokio's clock will show `instant`. `None` lies too far ahead to be told.
    pub(crate) fn to_tokio(self, instant: Instant) -> Option<TokioInstant> {
        self.origin.checked_add(instant - Instant::ORIGIN)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
