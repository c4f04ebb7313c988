//! One direction of a path: what it does to the packets that it carries.

use std::fmt;
use std::time::Duration;

use drywire_core::{Bytes, Instant, Rng, Seed};
use drywire_tcp::ip::Ecn;

use super::Packet;

/// A probability in millionths: an integer, so that every platform draws the same fates.
///
/// ```
/// use drywire_sim::Chance;
///
/// assert_eq!(Chance::percent(20), Chance::per_million(200_000));
/// assert_eq!(Chance::percent(20).to_string(), "20%");
/// assert_eq!(Chance::per_million(15).to_string(), "0.0015%");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance(u32);

impl Chance {
    /// In no case.
    pub const NEVER: Self = Self(0);
    /// In every case.
    pub const ALWAYS: Self = Self(Self::CASES);

    const CASES: u32 = 1_000_000;

    /// In `cases` of a million; more than a million counts as [`ALWAYS`](Self::ALWAYS).
    pub const fn per_million(cases: u32) -> Self {
        Self(if cases > Self::CASES { Self::CASES } else { cases })
    }

    /// In `cases` of a hundred; more than a hundred counts as [`ALWAYS`](Self::ALWAYS).
    pub const fn percent(cases: u32) -> Self {
        Self::per_million(cases.saturating_mul(Self::CASES / 100))
    }

    /// The number of cases in a million.
    pub const fn as_per_million(self) -> u32 {
        self.0
    }

    /// Throws the dice. A chance of zero draws nothing, so that an impairment which is off costs nothing.
    pub(crate) fn draw(self, rng: &mut Rng) -> bool {
        self.0 > 0 && rng.chance(self.0.into(), Self::CASES.into())
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:04}", self.0 % 10_000);
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        write!(f, "{}{point}{decimals}%", self.0 / 10_000)
    }
}

/// What one direction of a path does to its packets. The default does nothing at all: no delay, no loss, no limits.
///
/// ```
/// use std::time::Duration;
/// use drywire_sim::{Chance, LinkConfig};
///
/// let lossy = LinkConfig {
///     latency: Duration::from_millis(20),
///     loss: Chance::percent(20),
///     ..LinkConfig::default()
/// };
/// assert_eq!(lossy.mtu, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkConfig {
    /// How long every packet travels.
    pub latency: Duration,
    /// Added to the latency of each packet: uniform between zero and this. Jitter alone keeps the order, as a queue
    /// of varying length does; [`reordering`](Self::reordering) is the one that breaks it.
    pub jitter: Duration,
    /// How likely a packet never arrives.
    pub loss: Chance,
    /// How likely a packet arrives twice. Each copy has its own jitter, reordering and corruption.
    pub duplication: Chance,
    /// How likely a packet takes [`reordering_delay`](Self::reordering_delay) longer, while those behind it do not
    /// wait for it.
    pub reordering: Chance,
    /// The extra delay of a reordered packet.
    pub reordering_delay: Duration,
    /// How likely a packet arrives with flipped bits: one burst of up to 15 bits, which a 16-bit Internet checksum
    /// (RFC 1071) always detects. With longer bursts one packet in 65,536 would get past TCP's checksum, and a test
    /// for exact delivery would rightly fail.
    pub corruption: Chance,
    /// The bytes per second that leave; `None` is no limit, and zero counts as one.
    pub rate: Option<u64>,
    /// The bytes that may wait for a link with a [`rate`](Self::rate). A packet that finds no room is dropped; one
    /// that finds the line free always leaves, however large.
    pub queue: usize,
    /// How likely a packet of a transport that understands it is marked as having met congestion (RFC 3168 5). Others
    /// pass as they are.
    pub marking: Chance,
    /// The same for every packet behind which more than so many bytes wait for a link with a [`rate`](Self::rate), itself
    /// included. `None` is no limit.
    pub marking_threshold: Option<usize>,
    /// The largest packet that passes, its IP header included; larger ones are dropped. `None` is no limit.
    pub mtu: Option<usize>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            reordering: Chance::NEVER,
            reordering_delay: Duration::ZERO,
            corruption: Chance::NEVER,
            rate: None,
            queue: 256 * 1024,
            marking: Chance::NEVER,
            marking_threshold: None,
            mtu: None,
        }
    }
}

/// What one direction of a path has done so far. Bytes count IP headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkStats {
    /// Packets that a node sent into the link.
    pub sent: u64,
    /// The bytes of those.
    pub sent_bytes: u64,
    /// Packets dropped because of their size.
    pub too_big: u64,
    /// Packets dropped because the queue had no room.
    pub queue_full: u64,
    /// Packets lost.
    pub lost: u64,
    /// Packets marked as having met congestion.
    pub marked: u64,
    /// The most bytes that ever waited for the link.
    pub longest_queue: u64,
    /// Packets that arrive twice.
    pub duplicated: u64,
    /// Copies that arrive with flipped bits.
    pub corrupted: u64,
    /// Copies that arrive late, behind younger ones.
    pub reordered: u64,
    /// Copies that arrived.
    pub delivered: u64,
    /// The bytes of those.
    pub delivered_bytes: u64,
}

/// Why a link did not take a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooBig,
    QueueFull,
    Lost,
}

const SECOND: u128 = 1_000_000_000;

/// One copy of a packet, on its way.
pub(super) struct Copy {
    pub(super) arrives: Instant,
    pub(super) packet: Packet,
    pub(super) corrupted: bool,
    pub(super) reordered: bool,
}

pub(super) struct Link {
    pub(super) config: LinkConfig,
    pub(super) stats: LinkStats,
    rng: Rng,
    /// When the last queued packet will have left.
    free_at: Instant,
    /// When the last packet in order arrives.
    last_arrival: Instant,
}

impl Link {
    pub(super) fn new(config: LinkConfig, seed: &Seed) -> Self {
        Self {
            config,
            stats: LinkStats::default(),
            rng: Rng::new(seed),
            free_at: Instant::ORIGIN,
            last_arrival: Instant::ORIGIN,
        }
    }

    /// Takes a packet in and says when its last bit leaves.
    pub(super) fn admit(&mut self, now: Instant, packet: &Packet) -> Result<Instant, Refusal> {
        let size = packet.size();
        self.stats.sent += 1;
        self.stats.sent_bytes += size as u64;
        if self.config.mtu.is_some_and(|mtu| size > mtu) {
            self.stats.too_big += 1;
            return Err(Refusal::TooBig);
        }
        let leaves = self.enqueue(now, size).ok_or(Refusal::QueueFull).inspect_err(|_| self.stats.queue_full += 1)?;
        if self.config.loss.draw(&mut self.rng) {
            self.stats.lost += 1;
            return Err(Refusal::Lost);
        }
        Ok(leaves)
    }

    fn enqueue(&mut self, now: Instant, size: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate else { return Some(now) };
        let waiting = self.waiting(now);
        if waiting > 0 && waiting.saturating_add(size as u64) > self.config.queue as u64 {
            return None;
        }
        let sending = (size as u128 * SECOND).div_ceil(u128::from(rate.max(1)));
        self.free_at = self.free_at.max(now) + nanos(sending);
        self.stats.longest_queue = self.stats.longest_queue.max(self.waiting(now));
        Some(self.free_at)
    }

    /// The bytes that have not left by `now`.
    fn waiting(&self, now: Instant) -> u64 {
        let rate = u128::from(self.config.rate.unwrap_or(0).max(1));
        u64::try_from((self.free_at - now).as_nanos() * rate / SECOND).unwrap_or(u64::MAX)
    }

    /// Whether the packet just admitted meets congestion that it can tell of.
    pub(super) fn marks(&mut self, now: Instant, packet: &Packet) -> bool {
        if packet.ecn == Ecn::NotEct {
            return false;
        }
        let long = self.config.marking_threshold.is_some_and(|most| self.waiting(now) > most as u64);
        let marked = self.config.marking.draw(&mut self.rng) || long;
        self.stats.marked += u64::from(marked);
        marked
    }

    /// Whether the packet just admitted arrives twice.
    pub(super) fn duplicates(&mut self) -> bool {
        let twice = self.config.duplication.draw(&mut self.rng);
        self.stats.duplicated += u64::from(twice);
        twice
    }

    /// Sends one copy on its way.
    pub(super) fn carry(&mut self, leaves: Instant, mut packet: Packet) -> Copy {
        let corrupted = !packet.bytes.is_empty() && self.config.corruption.draw(&mut self.rng);
        if corrupted {
            packet.bytes = flip_burst(&packet.bytes, &mut self.rng);
        }
        let jitter = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = if jitter == 0 { 0 } else { self.rng.below(jitter.saturating_add(1)) };
        let mut arrives = (leaves + self.config.latency + Duration::from_nanos(jitter)).max(self.last_arrival);
        let reordered = self.config.reordering.draw(&mut self.rng);
        if reordered {
            arrives += self.config.reordering_delay;
        } else {
            self.last_arrival = arrives;
        }
        self.stats.corrupted += u64::from(corrupted);
        self.stats.reordered += u64::from(reordered);
        Copy { arrives, packet, corrupted, reordered }
    }
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Flips a burst of 1 to 15 bits, its first and its last bit always.
///
/// The Internet checksum is the sum of all 16-bit words modulo 65,535, where doubling is a rotation. A burst changes
/// the sum by plus or minus distinct powers of two, at most 15 neighbours in that rotation; the largest of them
/// outweighs all others together, and the total stays below 65,535: it is never zero, so the checksum never holds.
fn flip_burst(bytes: &[u8], rng: &mut Rng) -> Bytes {
    let mut bytes = bytes.to_vec();
    let bits = bytes.len() * 8;
    let length = 1 + rng.below(15.min(bits as u64)) as usize;
    let first = rng.below((bits - length + 1) as u64) as usize;
    let inner = rng.next_u32();
    for i in 0..length {
        if i == 0 || i == length - 1 || inner >> i & 1 == 1 {
            let bit = first + i;
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
        }
    }
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum_holds(bytes: &[u8]) -> bool {
        let sum: u64 = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |&b| b.into())).sum();
        sum.is_multiple_of(65_535)
    }

    #[test]
    fn rfc_1071_detects_every_flipped_burst() {
        let mut rng = Rng::new(&Seed::from(1));
        for round in 0..20_000u64 {
            let mut bytes = vec![0; 2 + (round % 60) as usize];
            // All-zero and all-one words are the corner cases of one's complement.
            match round % 3 {
                0 => rng.fill(&mut bytes),
                1 => bytes.fill(0xff),
                _ => {}
            }
            bytes[..2].fill(0);
            let sum: u64 = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |&b| b.into())).sum();
            bytes[..2].copy_from_slice(&((65_535 - sum % 65_535) as u16).to_be_bytes());
            assert!(checksum_holds(&bytes));
            let flipped = flip_burst(&bytes, &mut rng);
            assert_eq!(flipped.len(), bytes.len());
            assert!(!checksum_holds(&flipped), "round {round}");
        }
    }
}
