//! What an HTTP client decides between two connections, without a socket, a clock or randomness.
//!
//! Which connection a request takes, what happens when it is lost, where a redirect leads, which proxy stands in between,
//! which address of several is tried when: these are policies, and they are the same on every runtime. So they stand here
//! once, as values and machines, and the clients of `drywire-std` and `drywire-tokio` only do what these say.
//!
//! # In scope
//!
//! - [`Plan`]: the way of one request to its response; [`Dial`]: the making of one connection
//! - [`Pool`](pool::Pool): kept connections, limits, and who waits
//! - [redirects](redirect) (RFC 9110, 15.4), repeated requests (RFC 9110, 9.2.2), [HSTS](hsts) (RFC 6797)
//! - [`Proxies`], [`Tunnel`]: absolute form, `CONNECT`, and what the environment says
//! - [`Names`](names::Names): a cache of addresses; [`Race`](race::Race): Happy Eyeballs (RFC 8305)
//! - [`credentials`]: basic and bearer; [`Backoff`] and [`Reconnect`]: pauses between tries
//!
//! # Out of scope
//!
//! Cookies: a jar needs the public suffix list and a policy for each application, so a `Cookie` field is the caller's to
//! write and to guard (it does not follow redirects to another origin). Caching, content codings, SOCKS, challenges
//! (`WWW-Authenticate`), `Alt-Svc`, and HTTP/2.
//!
//! # An exchange, from request to response
//!
//! A driver does what the machines say; here nobody does, and the answers are made up.
//!
//! ```
//! use std::task::{Poll, Waker};
//! use drywire_client::{Config, Plan, Request, Shared, dial, hsts::UnixTime, plan};
//! use drywire_core::Instant;
//! use drywire_http::Length;
//!
//! let now = Instant::ORIGIN;
//! // The connections of this client are strings.
//! let mut shared = Shared::<&str>::new(Config::default(), UnixTime(1_800_000_000));
//! let request = Request::get("http://a.example/tea")?;
//! let mut plan = Plan::new(now, &shared, request, Length::Known(0), true);
//!
//! // There is no connection yet: one has to be made.
//! let Poll::Ready(Ok(plan::Action::Dial(mut dial))) = plan.poll(now, &mut shared, Waker::noop()) else { panic!() };
//! let Some(dial::Action::Resolve(name)) = dial.next(now, &mut shared.names)? else { panic!() };
//! assert_eq!(name, "a.example");
//! dial.resolved(now, &mut shared.names, Ok(vec!["192.0.2.1".parse()?]));
//! let Some(dial::Action::Connect(address)) = dial.next(now, &mut shared.names)? else { panic!() };
//! assert_eq!(address.to_string(), "192.0.2.1:80");
//! dial.connected();
//! assert!(dial.next(now, &mut shared.names)?.is_none());
//! plan.connected();
//!
//! // The request goes out on it; when the response has been read, it is kept.
//! let Poll::Ready(Ok(plan::Action::Exchange)) = plan.poll(now, &mut shared, Waker::noop()) else { panic!() };
//! let lease = plan.take_lease().expect("a place in the pool");
//! shared.pool.keep(now, lease, "a connection");
//! assert_eq!(shared.pool.idle(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backoff;
mod config;
pub mod credentials;
pub mod dial;
mod error;
mod exchange;
pub mod hsts;
pub mod names;
mod origin;
pub mod plan;
pub mod pool;
mod proxies;
pub mod race;
mod reconnect;
pub mod redirect;
mod request;
mod route;
mod shared;
#[cfg(test)]
mod tables;
mod trace;
mod tunnel;

pub use backoff::Backoff;
pub use config::Config;
pub use credentials::InvalidCredentials;
pub use dial::Dial;
pub use error::Error;
pub use exchange::{Exchange, ExchangeError};
pub use origin::{InvalidUrl, Origin, request_target};
pub use plan::Plan;
pub use proxies::{InvalidProxy, Proxies, ProxyFault};
pub use reconnect::Reconnect;
pub use redirect::RedirectError;
pub use request::{Request, RequestError};
pub use route::{Proxy, Route};
pub use shared::Shared;
pub use trace::{Seen, Trace};
pub use tunnel::{Opened, Tunnel, TunnelError};

pub use http::{HeaderMap, Method, header};
pub use url::{Host, Url};
