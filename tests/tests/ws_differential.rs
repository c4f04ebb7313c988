//! drywire beside tungstenite and tokio-websockets under frames of chance; the differences that there may be, each shown; and the
//! proof that others would be noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use drywire::ws::Role::{self, Client, Server};
use drywire::{Rng, Seed};
use drywire_tests::fuzz::input::Input;
use drywire_tests::fuzz::ws_differential::{
    Case, DIFFERENCES, End, MAX, Reading, Seen, Sent, Setup, compare, drywire, frames, play, read,
};
use drywire_tests::seeds::for_each_seed;

fn chance(seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(&Seed::from(seed));
    let mut input = vec![0; 2 + rng.below(120) as usize];
    rng.fill(&mut input);
    input
}

#[test]
fn frames_of_chance_show_no_other_difference() {
    let met = Mutex::new(BTreeMap::new());
    for_each_seed(20_000, |seed| {
        let played = catch_unwind(AssertUnwindSafe(|| play(&chance(seed)))).unwrap_or_else(|_| Err("a panic".into()));
        for name in played? {
            *met.lock().unwrap().entry(name).or_insert(0) += 1;
        }
        Ok::<_, String>(())
    });
    for (name, times) in met.into_inner().unwrap() {
        println!("{times:6} {name}");
    }
}

#[test]
fn each_difference_is_in_the_docs_and_those_there_are_no_others() {
    let docs = include_str!("../../docs/design/differential.md");
    let (_, docs) =
        docs.split_once("\n# drywire beside tungstenite and tokio-websockets\n").expect("a part of its own");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|(name, _)| name);
    let named: BTreeSet<_> = rows.filter(|name| *name != "difference").collect();
    let listed: BTreeSet<_> = DIFFERENCES.iter().map(|difference| difference.name).collect();
    assert_eq!(named, listed);
    assert_eq!(DIFFERENCES.len(), listed.len());
}

/// A reader that gets everything at once and does not close.
fn setup(role: Role) -> Setup {
    Setup { role, step: usize::MAX, closes: false }
}

#[test]
fn each_difference_is_met() {
    let closes = Setup { closes: true, ..setup(Client) };
    let too_much: Vec<u8> = [&[0x01, 126, 0x0b, 0xb8][..], &[b'x'; MAX], &[0x80, 1, 0xff]].concat();
    for (name, setup, wire) in [
        ("a length in a longer form", setup(Client), &[0x82, 126, 0, 1, 7][..]),
        ("a length in a longer form", setup(Client), &[0x89, 126, 0, 1, 7]),
        ("a forbidden code in a Close frame", setup(Client), &[0x88, 2, 0x03, 0xed]),
        ("a forbidden code in a Close frame", closes, &[0x88, 2, 0x03, 0xed]),
        ("close code 1014", setup(Client), &[0x88, 2, 0x03, 0xf6]),
        ("a fault in a frame that does not end", setup(Client), &[0x81, 5, 0xff]),
        ("a fault in a header that does not end", setup(Client), &[0x82, 0xfe]),
        ("failing without a word", setup(Server), &[0x82, 0]),
        ("a length of 64 bits that is too large in two ways", setup(Client), &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("a message that ends inside a character with an empty frame", setup(Client), &[0x01, 1, 0xce, 0x80, 0]),
        ("text that is wrong in a fragment that is too much", setup(Client), &too_much),
        ("a Ping behind our own Close frame", closes, &[0x89, 1, 7]),
    ] {
        let met = read(setup, wire).unwrap_or_else(|other| panic!("{name}: {other}"));
        assert!(met.contains(&name), "{name}: met are {met:?}");
    }
}

/// Whatever is changed in a peer's reading where nothing may differ is noticed.
#[test]
fn other_differences_are_noticed() {
    let changes: [fn(&mut Reading); 7] = [
        |reading| _ = reading.seen.pop(),
        |reading| reading.seen.push(Seen::Ping(Vec::new())),
        |reading| {
            if let Some(Seen::Text(payload) | Seen::Binary(payload) | Seen::Ping(payload)) = reading.seen.first_mut() {
                payload.push(7);
            }
        },
        |reading| reading.end = if reading.end == End::Closed { End::EndOfStream } else { End::Closed },
        |reading| reading.end = End::Failed,
        |reading| _ = reading.sent.pop(),
        |reading| reading.sent.push(Sent::Close(Some(1001))),
    ];
    let noticed = Mutex::new([0; 7]);
    for_each_seed(5_000, |seed| {
        let wire = frames(&mut Input::new(&chance(seed)), Server);
        let (ours, failure, left) = drywire(setup(Server), &wire);
        if failure.is_some_and(|failure| failure.close_code().is_some()) {
            return Ok(());
        }
        for peer in ["tungstenite", "tokio-websockets"] {
            for (n, change) in changes.iter().enumerate() {
                let mut theirs = ours.clone();
                change(&mut theirs);
                if (&theirs.seen, theirs.end, &theirs.sent) == (&ours.seen, ours.end, &ours.sent) {
                    continue;
                }
                let case =
                    Case { peer, setup: setup(Server), wire: &wire, ours: &ours, failure, left, theirs: &theirs };
                // Half a header may be wrong already.
                let allowed =
                    (left > 0 && theirs.end == End::Failed).then_some("a fault in a header that does not end");
                match compare(&case) {
                    Ok(name) if name != allowed => return Err(format!("change {n} is {name:?}: {theirs:?}")),
                    _ => noticed.lock().unwrap()[n] += 1,
                }
            }
        }
        Ok::<_, String>(())
    });
    let noticed = noticed.into_inner().unwrap();
    assert!(noticed.iter().all(|times| *times > 100), "{noticed:?}");
}
