//! TCP, HTTP/1.1 and WebSocket as pure state machines: bytes and time in, bytes, events and deadlines out.
//!
//! This crate only gathers the others, so that one dependency is enough.
//!
//! ```text
//!                            drywire
//!       ┌──────────┬──────────┬─┴────────┬──────────────┐
//!      std       tokio       tun      your own         sim            sockets, packets, clocks; virtual time
//!       └──────────┴──┬───────┴──────────┘              │
//!                  driver                               │             the engine of every driver
//!                     └─────────┬───────────────────────┘
//!                         StreamMachine                               six methods
//!                   ┌───────────┴───────────┐
//!                 http ◀────── ws          tcp                        machines: no I/O, no clock, no randomness
//!                   └───────────┬───────────┘
//!                             core                                    Instant, RecvBuf, SendQueue
//! ```
//!
//! | module | what it holds | feature |
//! |---|---|---|
//! | [`tcp`] | segments and connections | |
//! | [`http`] | HTTP/1.1 and 1.0, server and client | |
//! | [`ws`] | WebSocket, from the opening handshake on | |
//! | `driver` | the engine of every driver, to write one for another runtime | `driver` (with `std`, `tokio` and `tun`) |
//! | `std` | the driver for `std::net`, a thread for each connection; HTTP handlers; WebSockets | `std` (default) |
//! | `client` | what HTTP clients decide: pool, redirects, retries, proxies, HSTS; with it `std::http` and `tokio::http` | `client` |
//! | `tokio` | the driver for tokio, a task for each connection; HTTP handlers; WebSocket as `Stream` and `Sink`; tower services | `tokio`, `tower` |
//! | `tun` | a stack of our own TCP on a TUN device of Linux, one thread | `tun` |
//! | `sim` | a seeded network with virtual time | `sim` |
//!
//! Without any feature it needs no standard library, only an allocator: the machines, with neither compression nor the types of
//! the `http` crate, which come with every other feature.
//!
//! # A server in the simulator, from first byte to close
//!
//! Nothing in here is a mock: with another driver the same machines serve real sockets.
//!
//! ```
//! # #[cfg(feature = "sim")] {
//! use drywire::http::{Length, PlainRequest, PlainResponse, client, server};
//! use drywire::sim::{Input, StreamPair};
//! use drywire::Instant;
//!
//! let now = Instant::ORIGIN;
//! let here = client::Connection::new(now, client::Config::default());
//! let there = server::Connection::new(now, server::Config::default());
//! let mut answer = Vec::new();
//! StreamPair::new(42, here, there).run(
//!     |cx, input| match input {
//!         Input::Connected => {
//!             let request = PlainRequest::new("GET", "/", &[("Host", "there")]);
//!             cx.machine().send_request(&request, Length::Known(0)).unwrap();
//!             cx.machine().finish(None).unwrap();
//!         }
//!         Input::Event(client::Event::Content(content)) => answer.extend_from_slice(&content),
//!         Input::Event(client::Event::End(_)) => cx.machine().shutdown(),
//!         _ => {}
//!     },
//!     |cx, input| {
//!         if let Input::Event(server::Event::Request(_)) = input {
//!             cx.machine().respond(&PlainResponse::new(200, &[]), Length::Known(5)).unwrap();
//!             cx.machine().send_content("hello".into()).unwrap();
//!             cx.machine().finish(None).unwrap();
//!         }
//!     },
//! ).unwrap();
//! assert_eq!(answer, b"hello");
//! # }
//! ```

#![no_std]

#[doc(inline)]
pub use drywire_core::{
    Buf, BufMut, Bytes, BytesMut, Close, Demand, Either, Instant, RecvBuf, Rng, Seed, SendQueue, StreamMachine,
};

pub use drywire_http as http;
pub use drywire_tcp as tcp;
pub use drywire_ws as ws;

#[cfg(feature = "client")]
pub use drywire_client as client;
#[cfg(feature = "driver")]
pub use drywire_driver as driver;
#[cfg(feature = "sim")]
pub use drywire_sim as sim;
#[cfg(feature = "std")]
pub use drywire_std as std;
#[cfg(feature = "tls")]
pub use drywire_tls as tls;
#[cfg(feature = "tokio")]
pub use drywire_tokio as tokio;
#[cfg(feature = "tun")]
pub use drywire_tun as tun;

/// Compiles the examples of the project's front page.
#[cfg(all(doctest, feature = "std", feature = "tokio"))]
#[doc = include_str!("../../../README.md")]
struct FrontPage;

/// Compiles and runs the examples of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/README.md")]
struct Guide;

/// Compiles and runs the examples of the guide's page on clients.
#[cfg(all(doctest, feature = "client", feature = "std", feature = "tokio"))]
#[doc = include_str!("../../../docs/guide/client.md")]
struct Clients;

/// Compiles and runs the examples of the guide's page on TLS.
#[cfg(all(doctest, feature = "self-signed", feature = "std"))]
#[doc = include_str!("../../../docs/guide/tls.md")]
struct Encryption;

/// Compiles and runs the examples of the guide's page on tokio.
#[cfg(all(doctest, feature = "tower"))]
#[doc = include_str!("../../../docs/guide/tokio.md")]
struct Tokio;

/// Compiles and runs the examples of the guide's page on other runtimes.
#[cfg(all(doctest, feature = "driver"))]
#[doc = include_str!("../../../docs/guide/other-runtimes.md")]
struct OtherRuntimes;

/// Compiles and runs the examples of the guide's page on threads and the readiness loop.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../../../docs/guide/std.md")]
struct WithoutExecutor;
