//! A field section: one piece of memory and where in it each line lies.

use core::fmt;

use bytes::{Bytes, BytesMut};

use super::{Known, Span, SpanIter, Spans, Table, syntax};
use crate::CommandError;

/// The field lines of a head or a trailer section, in wire order and original case.
///
/// One [`Bytes`] that knows where its lines are; nothing is decoded before it is asked for.
///
/// ```
/// use drywire_http::Fields;
///
/// let trailers = Fields::new([("Server-Timing", "db;dur=53"), ("X-Checked", "yes")])?;
/// assert_eq!(trailers.field("x-checked"), Some(&b"yes"[..]));
/// assert_eq!(trailers.len(), 2);
/// # Ok::<(), drywire_http::CommandError>(())
/// ```
#[derive(Clone, Default)]
pub struct Fields {
    pub(crate) bytes: Bytes,
    pub(crate) table: Table,
}

impl Fields {
    /// A list of field lines, checked as the machine checks all that it sends.
    pub fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Result<Self, CommandError> {
        let mut bytes = BytesMut::new();
        let mut spans = Spans::default();
        for (name, value) in fields {
            let (name, value) = (name.as_ref(), value.as_ref());
            syntax::check_field(name, value)?;
            let start = bytes.len();
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value);
            let (Ok(start), Ok(name_len), Ok(value_len)) =
                (u32::try_from(start), u32::try_from(name.len()), u32::try_from(value.len()))
            else {
                return Err(CommandError::InvalidFieldValue);
            };
            let Some(value) = start.checked_add(name_len) else { return Err(CommandError::InvalidFieldValue) };
            spans.push(Span { name: start, name_len, value, value_len, known: Known::of(name) });
        }
        Ok(spans.of_copy(&bytes))
    }

    fn spans(&self) -> SpanIter<'_> {
        self.table.iter(&self.bytes)
    }

    /// The number of field lines.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no field line.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name and value of each field line, in wire order; values without the white space around them.
    pub fn iter(&self) -> FieldIter<'_> {
        FieldIter { bytes: &self.bytes, spans: self.spans() }
    }

    /// The value of the first field line of this name, in any case of letters.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.field_values(name).next()
    }

    /// The values of every field line of this name, in any case of letters.
    ///
    /// The usual names are known by number, and each line is compared by that; others are compared as text.
    pub fn field_values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let known = Known::of(name.as_bytes());
        let is_named = move |span: &Span| {
            let text = || slice(&self.bytes, span.name, span.name_len);
            span.known == known && (known != Known::Other || text().eq_ignore_ascii_case(name.as_bytes()))
        };
        self.spans().filter(is_named).map(|span| slice(&self.bytes, span.value, span.value_len))
    }

    /// The elements of a list-valued field over all its lines, without white space and empty ones (RFC 9110, 5.6.1).
    ///
    /// Commas inside quoted strings separate too: made for fields whose elements are tokens.
    pub fn field_elements<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.field_values(name).flat_map(syntax::elements)
    }

    /// Whether the list-valued field holds this token, in any case of letters.
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.field_elements(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The values, with the numbers of their names.
    pub(crate) fn known(&self) -> impl Iterator<Item = (Known, &[u8])> {
        self.spans().map(|span| (span.known, slice(&self.bytes, span.value, span.value_len)))
    }

    /// Drops the lines whose names `is_dropped` says `true` of, and tells how many they were.
    pub(crate) fn drop_known(&mut self, is_dropped: impl Fn(Known) -> bool) -> usize {
        let all = self.len();
        if self.known().any(|(known, _)| is_dropped(known)) {
            self.table = Table::Apart(self.spans().filter(|span| !is_dropped(span.known)).collect());
        }
        all - self.len()
    }

    /// The names with their numbers, and the values as pieces that share this section's memory.
    #[cfg(feature = "http")]
    pub(crate) fn shared(&self) -> impl Iterator<Item = (Known, &[u8], Bytes)> {
        self.spans().map(|span| {
            let value = slice(&self.bytes, span.value, span.value_len);
            (span.known, slice(&self.bytes, span.name, span.name_len), self.bytes.slice_ref(value))
        })
    }
}

/// Total, so that no wrong span can panic.
pub(crate) fn slice(bytes: &[u8], start: u32, len: u32) -> &[u8] {
    let start = start as usize;
    bytes.get(start..start.saturating_add(len as usize)).unwrap_or_default()
}

/// The iterator of [`Fields::iter`].
#[derive(Clone, Debug)]
pub struct FieldIter<'a> {
    bytes: &'a [u8],
    spans: SpanIter<'a>,
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.spans.next()?;
        Some((slice(self.bytes, span.name, span.name_len), slice(self.bytes, span.value, span.value_len)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for FieldIter<'_> {}

impl<'a> IntoIterator for &'a Fields {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = FieldIter<'a>;

    fn into_iter(self) -> FieldIter<'a> {
        self.iter()
    }
}

/// Equal names (in exact case) and values in the same order, wherever they lie in memory.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Display for Fields {
    /// One line each, `Name: value`, without a line end behind the last; bytes outside of ASCII escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", name.escape_ascii(), Text(value))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (Text(name), Text(value)))).finish()
    }
}

/// Bytes for a log: visible ASCII and UTF-8 as they are, everything else escaped.
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match core::str::from_utf8(self.0) {
            Ok(text) if !text.chars().any(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
