//! SYN cookies: what a SYN announced, kept in the sequence number of the answer instead of in memory (RFC 4987 3.6 and
//! appendix A).
//!
//! ```text
//!  31      27 26   24 23                                             0
//! +----------+-------+------------------------------------------------+
//! | t mod 32 |  MSS  |        SipHash(sockets, SEG.SEQ, t, MSS)       |
//! +----------+-------+------------------------------------------------+
//! ```
//!
//! `t` counts periods of 64 seconds. Window scale, SACK-permitted and ECN do not fit; they are kept in the low six bits
//! of the timestamp that the peer will echo, if it sends timestamps.

use drywire_core::{Instant, Rng, Seed};

use crate::connection::is_setup;
use crate::four_tuple::FourTuple;
use crate::siphash::SipKey;
use crate::{Flags, Header, SeqNumber};

#[derive(Clone, Debug)]
pub(super) struct Cookies {
    key: SipKey,
}

impl Cookies {
    /// What an MSS is rounded down to: the least that is used, the default, and what usual links give.
    const MSS: [u16; 8] = [68, 536, 1200, 1360, 1400, 1440, 1460, 8960];
    const PERIOD: u64 = 64;
    /// A cookie is good in the period in which it was made and in the next one.
    const PERIODS: u64 = 2;

    pub(super) fn new(secret: &Seed) -> Self {
        Self { key: SipKey::draw(&mut Rng::new(secret)) }
    }

    /// How long a cookie may be good, in seconds.
    pub(super) const MAX_AGE: u64 = Self::PERIOD * Self::PERIODS;

    /// The sequence number that answers a SYN with this one, and the MSS that it remembers.
    pub(super) fn make(&self, now: Instant, tuple: &FourTuple, irs: SeqNumber, mss: u16) -> (SeqNumber, u16) {
        let index = Self::MSS.iter().rposition(|known| *known <= mss).unwrap_or(0);
        let t = now.as_millis() / 1000 / Self::PERIOD;
        (self.cookie(tuple, irs, t, index), Self::MSS[index])
    }

    /// The MSS that `cookie` remembers, if it is one that was made for these sockets and this SYN not long ago.
    pub(super) fn check(&self, now: Instant, tuple: &FourTuple, irs: SeqNumber, cookie: SeqNumber) -> Option<u16> {
        let now = now.as_millis() / 1000 / Self::PERIOD;
        let index = (cookie.value() >> 24 & 7) as usize;
        (0..Self::PERIODS)
            .filter_map(|age| now.checked_sub(age))
            .any(|t| self.cookie(tuple, irs, t, index) == cookie)
            .then_some(Self::MSS[index])
    }

    fn cookie(&self, tuple: &FourTuple, irs: SeqNumber, t: u64, index: usize) -> SeqNumber {
        let mut input = tuple.to_bytes();
        input.push(&irs.value().to_be_bytes());
        input.push(&t.to_be_bytes());
        input.push(&[index as u8]);
        let hash = self.key.strong(input.as_slice()) as u32 & 0x00ff_ffff;
        SeqNumber::new((t as u32) << 27 | (index as u32) << 24 | hash)
    }
}

/// The low bits of the timestamp in which the rest of the SYN is kept.
const OPTION_BITS: u32 = 6;
const OPTION_MASK: u32 = (1 << OPTION_BITS) - 1;
const SACK: u32 = 1 << 4;
const ECN: u32 = 1 << 5;
/// A shift that does not exist: no window scale.
const NO_SCALE: u32 = 15;

/// `clock`, or a little less, with what `syn` announces in its low bits.
pub(super) fn encode(clock: u32, syn: &Header) -> u32 {
    let scale = syn.options.window_scale.map_or(NO_SCALE, |shift| u32::from(shift.min(14)));
    let sack = if syn.options.sack_permitted { SACK } else { 0 };
    let ecn = if is_setup(syn.flags) { ECN } else { 0 };
    let value = clock & !OPTION_MASK | scale | sack | ecn;
    // Never ahead of the clock, which the next segment tells.
    if value > clock { value.wrapping_sub(1 << OPTION_BITS) } else { value }
}

/// Puts what `echo` remembers of a SYN back into it.
pub(super) fn decode(echo: u32, syn: &mut Header) {
    let scale = echo & 15;
    syn.options.window_scale = (scale != NO_SCALE).then_some(scale as u8);
    syn.options.sack_permitted = echo & SACK != 0;
    if echo & ECN != 0 {
        syn.flags |= Flags::ECE | Flags::CWR;
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, SocketAddr};
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Options;

    const A: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
    const B: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 5000);

    proptest! {
        #[test]
        fn rfc_4987_3_6_a_cookie_is_good_for_its_syn_for_a_minute_or_two(
            irs in any::<u32>(), mss in any::<u16>(), start in 0..10_000_000u64, age in 0..300u64, flip in 0..32u32,
        ) {
            let cookies = Cookies::new(&Seed::from(5));
            let tuple = FourTuple::new(A, B);
            let (irs, start) = (SeqNumber::new(irs), Instant::from_secs(start));
            let (cookie, remembered) = cookies.make(start, &tuple, irs, mss);
            prop_assert!(remembered <= mss.max(68));
            let later = start + Duration::from_secs(age);
            match cookies.check(later, &tuple, irs, cookie) {
                Some(mss) => prop_assert!(mss == remembered && age < Cookies::MAX_AGE),
                None => prop_assert!(age > Cookies::PERIOD),
            }
            let forged = SeqNumber::new(cookie.value() ^ 1 << flip);
            prop_assert_eq!(cookies.check(start, &tuple, irs, forged), None);
            prop_assert_eq!(cookies.check(start, &tuple, irs + 1, cookie), None);
            prop_assert_eq!(cookies.check(start, &FourTuple::new(B, A), irs, cookie), None);
        }

        #[test]
        fn the_timestamp_keeps_scale_sack_and_ecn(
            clock in any::<u32>(), scale in prop::option::of(0..=14u8), sack: bool, ecn: bool,
        ) {
            let options = Options { window_scale: scale, sack_permitted: sack, ..Options::default() };
            let flags = if ecn { Flags::SYN | Flags::ECE | Flags::CWR } else { Flags::SYN };
            let syn = Header { flags, options, ..Header::default() };
            let value = encode(clock, &syn);
            prop_assert!(clock.wrapping_sub(value) < 128);
            let mut decoded = Header { flags: Flags::SYN, ..Header::default() };
            decode(value, &mut decoded);
            prop_assert_eq!(decoded, syn);
        }
    }
}
