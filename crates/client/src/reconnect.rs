//! When to open a connection again that was lost.

use std::time::Duration;

use drywire_core::{Instant, Seed};

use crate::Backoff;

/// When to open a connection again that was lost, or that did not come about: at once it never is, and the pauses grow until
/// one has lasted for a while.
///
/// ```
/// use drywire_client::Reconnect;
/// use drywire_core::{Instant, Seed};
///
/// let mut reconnect = Reconnect::new(&Seed::from(1));
/// let now = Instant::from_secs(100);
/// reconnect.opened(now);
/// let next = reconnect.lost(now);
/// assert!(next > now && reconnect.lost(next) > next);
/// ```
#[derive(Debug)]
pub struct Reconnect {
    backoff: Backoff,
    steady: Duration,
    opened: Option<Instant>,
}

impl Reconnect {
    /// Pauses of half a second to a minute, which begin anew behind a connection that has lasted for 30 seconds: a server
    /// that accepts and closes at once is not asked over and over.
    pub fn new(seed: &Seed) -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60), seed);
        Self::with(backoff, Duration::from_secs(30))
    }

    /// Pauses of `backoff`, which begin anew behind a connection that has lasted for `steady`.
    pub fn with(backoff: Backoff, steady: Duration) -> Self {
        Self { backoff, steady, opened: None }
    }

    /// The connection is open.
    pub fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// The connection was lost, or did not come about: when to try again.
    pub fn lost(&mut self, now: Instant) -> Instant {
        if self.opened.take().is_some_and(|opened| now - opened >= self.steady) {
            self.backoff.succeeded();
        }
        now + self.backoff.pause()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(100);

    fn reconnect() -> Reconnect {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1000), &Seed::from(3));
        Reconnect::with(backoff, Duration::from_secs(30))
    }

    /// Loses a connection over and over, each after it has been open for this long; gives the longest of 20 pauses.
    fn longest_pause(lasts: Option<Duration>) -> Duration {
        let (mut reconnect, mut now, mut longest) = (reconnect(), NOW, Duration::ZERO);
        for _ in 0..20 {
            if let Some(lasts) = lasts {
                reconnect.opened(now);
                now += lasts;
            }
            let next = reconnect.lost(now);
            longest = longest.max(next - now);
            now = next;
        }
        longest
    }

    #[test]
    fn pauses_grow_until_a_connection_has_lasted() {
        assert!(longest_pause(None) > Duration::from_secs(100));
        assert!(longest_pause(Some(Duration::from_secs(29))) > Duration::from_secs(100));
        assert!(longest_pause(Some(Duration::from_secs(30))) <= Duration::from_secs(3));
    }
}
