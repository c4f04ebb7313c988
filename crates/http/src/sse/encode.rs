//! From events to the lines of a stream (HTML standard, 9.2.5).

use alloc::string::String;
use core::fmt::Write as _;
use core::time::Duration;

use bytes::Bytes;

/// An event to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    kind: Option<&'a str>,
    data: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<Duration>,
}

/// An [`Event`] that the format cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event's type holds a line break (HTML standard, 9.2.5).
    #[error("the type of an event holds a line break")]
    InvalidType,
    /// The id holds a line break, or a NUL, for which a client would ignore it (HTML standard, 9.2.6).
    #[error("the id of an event holds a line break or a NUL")]
    InvalidId,
}

impl<'a> Event<'a> {
    /// An event of type `message`. Every line break in `data`, of whatever kind, arrives as LF.
    pub const fn new(data: &'a str) -> Self {
        Self { kind: None, data: Some(data), id: None, retry: None }
    }

    /// No event, but how long clients are to wait before they connect again, in whole milliseconds.
    pub const fn retry_after(retry: Duration) -> Self {
        Self { kind: None, data: None, id: None, retry: Some(retry) }
    }

    /// Gives the event a type of its own.
    #[must_use]
    pub const fn event(mut self, event: &'a str) -> Self {
        self.kind = Some(event);
        self
    }

    /// Gives the event an id, from which on a client asks for more when it connects again. An empty one makes the
    /// client forget the last.
    #[must_use]
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }

    /// Tells clients with this event how long to wait before they connect again, in whole milliseconds.
    #[must_use]
    pub const fn retry(mut self, retry: Duration) -> Self {
        self.retry = Some(retry);
        self
    }

    /// The block of lines that carries the event.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let breaks = ['\r', '\n'];
        if self.kind.is_some_and(|kind| kind.contains(breaks)) {
            return Err(EncodeError::InvalidType);
        }
        if self.id.is_some_and(|id| id.contains(breaks) || id.contains('\0')) {
            return Err(EncodeError::InvalidId);
        }
        let mut block = String::with_capacity(32 + self.data.map_or(0, str::len));
        let mut line = |name: &str, value: &str| {
            // The space is dropped by the reader, and keeps one that the value begins with.
            block.extend([name, ": ", value, "\n"]);
        };
        if let Some(kind) = self.kind {
            line("event", kind);
        }
        if let Some(id) = self.id {
            line("id", id);
        }
        for data in self.data.into_iter().flat_map(lines) {
            line("data", data);
        }
        if let Some(retry) = self.retry {
            let _ = writeln!(block, "retry: {}", retry.as_millis());
        }
        block.push('\n');
        Ok(block.into())
    }
}

/// A comment, which clients ignore: sent every fifteen seconds or so, it keeps proxies from closing a quiet connection
/// (HTML standard, 9.2.7).
pub fn comment(text: &str) -> Bytes {
    let mut block = String::with_capacity(text.len() + 4);
    for line in lines(text) {
        block.extend([": ", line, "\n"]);
    }
    block.push('\n');
    block.into()
}

/// The text between line breaks: CR LF, LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.find(['\r', '\n']) else { return rest.take() };
        let (line, behind) = text.split_at_checked(at)?;
        rest = behind.strip_prefix("\r\n").or_else(|| behind.get(1..));
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_9_2_5_an_event_is_a_block_of_lines() {
        assert_eq!(Event::new("hello").encode().unwrap(), "data: hello\n\n");
        assert_eq!(Event::new("").encode().unwrap(), "data: \n\n");
        let all = Event::new(" a").event("kind").id("7").retry(Duration::from_millis(1500));
        assert_eq!(all.encode().unwrap(), "event: kind\nid: 7\ndata:  a\nretry: 1500\n\n");
        assert_eq!(Event::retry_after(Duration::from_secs(1)).encode().unwrap(), "retry: 1000\n\n");
    }

    #[test]
    fn html_9_2_5_every_line_break_begins_a_data_line() {
        for text in ["a\nb", "a\rb", "a\r\nb"] {
            assert_eq!(Event::new(text).encode().unwrap(), "data: a\ndata: b\n\n");
        }
        assert_eq!(Event::new("\r\n\n\r").encode().unwrap(), "data: \ndata: \ndata: \ndata: \n\n");
        assert_eq!(
            Event::new("x\rid: 9\n\ndata: y").encode().unwrap(),
            "data: x\ndata: id: 9\ndata: \ndata: data: y\n\n"
        );
        assert_eq!(comment("a\rdata: b"), ": a\n: data: b\n\n");
    }

    #[test]
    fn html_9_2_5_types_and_ids_hold_no_line_break() {
        for text in ["a\nb", "a\rb", "\n"] {
            assert_eq!(Event::new("").event(text).encode(), Err(EncodeError::InvalidType));
            assert_eq!(Event::new("").id(text).encode(), Err(EncodeError::InvalidId));
        }
        assert_eq!(Event::new("").id("a\0").encode(), Err(EncodeError::InvalidId));
    }
}
