//! The retransmission time-out (RFC 6298).

use alloc::sync::Arc;
use core::time::Duration;

use crate::Config;

/// Smoothed round-trip time, its variation, and the time-out that follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RttEstimator {
    // In nanoseconds, as a Duration takes twice the room.
    srtt: u64,
    rttvar: u64,
    /// Before back-off.
    rto: u64,
    measured: bool,
    /// How often the time-out was doubled since the last measurement.
    backoff: u8,
    /// For its least and its longest time-out.
    config: Arc<Config>,
}

impl RttEstimator {
    pub(crate) fn new(config: &Arc<Config>) -> Self {
        let rto = nanos(config.initial_rto);
        Self { srtt: 0, rttvar: 0, rto, measured: false, backoff: 0, config: Arc::clone(config) }
    }

    /// Takes the round-trip time of a segment that was sent only once (Karn's algorithm, RFC 6298 3).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        // 36 years at most, so that eight times that is no overflow.
        let rtt = nanos(rtt).min(1 << 60);
        if core::mem::replace(&mut self.measured, true) {
            // RFC 6298 2.3, alpha = 1/8 and beta = 1/4.
            self.rttvar = (self.rttvar * 3 + self.srtt.abs_diff(rtt)) / 4;
            self.srtt = (self.srtt * 7 + rtt) / 8;
        } else {
            // RFC 6298 2.2.
            (self.srtt, self.rttvar) = (rtt, rtt / 2);
        }
        // The clock counts nanoseconds, so G of RFC 6298 2.3 is nothing beside the minimum.
        self.rto = self.bounded(self.srtt.saturating_add(self.rttvar.saturating_mul(4)));
        // RFC 6298 5, closing note: a measurement collapses the back-off.
        self.backoff = 0;
    }

    /// The smoothed round-trip time, once something was measured.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.measured.then(|| Duration::from_nanos(self.srtt))
    }

    /// RTTVAR.
    pub(crate) fn variation(&self) -> Duration {
        Duration::from_nanos(self.rttvar)
    }

    /// How often the time-out was doubled since the last measurement.
    pub(crate) fn doublings(&self) -> u32 {
        self.backoff.into()
    }

    /// The time-out now, back-off included.
    pub(crate) fn rto(&self) -> Duration {
        self.backed_off(self.doublings())
    }

    /// The time-out after `doublings` doublings, whatever the back-off is now.
    pub(crate) fn backed_off(&self, doublings: u32) -> Duration {
        // 2^16 times the least of one millisecond is beyond a minute already.
        Duration::from_nanos(self.rto.saturating_mul(1 << doublings.min(16))).min(self.config.max_rto)
    }

    /// RFC 6298 5.5: doubles the time-out.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// RFC 6298 5.7: the handshake had to be repeated and nothing was measured, so data starts with three seconds.
    pub(crate) fn handshake_timed_out(&mut self) {
        if !self.measured {
            self.rto = self.bounded(3_000_000_000);
            self.backoff = 0;
        }
    }

    /// Within the limits of RFC 6298 2.4 and 2.5.
    fn bounded(&self, rto: u64) -> u64 {
        rto.max(nanos(self.config.min_rto)).min(nanos(self.config.max_rto))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimator() -> RttEstimator {
        RttEstimator::new(&Arc::new(Config::default().sanitized()))
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn rfc_6298_2_1_starts_at_one_second() {
        assert_eq!(estimator().rto(), ms(1000));
    }

    #[test]
    fn rfc_6298_2_2_first_measurement_gives_three_times_itself() {
        let mut rtt = estimator();
        rtt.sample(ms(100));
        assert_eq!(rtt.rto(), ms(300));
    }

    #[test]
    fn rfc_6298_2_3_later_measurements_are_smoothed() {
        let mut rtt = estimator();
        rtt.sample(ms(100));
        rtt.sample(ms(180));
        // SRTT = 7/8 * 100 + 1/8 * 180 = 110, RTTVAR = 3/4 * 50 + 1/4 * 80 = 57.5.
        assert_eq!(rtt.rto(), ms(340));
    }

    #[test]
    fn rfc_6298_2_4_and_2_5_bounds_hold() {
        let mut rtt = estimator();
        rtt.sample(Duration::from_micros(10));
        assert_eq!(rtt.rto(), ms(200));
        rtt.sample(Duration::MAX / 16);
        assert_eq!(rtt.rto(), Duration::from_secs(60));
    }

    #[test]
    fn rfc_6298_5_5_back_off_doubles_until_measured() {
        let mut rtt = estimator();
        rtt.back_off();
        rtt.back_off();
        assert_eq!(rtt.rto(), ms(4000));
        for _ in 0..100 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), Duration::from_secs(60));
        rtt.sample(ms(100));
        assert_eq!(rtt.rto(), ms(300));
    }
}
