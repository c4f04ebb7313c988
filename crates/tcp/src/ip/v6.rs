//! IPv6 (RFC 8200).

use core::net::{IpAddr, Ipv6Addr};

use super::{Ecn, Header, Packet, ParseError, Protocol};

pub(super) const HEADER_LEN: usize = 40;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
/// More extension headers than anybody sends; each is looked at once.
const MAX_EXTENSIONS: usize = 8;

const PAD_1: u8 = 0;

pub(super) fn parse(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ParseError::Truncated)?;
    let payload_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let payload = bytes.get(HEADER_LEN..HEADER_LEN + payload_len).ok_or(ParseError::Truncated)?;
    let (protocol, payload) = skip_extensions(fixed[6], payload)?;
    let header = header(fixed, protocol);
    if matches!(header.source, IpAddr::V6(source) if source.is_multicast()) {
        return Err(ParseError::Source);
    }
    Ok(Packet { header, payload })
}

#[inline]
pub(super) fn read_plain(bytes: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Option<&[u8]> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk()?;
    let payload_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let is_plain = fixed[0] >> 4 == 6
        && Ecn::from_bits(fixed[1] >> 4) != Ecn::Ce
        && Protocol(fixed[6]) == Protocol::TCP
        && fixed[8..24] == source.octets()
        && fixed[24..40] == destination.octets();
    bytes.get(HEADER_LEN..HEADER_LEN + payload_len).filter(|_| is_plain)
}

pub(super) fn parse_quoted(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ParseError::Truncated)?;
    // We send no extension headers, so a quotation has none, unless a fragment header was put in underway.
    let (protocol, payload) = skip_extensions(fixed[6], &bytes[HEADER_LEN..])?;
    Ok(Packet { header: header(fixed, protocol), payload })
}

fn header(fixed: &[u8; HEADER_LEN], protocol: u8) -> Header {
    let address = |at: usize| {
        let octets: [u8; 16] = core::array::from_fn(|i| fixed[at + i]);
        IpAddr::V6(Ipv6Addr::from(octets))
    };
    Header {
        source: address(8),
        destination: address(24),
        protocol: Protocol(protocol),
        hop_limit: fixed[7],
        ecn: Ecn::from_bits(fixed[1] >> 4),
    }
}

/// Walks the extension headers (RFC 8200 4); gives the protocol behind them and its bytes.
///
/// What is not known here (authentication, encryption, no next header, upper layers) ends the walk.
fn skip_extensions(mut next: u8, mut rest: &[u8]) -> Result<(u8, &[u8]), ParseError> {
    for _ in 0..MAX_EXTENSIONS {
        let len = match next {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let words = rest.get(1).ok_or(ParseError::Truncated)?;
                (usize::from(*words) + 1) * 8
            }
            FRAGMENT => 8,
            _ => return Ok((next, rest)),
        };
        let (Some(extension), Some(behind)) = (rest.get(..len), rest.get(len..)) else {
            return Err(ParseError::Truncated);
        };
        check_extension(next, extension)?;
        next = extension[0];
        rest = behind;
    }
    Err(ParseError::Options)
}

/// An extension header of at least eight bytes, as [`skip_extensions`] cuts them.
fn check_extension(kind: u8, extension: &[u8]) -> Result<(), ParseError> {
    match kind {
        // Not routed any further: the rest of the route does not matter (RFC 8200 4.4), else we would have to forward.
        ROUTING if extension.get(3) != Some(&0) => Err(ParseError::Options),
        // An offset of zero and no more fragments: a whole packet all the same (RFC 6946 4).
        FRAGMENT if extension.get(2..4).is_none_or(|bits| bits[0] != 0 || bits[1] & 0xf9 != 0) => {
            Err(ParseError::Fragment)
        }
        HOP_BY_HOP | DESTINATION_OPTIONS => check_options(extension.get(2..).unwrap_or(&[])),
        _ => Ok(()),
    }
}

/// RFC 8200 4.2: the two highest bits of an option's type say whether one who does not know it may skip it.
fn check_options(mut options: &[u8]) -> Result<(), ParseError> {
    while let Some((&kind, rest)) = options.split_first() {
        options = if kind == PAD_1 {
            rest
        } else if kind >> 6 == 0 {
            let len = *rest.first().ok_or(ParseError::Options)?;
            rest.get(1 + usize::from(len)..).ok_or(ParseError::Options)?
        } else {
            return Err(ParseError::Options);
        };
    }
    Ok(())
}

pub(super) fn fill(header: &Header, source: Ipv6Addr, destination: Ipv6Addr, packet: &mut [u8]) {
    let payload_len = u16::try_from(packet.len().saturating_sub(HEADER_LEN)).unwrap_or(u16::MAX);
    let Some(room) = packet.first_chunk_mut::<HEADER_LEN>() else { return };
    *room = [0; HEADER_LEN];
    room[0] = 6 << 4;
    room[1] = header.ecn.bits() << 4;
    room[4..6].copy_from_slice(&payload_len.to_be_bytes());
    room[6] = header.protocol.0;
    room[7] = header.hop_limit;
    room[8..24].copy_from_slice(&source.octets());
    room[24..40].copy_from_slice(&destination.octets());
}
