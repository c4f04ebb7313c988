//! Runs drywire's own TCP against the real world: a [`Stack`](drywire_tcp::Stack) on a Linux TUN device.
//!
//! The kernel routes IP packets to the device, and from there on everything is drywire's: IP, TCP, and the protocol above.
//! No socket is involved. A [`Host`] moves packets between the [`Device`] and the stack, and runs a
//! [`StreamMachine`](drywire_core::StreamMachine) on every connection, of those that it opens and of those that it accepts;
//! a [`Server`] is a host that only accepts, with a graceful end. Both live on one thread, which parks whenever nothing
//! is left to do.
//!
//! ```text
//!     kernel                                    this process
//!   ┌────────┐ packets ┌────────┐ packets ┌───────┐ bytes ┌────────┐ bytes ┌───────────────┐
//!   │ routes │ ──────▶ │ Device │ ──────▶ │ Stack │ ────▶ │ Engine │ ────▶ │ StreamMachine │ ──▶ turns
//!   │        │ ◀────── │        │ ◀────── │       │ ◀──── │        │ ◀──── │               │ ◀── commands
//!   └────────┘         └────────┘         └───────┘       └────────┘       └───────────────┘
//!                      one                one             one for each connection
//! ```
//!
//! # In scope
//!
//! `Tun`, on Linux, also with segments of up to 64 KiB and checksums left to each other; [`Device`] for everything else that
//! carries IP packets; [`Host`]; [`Server`] with a limit and a graceful end ([`ShutdownHandle`]).
//!
//! # Out of scope
//!
//! Protocols. Addresses and routes of the kernel: `ip address add 10.77.0.1/24 dev dry0`, `ip link set dry0 up`. Several
//! threads: a stack belongs to one, and a second device with a stack of its own is how more are used. Datagrams: for those,
//! run the stack by hand.
//!
//! # An echo server with a TCP of its own
//!
//! The machine stands in for a protocol; with `drywire_http` or `drywire_ws` only the type and the commands change.
//!
//! ```no_run
//! # #[cfg(target_os = "linux")] {
//! # use std::convert::Infallible;
//! # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, Seed, StreamMachine};
//! use drywire_tcp::{ListenerConfig, Stack};
//! use drywire_tun::{Server, Tun, Turn};
//! #
//! # /// Raw bytes as a protocol.
//! # struct Raw { send: SendQueue, ended: bool }
//! # impl Raw {
//! #     fn new(_now: Instant) -> Self { Self { send: SendQueue::new(65_536), ended: false } }
//! #     fn send(&mut self, bytes: Bytes) { self.send.push(bytes) }
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
//! #         let close = (self.ended && self.send.is_empty()).then_some(Close::Both);
//! #         Demand { read: !self.send.is_full(), close }
//! #     }
//! # }
//! # let secret = Seed::from(1);
//!
//! let device = Tun::open("dry0")?;
//! // The secret comes from the operating system.
//! let mut stack = Stack::new(device.stack_config(), &secret);
//! stack.add_address("10.77.0.2".parse()?);
//! let mut server = Server::new(device, stack);
//! server.listen("10.77.0.2:7".parse()?, ListenerConfig::default())?;
//! server.run(
//!     |incoming| Raw::new(incoming.now),
//!     |served, turn| {
//!         if let Ok(Turn::Event(bytes)) = turn {
//!             served.machine_mut().send(bytes);
//!         }
//!     },
//! )?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reading the clock is what an adapter is for")]

mod device;
mod host;
#[cfg(target_os = "linux")]
mod offload;
mod server;
#[cfg(target_os = "linux")]
mod tun;
mod wire;

pub use device::{Device, Received};
#[doc(inline)]
pub use drywire_driver::{Config, DriveError, Parts, Served, ServerConfig, ShutdownHandle, Turn, TurnResult, With};
pub use host::{Host, HostConfig, HostEvent, Incoming};
pub use server::{Server, Stopped};
#[cfg(target_os = "linux")]
pub use tun::Tun;
