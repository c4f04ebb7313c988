//! Which of several addresses to connect to: Happy Eyeballs (RFC 8305, 4 and 5).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drywire_core::Instant;

/// What a race wants done.
#[derive(Clone, Debug)]
pub enum Step {
    /// Begin a connection attempt, beside those that are running.
    Connect(SocketAddr),
    /// Wait for a running attempt to end, or until this instant.
    Wait(Option<Instant>),
    /// No address is left, and no attempt is running: the first failure.
    Failed(Arc<io::Error>),
}

/// A race of connection attempts: one begins when those before have had their time or have failed, and the first that
/// succeeds wins. The others are for the caller to drop.
///
/// The two asynchronous lookups of RFC 8305, section 3, are not here: a system resolver gives all addresses at once, in
/// the order of RFC 6724.
///
/// ```
/// use std::time::Duration;
/// use drywire_client::race::{Race, Step};
/// use drywire_core::Instant;
///
/// let now = Instant::ORIGIN;
/// let addresses = ["[2001:db8::1]:80", "[2001:db8::2]:80", "192.0.2.1:80"].map(|a| a.parse().unwrap());
/// let mut race = Race::new(addresses, Duration::from_millis(250));
/// assert!(matches!(race.next(now), Step::Connect(first) if first.is_ipv6()));
/// let Step::Wait(Some(second)) = race.next(now) else { panic!() };
/// // The first has not answered for 250 ms: the next is of the other family.
/// assert!(matches!(race.next(second), Step::Connect(address) if address.is_ipv4()));
/// ```
#[derive(Debug)]
pub struct Race {
    waiting: VecDeque<SocketAddr>,
    running: usize,
    delay: Duration,
    /// When the next attempt begins even if none has failed.
    next_at: Option<Instant>,
    failure: Option<Arc<io::Error>>,
}

impl Race {
    /// A race among `addresses`, with `delay` between the beginnings of two attempts.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>, delay: Duration) -> Self {
        Self { waiting: interleave(addresses), running: 0, delay, next_at: None, failure: None }
    }

    /// What to do now. To be asked again after every step that was taken and every report.
    pub fn next(&mut self, now: Instant) -> Step {
        let is_due = self.running == 0 || self.next_at.is_none_or(|at| at <= now);
        if is_due && let Some(address) = self.waiting.pop_front() {
            self.running += 1;
            // RFC 8305, 5: the Connection Attempt Delay.
            self.next_at = Some(now + self.delay);
            return Step::Connect(address);
        }
        match &self.failure {
            _ if self.running > 0 => Step::Wait(self.next_at.filter(|_| !self.waiting.is_empty())),
            Some(failure) => Step::Failed(Arc::clone(failure)),
            None => Step::Failed(Arc::new(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))),
        }
    }

    /// An attempt has failed. The next one need not wait any longer.
    pub fn failed(&mut self, error: Arc<io::Error>) {
        self.running = self.running.saturating_sub(1);
        self.next_at = None;
        // The first address is the preferred one, and says best what is wrong.
        self.failure.get_or_insert(error);
    }
}

/// Alternates the families, beginning with that of the first address and keeping the order inside each (RFC 8305, 4,
/// with a First Address Family Count of 1).
fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.into_iter().peekable();
    let first_is_six = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_six);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = VecDeque::new();
    loop {
        let pair = (first.next(), second.next());
        all.extend(pair.0);
        all.extend(pair.1);
        if pair == (None, None) {
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| format!("{address}:80").parse().unwrap()).collect()
    }

    fn refused() -> Arc<io::Error> {
        Arc::new(io::ErrorKind::ConnectionRefused.into())
    }

    /// When, in milliseconds, and which address.
    type Moment = (u64, String);

    /// Runs a race in virtual time. Each address has a latency and an outcome; gives the attempts and the winner.
    fn run(world: &[(&str, u64, bool)]) -> (Vec<Moment>, Option<Moment>) {
        let find = |address: SocketAddr| {
            world.iter().find(|(name, ..)| address == addresses(&[name])[0]).expect("an address of this world")
        };
        let names: Vec<_> = world.iter().map(|(name, ..)| *name).collect();
        let mut race = Race::new(addresses(&names), DELAY);
        let (mut now, mut log) = (Instant::ORIGIN, Vec::new());
        let mut running: Vec<(Instant, SocketAddr, bool)> = Vec::new();
        loop {
            match race.next(now) {
                Step::Connect(address) => {
                    let (name, latency, succeeds) = *find(address);
                    log.push((now.as_millis(), name.to_owned()));
                    running.push((now + Duration::from_millis(latency), address, succeeds));
                }
                Step::Wait(until) => {
                    let first = running.iter().enumerate().min_by_key(|(_, (at, ..))| *at).map(|(index, _)| index);
                    let index = first.expect("a race does not wait for nothing");
                    let (at, address, succeeds) = running[index];
                    if until.is_some_and(|until| until < at) {
                        now = until.unwrap();
                        continue;
                    }
                    now = at;
                    running.swap_remove(index);
                    if succeeds {
                        return (log, Some((now.as_millis(), find(address).0.to_owned())));
                    }
                    race.failed(refused());
                }
                Step::Failed(_) => return (log, None),
            }
        }
    }

    fn at(times: &[(u64, &str)]) -> Vec<Moment> {
        times.iter().map(|(time, name)| (*time, (*name).to_owned())).collect()
    }

    #[test]
    fn rfc8305_4_families_alternate_and_keep_their_order() {
        let order = |list: &[&str]| interleave(addresses(list)).iter().map(|a| a.ip().to_string()).collect::<Vec<_>>();
        assert_eq!(order(&["[::1]", "[::2]", "[::3]", "1.1.1.1"]), ["::1", "1.1.1.1", "::2", "::3"]);
        assert_eq!(order(&["1.1.1.1", "[::1]", "[::2]", "2.2.2.2"]), ["1.1.1.1", "::1", "2.2.2.2", "::2"]);
        assert_eq!(order(&["1.1.1.1", "2.2.2.2"]), ["1.1.1.1", "2.2.2.2"]);
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn rfc8305_5_a_dead_address_costs_one_delay() {
        let (attempts, winner) = run(&[("[2001:db8::1]", 120_000, false), ("192.0.2.1", 30, true)]);
        assert_eq!(attempts, at(&[(0, "[2001:db8::1]"), (250, "192.0.2.1")]));
        assert_eq!(winner, Some((280, "192.0.2.1".to_owned())));
    }

    #[test]
    fn rfc8305_5_a_slow_first_address_still_wins_if_it_is_faster() {
        let (attempts, winner) = run(&[("[2001:db8::1]", 300, true), ("192.0.2.1", 100, true)]);
        assert_eq!(attempts.len(), 2);
        assert_eq!(winner, Some((300, "[2001:db8::1]".to_owned())));
    }

    #[test]
    fn a_refusal_makes_the_next_begin_at_once() {
        let (attempts, winner) = run(&[("192.0.2.1", 5, false), ("192.0.2.2", 5, false), ("192.0.2.3", 5, true)]);
        assert_eq!(attempts, at(&[(0, "192.0.2.1"), (5, "192.0.2.2"), (10, "192.0.2.3")]));
        assert_eq!(winner, Some((15, "192.0.2.3".to_owned())));
    }

    #[test]
    fn the_race_is_lost_when_the_last_attempt_has_failed() {
        let (attempts, winner) = run(&[("192.0.2.1", 1000, false), ("192.0.2.2", 10, false), ("192.0.2.3", 10, false)]);
        assert_eq!(attempts, at(&[(0, "192.0.2.1"), (250, "192.0.2.2"), (260, "192.0.2.3")]));
        assert_eq!(winner, None);
        assert_eq!(run(&[]), (vec![], None));
    }

    #[test]
    fn a_quick_answer_begins_no_second_attempt() {
        let (attempts, winner) = run(&[("192.0.2.1", 20, true), ("192.0.2.2", 1, true)]);
        assert_eq!((attempts.len(), winner), (1, Some((20, "192.0.2.1".to_owned()))));
    }
}
