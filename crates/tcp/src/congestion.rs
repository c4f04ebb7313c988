//! The congestion window: NewReno (RFC 5681, RFC 6582).
//!
//! Only the arithmetic of the window stands here. When a segment counts as lost is for the connection to say, so that
//! other controllers can take this one's place.

/// Slow start, congestion avoidance, fast recovery. All amounts are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NewReno {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    acked: u32,
}

impl NewReno {
    /// A window of `segments` segments, and no threshold (RFC 5681 3.1, RFC 6928).
    pub(crate) fn new(mss: u32, segments: u8) -> Self {
        Self { mss, cwnd: mss * u32::from(segments), ssthresh: u32::MAX, acked: 0 }
    }

    /// The path takes less than was thought (RFC 1191 6.4).
    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
    }

    /// How many bytes may be in flight.
    pub(crate) fn window(&self) -> u32 {
        self.cwnd
    }

    /// New data was acknowledged while nothing is known to be lost, with `flight` bytes in flight before that.
    pub(crate) fn on_ack(&mut self, acked: u32, flight: u32) {
        // RFC 7661: a window that is not used says nothing about the path, so it does not grow.
        if flight < self.cwnd / 2 {
            return;
        }
        if self.cwnd < self.ssthresh {
            // RFC 5681 3.1 (2).
            self.cwnd = self.cwnd.saturating_add(acked.min(self.mss));
        } else {
            // RFC 5681 3.1: a segment per window acknowledged.
            self.acked = self.acked.saturating_add(acked);
            if self.acked >= self.cwnd {
                self.acked -= self.cwnd;
                self.cwnd = self.cwnd.saturating_add(self.mss);
            }
        }
    }

    /// Three duplicate acknowledgments: halve, and count the three segments that have left (RFC 5681 3.2, steps 2, 3).
    pub(crate) fn on_fast_retransmit(&mut self, flight: u32) {
        self.set_threshold(flight);
        self.cwnd = self.ssthresh.saturating_add(3 * self.mss);
    }

    /// Another segment has left the network during fast recovery (RFC 5681 3.2, step 4).
    pub(crate) fn on_duplicate_in_recovery(&mut self) {
        self.cwnd = self.cwnd.saturating_add(self.mss);
    }

    /// Part of what was in flight when recovery began is acknowledged (RFC 6582 3.2, step 3, partial).
    pub(crate) fn on_partial_ack(&mut self, acked: u32) {
        self.cwnd = self.cwnd.saturating_sub(acked);
        if acked >= self.mss {
            self.cwnd = self.cwnd.saturating_add(self.mss);
        }
        self.cwnd = self.cwnd.max(self.mss);
    }

    /// All of it is acknowledged (RFC 6582 3.2, step 3, full, option 1, which avoids a burst).
    pub(crate) fn on_recovered(&mut self, flight: u32) {
        self.cwnd = self.ssthresh.min(flight.max(self.mss).saturating_add(self.mss));
        self.acked = 0;
    }

    /// The retransmission timer went off; `again` where it did so before for the same data (RFC 5681 3.1, (4) and after).
    pub(crate) fn on_timeout(&mut self, flight: u32, again: bool) {
        if !again {
            self.set_threshold(flight);
        }
        self.cwnd = self.mss;
        self.acked = 0;
    }

    /// Nothing was sent for longer than the time-out (RFC 5681 4.1).
    pub(crate) fn on_idle(&mut self, segments: u8) {
        self.cwnd = self.cwnd.min(self.mss * u32::from(segments));
    }

    /// RFC 5681 3.1 (4).
    fn set_threshold(&mut self, flight: u32) {
        self.ssthresh = (flight / 2).max(2 * self.mss);
        self.acked = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    #[test]
    fn rfc_5681_3_1_slow_start_grows_by_what_is_acknowledged_up_to_one_segment() {
        let mut reno = NewReno::new(MSS, 10);
        reno.on_ack(MSS, 10 * MSS);
        reno.on_ack(300, 10 * MSS);
        reno.on_ack(5 * MSS, 10 * MSS);
        assert_eq!(reno.window(), 12_300);
    }

    #[test]
    fn rfc_5681_3_1_congestion_avoidance_grows_by_one_segment_a_round_trip() {
        let mut reno = NewReno::new(MSS, 10);
        reno.on_timeout(8 * MSS, false);
        for _ in 0..3 {
            reno.on_ack(MSS, reno.window());
        }
        assert_eq!(reno.window(), 4 * MSS);
        for _ in 0..4 {
            assert_eq!(reno.window(), 4 * MSS);
            reno.on_ack(MSS, reno.window());
        }
        assert_eq!(reno.window(), 5 * MSS);
    }

    #[test]
    fn rfc_5681_3_1_timeout_goes_back_to_one_segment_and_halves_once() {
        let mut reno = NewReno::new(MSS, 10);
        reno.on_timeout(10 * MSS, false);
        assert_eq!((reno.window(), reno.ssthresh), (MSS, 5 * MSS));
        reno.on_timeout(MSS, true);
        assert_eq!(reno.ssthresh, 5 * MSS);
        reno.on_timeout(MSS, false);
        assert_eq!(reno.ssthresh, 2 * MSS);
    }

    #[test]
    fn rfc_6582_3_2_partial_and_full_acknowledgments_deflate() {
        let mut reno = NewReno::new(MSS, 20);
        reno.on_fast_retransmit(20 * MSS);
        assert_eq!(reno.window(), 13 * MSS);
        reno.on_duplicate_in_recovery();
        assert_eq!(reno.window(), 14 * MSS);
        reno.on_partial_ack(4 * MSS);
        assert_eq!(reno.window(), 11 * MSS);
        reno.on_recovered(3 * MSS);
        assert_eq!(reno.window(), 4 * MSS);
    }

    #[test]
    fn rfc_7661_an_unused_window_does_not_grow() {
        let mut reno = NewReno::new(MSS, 10);
        reno.on_ack(MSS, 4 * MSS);
        assert_eq!(reno.window(), 10 * MSS);
    }
}
