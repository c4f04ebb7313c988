//! Switches that accept what a recipient should refuse.

use core::ops::BitOr;

/// Broken rules that a machine overlooks, each by a switch of its own. None is on by default, and none belongs on a
/// connection whose messages another recipient reads as well: what two read differently is how requests are smuggled.
///
/// ```
/// use drywire_http::{Lenient, server};
///
/// // A sensor in the field that ends its lines with a bare LF.
/// let lenient = Lenient::BARE_LF | Lenient::MISSING_HOST;
/// let config = server::Config { lenient, ..Default::default() };
/// assert!(config.lenient.allows(Lenient::BARE_LF));
/// assert!(!config.lenient.allows(Lenient::OBS_FOLD));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lenient(u16);

impl Lenient {
    /// Nothing is overlooked.
    pub const NONE: Self = Self(0);
    /// A line may end with LF alone, in heads, chunk lines and trailers, and so may chunk data (RFC 9112, 2.2 lets a
    /// recipient do that outside of chunks).
    pub const BARE_LF: Self = Self(1);
    /// Folded lines in requests and trailers become spaces, as in responses (RFC 9112, 5.2).
    pub const OBS_FOLD: Self = Self(1 << 1);
    /// White space between a field name and its colon is dropped (RFC 9112, 5.1).
    pub const SPACE_BEFORE_COLON: Self = Self(1 << 2);
    /// Control characters other than NUL, CR and LF may stand in field values (RFC 9110, 5.5).
    pub const CONTROLS_IN_VALUES: Self = Self(1 << 3);
    /// A `%` in a target may be followed by anything (RFC 3986, 2.1).
    pub const STRAY_PERCENT: Self = Self(1 << 4);
    /// HTTP/1.1 requests may come without `Host` (RFC 9112, 3.2).
    pub const MISSING_HOST: Self = Self(1 << 5);
    /// In a request with `Transfer-Encoding` and `Content-Length` the former counts, and the connection closes behind
    /// the response (RFC 9112, 6.3).
    pub const BOTH_FRAMINGS: Self = Self(1 << 6);
    /// White space may stand between a chunk size, or its extensions, and the line end (RFC 9112, 7.1).
    pub const SPACE_AFTER_CHUNK_SIZE: Self = Self(1 << 7);
    /// Chunk extensions may be any text (RFC 9112, 7.1.1).
    pub const ANY_CHUNK_EXTENSION: Self = Self(1 << 8);

    /// Whether every switch of `other` is on.
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Lenient {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
