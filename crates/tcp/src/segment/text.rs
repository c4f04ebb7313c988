//! The segment that nearly all of a transfer consists of.

use super::options::{self, Timestamps};
use super::{Flags, Header, Segment};
use crate::SeqNumber;

/// A segment that carries text and an acknowledgment, and no options but timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextSegment<'a> {
    pub(crate) seq: SeqNumber,
    pub(crate) ack: SeqNumber,
    pub(crate) window: u16,
    pub(crate) timestamps: Option<Timestamps>,
    pub(crate) payload: &'a [u8],
}

impl<'a> TextSegment<'a> {
    /// Reads a segment whose checksum is yet to be checked. The ports are the caller's part.
    #[inline]
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; Header::MIN_LEN] = bytes.first_chunk()?;
        let [_, _, _, _, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, ..] = *fixed;
        if !is_plain(Flags::from_bits(flags)) {
            return None;
        }
        let behind = &bytes[Header::MIN_LEN..];
        let (timestamps, payload) = match offset >> 4 {
            5 => (None, behind),
            8 => options::split_timestamps(behind).map(|(timestamps, payload)| (Some(timestamps), payload))?,
            _ => return None,
        };
        Some(Self {
            seq: SeqNumber::new(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: SeqNumber::new(u32::from_be_bytes([a0, a1, a2, a3])),
            window: u16::from_be_bytes([w0, w1]),
            timestamps,
            payload,
        })
    }

    /// The same of a segment that was read.
    pub(crate) fn of(segment: &Segment<'a>) -> Option<Self> {
        let Header { seq, ack, flags, window, ref options, .. } = segment.header;
        (is_plain(flags) && options.are_only_timestamps()).then_some(Self {
            seq,
            ack,
            window,
            timestamps: options.timestamps,
            payload: segment.payload,
        })
    }
}

/// PSH makes no difference to a receiver.
fn is_plain(flags: Flags) -> bool {
    flags == Flags::ACK || flags == Flags::ACK | Flags::PSH
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::{Options, SackBlocks};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn options() -> impl Strategy<Value = Options> {
        let timestamps = prop::option::weighted(0.7, any::<(u32, u32)>())
            .prop_map(|it| it.map(|(value, echo)| Timestamps { value, echo }));
        let rare = prop::option::weighted(0.1, any::<u16>());
        (timestamps, rare.clone(), rare).prop_map(|(timestamps, mss, sack)| {
            let mut blocks = SackBlocks::new();
            if let Some(left) = sack {
                blocks.push(u32::from(left).into(), (u32::from(left) + 1).into());
            }
            Options { timestamps, mss, sack: blocks, ..Options::default() }
        })
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_codec_reads(
            options in options(),
            flags in prop_oneof![3 => Just(0x10), 3 => Just(0x18), 1 => any::<u8>()],
            (seq, ack, window) in any::<(u32, u32, u16)>(),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let header = Header {
                seq: seq.into(),
                ack: ack.into(),
                flags: Flags::from_bits(flags),
                window,
                options,
                ..Header::default()
            };
            let mut wire = BytesMut::new();
            Segment { header, payload: &payload }.emit(ADDRESS, ADDRESS, &mut wire);
            let parsed = Segment::parse(&wire, ADDRESS, ADDRESS).unwrap();
            prop_assert_eq!(TextSegment::read(&wire), TextSegment::of(&parsed));
        }

        #[test]
        fn any_bytes_are_read_as_the_codec_reads_them(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(fixed) = bytes.get_mut(..20) {
                fixed[16..18].fill(0);
                let sum = crate::segment::checksum::segment(ADDRESS, ADDRESS, &bytes);
                bytes[16..18].copy_from_slice(&sum.to_be_bytes());
            }
            if let Some(text) = TextSegment::read(&bytes) {
                let parsed = Segment::parse(&bytes, ADDRESS, ADDRESS).unwrap();
                prop_assert_eq!(Some(text), TextSegment::of(&parsed));
            }
        }
    }
}
