//! The head of a received response.

use core::fmt;

use super::fields::{Text, slice};
use super::{FieldIter, Fields, Version};

/// The head of a received response.
///
/// One piece of memory and spans; cheap to move and to clone. `{}` prints the status line, `{:#}` the whole head.
#[derive(Clone)]
pub struct ResponseHead {
    pub(crate) fields: Fields,
    pub(crate) line: StatusLine,
    pub(crate) facts: ResponseFacts,
}

/// The status line; the reason lies behind a fixed prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason_len: u32,
}

/// What the fields say that the machine acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseFacts {
    pub(crate) keep_alive: bool,
    pub(crate) content_length: Option<u64>,
}

impl ResponseHead {
    /// `HTTP/1.1 200 ` stands before the reason.
    pub(crate) const REASON_AT: u32 = 13;

    /// The status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.line.status
    }

    /// The reason phrase as it was sent; it says nothing that the status does not (RFC 9112, 4).
    pub fn reason(&self) -> &[u8] {
        slice(&self.fields.bytes, Self::REASON_AT, self.line.reason_len)
    }

    /// The version of the response.
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// Name and value of each field line, in wire order and original case.
    pub fn fields(&self) -> FieldIter<'_> {
        self.fields.iter()
    }

    /// The field section itself.
    pub fn field_section(&self) -> &Fields {
        &self.fields
    }

    /// The value of the first field line of this name, in any case of letters.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.field(name)
    }

    /// Whether the server lets the connection persist behind this exchange (RFC 9112, 9.3).
    pub fn keep_alive(&self) -> bool {
        self.facts.keep_alive
    }

    /// The announced length of the content, where there is one.
    pub fn content_length(&self) -> Option<u64> {
        self.facts.content_length
    }
}

/// Equal status lines and field sections, wherever they lie in memory.
impl PartialEq for ResponseHead {
    fn eq(&self, other: &Self) -> bool {
        self.status() == other.status()
            && self.reason() == other.reason()
            && self.version() == other.version()
            && self.fields == other.fields
    }
}

impl Eq for ResponseHead {}

impl fmt::Display for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:03}", self.line.version, self.line.status)?;
        if !self.reason().is_empty() {
            write!(f, " {}", Text(self.reason()))?;
        }
        if f.alternate() && !self.fields.is_empty() {
            write!(f, "\n{}", self.fields)?;
        }
        Ok(())
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.line.status)
            .field("version", &self.line.version)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
