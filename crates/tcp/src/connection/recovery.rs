//! Loss recovery of a connection: RACK-TLP (RFC 8985) with peers that speak SACK, NewReno (RFC 6582) with others, and
//! proportional rate reduction (RFC 9937) with both.

use alloc::boxed::Box;
use core::time::Duration;

use super::Connection;
use super::undo::Undo;
use crate::congestion::{Acked, Controller};
use crate::recovery::{Prr, Sent};
use crate::{Header, SackBlocks, SeqNumber};

/// What is known about losses, beside the flight itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recovery {
    phase: Phase,
    /// `recover` of RFC 6582: SND.MAX when the last loss was noticed.
    recover: SeqNumber,
    /// Duplicate acknowledgments, of a peer without SACK: each stands for a segment that it holds.
    duplicate_acks: u32,
    /// The tail loss probe that is not yet answered.
    tail: Option<TailProbe>,
    /// A tail loss probe is to be sent.
    tail_due: bool,
    /// The last reduction, until it is known to be right.
    pub(super) undo: Option<Box<Undo>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery (RFC 5681 3.2).
    Fast(Prr),
    /// After a time-out, until everything from before it is acknowledged. `head_due`: the first segment is to leave, however
    /// much is in flight.
    Loss { head_due: bool },
}

/// `TLP.end_seq` and `TLP.is_retrans` (RFC 8985 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TailProbe {
    end: SeqNumber,
    again: bool,
}

/// What an acknowledgment has told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// By how much SND.UNA has moved.
    pub(super) acked: u32,
    /// What was in flight before, arrived or not.
    pub(super) outstanding: u32,
    /// The bytes that are now known to have arrived.
    pub(super) delivered: u32,
    /// RFC 5681 2: it is a duplicate.
    pub(super) duplicate: bool,
    /// RFC 2883: it tells of data that arrived twice.
    pub(super) duplicate_report: bool,
    /// Something has arrived that was not sent again since the last loss was noticed, and was sent before that.
    pub(super) original: bool,
    /// RFC 3168 6.1.3: the peer has received something marked.
    pub(super) marked: bool,
}

/// RFC 8985 7.2, `TLP.max_ack_delay`: how long the peer may delay an acknowledgment.
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// No tail loss probe before that.
const MIN_PROBE_TIMEOUT: Duration = Duration::from_millis(2);
/// RFC 5681 3.2: so many duplicate acknowledgments are a loss.
const DUP_THRESH: u32 = 3;

impl Recovery {
    pub(super) fn new(iss: SeqNumber) -> Self {
        // RFC 6582 3.2, step 1.
        Self { phase: Phase::Open, recover: iss, duplicate_acks: 0, tail: None, tail_due: false, undo: None }
    }

    /// Whether nothing is known to be lost.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether a time-out is being recovered from.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.phase, Phase::Loss { .. })
    }

    /// Whether a segment that has arrived was sent once, and before the last loss was noticed.
    pub(super) fn is_original(&self, sent: &Sent) -> bool {
        !sent.again && !sent.end.after(self.recover)
    }

    /// Nothing is lost after all.
    pub(super) fn reopen(&mut self) {
        self.phase = Phase::Open;
        self.duplicate_acks = 0;
    }

    /// Whether nothing is known to be lost, nothing is being asked, and nothing may yet be taken back.
    pub(super) fn is_quiet(&self) -> bool {
        self.phase == Phase::Open && self.tail.is_none() && !self.tail_due && self.undo.is_none()
    }
}

impl Connection {
    /// How many bytes may be in flight now.
    pub(super) fn cwnd(&self) -> u32 {
        match &self.recovery.phase {
            Phase::Fast(prr) => prr.window(),
            Phase::Open | Phase::Loss { .. } => self.controlled_window(),
        }
    }

    /// The controller's window, of which a caller's own may promise too little.
    fn controlled_window(&self) -> u32 {
        self.congestion.window().max(self.snd_mss)
    }

    /// Whether the first segment is to be sent again whatever the window says: the time-out is its permission.
    pub(super) fn is_head_due(&self) -> bool {
        self.recovery.phase == Phase::Loss { head_due: true }
    }

    /// How many bytes are most likely still in the network (RFC 6675 4).
    pub(super) fn pipe(&self) -> u32 {
        let held = match self.recovery.phase {
            // RFC 3042: the first two duplicates let two segments leave.
            Phase::Open => self.recovery.duplicate_acks.min(DUP_THRESH - 1),
            Phase::Fast(_) => self.recovery.duplicate_acks,
            Phase::Loss { .. } => 0,
        };
        self.flight.pipe().saturating_sub(held.saturating_mul(self.snd_mss))
    }

    /// The SACK option of an acknowledgment; `una` is SND.UNA as it was before.
    pub(super) fn receive_sack(&mut self, header: &Header, una: SeqNumber, news: &mut News) {
        let blocks = header.options.sack.as_slice();
        if !self.sack || blocks.is_empty() {
            return;
        }
        news.duplicate_report = is_duplicate_report(header.ack, blocks);
        if news.duplicate_report {
            self.rack.on_duplicate_report(self.snd_una, self.snd_nxt);
        }
        let mut valid = SackBlocks::new();
        for &(left, right) in blocks.iter().skip(usize::from(news.duplicate_report)) {
            // What lies outside of the flight is nothing that we can have sent.
            if left.before(right) && left.at_or_after(una) && !right.after(self.snd_max) {
                valid.push(left, right);
            }
        }
        // As they were sent: the newest block stands first, and would make the others, which a lost acknowledgment has told
        // of, pass for late (RFC 8985 6.2, step 3).
        valid.sort_from(una);
        for &(left, right) in valid.as_slice() {
            let (now, answers) = (self.now, self.answers(header));
            let (flight, rack, recovery, mut earliest) = (&mut self.flight, &mut self.rack, &self.recovery, None);
            let mut original = false;
            news.delivered += flight.sack(left, right, |sent| {
                rack.on_delivered(sent, now, &answers);
                original |= recovery.is_original(sent);
                if !sent.again {
                    earliest.get_or_insert(sent.time);
                }
            });
            news.original |= original;
            // The first of what arrived has waited longest.
            if let Some(time) = earliest.filter(|_| news.acked == 0) {
                self.rtt.sample(now - time);
            }
        }
        self.flight.remember(valid.as_slice());
    }

    /// Draws the conclusions from an acknowledgment: what is lost, and how much may be sent.
    pub(super) fn recover(&mut self, header: &Header, news: &News) {
        self.judge_tail_probe(header, news);
        let mut news = *news;
        let growth = self.counted_for_growth(&news);
        self.judge_reduction(header, &news);
        if self.recovery.phase != Phase::Open && self.snd_una.at_or_after(self.recovery.recover) {
            self.recovery.reopen();
            self.rack.on_recovered();
        }
        if self.snd_una == self.snd_max && self.send.is_empty() {
            // Law 3: an idle connection holds nothing that it may never need.
            self.forget_undo();
        }
        let settled = self.recovery.phase == Phase::Open && self.recovery.undo.is_none();
        if settled && self.snd_una.after(self.recovery.recover) {
            // It stays behind, but not so far that the numbers come round to it.
            self.recovery.recover = self.snd_una - 1;
        }
        let losses = if self.sack { self.detect_losses() } else { self.count_duplicates(&mut news) };
        let begins = losses && self.recovery.phase == Phase::Open;
        if begins {
            self.begin_fast_recovery(news.delivered);
        }
        let (pipe, mss, ssthresh) = (self.pipe(), self.snd_mss, self.controlled_window());
        match &mut self.recovery.phase {
            Phase::Fast(prr) => {
                if news.delivered > 0 || begins {
                    prr.on_ack(news.delivered, pipe, ssthresh, mss, news.acked > 0 && !losses);
                }
                if losses && !self.sack {
                    // RFC 6582 3.2, step 3: each hole of a peer without SACK is filled at once.
                    prr.allow(pipe, mss);
                }
            }
            // Nor does a window grow by what tells of congestion (RFC 3168 6.1.2).
            _ if growth > 0 && !news.marked => {
                let rtt = self.srtt();
                self.congestion.on_ack(&Acked { now: self.now, bytes: growth, flight: news.outstanding, rtt });
            }
            _ => {}
        }
        self.schedule_tail_probe();
    }

    /// How many bytes of an acknowledgment let the window grow, if it is not about to begin a recovery.
    fn counted_for_growth(&self, news: &News) -> u32 {
        match self.recovery.phase {
            _ if news.acked == 0 => 0,
            Phase::Open => news.acked,
            // RFC 3465 2.3: after a time-out an acknowledgment may cover much that arrived long ago.
            Phase::Loss { .. } => news.acked.min(self.snd_mss),
            // The one that ends the recovery: what arrived during it has let as much leave. Without SACK nothing tells
            // what is new, and the window grows by what comes behind it (RFC 6582 3.2, step 3, full).
            Phase::Fast(_) if self.sack => news.delivered,
            Phase::Fast(_) => 0,
        }
    }

    /// RFC 8985 6.2, step 5. Whether something is newly known to be lost.
    fn detect_losses(&mut self) -> bool {
        let lost = self.flight.lost_segments();
        let recovering = self.recovery.phase != Phase::Open;
        let srtt = self.srtt();
        self.timers.reorder = self.rack.detect(&mut self.flight, self.now, srtt, recovering);
        self.flight.lost_segments() > lost
    }

    fn srtt(&self) -> Duration {
        self.rtt.srtt().unwrap_or(Duration::ZERO)
    }

    /// NewReno, for a peer without SACK (RFC 5681 3.2, RFC 6582 3.2). Whether something is newly known to be lost.
    fn count_duplicates(&mut self, news: &mut News) -> bool {
        let held = self.recovery.duplicate_acks;
        if news.acked > 0 {
            // All but the one that was sent again were told of by duplicates before (RFC 9937 6.2).
            let told = (news.acked / self.snd_mss.max(1)).saturating_sub(1).min(held);
            if let Phase::Fast(_) = self.recovery.phase {
                news.delivered = news.acked.saturating_sub(told * self.snd_mss);
                self.recovery.duplicate_acks = held - told;
                // Partial: the next hole begins here (RFC 6582 3.2, step 3).
                return self.flight.lose_first();
            }
            self.recovery.duplicate_acks = 0;
        } else if news.duplicate && !matches!(self.recovery.phase, Phase::Loss { .. }) {
            self.recovery.duplicate_acks = held.saturating_add(1);
            news.delivered = self.snd_mss;
            // RFC 6582 3.2, step 2: duplicates of what was in flight before the last recovery begin no other.
            let fresh = self.snd_una.after(self.recovery.recover);
            if held + 1 == DUP_THRESH && fresh && self.recovery.phase == Phase::Open {
                return self.flight.lose_first();
            }
        }
        false
    }

    /// `delivered`: what the acknowledgment that tells of the loss tells of arrivals.
    fn begin_fast_recovery(&mut self, delivered: u32) {
        let flight = self.snd_nxt.since(self.snd_una);
        let undo = self.undo_point(u32::from(self.recovery.tail.is_some_and(|tail| tail.again)));
        self.reduce(flight);
        self.recovery.undo = Some(Box::new(undo));
        // RFC 9937 6.1: what was known to have arrived before is not delivered again in this recovery.
        let held = self.flight.sacked_bytes() + self.recovery.duplicate_acks * self.snd_mss;
        self.recovery.phase = Phase::Fast(Prr::new((flight + delivered).saturating_sub(held)));
        self.recovery.recover = self.snd_max;
        self.forget_tail_probe();
    }

    /// The congestion window shrinks, once for all that is in flight.
    pub(super) fn reduce(&mut self, flight: u32) {
        self.congestion.on_congestion(self.now, flight);
        self.on_reduction();
    }

    /// RFC 8985 6.2, step 5: the reordering window is over.
    pub(super) fn on_reorder_timeout(&mut self) {
        if self.detect_losses() {
            if self.recovery.phase == Phase::Open {
                self.begin_fast_recovery(0);
            }
            let (pipe, mss) = (self.pipe(), self.snd_mss);
            if let Phase::Fast(prr) = &mut self.recovery.phase {
                prr.allow(pipe, mss);
            }
        }
    }

    /// RFC 6298 5.4 to 5.6, RFC 5681 3.1: what the peer does not hold is sent again, slowly (RFC 8985
    /// 6.3: but what was sent too lately to be missed).
    pub(super) fn on_loss_timeout(&mut self) {
        let outstanding = self.snd_max.since(self.snd_una);
        let undo = self.undo_point_of_timeout();
        self.congestion.on_timeout(self.now, outstanding, self.retries > 0);
        self.on_reduction();
        self.recovery = Recovery { phase: Phase::Loss { head_due: true }, undo, ..Recovery::new(self.snd_max) };
        self.timers.tail_loss = None;
        self.timers.reorder = None;
        // Without SACK nothing tells of what is still under way.
        let patience = if self.sack { self.rack.patience(&self.flight, self.srtt(), false) } else { Duration::ZERO };
        self.flight.lose_overdue(self.now, patience);
    }

    /// RFC 8985 7.2: after two round trips without an answer, the last segment may be lost.
    pub(super) fn schedule_tail_probe(&mut self) {
        let quiet = self.recovery.phase == Phase::Open
            && self.state.is_synchronized()
            && self.recovery.tail.is_none()
            && !self.recovery.tail_due
            && self.flight.sacked_segments() == 0
            && self.timers.persist.is_none();
        self.timers.tail_loss = (self.sack && quiet && !self.flight.is_empty()).then(|| {
            let timeout = match self.rtt.srtt() {
                // A single segment may wait for the peer's delayed acknowledgment.
                Some(srtt) if self.flight.segments() == 1 => srtt * 2 + MAX_ACK_DELAY,
                Some(srtt) => srtt * 2,
                None => Duration::from_secs(1),
            };
            let at = self.now + timeout.max(MIN_PROBE_TIMEOUT);
            self.timers.retransmit.map_or(at, |retransmit| at.min(retransmit))
        });
    }

    /// RFC 8985 7.3.
    pub(super) fn on_tail_loss_timeout(&mut self) {
        self.timers.tail_loss = None;
        if !self.flight.is_empty() {
            self.recovery.tail_due = true;
            self.timers.retransmit = Some(self.now + self.rtt.rto());
        }
    }

    /// Whether a tail loss probe is to be sent; it then counts as sent.
    pub(super) fn take_tail_probe(&mut self) -> bool {
        core::mem::take(&mut self.recovery.tail_due)
    }

    /// A tail loss probe leaves that ends at `end`.
    pub(super) fn on_tail_probe_sent(&mut self, end: SeqNumber, again: bool) {
        self.recovery.tail = Some(TailProbe { end, again });
        self.timers.tail_loss = None;
    }

    fn forget_tail_probe(&mut self) {
        (self.recovery.tail, self.recovery.tail_due) = (None, false);
        self.timers.tail_loss = None;
    }

    /// RFC 8985 7.4.2: whether the probe has repaired a loss that nothing else has told of.
    fn judge_tail_probe(&mut self, header: &Header, news: &News) {
        if news.acked > 0 {
            self.recovery.tail_due = false;
        }
        let Some(tail) = self.recovery.tail.filter(|tail| header.ack.at_or_after(tail.end)) else { return };
        let repaired = tail.again && !news.duplicate_report && header.ack.after(tail.end);
        let answered = !tail.again || news.duplicate_report || (news.duplicate && header.options.sack.is_empty());
        if repaired || answered {
            self.recovery.tail = None;
        }
        if repaired && self.recovery.phase == Phase::Open {
            self.reduce(self.snd_nxt.since(self.snd_una));
        }
    }

    /// Book-keeping for `bytes` that leave.
    pub(super) fn count_for_recovery(&mut self, bytes: u32) {
        match &mut self.recovery.phase {
            Phase::Fast(prr) => prr.on_sent(bytes),
            Phase::Loss { head_due } => *head_due = false,
            Phase::Open => {}
        }
    }

    /// Nothing is in flight any more, whatever was sent: a new beginning at SND.UNA.
    pub(super) fn forget_flight(&mut self) {
        self.flight.clear();
        self.timers.reorder = None;
        self.recovery.duplicate_acks = 0;
        self.forget_tail_probe();
        self.forget_undo();
    }
}

/// RFC 2883 4: whether the first block reports a duplicate.
fn is_duplicate_report(ack: SeqNumber, blocks: &[(SeqNumber, SeqNumber)]) -> bool {
    let Some(&(left, right)) = blocks.first() else { return false };
    let within = |&(outer_left, outer_right): &(SeqNumber, SeqNumber)| {
        left.at_or_after(outer_left) && right.at_or_before(outer_right)
    };
    left.before(ack) || blocks.get(1).is_some_and(within)
}
