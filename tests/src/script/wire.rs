//! Between the packets of a script and the bytes of the wire.
//!
//! A codec of its own, so that a mistake in the codec under test cannot hide itself, and so that the order of the
//! options and their padding show.

use std::net::{IpAddr, SocketAddr};

use drywire::tcp::Flags;

use super::ast::{TcpOption, TcpPacket};

const TCP: u8 = 6;

/// How the numbers of a script differ from those on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets {
    /// What is added to our own sequence numbers.
    pub(super) local: u32,
    /// What is added to the peer's.
    pub(super) remote: u32,
    /// What is added to our own timestamps.
    pub(super) clock: u32,
}

/// The bytes of a segment of the peer's, with its payload and its checksum.
pub(super) fn encode(
    packet: &TcpPacket,
    payload: &[u8],
    offsets: Offsets,
    from: SocketAddr,
    to: SocketAddr,
) -> Result<Vec<u8>, String> {
    let mut options = vec![];
    for option in packet.options.as_deref().unwrap_or(&[]) {
        encode_option(option, offsets, &mut options);
    }
    if options.len() % 4 != 0 || options.len() > 40 {
        return Err(format!("the options take {} bytes, which is no multiple of 4 up to 40", options.len()));
    }
    let mut bytes = vec![];
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend(packet.seq.wrapping_add(offsets.remote).to_be_bytes());
    bytes.extend(packet.ack.map_or(0, |ack| ack.wrapping_add(offsets.local)).to_be_bytes());
    bytes.push(((20 + options.len()) / 4) as u8 * 16);
    bytes.push(packet.flags.bits());
    bytes.extend(packet.window.unwrap_or(0).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(packet.urgent.unwrap_or(0).to_be_bytes());
    bytes.extend(options);
    bytes.extend(payload);
    let sum = checksum(TCP, &bytes, from.ip(), to.ip());
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    Ok(bytes)
}

fn encode_option(option: &TcpOption, offsets: Offsets, out: &mut Vec<u8>) {
    match option {
        TcpOption::End => out.push(0),
        TcpOption::Nop => out.push(1),
        TcpOption::Mss(mss) => {
            out.extend([2, 4]);
            out.extend(mss.to_be_bytes());
        }
        TcpOption::WindowScale(shift) => out.extend([3, 3, *shift]),
        TcpOption::SackPermitted => out.extend([4, 2]),
        TcpOption::Sack(blocks) => {
            out.extend([5, (2 + 8 * blocks.len()) as u8]);
            for edge in blocks.iter().flat_map(|(left, right)| [left, right]) {
                out.extend(edge.wrapping_add(offsets.local).to_be_bytes());
            }
        }
        TcpOption::Timestamps { value, echo } => {
            out.extend([8, 10]);
            out.extend(value.to_be_bytes());
            // Zero is no time of ours, but what stands where there is none.
            let echo = if *echo == 0 { 0 } else { echo.wrapping_add(offsets.clock) };
            out.extend(echo.to_be_bytes());
        }
        TcpOption::Other { kind, len } => {
            out.extend([*kind, *len]);
            out.extend(std::iter::repeat_n(0, usize::from(*len).saturating_sub(2)));
        }
    }
}

/// Our segment in the numbers of the script, and its payload.
pub(super) fn decode(
    bytes: &[u8],
    offsets: Offsets,
    source: IpAddr,
    destination: IpAddr,
) -> Result<(TcpPacket, &[u8]), String> {
    let Some((fixed, _)) = bytes.split_first_chunk::<20>() else {
        return Err(format!("{} bytes are no segment", bytes.len()));
    };
    let [.., q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, u0, u1] = *fixed;
    let len = usize::from(offset >> 4) * 4;
    let (Some(options), Some(payload)) = (bytes.get(20..len), bytes.get(len..)) else {
        return Err(format!("the data offset of {len} bytes is wrong"));
    };
    if checksum(TCP, bytes, source, destination) != 0 {
        return Err("the checksum is wrong".to_owned());
    }
    let flags = Flags::from_bits(flags);
    let (seq, ack) = (u32::from_be_bytes([q0, q1, q2, q3]), u32::from_be_bytes([a0, a1, a2, a3]));
    // An RST that acknowledges has no number of ours in it (RFC 9293 3.10.7.1).
    let is_bare_reset = flags.contains(Flags::RST | Flags::ACK) && seq == 0;
    let packet = TcpPacket {
        ecn: None,
        flags,
        seq: if is_bare_reset { 0 } else { seq.wrapping_sub(offsets.local) },
        len: payload.len() as u32,
        ack: flags.contains(Flags::ACK).then(|| ack.wrapping_sub(offsets.remote)),
        window: Some(u16::from_be_bytes([w0, w1])),
        urgent: flags.contains(Flags::URG).then(|| u16::from_be_bytes([u0, u1])),
        options: Some(decode_options(options, offsets)?),
    };
    Ok((packet, payload))
}

fn decode_options(mut rest: &[u8], offsets: Offsets) -> Result<Vec<TcpOption>, String> {
    let mut options = vec![];
    while let Some(&kind) = rest.first() {
        if kind < 2 {
            options.push(if kind == 0 { TcpOption::End } else { TcpOption::Nop });
            rest = &rest[1..];
            continue;
        }
        let len = rest.get(1).copied().unwrap_or(0);
        let (Some(value), Some(behind)) = (rest.get(2..usize::from(len)), rest.get(usize::from(len)..)) else {
            return Err(format!("the option of kind {kind} has the length {len}"));
        };
        rest = behind;
        options.push(match (kind, value) {
            (2, &[a, b]) => TcpOption::Mss(u16::from_be_bytes([a, b])),
            (3, &[shift]) => TcpOption::WindowScale(shift),
            (4, &[]) => TcpOption::SackPermitted,
            (5, blocks) if blocks.len() % 8 == 0 => {
                let edge = |edge: &[u8]| word(edge).wrapping_sub(offsets.remote);
                TcpOption::Sack(blocks.chunks(8).map(|block| (edge(&block[..4]), edge(&block[4..]))).collect())
            }
            (8, value) if value.len() == 8 => {
                TcpOption::Timestamps { value: word(&value[..4]).wrapping_sub(offsets.clock), echo: word(&value[4..]) }
            }
            _ => TcpOption::Other { kind, len },
        });
    }
    Ok(options)
}

/// Four bytes in network order.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The checksum of RFC 9293 3.1 over pseudo-header and segment; zero where a segment's own is right.
pub(super) fn checksum(protocol: u8, segment: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    let mut pseudo = vec![];
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => pseudo.extend(address.octets()),
            IpAddr::V6(address) => pseudo.extend(address.octets()),
        }
    }
    pseudo.extend((segment.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    sum(pseudo.chunks(2).chain(segment.chunks(2)))
}

/// RFC 1071: the complement of the sum of all words.
pub(super) fn sum<'a>(words: impl Iterator<Item = &'a [u8]>) -> u16 {
    let mut sum: u32 = words.map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |byte| u32::from(*byte))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
