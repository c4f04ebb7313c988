//! The frame header (RFC 6455, 5.2). Needs no connection and no allocation.

use core::fmt;

use crate::ProtocolError;

/// What a frame is (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// A Close frame.
    Close = 0x8,
    /// A Ping frame.
    Ping = 0x9,
    /// A Pong frame.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode of these four bits; `None` for a reserved one.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether the frame is a control frame, which may stand between the fragments of a message (RFC 6455, 5.5).
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Continuation => "CONTINUATION",
            Self::Text => "TEXT",
            Self::Binary => "BINARY",
            Self::Close => "CLOSE",
            Self::Ping => "PING",
            Self::Pong => "PONG",
        })
    }
}

/// What stands in front of a frame's payload (RFC 6455, 5.2).
///
/// ```
/// use drywire_ws::{FrameHeader, Opcode, mask};
///
/// // RFC 6455, 5.7: a single-frame masked text message, "Hello".
/// let mut wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (header, len) = FrameHeader::parse(&wire)?.expect("the header is complete");
/// assert_eq!(header.to_string(), "TEXT FIN masked len=5");
///
/// mask(header.mask.unwrap(), 0, &mut wire[len..]);
/// assert_eq!(&wire[len..], b"Hello");
/// # Ok::<(), drywire_ws::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// RSV1: whether the message that begins here is compressed (RFC 7692, 6). Always `false` without that extension.
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload that follows, in bytes: below 2^63.
    pub payload_len: u64,
}

/// The largest payload of a control frame, in bytes (RFC 6455, 5.5).
pub(crate) const CONTROL_MAX: usize = 125;

const FIN: u8 = 0x80;
/// RSV1, which RFC 7692 calls the "Per-Message Compressed" bit.
const RSV1: u8 = 0x40;
/// RSV2 and RSV3, which no extension here uses.
const RESERVED: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// The values of the 7-bit length that announce 16 and 64 bits of length.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

impl FrameHeader {
    /// The longest header, in bytes.
    pub const MAX_LEN: usize = 14;

    /// Reads the header at the front of `bytes`, and its length. `None`: more bytes are needed.
    ///
    /// The rules are checked in the order of the bytes, each as soon as its byte is there, so a longer input never
    /// gives another error. Which end must mask, and how frames follow one another, is the connection's to check.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        Self::parse_with(bytes, false)
    }

    /// The same where permessage-deflate is in use (RFC 7692): the first frame of a message may have RSV1.
    #[inline]
    pub fn parse_deflate(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        Self::parse_with(bytes, true)
    }

    #[inline]
    pub(crate) fn parse_with(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        // 5.2: RSV1 to RSV3 "MUST be 0 unless an extension is negotiated".
        if first & RESERVED != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let bits = first & OPCODE;
        let opcode = Opcode::from_bits(bits).ok_or(ProtocolError::ReservedOpcode(bits))?;
        let fin = first & FIN != 0;
        let compressed = first & RSV1 != 0;
        // RFC 7692, 6: neither "control frames" nor "non-first fragments of a data message" have it.
        if compressed && !(deflate && matches!(opcode, Opcode::Text | Opcode::Binary)) {
            return Err(ProtocolError::ReservedBits);
        }
        // 5.5: control frames "MUST NOT be fragmented".
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControl);
        }

        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let short = second & LENGTH;
        // 5.5: control frames "MUST have a payload length of 125 bytes or less".
        if opcode.is_control() && usize::from(short) > CONTROL_MAX {
            return Err(ProtocolError::ControlTooLong);
        }
        // 5.2: "the minimal number of bytes MUST be used to encode the length".
        let (payload_len, rest) = match short {
            LENGTH_16 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let length = u16::from_be_bytes(*bytes);
                if length < u16::from(LENGTH_16) {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (u64::from(length), rest)
            }
            LENGTH_64 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let length = u64::from_be_bytes(*bytes);
                // 5.2: "the most significant bit MUST be 0".
                if length >> 63 != 0 {
                    return Err(ProtocolError::LengthOverflow);
                }
                if u16::try_from(length).is_ok() {
                    return Err(ProtocolError::LengthNotMinimal);
                }
                (length, rest)
            }
            length => (u64::from(length), rest),
        };
        let (mask, rest) = if second & MASK == 0 {
            (None, rest)
        } else {
            let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*key), rest)
        };
        Ok(Some((Self { fin, compressed, opcode, mask, payload_len }, bytes.len() - rest.len())))
    }

    /// The header as it stands on the wire, with the length in its shortest form.
    #[inline]
    pub fn encode(&self) -> EncodedHeader {
        let mut bytes = [0; Self::MAX_LEN];
        let first = self.first_byte();
        // Where there is no key, zeros stand behind the header.
        let [k0, k1, k2, k3] = self.mask.unwrap_or_default();
        let (mask, key_len) = if self.mask.is_some() { (MASK, 4) } else { (0, 0) };
        let len = if let Some(short) = self.encode_short() {
            bytes[..6].copy_from_slice(&short);
            2
        } else if let Ok(length) = u16::try_from(self.payload_len) {
            let [l0, l1] = length.to_be_bytes();
            bytes[..8].copy_from_slice(&[first, mask | LENGTH_16, l0, l1, k0, k1, k2, k3]);
            4
        } else {
            let [l0, l1, l2, l3, l4, l5, l6, l7] = self.payload_len.to_be_bytes();
            bytes = [first, mask | LENGTH_64, l0, l1, l2, l3, l4, l5, l6, l7, k0, k1, k2, k3];
            10
        };
        EncodedHeader { bytes, len: len + key_len }
    }

    /// The header of a payload whose length fits into its 7 bits. Where there is no key, it ends two bytes in, and zeros
    /// follow.
    #[inline]
    pub(crate) fn encode_short(&self) -> Option<[u8; 6]> {
        let mask = if self.mask.is_some() { MASK } else { 0 };
        let [k0, k1, k2, k3] = self.mask.unwrap_or_default();
        let short = self.payload_len < u64::from(LENGTH_16);
        short.then(|| [self.first_byte(), mask | self.payload_len as u8, k0, k1, k2, k3])
    }

    #[inline]
    fn first_byte(&self) -> u8 {
        let fin = if self.fin { FIN } else { 0 };
        let rsv1 = if self.compressed { RSV1 } else { 0 };
        fin | rsv1 | self.opcode as u8
    }
}

impl fmt::Display for FrameHeader {
    /// One readable line: `TEXT FIN masked len=5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.opcode)?;
        if self.fin {
            f.write_str(" FIN")?;
        }
        if self.compressed {
            f.write_str(" RSV1")?;
        }
        if self.mask.is_some() {
            f.write_str(" masked")?;
        }
        write!(f, " len={}", self.payload_len)
    }
}

/// A frame header as it stands on the wire: 2 to 14 bytes.
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: usize,
}

impl core::ops::Deref for EncodedHeader {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
