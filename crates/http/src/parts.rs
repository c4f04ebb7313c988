//! What a caller gives for the head of an outgoing message.

use alloc::borrow::Cow;

use crate::Fields;

/// The head of a request to be sent. The machine adds the framing fields and `Connection` itself.
///
/// Implemented by [`PlainRequest`] and, with feature `http`, by `http::Request<T>`.
pub trait RequestParts {
    /// The method, a token.
    fn method(&self) -> &str;

    /// The request target in the form to be sent.
    fn target(&self) -> Cow<'_, str>;

    /// The target in absolute form, for a request to a proxy (RFC 9112, 3.2.2). `None` where it is not known.
    fn absolute_target(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// The authority from which `Host` is written if the fields have none.
    fn authority(&self) -> Option<&str> {
        None
    }

    /// The field lines, in order.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

/// The head of a response to be sent. The machine adds the framing fields and `Connection` itself.
///
/// Implemented by [`PlainResponse`] and, with feature `http`, by `http::Response<T>`.
pub trait ResponseParts {
    /// The status code.
    fn status(&self) -> u16;

    /// The reason phrase; `None` for the registered one.
    fn reason(&self) -> Option<&str> {
        None
    }

    /// The field lines, in order.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])>;
}

/// A request head from borrowed strings, for use without the `http` crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The request target as it stands in the request line.
    pub target: &'a str,
    /// The field lines: name and value.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> PlainRequest<'a> {
    /// A request head. `fields` needs a `Host`.
    pub const fn new(method: &'a str, target: &'a str, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { method, target, fields }
    }
}

impl RequestParts for PlainRequest<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.target)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

/// A response head from borrowed strings, for use without the `http` crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainResponse<'a> {
    /// The status code.
    pub status: u16,
    /// The field lines: name and value.
    pub fields: &'a [(&'a str, &'a str)],
}

impl<'a> PlainResponse<'a> {
    /// A response head with the registered reason phrase.
    pub const fn new(status: u16, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { status, fields }
    }
}

impl ResponseParts for PlainResponse<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

/// A response head from a status and a list of field lines, such as [`Fields`] that were received.
impl ResponseParts for (u16, &Fields) {
    fn status(&self) -> u16 {
        self.0
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.1.iter()
    }
}

/// A request head from method, target and a list of field lines, such as [`Fields`] that were received.
impl RequestParts for (&str, &str, &Fields) {
    fn method(&self) -> &str {
        self.0
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.1)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.2.iter()
    }
}

/// How much content an outgoing message carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    /// Exactly this many bytes: `Content-Length`.
    ///
    /// In a response to `HEAD`, and in a 304, it is the length that the content would have.
    Known(u64),
    /// As many as will be sent: chunked, or ended by the close of the connection towards HTTP/1.0.
    Unknown,
}

/// The registered reason phrases (RFC 9110, 15, and the IANA registry).
pub(crate) const fn canonical_reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
