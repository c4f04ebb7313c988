//! What must hold.

use core::fmt;

/// A property that every reachable state, or every step, must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Property {
    /// No input makes a connection panic.
    NoPanic,
    /// Every change of state is a way through the table ([`State::on`](drywire_tcp::State::on)) by inputs for which what
    /// happened is a reason: a segment without RST resets nothing, only a timer ends TIME-WAIT or gives up.
    EdgesOfTheDiagram,
    /// SND.UNA =< SND.NXT =< SND.MAX, and of these SND.UNA and SND.MAX never go back (RFC 9293 3.4).
    SendSequence,
    /// RCV.NXT never goes back (RFC 9293 3.4).
    ReceiveSequence,
    /// The right edge of the window, as it stands on the wire, is never taken back (RFC 9293 3.8.6).
    WindowEdge,
    /// What is delivered is a prefix of what was sent: once, in order, and nothing of an earlier incarnation.
    Prefix,
    /// Whoever hears that the peer has finished has got everything, and the peer has indeed finished.
    EndIsTheEnd,
    /// Whoever is told of a normal end has got everything, and so has the peer's machine.
    NormalIsComplete,
    /// Whoever reaches CLOSED is told why, once.
    Reported,
    /// Both ends of an established connection are of the same incarnation: each has the other's ISN.
    Incarnation,
    /// No connection is refused or reset unless one side gave it up, or took the SYN of an earlier incarnation for a new
    /// one (RFC 9293 3.5, figure 9).
    ResetHasACause,
    /// Where nothing is lost, repeated, retransmitted early or given up, nobody sends an RST; if the network swaps
    /// segments, only CLOSED does, where one comes late.
    NoResetInPeace,
    /// Where nothing is under way and no timer runs, both ends agree: both are closed, or both are open with everything
    /// delivered, or one of them was given up and the other has nothing to send that would tell.
    NeverStuck,
    /// One input is answered by a few segments at most.
    ShortAnswers,
    /// Deliveries alone never go on for ever: without a timer or a command every exchange dies out.
    ExchangesEnd,
    /// A deadline has passed once it was handled.
    DeadlinesMove,
}

impl Property {
    /// A short name, such as `never stuck`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoPanic => "no panic",
            Self::EdgesOfTheDiagram => "edges of the diagram",
            Self::SendSequence => "send sequence",
            Self::ReceiveSequence => "receive sequence",
            Self::WindowEdge => "window edge",
            Self::Prefix => "prefix",
            Self::EndIsTheEnd => "the end is the end",
            Self::NormalIsComplete => "normal is complete",
            Self::Reported => "reported",
            Self::Incarnation => "incarnation",
            Self::ResetHasACause => "a reset has a cause",
            Self::NoResetInPeace => "no reset in peace",
            Self::NeverStuck => "never stuck",
            Self::ShortAnswers => "short answers",
            Self::ExchangesEnd => "exchanges end",
            Self::DeadlinesMove => "deadlines move",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A property that does not hold, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) property: Property,
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(property: Property, detail: impl Into<String>) -> Self {
        Self { property, detail: detail.into() }
    }
}

/// `Ok` if `holds`, or the violation.
pub(super) fn require(holds: bool, property: Property, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(property, detail())) }
}
