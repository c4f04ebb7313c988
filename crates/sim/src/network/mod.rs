//! Packets between nodes, with everything that can happen to them on the way.

mod link;
mod observation;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;

use drywire_core::{Bytes, Instant, Rng, Seed};
use drywire_tcp::ip::Ecn;

pub use self::link::{Chance, LinkConfig, LinkStats};
pub use self::observation::{Digest, Fate, Observation};

use self::link::{Link, Refusal};
use crate::Schedule;

/// An IP packet, reduced to what a transport protocol sees of it: two addresses, the mark and the segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// Who sent it.
    pub source: IpAddr,
    /// Who is to get it.
    pub destination: IpAddr,
    /// What its IP header says about congestion notification (RFC 3168 5).
    pub ecn: Ecn,
    /// The transport segment.
    pub bytes: Bytes,
}

impl Packet {
    /// Its size on the wire: the segment and an IP header without options (20 bytes for IPv4, 40 for IPv6).
    pub fn size(&self) -> usize {
        let header = if self.source.is_ipv4() { 20 } else { 40 };
        header + self.bytes.len()
    }
}

/// Nodes, named by their IP address, and the links between them.
///
/// The network holds no clock: packets go in with the time at which they are sent, and come out when asked at or
/// after their arrival. All that is random comes from the seed, and each link draws from a stream of its own, so
/// that the traffic of one direction does not change the fates in the other.
///
/// ```
/// use std::time::Duration;
/// use drywire_core::{Bytes, Instant};
/// use drywire_sim::{LinkConfig, Network, Packet};
/// use drywire_tcp::ip::Ecn;
///
/// let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
/// let mut network = Network::new(7);
/// network.connect(a, b, LinkConfig { latency: Duration::from_millis(5), ..LinkConfig::default() });
///
/// let packet = Packet { source: a, destination: b, ecn: Ecn::NotEct, bytes: Bytes::from_static(b"hello") };
/// network.send(Instant::ORIGIN, packet.clone());
/// assert_eq!(network.poll_deliver(Instant::ORIGIN), None);
///
/// let arrival = network.poll_timeout().unwrap();
/// assert_eq!(arrival, Instant::from_millis(5));
/// assert_eq!(network.poll_deliver(arrival), Some(packet));
/// assert_eq!(network.stats(a, b).delivered, 1);
/// ```
pub struct Network {
    seed: u64,
    rng: Rng,
    now: Instant,
    links: BTreeMap<(IpAddr, IpAddr), Link>,
    in_flight: Schedule<Flight>,
    next_number: u64,
    unroutable: u64,
    /// What has been seen and not yet asked for; `None` while nobody looks.
    observations: Option<VecDeque<Observation>>,
}

struct Flight {
    number: u64,
    copy: u8,
    sent: Instant,
    packet: Packet,
}

impl Network {
    /// A network without links, all of whose chances come from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: Rng::new(&Seed::from(seed)),
            now: Instant::ORIGIN,
            links: BTreeMap::new(),
            in_flight: Schedule::new(),
            next_number: 0,
            unroutable: 0,
            observations: None,
        }
    }

    /// The seed that replays this network.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Joins two nodes by a link of the same configuration in both directions.
    pub fn connect(&mut self, a: IpAddr, b: IpAddr, config: LinkConfig) {
        self.connect_one_way(a, b, config.clone());
        self.connect_one_way(b, a, config);
    }

    /// Sets the direction from `source` to `destination`. A link that is there keeps its statistics, its queue and
    /// the packets under way, and goes on with the new configuration.
    pub fn connect_one_way(&mut self, source: IpAddr, destination: IpAddr, config: LinkConfig) {
        if let Some(link) = self.links.get_mut(&(source, destination)) {
            link.config = config;
        } else {
            self.links.insert((source, destination), Link::new(config, &self.rng.split()));
        }
    }

    /// Cuts the direction from `source` to `destination`. Packets under way still arrive.
    pub fn disconnect_one_way(&mut self, source: IpAddr, destination: IpAddr) {
        self.links.remove(&(source, destination));
    }

    /// What the direction from `source` to `destination` has done; all zero where there is no such link.
    pub fn stats(&self, source: IpAddr, destination: IpAddr) -> LinkStats {
        self.links.get(&(source, destination)).map_or_else(LinkStats::default, |link| link.stats)
    }

    /// The number of packets that had no link to travel on.
    pub fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// The number of packets under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Starts to keep an [`Observation`] of everything that happens, for [`poll_observation`](Self::poll_observation).
    pub fn observe(&mut self) {
        self.observations.get_or_insert_default();
    }

    /// The next thing that happened, in the order of virtual time.
    pub fn poll_observation(&mut self) -> Option<Observation> {
        self.observations.as_mut()?.pop_front()
    }

    /// Puts a packet on the link from its source to its destination. Time that goes backwards is clamped.
    pub fn send(&mut self, now: Instant, mut packet: Packet) {
        self.now = self.now.max(now);
        let now = self.now;
        let number = self.next_number;
        self.next_number += 1;
        let mut log = Log { observations: self.observations.as_mut(), at: now, number };
        log.add(0, Fate::Sent, &packet);

        let Some(link) = self.links.get_mut(&(packet.source, packet.destination)) else {
            self.unroutable += 1;
            log.add(0, Fate::Unroutable, &packet);
            return;
        };
        let leaves = match link.admit(now, &packet) {
            Ok(leaves) => leaves,
            Err(refusal) => return log.add(0, refusal.into(), &packet),
        };
        if link.marks(now, &packet) {
            packet.ecn = Ecn::Ce;
            log.add(0, Fate::Marked, &packet);
        }
        let twin = link.duplicates().then(|| packet.clone());
        if twin.is_some() {
            log.add(0, Fate::Duplicated, &packet);
        }
        for (copy, packet) in (0..).zip([Some(packet), twin].into_iter().flatten()) {
            let carried = link.carry(leaves, packet);
            if carried.corrupted {
                log.add(copy, Fate::Corrupted, &carried.packet);
            }
            if carried.reordered {
                log.add(copy, Fate::Delayed { until: carried.arrives }, &carried.packet);
            }
            self.in_flight.push(carried.arrives, Flight { number, copy, sent: now, packet: carried.packet });
        }
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.next_at()
    }

    /// The next packet that has arrived by `now`. Call it until `None`.
    pub fn poll_deliver(&mut self, now: Instant) -> Option<Packet> {
        let (at, flight) = self.in_flight.pop_due(now)?;
        self.now = self.now.max(at);
        let packet = flight.packet;
        if let Some(link) = self.links.get_mut(&(packet.source, packet.destination)) {
            link.stats.delivered += 1;
            link.stats.delivered_bytes += packet.size() as u64;
        }
        let mut log = Log { observations: self.observations.as_mut(), at: self.now, number: flight.number };
        log.add(flight.copy, Fate::Delivered { sent: flight.sent }, &packet);
        Some(packet)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("links", &self.links.len())
            .field("in_flight", &self.in_flight.len())
            .finish_non_exhaustive()
    }
}

/// Where observations of one packet go, if anywhere.
struct Log<'a> {
    observations: Option<&'a mut VecDeque<Observation>>,
    at: Instant,
    number: u64,
}

impl Log<'_> {
    fn add(&mut self, copy: u8, fate: Fate, packet: &Packet) {
        if let Some(observations) = &mut self.observations {
            let observation = Observation { at: self.at, number: self.number, copy, fate, packet: packet.clone() };
            observations.push_back(observation);
        }
    }
}

impl From<Refusal> for Fate {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooBig => Self::TooBig,
            Refusal::QueueFull => Self::QueueFull,
            Refusal::Lost => Self::Lost,
        }
    }
}
