//! Where a URL points, and what of it goes on the wire.

use std::fmt::{self, Write as _};

use url::{Host, Url};

/// Scheme, host and port (RFC 6454, 4): what a connection belongs to, and what bounds the reach of credentials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Whether TLS protects it: `https` and `wss`, as opposed to `http` and `ws`.
    pub is_secure: bool,
    /// The host.
    pub host: Host,
    /// The port, the scheme's own where the URL names none.
    pub port: u16,
}

/// A URL that no request can be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It is no absolute URL (RFC 3986, 4.3).
    #[error("not an absolute URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// A scheme other than `http`, `https`, `ws` and `wss`.
    #[error("the scheme {0} is not supported")]
    UnsupportedScheme(String),
    /// It names no host (RFC 9110, 4.2.1).
    #[error("the URL names no host")]
    MissingHost,
    /// It names a user. RFC 9110, 4.2.4: "a sender MUST NOT generate the userinfo subcomponent", and in a reference from
    /// elsewhere "it is likely being used to obscure the authority".
    #[error("a user name in a URL is not supported")]
    UserInfo,
    /// Its port is 0.
    #[error("port 0 cannot be connected to")]
    InvalidPort,
}

impl Origin {
    /// The origin of an absolute URL.
    pub fn of(url: &Url) -> Result<Self, InvalidUrl> {
        let is_secure = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            other => return Err(InvalidUrl::UnsupportedScheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::UserInfo);
        }
        let host = url.host().ok_or(InvalidUrl::MissingHost)?.to_owned();
        let port = url.port_or_known_default().unwrap_or_else(|| default_port(is_secure));
        if port == 0 {
            return Err(InvalidUrl::InvalidPort);
        }
        Ok(Self { is_secure, host, port })
    }

    /// Host and port, as a `CONNECT` names them: the port always stands (RFC 9112, 3.2.3).
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The value of `Host`: without the port where it is the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.is_secure) { self.host.to_string() } else { self.host_and_port() }
    }
}

impl fmt::Display for Origin {
    /// As an `http` or `https` URL without a path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_secure { "https" } else { "http" }, self.authority())
    }
}

fn default_port(is_secure: bool) -> u16 {
    if is_secure { 443 } else { 80 }
}

/// Path and query in origin form (RFC 9112, 3.2.1).
///
/// The URL standard leaves some characters as they are that RFC 3986 does not allow in a path or a query; those are
/// percent-encoded here.
pub fn request_target(url: &Url) -> String {
    let mut target = String::with_capacity(url.path().len() + 1);
    encode(url.path(), &mut target);
    if target.is_empty() {
        target.push('/');
    }
    if let Some(query) = url.query() {
        target.push('?');
        encode(query, &mut target);
    }
    target
}

fn encode(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let is_allowed = match byte {
            b'%' => bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
            // RFC 3986, 3.3 and 3.4: unreserved, sub-delims, ":", "@", "/" and "?".
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
        };
        if is_allowed {
            out.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Result<Origin, InvalidUrl> {
        Origin::of(&Url::parse(url)?)
    }

    #[test]
    fn rfc6454_4_an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("http://A.example/x"), origin("http://a.example:80"));
        assert_eq!(origin("wss://a.example"), origin("https://a.example:443"));
        assert_ne!(origin("https://a.example"), origin("http://a.example:443"));
        assert_ne!(origin("http://a.example"), origin("http://b.example"));
        let six = origin("http://[::1]:81/").unwrap();
        assert_eq!((six.authority(), six.host_and_port()), ("[::1]:81".into(), "[::1]:81".into()));
        let plain = origin("https://a.example").unwrap();
        assert_eq!((plain.authority(), plain.host_and_port()), ("a.example".into(), "a.example:443".into()));
        assert_eq!(plain.to_string(), "https://a.example");
    }

    #[test]
    fn rfc9110_4_2_urls_that_cannot_be_asked() {
        assert_eq!(origin("ftp://a"), Err(InvalidUrl::UnsupportedScheme("ftp".into())));
        assert_eq!(origin("http://u@a/"), Err(InvalidUrl::UserInfo));
        assert_eq!(origin("http://:p@a/"), Err(InvalidUrl::UserInfo));
        assert_eq!(origin("http://a:0/"), Err(InvalidUrl::InvalidPort));
        assert_eq!(origin("a.example"), Err(InvalidUrl::Syntax(url::ParseError::RelativeUrlWithoutBase)));
        assert_eq!(origin("http://"), Err(InvalidUrl::Syntax(url::ParseError::EmptyHost)));
    }

    #[test]
    fn rfc3986_3_3_what_no_target_holds_is_percent_encoded() {
        let target = |url: &str| request_target(&Url::parse(url).unwrap());
        assert_eq!(target("http://a"), "/");
        assert_eq!(target("http://a?x"), "/?x");
        assert_eq!(target("http://a/p/../q?a=b#f"), "/q?a=b");
        assert_eq!(target("http://a/ä b|c?l[]=1&m={2}"), "/%C3%A4%20b%7Cc?l%5B%5D=1&m=%7B2%7D");
        assert_eq!(target("http://a/50%?%4"), "/50%25?%254");
    }
}
