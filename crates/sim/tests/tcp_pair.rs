//! Two TCP endpoints: what a run reports, and that it is what happened.

use std::collections::BTreeMap;
use std::time::Duration;

use drywire_core::Instant;
use drywire_sim::{Chance, Digest, Fate, Finish, LinkConfig, Observation, Open, RunFailure, Side, TcpPair, Transfer};
use drywire_tcp::{CloseReason, Config, Flags, Segment};

fn link() -> LinkConfig {
    LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() }
}

fn flags(seen: &Observation) -> Flags {
    let packet = &seen.packet;
    Segment::parse(&packet.bytes, packet.source, packet.destination).unwrap().header.flags
}

#[test]
fn a_perfect_network_loses_nothing_and_repeats_nothing() {
    let transfer = Transfer { send: 300_000, ..Transfer::default() };
    let mut data = BTreeMap::new();
    let report = TcpPair::new(1)
        .links(link())
        .transfers(transfer)
        .run_with(|seen| {
            assert!(!flags(&seen).contains(Flags::RST));
            let packet = &seen.packet;
            let segment = Segment::parse(&packet.bytes, packet.source, packet.destination).unwrap();
            if seen.fate == Fate::Sent && !segment.payload.is_empty() {
                let earlier = data.insert((packet.source, segment.header.seq.value()), segment.payload.len());
                assert_eq!(earlier, None, "sent twice: {segment}");
            }
        })
        .unwrap();
    assert!(report.is_complete());
    assert_eq!(report.seed, 1);
    assert_eq!((report.sent, report.received), ([300_000; 2], [300_000; 2]));
    assert_eq!(data.values().sum::<usize>(), 600_000);
    for link in report.links {
        assert_eq!((link.lost, link.delivered), (0, link.sent));
    }
    assert_eq!(report.malformed, 0);
    // Neither direction has to wait for TIME-WAIT, but the end does.
    assert!(report.received_all.iter().all(|at| at.unwrap() < Instant::from_secs(1)), "{report:?}");
    assert!(report.ended >= Instant::from_secs(60));
}

#[test]
fn an_empty_connection_opens_and_closes() {
    for open in [Open::ClientServer, Open::Simultaneous] {
        for finish in [Finish::WhenSent, Finish::At(Instant::from_secs(3))] {
            let transfer = Transfer { finish, ..Transfer::default() };
            let report = TcpPair::new(2).open(open).links(link()).transfers(transfer).run().unwrap();
            assert!(report.is_complete(), "{report:?}");
        }
    }
}

#[test]
fn throughput_is_what_the_link_allows() {
    // 1 MB/s for ten seconds, with room for a round trip in the queue.
    let narrow = LinkConfig { rate: Some(1_000_000), queue: 512 * 1024, ..link() };
    let transfer = Transfer { send: 10_000_000, ..Transfer::default() };
    let report = TcpPair::new(3).links(narrow).transfer_of(Side::A, transfer).run().unwrap();
    assert!(report.is_complete());
    let millis = report.received_all[1].unwrap().as_millis();
    // Headers take 40 of 1,500 bytes.
    assert!((10_270..12_000).contains(&millis), "{millis} ms");
}

#[test]
fn corruption_is_found_by_the_checksum() {
    let noisy = LinkConfig { corruption: Chance::percent(10), ..link() };
    let transfer = Transfer { send: 200_000, ..Transfer::default() };
    let report = TcpPair::new(4).links(noisy).transfers(transfer).run().unwrap();
    assert!(report.is_complete());
    let corrupted: u64 = report.links.iter().map(|link| link.corrupted).sum();
    assert!(corrupted > 20);
    // None gets past it, none that is whole is refused.
    assert_eq!(report.malformed, corrupted);
}

#[test]
fn a_slow_reader_sets_the_pace() {
    let slow = Transfer { read: 10_000, pause: Duration::from_millis(500), ..Transfer::default() };
    let report = TcpPair::new(5)
        .links(link())
        .tcp_of(Side::B, Config { recv_capacity: 20_000, ..Config::default() })
        .transfer_of(Side::A, Transfer { send: 200_000, ..Transfer::default() })
        .transfer_of(Side::B, slow)
        .run()
        .unwrap();
    assert!(report.is_complete());
    // At least 20 reads, half a second apart.
    assert!(report.received_all[1].unwrap() > Instant::from_millis(9500));
}

#[test]
fn an_abort_names_both_reasons() {
    let aborts = Transfer { finish: Finish::Abort, send: 1000, ..Transfer::default() };
    let late = Transfer { finish: Finish::At(Instant::from_secs(9)), ..Transfer::default() };
    let pair = TcpPair::new(6).links(link()).transfer_of(Side::B, aborts).transfer_of(Side::A, late);
    let report = pair.run().unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.closed, [Some(CloseReason::Reset), Some(CloseReason::Aborted)]);
}

#[test]
fn a_half_open_connection_is_told_apart_from_a_standstill() {
    // Where the reset is lost, the peer waits for ever: it never says anything that would be answered by another.
    let waits = Transfer { finish: Finish::AfterPeer, ..Transfer::default() };
    let aborts = Transfer { finish: Finish::Abort, ..Transfer::default() };
    let lossy = LinkConfig { loss: Chance::percent(50), ..link() };
    let mut half_open = 0;
    for seed in 0..50 {
        let pair = TcpPair::new(seed).transfer_of(Side::A, waits.clone()).transfer_of(Side::B, aborts.clone());
        let report = pair.link_from(Side::B, lossy.clone()).run().unwrap();
        match report.closed {
            [None, Some(CloseReason::Aborted)] => half_open += 1,
            [Some(CloseReason::Reset), Some(CloseReason::Aborted)] => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!((10..40).contains(&half_open), "{half_open}");

    // Both wait for the other to finish first.
    let error = TcpPair::new(7).transfers(waits).run().unwrap_err();
    assert!(error.to_string().starts_with("seed 7, at 0.0"), "{error}");
    let RunFailure::Stuck(why) = error.reason else { panic!("{error}") };
    assert_eq!(
        why,
        "a is in ESTABLISHED, 0 bytes sent, 0 read, 0 unread; b is in ESTABLISHED, 0 bytes sent, 0 read, 0 unread"
    );
}

#[test]
fn a_run_that_takes_too_long_fails() {
    let transfer = Transfer { send: 1_000_000, ..Transfer::default() };
    let error = TcpPair::new(8).transfers(transfer).max_steps(100).run().unwrap_err();
    assert_eq!(error.reason, RunFailure::OutOfSteps(100));
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let bad = LinkConfig {
        jitter: Duration::from_millis(5),
        loss: Chance::percent(10),
        duplication: Chance::percent(5),
        reordering: Chance::percent(5),
        reordering_delay: Duration::from_millis(5),
        corruption: Chance::percent(1),
        ..link()
    };
    let run = |seed| {
        let mut digest = Digest::new();
        let transfer = Transfer { send: 50_000, ..Transfer::default() };
        let pair = TcpPair::new(seed).links(bad.clone()).transfers(transfer);
        let report = pair.run_with(|seen| digest.add_observation(&seen)).unwrap();
        // Watching changes nothing.
        assert_eq!(pair.run().unwrap(), report);
        digest
    };
    assert_eq!(run(9), run(9));
    assert_ne!(run(9), run(10));
}
