//! What every driver of [`StreamMachine`](drywire_core::StreamMachine)s does between two waits.
//!
//! Waiting is the only thing in which a blocking driver, a driver on tokio and a readiness loop differ. All the rest
//! (when to write, to read, to close and to give up, which error is told and when) is easy to get subtly wrong, and
//! stands here, once. The [`Engine`] holds the state of a connection; a [`Wire`] is the transport for one turn, and
//! says [`Pending`](std::task::Poll::Pending) where it cannot go on.
//!
//! ```text
//!                         ┌────────────────────── Engine::poll_turn ─────────────────────┐
//!                         ▼                                                              │
//!                    handle_timeout ──▶ poll_event ──▶ flush ──▶ close if ──▶ read if ───┤
//!                      when due             │         (writev)   demanded     demanded   │
//!                                           ▼                       │                    ▼
//!   the driver:                        Turn::Event             Turn::Closed           Pending
//!   waits for interest() and deadline(), and polls again ◀───────────────────────────────┘
//! ```
//!
//! Users of machines want `drywire_std` or `drywire_tokio`, which re-export what they need of this crate. Authors of
//! drivers for other runtimes start here.
//!
//! # In scope
//!
//! [`Engine`], [`Wire`] and the [`Config`] of a connection; for servers the limits ([`ServerConfig`]), when to accept
//! ([`Acceptance`]) and how to stop ([`ShutdownHandle`]); for many connections on one thread whose turn it is
//! ([`Schedule`]), who was woken ([`Wakes`]), and what stands between an engine and its socket ([`Layer`]).
//!
//! # Out of scope
//!
//! Protocols. Sockets, clocks, threads and tasks.
//!
//! # A whole connection, driven by hand
//!
//! ```
//! # use std::convert::Infallible;
//! use std::io::{self, IoSlice, Read as _, Write as _};
//! use std::task::Poll;
//!
//! # use drywire_core::{Bytes, Close, Demand, SendQueue, StreamMachine};
//! use drywire_core::{Instant, RecvBuf};
//! use drywire_driver::{Config, Engine, Parts, Turn, Wire};
//! #
//! # /// Echoes raw bytes until the peer ends.
//! # struct Echo { send: SendQueue, ended: bool }
//! # impl StreamMachine for Echo {
//! #     type Event = Bytes;
//! #     type Error = Infallible;
//! #     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
//! #         self.ended = recv.is_finished();
//! #         if recv.is_empty() || self.send.is_full() { return Ok(None) }
//! #         let bytes = recv.take(recv.len());
//! #         self.send.push(bytes.clone());
//! #         Ok(Some(bytes))
//! #     }
//! #     fn transmit(&mut self) -> &mut SendQueue { &mut self.send }
//! #     fn poll_timeout(&self) -> Option<Instant> { None }
//! #     fn handle_timeout(&mut self, _: Instant) {}
//! #     fn demand(&self) -> Demand {
//! #         let close = (self.ended && self.send.is_empty()).then_some(Close::Both);
//! #         Demand { read: !self.send.is_full(), close }
//! #     }
//! # }
//!
//! /// A peer that has said what it will say, and hears everything.
//! struct Peer<'a> {
//!     says: &'a [u8],
//!     heard: Vec<u8>,
//!     is_ended: bool,
//! }
//!
//! impl Wire for Peer<'_> {
//!     fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
//!         Poll::Ready(self.says.read(room))
//!     }
//!     fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
//!         Poll::Ready(recv.fill_with(max, |room| self.says.read(room)))
//!     }
//!     fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
//!         Poll::Ready(self.heard.write_vectored(pieces))
//!     }
//!     fn flush(&mut self) -> Poll<io::Result<()>> {
//!         Poll::Ready(Ok(()))
//!     }
//!     fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
//!         self.is_ended = true;
//!         Poll::Ready(Ok(()))
//!     }
//!     fn abort(&mut self) {}
//!     fn now(&self) -> Instant {
//!         Instant::ORIGIN
//!     }
//! }
//!
//! let machine = Echo { send: SendQueue::new(4096), ended: false };
//! let transport = Peer { says: b"hello", heard: Vec::new(), is_ended: false };
//! let parts = Parts { machine, transport, recv: RecvBuf::new(), config: Config::default() };
//! let (mut engine, mut peer) = Engine::from_parts(parts);
//!
//! let Poll::Ready(Ok(Turn::Event(bytes))) = engine.poll_turn(&mut peer) else { panic!() };
//! assert_eq!(&bytes[..], b"hello");
//! let Poll::Ready(Ok(Turn::Flushed)) = engine.poll_turn(&mut peer) else { panic!() };
//! assert_eq!(&peer.heard[..], b"hello");
//! let Poll::Ready(Ok(Turn::Closed)) = engine.poll_turn(&mut peer) else { panic!() };
//! assert!(peer.is_ended && engine.is_closed());
//! ```

mod accept;
mod config;
mod engine;
mod error;
mod schedule;
mod served;
mod shutdown;
mod turn;
mod wakes;
mod wire;
mod with;

pub use accept::{Acceptance, Admission};
pub use config::{Config, SHORT_READ, ServerConfig};
pub use engine::Engine;
pub use error::DriveError;
pub use schedule::{Place, Schedule};
pub use served::Served;
pub use shutdown::{Registration, ShutdownHandle};
pub use turn::{EventResult, Parts, Turn, TurnResult};
pub use wakes::Wakes;
pub use wire::{Interest, Layer, Plain, Wire};
pub use with::With;
