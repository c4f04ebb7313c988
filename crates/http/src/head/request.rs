//! The head of a received request.

use core::fmt;

use super::fields::slice;
use super::{FieldIter, Fields, TargetForm, Version};

/// The head of a received request.
///
/// One piece of memory and spans; cheap to move and to clone. `{}` prints the request line, `{:#}` the whole head.
#[derive(Clone)]
pub struct RequestHead {
    pub(crate) fields: Fields,
    pub(crate) line: RequestLine,
    pub(crate) facts: RequestFacts,
}

/// Where the parts of the request line lie, relative to the head's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method_len: u32,
    pub(crate) target: u32,
    pub(crate) target_len: u32,
    pub(crate) form: TargetForm,
    pub(crate) version: Version,
}

/// What the fields say that the machine acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestFacts {
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
    pub(crate) offers_upgrade: bool,
    pub(crate) accepts_trailers: bool,
    pub(crate) content_length: Option<u64>,
}

impl RequestHead {
    /// The method, in its exact case (RFC 9110, 9.1).
    pub fn method(&self) -> &str {
        text(slice(&self.fields.bytes, 0, self.line.method_len))
    }

    pub(crate) fn is_method(&self, method: &[u8]) -> bool {
        slice(&self.fields.bytes, 0, self.line.method_len) == method
    }

    /// The request target as it was sent.
    pub fn target(&self) -> &str {
        text(slice(&self.fields.bytes, self.line.target, self.line.target_len))
    }

    /// The request target as a piece that shares this head's memory.
    #[cfg(feature = "http")]
    pub(crate) fn target_bytes(&self) -> bytes::Bytes {
        self.fields.bytes.slice_ref(slice(&self.fields.bytes, self.line.target, self.line.target_len))
    }

    /// Which of the four forms the target has.
    pub fn target_form(&self) -> TargetForm {
        self.line.form
    }

    /// The path of the target without its query: empty for `CONNECT`, `*` for the asterisk form.
    pub fn path(&self) -> &str {
        super::target::path_and_query(self.target(), self.line.form).0
    }

    /// The query of the target, without the question mark.
    pub fn query(&self) -> Option<&str> {
        super::target::path_and_query(self.target(), self.line.form).1
    }

    /// The authority that the request is for: of the target where it has one, else of `Host` (RFC 9112, 3.2.2).
    /// `None` in HTTP/1.0 without `Host`.
    pub fn authority(&self) -> Option<&str> {
        match super::target::authority(self.target(), self.line.form) {
            Some(authority) => Some(authority),
            None => self.field("host").map(text),
        }
    }

    /// The version of the request.
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

    /// Whether the client lets the connection persist behind this exchange (RFC 9112, 9.3).
    pub fn keep_alive(&self) -> bool {
        self.facts.keep_alive
    }

    /// Whether the client waits for 100 (Continue) before it sends the content (RFC 9110, 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.facts.expects_continue
    }

    /// Whether the client says that it keeps trailers: `TE: trailers` (RFC 9110, 6.5.1 and 10.1.4).
    pub fn accepts_trailers(&self) -> bool {
        self.facts.accepts_trailers
    }

    /// The announced length of the content, where there is one.
    pub fn content_length(&self) -> Option<u64> {
        self.facts.content_length
    }

    /// The protocols that the client offers to switch to, in order of preference. Empty where `Connection` lacks the
    /// `upgrade` option or the version is HTTP/1.0, since `Upgrade` is to be ignored then (RFC 9110, 7.8).
    pub fn upgrade_protocols(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.field_elements("upgrade").filter(|_| self.facts.offers_upgrade)
    }
}

/// For bytes that the parser has found to be ASCII.
fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or_default()
}

/// Equal request lines and field sections, wherever they lie in memory.
impl PartialEq for RequestHead {
    fn eq(&self, other: &Self) -> bool {
        self.method() == other.method()
            && self.target() == other.target()
            && self.version() == other.version()
            && self.fields == other.fields
    }
}

impl Eq for RequestHead {}

impl fmt::Display for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.method(), self.target(), self.line.version)?;
        if f.alternate() && !self.fields.is_empty() {
            write!(f, "\n{}", self.fields)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method())
            .field("target", &self.target())
            .field("version", &self.line.version)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
