//! NewReno (RFC 5681, RFC 6582).

use drywire_core::Instant;

use super::{Acked, Controller, decay, slow_start};

/// Slow start, congestion avoidance by one segment a round trip, and halving (RFC 5681).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NewReno {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u32,
}

impl NewReno {
    /// RFC 5681 3.1 (4).
    fn set_threshold(&mut self, flight: u32) {
        self.ssthresh = (flight.min(self.cwnd) / 2).max(2 * self.mss);
        self.acked = 0;
    }
}

impl Controller for NewReno {
    fn start(&mut self, mss: u32, window: u32) {
        *self = Self { mss, cwnd: window, ssthresh: u32::MAX, acked: 0 };
    }

    fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
    }

    fn window(&self) -> u32 {
        self.cwnd
    }

    fn threshold(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, acked: &Acked) {
        // RFC 7661: a window that is not used says nothing about the path, so it does not grow.
        if acked.flight < self.cwnd / 2 {
            return;
        }
        if self.cwnd < self.ssthresh {
            // RFC 5681 3.1 (2).
            self.cwnd = self.cwnd.saturating_add(slow_start(acked.bytes, self.mss));
        } else {
            // RFC 5681 3.1: a segment per window acknowledged.
            self.acked = self.acked.saturating_add(acked.bytes);
            if self.acked >= self.cwnd {
                self.acked -= self.cwnd;
                self.cwnd = self.cwnd.saturating_add(self.mss);
            }
        }
    }

    fn on_congestion(&mut self, _now: Instant, flight: u32) {
        self.set_threshold(flight);
        self.cwnd = self.ssthresh;
    }

    fn on_mark(&mut self, _now: Instant, flight: u32) {
        let half = flight.min(self.cwnd) / 2;
        self.set_threshold(flight);
        // RFC 3168 6.1.2: the least is one segment, not two as after a loss.
        self.cwnd = half.max(self.mss);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, again: bool) {
        if !again {
            self.set_threshold(flight);
        }
        self.cwnd = self.mss;
        self.acked = 0;
    }

    fn on_idle(&mut self, timeouts: u32, restart: u32) {
        // RFC 2861 3.1: what was learned is not forgotten.
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        self.cwnd = decay(self.cwnd, timeouts, restart);
        self.acked = 0;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const MSS: u32 = 1000;

    fn reno(segments: u32) -> NewReno {
        let mut reno = NewReno::default();
        reno.start(MSS, segments * MSS);
        reno
    }

    fn ack(reno: &mut NewReno, bytes: u32, flight: u32) {
        reno.on_ack(&Acked { now: Instant::ORIGIN, bytes, flight, rtt: Duration::ZERO });
    }

    #[test]
    fn rfc_5681_3_1_slow_start_grows_by_what_is_acknowledged_up_to_two_segments() {
        let mut reno = reno(10);
        ack(&mut reno, MSS, 10 * MSS);
        ack(&mut reno, 300, 10 * MSS);
        ack(&mut reno, 5 * MSS, 10 * MSS);
        assert_eq!(reno.window(), 13_300);
    }

    #[test]
    fn rfc_5681_3_1_congestion_avoidance_grows_by_one_segment_a_round_trip() {
        let mut reno = reno(8);
        reno.on_congestion(Instant::ORIGIN, 8 * MSS);
        for _ in 0..4 {
            assert_eq!(reno.window(), 4 * MSS);
            let window = reno.window();
            ack(&mut reno, MSS, window);
        }
        assert_eq!(reno.window(), 5 * MSS);
    }

    #[test]
    fn rfc_3168_6_1_2_a_mark_halves_down_to_one_segment() {
        let mut reno = reno(10);
        reno.on_mark(Instant::ORIGIN, 10 * MSS);
        assert_eq!((reno.window(), reno.threshold()), (5 * MSS, 5 * MSS));
        for _ in 0..5 {
            let window = reno.window();
            reno.on_mark(Instant::ORIGIN, window);
        }
        assert_eq!((reno.window(), reno.threshold()), (MSS, 2 * MSS));
    }

    #[test]
    fn rfc_5681_3_1_timeout_goes_back_to_one_segment_and_halves_once() {
        let mut reno = reno(10);
        reno.on_timeout(Instant::ORIGIN, 10 * MSS, false);
        assert_eq!((reno.window(), reno.threshold()), (MSS, 5 * MSS));
        reno.on_timeout(Instant::ORIGIN, MSS, true);
        assert_eq!(reno.threshold(), 5 * MSS);
        reno.on_timeout(Instant::ORIGIN, MSS, false);
        assert_eq!(reno.threshold(), 2 * MSS);
    }

    #[test]
    fn rfc_7661_an_unused_window_does_not_grow() {
        let mut reno = reno(10);
        ack(&mut reno, MSS, 4 * MSS);
        assert_eq!(reno.window(), 10 * MSS);
    }

    #[test]
    fn rfc_2861_3_1_an_idle_window_halves_with_each_timeout_down_to_the_restart_window() {
        let mut reno = reno(80);
        reno.on_idle(1, 10 * MSS);
        assert_eq!(reno.window(), 40 * MSS);
        reno.on_congestion(Instant::ORIGIN, 40 * MSS);
        reno.on_idle(40, 10 * MSS);
        assert_eq!((reno.window(), reno.threshold()), (10 * MSS, 20 * MSS));
    }
}
