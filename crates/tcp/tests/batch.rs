//! Packets handed over several at a time: the same packets and the same states as one by one.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drywire_core::{Instant, Rng, Seed};
use drywire_tcp::ip::{self, Ecn, Packet};
use drywire_tcp::{
    Config, ConnectionHandle, EcnMode, Flags, ListenerConfig, ListenerHandle, Segment, Stack, StackConfig,
};
use proptest::prelude::*;

use common::pattern;

const ADDRESSES: [[&str; 2]; 2] = [["192.0.2.1", "2001:db8::1"], ["192.0.2.2", "2001:db8::2"]];

fn address_of(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two stacks with a few connections between them.
struct Hosts {
    stacks: [Stack; 2],
    listeners: Vec<ListenerHandle>,
    connections: [Vec<ConnectionHandle>; 2],
}

impl Hosts {
    fn new(config: &Config) -> Self {
        let mut stacks = [1, 2].map(|seed| Stack::new(StackConfig::default(), &Seed::from(seed)));
        for (stack, addresses) in stacks.iter_mut().zip(ADDRESSES) {
            assert!(addresses.map(|address| stack.add_address(address_of(address))) == [true; 2]);
        }
        let [client, server] = &mut stacks;
        let mut listeners = vec![];
        let mut opened = vec![];
        for address in ADDRESSES[1] {
            let at = SocketAddr::new(address_of(address), 80);
            let listener = ListenerConfig { connection: config.clone(), ..ListenerConfig::default() };
            listeners.push(server.listen(at, listener).unwrap());
            opened.extend([0; 2].map(|_| client.connect(Instant::ORIGIN, at, config.clone()).unwrap()));
        }
        Self { stacks, listeners, connections: [opened, vec![]] }
    }

    fn accept(&mut self) {
        for listener in &self.listeners {
            self.connections[1].extend(std::iter::from_fn(|| self.stacks[1].accept(*listener)));
        }
    }

    /// Everything that a host sends now, up to `most` packets at a time, and how many batches that were.
    fn sends(&mut self, now: Instant, host: usize, most: usize) -> (Vec<Bytes>, usize) {
        let mut out = BytesMut::new();
        let (mut packets, mut batches) = (vec![], 0);
        while let Some(batch) = self.stacks[host].poll_transmit_batch(now, most, &mut out) {
            assert_eq!((batch.len, batch.packets().clamp(1, most)), (out.len(), batch.packets()));
            let split: Vec<_> = batch.split(&out).map(Bytes::copy_from_slice).collect();
            assert_eq!(split.len(), batch.packets());
            packets.extend(split);
            batches += 1;
            out.clear();
        }
        (packets, batches)
    }
}

#[derive(Clone, Debug)]
enum Call {
    Send { host: usize, connection: usize, len: usize },
    Read { host: usize, connection: usize, most: usize },
    Shutdown { host: usize, connection: usize },
}

fn call(rng: &mut Rng) -> Call {
    let (host, connection) = (rng.below(2) as usize, rng.below(4) as usize);
    match rng.below(60) {
        0 => Call::Shutdown { host, connection },
        1..25 => Call::Read { host, connection, most: rng.below(60_000) as usize },
        _ => Call::Send { host, connection, len: 1 + rng.below(40_000) as usize },
    }
}

fn apply(hosts: &mut Hosts, call: &Call) {
    let (Call::Send { host, connection, .. }
    | Call::Read { host, connection, .. }
    | Call::Shutdown { host, connection }) = *call;
    let Some(handle) = hosts.connections[host].get(connection) else { return };
    let connection = hosts.stacks[host].connection_mut(*handle).unwrap();
    match *call {
        Call::Send { len, .. } => {
            let len = len.min(connection.send_room());
            let _ = connection.send(Bytes::from(pattern(len)));
        }
        Call::Read { most, .. } => connection.recv().skip(most),
        Call::Shutdown { .. } => connection.shutdown(),
    }
}

/// The packet behind a router that is congested (RFC 3168 5), if its sender understands that.
fn marked(packet: &Bytes) -> Bytes {
    let Packet { header, payload } = Packet::parse(packet).unwrap();
    let ecn = if header.ecn == Ecn::NotEct { Ecn::NotEct } else { Ecn::Ce };
    let mut out = BytesMut::new();
    ip::Header { ecn, ..header }.emit(payload, &mut out);
    out.freeze()
}

/// Runs the same calls on two pairs of hosts over the same network. One pair hands over packets one by one, the other several
/// at a time. Returns the numbers of packets and of batches.
fn run(seed: u64, faults: u64, most: usize, config: &Config) -> (usize, usize) {
    let mut rng = Rng::new(&Seed::from(seed));
    let mut now = Instant::ORIGIN;
    let (mut singly, mut together) = (Hosts::new(config), Hosts::new(config));
    let mut late = [vec![], vec![]];
    let (mut packets, mut batches) = (0, 0);
    for _ in 0..150 {
        for call in (0..rng.below(6)).map(|_| call(&mut rng)).collect::<Vec<_>>() {
            apply(&mut singly, &call);
            apply(&mut together, &call);
        }
        for (host, late) in late.iter_mut().enumerate() {
            let (sent, _) = singly.sends(now, host, 1);
            let (mut again, trains) = together.sends(now, host, most);
            batches += trains;
            packets += sent.len();
            assert_eq!(sent, again, "packets of host {host}");
            let mut arrives: Vec<Bytes> = core::mem::take(late);
            for packet in again.drain(..) {
                if rng.chance(faults, 100) {
                    // Lost, or later than those behind it.
                    late.extend(rng.chance(1, 2).then_some(packet));
                } else {
                    arrives.extend(core::iter::repeat_n(packet, 1 + usize::from(rng.chance(faults, 200))));
                }
            }
            for packet in arrives.iter_mut().filter(|_| rng.chance(faults, 200)) {
                *packet = marked(packet);
            }
            if let Some(packet) = arrives.last_mut().filter(|_| rng.chance(faults, 50)) {
                let mut damaged = packet.to_vec();
                let at = rng.below(damaged.len() as u64) as usize;
                damaged[at] ^= 1 << rng.below(8);
                *packet = damaged.into();
            }
            let to = 1 - host;
            for packet in &arrives {
                singly.stacks[to].handle_packet(now, packet);
            }
            together.stacks[to].handle_packets(now, arrives.iter().map(|packet| &packet[..]));
        }
        singly.accept();
        together.accept();
        now += Duration::from_millis(1 + rng.below(30));
        for host in 0..2 {
            let [one, other] = [&mut singly, &mut together].map(|hosts| &mut hosts.stacks[host]);
            assert_eq!(one.poll_timeout(), other.poll_timeout());
            one.handle_timeout(now);
            other.handle_timeout(now);
            assert_eq!(one.statistics(), other.statistics());
            for (a, b) in singly.connections[host].iter().zip(&together.connections[host]) {
                let (a, b) =
                    (singly.stacks[host].connection(*a).unwrap(), together.stacks[host].connection(*b).unwrap());
                assert_eq!(a, b);
                assert_eq!(format!("{:?}", a.info()), format!("{:?}", b.info()));
            }
        }
    }
    (packets, batches)
}

fn config() -> impl Strategy<Value = Config> {
    (any::<[bool; 5]>(), 0..20u16, 2000..200_000usize).prop_map(
        |([sack, timestamps, no_delay, offload, ecn], mss, buffer)| Config {
            sack,
            timestamps,
            no_delay,
            ecn: if ecn { EcnMode::Request } else { EcnMode::Off },
            segmentation_offload: offload && buffer % 4 == 0,
            mss: 500 + 50 * mss,
            recv_capacity: buffer,
            ..Config::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn several_at_a_time_are_the_same_packets_as_one_by_one(
        seed in any::<u64>(),
        faults in prop_oneof![Just(0), 1..15u64],
        most in 1..80usize,
        config in config(),
    ) {
        run(seed, faults, most, &config);
    }
}

#[test]
fn without_losses_packets_leave_in_trains() {
    let (packets, batches) = run(7, 0, 64, &Config::default());
    assert!(packets > 1000 && batches * 3 < packets, "{packets} packets in {batches} batches");
}

/// A connection whose window lets `len` bytes leave at once.
fn busy(len: usize) -> (Hosts, Instant) {
    let mut hosts = Hosts::new(&Config { initial_window: 100, ..Config::default() });
    let now = Instant::ORIGIN;
    for turn in 0..6 {
        let (packets, _) = hosts.sends(now, turn % 2, 1);
        hosts.stacks[1 - turn % 2].handle_packets(now, packets.iter().map(|packet| &packet[..]));
    }
    hosts.accept();
    apply(&mut hosts, &Call::Send { host: 0, connection: 0, len });
    (hosts, now)
}

#[test]
fn rfc_9293_3_9_1_2_the_last_packet_of_a_batch_alone_has_psh_and_may_be_shorter() {
    let (mut hosts, now) = busy(10_000);
    let mut out = BytesMut::new();
    let batch = hosts.stacks[0].poll_transmit_batch(now, 64, &mut out).unwrap();
    let seen: Vec<_> = batch
        .split(&out)
        .map(|packet| {
            let Packet { header, payload } = Packet::parse(packet).unwrap();
            let segment = Segment::parse(payload, header.source, header.destination).unwrap();
            (segment.payload.len(), segment.header.flags.contains(Flags::PSH))
        })
        .collect();
    assert_eq!(seen, [[(1448, false); 6].as_slice(), &[(10_000 - 6 * 1448, true)]].concat());
    assert_eq!((batch.packets(), batch.len, batch.first.len), (7, out.len(), 1500));
    assert_eq!(hosts.stacks[0].poll_transmit_batch(now, 64, &mut out), None);
}

#[test]
fn a_batch_leaves_what_stands_in_the_buffer() {
    let (mut hosts, now) = busy(3000);
    let mut out = BytesMut::from("before");
    let batch = hosts.stacks[0].poll_transmit_batch(now, 64, &mut out).unwrap();
    assert_eq!((&out[..6], out.len()), (&b"before"[..], 6 + batch.len));
    assert!(batch.split(&out[6..]).all(|packet| Packet::parse(packet).is_ok()));
}

/// In the middle of a stream, where packets go the short way.
#[test]
fn rfc_9293_3_1_must_3_every_flipped_bit_of_a_stream_is_found() {
    let (mut hosts, now) = busy(3000);
    let (packets, _) = hosts.sends(now, 0, 64);
    let server = &mut hosts.stacks[1];
    server.handle_packet(now, &packets[0]);
    let next = packets[1].to_vec();
    let handle = hosts.connections[1][0];
    for bit in 0..8 * next.len() {
        let mut damaged = next.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        server.handle_packet(now, &damaged);
        let held = server.connection(handle).unwrap().info().counters.bytes_received;
        assert_eq!(held, 1448, "bit {bit} of the packet");
    }
    server.handle_packet(now, &next);
    assert_eq!(server.connection(handle).unwrap().info().counters.bytes_received, 2 * 1448);
    assert!(server.statistics().segment_checksum > 8 * 1400);
}
