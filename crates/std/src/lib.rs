//! Drives any [`StreamMachine`](drywire_core::StreamMachine) on blocking threads, one a connection, or many on one thread.
//!
//! A [`Driver`] owns a machine, a [`Transport`], the receive buffer and the clock. It knows nothing of any protocol:
//! it moves bytes and time between the two, and hands out the machine's events. Commands go to the machine itself,
//! between two events, through [`Driver::machine_mut`].
//!
//! ```text
//!        ┌────────────────────────────── one turn ──────────────────────────────┐
//!        ▼                                                                      │
//!   handle_timeout ──▶ poll_event ──▶ flush ──▶ close if ──▶ read if ──▶ park ──┘
//!     when due             │         (writev)   demanded     demanded      until ready, due or woken
//!                          ▼                       │
//!                     Turn::Event             Turn::Closed
//! ```
//!
//! The transport is never blocking: every turn tries to write and to read first, and the thread parks only when
//! neither moves. That is what lets another thread wake it ([`Driver::waker`]), for a chat message to pass on or for a
//! shutdown ([`Turn::Woken`]).
//!
//! # In scope
//!
//! [`Driver`] and its [`Config`]; TCP through [`connect`] and [`TcpTransport`]; [`Server`], a thread for each
//! connection with a limit, a back-off and a graceful end ([`ShutdownHandle`]); [`Transport`] for everything else that
//! carries bytes; TLS over any of them (`TlsTransport`, feature `tls`). In [`poll`]: many connections on one thread.
//!
//! # Out of scope
//!
//! Protocols. Name resolution beyond the system's.
//!
//! # An echo server and its client
//!
//! The machine stands in for a protocol; with `drywire_http` or `drywire_ws` only the type and the commands change.
//!
//! ```
//! # use std::convert::Infallible;
//! # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
//! use drywire_std::{Driver, Server, connect};
//! #
//! # /// Raw bytes as a protocol.
//! # struct Raw { send: SendQueue, ended: bool, stop: bool }
//! # impl Raw {
//! #     fn new(_now: Instant) -> Self { Self { send: SendQueue::new(65_536), ended: false, stop: false } }
//! #     fn send(&mut self, bytes: Bytes) { self.send.push(bytes) }
//! #     fn shutdown(&mut self) { self.stop = true }
//! # }
//! # impl StreamMachine for Raw {
//! #     type Event = Bytes;
//! #     type Error = Infallible;
//! #     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
//! #         self.ended = recv.is_finished();
//! #         Ok((!recv.is_empty() && !self.send.is_full()).then(|| recv.take(recv.len())))
//! #     }
//! #     fn transmit(&mut self) -> &mut SendQueue { &mut self.send }
//! #     fn poll_timeout(&self) -> Option<Instant> { None }
//! #     fn handle_timeout(&mut self, _: Instant) {}
//! #     fn demand(&self) -> Demand {
//! #         let close = match (self.send.is_empty(), self.ended, self.stop) {
//! #             (true, true, _) => Some(Close::Both),
//! #             (true, false, true) => Some(Close::WriteHalf),
//! #             _ => None,
//! #         };
//! #         Demand { read: !self.send.is_full(), close }
//! #     }
//! # }
//!
//! let server = Server::bind("127.0.0.1:0")?;
//! let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
//! let running = std::thread::spawn(move || {
//!     server.run(|transport, _peer| {
//!         let mut driver = Driver::new(Raw::new(transport.now()), transport);
//!         while let Ok(Some(bytes)) = driver.next_event() {
//!             driver.machine_mut().send(bytes);
//!         }
//!     })
//! });
//!
//! let mut client = connect(address, Raw::new)?;
//! client.machine_mut().send(Bytes::from_static(b"hello"));
//! assert_eq!(client.next_event()?.as_deref(), Some(&b"hello"[..]));
//! client.machine_mut().shutdown();
//! assert_eq!(client.next_event()?, None);
//!
//! shutdown.shutdown();
//! running.join().expect("no panic")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "reading the clock and starting threads is what an adapter is for"
)]

mod clock;
mod driver;
#[cfg(any(feature = "client", feature = "http"))]
pub mod http;
pub mod poll;
mod server;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod transport;
#[cfg(feature = "ws")]
pub mod ws;

pub use clock::Clock;
pub use driver::Driver;
#[doc(inline)]
pub use drywire_driver::{
    Config, DriveError, EventResult, Interest, Parts, ServerConfig, ShutdownHandle, Turn, TurnResult,
};
pub use server::{Server, Stopped};
pub use tcp::{TcpTransport, connect};
#[cfg(feature = "tls")]
pub use tls::TlsTransport;
pub use transport::Transport;
