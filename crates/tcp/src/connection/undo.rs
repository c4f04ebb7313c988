//! Taking back a reduction of the window that was a mistake (RFC 9438 4.9): nothing was lost, only late.
//!
//! Three kinds of news tell so. With timestamps, an acknowledgment of what was sent again that echoes a time before that
//! (Eifel detection, RFC 3522). Without them, and with SACK, after a time-out: arrivals of what was not sent again
//! (F-RTO, RFC 5682 3.1). With either, reports that all that was sent again has arrived twice (RFC 3708, as Linux does it).

use alloc::boxed::Box;

use drywire_core::Instant;

use super::Connection;
use super::ecn::Reduction;
use super::recovery::News;
use crate::congestion::Congestion;
use crate::{Header, SeqNumber};

/// What a reduction took, until it is known whether it was right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Undo {
    /// The controller as it was before.
    before: Congestion,
    /// The reduction before this one.
    reduction: Reduction,
    /// SND.UNA and SND.MAX when the loss was noticed.
    from: SeqNumber,
    to: SeqNumber,
    /// Where the first segment that was sent again ends, and when it left.
    first: Option<(SeqNumber, Instant)>,
    /// Its arrival is acknowledged.
    answered: bool,
    /// How many segments were sent again and not reported as duplicates.
    unreported: u32,
    forward: Forward,
    /// When SND.UNA gets there, no more news can come.
    expires: Option<SeqNumber>,
}

/// The steps of F-RTO (RFC 5682 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Forward {
    Off,
    /// Step 2: the first segment was sent again, and the next acknowledgment counts.
    Asked,
    /// Step 3: that has acknowledged a part, new data leaves, and again the next acknowledgment counts.
    NewData,
}

impl Connection {
    /// What is to be remembered before the window shrinks for a loss. `resent`: segments whose second sending may still
    /// be reported as a duplicate.
    pub(super) fn undo_point(&self, resent: u32) -> Undo {
        Undo {
            before: self.congestion.clone(),
            reduction: self.marking.reduction(),
            from: self.snd_una,
            to: self.snd_max,
            first: None,
            answered: false,
            unreported: resent,
            forward: Forward::Off,
            expires: None,
        }
    }

    /// As [`undo_point`](Self::undo_point), for a time-out, of which several may follow one another.
    pub(super) fn undo_point_of_timeout(&mut self) -> Option<Box<Undo>> {
        if !self.recovery.is_open() {
            // The first reduction is the one to take back. F-RTO is only for the first time-out (RFC 5682 3.1, step 1).
            return self.recovery.undo.take().map(|undo| Box::new(Undo { forward: Forward::Off, ..*undo }));
        }
        let forward = if self.sack && self.echo.is_none() { Forward::Asked } else { Forward::Off };
        Some(Box::new(Undo { forward, ..self.undo_point(0) }))
    }

    pub(super) fn forget_undo(&mut self) {
        self.recovery.undo = None;
    }

    /// A segment leaves again that ends at `end`.
    pub(super) fn on_sent_again(&mut self, end: SeqNumber) {
        if let Some(undo) = &mut self.recovery.undo {
            undo.first.get_or_insert((end, self.now));
            undo.unreported = undo.unreported.saturating_add(1);
        }
    }

    /// Whether new data goes before what is taken for lost (RFC 5682 3.1, step 2b).
    pub(super) fn sends_new_data_first(&self) -> bool {
        self.recovery.undo.as_ref().is_some_and(|undo| undo.forward == Forward::NewData)
    }

    /// Whether an acknowledgment shows that the last reduction was a mistake; if so, it is taken back.
    pub(super) fn judge_reduction(&mut self, header: &Header, news: &News) {
        let Some(mut undo) = self.recovery.undo.take() else { return };
        let late = self.has_arrived_late(&mut undo, header);
        if late || self.is_forward(&mut undo, news) || self.are_all_duplicates(&mut undo, header, news) {
            if late && !news.duplicate_report && self.recovery.is_loss() {
                // RFC 4015 3.2: the round trip that the time-out was too short for.
                self.rtt.sample(self.age_of_echo(header).min(self.config.max_rto));
            }
            return self.undo(*undo);
        }
        if self.recovery.is_open() && self.snd_una.at_or_after(*undo.expires.get_or_insert(self.snd_max)) {
            return;
        }
        self.recovery.undo = Some(undo);
    }

    /// RFC 3522 3.2: the first acknowledgment of what was sent again answers the first sending.
    fn has_arrived_late(&self, undo: &mut Undo, header: &Header) -> bool {
        // Who echoes nothing sends zero.
        if self.echo.is_none() || header.options.timestamps.is_none_or(|timestamps| timestamps.echo == 0) {
            return false;
        }
        let first = undo.first.filter(|(end, _)| !undo.answered && header.ack.at_or_after(*end));
        undo.answered |= first.is_some();
        first.is_some_and(|(_, time)| !self.answers(header)(time))
    }

    /// RFC 5682 3.1, steps 2 and 3.
    fn is_forward(&self, undo: &mut Undo, news: &News) -> bool {
        let sendable = self.send.len() > self.snd_nxt.since(self.snd_una) as usize
            && self.snd_wnd > self.snd_nxt.since(self.snd_una);
        let (next, spurious) = match undo.forward {
            Forward::Asked if news.acked > 0 && self.snd_una.before(undo.to) && sendable => (Forward::NewData, false),
            Forward::NewData => (Forward::Off, news.original),
            Forward::Asked | Forward::Off => (Forward::Off, false),
        };
        undo.forward = next;
        spurious
    }

    /// RFC 3708 3: each segment that was sent again is reported as a duplicate.
    fn are_all_duplicates(&self, undo: &mut Undo, header: &Header, news: &News) -> bool {
        let report = header.options.sack.as_slice().first().filter(|_| news.duplicate_report);
        let Some(&(left, right)) = report else { return false };
        if undo.unreported == 0 || left.before(undo.from) || right.after(undo.to) || !right.after(left) {
            return false;
        }
        undo.unreported = undo.unreported.saturating_sub(right.since(left).div_ceil(self.snd_mss.max(1)));
        undo.unreported == 0
    }

    /// RFC 9438 4.9.1 and 4.9.2, RFC 4015 3.2: everything is as if nothing had been noticed, and goes on with new data.
    fn undo(&mut self, undo: Undo) {
        self.congestion = undo.before;
        self.undo_reduction(undo.reduction);
        if !self.recovery.is_open() {
            self.recovery.reopen();
            self.flight.lose_none();
            // The next time it may wait longer.
            self.rack.on_reordering();
        }
    }
}
