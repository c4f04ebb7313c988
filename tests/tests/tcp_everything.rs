//! TCP under everything at once: each seed draws its own network, buffers, sizes and behaviour.
//!
//! A failure names its seed. `SEED=n cargo test -p drywire-tests --test tcp_everything` runs that one alone, and
//! `SEEDS=10000` that many.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use drywire::sim::{Chance, Input, LinkConfig, Open, Side, TcpHost, TcpPair, Transfer, World};
use drywire::tcp::Config;
use drywire::{Bytes, Close, Demand, Instant, RecvBuf, Rng, Seed, SendQueue, StreamMachine};
use drywire_tests::seeds::for_each_seed;

const KIB: u64 = 1024;

/// Patience for the worst of these networks.
fn patient(recv: usize, send: usize) -> Config {
    Config {
        recv_capacity: recv,
        send_capacity: send,
        syn_retries: 30,
        syn_ack_retries: 30,
        data_retries: 60,
        max_rto: Duration::from_secs(10),
        ..Config::default()
    }
}

fn chance(rng: &mut Rng, most_per_million: u64) -> Chance {
    Chance::per_million(rng.below(most_per_million) as u32)
}

fn any_link(rng: &mut Rng) -> LinkConfig {
    let latency = Duration::from_micros(100 + rng.below(80_000));
    LinkConfig {
        latency,
        jitter: Duration::from_micros(rng.below(10_000)),
        loss: chance(rng, 200_000),
        duplication: chance(rng, 50_000),
        reordering: chance(rng, 100_000),
        reordering_delay: Duration::from_micros(1 + rng.below(40_000)),
        corruption: chance(rng, 20_000),
        rate: rng.chance(1, 4).then(|| 200_000 + rng.below(2_000_000)),
        mtu: Some([576, 1280, 1500][rng.below(3) as usize]),
        ..LinkConfig::default()
    }
}

fn any_size(rng: &mut Rng) -> u64 {
    // 64 KiB to 4 MiB, the small sizes as often as the large ones.
    (64 * KIB) << rng.below(7)
}

/// 1200 bytes and less pass every one of the links.
fn any_config(rng: &mut Rng, mtu: u16) -> Config {
    let buffer = |rng: &mut Rng| 4096usize << rng.below(9);
    Config { mss: mtu - 40, ..patient(buffer(rng), buffer(rng)) }
}

#[test]
fn every_byte_arrives_whatever_the_network_does() {
    for_each_seed(200, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let (a_to_b, b_to_a) = (any_link(&mut rng), any_link(&mut rng));
        let mtu = a_to_b.mtu.into_iter().chain(b_to_a.mtu).min().unwrap_or(576) as u16;
        let transfer = |rng: &mut Rng| Transfer {
            send: any_size(rng),
            // A slow reader closes the window.
            pause: if rng.chance(1, 4) { Duration::from_millis(rng.below(50)) } else { Duration::ZERO },
            ..Transfer::default()
        };
        let (from_a, from_b) = (transfer(&mut rng), transfer(&mut rng));
        let expected = [from_b.send, from_a.send];
        let pair = TcpPair::new(seed)
            .open(if rng.chance(1, 5) { Open::Simultaneous } else { Open::ClientServer })
            .link_from(Side::A, a_to_b)
            .link_from(Side::B, b_to_a)
            .tcp_of(Side::A, any_config(&mut rng, mtu))
            .tcp_of(Side::B, any_config(&mut rng, mtu))
            .transfer_of(Side::A, from_a)
            .transfer_of(Side::B, from_b)
            .max_steps(200_000_000);
        let report = pair.run().map_err(|error| error.to_string())?;
        if report.is_complete() && report.received == expected { Ok(()) } else { Err(format!("{report:#?}")) }
    });
}

#[test]
fn a_long_fat_pipe_is_filled() {
    // 100 Mbit/s at a round-trip time of 200 ms holds 2.5 MB, and the queue at its entrance as much again.
    let rate: u32 = 12_500_000;
    let latency = Duration::from_millis(100);
    let link = LinkConfig { latency, rate: Some(rate.into()), queue: 2_500_000, ..LinkConfig::default() };
    let config = patient(8 << 20, 8 << 20);
    let transfer = Transfer { send: 256 << 20, ..Transfer::default() };
    let report = TcpPair::new(1).links(link).tcp(config).transfer_of(Side::A, transfer).run().unwrap();
    let received = report.received_all.iter().flatten().max().copied().unwrap();
    let share = f64::from(256u32 << 20) / (received - Instant::ORIGIN).as_secs_f64() / f64::from(rate);
    assert!(share > 0.85, "only {share:.2} of the rate");
}

/// Sends without end until a given time, and counts what arrives.
struct Flow {
    send: SendQueue,
    block: Bytes,
    sends: bool,
    ended: bool,
    received: u32,
}

impl Flow {
    fn new(sends: bool) -> Self {
        Self { send: SendQueue::new(64 << 10), block: vec![7; 16 << 10].into(), sends, ended: false, received: 0 }
    }
}

impl StreamMachine for Flow {
    type Event = std::convert::Infallible;
    type Error = std::convert::Infallible;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Self::Event>, Self::Error> {
        self.received += recv.len() as u32;
        recv.skip(recv.len());
        self.ended |= recv.is_finished();
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        while self.sends && !self.send.is_full() {
            self.send.push(self.block.clone());
        }
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn demand(&self) -> Demand {
        Demand { read: !self.ended, close: (self.ended && self.send.is_empty()).then_some(Close::Both) }
    }
}

/// Four flows through one bottleneck: none starves, and together they fill it.
#[test]
fn flows_share_a_bottleneck() {
    const FLOWS: u16 = 4;
    const SECONDS: u32 = 60;
    let rate: u32 = 1_250_000;
    for seed in 0..4 {
        let mut world = World::new(seed);
        let link = LinkConfig {
            latency: Duration::from_millis(20),
            rate: Some(rate.into()),
            // Twice the bandwidth-delay product.
            queue: 100_000,
            ..LinkConfig::default()
        };
        world.network().connect([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), link);
        let received = Rc::new(RefCell::new(BTreeMap::new()));
        for flow in 0..FLOWS {
            let there = ([10, 0, 0, 2], 80 + flow).into();
            let isn = world.isn();
            let counts = received.clone();
            let host = TcpHost::listen(there, isn, Config::default(), Flow::new(false));
            world.add(&format!("server {flow}"), host, move |cx, input| match input {
                Input::Connected => cx.wake_at(Instant::from_secs(SECONDS.into())),
                Input::Woken => {
                    counts.borrow_mut().insert(flow, cx.machine().received);
                    cx.abort();
                }
                _ => {}
            });
            let isn = world.isn();
            // One after the other, a second apart.
            let start = Instant::from_secs(u64::from(flow));
            let here = ([10, 0, 0, 1], 50_000 + flow).into();
            let host = TcpHost::connect(start, here, there, isn, Config::default(), Flow::new(true));
            world.add(&format!("client {flow}"), host, |_, _| {});
        }
        world.run().unwrap();
        let received = received.borrow();
        let bytes: Vec<f64> = received.values().map(|bytes| f64::from(*bytes)).collect();
        assert_eq!(bytes.len(), usize::from(FLOWS));
        let sum: f64 = bytes.iter().sum();
        // Jain's index: one for equal shares, a quarter where one flow has all.
        let fairness = sum * sum / (f64::from(FLOWS) * bytes.iter().map(|bytes| bytes * bytes).sum::<f64>());
        let used = sum / (f64::from(rate) * f64::from(SECONDS));
        println!("seed {seed}: fairness {fairness:.3}, {used:.2} of the rate, {bytes:?}");
        assert!(fairness > 0.8, "seed {seed}: fairness {fairness:.3}, {bytes:?}");
        assert!(used > 0.8, "seed {seed}: {used:.2} of the rate");
    }
}
