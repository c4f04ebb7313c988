//! Numbers that others must not guess: initial sequence numbers (RFC 6528) and ephemeral ports (RFC 6056).

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;

use drywire_core::{Instant, Rng, Seed};

use crate::SeqNumber;
use crate::four_tuple::{FourTuple, TupleBytes};
use crate::siphash::SipKey;

/// Initial sequence numbers: a clock that ticks every four microseconds, plus a keyed hash of the connection's two
/// sockets (RFC 6528 3, RFC 9293 3.4.1).
///
/// Those of one pair of sockets grow with time, so that a new connection's bytes are not taken for an old one's; those
/// of another pair tell nothing about them. The hash is SipHash-2-4; its key comes from the caller's secret.
///
/// ```
/// use core::time::Duration;
/// use drywire_core::{Instant, Seed};
/// use drywire_tcp::IsnGenerator;
///
/// let (a, b) = ("192.0.2.1:80".parse()?, "192.0.2.2:49152".parse()?);
/// let generator = IsnGenerator::new(&Seed::from(7));
/// let now = Instant::from_secs(5);
/// let first = generator.isn(now, a, b);
/// let second = generator.isn(now + Duration::from_micros(40), a, b);
/// assert_eq!(second.since(first), 10);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct IsnGenerator {
    key: SipKey,
}

impl IsnGenerator {
    /// Numbers from `secret`, which must not be used for anything else. For real traffic take it from the operating
    /// system once at the start and keep it, so that numbers keep growing.
    pub fn new(secret: &Seed) -> Self {
        Self { key: SipKey::draw(&mut Rng::new(secret)) }
    }

    /// ISN = M + F(localip, localport, remoteip, remoteport, secretkey).
    pub fn isn(&self, now: Instant, local: SocketAddr, remote: SocketAddr) -> SeqNumber {
        let clock = (now.as_micros() / 4) as u32;
        let hash = self.key.strong(FourTuple::new(local, remote).to_bytes().as_slice());
        SeqNumber::new(hash as u32) + clock
    }
}

impl fmt::Debug for IsnGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsnGenerator(..)")
    }
}

/// Ephemeral ports: the double-hash algorithm of RFC 6056 3.3.4.
///
/// Each destination begins at an offset of its own, and destinations that share a cell of the table share its counter. So
/// ports are hard to guess, and one of a destination comes back only after all others have been used.
#[derive(Clone, PartialEq, Eq)]
pub struct EphemeralPorts {
    offset_key: SipKey,
    cell_key: SipKey,
    table: Vec<u16>,
    min: u16,
    count: u32,
}

impl EphemeralPorts {
    /// The length of the table: RFC 6056 3.3.4 finds ten cells to be enough.
    const CELLS: usize = 64;

    /// Ports of `range`; an empty one is taken as its start alone. Port zero is never given.
    pub fn new(secret: &Seed, range: RangeInclusive<u16>) -> Self {
        let mut rng = Rng::new(secret);
        let min = (*range.start()).max(1);
        let count = u32::from((*range.end()).max(min) - min) + 1;
        let (offset_key, cell_key) = (SipKey::draw(&mut rng), SipKey::draw(&mut rng));
        // RFC 6056 3.3.4: the cells begin at random values.
        let table = (0..Self::CELLS).map(|_| rng.next_u32() as u16).collect();
        Self { offset_key, cell_key, table, min, count }
    }

    /// The next port for connections from `local` to `remote` that is `free`, or `None` if none is.
    ///
    /// Where most ports are free this takes one or two questions; it never asks more often than there are ports.
    pub fn choose(&mut self, local: IpAddr, remote: SocketAddr, mut free: impl FnMut(u16) -> bool) -> Option<u16> {
        let mut input = TupleBytes::default();
        input.push(&remote.port().to_be_bytes());
        input.push_ip(local);
        input.push_ip(remote.ip());
        let offset = self.offset_key.strong(input.as_slice()) as u32;
        let cell = self.cell_key.strong(input.as_slice()) as usize % self.table.len().max(1);
        let cell = self.table.get_mut(cell)?;
        for _ in 0..self.count {
            let port = u32::from(self.min) + offset.wrapping_add(u32::from(*cell)) % self.count;
            *cell = cell.wrapping_add(1);
            let port = port as u16;
            if free(port) {
                return Some(port);
            }
        }
        None
    }
}

impl fmt::Debug for EphemeralPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralPorts").field("min", &self.min).field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::net::Ipv4Addr;
    use core::time::Duration;

    use super::*;

    const fn at(host: u8, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), port)
    }

    #[test]
    fn rfc_6528_3_the_clock_ticks_every_four_microseconds_and_wraps() {
        let generator = IsnGenerator::new(&Seed::from(1));
        let start = generator.isn(Instant::ORIGIN, at(1, 80), at(2, 5000));
        // One round of the clock takes 4.77 hours.
        for micros in [3, 4, 4_000_000, 4 << 31, 4 << 32, 4 << 40] {
            let later = generator.isn(Instant::ORIGIN + Duration::from_micros(micros), at(1, 80), at(2, 5000));
            assert_eq!(later.since(start), (micros / 4) as u32);
        }
    }

    #[test]
    fn rfc_6528_3_every_part_of_the_four_tuple_and_the_secret_count() {
        let numbers: BTreeSet<u32> = [
            (1, at(1, 80), at(2, 5000)),
            (1, at(1, 81), at(2, 5000)),
            (1, at(3, 80), at(2, 5000)),
            (1, at(1, 80), at(2, 5001)),
            (1, at(1, 80), at(4, 5000)),
            (1, at(2, 5000), at(1, 80)),
            (2, at(1, 80), at(2, 5000)),
        ]
        .map(|(seed, local, remote)| IsnGenerator::new(&Seed::from(seed)).isn(Instant::ORIGIN, local, remote).value())
        .into();
        assert_eq!(numbers.len(), 7);
    }

    #[test]
    fn rfc_6056_3_3_4_all_ports_of_a_destination_come_before_one_comes_again() {
        let mut ports = EphemeralPorts::new(&Seed::from(3), 50_000..=50_099);
        let mut used = BTreeSet::new();
        for _ in 0..100 {
            let port = ports.choose(at(1, 0).ip(), at(2, 80), |port| !used.contains(&port)).unwrap();
            assert!((50_000..=50_099).contains(&port));
            used.insert(port);
        }
        assert_eq!(used.len(), 100);
        assert_eq!(ports.choose(at(1, 0).ip(), at(2, 80), |port| !used.contains(&port)), None);
    }

    #[test]
    fn rfc_6056_3_3_4_the_whole_range_is_reached_with_a_counter_of_16_bits() {
        let mut ports = EphemeralPorts::new(&Seed::from(3), 0..=65_535);
        assert_eq!(ports.choose(at(1, 0).ip(), at(2, 80), |port| port == 1), Some(1));
        assert_eq!(ports.choose(at(1, 0).ip(), at(2, 80), |port| port == 65_535), Some(65_535));
    }

    #[test]
    fn rfc_6056_3_3_4_destinations_begin_at_places_of_their_own() {
        let mut ports = EphemeralPorts::new(&Seed::from(3), 49_152..=65_535);
        let first: BTreeSet<u16> =
            (1..20).map(|host| ports.choose(at(1, 0).ip(), at(host, 80), |_| true).unwrap()).collect();
        assert!(first.len() > 15);
    }
}
