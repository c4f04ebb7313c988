//! permessage-deflate (RFC 7692): what two ends agree on, and the compression itself.
//!
//! A server names in its [`Policy`](crate::handshake::Policy) and a client in its
//! [`Offer`](crate::handshake::Offer) the [`Parameters`] that it wants; the handshake gives both ends the same
//! agreed ones, for [`Connection::with_deflate`](crate::Connection::with_deflate). A [`Pool`] is shared by any number
//! of connections, so that those without context takeover hold no compressor while they are idle.
//!
//! All of this needs the feature `deflate` (on by default). Without it there is no value of [`Parameters`], so
//! nothing is offered or accepted.

#[cfg(feature = "deflate")]
mod codec;
#[cfg(not(feature = "deflate"))]
#[path = "without.rs"]
mod codec;
pub(crate) mod negotiation;
#[cfg(feature = "deflate")]
mod pool;

use core::fmt;

#[cfg(feature = "deflate")]
pub(crate) use codec::compress_alone;
pub(crate) use codec::{Deflater, Inflater};
#[cfg(feature = "deflate")]
pub use pool::Pool;

/// The size of an LZ77 window as the base-2 logarithm of its bytes: 8 to 15 (RFC 7692, 7.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 8 bits: 256 bytes.
    pub const MIN: Self = Self(8);
    /// 15 bits: 32 KiB, which is what applies where nothing else is agreed.
    pub const MAX: Self = Self(15);

    /// A window of `2^bits` bytes; `None` unless `bits` is 8 to 15.
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The logarithm.
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for WindowBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The four parameters of permessage-deflate (RFC 7692, 7.1): what one end wants, or what both have agreed on.
///
/// By default both ends take their context over from message to message, and use windows of 32 KiB: the best
/// compression, for 370 KiB in each connection that has sent a compressed message, and 55 KiB once it has received one.
///
/// ```
/// use drywire_ws::deflate::{Parameters, WindowBits};
///
/// let mut parameters = Parameters::default();
/// parameters.server_max_window_bits = WindowBits::new(10).unwrap();
/// parameters.client_no_context_takeover = true;
/// assert_eq!(
///     parameters.to_string(),
///     "permessage-deflate; client_no_context_takeover; server_max_window_bits=10",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "deflate", derive(Default))]
#[non_exhaustive]
pub struct Parameters {
    /// The server compresses every message by itself (RFC 7692, 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client compresses every message by itself (RFC 7692, 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The largest window that the server compresses with (RFC 7692, 7.1.2.1).
    pub server_max_window_bits: WindowBits,
    /// The largest window that the client compresses with (RFC 7692, 7.1.2.2). A server may want less than 15 bits of
    /// a client that does not offer to limit itself, and then gets 15.
    pub client_max_window_bits: WindowBits,
    #[cfg(not(feature = "deflate"))]
    never: core::convert::Infallible,
}

#[cfg(feature = "deflate")]
impl Parameters {
    /// Every message by itself, both ways: idle connections hold no compression state, which then lives in a
    /// [`Pool`].
    pub fn no_context_takeover() -> Self {
        Self { server_no_context_takeover: true, client_no_context_takeover: true, ..Self::default() }
    }
}

impl Default for WindowBits {
    fn default() -> Self {
        Self::MAX
    }
}

/// How messages are compressed where permessage-deflate was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compression {
    /// zlib's level: 0 does not compress, 1 is the fastest, 9 the closest. 1 by default; higher ones count as 9.
    pub level: u8,
    /// Messages of fewer bytes are sent as they are. 64 by default: below that the gain is a few bytes. A message that
    /// is sent in fragments of unknown number is compressed whatever its length.
    pub threshold: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { level: 1, threshold: 64 }
    }
}

/// The compressed data of a message is no DEFLATE data (RFC 1951), or does not end where a message must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;
