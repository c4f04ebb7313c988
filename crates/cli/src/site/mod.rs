//! What `drywire serve` serves, as a machine: it runs on tokio, on threads, and over the simulated network alike.

mod exchange;
mod feed;
mod route;
mod session;
mod socket;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use drywire::http::cors::{Cors, RequestFields};
use drywire::http::origin::OriginPolicy;
use drywire::ws::deflate::Pool;
use drywire::{Bytes, Instant, http, ws};

pub(crate) use feed::Feed;
pub(crate) use session::{Event, Session, SessionError};

/// The largest event, in bytes.
const EVENT_MAX: usize = 64 * 1024;

/// What all connections of a server share. Clones are cheap and share one feed.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) feed: Feed,
    /// The limits and times of each connection.
    pub(crate) http: http::server::Config,
    pub(crate) ws: ws::Config,
    /// What compresses the messages of all WebSockets.
    compressors: Pool,
    /// What pages of other origins may do.
    pub(crate) cors: Arc<Cors>,
    /// The content of `/bytes/N`, again and again.
    block: Bytes,
    /// The head of the response that is measured most.
    hello: Arc<http::PreparedResponse>,
}

/// The content of `/hello`.
const HELLO: &[u8] = b"hello, world\n";

const SERVER: (&str, &str) = ("Server", concat!("drywire/", env!("CARGO_PKG_VERSION")));
const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

impl Site {
    pub(crate) fn new() -> Self {
        const LINE: &[u8; 64] = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n";
        let hello = http::PlainResponse::new(200, &[SERVER, TEXT]);
        let hello = http::PreparedResponse::new(&hello, http::Length::Known(HELLO.len() as u64));
        Self {
            hello: Arc::new(hello.expect("both fields are valid")),
            feed: Feed::default(),
            http: http::server::Config::default(),
            ws: ws::Config::default(),
            compressors: Pool::default(),
            cors: Arc::default(),
            block: LINE.repeat(1024).into(),
        }
    }

    /// Lets pages of these origins use the site, beside its own; `*` is all.
    pub(crate) fn allow(&mut self, origins: Vec<String>) {
        let origins = if origins.iter().any(|origin| origin == "*") {
            OriginPolicy::Any
        } else {
            OriginPolicy::SameOriginAnd(origins)
        };
        self.cors = Arc::new(Cors {
            origins,
            methods: vec!["PUT".to_owned()],
            request_fields: RequestFields::Any,
            max_age: Some(Duration::from_secs(600)),
            ..Cors::default()
        });
    }
}

/// Tells the date from a machine's own time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    origin: SystemTime,
}

impl Calendar {
    /// `date` is the date at `now`.
    pub(crate) fn new(now: Instant, date: SystemTime) -> Self {
        Self { origin: date.checked_sub(now - Instant::ORIGIN).unwrap_or(SystemTime::UNIX_EPOCH) }
    }

    /// The `Date` field's value at `now` (RFC 9110 5.6.7).
    fn http_date(self, now: Instant) -> String {
        let since: Duration = now - Instant::ORIGIN;
        httpdate::fmt_http_date(self.origin.checked_add(since).unwrap_or(self.origin))
    }
}

#[cfg(test)]
mod tests;
