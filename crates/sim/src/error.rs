//! Why a run did not come to its end.

use drywire_core::Instant;

/// A run that did not come to its end. Its text names the seed that replays it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, at {at}: {reason}")]
pub struct RunError {
    /// The seed of the run.
    pub seed: u64,
    /// The virtual time of the failure.
    pub at: Instant,
    /// What went wrong.
    pub reason: RunFailure,
}

/// What went wrong in a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunFailure {
    /// Nothing will ever happen again, and not all sides are closed: no deadline, nothing under way.
    #[error("stuck, because {0}")]
    Stuck(String),
    /// The run took more steps than it was allowed: it goes in circles, or needs a higher limit.
    #[error("still running after {0} steps")]
    OutOfSteps(u64),
    /// A deadline did not move behind the time at which it was handled (law 6).
    #[error("the deadline of {0} stays in the past")]
    DeadlineStays(String),
    /// A receiver got other bytes than the sender sent.
    #[error("{receiver} got a wrong byte at offset {offset}")]
    WrongByte {
        /// Who received it.
        receiver: String,
        /// Where in its stream.
        offset: u64,
    },
}
