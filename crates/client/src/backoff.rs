//! How long to wait before another try.

use std::time::Duration;

use drywire_core::{Rng, Seed};

/// Growing pauses with decorrelated jitter: each lies between the first pause and three times the one before, and below
/// the longest. So clients that were cut off together do not come back together.
///
/// ```
/// use std::time::Duration;
/// use drywire_client::Backoff;
/// use drywire_core::Seed;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30), &Seed::from(1));
/// let first = backoff.pause();
/// assert!((Duration::from_millis(100)..Duration::from_millis(300)).contains(&first));
/// backoff.succeeded();
/// ```
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    previous: Duration,
    rng: Rng,
}

impl Backoff {
    /// Nothing has failed yet. `longest` is at least `first`; `seed` sets clients apart from one another.
    pub fn new(first: Duration, longest: Duration, seed: &Seed) -> Self {
        Self { first, longest: longest.max(first), previous: first, rng: Rng::new(seed) }
    }

    /// A try has failed: how long to wait before the next.
    pub fn pause(&mut self) -> Duration {
        let upper = self.previous.saturating_mul(3).min(self.longest);
        let width = u64::try_from(upper.saturating_sub(self.first).as_nanos()).unwrap_or(u64::MAX);
        self.previous = self.first + Duration::from_nanos(self.rng.below(width));
        self.previous
    }

    /// A try has succeeded: the next pause is a short one again.
    pub fn succeeded(&mut self) {
        self.previous = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    #[test]
    fn pauses_stay_in_bounds_grow_and_start_anew() {
        let mut reached = Duration::ZERO;
        for seed in 0..50 {
            let mut backoff = Backoff::new(FIRST, LONGEST, &Seed::from(seed));
            let mut previous = FIRST;
            for _ in 0..40 {
                let pause = backoff.pause();
                assert!(pause >= FIRST && pause <= LONGEST && pause <= previous * 3, "seed {seed}: {pause:?}");
                previous = pause;
                reached = reached.max(pause);
            }
            backoff.succeeded();
            assert!(backoff.pause() <= FIRST * 3);
        }
        assert!(reached > LONGEST / 2, "{reached:?}");
    }

    #[test]
    fn the_same_seed_waits_alike_and_another_does_not() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(FIRST, LONGEST, &Seed::from(seed));
            [(); 5].map(|()| backoff.pause())
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn bounds_that_make_no_sense_do_no_harm() {
        let mut none = Backoff::new(Duration::ZERO, Duration::ZERO, &Seed::from(1));
        assert_eq!(none.pause(), Duration::ZERO);
        let mut crossed = Backoff::new(LONGEST, FIRST, &Seed::from(1));
        assert_eq!(crossed.pause(), LONGEST);
        let mut huge = Backoff::new(Duration::ZERO, Duration::MAX, &Seed::from(1));
        huge.previous = Duration::MAX;
        huge.pause();
    }
}
