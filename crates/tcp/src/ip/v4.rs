//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use super::{Ecn, Header, Packet, ParseError, Protocol};
use crate::segment::checksum::Sum;

pub(super) const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
/// More fragments, and the fragment offset.
const FRAGMENT_MASK: u16 = 0x3fff;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

#[inline]
pub(super) fn parse(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ParseError::Truncated)?;
    let header_len = usize::from(fixed[0] & 15) * 4;
    if header_len < HEADER_LEN {
        return Err(ParseError::HeaderLength);
    }
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let packet = bytes.get(..total_len).ok_or(ParseError::Truncated)?;
    let (Some(whole), Some(payload)) = (packet.get(..header_len), packet.get(header_len..)) else {
        return Err(ParseError::HeaderLength);
    };
    let mut sum = Sum::default();
    sum.add(whole);
    if sum.finish() != 0 {
        return Err(ParseError::Checksum);
    }
    if u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT_MASK != 0 {
        return Err(ParseError::Fragment);
    }
    check_options(&whole[HEADER_LEN..])?;
    let header = header(fixed);
    if matches!(header.source, core::net::IpAddr::V4(source) if source.is_multicast() || source.is_broadcast()) {
        return Err(ParseError::Source);
    }
    Ok(Packet { header, payload })
}

#[inline]
pub(super) fn read_plain(bytes: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Option<&[u8]> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let [first, tos, l0, l1, _, _, f0, f1, _, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    let is_plain = first == (4 << 4 | (HEADER_LEN / 4) as u8)
        && Ecn::from_bits(tos) != Ecn::Ce
        && u16::from_be_bytes([f0, f1]) & FRAGMENT_MASK == 0
        && Protocol(protocol) == Protocol::TCP
        && [s0, s1, s2, s3] == source.octets()
        && [d0, d1, d2, d3] == destination.octets();
    let mut sum = Sum::default();
    for word in fixed.as_chunks().0 {
        sum.add_number(u32::from_be_bytes(*word));
    }
    let payload = bytes.get(HEADER_LEN..usize::from(u16::from_be_bytes([l0, l1])))?;
    (is_plain && sum.finish() == 0).then_some(payload)
}

pub(super) fn parse_quoted(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ParseError::Truncated)?;
    let payload = bytes.get(usize::from(fixed[0] & 15) * 4..).ok_or(ParseError::HeaderLength)?;
    // Only the first fragment has ports; the offset of ours is zero, as we never fragment.
    if u16::from_be_bytes([fixed[6], fixed[7]]) & FRAGMENT_MASK & !0x2000 != 0 {
        return Err(ParseError::Fragment);
    }
    Ok(Packet { header: header(fixed), payload })
}

#[inline]
fn header(fixed: &[u8; HEADER_LEN]) -> Header {
    let [_, tos, _, _, _, _, _, _, hop_limit, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    Header {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol: Protocol(protocol),
        hop_limit,
        ecn: Ecn::from_bits(tos),
    }
}

/// Walks the options (RFC 791 3.1). A host may ignore all of them (RFC 1122 3.2.1.8) but source routes, which let
/// anybody answer in another's name and are refused (RFC 7126 4.3, 4.4).
fn check_options(mut options: &[u8]) -> Result<(), ParseError> {
    while let Some((&kind, rest)) = options.split_first() {
        options = match kind {
            END_OF_OPTIONS => break,
            NO_OPERATION => rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(ParseError::Options),
            _ => {
                let len = rest.first().copied().filter(|len| *len >= 2).ok_or(ParseError::Options)?;
                options.get(usize::from(len)..).ok_or(ParseError::Options)?
            }
        };
    }
    Ok(())
}

pub(super) fn fill(header: &Header, source: Ipv4Addr, destination: Ipv4Addr, packet: &mut [u8]) {
    let total_len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let Some(room) = packet.first_chunk_mut::<HEADER_LEN>() else { return };
    *room = [0; HEADER_LEN];
    room[0] = 4 << 4 | (HEADER_LEN / 4) as u8;
    room[1] = header.ecn.bits();
    room[2..4].copy_from_slice(&total_len.to_be_bytes());
    // RFC 6864 4.1: what is never fragmented needs no identification.
    room[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
    room[8] = header.hop_limit;
    room[9] = header.protocol.0;
    room[12..16].copy_from_slice(&source.octets());
    room[16..20].copy_from_slice(&destination.octets());
    // From the values and not from the bytes: reading back what was just written in smaller pieces stalls the processor.
    let mut sum = Sum::default();
    sum.add_number(u32::from_be_bytes([room[0], room[1], 0, 0]) | u32::from(total_len));
    sum.add_number(u32::from(DONT_FRAGMENT));
    sum.add_number(u32::from_be_bytes([header.hop_limit, header.protocol.0, 0, 0]));
    sum.add_number(source.to_bits());
    sum.add_number(destination.to_bits());
    room[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}
