//! From the bytes of a stream to events (HTML standard, 9.2.5 and 9.2.6).

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Buf as _, Bytes};

/// An event that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The event's type: `message` unless the server gave another.
    pub event: String,
    /// The lines of data, with LF between them.
    pub data: String,
    /// The last id that the server gave, with this event or before it; empty where there was none.
    pub id: String,
}

/// How large lines and events may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one line, 64 KiB by default.
    pub max_line: usize,
    /// Bytes of all data lines of one event, 1 MiB by default.
    pub max_data: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_line: 64 * 1024, max_data: 1024 * 1024 }
    }
}

/// A stream that exceeds the [`Limits`]. Final: it is repeated by every later call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line is longer than [`max_line`](Limits::max_line).
    #[error("a line of the event stream is too long")]
    LineTooLong,
    /// The data of an event is larger than [`max_data`](Limits::max_data).
    #[error("an event of the event stream is too large")]
    EventTooLarge,
}

/// Reads an event stream that comes in any pieces. Every byte is looked at once.
///
/// An event is complete with the empty line behind it; one that the end of the stream cuts off is dropped with the
/// decoder, or by [`restart`](Self::restart).
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    error: Option<Error>,
    /// A line whose end has not come.
    line: Vec<u8>,
    /// The line before ended with CR, so that an LF at the front belongs to its end.
    after_cr: bool,
    /// No line has been read, so a byte order mark may stand in front.
    at_start: bool,
    event: String,
    /// Each line of data with an LF behind it.
    data: String,
    id: String,
    last_event_id: String,
    retry: Option<Duration>,
}

impl Decoder {
    /// A decoder for the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            error: None,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            event: String::new(),
            data: String::new(),
            id: String::new(),
            last_event_id: String::new(),
            retry: None,
        }
    }

    /// Takes bytes off the front of `input` up to the next complete event. `None`: `input` is used up.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Message>, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let result = self.read(input);
        self.error = result.as_ref().err().copied();
        result
    }

    /// The id of the last complete event that had one, for `Last-Event-ID`; empty where there was none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// How long the server wants clients to wait before they connect again, if it has said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Goes on with a new stream: drops an unfinished event and an error, keeps the last id and the waiting time.
    pub fn restart(&mut self) {
        let (last_event_id, retry) = (core::mem::take(&mut self.last_event_id), self.retry);
        *self = Self { id: last_event_id.clone(), last_event_id, retry, ..Self::new(self.limits) };
    }

    fn read(&mut self, input: &mut Bytes) -> Result<Option<Message>, Error> {
        while !input.is_empty() {
            if core::mem::take(&mut self.after_cr) && input.first() == Some(&b'\n') {
                input.advance(1);
                continue;
            }
            let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = input.split_to(end.unwrap_or(input.len()));
            if self.line.len() + part.len() > self.limits.max_line {
                return Err(Error::LineTooLong);
            }
            if end.is_none() {
                self.line.extend_from_slice(&part);
                break;
            }
            self.after_cr = input.first() == Some(&b'\r');
            input.advance(1);
            let message = if self.line.is_empty() {
                self.line(&part)?
            } else {
                let mut line = core::mem::take(&mut self.line);
                line.extend_from_slice(&part);
                self.line(&line)?
            };
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    fn line(&mut self, mut line: &[u8]) -> Result<Option<Message>, Error> {
        if core::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (name, value) = line.split_at(colon);
                let value = value.strip_prefix(b":").unwrap_or(value);
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        // A comment has an empty name, and unknown fields are ignored too.
        match name {
            b"event" => self.event = text(value).into_owned(),
            b"data" => {
                let value = text(value);
                if self.data.len() + value.len() >= self.limits.max_data {
                    return Err(Error::EventTooLarge);
                }
                self.data.push_str(&value);
                self.data.push('\n');
            }
            b"id" if !value.contains(&0) => self.id = text(value).into_owned(),
            b"retry" => {
                if let Some(retry) = milliseconds(value) {
                    self.retry = Some(retry);
                }
            }
            _ => {}
        }
        Ok(None)
    }

    /// "Dispatch the event": without data there is none.
    fn dispatch(&mut self) -> Option<Message> {
        self.last_event_id.clone_from(&self.id);
        let (event, mut data) = (core::mem::take(&mut self.event), core::mem::take(&mut self.data));
        // The LF behind the last line.
        data.pop()?;
        let event = if event.is_empty() { "message".to_string() } else { event };
        Some(Message { event, data, id: self.last_event_id.clone() })
    }
}

/// The UTF-8 decode algorithm of the Encoding standard: what is invalid becomes U+FFFD.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// ASCII digits alone; a number that is too large for 64 bits is the largest one.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        value.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(Duration::from_millis(number))
}
