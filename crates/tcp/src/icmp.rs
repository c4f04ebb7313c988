//! What ICMP reports about segments that we sent (RFC 792, RFC 4443; RFC 9293 3.9.2.2).

use core::net::IpAddr;

use bytes::{BufMut, BytesMut};

use crate::SeqNumber;
use crate::ip::{self, Header, Packet, Protocol};
use crate::segment::checksum::{self, Sum};

/// Type, code, checksum, and four bytes that depend on the type.
pub(crate) const HEADER_LEN: usize = 8;

const ECHO_REPLY_4: u8 = 0;
const UNREACHABLE_4: u8 = 3;
const ECHO_REQUEST_4: u8 = 8;
const UNREACHABLE_6: u8 = 1;
const PACKET_TOO_BIG_6: u8 = 2;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

/// An ICMP error about one of our segments, as the network sent it back: anybody could have made it up.
///
/// What a connection does with it is RFC 5927's: it believes only errors about sequence numbers that are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpError {
    /// What is wrong.
    pub kind: IcmpErrorKind,
    /// SEG.SEQ of the segment that the error quotes.
    pub seq: SeqNumber,
}

/// What an ICMP error says, in the classes that matter to TCP (RFC 9293 3.9.2.2, RFC 5461).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IcmpErrorKind {
    /// A soft error, which may pass: no route to the host at the moment, or a hop limit exceeded.
    Soft,
    /// A hard error: the host says that nobody speaks this protocol or listens on this port, or a router forbids it.
    Hard,
    /// The packet was too big to be passed on, and may not be fragmented (RFC 1191, RFC 8201).
    PacketTooBig {
        /// The MTU of the next hop, in bytes, as reported; zero where an old router does not say (RFC 1191 5).
        mtu: u32,
    },
}

/// What an ICMP message is to an end host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// An echo request; the reply differs by its type only.
    EchoRequest,
    /// An error about a packet of ours, whose beginning it quotes.
    Error(IcmpErrorKind, Packet<'a>),
    /// Anything else.
    Other,
}

/// Reads an ICMP message; `None` if it is cut off or its checksum is wrong.
pub(crate) fn parse<'a>(header: &Header, bytes: &'a [u8]) -> Option<Message<'a>> {
    let [kind, code, _, _, w0, w1, w2, w3] = *bytes.first_chunk()?;
    if checksum(header.source, header.destination, bytes) != 0 {
        return None;
    }
    let quoted = &bytes[HEADER_LEN..];
    let (class, quoted) = if header.source.is_ipv4() {
        match (kind, code) {
            (ECHO_REQUEST_4, 0) => return Some(Message::EchoRequest),
            // RFC 1191 4: the MTU stands in the second half.
            (UNREACHABLE_4, 4) => {
                (IcmpErrorKind::PacketTooBig { mtu: u32::from(u16::from_be_bytes([w2, w3])) }, quoted)
            }
            // RFC 1122 4.2.3.9: network, host, source route failed; and the same for a type of service.
            (UNREACHABLE_4, 0 | 1 | 5 | 11 | 12) => (IcmpErrorKind::Soft, quoted),
            (UNREACHABLE_4, _) => (IcmpErrorKind::Hard, quoted),
            // Time exceeded, parameter problem.
            (11 | 12, _) => (IcmpErrorKind::Soft, quoted),
            // Source quench is ignored (RFC 6633 4), and so are redirects.
            _ => return Some(Message::Other),
        }
    } else {
        match (kind, code) {
            (ECHO_REQUEST_6, 0) => return Some(Message::EchoRequest),
            (PACKET_TOO_BIG_6, _) => {
                (IcmpErrorKind::PacketTooBig { mtu: u32::from_be_bytes([w0, w1, w2, w3]) }, quoted)
            }
            // RFC 9293 3.9.2.2: prohibited, port unreachable; and rejected by policy.
            (UNREACHABLE_6, 1 | 4 | 5 | 6) => (IcmpErrorKind::Hard, quoted),
            (UNREACHABLE_6 | 3 | 4, _) => (IcmpErrorKind::Soft, quoted),
            _ => return Some(Message::Other),
        }
    };
    Some(ip::parse_quoted(quoted).map_or(Message::Other, |packet| Message::Error(class, packet)))
}

/// Appends the reply to an echo request, which `request` is.
pub(crate) fn emit_echo_reply(header: &Header, request: &[u8], out: &mut BytesMut) {
    let kind = if header.source.is_ipv4() { ECHO_REPLY_4 } else { ECHO_REPLY_6 };
    emit(header, [kind, 0], request.get(4..).unwrap_or(&[]), out);
}

/// Appends the error "port unreachable" about a packet (RFC 792, RFC 4443 3.1), which it quotes.
pub(crate) fn emit_port_unreachable(header: &Header, packet: &[u8], out: &mut BytesMut) {
    let (kind_and_code, longest) = if header.source.is_ipv4() {
        // RFC 1812 4.3.2.3.
        ([UNREACHABLE_4, 3], 576)
    } else {
        // RFC 4443 2.4 (c).
        ([UNREACHABLE_6, 4], 1280)
    };
    let room = longest - header.wire_len() - HEADER_LEN;
    let start = out.len();
    out.put_slice(&kind_and_code);
    out.put_bytes(0, HEADER_LEN - 2);
    out.put_slice(&packet[..packet.len().min(room)]);
    seal(header, &mut out[start..]);
}

fn emit(header: &Header, kind_and_code: [u8; 2], rest: &[u8], out: &mut BytesMut) {
    let start = out.len();
    out.put_slice(&kind_and_code);
    out.put_u16(0);
    out.put_slice(rest);
    seal(header, &mut out[start..]);
}

fn seal(header: &Header, message: &mut [u8]) {
    let sum = checksum(header.source, header.destination, message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// RFC 792 sums the message alone, RFC 4443 2.3 a pseudo-header, too.
fn checksum(source: IpAddr, destination: IpAddr, message: &[u8]) -> u16 {
    if source.is_ipv4() {
        let mut sum = Sum::default();
        sum.add(message);
        sum.finish()
    } else {
        checksum::transport(source, destination, Protocol::ICMPV6, message)
    }
}
