//! The four forms of a request target (RFC 9112, 3.2) and `Host`.

use super::syntax::{host_len, is_host, target_len};

/// The form of a request target (RFC 9112, 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetForm {
    /// `/path?query`: a request to an origin server.
    Origin,
    /// `http://host/path?query`: a request to a proxy.
    Absolute,
    /// `host:port`: `CONNECT` alone.
    Authority,
    /// `*`: `OPTIONS` alone.
    Asterisk,
}

impl TargetForm {
    /// The form of a target that is to be sent.
    pub(crate) fn of_outgoing(method: &[u8], target: &[u8]) -> Option<Self> {
        if target_len(target) != target.len() || !is_percent_encoded(target) {
            return None;
        }
        Self::of(method, target)
    }

    /// The form of `target`, if it is one that `method` allows. Its characters are those of a target
    /// ([`target_len`]).
    pub(crate) fn of(method: &[u8], target: &[u8]) -> Option<Self> {
        // RFC 9112, 3.2.3: CONNECT takes this form only, and no other method does.
        if method == b"CONNECT" {
            return is_authority_with_port(target).then_some(Self::Authority);
        }
        match target {
            // RFC 9112, 3.2.4.
            b"*" => (method == b"OPTIONS").then_some(Self::Asterisk),
            // RFC 9112, 3.2.1.
            [b'/', ..] => Some(Self::Origin),
            // RFC 9112, 3.2.2.
            _ => {
                let (scheme, rest) = split_scheme(target)?;
                let authority = rest.split(|b| matches!(b, b'/' | b'?')).next().unwrap_or_default();
                // RFC 9110, 4.2.4: user information in an http URI is an error; RFC 9110, 4.2.1: so is an empty host.
                let valid = is_host_and_port(authority) && (!authority.is_empty() || !is_http(scheme));
                valid.then_some(Self::Absolute)
            }
        }
    }
}

fn is_http(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

/// `scheme "://" rest` (RFC 3986, 3.1). A URI without an authority has no meaning as a request target.
pub(crate) fn split_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = target.iter().position(|b| *b == b':')?;
    let (scheme, rest) = target.split_at_checked(colon)?;
    let rest = rest.strip_prefix(b"://")?;
    let (first, others) = scheme.split_first()?;
    let valid = first.is_ascii_alphabetic()
        && others.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

/// `uri-host ":" port`, where both must be there (RFC 9110, 9.3.6: an empty or invalid port is to be rejected).
fn is_authority_with_port(authority: &[u8]) -> bool {
    let Some((host, port)) = split_port(authority) else { return false };
    !host.is_empty() && is_uri_host(host) && port.and_then(port_number).is_some_and(|port| port != 0)
}

/// `uri-host [ ":" port ]`, the grammar of `Host` (RFC 9110, 7.2), in which both may be empty.
pub(crate) fn is_host_and_port(authority: &[u8]) -> bool {
    host_and_port(authority).is_some()
}

/// The parts of such an authority.
pub(crate) fn host_and_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    // Most are of these alone, which neither begin a port nor encode anything.
    if host_len(authority) == authority.len() {
        return Some((authority, None));
    }
    let (host, port) = split_port(authority)?;
    let port = match port {
        None | Some([]) => None,
        Some(port) => Some(port_number(port)?),
    };
    is_uri_host(host).then_some((host, port))
}

/// Splits at the colon that begins the port; `None` for what no bracket closes or a second colon spoils.
fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_len = match authority {
        [b'[', ..] => authority.iter().position(|b| *b == b']')? + 1,
        _ => authority.iter().position(|b| *b == b':').unwrap_or(authority.len()),
    };
    match authority.split_at_checked(host_len)? {
        (host, []) => Some((host, None)),
        (host, [b':', port @ ..]) => Some((host, Some(port))),
        _ => None,
    }
}

/// Digits alone, without a sign.
fn port_number(port: &[u8]) -> Option<u16> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| u16::from(*b - b'0'));
    let number = |number: u16, b| number.checked_mul(10)?.checked_add(digit(b)?);
    if port.is_empty() { None } else { port.iter().try_fold(0, number) }
}

/// `IP-literal / IPv4address / reg-name` (RFC 3986, 3.2.2).
fn is_uri_host(host: &[u8]) -> bool {
    match host {
        [b'[', b'v' | b'V', future @ .., b']'] => is_future_address(future),
        [b'[', address @ .., b']'] => {
            core::str::from_utf8(address).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok())
        }
        _ => is_reg_name(host),
    }
}

/// `1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`, behind the `v`.
fn is_future_address(address: &[u8]) -> bool {
    let mut parts = address.splitn(2, |b| *b == b'.');
    let (version, address) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_version = !version.is_empty() && version.iter().all(u8::is_ascii_hexdigit);
    is_version && !address.is_empty() && address.iter().all(|b| *b == b':' || (is_host(*b) && *b != b'%'))
}

/// `*( unreserved / pct-encoded / sub-delims )`, of which an IPv4 address is one.
fn is_reg_name(name: &[u8]) -> bool {
    name.iter().all(|b| is_host(*b)) && is_percent_encoded(name)
}

/// Whether two hexadecimal digits follow every `%` (RFC 3986, 2.1).
pub(crate) fn is_percent_encoded(target: &[u8]) -> bool {
    let encodes = |behind: &[u8]| matches!(behind, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    // Most targets have none, and this is the quick way to know.
    !target.contains(&b'%') || target.split(|b| *b == b'%').skip(1).all(encodes)
}

/// The authority inside a target that has one.
pub(crate) fn authority(target: &str, form: TargetForm) -> Option<&str> {
    match form {
        TargetForm::Authority => Some(target),
        TargetForm::Absolute => target.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next()),
        TargetForm::Origin | TargetForm::Asterisk => None,
    }
}

pub(crate) fn path_and_query(target: &str, form: TargetForm) -> (&str, Option<&str>) {
    let whole = match form {
        TargetForm::Authority => return ("", None),
        TargetForm::Origin | TargetForm::Asterisk => target,
        TargetForm::Absolute => {
            let rest = target.split_once("://").map_or("", |(_, rest)| rest);
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or_default()
        }
    };
    let (path, query) = match whole.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (whole, None),
    };
    // RFC 9110, 4.2.3: an empty path is that of the root.
    (if path.is_empty() { "/" } else { path }, query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9112_3_2_each_form_goes_with_its_methods() {
        let form = |method: &str, target: &str| TargetForm::of_outgoing(method.as_bytes(), target.as_bytes());
        assert_eq!(form("GET", "/"), Some(TargetForm::Origin));
        assert_eq!(form("GET", "/where?q=now"), Some(TargetForm::Origin));
        assert_eq!(form("GET", "//x"), Some(TargetForm::Origin));
        assert_eq!(form("GET", "http://www.example.org/pub/WWW/TheProject.html"), Some(TargetForm::Absolute));
        assert_eq!(form("GET", "http://example.org"), Some(TargetForm::Absolute));
        assert_eq!(form("GET", "http://[::1]:80?q"), Some(TargetForm::Absolute));
        assert_eq!(form("CONNECT", "www.example.com:80"), Some(TargetForm::Authority));
        assert_eq!(form("CONNECT", "[2001:db8::1]:443"), Some(TargetForm::Authority));
        assert_eq!(form("OPTIONS", "*"), Some(TargetForm::Asterisk));

        for (method, target) in [
            ("GET", ""),
            ("GET", "*"),
            ("GET", "host:80"),
            ("GET", "index.html"),
            ("GET", "http:/x"),
            ("GET", "http:///x"),
            ("GET", "http://user@host/"),
            ("GET", "1http://host/"),
            ("GET", "/a#b"),
            ("GET", "/a b"),
            ("GET", "/\u{e4}"),
            ("CONNECT", "/"),
            ("CONNECT", "host"),
            ("CONNECT", "host:"),
            ("CONNECT", "host:0"),
            ("CONNECT", "host:65536"),
            ("CONNECT", ":80"),
            ("CONNECT", "http://host:80/"),
            ("OPTIONS", "**"),
        ] {
            assert_eq!(form(method, target), None, "{method} {target}");
        }
    }

    #[test]
    fn rfc9110_7_2_host_is_a_host_with_an_optional_port() {
        for valid in ["", "a", "a.example:80", "a:", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b", "%41", "[v1.x:y]"] {
            assert!(is_host_and_port(valid.as_bytes()), "{valid}");
        }
        for invalid in
            ["a b", "a:b", "a:80:80", "[::1", "::1", "[::g]", "[::1]x", "a/b", "u@h", "a:65536", "%4", "a\\b"]
        {
            assert!(!is_host_and_port(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn rfc9110_4_2_3_an_empty_path_is_the_root() {
        assert_eq!(path_and_query("http://h", TargetForm::Absolute), ("/", None));
        assert_eq!(path_and_query("http://h?q", TargetForm::Absolute), ("/", Some("q")));
        assert_eq!(path_and_query("http://h/p?q?r", TargetForm::Absolute), ("/p", Some("q?r")));
        assert_eq!(path_and_query("/p", TargetForm::Origin), ("/p", None));
        assert_eq!(path_and_query("*", TargetForm::Asterisk), ("*", None));
        assert_eq!(authority("http://h:1/p", TargetForm::Absolute), Some("h:1"));
    }
}
