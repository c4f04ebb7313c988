//! Which route a request asks for.

use std::time::Duration;

/// What a request asks for, its arguments checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Page,
    Hello,
    Echo,
    /// So many bytes.
    Bytes(u64),
    WsEcho,
    Publish,
    Poll {
        after: u64,
    },
    LongPoll {
        after: u64,
        timeout: Duration,
    },
    Stream {
        after: u64,
        limit: Option<u64>,
    },
    /// `after` yields to a `Last-Event-ID` field.
    Events {
        after: u64,
    },
    /// Without `after`: from now on.
    FeedWs {
        after: Option<u64>,
    },
}

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    /// With the value of the `Allow` field (RFC 9110 10.2.1).
    MethodNotAllowed(&'static str),
    /// With a sentence for the user.
    BadRequest(String),
}

impl Route {
    /// How long a long poll is held when the client does not say.
    const TIMEOUT_DEFAULT: Duration = Duration::from_secs(25);
    /// How long a long poll is held at most.
    const TIMEOUT_MAX: u64 = 3600;

    /// The route of a request's method, path and query.
    pub(crate) fn of(method: &str, path: &str, query: &str) -> Result<Self, Refusal> {
        let count = path.strip_prefix("/bytes/");
        let allowed = match path {
            "/" | "/hello" | "/feed/poll" | "/feed/long-poll" | "/feed/stream" | "/feed/events" => READ,
            "/echo" => "POST, PUT",
            "/feed" => "POST",
            "/feed/ws" | "/ws/echo" => "GET",
            _ if count.is_some() => READ,
            _ => return Err(Refusal::NotFound),
        };
        if !allowed.split(", ").any(|allowed| allowed == method) {
            return Err(Refusal::MethodNotAllowed(allowed));
        }
        let argument = |name| argument(query, name);
        let after = || argument("after").map(|after| after.unwrap_or(0));
        Ok(match path {
            "/" => Self::Page,
            "/hello" => Self::Hello,
            "/echo" => Self::Echo,
            "/ws/echo" => Self::WsEcho,
            "/feed" => Self::Publish,
            "/feed/poll" => Self::Poll { after: after()? },
            "/feed/long-poll" => {
                let timeout = argument("timeout")?.map(|secs| Duration::from_secs(secs.min(Self::TIMEOUT_MAX)));
                Self::LongPoll { after: after()?, timeout: timeout.unwrap_or(Self::TIMEOUT_DEFAULT) }
            }
            "/feed/stream" => Self::Stream { after: after()?, limit: argument("limit")? },
            "/feed/events" => Self::Events { after: after()? },
            "/feed/ws" => Self::FeedWs { after: argument("after")? },
            _ => Self::Bytes(number("the number of bytes", count.unwrap_or(""))?),
        })
    }
}

/// The methods of a route that only reads.
const READ: &str = "GET, HEAD";

/// The number that the query's first argument of this name holds.
fn argument(query: &str, name: &str) -> Result<Option<u64>, Refusal> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| number(name, value)).transpose()
}

/// A decimal number without a sign.
pub(crate) fn number(name: &str, text: &str) -> Result<u64, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| text.parse().ok()).flatten();
    value.ok_or_else(|| Refusal::BadRequest(format!("{name} takes a whole number, not '{}'", text.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, target: &str) -> Result<Route, Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Route::of(method, path, query)
    }

    #[test]
    fn every_route_is_found() {
        let of = |target| route("GET", target).unwrap();
        assert_eq!(of("/"), Route::Page);
        assert_eq!(of("/?x=1"), Route::Page);
        assert_eq!(of("/hello"), Route::Hello);
        assert_eq!(of("/bytes/18446744073709551615"), Route::Bytes(u64::MAX));
        assert_eq!(of("/ws/echo"), Route::WsEcho);
        assert_eq!(of("/feed/poll"), Route::Poll { after: 0 });
        assert_eq!(of("/feed/poll?x=&after=7"), Route::Poll { after: 7 });
        let timeout = Duration::from_secs(3);
        assert_eq!(of("/feed/long-poll?after=7&timeout=3"), Route::LongPoll { after: 7, timeout });
        assert_eq!(of("/feed/stream?limit=2"), Route::Stream { after: 0, limit: Some(2) });
        assert_eq!(of("/feed/events?after=2"), Route::Events { after: 2 });
        assert_eq!(of("/feed/ws"), Route::FeedWs { after: None });
        assert_eq!(route("POST", "/feed"), Ok(Route::Publish));
        assert_eq!(route("PUT", "/echo"), Ok(Route::Echo));
        assert_eq!(route("HEAD", "/hello"), Ok(Route::Hello));
    }

    #[test]
    fn a_refusal_says_why() {
        for target in ["/nowhere", "/hello/", "/bytes", "*", ""] {
            assert_eq!(route("GET", target), Err(Refusal::NotFound), "{target}");
        }
        assert_eq!(route("GET", "/feed"), Err(Refusal::MethodNotAllowed("POST")));
        assert_eq!(route("get", "/hello"), Err(Refusal::MethodNotAllowed("GET, HEAD")));
        // The method is checked before the arguments.
        assert_eq!(route("POST", "/bytes/x"), Err(Refusal::MethodNotAllowed("GET, HEAD")));
        for target in
            ["/bytes/", "/bytes/-1", "/bytes/18446744073709551616", "/feed/poll?after=", "/feed/long-poll?timeout=1.5"]
        {
            assert!(matches!(route("GET", target), Err(Refusal::BadRequest(_))), "{target}");
        }
    }
}
