//! The segment codec (RFC 9293 3.1).

pub(crate) mod checksum;
mod emit;
mod options;
mod text;

use core::fmt;
use core::net::IpAddr;
use core::ops::{BitOr, BitOrAssign};

use bytes::{BufMut, BytesMut};

pub(crate) use checksum::Checksum;
pub(crate) use emit::Emitter;
pub use options::{Options, SackBlocks, Timestamps};
pub(crate) use text::TextSegment;

use crate::SeqNumber;
use checksum::Sum;
use emit::Words;

/// The control bits of a header (RFC 9293 3.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push: hand everything up to here to the application.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);

    const NAMES: [(Self, &'static str); 8] = [
        (Self::FIN, "FIN"),
        (Self::SYN, "SYN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::ACK, "ACK"),
        (Self::URG, "URG"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
    ];

    /// The flags with these bits, laid out as in byte 13 of a header.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits, laid out as in byte 13 of a header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that are also set in `other`.
    pub(crate) const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether any bit of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for Flags {
    /// The names joined by commas, such as `SYN,ACK`, or `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, name) in Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag)) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        if separator.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A TCP header without its checksum, which is computed when it is written and checked when it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// SEG.SEQ: the sequence number of the first byte, or of the SYN.
    pub seq: SeqNumber,
    /// SEG.ACK: the next sequence number that the sender expects. Counts only with [`Flags::ACK`].
    pub ack: SeqNumber,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND as it stands on the wire, not yet scaled (RFC 7323 2.2).
    pub window: u16,
    /// SEG.UP: the offset of the last urgent byte. Counts only with [`Flags::URG`].
    pub urgent: u16,
    /// The options.
    pub options: Options,
}

impl Header {
    /// The length of a header without options, in bytes.
    pub const MIN_LEN: usize = 20;
    /// The length of the longest header, in bytes.
    pub const MAX_LEN: usize = 60;

    /// The length on the wire, options and padding included, in bytes.
    pub fn wire_len(&self) -> usize {
        Self::MIN_LEN + self.options.padded_len()
    }

    /// The header as it stands on the wire, with a checksum of zero.
    fn words(&self) -> Words {
        let mut words = Words::default();
        words.push_halves(self.source_port, self.destination_port);
        words.push(self.seq.value());
        words.push(self.ack.value());
        // The reserved bits are sent as zero (RFC 9293 3.1).
        let offset = (self.wire_len() / 4) as u8;
        words.push_halves(u16::from_be_bytes([offset << 4, self.flags.bits()]), self.window);
        words.push_halves(0, self.urgent);
        self.options.put(&mut words);
        words
    }
}

/// Why bytes are not a segment. All of them are the sender's fault, or the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than a header has (RFC 9293 3.1).
    #[error("{0} bytes are shorter than a header")]
    Truncated(usize),
    /// A data offset below five words, or beyond the end (RFC 9293 3.1, DOffset).
    #[error("data offset of {0} words")]
    DataOffset(u8),
    /// The checksum is wrong (RFC 9293 3.1, MUST-3).
    #[error("wrong checksum")]
    Checksum,
    /// An option whose length is shorter than its own two bytes, runs past the header, or differs from what its kind
    /// requires (RFC 9293 3.2, MUST-7).
    #[error("option of kind {kind} with length {len}")]
    OptionLength {
        /// The option's kind.
        kind: u8,
        /// The length that it states; zero where that byte is missing.
        len: u8,
    },
    /// The two addresses are not of one family, so there is no pseudo-header (RFC 9293 3.1).
    #[error("addresses of two families")]
    AddressFamilies,
}

/// A segment: a header and the payload behind it, borrowed.
///
/// `Display` writes one line, for logs and sequence diagrams:
///
/// ```
/// use core::net::{IpAddr, Ipv4Addr};
/// use drywire_core::BytesMut;
/// use drywire_tcp::{Flags, Header, Options, Segment, SeqNumber};
///
/// let (a, b) = (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));
/// let header = Header {
///     source_port: 49152,
///     destination_port: 80,
///     seq: SeqNumber::new(1000),
///     flags: Flags::SYN,
///     window: 65535,
///     options: Options { mss: Some(1460), window_scale: Some(7), ..Options::default() },
///     ..Header::default()
/// };
/// let segment = Segment { header, payload: b"" };
/// assert_eq!(segment.to_string(), "SYN seq=1000 win=65535 len=0 <mss 1460,ws 7>");
///
/// let mut wire = BytesMut::new();
/// segment.emit(a, b, &mut wire);
/// assert_eq!(Segment::parse(&wire, a, b), Ok(segment));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment<'a> {
    /// The header.
    pub header: Header,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a segment and checks its checksum, for which the addresses of the IP packet are needed.
    ///
    /// Reserved bits and unknown options are ignored, as RFC 9293 3.1 and 3.2 require.
    #[inline]
    pub fn parse(bytes: &'a [u8], source: IpAddr, destination: IpAddr) -> Result<Self, ParseError> {
        Self::parse_with(bytes, source, destination, Checksum::Unknown)
    }

    /// The same for bytes whose checksum may have been seen to already.
    #[inline]
    pub(crate) fn parse_with(
        bytes: &'a [u8],
        source: IpAddr,
        destination: IpAddr,
        checksum: Checksum,
    ) -> Result<Self, ParseError> {
        let fixed: &[u8; Header::MIN_LEN] = bytes.first_chunk().ok_or(ParseError::Truncated(bytes.len()))?;
        let words = fixed[12] >> 4;
        let len = usize::from(words) * 4;
        let (Some(options), Some(payload)) = (bytes.get(Header::MIN_LEN..len), bytes.get(len..)) else {
            return Err(ParseError::DataOffset(words));
        };
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(ParseError::AddressFamilies);
        }
        // A segment whose checksum field is right sums up to zero.
        if checksum == Checksum::Unknown && checksum::segment(source, destination, bytes) != 0 {
            return Err(ParseError::Checksum);
        }
        let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, _, flags, w0, w1, _, _, u0, u1] = *fixed;
        let header = Header {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            seq: SeqNumber::new(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: SeqNumber::new(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: Flags::from_bits(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options: Options::parse(options)?,
        };
        Ok(Self { header, payload })
    }

    /// Appends the segment to `out`, with its checksum.
    ///
    /// Addresses of two families give a checksum that no receiver accepts.
    pub fn emit(&self, source: IpAddr, destination: IpAddr, out: &mut BytesMut) {
        let mut sum = Sum::default();
        sum.add(self.payload);
        out.reserve(self.header.wire_len() + self.payload.len());
        Emitter::new(&self.header, source, destination, false).put_header(self.payload.len(), sum, out);
        out.put_slice(self.payload);
    }

    /// SEG.LEN: how much sequence space the segment takes, SYN and FIN included (RFC 9293 3.4).
    pub fn sequence_len(&self) -> u32 {
        let flags = self.header.flags;
        let controls = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
        // An IP packet holds far less than what would wrap here.
        (self.payload.len() as u32).wrapping_add(controls)
    }
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        write!(f, "{} seq={}", header.flags, header.seq)?;
        if header.flags.contains(Flags::ACK) {
            write!(f, " ack={}", header.ack)?;
        }
        write!(f, " win={} len={}", header.window, self.payload.len())?;
        if header.flags.contains(Flags::URG) {
            write!(f, " urg={}", header.urgent)?;
        }
        if header.options == Options::default() { Ok(()) } else { write!(f, " <{}>", header.options) }
    }
}
