//! Hosts that want to be reached over TLS alone: HTTP Strict Transport Security (RFC 6797).

mod field;
mod file;

use std::collections::BTreeMap;
use std::time::Duration;

use drywire_core::Instant;
use drywire_http::Fields;
use url::{Host, Url};

pub use file::InvalidFile;

/// Seconds since the beginning of 1970, UTC. What a host asks for outlasts the process, so it is counted in this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The time at `now`, where `self` is the time at [`Instant::ORIGIN`].
    #[must_use]
    pub fn at(self, now: Instant) -> Self {
        Self(self.0.saturating_add((now - Instant::ORIGIN).as_secs()))
    }
}

/// What one host asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    until: UnixTime,
    include_subdomains: bool,
}

/// The known HSTS hosts (RFC 6797, 8), at most [`max_hosts`](Self::with_max_hosts) of them.
///
/// ```
/// use drywire_client::hsts::{Store, UnixTime};
/// use url::Url;
///
/// let now = UnixTime(1_800_000_000);
/// let mut store = Store::new();
/// let learnt = Url::parse("https://a.example/").unwrap();
/// store.note(now, &learnt, [&b"max-age=31536000; includeSubDomains"[..]]);
///
/// let mut url = Url::parse("http://www.a.example/x").unwrap();
/// assert!(store.upgrade(now, &mut url));
/// assert_eq!(url.as_str(), "https://www.a.example/x");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    hosts: BTreeMap<String, Entry>,
    max_hosts: usize,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// No host is known; 4096 may be.
    pub fn new() -> Self {
        Self { hosts: BTreeMap::new(), max_hosts: 4096 }
    }

    /// Bounds the number of hosts. Beyond it the one whose time is up first makes room.
    #[must_use]
    pub fn with_max_hosts(mut self, max_hosts: usize) -> Self {
        self.max_hosts = max_hosts;
        self.shrink();
        self
    }

    /// How many hosts are known, with those whose time is up.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no host is known.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Takes note of what a response from `url` says in `Strict-Transport-Security`.
    ///
    /// It counts only where it came over TLS without errors (RFC 6797, 8.1: a field that came otherwise is ignored),
    /// and from a name (8.1.1: an address is not noted). What is malformed is ignored.
    pub fn note<'a>(&mut self, now: UnixTime, url: &Url, values: impl IntoIterator<Item = &'a [u8]>) {
        let (Some(Host::Domain(host)), "https" | "wss") = (url.host(), url.scheme()) else { return };
        // RFC 6797, 8.1: of several fields only the first one counts.
        let Some(policy) = values.into_iter().next().and_then(field::parse) else { return };
        let host = canonical(host);
        // RFC 6797, 6.1.1: zero is the wish to be forgotten.
        if policy.max_age == 0 {
            self.hosts.remove(&host);
            return;
        }
        let until = UnixTime(now.0.saturating_add(policy.max_age));
        self.hosts.insert(host, Entry { until, include_subdomains: policy.include_subdomains });
        if self.hosts.len() > self.max_hosts {
            self.hosts.retain(|_, entry| entry.until > now);
            self.shrink();
        }
    }

    /// [`note`](Self::note) for the fields of a response.
    pub fn note_fields(&mut self, now: UnixTime, url: &Url, fields: &Fields) {
        self.note(now, url, fields.field_values("strict-transport-security"));
    }

    /// Whether `host` is to be reached over TLS alone: it is a known host, or below one that includes its subdomains
    /// (RFC 6797, 8.2).
    pub fn covers(&self, now: UnixTime, host: &str) -> bool {
        let host = canonical(host);
        let is_known = |name: &str, is_itself: bool| {
            let entry = self.hosts.get(name).filter(|entry| entry.until > now);
            entry.is_some_and(|entry| is_itself || entry.include_subdomains)
        };
        let above = host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..));
        is_known(&host, true) || above.into_iter().any(|name| is_known(name, false))
    }

    /// Turns `http` into `https`, and `ws` into `wss`, where the host asks for it (RFC 6797, 8.3). Says whether it did.
    ///
    /// Port 80 becomes 443; every other port stays.
    pub fn upgrade(&self, now: UnixTime, url: &mut Url) -> bool {
        let scheme = match url.scheme() {
            "http" => "https",
            "ws" => "wss",
            _ => return false,
        };
        let Some(Host::Domain(host)) = url.host() else { return false };
        if !self.covers(now, host) {
            return false;
        }
        // The URL holds no port where it is the scheme's own, so port 80 follows the scheme by itself.
        url.set_scheme(scheme).is_ok()
    }

    fn shrink(&mut self) {
        while self.hosts.len() > self.max_hosts {
            let first = self.hosts.iter().min_by_key(|(_, entry)| entry.until).map(|(host, _)| host.clone());
            first.and_then(|host| self.hosts.remove(&host));
        }
    }
}

/// In small letters and without the dot of the root. The URL has made it ASCII (RFC 6797, 10).
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What a valid field asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Policy {
    /// In seconds.
    max_age: u64,
    include_subdomains: bool,
}

/// What no clock reaches: the end of the file format's years.
const LONGEST: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

#[cfg(test)]
mod tests;
