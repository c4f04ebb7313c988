//! WebSocket as a pure state machine: bytes and time in, bytes, events and deadlines out.
//!
//! RFC 6455 in both roles, strict: a peer that breaks a rule is told which one and left. One [`Connection`] is one
//! value without a socket, a clock or a source of randomness; any driver of [`StreamMachine`] runs it.
//!
//! ```text
//!   Client::new ──▶ Opening ── 101, checked ──▶┐          ┌◀── handshake::accept, http upgrade ◀── server
//!                      │                       ▼          ▼
//!                      │ other status        ┌──────────────┐  close()   ┌───────────┐
//!                      ▼                     │     Open     │ ─────────▶ │ CloseSent │
//!                   Refused                  └──────────────┘            └───────────┘
//!                                   peer's Close │  │ violation,   peer's Close │  │ violation,
//!                                     (answered) │  │ limit, end                │  │ limit, end
//!                                                │  └──────────▶ ┌────────┐ ◀───┼──┘
//!                                                │               │ Failed │     │
//!                                                ▼               └────────┘     ▼
//!                               client: AwaitingEnd ── end of stream ──▶ Closed ◀── server
//!                                        whoever lets a deadline pass: Aborted
//!        peer's Close inside a frame of ours: CloseReceived until its end
//! ```
//!
//! # In scope
//!
//! - [`FrameHeader`] and [`mask`]: the frame codec, usable alone and without an allocation.
//! - [`handshake`]: the opening handshake of both ends, on the heads of `drywire-http`; [`Client`] runs the client's
//!   as a machine and turns into its connection.
//! - [`Connection`]: text checked as it arrives, binary, messages of any length in pieces both ways, Ping and Pong, the
//!   closing handshake with its codes, keep-alive and other time limits, limits on frames, messages and fragments.
//! - [`deflate`]: permessage-deflate (RFC 7692) with all its parameters, in both roles.
//! - [`PreparedMessage`]: a message that is encoded once for many connections.
//!
//! # Out of scope
//!
//! Sockets, TLS and `ws:` URIs (the drivers and the program), HTTP itself (`drywire-http`), and what a sub-protocol
//! means. HTTP/2 is not here either, but the fields that open a WebSocket on one of its streams (RFC 8441) are, and its
//! frames are a [`Connection`]'s.
//!
//! # From the first byte to the close
//!
//! ```
//! use drywire_core::{Buf, Close, Instant, RecvBuf, Seed, StreamMachine};
//! use drywire_http as http;
//! use drywire_ws::handshake::{self, Offer, Policy};
//! use drywire_ws::{Client, CloseCode, CloseFrame, Config, Connection, Event, Message, Role, client};
//!
//! /// What a driver does: everything that is queued goes to the peer's receive buffer.
//! fn carry(from: &mut impl StreamMachine, to: &mut RecvBuf) {
//!     let queue = from.transmit();
//!     to.push(queue.copy_to_bytes(queue.remaining()));
//! }
//!
//! let now = Instant::ORIGIN;
//! let (mut to_client, mut to_server) = (RecvBuf::new(), RecvBuf::new());
//!
//! // The client asks for an upgrade, in HTTP.
//! let offer = Offer::new("example.com", "/chat");
//! let mut client = Client::new(now, offer, client::Config::default(), &Seed::from(1))?;
//! carry(&mut client, &mut to_server);
//!
//! // The server's HTTP machine reads the request, and the server accepts it.
//! let mut http = http::server::Connection::new(now, http::server::Config::default());
//! let Some(http::server::Event::Request(request)) = http.poll_event(now, &mut to_server)? else { panic!() };
//! let Some(http::server::Event::End(_)) = http.poll_event(now, &mut to_server)? else { panic!() };
//! http.upgrade(&handshake::accept(&request, &Policy::default())?)?;
//! let mut server = Connection::new(now, Role::Server, Config::default(), &Seed::from(2), http.into_transmit());
//!
//! // A message from the server may come right behind its answer.
//! server.send_text("hello")?;
//! carry(&mut server, &mut to_client);
//! assert!(matches!(client.poll_event(now, &mut to_client)?, Some(client::Event::Open { .. })));
//! let hello = client::Event::Connection(Event::Message(Message::text("hello")));
//! assert_eq!(client.poll_event(now, &mut to_client)?, Some(hello));
//!
//! // The client closes, and the server answers by itself.
//! let bye = CloseFrame::new(CloseCode::NORMAL, "bye");
//! client.connection_mut().expect("it is open").close(now, Some(bye.clone()))?;
//! carry(&mut client, &mut to_server);
//! assert_eq!(server.poll_event(now, &mut to_server)?, Some(Event::Close(Some(bye))));
//! carry(&mut server, &mut to_client);
//! assert!(matches!(client.poll_event(now, &mut to_client)?, Some(client::Event::Connection(Event::Close(_)))));
//!
//! // The server ends the stream first, then the client does.
//! assert_eq!(server.demand().close, Some(Close::Both));
//! assert_eq!(client.demand().close, None);
//! to_client.finish();
//! assert_eq!(client.poll_event(now, &mut to_client)?, None);
//! assert_eq!(client.demand().close, Some(Close::Both));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! [`StreamMachine`]: drywire_core::StreamMachine

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod client;
mod close;
mod config;
mod connection;
pub mod deflate;
mod error;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod prepared;
mod state;
mod utf8;

pub use client::Client;
pub use close::{CloseCode, CloseFrame, CloseInfo, End};
pub use config::{Config, Delivery, Role};
pub use connection::{Connection, Event};
pub use error::{CapacityError, Error, Misuse, ProtocolError, SendError};
pub use frame::{EncodedHeader, FrameHeader, Opcode};
pub use mask::mask;
pub use message::{Message, MessageKind, Utf8Bytes};
pub use prepared::PreparedMessage;
pub use state::State;
