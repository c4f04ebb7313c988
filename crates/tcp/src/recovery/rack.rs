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
    // In nanoseconds, as a Duration takes twice the room.
    /// `RACK.rtt`.
    rtt: u64,
    /// `RACK.min_RTT`, and when it was measured.
    min_rtt: Option<(u64, Instant)>,
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
            rtt: 0,
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
        let rtt = now.as_nanos().saturating_sub(sent.time.as_nanos());
        if sent.again {
            // It may well be the first sending that has arrived.
            if !answers(sent.time) || self.min_rtt.is_some_and(|(least, _)| rtt < least) {
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

    /// What was taken for lost was only late.
    pub(crate) fn on_reordering(&mut self) {
        self.reordering_seen = true;
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
        let patience = self.patience(flight, srtt, recovering);
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

    /// `RACK.rtt + RACK.reo_wnd`: how long after its sending a segment is missed.
    pub(crate) fn patience(&self, flight: &Flight, srtt: Duration, recovering: bool) -> Duration {
        Duration::from_nanos(self.rtt) + self.window(flight.sacked_segments(), srtt, recovering)
    }

    pub(crate) fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt.map(|(rtt, _)| Duration::from_nanos(rtt))
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
        self.rtt = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    const fn seq(n: u32) -> SeqNumber {
        // The numbers wrap in every test.
        SeqNumber::new(n.wrapping_sub(500))
    }

    const fn at(n: u64) -> Instant {
        Instant::from_millis(n)
    }

    /// Ten segments of 100 bytes, one a millisecond.
    fn ten() -> Flight {
        let mut flight = Flight::default();
        for n in 0..10 {
            flight.push(seq(n * 100), seq(n * 100 + 100), at(n.into()), false);
        }
        flight
    }

    /// The peer reports the segments from `first` up to `end`.
    fn sack(rack: &mut Rack, flight: &mut Flight, now: Instant, first: u32, end: u32) {
        flight.sack(seq(first * 100), seq(end * 100), |sent| rack.on_delivered(sent, now, |_| true));
    }

    #[test]
    fn rfc_8985_6_2_step_1_the_least_round_trip_counts_until_it_is_old() {
        let (mut rack, mut flight) = (Rack::new(), ten());
        sack(&mut rack, &mut flight, at(100), 0, 1);
        sack(&mut rack, &mut flight, at(300), 1, 2);
        assert_eq!((rack.min_rtt(), rack.rtt), (Some(RTT), 299_000_000));
        sack(&mut rack, &mut flight, at(400_000), 2, 3);
        assert_eq!(rack.min_rtt(), Some(Duration::from_millis(399_998)));
    }

    #[test]
    fn rfc_8985_6_2_step_2_an_answer_that_may_be_to_the_first_sending_counts_for_nothing() {
        let (mut rack, mut flight) = (Rack::new(), ten());
        sack(&mut rack, &mut flight, at(100), 1, 2);
        let latest = rack.latest;
        // Sooner than any round trip was.
        flight.resend(3, at(150));
        sack(&mut rack, &mut flight, at(160), 3, 4);
        assert_eq!((rack.latest, rack.fack), (latest, Some(seq(200))));
        // With an echo from before.
        flight.resend(5, at(150));
        flight.sack(seq(500), seq(600), |sent| rack.on_delivered(sent, at(260), |_| false));
        assert_eq!((rack.latest, rack.fack), (latest, Some(seq(200))));
        // Otherwise it counts.
        flight.resend(7, at(150));
        sack(&mut rack, &mut flight, at(260), 7, 8);
        assert_eq!((rack.latest, rack.fack), (Some((at(150), seq(800))), Some(seq(800))));
    }

    #[test]
    fn rfc_8985_6_2_step_3_what_arrives_below_the_highest_and_was_sent_once_is_reordering() {
        let (mut rack, mut flight) = (Rack::new(), ten());
        sack(&mut rack, &mut flight, at(105), 5, 6);
        flight.resend(1, at(106));
        sack(&mut rack, &mut flight, at(206), 1, 2);
        assert!(!rack.reordering_seen, "it was sent again");
        sack(&mut rack, &mut flight, at(207), 3, 4);
        assert!(rack.reordering_seen);
    }

    #[test]
    fn rfc_8985_6_2_step_4_without_reordering_three_segments_behind_or_a_recovery_leave_no_patience() {
        let mut rack = Rack::new();
        rack.min_rtt = Some((100_000_000, at(0)));
        assert_eq!(rack.window(2, RTT, false), RTT / 4);
        assert_eq!((rack.window(3, RTT, false), rack.window(0, RTT, true)), (Duration::ZERO, Duration::ZERO));
        rack.reordering_seen = true;
        assert_eq!((rack.window(3, RTT, false), rack.window(0, RTT, true)), (RTT / 4, RTT / 4));
    }

    #[test]
    fn rfc_8985_6_2_step_4_duplicates_widen_the_window_once_a_round_trip_up_to_one_and_for_sixteen_recoveries() {
        let mut rack = Rack::new();
        rack.min_rtt = Some((100_000_000, at(0)));
        rack.on_duplicate_report(seq(0), seq(1000));
        rack.on_duplicate_report(seq(900), seq(1900));
        assert_eq!(rack.window(0, RTT, false), RTT / 2);
        for round in 1..6 {
            rack.on_duplicate_report(seq(round * 1000), seq(round * 1000 + 1000));
        }
        assert_eq!(rack.window(0, RTT, false), RTT);
        for _ in 0..15 {
            rack.on_recovered();
        }
        assert_eq!(rack.window(0, RTT, false), RTT);
        rack.on_recovered();
        assert_eq!(rack.window(0, RTT, false), RTT / 4);
    }

    #[test]
    fn rfc_8985_6_2_step_5_what_was_sent_sufficiently_before_the_latest_arrival_is_lost() {
        let (mut rack, mut flight) = (Rack::new(), ten());
        sack(&mut rack, &mut flight, at(102), 2, 3);
        // 25 ms of patience: the first is missed 125 ms after it left.
        assert_eq!(rack.detect(&mut flight, at(102), RTT, false), Some(at(125)));
        assert_eq!(flight.lost_segments(), 0);
        assert_eq!(rack.detect(&mut flight, at(125), RTT, false), Some(at(126)));
        assert_eq!(flight.lost_segments(), 1);
        // Behind the latest arrival nothing is missed, however late it is.
        assert_eq!(rack.detect(&mut flight, at(1000), RTT, false), None);
        assert_eq!(flight.lost_segments(), 2);
    }

    #[test]
    fn rfc_8985_6_2_step_5_a_retransmission_is_lost_like_any_other() {
        let (mut rack, mut flight) = (Rack::new(), ten());
        sack(&mut rack, &mut flight, at(103), 1, 4);
        rack.detect(&mut flight, at(103), RTT, false);
        flight.resend(0, at(103));
        flight.push(seq(1000), seq(1100), at(104), false);
        sack(&mut rack, &mut flight, at(204), 4, 11);
        rack.detect(&mut flight, at(204), RTT, true);
        assert_eq!((flight.lost_segments(), flight.next_lost().map(|it| it.0)), (1, Some(0)));
    }
}
