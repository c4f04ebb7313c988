//! The head of a response, and how much content it has.

use drywire_http::{Length, ResponseParts};
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http_body::Body;

/// A response's head.
pub(super) struct Head<'a>(pub(super) &'a Parts);

impl ResponseParts for Head<'_> {
    fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
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
