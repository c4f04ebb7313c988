//! Proportional rate reduction (RFC 6937): how fast a recovery sends.

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

    /// An acknowledgment has told of `delivered` bytes; `pipe` bytes are left in flight. `progress`: it has moved
    /// SND.UNA, and brought no news of further losses.
    pub(crate) fn on_ack(&mut self, delivered: u32, pipe: u32, ssthresh: u32, mss: u32, progress: bool) {
        self.delivered = self.delivered.saturating_add(delivered);
        let room = if pipe > ssthresh {
            // RFC 6937 3.1: in proportion to what the window is to become.
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            let conservation = self.delivered.saturating_sub(self.out);
            // The slow start reduction bound, as long as the recovery makes progress; else the conservative one.
            let limit = if progress { conservation.max(delivered).saturating_add(mss) } else { conservation };
            limit.min(ssthresh - pipe)
        };
        self.window = pipe.saturating_add(room);
    }

    /// The first retransmission leaves in any case (RFC 5681 3.2, step 3).
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
    fn rfc_6937_3_1_sends_in_proportion_while_more_is_in_flight_than_the_threshold() {
        // 20 segments, one lost, the window is halved: one leaves for every two that arrive.
        let mut prr = Prr::new(20 * MSS);
        let mut pipe = 19 * MSS;
        for n in 1..=8 {
            pipe -= MSS;
            prr.on_ack(MSS, pipe, 10 * MSS, MSS, false);
            while prr.window() >= pipe + MSS {
                prr.on_sent(MSS);
                pipe += MSS;
            }
            assert_eq!(prr.out, n / 2 * MSS);
        }
    }

    #[test]
    fn rfc_6937_3_1_the_slow_start_bound_fills_up_to_the_threshold() {
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.window(), 4 * MSS);
        prr.on_sent(2 * MSS);
        prr.on_ack(4 * MSS, 9 * MSS, 10 * MSS, MSS, true);
        assert_eq!(prr.window(), 10 * MSS);
    }

    #[test]
    fn rfc_6937_3_1_the_conservative_bound_sends_what_has_arrived() {
        let mut prr = Prr::new(20 * MSS);
        prr.on_ack(MSS, 2 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 3 * MSS);
        prr.on_sent(MSS);
        prr.on_ack(0, 3 * MSS, 10 * MSS, MSS, false);
        assert_eq!(prr.window(), 3 * MSS);
        prr.allow(3 * MSS, MSS);
        assert_eq!(prr.window(), 4 * MSS);
    }
}
