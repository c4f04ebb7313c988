//! The head of a request, as one connection has to carry it.

use std::borrow::Cow;

use drywire_http::RequestParts;
use http::HeaderMap;
use http::header::{HeaderValue, PROXY_AUTHORIZATION};

use crate::origin::request_target;
use crate::{Origin, Request, Route};

/// The head of a request, as one connection has to carry it: its fields, those that every request has, and what the proxy
/// on the way wants.
#[derive(Debug)]
pub struct Head<'a> {
    request: &'a Request,
    defaults: &'a HeaderMap,
    authorization: Option<&'a HeaderValue>,
    target: String,
    authority: String,
}

impl<'a> Head<'a> {
    pub(super) fn new(request: &'a Request, defaults: &'a HeaderMap, route: Option<&'a Route>) -> Self {
        let authorization = match route {
            Some(Route::Forward(proxy)) => proxy.authorization.as_ref(),
            // What goes through a tunnel is not the proxy's to see.
            _ => None,
        };
        let origin = Origin::of(&request.url);
        Self {
            request,
            defaults,
            authorization,
            target: request_target(&request.url),
            authority: origin.map(|origin| origin.authority()).unwrap_or_default(),
        }
    }
}

impl RequestParts for Head<'_> {
    fn method(&self) -> &str {
        self.request.method.as_str()
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.target)
    }

    fn absolute_target(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Owned(format!("{}://{}{}", self.request.url.scheme(), self.authority, self.target)))
    }

    fn authority(&self) -> Option<&str> {
        Some(&self.authority)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let own = self.request.fields.iter();
        let defaults = self.defaults.iter().filter(|(name, _)| !self.request.fields.contains_key(*name));
        let proxy = self.authorization.iter().map(|value| (&PROXY_AUTHORIZATION, *value));
        own.chain(defaults).chain(proxy).map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}
