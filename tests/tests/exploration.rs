//! Every order of events that two TCP endpoints can meet within a budget, and the proof that this would notice: copies of
//! TCP that leave out one rule are caught.
//!
//! `EXPLORE_STATES=10000000 cargo test -p drywire-tests --test exploration -- --nocapture` goes on until it has seen so
//! many states. A failure prints the shortest way to what must not be.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use drywire::sim::Open;
use drywire::sim::explore::{CounterExample, Exploration, Order, Property, Reading, Scope};
use drywire::tcp::{Config, EcnMode, KeepAlive};
use drywire_tcp::Rule;

/// What the normal run explores, to the end: several million states.
fn scopes() -> Vec<(&'static str, Scope)> {
    let both = Scope { bytes: [1, 1], ..Scope::default() };
    let simultaneous = Scope { open: Open::Simultaneous, ..both.clone() };
    vec![
        ("any order", both.clone()),
        ("any order, simultaneous open", simultaneous.clone()),
        ("order kept, simultaneous open", Scope { order: Order::Kept, channel: 5, ..simultaneous.clone() }),
        ("aborts", Scope { aborts: true, ..both.clone() }),
        ("early timers", Scope { early_timers: 1, ..both.clone() }),
        ("a loss and an early timer", Scope { losses: 1, early_timers: 1, ..both.clone() }),
        ("two losses, simultaneous open", Scope { losses: 2, channel: 2, ..simultaneous.clone() }),
        ("a duplicate, simultaneous open", Scope { duplicates: 1, channel: 2, ..simultaneous.clone() }),
        ("a loss and aborts", Scope { losses: 1, aborts: true, channel: 2, ..both.clone() }),
        ("delayed acknowledgments", with(Scope { losses: 1, ..both.clone() }, |tcp| tcp.quick_acks = 0)),
        (
            "a user timeout",
            with(Scope { losses: 1, channel: 2, ..both.clone() }, |tcp| {
                tcp.user_timeout = Some(Duration::from_secs(2));
            }),
        ),
        ("keep-alive of one end", {
            // All distances are one second: with others, or at both ends, there is no end of states.
            let second = Duration::from_secs(1);
            let mut scope = Scope { losses: 1, channel: 2, ..both.clone() };
            scope.tcp[0].keep_alive = Some(KeepAlive { idle: second, interval: second, count: 2 });
            scope
        }),
        ("Nagle", with(Scope { bytes: [2, 1], losses: 1, channel: 2, ..both.clone() }, |tcp| tcp.no_delay = false)),
        (
            "a window of one byte",
            with(Scope { bytes: [2, 1], reading: Reading::AnyTime, losses: 1, channel: 2, ..both.clone() }, |tcp| {
                tcp.recv_capacity = 1;
            }),
        ),
        ("marks and a loss", with(Scope { bytes: [2, 1], marks: 2, losses: 1, channel: 2, ..both.clone() }, with_ecn)),
        ("marks, simultaneous open", with(Scope { marks: 1, losses: 1, channel: 2, ..simultaneous.clone() }, with_ecn)),
        ("an earlier incarnation", with(Scope { earlier: 1, ..both }, |tcp| tcp.timestamps = true)),
        ("an earlier incarnation, simultaneous open", Scope { earlier: 1, channel: 2, ..simultaneous }),
    ]
}

/// What longer runs explore beyond that.
fn deep_scopes() -> Vec<(&'static str, Scope)> {
    let both = Scope { bytes: [1, 1], channel: 2, max_states: 30_000_000, ..Scope::default() };
    let simultaneous = Scope { open: Open::Simultaneous, ..both.clone() };
    let all = Scope { losses: 1, duplicates: 1, early_timers: 1, ..both.clone() };
    vec![
        ("all that can go wrong", all.clone()),
        ("a loss and a duplicate", Scope { losses: 1, duplicates: 1, channel: 3, ..both.clone() }),
        ("two early timers and a loss", Scope { losses: 1, early_timers: 2, ..both.clone() }),
        ("two segments of an earlier incarnation", Scope { earlier: 2, ..both.clone() }),
        ("all that can go wrong, and aborts", Scope { bytes: [1, 0], aborts: true, ..all }),
        ("a loss and aborts, simultaneous open", Scope { losses: 1, aborts: true, ..simultaneous }),
    ]
}

/// The least window, so that a mark can make a side pause.
fn with_ecn(tcp: &mut Config) {
    tcp.ecn = EcnMode::Request;
    tcp.initial_window = 1;
}

fn with(mut scope: Scope, change: impl Fn(&mut Config)) -> Scope {
    scope.tcp.iter_mut().for_each(change);
    scope
}

#[track_caller]
fn explore(name: &str, scope: &Scope) -> Exploration {
    let exploration = scope.explore().unwrap_or_else(|found| panic!("{name}: {found}"));
    println!("{name}: {exploration}");
    assert!(exploration.complete, "{name}: more than {} states", scope.max_states);
    assert!(exploration.memory < 2 << 30, "{name}: {} bytes", exploration.memory);
    exploration
}

/// On all cores.
fn explore_all(scopes: &[(&'static str, Scope)]) -> u64 {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut states = 0;
        while let Some((name, scope)) = scopes.get(next.fetch_add(1, Ordering::Relaxed)) {
            states += explore(name, scope).states;
        }
        states
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).sum()
    })
}

#[test]
fn every_state_is_good() {
    #[allow(clippy::disallowed_methods, reason = "a test, not a machine, is told by its environment how far to go")]
    let wanted = std::env::var("EXPLORE_STATES").ok();
    let wanted = wanted.map_or(1_000_000, |wanted| wanted.parse().expect("EXPLORE_STATES is a number"));
    let mut states = explore_all(&scopes());
    for (name, scope) in deep_scopes() {
        if states < wanted {
            states += explore(name, &scope).states;
        }
    }
    println!("{states} states");
    assert!(states >= wanted, "{states} of {wanted} states");
}

/// Nothing lost, nothing swapped: not one RST, whatever the applications do but give up.
#[test]
fn a_perfect_network_sees_no_reset_and_every_byte() {
    for open in [Open::ClientServer, Open::Simultaneous] {
        let scope = Scope { open, bytes: [2, 2], order: Order::Kept, channel: 5, ..Scope::default() };
        let exploration = explore("perfect", &scope);
        let normal = exploration.at_rest.get("CLOSED (Normal) / CLOSED (Normal)");
        assert!(normal.is_some(), "{exploration}");
        assert!(!exploration.at_rest.keys().any(|states| states.contains("Reset")), "{exploration}");
    }
}

/// Both ends are copies that leave out one rule.
#[track_caller]
fn caught(rule: Rule, scope: Scope) -> CounterExample {
    let found = with(scope, |tcp| tcp.omit = Some(rule)).explore().expect_err("a broken copy passed");
    println!("{rule:?}: {found}");
    found
}

#[test]
fn a_copy_without_a_retransmission_timer_is_caught() {
    let found = caught(Rule::RetransmissionTimer, Scope { losses: 1, ..Scope::default() });
    assert_eq!(found.property, Property::NeverStuck);
}

#[test]
fn a_copy_that_obeys_any_reset_is_caught() {
    let found = caught(Rule::ResetSequence, Scope { earlier: 1, ..Scope::default() });
    assert_eq!(found.property, Property::ResetHasACause);
}

#[test]
fn a_copy_that_delivers_text_in_any_order_is_caught() {
    let found = caught(Rule::TextOrder, Scope { bytes: [2, 0], ..Scope::default() });
    assert_eq!(found.property, Property::Prefix);
}

#[test]
fn a_copy_that_delivers_text_twice_is_caught() {
    let found = caught(Rule::KnownText, Scope { early_timers: 1, ..Scope::default() });
    assert_eq!(found.property, Property::Prefix);
}

#[test]
fn a_copy_that_takes_a_fin_before_the_text_is_caught() {
    let found = caught(Rule::FinOrder, Scope::default());
    assert_eq!(found.property, Property::EndIsTheEnd);
    insta::assert_snapshot!(found);
}

#[test]
fn a_copy_that_skips_time_wait_is_caught() {
    let found = caught(Rule::TimeWait, Scope::default());
    assert_eq!(found.property, Property::EdgesOfTheDiagram);
}

#[test]
fn a_copy_that_takes_back_its_window_is_caught() {
    let found = caught(Rule::WindowEdge, Scope::default());
    assert_eq!(found.property, Property::WindowEdge);
}

#[test]
fn a_copy_that_believes_any_acknowledgment_is_caught() {
    let found = caught(Rule::AckRange, Scope { earlier: 1, ..Scope::default() });
    assert_eq!(found.property, Property::Prefix);
}

#[test]
fn a_copy_that_takes_any_syn_ack_is_caught() {
    let found = caught(Rule::SynAckNumber, Scope { earlier: 1, ..Scope::default() });
    assert_eq!(found.property, Property::SendSequence);
}

#[test]
fn a_copy_that_acknowledges_acknowledgments_is_caught() {
    let found = caught(Rule::SilentAck, Scope::default());
    assert_eq!(found.property, Property::ExchangesEnd);
}
