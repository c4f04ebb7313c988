//! What the requests of one client have in common.

use std::sync::Arc;

use drywire_core::Instant;
use url::Url;

use crate::hsts::{Store, UnixTime};
use crate::names::Names;
use crate::pool::Pool;
use crate::{Config, Dial, InvalidUrl, Origin, Route};

/// What the requests of one client have in common: its policies, its connections, and what it has learnt.
///
/// An adapter keeps it behind a lock, and locks it for single steps.
#[derive(Debug)]
pub struct Shared<C> {
    /// Policies and limits.
    pub config: Arc<Config>,
    /// The connections.
    pub pool: Pool<C>,
    /// The addresses.
    pub names: Names,
    /// The hosts that want TLS.
    pub hsts: Store,
    /// The time at [`Instant::ORIGIN`].
    epoch: UnixTime,
}

impl<C> Shared<C> {
    /// A client that knows what `config` says. `epoch` is the time at [`Instant::ORIGIN`] of the clock that it will be
    /// used with, which what it learns of hosts is dated by.
    pub fn new(config: Config, epoch: UnixTime) -> Self {
        Self {
            pool: Pool::new(config.pool.clone()),
            names: Names::new(config.names.clone()),
            hsts: config.hsts.clone(),
            config: Arc::new(config),
            epoch,
        }
    }

    /// The date at `now`.
    pub fn unix_time(&self, now: Instant) -> UnixTime {
        self.epoch.at(now)
    }

    /// The making of a connection to the origin of `url`, for a protocol of its own such as WebSocket: through a tunnel
    /// where a proxy is on the way.
    pub fn dial(&self, now: Instant, url: &mut Url) -> Result<Dial, InvalidUrl> {
        let route = self.route(now, url, true)?;
        Ok(Dial::new(now, Arc::clone(&self.config), route, None))
    }

    /// Makes `url` a secure one if its host asks for it, and finds the way to it. `tunnel` is as for
    /// [`Proxies::route`](crate::Proxies::route).
    pub fn route(&self, now: Instant, url: &mut Url, tunnel: bool) -> Result<Route, InvalidUrl> {
        self.hsts.upgrade(self.unix_time(now), url);
        Ok(self.config.proxies.route(Origin::of(url)?, tunnel))
    }
}
