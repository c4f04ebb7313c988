//! HTTP/1.1 as a pure state machine: bytes and time in, bytes, events and deadlines out.
//!
//! Two machines, [`server::Connection`] and [`client::Connection`], take a whole connection from its first byte to its
//! close: exchange after exchange, in HTTP/1.1 and 1.0, until one side ends it or another protocol takes over. Each is
//! a [`StreamMachine`](drywire_core::StreamMachine), so any driver can carry it.
//!
//! The reading side is strict, because two recipients that read the same bytes differently are how requests are
//! smuggled: every line ends with CRLF, every name is a token, every length is plain digits, and what breaks a rule is
//! refused at the byte that breaks it, with an [`Error`] of its own and the right answer already in the send queue.
//!
//! # In scope
//!
//! - heads: request and status lines, field sections, target forms, `Host` (RFC 9112, 2 to 5; RFC 9110, 5 and 7)
//! - content: `Content-Length`, chunked both ways with trailers, close-delimited (RFC 9112, 6 and 7)
//! - connections: persistence, pipelining on both sides, closing in stages, timeouts, minimum rates (RFC 9112, 9)
//! - heads that are encoded once and sent often ([`PreparedResponse`], [`PreparedRequest`])
//! - `Expect: 100-continue` with its deadline, informational responses, `Upgrade`, `CONNECT` (RFC 9110)
//! - on top: [Server-Sent Events](sse), [newline-delimited records](ndjson), the [origin] of a request and [CORS](cors)
//!
//! # Out of scope
//!
//! Sockets and TLS (the drivers), routing, content codings, caching, ranges and conditions, cookies, redirects, the
//! `Date` field (there is no clock here), HTTP/2 and later.
//!
//! # States
//!
//! ```text
//!   server                                               client
//!
//!    Idle ──▶ Head ──▶ Receiving ──▶ Received ─▶ Upgraded    Idle ──▶ Sending ──▶ Waiting ─▶ Upgraded
//!     ▲ ▲                  │             │                    ▲ ▲        │           │
//!     │ │                  ▼             ▼                    │ │        ▼           ▼
//!     │ └── Draining ◀── Duplex ──▶ Responding                │ │      Duplex ──▶ Receiving
//!     └──────────────────────────────────┘                    │ │        │           │
//!                                                             │ └─── Answered        │
//!    Lingering, Closing ──▶ Closed                            └──────────────────────┘   Closed
//! ```
//!
//! Down is the beginning of the response, right the end of the request, back to `Idle` the end of both.
//!
//! # A connection, from first byte to close
//!
//! ```
//! use drywire_core::{Bytes, Close, Instant, RecvBuf, StreamMachine};
//! use drywire_http::{Length, PlainResponse, server};
//!
//! let now = Instant::ORIGIN;
//! let mut recv = RecvBuf::new();
//! let mut connection = server::Connection::new(now, server::Config::default());
//!
//! // Input comes in any pieces.
//! recv.extend_from_slice(b"POST /shout HTTP/1.1\r\nHost: example.org\r\nContent-Le");
//! assert_eq!(connection.poll_event(now, &mut recv)?, None);
//! recv.extend_from_slice(b"ngth: 5\r\n\r\nhello");
//!
//! let Some(server::Event::Request(head)) = connection.poll_event(now, &mut recv)? else { panic!() };
//! assert_eq!((head.method(), head.target()), ("POST", "/shout"));
//! assert_eq!(head.field("host"), Some(&b"example.org"[..]));
//!
//! let Some(server::Event::Content(content)) = connection.poll_event(now, &mut recv)? else { panic!() };
//! assert_eq!(content, "hello");
//! assert!(matches!(connection.poll_event(now, &mut recv)?, Some(server::Event::End(_))));
//!
//! // The machine writes the framing fields.
//! let fields = [("Content-Type", "text/plain")];
//! connection.respond(&PlainResponse::new(200, &fields), Length::Known(5))?;
//! connection.send_content(Bytes::from_static(b"HELLO"))?;
//! connection.finish(None)?;
//! assert_eq!(
//!     connection.transmit().pop(usize::MAX),
//!     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nHELLO"
//! );
//!
//! // The connection persists until the client ends it.
//! assert_eq!(connection.demand().close, None);
//! recv.finish();
//! assert_eq!(connection.poll_event(now, &mut recv)?, None);
//! assert_eq!(connection.demand().close, Some(Close::Both));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod client;
mod content;
pub mod cors;
mod error;
mod head;
mod intake;
mod lenient;
pub mod ndjson;
pub mod origin;
mod parts;
mod prepared;
pub mod server;
pub mod sse;
#[cfg(test)]
mod tables;
mod timer;

pub use error::{CommandError, Error};
pub use head::{FieldIter, Fields, RequestHead, ResponseHead, TargetForm, Trailers, Version};
pub use lenient::Lenient;
pub use parts::{Length, PlainRequest, PlainResponse, RequestParts, ResponseParts};
pub use prepared::{PreparedRequest, PreparedResponse};
