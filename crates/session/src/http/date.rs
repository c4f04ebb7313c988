//! The `Date` of a response.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use drywire_http::ResponseParts;

/// The first second that four digits of a year cannot tell.
const YEAR_10000: u64 = 253_402_300_800;

/// A response's head, with the date that it lacks.
#[derive(Clone, Copy, Debug)]
pub struct Dated<'a, P> {
    parts: &'a P,
    date: Option<&'a str>,
}

impl<P: ResponseParts> ResponseParts for Dated<'_, P> {
    fn status(&self) -> u16 {
        self.parts.status()
    }

    fn reason(&self) -> Option<&str> {
        self.parts.reason()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts.fields().chain(self.date.map(|date| (&b"date"[..], date.as_bytes())))
    }
}

/// The date as `Date` wants it (RFC 9110, 5.6.7), written anew when the second has changed.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    second: u64,
    text: String,
}

impl Calendar {
    /// A calendar that has not been asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The head with the date, unless it has one (RFC 9110, 6.6.1: an origin server with a clock sends one). `now` counts
    /// from the Unix epoch.
    pub fn date<'a, P: ResponseParts>(&'a mut self, now: Duration, parts: &'a P) -> Dated<'a, P> {
        let second = now.as_secs();
        if second >= YEAR_10000 || parts.fields().any(|(name, _)| name.eq_ignore_ascii_case(b"date")) {
            return Dated { parts, date: None };
        }
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            // Writing to a string does not fail.
            let _ = write!(self.text, "{}", httpdate::HttpDate::from(UNIX_EPOCH + now));
        }
        Dated { parts, date: Some(&self.text) }
    }
}
