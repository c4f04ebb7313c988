//! Limits and timeouts of a client connection.

use core::time::Duration;

use crate::Lenient;
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
    /// Requests that may be under way at a time, 1 by default: no pipelining. Before it is raised, RFC 9112, 9.3.2 has
    /// to be considered: a request that is not idempotent should not have another one behind it.
    pub max_pipeline: usize,
    /// Bytes of a whole response head, 64 KiB by default and 16 MiB at most.
    pub max_head: usize,
    /// Bytes of one field line without its line end, 16 KiB by default.
    pub max_field_line: usize,
    /// Field lines of a head, 100 by default.
    pub max_fields: usize,
    /// Informational responses in front of one final response, 16 by default.
    pub max_informational: usize,
    /// Bytes of content in one response, not limited by default. Content that the close ends is not counted.
    pub max_content: u64,
    /// Bytes of one chunk line with its line end, 1 KiB by default.
    pub max_chunk_line: usize,
    /// Bytes of all chunk extensions of one response, with white space and leading zeros, 16 KiB by default.
    pub max_chunk_extensions: u64,
    /// Bytes of chunk extensions that each KiB of content allows on top, 16 by default.
    pub chunk_extension_rate: u64,
    /// Bytes of a trailer section, 16 KiB by default.
    pub max_trailers: usize,
    /// Field lines of a trailer section, 32 by default.
    pub max_trailer_fields: usize,
    /// Bytes from which on the send queue calls itself full, 64 KiB by default.
    pub send_high_water: usize,
    /// Unparsed bytes from which on no more are read while the caller is busy, 64 KiB by default.
    pub receive_high_water: usize,
    /// How long the connection may be idle before it closes; not limited by default.
    pub idle_timeout: Option<Duration>,
    /// How long content waits for 100 (Continue) where the request expects it, 1 s by default. Then it is sent: not
    /// every server knows the expectation (RFC 9110, 10.1.1).
    pub continue_timeout: Duration,
    /// How long the final response's head, or the next informational one, may take once the request has been sent;
    /// not limited by default.
    pub response_timeout: Option<Duration>,
    /// How long the content of a response may pause; not limited by default.
    pub content_timeout: Option<Duration>,
    /// How long the server may take nothing of what is queued for it; not limited by default. Then the connection is
    /// dropped.
    pub send_timeout: Option<Duration>,
    /// Broken rules that are overlooked; none by default.
    pub lenient: Lenient,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            absolute_form: false,
            max_pipeline: 1,
            max_head: 64 * 1024,
            max_field_line: 16 * 1024,
            max_fields: 100,
            max_informational: 16,
            max_content: u64::MAX,
            max_chunk_line: 1024,
            max_chunk_extensions: 16 * 1024,
            chunk_extension_rate: 16,
            max_trailers: 16 * 1024,
            max_trailer_fields: 32,
            send_high_water: 64 * 1024,
            receive_high_water: 64 * 1024,
            idle_timeout: None,
            continue_timeout: Duration::from_secs(1),
            response_timeout: None,
            content_timeout: None,
            send_timeout: None,
            lenient: Lenient::NONE,
        }
    }
}

impl Config {
    pub(super) fn head_limits(&self) -> scan::Limits {
        scan::Limits {
            line: self.max_head,
            field_line: self.max_field_line,
            section: self.max_head,
            fields: self.max_fields,
            lenient: self.lenient,
        }
    }

    pub(super) fn content_limits(&self) -> decode::Limits {
        decode::Limits {
            content: self.max_content,
            chunk_line: self.max_chunk_line,
            chunk_extensions: self.max_chunk_extensions,
            chunk_extension_rate: self.chunk_extension_rate,
            trailers: self.max_trailers,
            trailer_fields: self.max_trailer_fields,
            lenient: self.lenient,
        }
    }
}
