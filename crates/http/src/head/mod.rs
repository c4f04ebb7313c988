//! Message heads: parsed once into spans, decoded when asked.

pub(crate) mod facts;
mod fields;
mod name;
mod request;
mod response;
pub(crate) mod scan;
mod spans;
pub(crate) mod syntax;
pub(crate) mod target;
#[cfg(test)]
mod work;
pub(crate) mod write;

use core::fmt;

#[cfg(feature = "http")]
mod convert;

pub use fields::{FieldIter, Fields};
pub(crate) use name::Known;
pub use request::RequestHead;
pub use response::ResponseHead;
use spans::{Span, SpanIter, Spans, Table};
pub use target::TargetForm;

/// The trailer section of a message: usually empty.
///
/// Fields that carry framing, routing or anything else that RFC 9110, 6.5.1 keeps out of a trailer section are not in
/// it: the machine drops them.
pub type Trailers = Fields;

/// The version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and any later minor version, which is to be treated as it (RFC 9110, 2.5).
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}
