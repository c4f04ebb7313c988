//! The internet checksum over pseudo-header, header and payload (RFC 9293 3.1, RFC 1071).

use core::net::IpAddr;

use crate::ip::Protocol;

/// Whether the checksum of what arrived is to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Unknown,
    /// The link vouches for it; the field may hold anything.
    Verified,
}

/// A running one's complement sum, kept wide and folded once at the end.
///
/// The sum of 16-bit words is the same in either byte order up to a swap of the result (RFC 1071 2.B), so words are
/// added as the machine reads them, four bytes at a time (2.C).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    total: u64,
    /// Whether an odd number of bytes came so far, so that what follows is shifted by one byte.
    odd: bool,
}

impl Sum {
    /// The sum of the lower halves of so many words fits into 32 bits, and so does that of the upper ones.
    const MOST: usize = 4 << 16;

    /// Adds the bytes that follow those already added. Pieces may be cut anywhere.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut sum: u64 = bytes.chunks(Self::MOST).map(add_words).sum();
        if let [last] = bytes.as_chunks::<2>().1 {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        let sum = fold(sum);
        self.total += u64::from(if self.odd { sum.swap_bytes() } else { sum });
        self.odd ^= bytes.len() % 2 == 1;
    }

    /// Adds the four bytes of `number`, the highest first. What came before must be even.
    pub(crate) fn add_number(&mut self, number: u32) {
        debug_assert!(!self.odd, "a number begins at an even offset");
        self.total += u64::from(number.to_be());
    }

    /// Adds what `other` has added up. What came before must be even.
    pub(crate) fn add_sum(&mut self, other: Self) {
        debug_assert!(!self.odd, "a sum begins at an even offset");
        self.total += other.total;
    }

    /// As if `after` had been added in the place of `before` (RFC 1624).
    pub(crate) fn replace_number(&mut self, before: u32, after: u32) {
        self.add_number(!before);
        self.add_number(after);
    }

    /// Of the pseudo-header, but for the length, which is to be added as a number: RFC 9293 3.1 has 16 bits for it and RFC 8200
    /// 8.1 has 32, and the sums agree.
    pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: Protocol) -> Self {
        let mut sum = Self::default();
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => sum.add_number(address.to_bits()),
                IpAddr::V6(address) => sum.add(&address.octets()),
            }
        }
        sum.add_number(u32::from(protocol.0));
        sum
    }

    /// The checksum: the complement of the folded sum, in host order.
    pub(crate) fn finish(self) -> u16 {
        !u16::from_be_bytes(fold(self.total).to_ne_bytes())
    }
}

/// The sum of the whole 16-bit words of at most [`Sum::MOST`] bytes.
///
/// It adds up 32-bit words, losing carries, and beside them their upper halves. What the lower halves add up to, which fits, is
/// the difference: three operations for four bytes instead of four. The loop is so plain that the compiler makes vector
/// instructions of it, of whatever width it may use.
fn add_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let (mut wholes, mut uppers) = (0_u32, 0_u32);
    for word in words {
        let word = u32::from_ne_bytes(*word);
        wholes = wholes.wrapping_add(word);
        uppers = uppers.wrapping_add(word >> 16);
    }
    let pair = rest.first_chunk().map_or(0, |pair| u16::from_ne_bytes(*pair));
    u64::from(wholes.wrapping_sub(uppers << 16)) + u64::from(uppers) + u64::from(pair)
}

/// Adds the carries back until 16 bits are left.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of a whole segment as it stands on the wire: zero if its checksum field is right, and the value for that
/// field if it is zero.
pub(crate) fn segment(source: IpAddr, destination: IpAddr, segment: &[u8]) -> u16 {
    transport(source, destination, Protocol::TCP, segment)
}

/// The same for any protocol with this pseudo-header (RFC 768, RFC 8200 8.1).
pub(crate) fn transport(source: IpAddr, destination: IpAddr, protocol: Protocol, bytes: &[u8]) -> u16 {
    let mut sum = Sum::pseudo_header(source, destination, protocol);
    sum.add_number(bytes.len() as u32);
    sum.add(bytes);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rfc_1071_pieces_sum_up_to_the_whole(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut whole = Sum::default();
            whole.add(&bytes);
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Sum::default();
            let mut start = 0;
            for end in cuts.into_iter().chain([bytes.len()]) {
                pieces.add(&bytes[start..end]);
                start = end;
            }
            prop_assert_eq!(pieces.finish(), whole.finish());
        }
    }

    #[test]
    fn the_largest_words_do_not_overflow() {
        let bytes = alloc::vec![0xff; Sum::MOST + 100];
        let mut sum = Sum::default();
        sum.add(&bytes);
        // In one's complement arithmetic any number of 0xffff adds up to 0xffff.
        assert_eq!(sum.finish(), 0);
    }

    #[test]
    fn rfc_1071_3_the_example() {
        let mut sum = Sum::default();
        sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }
}
