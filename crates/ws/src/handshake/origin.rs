//! Which web pages may connect (RFC 6455, 4.2.2 and 10.2; RFC 6454).

use alloc::string::String;
use alloc::vec::Vec;

/// Which origins a server accepts.
///
/// A request without `Origin` does not come from a web page, which is all that this can guard against (RFC 6455,
/// 10.2): every policy lets it pass.
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
}

impl OriginPolicy {
    /// Whether a page from `origin` may connect to `authority`, the host and port that its request is for.
    pub(super) fn allows(&self, origin: &str, authority: &str) -> bool {
        match self {
            Self::Any => true,
            Self::SameOrigin => Origin::parse(origin).is_some_and(|origin| origin.is_at(authority)),
            Self::List(list) => list.iter().any(|allowed| match (Origin::parse(allowed), Origin::parse(origin)) {
                (Some(allowed), Some(origin)) => allowed.equals(&origin),
                // `null`, or a scheme without hosts.
                _ => allowed == origin,
            }),
        }
    }
}

/// Scheme, host and port (RFC 6454, 4).
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Reads a serialised origin (RFC 6454, 6.2).
    fn parse(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let (host, port) = split_port(authority)?;
        Some(Self { scheme, host, port: port.or(default_port(scheme)) })
    }

    fn equals(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }

    fn is_at(&self, authority: &str) -> bool {
        split_port(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(self.host) && port.or(default_port(self.scheme)) == self.port
        })
    }
}

/// Host and port of an authority (RFC 3986, 3.2); `None` where it is malformed or has more than these.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand in brackets.
    let host_end = authority.find(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(host_end..)?.find(':') {
        None => (authority, None),
        Some(at) => {
            let (host, port) = authority.split_at_checked(host_end + at)?;
            // RFC 3986, 3.2.3: the colon may stand without a port.
            (host, Some(port.get(1..)?).filter(|port| !port.is_empty()))
        }
    };
    if host.is_empty() || host.contains(['/', '@', '?', '#']) {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some((host, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
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
    }
}
