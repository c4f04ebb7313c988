//! Newline-delimited JSON, or any text of a line a record, over a response that does not end.
//!
//! Records end with LF or CR LF; empty lines, which servers send to keep a connection alive, are skipped. What a line
//! holds is not looked at.
//!
//! ```
//! use drywire_core::Bytes;
//! use drywire_http::ndjson::{Decoder, line};
//!
//! let mut decoder = Decoder::new(Decoder::MAX_LINE);
//! let mut content = Bytes::from("{\"a\":1}\n{\"a\"");
//! assert_eq!(decoder.decode(&mut content)?, Some("{\"a\":1}".into()));
//! assert_eq!(decoder.decode(&mut content)?, None);
//! let mut content = Bytes::from(":2}\n");
//! assert_eq!(decoder.decode(&mut content)?, Some("{\"a\":2}".into()));
//! assert_eq!(line("{\"a\":3}"), Some("{\"a\":3}\n".into()));
//! # Ok::<(), drywire_http::ndjson::LineTooLong>(())
//! ```

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// A line that is longer than allowed. Final: it is repeated by every later call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is too long")]
pub struct LineTooLong;

/// Reads records that come in any pieces. Every byte is looked at once, and a record that comes in one piece is not
/// copied.
#[derive(Clone, Debug)]
pub struct Decoder {
    max_line: usize,
    /// A line whose end has not come.
    line: BytesMut,
    failed: bool,
}

impl Decoder {
    /// A limit that suits most uses: 1 MiB.
    pub const MAX_LINE: usize = 1024 * 1024;

    /// A decoder for lines of at most so many bytes, line end included.
    pub fn new(max_line: usize) -> Self {
        Self { max_line, line: BytesMut::new(), failed: false }
    }

    /// Takes bytes off the front of `input` up to the end of the next record, which is returned without its line end.
    /// `None`: `input` is used up.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, LineTooLong> {
        while !self.failed && !input.is_empty() {
            let end = input.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let part = input.split_to(end.unwrap_or(input.len()));
            if self.line.len() + part.len() > self.max_line {
                self.failed = true;
                self.line = BytesMut::new();
                break;
            }
            if end.is_none() {
                self.line.extend_from_slice(&part);
                break;
            }
            let line = if self.line.is_empty() {
                part
            } else {
                self.line.extend_from_slice(&part);
                core::mem::take(&mut self.line).freeze()
            };
            let line = without_end(line);
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
        if self.failed { Err(LineTooLong) } else { Ok(None) }
    }

    /// The stream has ended: a last record whose line end is missing. It may be whole, or cut off.
    pub fn finish(self) -> Option<Bytes> {
        Some(without_end(self.line.freeze())).filter(|line| !line.is_empty())
    }
}

/// A record as content to be sent; `None` where it holds a line break.
pub fn line(record: &str) -> Option<Bytes> {
    if record.contains(['\r', '\n']) {
        return None;
    }
    let mut line = BytesMut::with_capacity(record.len() + 1);
    line.put_slice(record.as_bytes());
    line.put_u8(b'\n');
    Some(line.freeze())
}

fn without_end(mut line: Bytes) -> Bytes {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.truncate(line.remaining() - 1);
        }
    }
    line
}
