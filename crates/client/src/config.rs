//! What a client is made with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderValue, USER_AGENT};

use crate::{Proxies, Trace, hsts, names, pool, redirect};

/// Limits, times and policies of a client.
///
/// ```
/// use std::time::Duration;
/// use drywire_client::Config;
///
/// let mut config = Config::default();
/// config.redirects.limit = 0;
/// config.timeout = Some(Duration::from_secs(30));
/// config.http.response_timeout = Some(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Limits of each connection, and how long a response may take, its content may pause and the server may take
    /// nothing.
    pub http: drywire_http::client::Config,
    /// How many connections, and how long they are kept.
    pub pool: pool::Config,
    /// How long the resolver's answers are kept.
    pub names: names::Config,
    /// Which redirects are followed.
    pub redirects: redirect::Policy,
    /// Which requests go through a proxy: none.
    pub proxies: Proxies,
    /// The hosts that are known to want TLS. What hosts say later is added to them.
    pub hsts: hsts::Store,
    /// Field lines of every request that has no such field itself: `User-Agent`.
    pub fields: HeaderMap,
    /// Who is shown the heads: nobody.
    pub trace: Option<Trace>,
    /// Addresses of names that are not looked up: none.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// How long a connection may take, from the lookup of the name to TLS: 30 seconds.
    pub connect_timeout: Duration,
    /// After how long the next address is tried beside those that have not answered: 250 milliseconds (RFC 8305, 8).
    pub attempt_delay: Duration,
    /// How long a whole exchange may take, with all redirects and to the end of the response: not limited.
    pub timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        let agent = HeaderValue::from_static(concat!("drywire/", env!("CARGO_PKG_VERSION")));
        Self {
            http: drywire_http::client::Config::default(),
            pool: pool::Config::default(),
            names: names::Config::default(),
            redirects: redirect::Policy::default(),
            proxies: Proxies::none(),
            hsts: hsts::Store::new(),
            fields: HeaderMap::from_iter([(USER_AGENT, agent)]),
            trace: None,
            hosts: BTreeMap::new(),
            connect_timeout: Duration::from_secs(30),
            attempt_delay: Duration::from_millis(250),
            timeout: None,
        }
    }
}
