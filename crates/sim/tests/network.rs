//! The network does what its configuration says, as often as it says, and the same again from the same seed.

use std::net::IpAddr;
use std::time::Duration;

use drywire_core::{Bytes, Instant};
use drywire_sim::{Chance, Digest, Fate, LinkConfig, Network, Packet};
use drywire_tcp::ip::Ecn;
use proptest::prelude::*;

const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

/// The packet number, and enough behind it to be corrupted.
fn packet(number: u32) -> Packet {
    let mut bytes = vec![0x5a; 96];
    bytes.extend_from_slice(&number.to_be_bytes());
    Packet { source: A, destination: B, ecn: Ecn::NotEct, bytes: bytes.into() }
}

fn number(packet: &Packet) -> u32 {
    u32::from_be_bytes(packet.bytes[96..].try_into().unwrap())
}

/// Sends `count` packets a microsecond apart; what arrives, with its time.
fn run(network: &mut Network, count: u32) -> Vec<(Instant, Packet)> {
    for i in 0..count {
        network.send(Instant::from_micros(i.into()), packet(i));
    }
    let mut arrived = Vec::new();
    while let Some(at) = network.poll_timeout() {
        while let Some(packet) = network.poll_deliver(at) {
            arrived.push((at, packet));
        }
    }
    arrived
}

fn network(seed: u64, config: LinkConfig) -> Network {
    let mut network = Network::new(seed);
    network.connect(A, B, config);
    network
}

/// Whether `count` of `total` is `percent`, give or take five standard deviations.
#[track_caller]
fn assert_share(count: u64, total: u64, percent: u64) {
    let expected = total * percent / 100;
    let variance = expected * (100 - percent) / 100;
    assert!(count.abs_diff(expected).pow(2) < 25 * variance, "{count} of {total}, not {percent}%");
}

#[test]
fn a_perfect_link_delivers_everything_in_order_after_its_latency() {
    let latency = Duration::from_millis(7);
    let mut network = network(1, LinkConfig { latency, ..LinkConfig::default() });
    let arrived = run(&mut network, 1000);
    for (i, (at, got)) in (0..1000).zip(&arrived) {
        assert_eq!(*at, Instant::from_micros(i.into()) + latency);
        assert_eq!(*got, packet(i));
    }
    let stats = network.stats(A, B);
    assert_eq!((stats.sent, stats.delivered, stats.sent_bytes, stats.delivered_bytes), (1000, 1000, 120_000, 120_000));
    assert_eq!(network.stats(B, A).sent, 0);
}

#[test]
fn loss_is_near_its_setting() {
    let mut network = network(2, LinkConfig { loss: Chance::percent(20), ..LinkConfig::default() });
    let arrived = run(&mut network, 50_000);
    let stats = network.stats(A, B);
    assert_share(stats.lost, 50_000, 20);
    assert_eq!(arrived.len() as u64, 50_000 - stats.lost);
}

#[test]
fn duplication_is_near_its_setting() {
    let mut network = network(3, LinkConfig { duplication: Chance::percent(10), ..LinkConfig::default() });
    let arrived = run(&mut network, 50_000);
    let stats = network.stats(A, B);
    assert_share(stats.duplicated, 50_000, 10);
    assert_eq!(arrived.len() as u64, 50_000 + stats.duplicated);
    assert_eq!(stats.delivered, arrived.len() as u64);
}

#[test]
fn corruption_is_near_its_setting_and_flips_a_few_neighbours() {
    let mut network = network(4, LinkConfig { corruption: Chance::percent(10), ..LinkConfig::default() });
    let arrived = run(&mut network, 50_000);
    let mut changed = 0;
    for (i, (_, got)) in (0..50_000).zip(&arrived) {
        let sent = packet(i);
        let bit = |p: &Packet, at: usize| p.bytes[at / 8] >> (7 - at % 8) & 1;
        let flips: Vec<_> = (0..800).filter(|&at| bit(&sent, at) != bit(got, at)).collect();
        if let (Some(first), Some(last)) = (flips.first(), flips.last()) {
            assert!(last - first < 15);
            changed += 1;
        }
    }
    assert_eq!(changed, network.stats(A, B).corrupted);
    assert_share(changed, 50_000, 10);
}

#[test]
fn reordering_is_near_its_setting_and_lets_others_overtake() {
    let config = LinkConfig {
        reordering: Chance::percent(10),
        reordering_delay: Duration::from_micros(10),
        ..LinkConfig::default()
    };
    let mut network = network(5, config);
    let arrived = run(&mut network, 50_000);
    assert_share(network.stats(A, B).reordered, 50_000, 10);
    let overtaken = arrived.windows(2).filter(|w| number(&w[0].1) > number(&w[1].1)).count();
    assert!(overtaken > 4000, "{overtaken}");
}

#[test]
fn jitter_delays_and_keeps_the_order() {
    let config =
        LinkConfig { latency: Duration::from_millis(1), jitter: Duration::from_micros(500), ..LinkConfig::default() };
    let mut network = network(6, config);
    // Far enough apart that none waits for the one before it.
    for i in 0..1000u32 {
        network.send(Instant::from_millis(i.into()), packet(i));
    }
    let mut delays = Vec::new();
    while let Some(at) = network.poll_timeout() {
        let i = number(&network.poll_deliver(at).unwrap());
        assert_eq!(i as usize, delays.len());
        delays.push(at - Instant::from_millis(i.into()));
    }
    assert!(delays.iter().all(|d| (1000..=1500).contains(&d.as_micros())));
    let mean = delays.iter().sum::<Duration>() / 1000;
    assert!((1200..1300).contains(&mean.as_micros()), "{mean:?}");

    let close: Vec<_> =
        run(&mut self::network(6, LinkConfig { jitter: Duration::from_millis(1), ..LinkConfig::default() }), 1000);
    assert!(close.is_sorted_by_key(|(_, packet)| number(packet)));
}

#[test]
fn a_packet_larger_than_the_mtu_is_dropped_and_counted() {
    let mut network = network(7, LinkConfig { mtu: Some(1500), ..LinkConfig::default() });
    network.observe();
    for size in [1479, 1480, 1481, 9000] {
        let bytes = Bytes::from(vec![0; size]);
        network.send(Instant::ORIGIN, Packet { source: A, destination: B, ecn: Ecn::NotEct, bytes });
    }
    let sizes: Vec<_> = std::iter::from_fn(|| network.poll_deliver(Instant::ORIGIN)).map(|p| p.size()).collect();
    assert_eq!(sizes, [1499, 1500]);
    assert_eq!(network.stats(A, B).too_big, 2);
    let dropped = std::iter::from_fn(|| network.poll_observation()).filter(|o| o.fate == Fate::TooBig).count();
    assert_eq!(dropped, 2);
}

#[test]
fn rate_limits_throughput_to_its_setting() {
    let config = LinkConfig { rate: Some(120_000), queue: usize::MAX, ..LinkConfig::default() };
    let mut network = network(8, config);
    let arrived = run(&mut network, 1000);
    assert_eq!(arrived.len(), 1000);
    // 1,000 packets of 120 bytes at 120,000 bytes a second.
    assert_eq!(arrived.last().unwrap().0, Instant::from_secs(1));
    for (i, (at, _)) in (1..).zip(&arrived) {
        assert_eq!(*at, Instant::from_millis(i));
    }
}

#[test]
fn a_full_queue_drops_the_newest() {
    let config = LinkConfig { rate: Some(120_000), queue: 1200, ..LinkConfig::default() };
    let mut network = network(9, config);
    for i in 0..20 {
        network.send(Instant::ORIGIN, packet(i));
    }
    let mut arrived = Vec::new();
    while let Some(at) = network.poll_timeout() {
        arrived.push(number(&network.poll_deliver(at).unwrap()));
    }
    assert_eq!(arrived, (0..10).collect::<Vec<_>>());
    assert_eq!(network.stats(A, B).queue_full, 10);
    // Once the line is free, even a packet larger than the queue leaves.
    let bytes = Bytes::from(vec![0; 5000]);
    network.send(Instant::from_secs(1), Packet { source: A, destination: B, ecn: Ecn::NotEct, bytes });
    assert!(network.poll_timeout().is_some());
}

#[test]
fn a_packet_without_a_link_goes_nowhere() {
    let mut network = Network::new(10);
    network.observe();
    network.send(Instant::ORIGIN, packet(0));
    assert_eq!(network.poll_timeout(), None);
    assert_eq!(network.unroutable(), 1);
    network.connect(A, B, LinkConfig::default());
    network.send(Instant::ORIGIN, packet(1));
    network.disconnect_one_way(A, B);
    network.send(Instant::ORIGIN, packet(2));
    assert_eq!(network.poll_deliver(Instant::ORIGIN).map(|p| number(&p)), Some(1));
    let fates: Vec<_> = std::iter::from_fn(|| network.poll_observation()).map(|o| (o.number, o.fate)).collect();
    let delivered = Fate::Delivered { sent: Instant::ORIGIN };
    assert_eq!(
        fates,
        [
            (0, Fate::Sent),
            (0, Fate::Unroutable),
            (1, Fate::Sent),
            (2, Fate::Sent),
            (2, Fate::Unroutable),
            (1, delivered),
        ]
    );
}

fn everything() -> LinkConfig {
    LinkConfig {
        latency: Duration::from_millis(3),
        jitter: Duration::from_millis(1),
        loss: Chance::percent(10),
        duplication: Chance::percent(10),
        reordering: Chance::percent(10),
        reordering_delay: Duration::from_millis(1),
        corruption: Chance::percent(10),
        rate: Some(50_000_000),
        queue: 10_000,
        marking: Chance::percent(10),
        marking_threshold: Some(5000),
        mtu: Some(1500),
    }
}

/// RFC 3168 5: only what says that it understands is marked; from a threshold on, and in so many cases.
#[test]
fn rfc_3168_5_congestion_is_marked_on_what_understands_it() {
    let send = |config: LinkConfig, ecn: Ecn| {
        let mut network = network(3, config);
        for _ in 0..100 {
            let bytes = vec![7; 80].into();
            network.send(Instant::ORIGIN, Packet { source: A, destination: B, ecn, bytes });
        }
        let arrived: Vec<Ecn> =
            std::iter::from_fn(|| network.poll_deliver(Instant::from_secs(9))).map(|packet| packet.ecn).collect();
        (network.stats(A, B).marked, arrived)
    };
    let always = LinkConfig { marking: Chance::ALWAYS, ..LinkConfig::default() };
    assert_eq!(send(always.clone(), Ecn::NotEct), (0, vec![Ecn::NotEct; 100]));
    assert_eq!(send(always.clone(), Ecn::Ect0), (100, vec![Ecn::Ce; 100]));
    assert_eq!(send(always, Ecn::Ect1), (100, vec![Ecn::Ce; 100]));
    // A hundred bytes each: the eleventh is the first that makes more than a thousand wait.
    let queue = LinkConfig { rate: Some(1000), marking_threshold: Some(1000), ..LinkConfig::default() };
    let (marked, arrived) = send(queue, Ecn::Ect0);
    assert_eq!((marked, arrived[9], arrived[10]), (90, Ecn::Ect0, Ecn::Ce));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let mut network = network(seed, everything());
        network.observe();
        run(&mut network, 2000);
        let mut digest = Digest::new();
        while let Some(observation) = network.poll_observation() {
            digest.add_observation(&observation);
        }
        digest
    };
    assert_eq!(digest(11), digest(11));
    assert_ne!(digest(11), digest(12));
    // What a seed does never changes, on no platform: recorded seeds must go on meaning the same.
    assert_eq!(digest(11).to_string(), "bb86fe49d6f26a64");
}

#[test]
fn traffic_one_way_does_not_change_fates_the_other_way() {
    let fates = |both_ways: bool| {
        let mut network = network(13, everything());
        network.observe();
        for i in 0..2000 {
            let packet = packet(i);
            network.send(Instant::from_micros(i.into()), packet.clone());
            if both_ways {
                let back = Packet { source: B, destination: A, ..packet };
                network.send(Instant::from_micros(i.into()), back);
            }
        }
        std::iter::from_fn(|| network.poll_observation())
            .filter(|o| o.packet.source == A)
            .map(|o| (o.at, o.fate, o.packet))
            .collect::<Vec<_>>()
    };
    assert_eq!(fates(false), fates(true));
}

#[test]
fn observations_tell_every_fate_in_the_order_of_time() {
    let mut network = network(14, everything());
    network.observe();
    run(&mut network, 5000);
    let seen: Vec<_> = std::iter::from_fn(|| network.poll_observation()).collect();
    assert!(seen.is_sorted_by_key(|o| o.at));
    let count = |is: fn(&Fate) -> bool| seen.iter().filter(|o| is(&o.fate)).count() as u64;
    let stats = network.stats(A, B);
    assert_eq!(count(|f| *f == Fate::Sent), stats.sent);
    assert_eq!(count(|f| *f == Fate::Lost), stats.lost);
    assert_eq!(count(|f| *f == Fate::QueueFull), stats.queue_full);
    assert_eq!(count(|f| *f == Fate::Duplicated), stats.duplicated);
    assert_eq!(count(|f| *f == Fate::Corrupted), stats.corrupted);
    assert_eq!(count(|f| matches!(f, Fate::Delayed { .. })), stats.reordered);
    assert_eq!(count(|f| matches!(f, Fate::Delivered { .. })), stats.delivered);
    assert_eq!(stats.delivered, stats.sent + stats.duplicated - stats.lost - stats.queue_full);
    let line = seen[0].to_string();
    assert_eq!(line, "0.000000000s #0 10.0.0.1 > 10.0.0.2, 120 bytes: sent");
}

fn any_link() -> impl Strategy<Value = LinkConfig> {
    let millis = || (0..50u64).prop_map(Duration::from_millis);
    let chance = || prop_oneof![2 => Just(0), 3 => 0..=1_000_000u32].prop_map(Chance::per_million);
    let line = (prop::option::of(0..1_000_000u64), 0..10_000usize, prop::option::of(0..2000usize));
    let delays = (millis(), millis(), millis());
    (delays, chance(), chance(), chance(), chance(), line).prop_map(
        |((latency, jitter, reordering_delay), loss, duplication, reordering, corruption, (rate, queue, mtu))| {
            LinkConfig {
                latency,
                jitter,
                loss,
                duplication,
                reordering,
                reordering_delay,
                corruption,
                rate,
                queue,
                marking: corruption,
                marking_threshold: Some(queue / 2),
                mtu,
            }
        },
    )
}

proptest! {
    /// Whatever a link does: each packet has its fates, time goes forward, and the books balance.
    #[test]
    fn every_packet_is_accounted_for(
        seed in any::<u64>(),
        config in any_link(),
        packets in prop::collection::vec((0..3_000_000u64, 0..2500usize), 0..60),
    ) {
        let mut network = network(seed, config.clone());
        network.observe();
        let mut now = Instant::ORIGIN;
        let mut delivered = 0;
        for (pause, size) in packets {
            now += Duration::from_nanos(pause);
            while let Some(packet) = network.poll_deliver(now) {
                prop_assert!(config.mtu.is_none_or(|mtu| packet.size() <= mtu));
                delivered += 1;
            }
            let bytes = Bytes::from(vec![1; size]);
            let ecn = Ecn::from_bits(size as u8);
            network.send(now, Packet { source: A, destination: B, ecn, bytes });
        }
        while let Some(at) = network.poll_timeout() {
            prop_assert!(at >= now, "a packet arrives in the past");
            now = at;
            while network.poll_deliver(now).is_some() {
                delivered += 1;
            }
        }
        let stats = network.stats(A, B);
        prop_assert_eq!(stats.delivered, delivered);
        let dropped = stats.too_big + stats.queue_full + stats.lost;
        prop_assert_eq!(stats.sent + stats.duplicated, stats.delivered + dropped);

        let mut at = Instant::ORIGIN;
        while let Some(seen) = network.poll_observation() {
            prop_assert!(seen.at >= at);
            at = seen.at;
            if let Fate::Delivered { sent } = seen.fate {
                prop_assert!(seen.at >= sent + config.latency);
            }
        }
    }
}
