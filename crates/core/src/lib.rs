//! The contract of drywire: what every protocol machine, driver, simulator and fuzzer shares.
//!
//! A machine is a value. Bytes and time go in as arguments; bytes, events and the next deadline come out as return
//! values. Nothing here reads a clock, opens a socket or draws a random number.
//!
//! ```text
//!            bytes + end of stream                     commands (inherent methods)
//!                    │                                          │
//!                    ▼                                          ▼
//!   ┌─────────┐  poll_event(now)  ┌───────────────────────────────────┐  transmit()  ┌───────────┐
//!   │ RecvBuf │ ────────────────▶ │           StreamMachine           │ ───────────▶ │ SendQueue │
//!   └─────────┘  one event a call └───────────────────────────────────┘  writev      └───────────┘
//!                                    ▲ handle_timeout(now)      │ poll_timeout(), demand()
//!                                    │                          ▼
//!                                        the driver: socket, TCP in memory, or a test
//! ```
//!
//! # In scope
//!
//! [`Instant`], the two buffers [`RecvBuf`] and [`SendQueue`], what a machine wants of its transport ([`Demand`],
//! [`Close`]), the trait [`StreamMachine`], two of them in turn ([`Either`]), and reproducible randomness from a caller's [`Seed`].
//!
//! # Out of scope
//!
//! Protocols (the `tcp`, `http` and `ws` crates) and drivers (the `std`, `tokio` and `sim` crates).
//!
//! # A whole machine, driven by hand
//!
//! ```
//! use core::convert::Infallible;
//! use drywire_core::{Buf, Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
//!
//! /// Returns every byte that it gets, then closes when the peer has.
//! struct Echo {
//!     send: SendQueue,
//!     done: bool,
//! }
//!
//! impl StreamMachine for Echo {
//!     type Event = Bytes;
//!     type Error = Infallible;
//!
//!     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
//!         if recv.is_empty() || self.send.is_full() {
//!             self.done = recv.is_finished();
//!             return Ok(None);
//!         }
//!         let bytes = recv.take(recv.len());
//!         self.send.push(bytes.clone());
//!         Ok(Some(bytes))
//!     }
//!     fn transmit(&mut self) -> &mut SendQueue {
//!         &mut self.send
//!     }
//!     fn poll_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//!     fn handle_timeout(&mut self, _: Instant) {}
//!     fn demand(&self) -> Demand {
//!         let close = (self.done && self.send.is_empty()).then_some(Close::Both);
//!         Demand { read: !self.done && !self.send.is_full(), close }
//!     }
//! }
//!
//! let mut machine = Echo { send: SendQueue::new(4096), done: false };
//! let mut recv = RecvBuf::new();
//! let now = Instant::ORIGIN;
//!
//! recv.extend_from_slice(b"hello");
//! recv.finish();
//! assert_eq!(machine.poll_event(now, &mut recv)?.as_deref(), Some(&b"hello"[..]));
//! assert_eq!(machine.poll_event(now, &mut recv)?, None);
//!
//! // The close is a demand, and shows only once everything queued has left.
//! assert_eq!(machine.demand().close, None);
//! let sent = machine.transmit().pop(usize::MAX);
//! assert_eq!(&sent[..], b"hello");
//! assert_eq!(machine.demand().close, Some(Close::Both));
//! # Ok::<(), Infallible>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod either;
mod instant;
mod machine;
mod recv_buf;
mod seed;
mod send_queue;

pub use bytes::{Buf, BufMut, Bytes, BytesMut};
pub use either::Either;
pub use instant::Instant;
pub use machine::{Close, Demand, StreamMachine};
pub use recv_buf::RecvBuf;
pub use seed::{Rng, Seed};
pub use send_queue::SendQueue;
