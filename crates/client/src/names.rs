//! What is known of names: a cache of addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use drywire_core::Instant;

/// How long answers are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How long addresses are used: 30 seconds. The system's resolver does not tell how long they are good for, so
    /// this is the bound on how long a change goes unnoticed.
    pub lifetime: Duration,
    /// How long a failure is remembered: 2 seconds.
    pub failure_lifetime: Duration,
    /// Names that are remembered: 256. Beyond that the one that would expire first makes room.
    pub max_names: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { lifetime: Duration::from_secs(30), failure_lifetime: Duration::from_secs(2), max_names: 256 }
    }
}

/// What the lookup of a name came to.
pub type Answer = Result<Arc<[IpAddr]>, Arc<io::Error>>;

/// A cache of the resolver's answers.
#[derive(Debug)]
pub struct Names {
    config: Config,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    until: Instant,
}

impl Names {
    /// Nothing is known.
    pub fn new(config: Config) -> Self {
        Self { config, entries: BTreeMap::new() }
    }

    /// What is known of `name` at `now`.
    pub fn lookup(&mut self, now: Instant, name: &str) -> Option<Answer> {
        let entry = self.entries.get(name)?;
        if entry.until <= now {
            self.entries.remove(name);
            return None;
        }
        Some(entry.answer.clone())
    }

    /// Remembers an answer. One without addresses counts as a failure.
    pub fn insert(&mut self, now: Instant, name: &str, answer: Answer) {
        let is_useful = answer.as_ref().is_ok_and(|addresses| !addresses.is_empty());
        let lifetime = if is_useful { self.config.lifetime } else { self.config.failure_lifetime };
        self.entries.insert(name.to_owned(), Entry { answer, until: now + lifetime });
        if self.entries.len() > self.config.max_names {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(name, _)| name.clone());
            first.and_then(|name| self.entries.remove(&name));
        }
    }

    /// Forgets a name, because none of its addresses can be reached.
    pub fn forget(&mut self, name: &str) {
        self.entries.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(100);

    #[expect(clippy::unnecessary_wraps, reason = "an answer")]
    fn found(address: &str) -> Answer {
        Ok([address.parse().unwrap()].into())
    }

    #[test]
    fn addresses_are_good_for_their_lifetime() {
        let mut names = Names::new(Config::default());
        assert!(names.lookup(NOW, "a").is_none());
        names.insert(NOW, "a", found("192.0.2.1"));
        let last = NOW + Duration::from_millis(29_999);
        assert_eq!(names.lookup(last, "a").unwrap().unwrap()[0].to_string(), "192.0.2.1");
        assert!(names.lookup(NOW + Duration::from_secs(30), "a").is_none());
        assert!(names.entries.is_empty());
    }

    #[test]
    fn failures_are_remembered_for_a_shorter_time() {
        let mut names = Names::new(Config::default());
        names.insert(NOW, "a", Err(Arc::new(io::ErrorKind::NotFound.into())));
        names.insert(NOW, "b", Ok([].into()));
        assert!(names.lookup(NOW + Duration::from_secs(1), "a").unwrap().is_err());
        assert!(names.lookup(NOW + Duration::from_secs(2), "a").is_none());
        assert!(names.lookup(NOW + Duration::from_secs(2), "b").is_none());
    }

    #[test]
    fn the_number_of_names_is_bounded_and_the_oldest_makes_room() {
        let mut names = Names::new(Config { max_names: 2, ..Config::default() });
        for (second, name) in ["a", "b", "c"].into_iter().enumerate() {
            names.insert(NOW + Duration::from_secs(second as u64), name, found("192.0.2.1"));
        }
        let known = ["a", "b", "c"].map(|name| names.lookup(NOW, name).is_some());
        assert_eq!(known, [false, true, true]);
        names.forget("b");
        assert!(names.lookup(NOW, "b").is_none());
    }

    #[test]
    fn a_cache_without_room_keeps_nothing() {
        let mut names = Names::new(Config { max_names: 0, ..Config::default() });
        names.insert(NOW, "a", found("192.0.2.1"));
        assert!(names.lookup(NOW, "a").is_none());
    }
}
