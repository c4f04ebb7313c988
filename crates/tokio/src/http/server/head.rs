//! The head of a response: its length, and its date.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use drywire_http::{Length, ResponseParts};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, DATE};
use http::response::Parts;
use http_body::Body;

/// A response's head, and the date that it lacks.
pub(super) struct Dated<'a> {
    parts: &'a Parts,
    date: Option<&'a str>,
}

impl ResponseParts for Dated<'_> {
    fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let date = self.date.map(|date| (&b"date"[..], date.as_bytes()));
        let fields = self.parts.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        fields.chain(date)
    }
}

/// The date as `Date` wants it, written anew when the second has changed.
#[derive(Debug)]
pub(super) struct Calendar {
    is_used: bool,
    second: u64,
    text: String,
}

impl Calendar {
    pub(super) fn new(is_used: bool) -> Self {
        Self { is_used, second: 0, text: String::new() }
    }

    /// The head with a date, unless it has one (RFC 9110, 6.6.1: an origin server with a clock sends one).
    pub(super) fn date<'a>(&'a mut self, parts: &'a Parts) -> Dated<'a> {
        if !self.is_used || parts.headers.contains_key(DATE) {
            return Dated { parts, date: None };
        }
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text.clear();
            // Writing to a string does not fail.
            let _ = write!(self.text, "{}", httpdate::HttpDate::from(now));
        }
        Dated { parts, date: Some(&self.text) }
    }
}

/// How much content is announced: what the head says, else what the body knows of itself.
pub(super) fn length(parts: &mut Parts, body: &impl Body, is_head: bool) -> Length {
    if matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        // RFC 9110, 8.6: no length in 204, where axum writes one.
        parts.headers.remove(CONTENT_LENGTH);
        return Length::Known(0);
    }
    let said = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match (said, body.size_hint().exact()) {
        (Some(length), _) => Length::Known(length),
        // In answer to HEAD, an empty body says nothing of what GET would get.
        (None, Some(0)) if is_head => Length::Unknown,
        (None, Some(length)) => Length::Known(length),
        (None, None) => Length::Unknown,
    }
}

/// Whether the response has content at all (RFC 9110, 6.4.1).
pub(super) fn has_content(parts: &Parts, is_head: bool) -> bool {
    let never = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
    !is_head && !never.contains(&parts.status)
}
