//! To and from the types of the `http` crate.

use alloc::borrow::Cow;
use alloc::string::ToString;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Fields, RequestHead, ResponseHead, Version};
use crate::{RequestParts, ResponseParts};

impl From<Version> for http::Version {
    fn from(version: Version) -> Self {
        match version {
            Version::Http10 => Self::HTTP_10,
            Version::Http11 => Self::HTTP_11,
        }
    }
}

impl Fields {
    /// The fields as a map; values share this section's memory.
    ///
    /// The order among fields of different names and the case of names are lost.
    pub fn to_header_map(&self) -> Result<HeaderMap, http::Error> {
        let mut map = HeaderMap::try_with_capacity(self.len())?;
        self.append_to(&mut map)?;
        Ok(map)
    }

    fn append_to(&self, map: &mut HeaderMap) -> Result<(), http::Error> {
        for (known, name, value) in self.shared() {
            let name = match known.header_name() {
                Some(name) => name,
                None => HeaderName::from_bytes(name)?,
            };
            map.try_append(name, HeaderValue::from_maybe_shared(value)?)?;
        }
        Ok(())
    }
}

impl RequestHead {
    /// The head in `http` types, whose values share its memory. Fails for a target that the `http` crate takes for no
    /// URI.
    pub fn into_request(self) -> Result<http::Request<()>, http::Error> {
        self.into_request_with(HeaderMap::new())
    }

    /// As [`into_request`](Self::into_request), with a map whose entries are dropped and whose storage is used again,
    /// such as that of the last response.
    pub fn into_request_with(self, mut headers: HeaderMap) -> Result<http::Request<()>, http::Error> {
        headers.clear();
        headers.try_reserve(self.fields.len())?;
        let mut request = http::Request::new(());
        *request.headers_mut() = headers;
        self.fields.append_to(request.headers_mut())?;
        *request.method_mut() = http::Method::from_bytes(self.method().as_bytes())?;
        *request.uri_mut() = http::Uri::from_maybe_shared(self.target_bytes())?;
        *request.version_mut() = self.version().into();
        Ok(request)
    }
}

impl ResponseHead {
    /// The head in `http` types, whose values share its memory, without the reason phrase.
    pub fn into_response(self) -> Result<http::Response<()>, http::Error> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.status())?;
        *response.version_mut() = self.version().into();
        *response.headers_mut() = self.field_section().to_header_map()?;
        Ok(response)
    }
}

impl TryFrom<RequestHead> for http::Request<()> {
    type Error = http::Error;

    fn try_from(head: RequestHead) -> Result<Self, http::Error> {
        head.into_request()
    }
}

impl TryFrom<ResponseHead> for http::Response<()> {
    type Error = http::Error;

    fn try_from(head: ResponseHead) -> Result<Self, http::Error> {
        head.into_response()
    }
}

impl<T> RequestParts for http::Request<T> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    /// Authority form for `CONNECT`, else path and query.
    fn target(&self) -> Cow<'_, str> {
        let uri = self.uri();
        match (uri.authority(), uri.path_and_query()) {
            (Some(authority), _) if self.method() == http::Method::CONNECT => Cow::Borrowed(authority.as_str()),
            (_, Some(path_and_query)) => Cow::Borrowed(path_and_query.as_str()),
            (_, None) => Cow::Borrowed("/"),
        }
    }

    fn absolute_target(&self) -> Option<Cow<'_, str>> {
        let uri = self.uri();
        (uri.scheme().is_some() && uri.authority().is_some()).then(|| Cow::Owned(uri.to_string()))
    }

    fn authority(&self) -> Option<&str> {
        // RFC 9110, 4.2.4: user information is not sent.
        let authority = self.uri().authority()?.as_str();
        Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}

impl<T> ResponseParts for http::Response<T> {
    fn status(&self) -> u16 {
        self.status().as_u16()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
    }
}
