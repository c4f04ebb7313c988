//! TCP through a network that loses a fifth of everything: every byte arrives once and in order, and both ends close.
//!
//! A failure names its seed. `SEED=n cargo test -p drywire-tests --test tcp_under_loss` runs that one alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drywire::Instant;
use drywire::sim::{Chance, Digest, Fate, Finish, LinkConfig, Open, Side, TcpPair, TcpReport, Transfer};
use drywire::tcp::{CloseReason, Config, Flags, Segment};
use drywire_tests::seeds::for_each_seed;

const KIB: u64 = 1024;

/// A fifth of everything is lost, and what gets through comes late, twice or out of order; on every fourth seed some
/// of it is corrupted too.
fn bad_link(seed: u64) -> LinkConfig {
    LinkConfig {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(5),
        loss: Chance::percent(20),
        duplication: Chance::percent(2),
        reordering: Chance::percent(5),
        reordering_delay: Duration::from_millis(8),
        corruption: if seed.is_multiple_of(4) { Chance::percent(1) } else { Chance::NEVER },
        mtu: Some(1500),
        ..LinkConfig::default()
    }
}

/// Patience for these links. A segment and its acknowledgment both get through in 64 % of cases. The default of 6 SYN
/// retries fails once in 0.36^7, some 1,300 connections; 15 data retries never do in practice, but the last FIN is
/// also lost with the whole TIME-WAIT behind it.
fn patient() -> Config {
    Config {
        syn_retries: 30,
        syn_ack_retries: 30,
        data_retries: 60,
        max_rto: Duration::from_secs(10),
        ..Config::default()
    }
}

fn run(pair: &TcpPair) -> Result<TcpReport, String> {
    pair.run().map_err(|error| error.to_string())
}

fn complete(pair: &TcpPair) -> Result<TcpReport, String> {
    let report = run(pair)?;
    if report.is_complete() { Ok(report) } else { Err(format!("{report:#?}")) }
}

#[test]
fn one_mebibyte_each_way_survives_twenty_percent_loss() {
    let (sent, lost) = (AtomicU64::new(0), AtomicU64::new(0));
    for_each_seed(1000, |seed| {
        let transfer = Transfer { send: 1024 * KIB, ..Transfer::default() };
        let report = complete(&TcpPair::new(seed).links(bad_link(seed)).tcp(patient()).transfers(transfer))?;
        for link in report.links {
            sent.fetch_add(link.sent, Ordering::Relaxed);
            lost.fetch_add(link.lost, Ordering::Relaxed);
        }
        if report.received == [1024 * KIB; 2] { Ok(()) } else { Err(format!("{report:#?}")) }
    });
    let percent = lost.into_inner() * 100 / sent.into_inner();
    assert!((17..=22).contains(&percent), "{percent}% lost");
}

#[test]
fn rfc_9293_3_5_a_simultaneous_open_survives_loss() {
    for_each_seed(200, |seed| {
        let transfer = Transfer { send: 32 * KIB, ..Transfer::default() };
        let pair = TcpPair::new(seed).open(Open::Simultaneous).links(bad_link(seed)).tcp(patient());
        complete(&pair.transfers(transfer))
    });
}

#[test]
fn rfc_9293_3_6_a_half_closed_connection_still_carries_the_other_direction() {
    for_each_seed(200, |seed| {
        let request = Transfer { send: 10, ..Transfer::default() };
        let response = Transfer { send: 128 * KIB, finish: Finish::AfterPeer, ..Transfer::default() };
        let (client, server) = if seed % 2 == 0 { (Side::A, Side::B) } else { (Side::B, Side::A) };
        let pair = TcpPair::new(seed).links(bad_link(seed)).tcp(patient());
        complete(&pair.transfer_of(client, request).transfer_of(server, response))
    });
}

#[test]
fn rfc_9293_3_6_both_ends_may_close_at_once() {
    // Long after the transfer, so that both have nothing but their FIN to send.
    let transfer = Transfer { send: 10 * KIB, finish: Finish::At(Instant::from_secs(600)), ..Transfer::default() };
    for_each_seed(200, |seed| {
        complete(&TcpPair::new(seed).links(bad_link(seed)).tcp(patient()).transfers(transfer.clone()))
    });

    // On a perfect link the two FINs surely cross.
    let link = LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() };
    let mut fins = Vec::new();
    let report = TcpPair::new(1)
        .links(link)
        .transfers(transfer)
        .run_with(|seen| {
            let packet = &seen.packet;
            let segment = Segment::parse(&packet.bytes, packet.source, packet.destination).unwrap();
            if segment.header.flags.contains(Flags::FIN) {
                fins.push((seen.at, matches!(seen.fate, Fate::Delivered { .. }), packet.source));
            }
        })
        .unwrap();
    assert!(report.is_complete(), "{report:#?}");
    let [first, second, ..] = &fins[..] else { panic!("{fins:?}") };
    assert_eq!((first.0, second.0), (Instant::from_secs(600), Instant::from_secs(600)));
    assert_ne!(first.2, second.2);
}

#[test]
fn rfc_9293_3_8_6_a_slow_reader_closes_the_window_and_opens_it_again() {
    for_each_seed(100, |seed| {
        let tcp = Config { recv_capacity: 4 * 1024, send_capacity: 16 * 1024, ..patient() };
        // The buffer fills in no time, and each read makes room for much less than a segment.
        let transfer = Transfer {
            send: 48 * KIB,
            read: 1 + (seed * 97 % 1500) as usize,
            pause: Duration::from_millis(40),
            ..Transfer::default()
        };
        complete(&TcpPair::new(seed).links(bad_link(seed)).tcp(tcp).transfers(transfer))
    });
}

#[test]
fn rfc_9293_3_8_6_1_a_window_that_stays_shut_for_minutes_is_probed() {
    for_each_seed(50, |seed| {
        let tcp = Config { recv_capacity: 2000, ..patient() };
        let slow = Transfer { read: 2000, pause: Duration::from_secs(180), ..Transfer::default() };
        let fast = Transfer { send: 10_000, ..Transfer::default() };
        complete(
            &TcpPair::new(seed).links(bad_link(seed)).tcp(tcp).transfer_of(Side::A, slow).transfer_of(Side::B, fast),
        )
    });
}

#[test]
fn tiny_buffers_and_tiny_writes_survive_loss() {
    for_each_seed(100, |seed| {
        let tcp = Config { recv_capacity: 1 + (seed * 13 % 700) as usize, send_capacity: 100, ..patient() };
        let transfer = Transfer { send: 2 * KIB, write: 1 + (seed % 40) as usize, read: 7, ..Transfer::default() };
        complete(&TcpPair::new(seed).links(bad_link(seed)).tcp(tcp).transfers(transfer))
    });
}

#[test]
fn a_narrow_link_that_drops_from_its_queue_carries_everything() {
    for_each_seed(50, |seed| {
        let link = LinkConfig { rate: Some(250_000), queue: 16 * 1024, loss: Chance::percent(1), ..bad_link(seed) };
        let transfer = Transfer { send: 128 * KIB, ..Transfer::default() };
        complete(&TcpPair::new(seed).links(link).tcp(patient()).transfers(transfer))
    });
}

#[test]
fn an_abort_is_reported_by_both_ends_or_by_the_one_that_is_left() {
    for_each_seed(200, |seed| {
        let pair = TcpPair::new(seed).links(bad_link(seed)).tcp(patient());
        let aborts = Transfer { send: 10 * KIB, finish: Finish::Abort, ..Transfer::default() };
        let report = run(&pair.transfer_of(Side::A, aborts))?;
        let [a, b] = report.closed;
        let left = matches!(b, Some(CloseReason::Reset | CloseReason::TimedOut) | None);
        let expected = a == Some(CloseReason::Aborted) && left;
        if expected { Ok(()) } else { Err(format!("{report:#?}")) }
    });
}

#[test]
fn a_network_that_dies_is_reported_and_what_arrived_is_a_prefix() {
    let dead = LinkConfig { loss: Chance::ALWAYS, ..LinkConfig::default() };
    let report = TcpPair::new(1).links(dead).run().unwrap();
    assert_eq!(report.closed, [Some(CloseReason::TimedOut), None]);

    for_each_seed(50, |seed| {
        // One direction works: the SYN arrives, and no answer ever does.
        let transfer = Transfer { send: 10 * KIB, ..Transfer::default() };
        let pair = TcpPair::new(seed).links(bad_link(seed)).transfers(transfer);
        let report = run(&pair.link_from(Side::B, LinkConfig { loss: Chance::ALWAYS, ..LinkConfig::default() }))?;
        let expected = report.closed[0] == Some(CloseReason::TimedOut) && report.received == [0, 0];
        if expected { Ok(()) } else { Err(format!("{report:#?}")) }
    });
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let digest = |seed| {
        let mut digest = Digest::new();
        let transfer = Transfer { send: 64 * KIB, ..Transfer::default() };
        TcpPair::new(seed)
            .links(bad_link(0))
            .tcp(patient())
            .transfers(transfer)
            .run_with(|observation| digest.add_observation(&observation))
            .unwrap();
        digest
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}
