//! The pool of connections.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use common::{NOW, route};
use drywire_client::pool::{Acquired, Config, Lease, Pool, Ticket};
use drywire_core::Instant;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn config(max_per_route: usize, max_connections: usize) -> Config {
    let mut config = Config::default();
    (config.max_per_route, config.max_connections) = (max_per_route, max_connections);
    config
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks once, without a waker.
fn ask(pool: &mut Pool<u32>, now: Instant, url: &str, ticket: &mut Option<Ticket>) -> Option<(Option<u32>, Lease)> {
    match pool.poll_acquire(now, &route(url), false, ticket, Waker::noop()) {
        Poll::Ready(Acquired::Kept(connection, lease)) => Some((Some(connection), lease)),
        Poll::Ready(Acquired::Fresh(lease)) => Some((None, lease)),
        Poll::Pending => None,
    }
}

fn place(pool: &mut Pool<u32>, url: &str) -> Lease {
    match ask(pool, NOW, url, &mut None) {
        Some((None, lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn discarded(pool: &mut Pool<u32>) -> Vec<u32> {
    std::mem::take(&mut pool.leftovers().connections)
}

#[test]
fn the_connection_that_was_used_last_is_used_first() {
    let mut pool = Pool::new(Config::default());
    let (one, two) = (place(&mut pool, "http://a"), place(&mut pool, "http://a"));
    pool.keep(NOW, one, 1);
    pool.keep(NOW, two, 2);
    assert_eq!((pool.open(), pool.idle()), (2, 2));
    let (connection, lease) = ask(&mut pool, NOW, "http://a", &mut None).unwrap();
    assert_eq!(connection, Some(2));
    // Another origin, scheme or port has none of it.
    for other in ["http://b", "https://a", "http://a:81"] {
        let (connection, lease) = ask(&mut pool, NOW, other, &mut None).unwrap();
        assert_eq!(connection, None);
        pool.release(lease);
    }
    pool.release(lease);
    assert_eq!((pool.open(), pool.idle()), (1, 1));
}

#[test]
fn a_connection_that_nobody_uses_goes_when_its_time_is_up() {
    let mut pool = Pool::new(Config::default());
    let lease = place(&mut pool, "http://a");
    pool.keep(NOW, lease, 1);
    assert_eq!(pool.poll_timeout(), Some(NOW + 60 * SECOND));
    pool.expire(NOW + 59 * SECOND);
    assert_eq!(pool.idle(), 1);
    let (connection, lease) = ask(&mut pool, NOW + 60 * SECOND, "http://a", &mut None).unwrap();
    assert_eq!(connection, None);
    assert_eq!(discarded(&mut pool), [1]);
    assert_eq!(pool.poll_timeout(), None);
    pool.release(lease);
    assert_eq!(pool.open(), 0);
}

#[test]
fn without_an_idle_time_nothing_is_kept() {
    let mut config = Config::default();
    config.idle_timeout = Duration::ZERO;
    let mut pool = Pool::new(config);
    let lease = place(&mut pool, "http://a");
    pool.keep(NOW, lease, 1);
    assert_eq!((pool.open(), discarded(&mut pool)), (0, vec![1]));
}

#[test]
fn who_waits_is_woken_in_turn_and_gets_the_very_connection() {
    let mut pool = Pool::new(config(1, 9));
    let lease = place(&mut pool, "http://a");
    let counts: [Arc<Count>; 2] = Default::default();
    let wakers = counts.clone().map(Waker::from);
    let mut tickets = [None, None];
    for (ticket, waker) in tickets.iter_mut().zip(&wakers) {
        assert!(pool.poll_acquire(NOW, &route("http://a"), false, ticket, waker).is_pending());
    }
    pool.leftovers().settle();
    let woken = || counts.clone().map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(woken(), [0, 0]);
    pool.keep(NOW, lease, 7);
    pool.leftovers().settle();
    assert_eq!(woken(), [1, 0]);
    // Who asks now does not get in front.
    assert!(ask(&mut pool, NOW, "http://a", &mut tickets[1]).is_none());
    let mut late = None;
    assert!(ask(&mut pool, NOW, "http://a", &mut late).is_none());
    let (connection, lease) = ask(&mut pool, NOW, "http://a", &mut tickets[0]).unwrap();
    assert_eq!(connection, Some(7));
    pool.release(lease);
    let (connection, lease) = ask(&mut pool, NOW, "http://a", &mut tickets[1]).unwrap();
    assert_eq!(connection, None);
    pool.withdraw(NOW, late.unwrap());
    pool.release(lease);
    assert_eq!(pool.open(), 0);
}

#[test]
fn what_was_granted_to_one_who_has_gone_goes_to_the_next() {
    let mut pool = Pool::new(config(1, 9));
    let lease = place(&mut pool, "http://a");
    let (mut gone, mut next) = (None, None);
    assert!(ask(&mut pool, NOW, "http://a", &mut gone).is_none());
    assert!(ask(&mut pool, NOW, "http://a", &mut next).is_none());
    pool.keep(NOW, lease, 7);
    pool.withdraw(NOW, gone.unwrap());
    let (connection, lease) = ask(&mut pool, NOW, "http://a", &mut next).unwrap();
    assert_eq!(connection, Some(7));
    pool.release(lease);
}

#[test]
fn a_full_route_holds_no_other_up_but_a_full_pool_does() {
    let mut pool = Pool::new(config(1, 2));
    let a = place(&mut pool, "http://a");
    let mut second_a = None;
    assert!(ask(&mut pool, NOW, "http://a", &mut second_a).is_none());
    let b = place(&mut pool, "http://b");
    let mut c = None;
    assert!(ask(&mut pool, NOW, "http://c", &mut c).is_none());
    pool.release(b);
    let (_, c) = ask(&mut pool, NOW, "http://c", &mut c).unwrap();
    pool.release(a);
    let (_, second_a) = ask(&mut pool, NOW, "http://a", &mut second_a).unwrap();
    pool.release(c);
    pool.release(second_a);
    assert_eq!(pool.open(), 0);
}

#[test]
fn the_oldest_kept_connection_of_another_route_makes_room() {
    let mut pool = Pool::new(config(9, 2));
    let (a, b) = (place(&mut pool, "http://a"), place(&mut pool, "http://b"));
    pool.keep(NOW + SECOND, b, 2);
    pool.keep(NOW + 2 * SECOND, a, 1);
    let (connection, lease) = ask(&mut pool, NOW + 3 * SECOND, "http://c", &mut None).unwrap();
    assert_eq!((connection, discarded(&mut pool)), (None, vec![2]));
    pool.release(lease);
}

#[test]
fn who_wants_a_new_connection_gets_no_kept_one() {
    let mut pool = Pool::new(config(1, 9));
    let lease = place(&mut pool, "http://a");
    pool.keep(NOW, lease, 1);
    let acquired = pool.poll_acquire(NOW, &route("http://a"), true, &mut None, Waker::noop());
    let Poll::Ready(Acquired::Fresh(lease)) = acquired else { panic!("{acquired:?}") };
    // The limit holds: the kept one had to go.
    assert_eq!((pool.open(), discarded(&mut pool)), (1, vec![1]));
    pool.release(lease);
}

#[test]
fn all_that_is_kept_can_be_closed_at_once() {
    let mut pool = Pool::new(Config::default());
    let (a, b, used) = (place(&mut pool, "http://a"), place(&mut pool, "http://b"), place(&mut pool, "http://a"));
    pool.keep(NOW, a, 1);
    pool.keep(NOW, b, 2);
    pool.clear();
    assert_eq!((pool.open(), pool.idle(), discarded(&mut pool)), (1, 0, vec![1, 2]));
    pool.keep(NOW, used, 3);
    assert_eq!((pool.open(), pool.idle()), (1, 1));
}

#[test]
fn limits_of_zero_are_limits_of_one() {
    let mut pool = Pool::new(config(0, 0));
    let lease = place(&mut pool, "http://a");
    assert!(ask(&mut pool, NOW, "http://a", &mut None).is_none());
    pool.release(lease);
}

/// What a user of the pool does next.
#[derive(Clone, Debug)]
enum Move {
    Ask { route: usize, fresh: bool },
    Poll(usize),
    Withdraw(usize),
    Keep(usize),
    Release(usize),
    Wait(u64),
    Clear,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0..3usize, any::<bool>()).prop_map(|(route, fresh)| Move::Ask { route, fresh }),
        4 => (0..8usize).prop_map(Move::Poll),
        1 => (0..8usize).prop_map(Move::Withdraw),
        3 => (0..8usize).prop_map(Move::Keep),
        2 => (0..8usize).prop_map(Move::Release),
        1 => (0..40u64).prop_map(Move::Wait),
        1 => Just(Move::Clear),
    ];
    proptest::collection::vec(one, 0..60)
}

proptest! {
    /// Whatever its users do: the limits hold, no connection is lost, handed out twice or to another route, and once all
    /// have gone nothing is counted any more. Whoever could be served is served.
    #[test]
    fn the_pool_keeps_its_promises(moves in moves(), per_route in 1..3usize, total in 1..4usize) {
        let routes = ["http://a", "http://b", "http://c"].map(route);
        let mut pool = Pool::<u32>::new(config(per_route, total));
        let (mut now, mut next) = (NOW, 0);
        let mut waiting: Vec<(Option<Ticket>, usize, bool)> = Vec::new();
        let mut used: Vec<(Lease, Option<u32>)> = Vec::new();
        let mut of_route: BTreeMap<u32, usize> = BTreeMap::new();
        let mut alive: BTreeSet<u32> = BTreeSet::new();
        for step in moves {
            match step {
                Move::Ask { route, fresh } => {
                    waiting.push((None, route, fresh));
                    let last = waiting.len() - 1;
                    poll(&mut pool, now, &routes, &mut waiting, last, &mut used);
                }
                Move::Poll(index) if index < waiting.len() => poll(&mut pool, now, &routes, &mut waiting, index, &mut used),
                Move::Withdraw(index) if index < waiting.len() => {
                    if let (Some(ticket), ..) = waiting.remove(index) {
                        pool.withdraw(now, ticket);
                    }
                }
                Move::Keep(index) if index < used.len() => {
                    let (lease, connection) = used.remove(index);
                    let route = routes.iter().position(|route| route == lease.route()).unwrap();
                    let connection = connection.unwrap_or_else(|| { next += 1; next });
                    prop_assert_eq!(*of_route.entry(connection).or_insert(route), route);
                    alive.insert(connection);
                    pool.keep(now, lease, connection);
                }
                Move::Release(index) if index < used.len() => {
                    let (lease, connection) = used.remove(index);
                    connection.map(|connection| alive.remove(&connection));
                    pool.release(lease);
                }
                Move::Wait(seconds) => now += Duration::from_secs(seconds),
                Move::Clear => pool.clear(),
                _ => {}
            }
            for connection in discarded(&mut pool) {
                prop_assert!(alive.remove(&connection), "{} went twice", connection);
            }
            prop_assert!(pool.open() <= total);
            for route in &routes {
                prop_assert!(used.iter().filter(|(lease, _)| lease.route() == route).count() <= per_route);
            }
            let held: Vec<u32> = used.iter().filter_map(|(_, connection)| *connection).collect();
            prop_assert!(held.iter().all(|connection| alive.contains(connection)));
            prop_assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len());
        }
        // Nobody waits for what is there.
        for index in (0..waiting.len()).rev() {
            poll(&mut pool, now, &routes, &mut waiting, index, &mut used);
        }
        prop_assert!(waiting.is_empty() || !used.is_empty(), "they wait for nobody");
        for (ticket, ..) in waiting.drain(..) {
            if let Some(ticket) = ticket {
                pool.withdraw(now, ticket);
            }
        }
        for (lease, _) in used.drain(..) {
            pool.release(lease);
        }
        pool.clear();
        prop_assert_eq!((pool.open(), pool.idle(), pool.poll_timeout()), (0, 0, None));
    }
}

fn poll(
    pool: &mut Pool<u32>,
    now: Instant,
    routes: &[drywire_client::Route; 3],
    waiting: &mut Vec<(Option<Ticket>, usize, bool)>,
    index: usize,
    used: &mut Vec<(Lease, Option<u32>)>,
) {
    let (ticket, route, fresh) = &mut waiting[index];
    match pool.poll_acquire(now, &routes[*route], *fresh, ticket, Waker::noop()) {
        Poll::Pending => return,
        Poll::Ready(Acquired::Kept(connection, lease)) => {
            assert!(!*fresh && *lease.route() == routes[*route]);
            used.push((lease, Some(connection)));
        }
        Poll::Ready(Acquired::Fresh(lease)) => {
            assert!(*lease.route() == routes[*route]);
            used.push((lease, None));
        }
    }
    waiting.remove(index);
}
