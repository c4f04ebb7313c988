//! The IP headers around segments, datagrams and ICMP messages (RFC 791, RFC 8200).
//!
//! Only what a host needs at its end of the path: a packet is read up to its payload, and one is written around a
//! payload. Nothing is fragmented or put together again; nothing is forwarded.

mod v4;
mod v6;

use core::fmt;
use core::net::IpAddr;

use bytes::{BufMut, BytesMut};

/// What the payload of a packet is (the protocol numbers of IANA, RFC 791 3.1, RFC 8200 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.write_str("ICMP"),
            Self::TCP => f.write_str("TCP"),
            Self::UDP => f.write_str("UDP"),
            Self::ICMPV6 => f.write_str("ICMPv6"),
            Self(number) => write!(f, "Protocol({number})"),
        }
    }
}

/// The codepoint of explicit congestion notification: the two low bits of the traffic class (RFC 3168 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ecn {
    /// The transport does not understand it.
    #[default]
    NotEct,
    /// ECN-capable, ECT(1).
    Ect1,
    /// ECN-capable, ECT(0).
    Ect0,
    /// Congestion experienced: a router would have dropped the packet.
    Ce,
}

impl Ecn {
    /// The codepoint in the two low bits of `traffic_class`.
    pub const fn from_bits(traffic_class: u8) -> Self {
        match traffic_class & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0,
            Self::Ect1 => 1,
            Self::Ect0 => 2,
            Self::Ce => 3,
        }
    }
}

/// Why bytes are not a packet that an end host can use. All of them are the sender's fault, or the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Neither version 4 nor 6 (RFC 791 3.1, RFC 8200 3).
    #[error("IP version {0}")]
    Version(u8),
    /// Fewer bytes than the header or the stated length has.
    #[error("the packet is cut off")]
    Truncated,
    /// A header length below five words, or a total length that does not hold the header (RFC 791 3.1).
    #[error("wrong header length")]
    HeaderLength,
    /// The checksum of the header is wrong (RFC 1122 3.2.1.2).
    #[error("wrong header checksum")]
    Checksum,
    /// A piece of a larger packet (RFC 791 3.2, RFC 8200 4.5).
    #[error("a fragment")]
    Fragment,
    /// A source route (RFC 7126 3.3 and 4.3, RFC 5095), or an option or extension header that is malformed or that
    /// must not be ignored (RFC 8200 4.2).
    #[error("an option that is not accepted")]
    Options,
    /// The source is a multicast or broadcast address (RFC 1122 3.2.1.3, RFC 4291 2.7).
    #[error("an impossible source address")]
    Source,
}

/// A packet, taken apart: what stands in its header, and its payload, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// What follows the header and its extensions, as long as the header says.
    pub payload: &'a [u8],
}

/// What matters of an IP header, of either version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The sender.
    pub source: IpAddr,
    /// The receiver; of the same family.
    pub destination: IpAddr,
    /// What the payload is. For IPv6, what follows the extension headers.
    pub protocol: Protocol,
    /// The time to live, or hop limit.
    pub hop_limit: u8,
    /// The congestion mark.
    pub ecn: Ecn,
}

impl Header {
    /// The length of a header without options or extensions: 20 bytes for IPv4 and 40 for IPv6.
    pub const fn wire_len(&self) -> usize {
        header_len(&self.source)
    }

    /// Appends a packet with this header.
    ///
    /// Payloads of more than 65,535 bytes (for IPv4, 20 less) cannot be told in the header: the length then is cut.
    pub fn emit(&self, payload: &[u8], out: &mut BytesMut) {
        let start = out.len();
        out.reserve(self.wire_len() + payload.len());
        out.put_bytes(0, self.wire_len());
        out.put_slice(payload);
        self.fill(&mut out[start..]);
    }

    /// Writes the header into the front of `packet`, which has room for it before its payload.
    pub(crate) fn fill(&self, packet: &mut [u8]) {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => v4::fill(self, source, destination, packet),
            (IpAddr::V6(source), IpAddr::V6(destination)) => v6::fill(self, source, destination, packet),
            _ => debug_assert!(false, "addresses of two families"),
        }
    }
}

/// The length of a header between addresses of this family.
pub(crate) const fn header_len(address: &IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => v4::HEADER_LEN,
        IpAddr::V6(_) => v6::HEADER_LEN,
    }
}

impl<'a> Packet<'a> {
    /// Reads a packet. Bytes behind its stated length are link-layer padding, and ignored.
    ///
    /// IPv4 options are skipped, except source routes; so are IPv6 extension headers that a host may skip.
    ///
    /// ```
    /// use drywire_core::BytesMut;
    /// use drywire_tcp::ip::{Ecn, Header, Packet, Protocol};
    ///
    /// let (source, destination) = ("192.0.2.1".parse()?, "192.0.2.2".parse()?);
    /// let header = Header { source, destination, protocol: Protocol::UDP, hop_limit: 64, ecn: Ecn::NotEct };
    /// let mut wire = BytesMut::new();
    /// header.emit(b"payload", &mut wire);
    /// assert_eq!(Packet::parse(&wire), Ok(Packet { header, payload: b"payload" }));
    /// # Ok::<(), core::net::AddrParseError>(())
    /// ```
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        match bytes.first().ok_or(ParseError::Truncated)? >> 4 {
            4 => v4::parse(bytes),
            6 => v6::parse(bytes),
            version => Err(ParseError::Version(version)),
        }
    }
}

/// The payload of a TCP packet between two addresses whose header has nothing that needs a closer look: no options or
/// extensions, not a fragment, and not marked by a router.
#[inline]
pub(crate) fn read_plain(bytes: &[u8], source: IpAddr, destination: IpAddr) -> Option<&[u8]> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => v4::read_plain(bytes, source, destination),
        (IpAddr::V6(source), IpAddr::V6(destination)) => v6::read_plain(bytes, source, destination),
        _ => None,
    }
}

/// What an ICMP error quotes of a packet of ours: its header, and at least the first eight bytes behind it.
///
/// Unlike [`Packet::parse`] this takes what is cut off, and checks no checksum: routers may have changed the header.
pub(crate) fn parse_quoted(bytes: &[u8]) -> Result<Packet<'_>, ParseError> {
    match bytes.first().ok_or(ParseError::Truncated)? >> 4 {
        4 => v4::parse_quoted(bytes),
        6 => v6::parse_quoted(bytes),
        version => Err(ParseError::Version(version)),
    }
}
