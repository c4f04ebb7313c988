//! CUBIC (RFC 9438), in integers only: the same on every platform.

use alloc::boxed::Box;
use core::time::Duration;

use drywire_core::Instant;

use super::{Acked, Controller, decay, slow_start};

/// The window as a cubic function of the time since the last loss (RFC 9438), and never below what NewReno would have.
///
/// Time is counted in units of 1/1024 s, so that its cube is a shift away from cubic seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cubic {
    mss: u32,
    cwnd: u32,
    ssthresh: u32,
    /// `W_max`: the window before the last reduction, in bytes.
    w_max: u32,
    /// `cwnd_prior`: the same, before fast convergence.
    prior: u32,
    /// The stage of congestion avoidance, if it has begun.
    epoch: Option<Box<Epoch>>,
}

/// A stage of congestion avoidance (RFC 9438 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Epoch {
    start: Instant,
    /// K: how long the function takes from `cwnd_epoch` to `origin`.
    k: u64,
    /// Where the function is flat.
    origin: u32,
    /// `W_est`: the window of NewReno (RFC 9438 4.3).
    w_est: u32,
    /// What is left of the two divisions by the window.
    est_rest: u64,
    rest: u64,
}

impl Cubic {
    /// C = 0.4 segments a cubic second (RFC 9438 5.1).
    const C: (u64, u64) = (2, 5);
    /// `beta_cubic` = 0.7 (RFC 9438 4.6).
    const BETA: (u64, u64) = (7, 10);
    /// `alpha_cubic` = 3 (1 - beta) / (1 + beta) (RFC 9438 4.3).
    const ALPHA: (u64, u64) = (9, 17);
    /// Longer times are cut: the window would be beyond everything by then. Two minutes.
    const MAX_TIME: u64 = 1 << 17;

    /// RFC 9438 4.2 (2): the K for growing by `bytes`.
    fn time_to_grow(&self, bytes: u32) -> u64 {
        // In segments and seconds K^3 = bytes / mss / C. 2^30 bytes times 2^30 leave room for the factor.
        cube_root((u64::from(bytes.min(1 << 30)) << 30) / u64::from(self.mss.max(1)) * Self::C.1 / Self::C.0)
    }

    /// RFC 9438 4.2 (1): C (t - K)^3, in bytes, and whether t lies beyond K.
    fn distance(&self, t: u64, k: u64) -> (u64, bool) {
        let d = t.abs_diff(k).min(Self::MAX_TIME);
        // 2^51 at most; ten bits of fraction stay.
        let segments = ((d * d * d) >> 20) * Self::C.0 / Self::C.1;
        ((segments * u64::from(self.mss)) >> 10, t > k)
    }

    fn epoch(&mut self, now: Instant) -> Epoch {
        let (cwnd, w_max) = (self.cwnd, self.w_max);
        // Without a plateau ahead the function begins flat and grows from here (RFC 9438 4.8 has such a case).
        let (k, origin) = if cwnd < w_max { (self.time_to_grow(w_max - cwnd), w_max) } else { (0, cwnd) };
        Epoch { start: now, k, origin, w_est: cwnd, est_rest: 0, rest: 0 }
    }

    fn avoid_congestion(&mut self, acked: &Acked) {
        let mut epoch = match self.epoch.take() {
            Some(epoch) => *epoch,
            None => self.epoch(acked.now),
        };
        let (cwnd, bytes) = (u64::from(self.cwnd.max(1)), u64::from(acked.bytes));
        // RFC 9438 4.3 (4): alpha is 1 once W_est has reached the window before the loss.
        let (num, den) = if epoch.w_est < self.prior { Self::ALPHA } else { (1, 1) };
        epoch.est_rest += u64::from(self.mss) * bytes * num;
        let step = epoch.est_rest / (cwnd * den);
        epoch.est_rest %= cwnd * den;
        epoch.w_est = epoch.w_est.saturating_add(u32::try_from(step).unwrap_or(u32::MAX));

        let at = |time: Duration| {
            let (bytes, beyond) = self.distance(units(time), epoch.k);
            let origin = u64::from(epoch.origin);
            if beyond { origin + bytes } else { origin.saturating_sub(bytes) }
        };
        let since = acked.now - epoch.start;
        if at(since) < u64::from(epoch.w_est) {
            // RFC 9438 4.3: the Reno-friendly region.
            self.cwnd = self.cwnd.max(epoch.w_est);
        } else {
            // RFC 9438 4.2, 4.4, 4.5: towards the window of one round trip from now, which is at most half larger.
            let target = at(since.saturating_add(acked.rtt)).clamp(cwnd, cwnd + cwnd / 2);
            epoch.rest += (target - cwnd) * bytes;
            let step = epoch.rest / cwnd;
            epoch.rest %= cwnd;
            self.cwnd = self.cwnd.saturating_add(u32::try_from(step).unwrap_or(u32::MAX));
        }
        self.epoch = Some(Box::new(epoch));
    }

    /// RFC 9438 4.6 and 4.7.
    fn reduce(&mut self, flight: u32) {
        let used = flight.min(self.cwnd);
        // Fast convergence: a window that did not come back to the last plateau leaves room for newcomers.
        let shrinks = self.cwnd < self.w_max;
        self.prior = self.cwnd;
        self.w_max =
            if shrinks { scale(self.cwnd, (Self::BETA.0 + Self::BETA.1, 2 * Self::BETA.1)) } else { self.cwnd };
        self.ssthresh = scale(used, Self::BETA).max(2 * self.mss);
        self.epoch = None;
    }
}

impl Controller for Cubic {
    fn start(&mut self, mss: u32, window: u32) {
        *self = Self { mss, cwnd: window, ssthresh: u32::MAX, ..Self::default() };
    }

    fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
        self.cwnd = self.cwnd.max(mss);
        self.epoch = None;
    }

    /// Whole segments, in which RFC 9438 counts; what is counted in bytes inside is so that small growth adds up. Cut down
    /// instead of rounded to the nearest, half of a segment on the average would lie idle: a tenth of a window of five.
    fn window(&self) -> u32 {
        let mss = self.mss.max(1);
        self.cwnd.saturating_add(mss / 2) / mss * mss
    }

    fn threshold(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, acked: &Acked) {
        // RFC 9438 5.8, RFC 7661: a window that is not used does not grow, and its time does not pass.
        if acked.flight < self.cwnd / 2 {
            self.epoch = None;
        } else if self.cwnd < self.ssthresh {
            // RFC 9438 4.10.
            self.cwnd = self.cwnd.saturating_add(slow_start(acked.bytes, self.mss));
        } else {
            self.avoid_congestion(acked);
        }
    }

    fn on_congestion(&mut self, _now: Instant, flight: u32) {
        self.reduce(flight);
        self.cwnd = self.ssthresh;
    }

    fn on_mark(&mut self, _now: Instant, flight: u32) {
        let reduced = scale(flight.min(self.cwnd), Self::BETA);
        self.reduce(flight);
        // RFC 9438 4.6: the least is one segment, not two as after a loss.
        self.cwnd = reduced.max(self.mss);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, again: bool) {
        // RFC 9438 4.8.
        if !again {
            self.reduce(flight);
        }
        self.cwnd = self.mss;
    }

    fn on_idle(&mut self, timeouts: u32, restart: u32) {
        self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        self.cwnd = decay(self.cwnd, timeouts, restart);
        self.epoch = None;
    }
}

/// In units of 1/1024 s.
fn units(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1024).saturating_add(u64::from(time.subsec_nanos()) * 1024 / 1_000_000_000)
}

fn scale(bytes: u32, (num, den): (u64, u64)) -> u32 {
    // All factors are below one.
    (u64::from(bytes) * num / den) as u32
}

/// The cube root, rounded down: one bit at a time from the top.
fn cube_root(n: u64) -> u64 {
    // The root of 2^64 is below 2^22.
    (0..22).rev().fold(0, |root, bit| {
        let next: u64 = root | 1 << bit;
        if next.checked_pow(3).is_some_and(|cube| cube <= n) { next } else { root }
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const MSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    fn cubic(segments: u32) -> Cubic {
        let mut cubic = Cubic::default();
        cubic.start(MSS, segments * MSS);
        cubic
    }

    /// A round trip in which the whole window is acknowledged segment by segment.
    fn round_trip(cubic: &mut Cubic, now: Instant) {
        let flight = cubic.window();
        for _ in 0..flight / MSS {
            cubic.on_ack(&Acked { now, bytes: MSS, flight, rtt: RTT });
        }
    }

    #[test]
    fn cube_roots_are_exact() {
        for root in [0u64, 1, 2, 3, 10, 1023, 1024, 99_999, 2_642_245] {
            assert_eq!(cube_root(root.pow(3)), root);
            assert_eq!(cube_root(root.pow(3) + root), root);
        }
        assert_eq!(cube_root(u64::MAX), 2_642_245);
    }

    #[test]
    fn rfc_9438_4_6_a_mark_counts_like_a_loss_down_to_one_segment() {
        let mut cubic = cubic(10);
        cubic.on_mark(Instant::ORIGIN, 10 * MSS);
        assert_eq!((cubic.window(), cubic.threshold()), (7 * MSS, 7 * MSS));
        for _ in 0..9 {
            let window = cubic.window();
            cubic.on_mark(Instant::ORIGIN, window);
        }
        assert_eq!((cubic.window(), cubic.threshold()), (MSS, 2 * MSS));
    }

    #[test]
    fn rfc_9438_4_2_the_window_is_back_at_its_old_size_after_k() {
        let mut cubic = cubic(1000);
        cubic.on_congestion(Instant::ORIGIN, 1000 * MSS);
        assert_eq!((cubic.window(), cubic.threshold()), (700 * MSS, 700 * MSS));
        // K = (300 / 0.4)^(1/3) s = 9.09 s. Concave before, flat there, convex behind.
        let mut sizes = vec![];
        for n in 0..180 {
            round_trip(&mut cubic, Instant::ORIGIN + RTT * n);
            sizes.push(cubic.window() / MSS);
        }
        assert!((990..=1001).contains(&sizes[90]), "{sizes:?}");
        assert!(sizes[20] - sizes[0] > 3 * (sizes[90] - sizes[70]), "{sizes:?}");
        assert!(sizes[179] - sizes[159] > 3 * (sizes[110] - sizes[90]), "{sizes:?}");
    }

    #[test]
    fn rfc_9438_4_3_a_small_window_grows_as_fast_as_renos() {
        let mut cubic = cubic(20);
        cubic.on_congestion(Instant::ORIGIN, 20 * MSS);
        assert_eq!(cubic.window(), 14 * MSS);
        // 9/17 of a segment a round trip, up to the size before the loss: far more than the cubic function gives here.
        for n in 0..10 {
            round_trip(&mut cubic, Instant::ORIGIN + Duration::from_millis(10) * n);
        }
        assert!((18_500..=19_500).contains(&cubic.window()), "{}", cubic.window());
    }

    #[test]
    fn rfc_9438_4_6_a_loss_leaves_seven_tenths() {
        let mut cubic = cubic(10);
        cubic.on_congestion(Instant::ORIGIN, 10 * MSS);
        assert_eq!((cubic.window(), cubic.threshold()), (7 * MSS, 7 * MSS));
        cubic.on_congestion(Instant::ORIGIN, MSS);
        assert_eq!(cubic.threshold(), 2 * MSS);
    }

    #[test]
    fn rfc_9438_4_the_window_is_whole_segments_the_nearest() {
        let mut cubic = cubic(5);
        cubic.on_congestion(Instant::ORIGIN, 5 * MSS);
        assert_eq!((cubic.cwnd, cubic.window()), (3500, 4 * MSS));
        cubic.cwnd -= 1;
        assert_eq!(cubic.window(), 3 * MSS);
    }

    #[test]
    fn rfc_9438_4_7_fast_convergence_gives_up_room() {
        let mut cubic = cubic(100);
        cubic.on_congestion(Instant::ORIGIN, 100 * MSS);
        assert_eq!(cubic.w_max, 100 * MSS);
        cubic.on_congestion(Instant::ORIGIN, 70 * MSS);
        assert_eq!(cubic.w_max, 70 * MSS / 20 * 17);
    }

    #[test]
    fn rfc_9438_4_8_a_timeout_leaves_one_segment_and_reduces_once() {
        let mut cubic = cubic(10);
        cubic.on_timeout(Instant::ORIGIN, 10 * MSS, false);
        cubic.on_timeout(Instant::ORIGIN, 10 * MSS, true);
        assert_eq!((cubic.window(), cubic.threshold()), (MSS, 7 * MSS));
    }

    #[test]
    fn rfc_9438_4_10_begins_with_slow_start() {
        let mut cubic = cubic(10);
        round_trip(&mut cubic, Instant::ORIGIN);
        assert_eq!(cubic.window(), 20 * MSS);
    }

    #[test]
    fn no_amount_overflows() {
        let mut cubic = Cubic::default();
        cubic.start(u32::from(u16::MAX), 1 << 30);
        cubic.on_congestion(Instant::ORIGIN, u32::MAX);
        for secs in [0, 1, 100, 1_000_000, u64::MAX / 1_000_000_000] {
            let now = Instant::from_secs(secs);
            cubic.on_ack(&Acked { now, bytes: u32::MAX, flight: u32::MAX, rtt: Duration::MAX });
        }
        cubic.on_timeout(Instant::MAX, u32::MAX, false);
        cubic.on_idle(u32::MAX, u32::MAX);
        assert!(cubic.window() > 0);
    }
}
