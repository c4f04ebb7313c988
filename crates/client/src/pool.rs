//! Connections that are kept for the next request, and how many there may be.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};
use std::time::Duration;

use drywire_core::Instant;

use crate::Route;

/// How many connections there may be, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Connections of one route, in use or kept: 32. Further requests wait. At least one is allowed.
    pub max_per_route: usize,
    /// Connections in all: 256. A kept one of another route is closed to make room. At least one is allowed.
    pub max_connections: usize,
    /// How long a connection is kept while nobody uses it: 60 seconds, below what most servers wait. Zero keeps none.
    pub idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_per_route: 32, max_connections: 256, idle_timeout: Duration::from_secs(60) }
    }
}

/// The right to one connection of a route. It has to go back with [`Pool::keep`] or [`Pool::release`].
#[derive(Debug)]
#[must_use = "a lease that is dropped takes a place for ever"]
pub struct Lease {
    route: Route,
}

impl Lease {
    /// What the connection leads to.
    pub fn route(&self) -> &Route {
        &self.route
    }
}

/// What a request gets from the pool.
#[derive(Debug)]
pub enum Acquired<C> {
    /// The connection that was used last.
    Kept(C, Lease),
    /// A place for a new connection.
    Fresh(Lease),
}

/// A place in the queue of a pool. It has to be polled on, or go back with [`Pool::withdraw`].
#[derive(Debug)]
#[must_use = "a ticket that is dropped takes a place for ever"]
pub struct Ticket(u64);

/// What a pool leaves to its user to be done outside any lock: to wake, and to drop, which may do anything.
#[derive(Debug)]
#[must_use = "who waits has to be woken"]
pub struct Leftovers<C> {
    wakers: Vec<Waker>,
    /// Connections that nobody wants any more.
    pub connections: Vec<C>,
}

impl<C> Leftovers<C> {
    /// Wakes whoever has got something, and drops the connections.
    pub fn settle(self) {
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// Connections by route.
///
/// The one that was used last is used first, so that the others can grow old and go. Who waits is served in turn.
/// Connections whose time is up go when the pool is next asked for anything, or at [`expire`](Self::expire).
///
/// A connection `C` is whatever the caller drives; the pool never looks at it.
#[derive(Debug)]
pub struct Pool<C> {
    config: Config,
    routes: BTreeMap<Route, Kept<C>>,
    /// Connections in use or kept.
    open: usize,
    waiting: VecDeque<Waiting<C>>,
    next_ticket: u64,
    wakers: Vec<Waker>,
    unwanted: Vec<C>,
}

/// What there is of one route.
#[derive(Debug)]
struct Kept<C> {
    /// In use or kept.
    open: usize,
    /// Since when, the oldest first.
    idle: VecDeque<(Instant, C)>,
}

#[derive(Debug)]
struct Waiting<C> {
    ticket: u64,
    route: Route,
    /// A kept connection will not do.
    fresh: bool,
    waker: Waker,
    granted: Option<Acquired<C>>,
}

impl<C> Pool<C> {
    /// A pool without connections.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            routes: BTreeMap::new(),
            open: 0,
            waiting: VecDeque::new(),
            next_ticket: 0,
            wakers: Vec::new(),
            unwanted: Vec::new(),
        }
    }

    /// Asks for a connection of `route`; with `fresh`, for the place of a new one. `Pending` means that there is a
    /// ticket now and that `waker` will be woken: of several calls with one ticket, that of the last.
    pub fn poll_acquire(
        &mut self,
        now: Instant,
        route: &Route,
        fresh: bool,
        ticket: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Acquired<C>> {
        self.expire(now);
        let number = ticket.as_ref().map_or_else(|| self.queue(route.clone(), fresh), |ticket| ticket.0);
        *ticket = Some(Ticket(number));
        let Some(at) = self.waiting.iter().position(|waiting| waiting.ticket == number) else { return Poll::Pending };
        match self.waiting.get_mut(at) {
            Some(waiting) if waiting.granted.is_none() => {
                waiting.waker.clone_from(waker);
                Poll::Pending
            }
            _ => {
                *ticket = None;
                let granted = self.waiting.remove(at).and_then(|waiting| waiting.granted);
                granted.map_or(Poll::Pending, Poll::Ready)
            }
        }
    }

    fn queue(&mut self, route: Route, fresh: bool) -> u64 {
        self.next_ticket += 1;
        let waker = Waker::noop().clone();
        self.waiting.push_back(Waiting { ticket: self.next_ticket, route, fresh, waker, granted: None });
        self.serve();
        self.next_ticket
    }

    /// Gives a place in the queue up. What it was granted in the meantime goes to the next.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub fn withdraw(&mut self, now: Instant, ticket: Ticket) {
        let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket.0);
        match at.and_then(|at| self.waiting.remove(at)).and_then(|waiting| waiting.granted) {
            Some(Acquired::Kept(connection, lease)) => self.keep(now, lease, connection),
            Some(Acquired::Fresh(lease)) => self.release(lease),
            None => {}
        }
    }

    /// Keeps a connection that can take another request.
    pub fn keep(&mut self, now: Instant, lease: Lease, connection: C) {
        if self.config.idle_timeout.is_zero() {
            self.unwanted.push(connection);
            return self.release(lease);
        }
        match self.routes.get_mut(&lease.route) {
            Some(kept) => kept.idle.push_back((now, connection)),
            // A lease of another pool.
            None => self.unwanted.push(connection),
        }
        self.expire(now);
        self.serve();
    }

    /// A connection is closed, or never came about.
    #[expect(clippy::needless_pass_by_value, reason = "it is used up")]
    pub fn release(&mut self, lease: Lease) {
        self.forget(&lease.route);
        self.serve();
    }

    /// Closes the connections whose time is up.
    pub fn expire(&mut self, now: Instant) {
        let timeout = self.config.idle_timeout;
        let mut open = self.open;
        for kept in self.routes.values_mut() {
            while kept.idle.front().is_some_and(|(since, _)| *since + timeout <= now) {
                self.unwanted.extend(kept.idle.pop_front().map(|(_, connection)| connection));
                kept.open = kept.open.saturating_sub(1);
                open = open.saturating_sub(1);
            }
        }
        if open < self.open {
            self.open = open;
            self.routes.retain(|_, kept| kept.open > 0);
            self.serve();
        }
    }

    /// When [`expire`](Self::expire) has work.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let oldest = self.routes.values().filter_map(|kept| kept.idle.front()).map(|(since, _)| *since).min()?;
        Some(oldest + self.config.idle_timeout)
    }

    /// Closes every connection that is kept. Those in use are not touched.
    pub fn clear(&mut self) {
        for kept in self.routes.values_mut() {
            kept.open = kept.open.saturating_sub(kept.idle.len());
            self.open = self.open.saturating_sub(kept.idle.len());
            self.unwanted.extend(kept.idle.drain(..).map(|(_, connection)| connection));
        }
        self.routes.retain(|_, kept| kept.open > 0);
        self.serve();
    }

    /// How many connections are in use or kept.
    pub fn open(&self) -> usize {
        self.open
    }

    /// How many connections are kept.
    pub fn idle(&self) -> usize {
        self.routes.values().map(|kept| kept.idle.len()).sum()
    }

    /// What is to be done outside the lock under which the pool lies.
    pub fn leftovers(&mut self) -> Leftovers<C> {
        Leftovers { wakers: std::mem::take(&mut self.wakers), connections: std::mem::take(&mut self.unwanted) }
    }

    /// Gives what there is to those who wait, in turn. Who waits for a route holds nobody of another up, except where
    /// all connections together are too many.
    fn serve(&mut self) {
        let mut at = 0;
        while let Some(waiting) = self.waiting.get(at) {
            if waiting.granted.is_none() {
                let (route, fresh) = (waiting.route.clone(), waiting.fresh);
                let granted = self.grant(route, fresh);
                if let (Some(waiting), Some(granted)) = (self.waiting.get_mut(at), granted) {
                    waiting.granted = Some(granted);
                    self.wakers.push(waiting.waker.clone());
                }
            }
            at += 1;
        }
    }

    fn grant(&mut self, route: Route, fresh: bool) -> Option<Acquired<C>> {
        let kept = self.routes.get_mut(&route);
        if !fresh && let Some((_, connection)) = kept.and_then(|kept| kept.idle.pop_back()) {
            return Some(Acquired::Kept(connection, Lease { route }));
        }
        let of_route = self.routes.get(&route).map_or(0, |kept| kept.open);
        if of_route >= self.config.max_per_route.max(1) {
            // A kept one of this route is only left here where it will not do.
            self.discard_oldest(Some(&route))?;
        } else if self.open >= self.config.max_connections.max(1) {
            self.discard_oldest(None)?;
        }
        self.open += 1;
        self.routes.entry(route.clone()).or_insert(Kept { open: 0, idle: VecDeque::new() }).open += 1;
        Some(Acquired::Fresh(Lease { route }))
    }

    /// Closes the connection, of one route or of all, that has been kept for the longest time.
    fn discard_oldest(&mut self, of: Option<&Route>) -> Option<()> {
        let candidates = self.routes.iter().filter(|(route, _)| of.is_none_or(|of| of == *route));
        let oldest = candidates.filter_map(|(route, kept)| Some((kept.idle.front()?.0, route))).min()?;
        let route = oldest.1.clone();
        let (_, connection) = self.routes.get_mut(&route)?.idle.pop_front()?;
        self.unwanted.push(connection);
        self.forget(&route);
        Some(())
    }

    fn forget(&mut self, route: &Route) {
        if let Some(kept) = self.routes.get_mut(route) {
            kept.open = kept.open.saturating_sub(1);
            self.open = self.open.saturating_sub(1);
            if kept.open == 0 {
                self.routes.remove(route);
            }
        }
    }
}
