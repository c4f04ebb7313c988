//! A request as its author sees it: a URL, not yet a connection.

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use url::Url;

use crate::{InvalidCredentials, InvalidUrl, Origin, credentials};

/// A request to be sent, with content of the type `B`, which is the adapters' business.
///
/// ```
/// use drywire_client::Request;
///
/// let request = Request::post("http://a.example/tea")?
///     .field("accept", "text/plain")?
///     .basic("user", "secret")?
///     .with_content("two cups");
/// assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://a.example/tea"));
/// # Ok::<(), drywire_client::RequestError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Request<B = ()> {
    /// The method.
    pub method: Method,
    /// Where it goes: `http` or `https`. The fragment stays with the client.
    pub url: Url,
    /// The field lines. `Host` and the framing fields are written by the machine.
    pub fields: HeaderMap,
    /// The content.
    pub content: B,
    /// How long the whole exchange may take, to the end of the response and over all redirects. `None` takes the
    /// client's [`timeout`](crate::Config::timeout).
    pub timeout: Option<Duration>,
}

/// A request that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Its URL cannot be asked.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// A field name that is no token, or a field value with a control character (RFC 9110, 5.1 and 5.5).
    #[error("{0:?} is no field line")]
    InvalidField(String),
    /// Credentials that no field can carry.
    #[error(transparent)]
    Credentials(#[from] InvalidCredentials),
}

impl Request {
    /// A request without content.
    pub fn new(method: Method, url: &str) -> Result<Self, RequestError> {
        let url = Url::parse(url).map_err(InvalidUrl::from)?;
        Origin::of(&url)?;
        Ok(Self { method, url, fields: HeaderMap::new(), content: (), timeout: None })
    }

    /// `GET`.
    pub fn get(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::GET, url)
    }

    /// `HEAD`.
    pub fn head(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::HEAD, url)
    }

    /// `POST`.
    pub fn post(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::POST, url)
    }

    /// `PUT`.
    pub fn put(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::PUT, url)
    }

    /// `DELETE`.
    pub fn delete(url: &str) -> Result<Self, RequestError> {
        Self::new(Method::DELETE, url)
    }
}

impl<B> Request<B> {
    /// The same request with other content.
    #[must_use]
    pub fn with_content<C>(self, content: C) -> Request<C> {
        let Self { method, url, fields, timeout, .. } = self;
        Request { method, url, fields, content, timeout }
    }

    /// The request alone, and its content.
    pub fn split(self) -> (Request, B) {
        let Self { method, url, fields, content, timeout } = self;
        (Request { method, url, fields, content: (), timeout }, content)
    }

    /// Adds a field line.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, RequestError> {
        let invalid = || RequestError::InvalidField(format!("{name}: {value}"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
        self.fields.try_append(name, value).map_err(|_| invalid())?;
        Ok(self)
    }

    /// Authenticates by user and password (RFC 7617). Anybody between here and there reads them unless the URL is an
    /// `https` one.
    pub fn basic(mut self, user: &str, password: &str) -> Result<Self, RequestError> {
        self.fields.insert(AUTHORIZATION, credentials::basic(user, password)?);
        Ok(self)
    }

    /// Authenticates by a bearer token (RFC 6750).
    pub fn bearer(mut self, token: &str) -> Result<Self, RequestError> {
        self.fields.insert(AUTHORIZATION, credentials::bearer(token)?);
        Ok(self)
    }

    /// Bounds the time of the whole exchange.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A request in the types of the `http` crate, whose URI has to be absolute.
impl<B> TryFrom<http::Request<B>> for Request<B> {
    type Error = RequestError;

    fn try_from(request: http::Request<B>) -> Result<Self, RequestError> {
        let (parts, content) = request.into_parts();
        let url = |uri: &Uri| Request::new(parts.method.clone(), &uri.to_string());
        Ok(Self { fields: parts.headers, ..url(&parts.uri)?.with_content(content) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_cannot_be_made_are_told_before_anything_is_sent() {
        assert!(matches!(Request::get("a.example"), Err(RequestError::Url(InvalidUrl::Syntax(_)))));
        assert!(matches!(Request::get("mailto:a@b"), Err(RequestError::Url(InvalidUrl::UnsupportedScheme(_)))));
        assert!(matches!(Request::get("http://u:p@a/"), Err(RequestError::Url(InvalidUrl::UserInfo))));
        let get = || Request::get("http://a").unwrap();
        assert!(matches!(get().field("a b", "c"), Err(RequestError::InvalidField(_))));
        assert!(matches!(get().field("a", "b\r\nc: d"), Err(RequestError::InvalidField(_))));
        assert!(matches!(get().basic("a:b", ""), Err(RequestError::Credentials(_))));
        assert!(matches!(get().bearer(""), Err(RequestError::Credentials(_))));
    }

    #[test]
    fn requests_of_the_http_crate_are_taken() {
        let request = http::Request::post("http://a.example/x?y").header("a", "b").body("content").unwrap();
        let request = Request::try_from(request).unwrap();
        assert_eq!(
            (&request.method, request.url.as_str(), request.content),
            (&Method::POST, "http://a.example/x?y", "content")
        );
        assert_eq!(request.fields["a"], "b");
        let relative = http::Request::get("/x").body(()).unwrap();
        assert!(matches!(Request::try_from(relative), Err(RequestError::Url(InvalidUrl::Syntax(_)))));
    }
}
