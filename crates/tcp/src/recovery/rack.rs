//! RACK: a segment is lost if one that was sent sufficiently later has arrived (RFC 8985).

use core::time::Duration;

use drywire_core::Instant;

use super::{Flight, Sent};
use crate::SeqNumber;

/// The state of RFC 8985 5.2 and 5.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rack {
    /// `RACK.xmit_ts` and `RACK.end_seq`: of the segment that was sent last, among those that have arrived.
    latest: Option<(Instant, SeqNumber)>,
    /// `RACK.rtt`.
    rtt: Duration,
    /// `RACK.min_RTT`, and when it was measured.
    min_rtt: Option<(Duration, Instant)>,
    /// `RACK.fack`: the highest sequence number that has arrived.
    fack: Option<SeqNumber>,
    /// `RACK.reordering_seen`.
    reordering_seen: bool,
    /// `RACK.reo_wnd_mult`.
    window_steps: u8,
    /// `RACK.reo_wnd_persist`.
    persist: u8,
    /// `RACK.dsack_round`.
    dsack_round: Option<SeqNumber>,
}

impl Rack {
    /// RFC 8985 6.2, step 4: for so many recoveries the window stays wide.
    const PERSIST: u8 = 16;
    /// RFC 8985 3.3: so many segments behind a gap are a loss, unless reordering was seen.
    const DUP_THRESH: u32 = 3;
    /// How long the least round-trip time counts: paths change.
    const MIN_RTT_AGE: Duration = Duration::from_secs(300);

    pub(crate) fn new() -> Self {
        Self {
            latest: None,
            rtt: Duration::ZERO,
            min_rtt: None,
            fack: None,
            reordering_seen: false,
            window_steps: 1,
            persist: 0,
            dsack_round: None,
        }
    }

    /// RFC 8985 6.2, steps 1 to 3: a segment has arrived. `answers` says whether the acknowledgment may be the answer to
    /// what was sent at a time, as far as its echo of our clock tells.
    pub(crate) fn on_delivered(&mut self, sent: &Sent, now: Instant, answers: impl Fn(Instant) -> bool) {
        let rtt = now - sent.time;
        if sent.again {
            // It may well be the first sending that has arrived.
            if !answers(sent.time) || self.min_rtt().is_some_and(|least| rtt < least) {
                return;
            }
        } else {
            if self.min_rtt.is_none_or(|(least, at)| rtt <= least || now - at > Self::MIN_RTT_AGE) {
                self.min_rtt = Some((rtt, now));
            }
            // Step 3: something below what has arrived already, sent once.
            if self.fack.is_some_and(|fack| sent.end.before(fack)) {
                self.reordering_seen = true;
            }
        }
        self.fack = Some(self.fack.map_or(sent.end, |fack| fack.max(sent.end)));
        self.rtt = rtt;
        if self.latest.is_none_or(|latest| sent_after((sent.time, sent.end), latest)) {
            self.latest = Some((sent.time, sent.end));
        }
    }

    /// RFC 8985 6.2, step 4: duplicates that the peer reports mean that segments were sent again too early.
    pub(crate) fn on_duplicate_report(&mut self, una: SeqNumber, nxt: SeqNumber) {
        if self.dsack_round.is_some_and(|round| una.before(round)) {
            return;
        }
        self.dsack_round = Some(nxt);
        self.window_steps = self.window_steps.saturating_add(1);
        self.persist = Self::PERSIST;
    }

    /// A recovery is over.
    pub(crate) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.window_steps = 1;
        }
    }

    /// RFC 8985 6.2, step 5: marks what is lost. When to look again, if something may be by then.
    pub(crate) fn detect(
        &self,
        flight: &mut Flight,
        now: Instant,
        srtt: Duration,
        recovering: bool,
    ) -> Option<Instant> {
        let latest = self.latest?;
        let patience = self.rtt + self.window(flight.sacked_segments(), srtt, recovering);
        while let Some((number, sent)) = flight.oldest() {
            if !sent_after(latest, (sent.time, sent.end)) {
                return None;
            }
            let deadline = sent.time + patience;
            if deadline > now {
                return Some(deadline);
            }
            flight.lose(number);
        }
        None
    }

    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.map(|(rtt, _)| rtt)
    }

    /// The reordering window (RFC 8985 6.2, step 4).
    fn window(&self, sacked: u32, srtt: Duration, recovering: bool) -> Duration {
        if !self.reordering_seen && (recovering || sacked >= Self::DUP_THRESH) {
            return Duration::ZERO;
        }
        let least = self.min_rtt().unwrap_or(Duration::ZERO);
        (least / 4).saturating_mul(self.window_steps.into()).min(srtt)
    }

    /// As if everything had happened at `now`.
    #[cfg(feature = "explore")]
    pub(crate) fn forget_time(&mut self, now: Instant) {
        self.rtt = Duration::ZERO;
        self.min_rtt = None;
        if let Some((at, _)) = &mut self.latest {
            *at = now;
        }
    }
}

/// RFC 8985 6.1: by time, and by sequence number where that is the same.
fn sent_after((time, end): (Instant, SeqNumber), (other_time, other_end): (Instant, SeqNumber)) -> bool {
    time > other_time || (time == other_time && end.after(other_end))
}
