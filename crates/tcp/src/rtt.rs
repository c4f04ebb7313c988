//! The retransmission time-out (RFC 6298).

use alloc::sync::Arc;
use core::time::Duration;

use crate::Config;

/// Smoothed round-trip time, its variation, and the time-out that follows from them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RttEstimator {
    srtt: Option<Duration>,
    rttvar: Duration,
    /// Before back-off.
    rto: Duration,
    /// How often the time-out was doubled since the last measurement.
    backoff: u32,
    /// For its least and its longest time-out.
    config: Arc<Config>,
}

impl RttEstimator {
    pub(crate) fn new(config: &Arc<Config>) -> Self {
        let rto = config.initial_rto;
        Self { srtt: None, rttvar: Duration::ZERO, rto, backoff: 0, config: Arc::clone(config) }
    }

    /// Takes the round-trip time of a segment that was sent only once (Karn's algorithm, RFC 6298 3).
    pub(crate) fn sample(&mut self, rtt: Duration) {
        let srtt = match self.srtt {
            // RFC 6298 2.2.
            None => {
                self.rttvar = rtt / 2;
                rtt
            }
            // RFC 6298 2.3, alpha = 1/8 and beta = 1/4.
            Some(srtt) => {
                self.rttvar = (self.rttvar * 3 + srtt.abs_diff(rtt)) / 4;
                (srtt * 7 + rtt) / 8
            }
        };
        self.srtt = Some(srtt);
        // The clock counts nanoseconds, so G of RFC 6298 2.3 is nothing beside the minimum.
        self.rto = (srtt + self.rttvar * 4).max(self.config.min_rto).min(self.config.max_rto);
        // RFC 6298 5, closing note: a measurement collapses the back-off.
        self.backoff = 0;
    }

    /// The smoothed round-trip time, once something was measured.
    pub(crate) fn srtt(&self) -> Option<Duration> {
        self.srtt
    }

    /// RTTVAR.
    pub(crate) fn variation(&self) -> Duration {
        self.rttvar
    }

    /// How often the time-out was doubled since the last measurement.
    pub(crate) fn doublings(&self) -> u32 {
        self.backoff
    }

    /// The time-out now, back-off included.
    pub(crate) fn rto(&self) -> Duration {
        self.backed_off(self.backoff)
    }

    /// The time-out after `doublings` doublings, whatever the back-off is now.
    pub(crate) fn backed_off(&self, doublings: u32) -> Duration {
        // 2^16 times the least of one millisecond is beyond a minute already.
        self.rto.saturating_mul(1 << doublings.min(16)).min(self.config.max_rto)
    }

    /// RFC 6298 5.5: doubles the time-out.
    pub(crate) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// RFC 6298 5.7: the handshake had to be repeated and nothing was measured, so data starts with three seconds.
    pub(crate) fn handshake_timed_out(&mut self) {
        if self.srtt.is_none() {
            self.rto = Duration::from_secs(3).max(self.config.min_rto).min(self.config.max_rto);
            self.backoff = 0;
        }
    }
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
