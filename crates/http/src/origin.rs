//! Where a request comes from: the `Origin` field of browsers, and who may ask (RFC 6454; RFC 6455, 10.2; Fetch, 3.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use crate::head::target::{host_and_port, split_scheme};
use crate::{Fields, RequestHead};

/// A serialised origin (RFC 6454, 6.2): scheme, host and port, or `null`.
///
/// ```
/// use drywire_http::origin::Origin;
///
/// let origin = Origin::parse("https://Example.com:443").expect("an origin");
/// assert_eq!(origin, Origin::parse("https://example.com").expect("the same"));
/// assert_eq!(origin.port(), Some(443));
/// assert_eq!(Origin::parse("https://example.com/path"), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `None`: an opaque origin, such as that of a sandboxed page, which equals no other.
    parts: Option<Parts<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    scheme: &'a [u8],
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Reads the value of an `Origin` field. `None` for what is no origin.
    pub fn parse(origin: &'a str) -> Option<Self> {
        if origin == "null" {
            return Some(Self { parts: None });
        }
        let (scheme, authority) = split_scheme(origin.as_bytes())?;
        let (host, port) = host_and_port(authority).filter(|(host, _)| !host.is_empty())?;
        Some(Self { parts: Some(Parts { scheme, host, port: port.or(default_port(scheme)) }) })
    }

    /// Whether this is `null`: sandboxed pages, local files, and what has been redirected from elsewhere.
    pub fn is_opaque(&self) -> bool {
        self.parts.is_none()
    }

    /// The port: the scheme's own where it is left out.
    pub fn port(&self) -> Option<u16> {
        self.parts.and_then(|parts| parts.port)
    }

    /// Whether the origin's host and port are those of `authority`, in which a missing port is the default one of the
    /// origin's scheme.
    pub fn is_at(&self, authority: &str) -> bool {
        let Some((parts, (host, port))) = self.parts.zip(host_and_port(authority.as_bytes())) else { return false };
        host.eq_ignore_ascii_case(parts.host) && port.or(default_port(parts.scheme)) == parts.port
    }
}

/// The same scheme, host and port (RFC 6454, 5). Opaque origins differ from all, from themselves too, since their
/// `null` does not say which one it is.
impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.parts.zip(other.parts).is_some_and(|(one, other)| {
            one.scheme.eq_ignore_ascii_case(other.scheme)
                && one.host.eq_ignore_ascii_case(other.host)
                && one.port == other.port
        })
    }
}

/// Which origins a server accepts.
///
/// A request without `Origin` does not come from a script of another page, which is all that this can guard against
/// (RFC 6455, 10.2): every policy lets it pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Pages from the host and port that the request is for. The scheme is not compared, because a server behind a
    /// TLS proxy does not know its own; a port that is left out is the default one of the origin's scheme.
    #[default]
    SameOrigin,
    /// Pages from anywhere: for services that authenticate each message, or have no secrets.
    Any,
    /// Pages from these origins, such as `https://example.com`. `null` names sandboxed pages and local files.
    List(Vec<String>),
    /// Pages from the host and port that the request is for, and from these origins.
    SameOriginAnd(Vec<String>),
}

impl OriginPolicy {
    /// Whether a page from `origin` may ask `authority`, the host and port that its request is for.
    pub fn allows(&self, origin: &str, authority: &str) -> bool {
        match self {
            Self::Any => true,
            Self::SameOrigin => is_same(origin, authority),
            Self::List(list) => is_listed(origin, list),
            Self::SameOriginAnd(list) => is_same(origin, authority) || is_listed(origin, list),
        }
    }

    /// Whether this request may be served: it names no origin, or one that is allowed.
    pub fn admits(&self, request: &RequestHead) -> bool {
        self.admits_fields(request.authority().unwrap_or_default(), request.field_section())
    }

    /// The same for a request of another version of HTTP, by its authority and its fields.
    pub fn admits_fields(&self, authority: &str, fields: &Fields) -> bool {
        let mut origins = fields.field_values("origin");
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => str::from_utf8(origin).is_ok_and(|origin| self.allows(origin, authority)),
            // RFC 6454, 7.3: there is one.
            (Some(_), Some(_)) => false,
        }
    }
}

fn is_same(origin: &str, authority: &str) -> bool {
    Origin::parse(origin).is_some_and(|origin| origin.is_at(authority))
}

fn is_listed(origin: &str, list: &[String]) -> bool {
    list.iter().any(|allowed| match (Origin::parse(allowed), Origin::parse(origin)) {
        (Some(allowed), Some(origin)) if !allowed.is_opaque() => allowed == origin,
        // `null`, or a scheme without hosts.
        _ => allowed == origin,
    })
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[track_caller]
    fn same(origin: &str, authority: &str, expected: bool) {
        assert_eq!(OriginPolicy::SameOrigin.allows(origin, authority), expected, "{origin} at {authority}");
    }

    #[test]
    fn rfc6454_5_same_host_and_port_with_defaults() {
        for (origin, authority) in [
            ("http://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("http://example.com:80", "example.com"),
            ("https://example.com", "example.com"),
            ("https://example.com", "example.com:443"),
            ("https://example.com:8443", "example.com:8443"),
            ("HTTP://EXAMPLE.com", "example.COM"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://[::1]", "[::1]:80"),
            ("http://example.com", "example.com:"),
        ] {
            same(origin, authority, true);
        }
        for (origin, authority) in [
            ("http://example.com", "example.org"),
            ("http://example.com", "example.com:8080"),
            ("http://example.com:8080", "example.com"),
            ("http://example.com", "example.com:443"),
            ("https://example.com", "example.com:80"),
            ("http://example.com.evil.example", "example.com"),
            ("http://evil.example/example.com", "example.com"),
            ("http://example.com@evil.example", "example.com"),
            ("http://evil@example.com", "example.com"),
            ("http://[::1]", "[::2]"),
            ("null", "example.com"),
            ("null", "null"),
            ("", ""),
            ("http://", ""),
            ("example.com", "example.com"),
            ("http://example.com:x", "example.com:x"),
            ("http://example.com:+80", "example.com"),
            ("http://example.com:99999", "example.com:99999"),
            ("file://", "example.com"),
        ] {
            same(origin, authority, false);
        }
    }

    #[test]
    fn rfc6454_6_2_a_serialised_origin_is_scheme_host_and_port() {
        for origin in ["http://a", "https://a:8443", "http://[::1]:80", "moz-extension://0a-1b", "null"] {
            assert!(Origin::parse(origin).is_some(), "{origin}");
        }
        for origin in [
            "",
            "a",
            "http:a",
            "http:/a",
            "http://",
            "http://a/",
            "http://a?b",
            "http://a#b",
            "http://u@a",
            "http://a b",
            "://a",
            "1http://a",
            "http://[::1",
            "http://a:b",
            "http://a:1:2",
            "http://a, http://b",
            "http://a http://b",
            "NULL",
            "http://\u{e4}",
        ] {
            assert_eq!(Origin::parse(origin), None, "{origin}");
        }
        assert_ne!(Origin::parse("null"), Origin::parse("null"), "opaque origins are not the same");
        assert!(Origin::parse("null").unwrap().is_opaque());
    }

    #[test]
    fn a_list_compares_scheme_host_and_port() {
        let policy =
            OriginPolicy::List(vec!["https://example.com".into(), "http://localhost:3000".into(), "null".into()]);
        for origin in ["https://example.com", "https://EXAMPLE.com:443", "http://localhost:3000", "null"] {
            assert!(policy.allows(origin, "elsewhere"), "{origin}");
        }
        for origin in
            ["http://example.com", "https://example.com:444", "http://localhost", "", "https://example.com.evil"]
        {
            assert!(!policy.allows(origin, "example.com"), "{origin}");
        }
        assert!(OriginPolicy::Any.allows("null", "example.com"));
        let policy = OriginPolicy::SameOriginAnd(vec!["https://example.com".into()]);
        assert!(
            policy.allows("https://example.com", "api.example") && policy.allows("http://api.example", "api.example")
        );
        assert!(!policy.allows("http://example.com", "api.example"));
    }
}
