//! Limits and timeouts of a server connection.

use core::time::Duration;

use crate::Lenient;
use crate::content::decode;
use crate::head::scan;

/// Limits and timeouts of a server connection. The defaults are safe for a server that faces the internet.
///
/// ```
/// let config = drywire_http::server::Config { max_content: 1 << 20, ..Default::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Bytes of a request line without its line end, 8 KiB by default; beyond it 414.
    pub max_request_line: usize,
    /// Bytes of a whole head, 64 KiB by default and 16 MiB at most; beyond it 431.
    pub max_head: usize,
    /// Bytes of one field line without its line end, 16 KiB by default; beyond them 431.
    pub max_field_line: usize,
    /// Field lines of a head, 100 by default; beyond them 431.
    pub max_fields: usize,
    /// Empty lines that are skipped in front of a request line, 4 by default; beyond them 400.
    pub max_empty_lines: usize,
    /// Bytes of content in one request, not limited by default; beyond them 413.
    pub max_content: u64,
    /// Bytes of one chunk line with its line end, 1 KiB by default; beyond them 400.
    pub max_chunk_line: usize,
    /// Bytes of all chunk extensions of one request, with white space and leading zeros, 16 KiB by default; beyond
    /// them 400.
    pub max_chunk_extensions: u64,
    /// Bytes of chunk extensions that each KiB of content allows on top, 16 by default: long content may carry a
    /// signature in each chunk, and short chunks may not carry long extensions for ever.
    pub chunk_extension_rate: u64,
    /// Bytes of a trailer section, 16 KiB by default; beyond them 431.
    pub max_trailers: usize,
    /// Field lines of a trailer section, 32 by default; beyond them 431.
    pub max_trailer_fields: usize,
    /// Informational responses in front of one final response, 100 by default. More are refused.
    pub max_informational: usize,
    /// Bytes from which on the send queue calls itself full, 64 KiB by default. It holds at most this, one more piece
    /// of content and one head.
    pub send_high_water: usize,
    /// Unparsed bytes from which on no more are read while the caller is busy, 64 KiB by default.
    pub receive_high_water: usize,
    /// Bytes of a request that are dropped to keep the connection when its response ended early, 256 KiB by default.
    /// With more to come, the connection closes instead.
    pub drain_limit: u64,
    /// Bytes that are dropped while lingering, so that the peer gets to see the last response; 16 MiB by default.
    pub linger_limit: u64,
    /// Whether [`Event::Ready`](super::Event::Ready) is told; not by default. Few servers ask, and it costs every exchange a poll.
    pub tell_ready: bool,
    /// How long a connection may wait for the first byte of a request, 60 s by default. Then it closes.
    pub idle_timeout: Option<Duration>,
    /// How long a head may take from its first byte on, 30 s by default. Then 408.
    pub head_timeout: Option<Duration>,
    /// How long content may pause, 30 s by default. Then 408.
    pub content_timeout: Option<Duration>,
    /// Bytes that a client has to send in each second that its content is waited for, 100 by default; 0 for no such
    /// bound. It has `content_timeout` of grace, and where that is `None` there is no bound either. It applies until
    /// the response begins: what streams both ways may rest in between. Below it 408.
    pub min_content_rate: u64,
    /// How long the peer may take nothing of what is queued for it, 60 s by default. Then the connection is dropped.
    pub send_timeout: Option<Duration>,
    /// How long to wait for the peer's end once ours has been sent, 5 s by default.
    pub linger_timeout: Duration,
    /// Broken rules that are overlooked; none by default.
    pub lenient: Lenient,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_request_line: 8 * 1024,
            max_head: 64 * 1024,
            max_field_line: 16 * 1024,
            max_fields: 100,
            max_empty_lines: 4,
            max_content: u64::MAX,
            max_chunk_line: 1024,
            max_chunk_extensions: 16 * 1024,
            chunk_extension_rate: 16,
            max_trailers: 16 * 1024,
            max_trailer_fields: 32,
            max_informational: 100,
            send_high_water: 64 * 1024,
            receive_high_water: 64 * 1024,
            drain_limit: 256 * 1024,
            linger_limit: 16 * 1024 * 1024,
            tell_ready: false,
            idle_timeout: Some(Duration::from_secs(60)),
            head_timeout: Some(Duration::from_secs(30)),
            content_timeout: Some(Duration::from_secs(30)),
            min_content_rate: 100,
            send_timeout: Some(Duration::from_secs(60)),
            linger_timeout: Duration::from_secs(5),
            lenient: Lenient::NONE,
        }
    }
}

impl Config {
    pub(super) fn head_limits(&self) -> scan::Limits {
        scan::Limits {
            line: self.max_request_line,
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
