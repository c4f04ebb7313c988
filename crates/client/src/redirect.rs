//! Where a redirect leads, and what of the request goes along (RFC 9110, 15.4).

use drywire_http::ResponseHead;
use http::Method;
use http::header::{
    self, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, COOKIE,
    EXPECT, HOST, HeaderName, LAST_MODIFIED, ORIGIN, PROXY_AUTHORIZATION, REFERER, TRANSFER_ENCODING,
};
use url::Url;

use crate::{InvalidUrl, Origin, Request};

/// Which redirects are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// How many are followed for one request: 10. With 0 none is, and the redirect itself is the response.
    pub limit: usize,
    /// Whether `https` may lead to `http`. Not by default: everybody on the way would read what TLS was to hide.
    pub allow_insecure: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { limit: 10, allow_insecure: false }
    }
}

/// A redirect that is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// More redirects than the limit.
    #[error("more than {0} redirects")]
    TooMany(usize),
    /// The same method and URL again: there is no cookie and no cache that could make the answer another one.
    #[error("the redirects go round in a circle, back to {0}")]
    Loop(Url),
    /// From `https` to `http`.
    #[error("a redirect from https to {0}")]
    Insecure(Url),
    /// `Location` is no reference to a URL that can be asked.
    #[error("Location leads nowhere: {0}")]
    InvalidLocation(#[from] InvalidUrl),
}

/// The request that `head`, an answer to `request`, redirects to. `None`: it is no redirect, or one that has to be the
/// user's decision: a choice (300), without a `Location`, or one that would send content again that is gone. `secure`
/// turns a URL into one for TLS where its host asks for it.
pub(crate) fn follow(
    policy: &Policy,
    request: &Request,
    is_replayable: bool,
    head: &ResponseHead,
    secure: impl FnOnce(&mut Url),
) -> Result<Option<Request>, RedirectError> {
    let Some(method) = method(head.status(), &request.method) else { return Ok(None) };
    let Some(location) = head.field("location") else { return Ok(None) };
    let keeps_content = method == request.method;
    if keeps_content && !is_replayable {
        return Ok(None);
    }
    let mut url = target(&request.url, location)?;
    secure(&mut url);
    let (from, to) = (Origin::of(&request.url)?, Origin::of(&url)?);
    if from.is_secure && !to.is_secure && !policy.allow_insecure {
        return Err(RedirectError::Insecure(url));
    }
    let mut next = Request { method, url, ..request.clone() };
    let mut remove = |names: &[HeaderName]| names.iter().for_each(|name| drop(next.fields.remove(name)));
    // RFC 9110, 15.4: what was written for the request's own target.
    remove(&[HOST]);
    if from != to {
        // Credentials are for whom they were given to. `Origin` and `Referer` say where the request came from, which the
        // next server has no business to know from us.
        remove(&[AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, ORIGIN, REFERER]);
    }
    if !keeps_content {
        remove(&[
            CONTENT_ENCODING,
            CONTENT_LANGUAGE,
            CONTENT_LENGTH,
            CONTENT_LOCATION,
            CONTENT_TYPE,
            HeaderName::from_static("content-digest"),
            HeaderName::from_static("digest"),
            header::TRAILER,
            EXPECT,
            LAST_MODIFIED,
            TRANSFER_ENCODING,
        ]);
    }
    Ok(Some(next))
}

/// The method of the request that follows.
fn method(status: u16, method: &Method) -> Option<Method> {
    match (status, method) {
        // RFC 9110, 15.4.2 and 15.4.3: "a user agent MAY change the request method from POST to GET".
        (301 | 302, &Method::POST) => Some(Method::GET),
        // RFC 9110, 15.4.4: a GET or HEAD, whatever the method was.
        (303, &Method::HEAD) => Some(Method::HEAD),
        (303, _) => Some(Method::GET),
        // RFC 9110, 15.4.8 and 15.4.9: "MUST NOT change the request method".
        (301 | 302 | 307 | 308, method) => Some(method.clone()),
        _ => None,
    }
}

fn target(from: &Url, location: &[u8]) -> Result<Url, InvalidUrl> {
    // Servers send UTF-8 here, though the field is made for ASCII.
    let location = String::from_utf8_lossy(location);
    let mut url = from.join(&location)?;
    // RFC 9110, 10.2.2: a Location without a fragment inherits that of the URL that led here.
    if url.fragment().is_none() {
        url.set_fragment(from.fragment());
    }
    Origin::of(&url)?;
    Ok(url)
}
