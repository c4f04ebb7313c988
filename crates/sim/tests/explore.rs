//! The explorer itself: what it counts, and that it counts the same every time.

use drywire_sim::Open;
use drywire_sim::explore::{Exploration, Reading, Scope};

fn explore(scope: &Scope) -> Exploration {
    scope.explore().unwrap_or_else(|found| panic!("{found}"))
}

#[test]
fn the_same_scope_gives_the_same_states() {
    let scope = Scope { losses: 1, early_timers: 1, ..Scope::default() };
    assert_eq!(explore(&scope), explore(&scope));
}

#[test]
fn everything_ends_well_in_every_way_there_is() {
    let exploration = explore(&Scope { bytes: [1, 1], ..Scope::default() });
    assert!(exploration.complete && exploration.depth >= 16, "{exploration}");
    for end in [
        "CLOSED (Normal) / CLOSED (Normal)",
        "ESTABLISHED / ESTABLISHED",
        "FIN-WAIT-2 / CLOSE-WAIT",
        "CLOSE-WAIT / FIN-WAIT-2",
        "CLOSED (Aborted) / LISTEN",
    ] {
        assert!(exploration.at_rest.contains_key(end), "{end} is missing: {exploration}");
    }
}

#[test]
fn simultaneous_open_is_explored_from_both_sides_alike() {
    let exploration = explore(&Scope { open: Open::Simultaneous, bytes: [0, 0], ..Scope::default() });
    for (states, count) in &exploration.at_rest {
        let (a, b) = states.split_once(" / ").unwrap();
        // In LISTEN and after, both sides are of one kind.
        assert!(exploration.at_rest.contains_key(&format!("{b} / {a}")), "{states} ({count}): {exploration}");
    }
}

#[test]
fn more_can_happen_with_a_larger_budget() {
    let scopes = [
        Scope::default(),
        Scope { losses: 1, ..Scope::default() },
        Scope { losses: 1, duplicates: 1, ..Scope::default() },
        Scope { losses: 1, duplicates: 1, aborts: true, ..Scope::default() },
        Scope { losses: 1, duplicates: 1, aborts: true, reading: Reading::AnyTime, ..Scope::default() },
    ]
    .map(|scope| Scope { channel: 2, ..scope });
    let states = scopes.each_ref().map(|scope| explore(scope).states);
    assert!(states.is_sorted_by(|a, b| a < b), "{states:?}");
}

#[test]
fn it_ends_at_the_limit_and_says_so() {
    let exploration = explore(&Scope { max_states: 100, ..Scope::default() });
    assert!(!exploration.complete);
    assert!((100..200).contains(&exploration.states), "{exploration}");
}
