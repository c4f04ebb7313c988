//! Explicit congestion notification (RFC 3168): what routers mark where they would otherwise have to drop.

use super::Connection;
use super::recovery::News;
use crate::congestion::Controller;
use crate::ip::Ecn;
use crate::{Config, EcnMode, Flags, Segment, SeqNumber};

/// What both sides have agreed on, and what is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Marking {
    agreement: Agreement,
    /// Something with ECT or CE has arrived.
    pub(super) seen: bool,
    /// A mark has arrived: every acknowledgment says so until the peer has reacted (RFC 3168 6.1.3).
    echo: bool,
    reduction: Reduction,
    /// The window is one segment, and that is still too much: nothing new leaves before the retransmission timer goes off.
    paused: bool,
}

/// The last reduction of the congestion window (RFC 3168 6.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reduction {
    /// The next new text is to say so.
    untold: bool,
    /// Nothing is acknowledged yet of what was sent later, when SND.MAX had been `at`.
    recent: bool,
    at: SeqNumber,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Agreement {
    /// One side does not want it, or nobody has asked yet.
    None,
    /// Our SYN asks for it.
    Asked,
    /// A SYN of ours asked for it and was lost, so a later one does not (RFC 3168 6.1.1.1).
    Withdrawn,
    /// The peer has said yes to the SYN that was taken for lost. If it has seen the later one, it will not echo what it
    /// receives marked; but what it sends may be marked.
    EchoOnly,
    /// Both sides mark what they send and echo what they receive marked.
    Full,
}

impl Marking {
    /// Before the handshake.
    pub(super) fn new() -> Self {
        Self { agreement: Agreement::None, seen: false, echo: false, reduction: Reduction::default(), paused: false }
    }

    pub(super) fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// Of an active open.
    pub(super) fn asking(config: &Config) -> Self {
        let asks = config.ecn == EcnMode::Request;
        Self { agreement: if asks { Agreement::Asked } else { Agreement::None }, ..Self::new() }
    }

    /// Whether both sides use ECN.
    pub(super) fn is_full(&self) -> bool {
        self.agreement == Agreement::Full
    }

    /// Whether a segment without a mark of congestion has nothing to tell: ECN is not used, or the peer is known to use it.
    pub(super) fn is_settled(&self) -> bool {
        self.seen || !self.echoes()
    }

    fn echoes(&self) -> bool {
        matches!(self.agreement, Agreement::Full | Agreement::EchoOnly)
    }

    /// Whether the CWR bit is due, which must stand on one segment only.
    pub(super) fn tells_reduction(&self) -> bool {
        self.reduction.untold
    }

    /// SND.UNA has moved.
    pub(super) fn resume(&mut self) {
        self.paused = false;
    }

    /// A timer that runs for the sake of a pause alone is over. Whether it was that.
    pub(super) fn take_pause(&mut self) -> bool {
        core::mem::take(&mut self.paused)
    }
}

/// Whether a SYN or SYN-ACK is an ECN-setup one (RFC 3168 6.1.1).
pub(crate) fn is_setup(flags: Flags) -> bool {
    let (echo, reduced) = (flags.contains(Flags::ECE), flags.contains(Flags::CWR));
    echo && reduced != flags.contains(Flags::ACK)
}

impl Connection {
    /// Takes from a SYN or SYN-ACK what it says about ECN.
    pub(super) fn negotiate_ecn(&mut self, flags: Flags) {
        self.marking.agreement = match self.marking.agreement {
            _ if !is_setup(flags) => Agreement::None,
            Agreement::None if self.passive && self.config.ecn != EcnMode::Off => Agreement::Full,
            Agreement::None => Agreement::None,
            Agreement::Asked | Agreement::Full => Agreement::Full,
            Agreement::Withdrawn | Agreement::EchoOnly => Agreement::EchoOnly,
        };
    }

    /// A SYN arrives again: one without ECN takes back what an earlier one said (RFC 3168 6.1.1).
    pub(super) fn renegotiate_ecn(&mut self, flags: Flags) {
        if !is_setup(flags) {
            self.marking.agreement = Agreement::None;
        }
    }

    /// The bits of our SYN, or of our SYN-ACK (RFC 3168 6.1.1).
    pub(super) fn ecn_setup_flags(&self, answers: bool) -> Flags {
        match self.marking.agreement {
            Agreement::Full if answers => Flags::ECE,
            Agreement::Asked if !answers => Flags::ECE | Flags::CWR,
            _ => Flags::NONE,
        }
    }

    /// Our SYN was not answered, or by an RST: the next one does not ask for ECN, which some middleboxes do not let
    /// through (RFC 3168 6.1.1.1). Whether it did.
    pub(super) fn withdraw_ecn(&mut self) -> bool {
        let asked = self.marking.agreement == Agreement::Asked;
        if asked {
            self.marking.agreement = Agreement::Withdrawn;
        }
        asked
    }

    /// The mark of an acceptable segment. What lies outside of the window does not count (RFC 3168 6.1.5), nor does a
    /// mark on a segment without text (6.1.4).
    pub(super) fn receive_mark(&mut self, segment: &Segment<'_>, ecn: Ecn) {
        let text = !segment.payload.is_empty();
        let marking = &mut self.marking;
        if !marking.echoes() {
            return;
        }
        marking.seen |= ecn != Ecn::NotEct;
        if segment.header.flags.contains(Flags::CWR) {
            marking.echo = false;
            // A window that was reduced may have no room for a second segment, for which we would wait.
            self.ack_now |= text;
        }
        if ecn == Ecn::Ce && text {
            self.counters.marked_segments_received = self.counters.marked_segments_received.saturating_add(1);
            // The peer should know soon. As long as it has not reacted there is no more to tell.
            self.ack_now |= !marking.echo;
            marking.echo = true;
        }
    }

    /// The bits of every segment with an acknowledgment: ECE for as long as the peer has not reacted (RFC 3168 6.1.3).
    pub(super) fn ecn_echo(&self) -> Flags {
        if self.marking.echo { Flags::ECE } else { Flags::NONE }
    }

    /// The mark and the bits of text that leaves. Only what is sent for the first time may be marked, as the loss of
    /// anything else would not be noticed (RFC 3168 6.1.5, 6.1.6).
    pub(super) fn mark_text(&mut self, is_new: bool) -> (Ecn, Flags) {
        if !is_new || !self.marking.is_full() {
            return (Ecn::NotEct, Flags::NONE);
        }
        let told = core::mem::take(&mut self.marking.reduction.untold);
        (Ecn::Ect0, if told { Flags::CWR } else { Flags::NONE })
    }

    /// An acknowledgment with ECE: the window is reduced, once for all that is in flight (RFC 3168 6.1.2).
    pub(super) fn receive_ecn_echo(&mut self, ack: SeqNumber, news: &News) {
        if self.marking.reduction.recent && ack.after(self.marking.reduction.at) {
            self.marking.reduction.recent = false;
        }
        if !news.marked || self.marking.reduction.recent || news.outstanding == 0 {
            return;
        }
        if self.congestion.window() <= self.snd_mss {
            // There is nothing to reduce but the time.
            self.marking.paused = true;
            self.timers.retransmit = Some(self.now + self.rtt.rto());
        }
        self.congestion.on_mark(self.now, news.outstanding);
        self.on_reduction();
    }

    /// The congestion window was reduced, for whatever reason.
    pub(super) fn on_reduction(&mut self) {
        self.forget_undo();
        if self.marking.is_full() {
            self.marking.reduction = Reduction { untold: true, recent: true, at: self.snd_max };
        }
    }

    /// The last reduction is taken back, and the one before it stands again. What the peer was told it may have acted on.
    pub(super) fn undo_reduction(&mut self, before: Reduction) {
        let told = !self.marking.reduction.untold;
        self.marking.reduction = Reduction { untold: before.untold && !told, ..before };
    }

    /// Whether nothing new may leave before the retransmission timer goes off.
    pub(super) fn is_paused(&self) -> bool {
        self.marking.paused && self.timers.retransmit.is_some()
    }
}
