//! The chunked transfer coding, decoded (RFC 9112, 7.1).

use drywire_core::RecvBuf;

use super::decode::{Limits, Step, take};
use crate::head::scan::{self, Kind, Scanner};
use crate::head::syntax;
use crate::{Error, Fields};

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first digit of a size.
    Size,
    /// A further digit, white space, an extension or the line end.
    MoreSize,
    /// White space behind a size: only an extension may follow.
    BeforeExtension,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

/// A decoder that looks at every byte once.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    /// The size that is being read, then the bytes of data that are missing.
    size: u64,
    /// Bytes of the chunk line so far.
    line: usize,
    /// Bytes of chunk extensions so far, in all lines.
    extensions: u64,
    /// Bytes that all sizes so far announced.
    announced: u64,
    trailers: Scanner,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { at: At::Size, size: 0, line: 0, extensions: 0, announced: 0, trailers: Scanner::new(Kind::Trailers) }
    }
}

impl Chunked {
    pub(crate) fn decode(&mut self, recv: &mut RecvBuf, limits: &Limits) -> Result<Step, Error> {
        let mut used = 0;
        let mut judged = Ok(());
        while !matches!(self.at, At::Data | At::Trailers)
            && let Some(&byte) = recv.get(used)
        {
            judged = self.step(byte, limits);
            if judged.is_err() {
                break;
            }
            used += 1;
        }
        recv.skip(used);
        judged?;
        match self.at {
            At::Data => {
                let step = take(&mut self.size, recv).map_or(Step::Blocked, Step::Content);
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                Ok(step)
            }
            At::Trailers => {
                let bounds = scan::Limits { line: 0, section: limits.trailers, fields: limits.trailer_fields };
                if !self.trailers.scan(recv, &bounds)? {
                    return Ok(Step::Blocked);
                }
                let mut fields = self.trailers.take(recv).fields;
                drop_forbidden(&mut fields);
                Ok(Step::End(fields))
            }
            _ => Ok(Step::Blocked),
        }
    }

    /// Judges one byte of the framing around the data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<(), Error> {
        let in_line = !matches!(self.at, At::DataCr | At::DataLf);
        if in_line {
            self.line += 1;
            if self.line > limits.chunk_line {
                return Err(Error::ChunkExtensionsTooLong);
            }
        }
        self.at = match (self.at, byte) {
            (At::Size | At::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // RFC 9112, 7.1: "Recipients MUST anticipate potentially large hexadecimal numerals".
                self.size = self.size.checked_mul(16).ok_or(Error::ChunkSizeOverflow)? | u64::from(digit);
                At::MoreSize
            }
            (At::MoreSize | At::Extension, b'\r') => {
                self.announced = self.announced.saturating_add(self.size);
                if self.announced > limits.content {
                    return Err(Error::ContentTooLarge);
                }
                At::SizeLf
            }
            // RFC 9112, 7.1.1: white space before the semicolon is bad, but has to be parsed.
            (At::MoreSize | At::BeforeExtension, b' ' | b'\t') => At::BeforeExtension,
            (At::MoreSize | At::BeforeExtension, b';') => At::Extension,
            (At::Size | At::MoreSize | At::BeforeExtension | At::Extension, b'\n') => {
                return Err(Error::BareLf);
            }
            (At::Size | At::MoreSize | At::BeforeExtension, _) => return Err(Error::InvalidChunkSize),
            // RFC 9112, 7.1.1: a recipient ignores extensions that it does not know, and limits their length.
            (At::Extension, _) if syntax::is_value(byte) => {
                self.extensions += 1;
                if self.extensions > limits.chunk_extensions {
                    return Err(Error::ChunkExtensionsTooLong);
                }
                At::Extension
            }
            (At::Extension, _) => return Err(Error::InvalidChunkExtension),
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.size == 0 { At::Trailers } else { At::Data }
            }
            (At::SizeLf, _) => return Err(Error::BareCr),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::DataCr | At::DataLf, _) => return Err(Error::MissingChunkEnd),
            (At::Data | At::Trailers, _) => self.at,
        };
        Ok(())
    }
}

/// RFC 9110, 6.5.1: fields that frame, route, modify, authenticate or describe the content come too late in a trailer
/// section; merged into a head they would be an attack.
const FORBIDDEN: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
];

pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

fn drop_forbidden(fields: &mut Fields) {
    let Fields { bytes, spans } = fields;
    spans.retain(|span| !is_forbidden_trailer(crate::head::slice(bytes, span.name, span.name_len)));
}
