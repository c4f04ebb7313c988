//! Where drywire and smoltcp may differ, each with its reason. Anything else is an error.

use std::time::Duration;

use drywire::Instant;
use drywire::tcp::{Flags, State};

use super::Arrival;
use super::script::{Clock, Setup, Step};
use super::seen::Seen;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The state of RFC 9293 3.3.2.
    State,
    /// How many bytes the application has got.
    Received,
    /// How many of its bytes are not acknowledged.
    Unacknowledged,
    /// Whether there was an answer.
    Answer,
    /// RSTs, with their numbers.
    Reset,
    /// What is acknowledged, where both have answered.
    Acknowledged,
    /// The highest sequence number sent.
    Sent,
    /// SACK blocks, where both have answered.
    Sack,
    /// SND.WND.
    Window,
}

use Aspect::{Acknowledged, Answer, Received, Reset, Sack, Sent, State as InState, Unacknowledged, Window};

/// One allowed difference.
pub struct Difference {
    /// Its name, here and in `docs/design/differential.md`.
    pub name: &'static str,
    /// What may differ.
    pub aspects: &'static [Aspect],
    /// Whether the endpoints are no longer in the same state afterwards, seen or unseen, so that the comparison ends.
    pub parts: bool,
    /// Whether this is such a case.
    applies: fn(&Situation<'_>) -> bool,
}

/// The state of the peer, as far as a rule needs it and the endpoints do not show it.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// The window of the last segment that both have taken, which is smoltcp's SND.WND.
    window: u32,
    /// It came from a segment that is older than the one that drywire has its SND.WND from.
    window_is_old: bool,
    /// When smoltcp may last have sent a challenge ACK that counts towards its limit.
    challenged: Option<Instant>,
    /// The end of the text that lies furthest from the beginning of the stream.
    furthest: i64,
}

/// A step that both have taken.
pub(super) struct Situation<'a> {
    pub(super) step: &'a Step,
    pub(super) setup: &'a Setup,
    pub(super) now: Instant,
    pub(super) arrival: Option<Arrival>,
    pub(super) before: &'a [Seen; 2],
    pub(super) after: &'a [Seen; 2],
    pub(super) peer: &'a Peer,
    /// drywire's SND.WND before and after, and whether timestamps are in use.
    pub(super) windows: [u32; 2],
    pub(super) timestamps: bool,
    /// Whether drywire sends again in this step, or has done so and has more to send than its congestion window takes.
    pub(super) recovers: bool,
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "a reset in the window",
        aspects: &[InState, Received, Answer],
        parts: true,
        applies: |it| it.past_syn() && it.has(Flags::RST) && it.in_window() && it.distance() != 0,
    },
    Difference {
        name: "a SYN in a synchronized state",
        aspects: &[InState, Answer, Unacknowledged],
        parts: false,
        applies: |it| it.synchronized() && it.has(Flags::SYN),
    },
    Difference {
        name: "a SYN in SYN-RECEIVED",
        aspects: &[InState, Answer, Reset],
        parts: true,
        applies: |it| it.was(State::SynReceived) && it.has(Flags::SYN),
    },
    Difference {
        name: "text or FIN with an old acknowledgment",
        aspects: &[InState, Received, Answer, Acknowledged],
        parts: true,
        applies: |it| it.synchronized() && it.takes_space() && it.old_ack() && it.in_window(),
    },
    Difference {
        name: "an acknowledgment that is too old",
        aspects: &[Answer],
        parts: false,
        applies: |it| it.synchronized() && it.old_ack(),
    },
    Difference {
        name: "an old window",
        aspects: &[Window, Answer, Sent],
        parts: false,
        applies: |it| it.windows_differ_by_age(),
    },
    Difference {
        name: "one SACK block, and none of duplicates",
        aspects: &[Sack],
        parts: false,
        applies: |it| {
            let [drywire, smoltcp] = it.after;
            smoltcp.sack.len() <= 1 && smoltcp.sack.iter().all(|block| drywire.sack.contains(block))
        },
    },
    Difference {
        name: "an acknowledgment that rides on text",
        aspects: &[Sack],
        parts: false,
        applies: |it| it.after[0].sack.is_empty() && it.after[0].texts > 0,
    },
    Difference {
        name: "an outdated or missing timestamp",
        aspects: &[InState, Received, Unacknowledged, Answer, Reset, Acknowledged, Sent, Sack, Window],
        parts: true,
        applies: |it| it.timestamps && it.arrival.is_some_and(|arrival| arrival.clock != Clock::Now),
    },
    Difference {
        name: "a window too small for all",
        aspects: &[Answer, Sent],
        parts: false,
        applies: |it| it.window_limits(),
    },
    Difference {
        name: "shutdown in SYN-SENT",
        aspects: &[Reset],
        parts: true,
        applies: |it| it.was(State::SynSent) && *it.step == Step::Shutdown,
    },
    Difference {
        name: "shutdown in SYN-RECEIVED",
        aspects: &[InState, Answer, Sent],
        parts: true,
        applies: |it| it.was(State::SynReceived) && *it.step == Step::Shutdown,
    },
    Difference {
        name: "abort where nobody is to be told",
        aspects: &[Reset],
        parts: false,
        applies: |it| {
            *it.step == Step::Abort
                && matches!(it.before[0].state, State::SynSent | State::Closing | State::LastAck | State::TimeWait)
        },
    },
    Difference {
        name: "one challenge a second",
        aspects: &[Answer],
        parts: false,
        applies: |it| {
            it.peer.challenged.is_some_and(|at| it.now - at < Duration::from_secs(1))
                && (!it.in_window() || it.ack_of_unsent() || it.was(State::LastAck))
        },
    },
    Difference {
        name: "the acknowledgment is checked before the sequence number",
        aspects: &[Answer, Reset],
        parts: false,
        applies: |it| {
            it.past_syn()
                && !it.in_window()
                && (!it.has(Flags::ACK) || it.old_ack() || it.was(State::SynReceived))
        },
    },
    Difference {
        name: "a wrong acknowledgment beside PSH or FIN in SYN-SENT",
        aspects: &[Reset],
        parts: false,
        applies: |it| it.was(State::SynSent) && (it.has(Flags::PSH) || it.has(Flags::FIN)) && it.has(Flags::ACK),
    },
    Difference {
        name: "a FIN behind a gap",
        aspects: &[Answer],
        parts: true,
        applies: |it| it.past_syn() && it.has(Flags::FIN) && it.distance() > 0 && it.in_window(),
    },
    Difference {
        name: "a FIN before text that has arrived",
        aspects: &[InState, Acknowledged, Sack],
        parts: true,
        applies: |it| it.past_syn() && it.has(Flags::FIN) && it.in_window() && it.peer.furthest > it.furthest(),
    },
    Difference {
        name: "a FIN behind text that is all known",
        aspects: &[InState, Unacknowledged, Acknowledged, Answer, Window, Sent],
        parts: true,
        applies: |it| it.past_syn() && it.has(Flags::FIN) && it.takes_text() && it.distance() + it.text_len() == 0,
    },
    Difference {
        name: "which duplicate acknowledgments count",
        aspects: &[Answer],
        parts: false,
        applies: |it| it.synchronized() && it.repeats_ack() && it.after[1].texts > 0,
    },
    Difference {
        name: "a FIN behind text that the window cuts off",
        aspects: &[InState, Acknowledged],
        parts: true,
        applies: |it| {
            let [drywire, _] = it.before;
            it.past_syn() && it.has(Flags::FIN) && it.furthest() > i64::from(drywire.edge.unwrap_or(0))
        },
    },
    Difference {
        name: "an acknowledgment of what is queued and was not sent",
        aspects: &[InState, Received, Unacknowledged, Acknowledged, Answer, Window, Sent, Sack],
        parts: true,
        applies: |it| it.synchronized() && it.ack_of_unsent() && it.in_window() && !it.ack_of_unwritten(),
    },
    Difference {
        name: "right edges that differ",
        aspects: &[InState, Received, Unacknowledged, Acknowledged, Answer, Window, Sent, Sack],
        parts: true,
        applies: |it| it.past_syn() && it.beyond_one_edge(),
    },
    Difference {
        name: "recovery from a loss",
        aspects: &[Answer, Sent],
        parts: false,
        applies: |it| it.recovers,
    },
    Difference {
        name: "what was held back is sent later",
        aspects: &[Answer, Sent],
        parts: false,
        applies: |it| it.before[0].max != it.before[1].max,
    },
    Difference {
        name: "a window update in LAST-ACK",
        aspects: &[Answer, Sent],
        parts: true,
        applies: |it| it.was(State::LastAck) && it.synchronized() && it.has(Flags::ACK) && it.in_window() && it.repeats_ack(),
    },
    Difference {
        name: "two of SYN, FIN and RST",
        aspects: &[InState, Received, Answer, Reset, Unacknowledged, Sent],
        parts: true,
        applies: |it| {
            let flags = [Flags::SYN, Flags::FIN, Flags::RST];
            flags.into_iter().filter(|flag| it.has(*flag)).count() > 1
        },
    },
    Difference {
        name: "the numbers of a reset without an acknowledgment",
        aspects: &[Reset],
        parts: false,
        applies: |it| !it.has(Flags::ACK) && it.after.iter().all(|seen| seen.resets.len() == 1),
    },
    Difference {
        name: "text on a SYN",
        aspects: &[Received, Answer, Acknowledged],
        parts: true,
        applies: |it| {
            matches!(it.before[0].state, State::SynSent | State::Listen) && it.has(Flags::SYN) && it.takes_text()
        },
    },
    Difference {
        name: "an acknowledgment at the right edge",
        aspects: &[InState, Unacknowledged, Answer, Sent, Window],
        parts: true,
        applies: |it| it.past_syn() && it.distance() == it.window() && it.has(Flags::ACK),
    },
    Difference {
        name: "text or FIN behind the FIN",
        aspects: &[InState, Received, Unacknowledged, Acknowledged, Answer, Window, Sent, Sack],
        parts: true,
        applies: |it| {
            matches!(it.before[0].state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait)
                && it.takes_space()
                && it.in_window()
        },
    },
    Difference {
        name: "unread bytes at the end of TIME-WAIT",
        aspects: &[Received],
        parts: true,
        applies: |it| {
            let [drywire, smoltcp] = it.after;
            it.was(State::TimeWait) && smoltcp.state == State::Closed && smoltcp.received < drywire.received
        },
    },
];

impl Situation<'_> {
    /// The differences that this step shows, or what differs without a reason.
    pub(super) fn explain(&self) -> Result<Vec<&'static Difference>, Vec<Aspect>> {
        let differing = self.differing();
        let met: Vec<_> = DIFFERENCES
            .iter()
            .filter(|difference| {
                let shows = difference.aspects.iter().any(|aspect| differing.contains(aspect));
                (difference.parts || shows) && (difference.applies)(self)
            })
            .collect();
        let explained = |aspect: &Aspect| met.iter().any(|difference| difference.aspects.contains(aspect));
        let unexplained: Vec<_> = differing.into_iter().filter(|aspect| !explained(aspect)).collect();
        if unexplained.is_empty() { Ok(met) } else { Err(unexplained) }
    }

    /// Everything in which the two differ now.
    pub(super) fn differing(&self) -> Vec<Aspect> {
        let [a, b] = self.after;
        let at_once = !matches!(self.step, Step::Wait(_));
        // When a window update is worth a segment is left to each.
        let answers = at_once && !matches!(self.step, Step::Read(_));
        let both = a.answers > 0 && b.answers > 0;
        let open = a.state != State::Closed;
        let pairs = [
            (InState, a.state != b.state),
            (Received, a.received != b.received),
            (Unacknowledged, open && a.unacknowledged != b.unacknowledged),
            (Answer, answers && (a.answers > 0) != (b.answers > 0)),
            (Reset, a.resets != b.resets),
            (Acknowledged, at_once && both && a.acked != b.acked),
            (Sent, at_once && open && a.max != b.max),
            (Sack, at_once && both && a.sack != b.sack),
            (Window, self.synchronized() && open && self.windows[1] != self.peer_after().window),
        ];
        pairs.into_iter().filter_map(|(aspect, differs)| differs.then_some(aspect)).collect()
    }

    /// Whether SEG.ACK is SND.UNA.
    fn repeats_ack(&self) -> bool {
        self.arrival.is_some_and(|arrival| arrival.ack == self.before[0].una())
    }

    /// Whether SEG.ACK lies behind everything queued.
    fn ack_of_unwritten(&self) -> bool {
        let Some(arrival) = self.arrival else { return false };
        arrival.ack > 2 + self.before[0].written as u32
    }

    /// The end of the text, from the beginning of the stream.
    fn furthest(&self) -> i64 {
        let next = i64::from(self.before[0].acked.unwrap_or(0));
        next + self.distance() + self.text_len()
    }

    /// One has announced more room than the other, and the segment begins or ends there.
    fn beyond_one_edge(&self) -> bool {
        let [drywire, smoltcp] = self.before;
        let next = i64::from(drywire.acked.unwrap_or(0));
        let nearer = drywire.edge.unwrap_or(0).min(smoltcp.edge.unwrap_or(0));
        drywire.edge != smoltcp.edge && self.furthest().max(next + self.distance()) >= i64::from(nearer)
    }

    fn was(&self, state: State) -> bool {
        self.before[0].state == state
    }

    /// A segment arrives in SYN-RECEIVED or later.
    fn past_syn(&self) -> bool {
        self.arrival.is_some() && !matches!(self.before[0].state, State::Closed | State::Listen | State::SynSent)
    }

    /// A segment arrives in ESTABLISHED or later.
    fn synchronized(&self) -> bool {
        self.past_syn() && !self.was(State::SynReceived)
    }

    fn has(&self, flag: Flags) -> bool {
        self.arrival.is_some_and(|arrival| arrival.flags.contains(flag))
    }

    fn takes_text(&self) -> bool {
        self.arrival.is_some_and(|arrival| arrival.len > 0)
    }

    /// Whether SEG.LEN is more than zero.
    fn takes_space(&self) -> bool {
        self.takes_text() || self.has(Flags::FIN)
    }

    fn text_len(&self) -> i64 {
        self.arrival.map_or(0, |arrival| i64::from(arrival.len))
    }

    /// From RCV.NXT to SEG.SEQ; negative before it.
    fn distance(&self) -> i64 {
        let Some(arrival) = self.arrival else { return 0 };
        let next = self.before[0].acked.unwrap_or(0);
        i64::from(arrival.seq.wrapping_sub(next).cast_signed())
    }

    /// The larger of the windows that the two have announced.
    fn window(&self) -> i64 {
        let windows = self.before.iter().map(|seen| seen.edge.unwrap_or(0).wrapping_sub(seen.acked.unwrap_or(0)));
        i64::from(windows.max().unwrap_or(0))
    }

    /// Whether any of it lies in the window.
    fn in_window(&self) -> bool {
        let start = self.distance();
        let end = start + self.text_len() + i64::from(self.has(Flags::FIN));
        (start >= 0 && start < self.window().max(1)) || (start < 0 && end > 0)
    }

    /// Whether SEG.ACK lies before SND.UNA.
    fn old_ack(&self) -> bool {
        let Some(arrival) = self.arrival else { return false };
        self.has(Flags::ACK) && arrival.ack.wrapping_sub(self.before[0].una()).cast_signed() < 0
    }

    /// What is known of the peer afterwards.
    pub(super) fn peer_after(&self) -> Peer {
        let mut peer = self.peer.clone();
        let Some(arrival) = self.arrival else { return peer };
        if self.after[1].answers > 0 {
            peer.challenged = Some(self.now);
        }
        let opens = matches!(self.before[0].state, State::Listen | State::SynSent) && self.has(Flags::SYN);
        if self.past_syn() && self.in_window() {
            peer.furthest = peer.furthest.max(self.furthest());
        }
        let unwanted = self.has(Flags::RST) || self.has(Flags::SYN) || self.old_ack() || self.ack_of_unsent();
        if opens || (self.has(Flags::ACK) && self.in_window() && !unwanted) {
            let shift = if opens { 0 } else { self.setup.scale.unwrap_or(0) };
            peer.window = u32::from(arrival.window) << shift;
            peer.window_is_old = peer.window != self.windows[1] && self.windows[1] == self.windows[0];
        }
        peer
    }

    /// smoltcp has its window from the last segment to arrive, and that was not the last to be sent.
    fn windows_differ_by_age(&self) -> bool {
        self.peer.window_is_old || self.peer_after().window_is_old
    }

    /// Not all that is queued fits into the window. How little is worth sending, and when it is sent nevertheless, the
    /// timers decide.
    fn window_limits(&self) -> bool {
        let [drywire, _] = self.before;
        let window = self.windows[0].min(self.windows[1]);
        let end = 1 + self.after[0].written as u32;
        drywire.una() + window <= end
    }

    /// Whether SEG.ACK lies behind everything sent.
    fn ack_of_unsent(&self) -> bool {
        let Some(arrival) = self.arrival else { return false };
        self.has(Flags::ACK) && arrival.ack.wrapping_sub(self.before[0].max).cast_signed() > 0
    }
}
