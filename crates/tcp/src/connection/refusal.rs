//! Why a segment was not taken.

use core::hash::{Hash, Hasher};

use super::Connection;

/// The rule by which a segment was not taken as it stands: the step of RFC 9293 3.10.7.4 at which its handling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// First: it lies outside of the window. It may be a repetition.
    Sequence,
    /// First: its timestamp is older than what has arrived, or is missing (RFC 7323 3.2, 5.3).
    Timestamp,
    /// Second: an RST that is not exactly at RCV.NXT (RFC 5961 3.2).
    Reset,
    /// Fourth: a SYN on a connection that has long begun (RFC 5961 4.2).
    Syn,
    /// Fifth: it has no ACK bit.
    NoAck,
    /// Fifth: it acknowledges what was never sent, or what is long past (RFC 5961 5.2).
    Ack,
}

/// What became of the last segment. It changes nothing of what a connection does, so all are equal to one another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastRefusal(pub(super) Option<Refusal>);

impl PartialEq for LastRefusal {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for LastRefusal {}

impl Hash for LastRefusal {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Connection {
    /// Why the last segment that was handled was not taken, if it was not: for whoever counts.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.0
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal.0 = Some(refusal);
    }
}
