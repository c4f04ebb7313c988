//! Limits and timeouts of a client connection.

use core::time::Duration;

use crate::content::decode;
use crate::head::scan;

/// Limits and timeouts of a client connection.
///
/// ```
/// let config = drywire_http::client::Config { absolute_form: true, ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sends request targets in absolute form, for a connection to a proxy (RFC 9112, 3.2.2).
    pub absolute_form: bool,
    /// Bytes of a whole response head, 64 KiB by default and 16 MiB at most.
    pub max_head: usize,
    /// Field lines of a head, 100 by default.
    pub max_fields: usize,
    /// Informational responses in front of one final response, 16 by default.
    pub max_informational: usize,
    /// Bytes of content in one response, not limited by default. Content that the close ends is not counted.
    pub max_content: u64,
    /// Bytes of one chunk line, 1 KiB by default.
    pub max_chunk_line: usize,
    /// Bytes of all chunk extensions of one response, 16 KiB by default.
    pub max_chunk_extensions: u64,
    /// Bytes of a trailer section, 16 KiB by default.
    pub max_trailers: usize,
    /// Bytes from which on the send queue calls itself full, 64 KiB by default.
    pub send_high_water: usize,
    /// Unparsed bytes from which on no more are read while the caller is busy, 64 KiB by default.
    pub receive_high_water: usize,
    /// How long the connection may be idle before it closes; not limited by default.
    pub idle_timeout: Option<Duration>,
    /// How long the final response's head, or the next informational one, may take once the request has been sent;
    /// not limited by default.
    pub response_timeout: Option<Duration>,
    /// How long the content of a response may pause; not limited by default.
    pub content_timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            absolute_form: false,
            max_head: 64 * 1024,
            max_fields: 100,
            max_informational: 16,
            max_content: u64::MAX,
            max_chunk_line: 1024,
            max_chunk_extensions: 16 * 1024,
            max_trailers: 16 * 1024,
            send_high_water: 64 * 1024,
            receive_high_water: 64 * 1024,
            idle_timeout: None,
            response_timeout: None,
            content_timeout: None,
        }
    }
}

impl Config {
    pub(super) fn head_limits(&self) -> scan::Limits {
        scan::Limits { line: self.max_head, section: self.max_head, fields: self.max_fields }
    }

    pub(super) fn content_limits(&self) -> decode::Limits {
        decode::Limits {
            content: self.max_content,
            chunk_line: self.max_chunk_line,
            chunk_extensions: self.max_chunk_extensions,
            trailers: self.max_trailers,
            trailer_fields: self.max_fields,
        }
    }
}
