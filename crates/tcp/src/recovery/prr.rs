//! Proportional rate reduction (RFC 9937, which replaces RFC 6937): how fast a recovery sends.

/// The state of one recovery. All amounts are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prr {
    /// `prr_delivered`: what has arrived since the recovery began.
    delivered: u32,
    /// `prr_out`: what was sent since.
    out: u32,
    /// `RecoverFS`: what was in flight when it began.
    flight: u32,
    window: u32,
}

impl Prr {
    pub(crate) fn new(flight: u32) -> Self {
        Self { delivered: 0, out: 0, flight: flight.max(1), window: 0 }
    }

    /// How many bytes may be in flight.
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// An acknowledgment has told of `delivered` bytes; `pipe` bytes are left in flight. `safe` (`SafeACK`): it has moved
    /// SND.UNA, and brought no news of further losses.
    pub(crate) fn on_ack(&mut self, delivered: u32, pipe: u32, ssthresh: u32, mss: u32, safe: bool) {
        self.delivered = self.delivered.saturating_add(delivered);
        let mut count = if pipe > ssthresh {
            // In proportion to what the window is to become.
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            // The conservative bound, and that of slow start as long as the recovery makes progress.
            let conserved = self.delivered.saturating_sub(self.out).max(delivered);
            let most = if safe { conserved.saturating_add(mss) } else { conserved };
            most.min(ssthresh - pipe)
        };
        if self.out == 0 {
            // The first retransmission leaves in any case.
            count = count.max(mss);
        }
        self.window = pipe.saturating_add(count);
    }

    /// Another retransmission leaves in any case.
    pub(crate) fn allow(&mut self, pipe: u32, bytes: u32) {
        self.window = self.window.max(pipe.saturating_add(bytes));
    }

    pub(crate) fn on_sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    #[test]
    fn rfc_9937_6_2_sends_in_proportion_while_more_is_in_flight_than_the_threshold() {
        // 20 segments, one lost, the window is halved: one leaves for every two that arrive, the first at once.
        let mut prr = Prr::new(20 * MSS);
        let mut pipe = 19 * MSS;
        for n in 1..=8 {
            pipe -= MSS;
            prr.on_ack(MSS, pipe, 10 * MSS, MSS, false);
            while prr.window() >= pipe + MSS {
                prr.on_sent(MSS);
                pipe += MSS;
            }
            assert_eq!(prr.out, (n / 2).max(1) * MSS);
        }
    }

    #[test]
    fn rfc_9937_6_2_a_safe_acknowledgment_fills_up_to_the_threshold() {
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.window(), 4 * MSS);
        prr.on_sent(2 * MSS);
        prr.on_ack(4 * MSS, 9 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.window(), 10 * MSS);
    }

    #[test]
    fn rfc_9937_6_2_any_other_acknowledgment_lets_as_much_leave_as_has_arrived() {
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 3 * MSS);
        // More went out than has arrived; what arrives now counts all the same.
        prr.on_sent(3 * MSS);
        prr.on_ack(MSS, 4 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 5 * MSS);
        prr.on_ack(0, 4 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 4 * MSS);
    }

    #[test]
    fn rfc_9937_6_2_the_first_retransmission_leaves_in_any_case() {
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(0, 15 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 16 * MSS);
        prr.on_sent(MSS);
        prr.on_ack(0, 16 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 16 * MSS);
    }
}
