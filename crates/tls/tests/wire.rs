//! TLS on wires that are as awkward as they may be.

mod shared;

use std::io::ErrorKind;
use std::sync::Arc;

use drywire_tls::Error;
use proptest::prelude::*;
use shared::{Exchange, Fault, Link, Outcome, Scene, Side, Whim, client_config, server_config};

fn cases(cases: u32) -> ProptestConfig {
    // A failure is kept as a test of its own, not as a seed.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn whims() -> impl Strategy<Value = Vec<Whim>> {
    let whim = prop_oneof![
        6 => (1..900usize).prop_map(Whim::Short),
        2 => Just(Whim::Pending),
        1 => Just(Whim::Interrupted),
    ];
    prop::collection::vec(whim, 0..120)
}

fn link() -> impl Strategy<Value = Link> {
    let capacity = prop_oneof![2 => Just(0), 1 => 1..40usize, 1 => 500..5000usize];
    (whims(), whims(), any::<bool>(), capacity).prop_map(|(near, far, is_buffered, capacity)| Link {
        whims: [near, far],
        is_buffered,
        capacity,
        ..Link::default()
    })
}

fn saying() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![2 => 0..50usize, 2 => 0..3000usize, 1 => 60_000..140_000usize];
    (len, any::<u8>()).prop_map(|(len, first)| (0..len).map(|n| first.wrapping_add((n % 251) as u8)).collect())
}

/// Neither side has heard anything that was not said, and what is missing is at the end.
fn check_prefixes(client: &Side, server: &Side, question: &[u8], answer: &[u8]) {
    assert!(answer.starts_with(&client.machine().heard) && question.starts_with(&server.machine().heard));
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn an_awkward_wire_changes_nothing(
        link in link(),
        question in saying(),
        answer in saying(),
        deaf in 0..3usize,
    ) {
        let mut scene = Scene { link, says: [Exchange::new(&question), Exchange::new(&answer)], ..Scene::new() };
        // One that speaks before it listens: its writes wait for the handshake's reads.
        if let Some(side) = scene.says.get_mut(deaf) {
            *side = Exchange::new(if deaf == 0 { &question } else { &answer }).deaf_at_first();
        }
        let (client, server) = scene.run();
        for (side, heard) in [(&client, &answer), (&server, &question)] {
            prop_assert_eq!(side.outcome.as_ref(), Some(&Outcome::Closed));
            prop_assert_eq!(&side.machine().heard, heard);
            prop_assert_eq!(side.machine().ended, Some(true));
            prop_assert!(side.end.is_shut());
        }
    }

    #[test]
    fn a_wire_that_breaks_gives_its_error_and_nothing_false(
        link in link(),
        question in saying(),
        answer in saying(),
        fault in prop_oneof![
            (1..40usize).prop_map(Fault::Read),
            (1..20usize).prop_map(Fault::Write),
            (1..20usize).prop_map(Fault::WriteZero),
        ],
        at_client in any::<bool>(),
    ) {
        let faults = if at_client { [Some(fault), None] } else { [None, Some(fault)] };
        let says = [Exchange::new(&question), Exchange::new(&answer)];
        let (client, server) = Scene { link: Link { faults, ..link }, says, ..Scene::new() }.run();
        check_prefixes(&client, &server, &question, &answer);
        let broken = if at_client { &client } else { &server };
        let expected = match fault {
            Fault::Read(_) => ErrorKind::ConnectionReset,
            Fault::Write(_) => ErrorKind::BrokenPipe,
            Fault::WriteZero(_) => ErrorKind::WriteZero,
        };
        match broken.outcome.as_ref() {
            Some(Outcome::Closed) => prop_assert!(broken.machine().ended.is_some()),
            Some(Outcome::Io(kind)) => prop_assert_eq!(*kind, expected),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn one_byte_at_a_time_gives_the_same() {
    for is_buffered in [false, true] {
        let link = Link { one_by_one: true, is_buffered, ..Link::default() };
        let (client, server) = Scene { link, ..Scene::new() }.run();
        assert_eq!((&client.machine().heard[..], &server.machine().heard[..]), (&b"an answer"[..], &b"a question"[..]));
        assert_eq!((client.machine().ended, server.machine().ended), (Some(true), Some(true)));
    }
}

/// Input: a peer that makes room for a few bytes at a time while there are 140,000 to send. Each bit of room in rustls's full
/// buffer became a record of its own, with 22 bytes around it, and more records than could be counted in good time.
#[test]
fn a_slow_peer_gets_no_tiny_records() {
    let answer = vec![b'x'; 140_000];
    let link = Link { capacity: 7, ..Link::default() };
    let says = [Exchange::new(b"a question"), Exchange::new(&answer)];
    let (client, server) = Scene { says, link, ..Scene::new() }.run();
    assert_eq!(client.machine().heard, answer);
    let carried = client.end.carried().max(server.end.carried());
    assert!((answer.len()..answer.len() + 8_000).contains(&carried), "{carried} bytes for {}", answer.len());
}

/// Input: a stream that ends behind each of its bytes in turn, without and with everything that TLS says. The end is
/// never taken for the peer's word unless its last byte has come.
#[test]
fn truncation_at_every_byte_is_noticed() {
    // Shared, so that all but the first handshake are short.
    let (client_config, server_config) = (Arc::new(client_config()), Arc::new(server_config()));
    for to_client in [true, false] {
        let mut cut = 0;
        loop {
            let cuts = if to_client { [Some(cut), None] } else { [None, Some(cut)] };
            let scene = Scene::with(Arc::clone(&client_config), Arc::clone(&server_config));
            let (client, server) = Scene { link: Link { cuts, ..Link::default() }, ..scene }.run();
            check_prefixes(&client, &server, b"a question", b"an answer");
            let side = if to_client { &client } else { &server };
            if !side.end.is_cut() {
                assert_eq!((side.machine().ended, &side.outcome), (Some(true), &Some(Outcome::Closed)));
                break;
            }
            match (side.machine().ended, side.outcome.as_ref()) {
                (Some(false), Some(Outcome::Closed)) => {}
                (None, Some(Outcome::Tls(Error::EndedInHandshake))) => {}
                // Nothing was said to the server: a silent end, which fails only what the server has to say.
                (Some(true), Some(Outcome::Tls(Error::EndedInHandshake))) => assert!(!to_client && cut == 0),
                other => panic!("cut behind {cut}: {other:?}"),
            }
            cut += 1;
        }
        assert!(cut > 200, "{cut}");
    }
}
