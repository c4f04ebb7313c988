//! The clients: what they have in common, whatever the protocol and the runtime.

mod access;
pub(crate) mod get;
mod run;
mod trust;
pub(crate) mod ws;

use std::ops::ControlFlow;
use std::task::Waker;

use drywire::{Instant, StreamMachine};
use http::Uri;

use crate::Failure;

/// Where a URL points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A name or an address, an IPv6 one without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether TLS leads there.
    pub(crate) is_secure: bool,
    /// The value of the `Host` field.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Destination {
    /// Reads a URL of this scheme, or of the one that is called the same with an `s` behind it and means TLS.
    pub(crate) fn of(url: &str, scheme: &str) -> Result<Self, Failure> {
        let not = |why: &str| Failure::usage(format_args!("'{url}' is not a URL that can be used: {why}"));
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| not(&error.to_string()))?;
        let is_secure = match uri.scheme_str().map(|given| given.strip_prefix(scheme)) {
            Some(Some("")) => false,
            Some(Some("s")) => true,
            Some(_) => return Err(not(&format!("only {scheme}:// and {scheme}s:// are supported"))),
            None => return Err(not(&format!("it does not begin with {scheme}:// or {scheme}s://"))),
        };
        let authority = uri.authority().ok_or_else(|| not("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(not("user names are not supported"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(not("it names no host"));
        }
        let port = match authority.as_str().get(authority.host().len()..) {
            None | Some("" | ":") if is_secure => 443,
            None | Some("" | ":") => 80,
            Some(_) => authority.port_u16().ok_or_else(|| not("the port is not a number below 65536"))?,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { host, port, is_secure, authority: authority.to_string(), target })
    }
}

/// A field line of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// `None`: leave the field out.
    pub(crate) value: Option<String>,
}

impl Field {
    /// Reads `Name: value`, `Name:` (leave it out) or `Name;` (send it empty), as curl does.
    pub(crate) fn of(text: &str) -> Result<Self, Failure> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
            None => match text.strip_suffix(';') {
                Some(name) => (name, Some("")),
                None => return Err(Failure::usage(format_args!("'{text}' is not a field line: it has no colon"))),
            },
        };
        Ok(Self { name: name.to_owned(), value: value.map(str::to_owned) })
    }

    /// Puts the fields of the command line in the place of the same ones in `defaults`, and the others behind.
    pub(crate) fn over(defaults: &[(&str, &str)], fields: &[Self]) -> Vec<(String, String)> {
        let given = |name: &str| fields.iter().any(|field| field.name.eq_ignore_ascii_case(name));
        let kept = defaults.iter().filter(|(name, _)| !given(name));
        let added = fields.iter().filter_map(|field| Some((&*field.name, field.value.as_deref()?)));
        kept.copied().chain(added).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// What uses a machine while a runtime drives it.
pub(crate) trait Application<M: StreamMachine> {
    /// Called once, before the first turn. `waker` makes [`turn`](Self::turn) be called again, from any thread.
    fn start(&mut self, waker: Waker) {
        let _ = waker;
    }

    /// Called whenever there may be room to send, and after a wake.
    fn turn(&mut self, now: Instant, machine: &mut M) -> Result<(), Failure> {
        let _ = (now, machine);
        Ok(())
    }

    /// Called with each event. `Break` ends the connection where it is.
    fn event(&mut self, now: Instant, machine: &mut M, event: M::Event) -> Result<ControlFlow<()>, Failure>;
}

const USER_AGENT: &str = concat!("drywire/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let of = |url| Destination::of(url, "http").unwrap();
        let plain = of("http://a.example");
        assert_eq!((&*plain.host, plain.port, plain.is_secure, &*plain.target), ("a.example", 80, false, "/"));
        let secure = Destination::of("wss://a.example:/x", "ws").unwrap();
        assert_eq!((secure.port, secure.is_secure, &*secure.target), (443, true, "/x"));
        assert_eq!((of("HTTPS://a:80").port, of("https://a:80").is_secure), (80, true));
        let full = of("http://127.0.0.1:8080/feed/poll?after=3#x");
        assert_eq!((full.port, &*full.authority, &*full.target), (8080, "127.0.0.1:8080", "/feed/poll?after=3"));
        assert_eq!(of("http://a?x").target, "/?x");
        let six = of("http://[::1]:81/");
        assert_eq!((&*six.host, &*six.authority), ("::1", "[::1]:81"));
        for url in [
            "",
            "a.example",
            "ws://a",
            "httpss://a",
            "http://",
            "https://",
            "http:///x",
            "http://a:99999/",
            "http://u@a/",
            "a b",
        ] {
            assert_eq!(Destination::of(url, "http").unwrap_err().status, 2, "{url}");
        }
    }

    #[test]
    fn fields_replace_and_remove_defaults() {
        let fields: Vec<_> =
            ["accept: text/html", "Host:", "X-Empty;", "X-More: a: b"].map(|f| Field::of(f).unwrap()).into();
        let all = Field::over(&[("Host", "a"), ("Accept", "*/*"), ("User-Agent", "u")], &fields);
        let all: Vec<_> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(all, [("User-Agent", "u"), ("accept", "text/html"), ("X-Empty", ""), ("X-More", "a: b")]);
        assert!(Field::of("no colon").is_err());
    }
}
