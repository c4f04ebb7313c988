//! Explicit congestion notification between two endpoints over a network that marks (RFC 3168).

use std::time::Duration;

use drywire_core::Instant;
use drywire_sim::{Chance, Fate, LinkConfig, Side, TcpPair, TcpReport, Transfer};
use drywire_tcp::ip::Ecn;
use drywire_tcp::{Config, Congestion, Cubic, EcnMode, Flags, NewReno, Segment};

const SIZE: u64 = 8 * 1024 * 1024;
/// Of the bottleneck, in bytes a second.
const RATE: u64 = 1_250_000;

/// Ten Mbit/s and 40 ms, with a long queue: what hosts fill until it drops, unless they are told.
fn bottleneck() -> LinkConfig {
    LinkConfig {
        latency: Duration::from_millis(20),
        rate: Some(RATE),
        queue: 160 * 1024,
        marking_threshold: Some(50_000),
        ..LinkConfig::default()
    }
}

/// A report, and how long packets waited on average once the first second was over.
fn run(congestion: &Congestion, ecn: EcnMode) -> (TcpReport, Duration) {
    let config = Config { ecn, congestion: congestion.clone(), send_capacity: 1 << 20, ..Config::default() };
    let transfer = Transfer { send: SIZE, write: 1 << 20, ..Transfer::default() };
    let (mut packets, mut waited) = (0, Duration::ZERO);
    let report = TcpPair::new(1)
        .links(bottleneck())
        .tcp(config)
        .transfer_of(Side::A, transfer)
        .run_with(|seen| {
            if let Fate::Delivered { sent } = seen.fate
                && seen.packet.size() == 1500
                && sent > Instant::from_secs(1)
            {
                packets += 1;
                waited += seen.at - (sent + bottleneck().latency);
            }
        })
        .unwrap();
    assert!(report.is_complete(), "{report:?}");
    (report, waited / packets)
}

/// RFC 3168 1: routers tell of congestion before they have to drop, so nothing is lost and queues stay short.
#[test]
fn rfc_3168_1_a_flow_over_a_marking_bottleneck_loses_nothing_and_keeps_the_queue_short() {
    for congestion in [Congestion::Cubic(Cubic::default()), Congestion::NewReno(NewReno::default())] {
        let (with, wait) = run(&congestion, EcnMode::Request);
        // Neither side asks: nothing can be marked, and the queue is filled until it drops.
        let (without, wait_without) = run(&congestion, EcnMode::Accept);
        let ([with_link, _], [without_link, _]) = (with.links, without.links);
        println!("{wait:?} and {wait_without:?}, {with_link:?} and {without_link:?}");
        assert_eq!((without_link.marked, without_link.queue_full > 0), (0, true));
        assert_eq!((with_link.marked > 0, with_link.queue_full), (true, 0));
        // Forty milliseconds are a threshold's worth at this rate.
        assert!(wait < Duration::from_millis(40) && wait * 2 < wait_without, "{wait:?} and {wait_without:?}");
        // All the same the line is never idle: all packets at its rate, and the way there and the handshake.
        let sending = Duration::from_micros(with_link.sent_bytes * 1_000_000 / RATE);
        let took = with.received_all[1].unwrap() - Instant::ORIGIN;
        assert!(took < sending + Duration::from_millis(300), "{took:?}, of which {sending:?} to send");
    }
}

/// RFC 3168 6.1: whatever is marked, whoever sends, every byte arrives; what must not be marked never may be.
#[test]
fn rfc_3168_6_1_random_marks_and_losses_harm_nothing() {
    let (mut told, mut capable) = (0, 0);
    for seed in 0..50 {
        let link = LinkConfig {
            latency: Duration::from_millis(5),
            marking: Chance::percent(30),
            loss: Chance::percent(if seed % 2 == 0 { 0 } else { 5 }),
            reordering: Chance::percent(2),
            reordering_delay: Duration::from_millis(3),
            ..LinkConfig::default()
        };
        let config = Config { ecn: EcnMode::Request, ..Config::default() };
        let transfer = Transfer { send: 100_000, ..Transfer::default() };
        let mut highest = [None; 2];
        let report = TcpPair::new(seed)
            .links(link)
            .tcp(config)
            .transfers(transfer)
            .run_with(|seen| {
                let packet = &seen.packet;
                let segment = Segment::parse(&packet.bytes, packet.source, packet.destination).unwrap();
                if seen.fate != Fate::Sent {
                    return;
                }
                let (flags, end) = (segment.header.flags, segment.header.seq + segment.payload.len() as u32);
                let before = &mut highest[usize::from(segment.header.source_port == 80)];
                let is_new =
                    !segment.payload.is_empty() && before.is_none_or(|before| segment.header.seq.at_or_after(before));
                if flags.contains(Flags::SYN) {
                    assert_eq!(packet.ecn, Ecn::NotEct, "{segment}");
                    return;
                }
                told += u32::from(flags.contains(Flags::CWR));
                capable += u32::from(packet.ecn == Ecn::Ect0);
                let wanted = if is_new { [Ecn::Ect0, Ecn::NotEct] } else { [Ecn::NotEct; 2] };
                assert!(wanted.contains(&packet.ecn), "seed {seed}: {segment} is {:?}", packet.ecn);
                assert!(!flags.contains(Flags::CWR) || is_new, "seed {seed}: {segment}");
                if !segment.payload.is_empty() {
                    *before = Some(before.map_or(end, |before| if end.after(before) { end } else { before }));
                }
            })
            .unwrap();
        assert!(report.is_complete(), "seed {seed}: {report:?}");
    }
    assert!(capable > 1000 && told > 100, "{capable} segments that may be marked, {told} reductions");
}
