//! Many connections on one thread, over the system's readiness poller.
//!
//! ```text
//!     kernel                                  this thread
//!   ┌─────────┐  edges  ┌────────┐ readiness ┌──────┐ bytes ┌────────┐ bytes ┌───────────────┐
//!   │ sockets │ ──────▶ │ Poller │ ────────▶ │ Loop │ ────▶ │ Engine │ ────▶ │ StreamMachine │ ──▶ turns
//!   │         │ ◀────── └────────┘           │      │ ◀──── │        │ ◀──── │               │ ◀── commands
//!   └─────────┘  read and write, 1 descriptor└──────┘       └────────┘       └───────────────┘
//!                                             one            one for each connection
//! ```
//!
//! A [`Loop`] has connections of both directions and hands out what happens on them; a [`Server`] is a loop that only
//! accepts, with a graceful end. Each connection takes one file descriptor, and while it is idle no buffer.
//!
//! - **Edges.** A socket is registered once. What is ready is remembered, so that a call that would surely block is not
//!   made: a request that one read and one write answer takes these two, and a wait that it shares with others.
//! - **Deadlines are kept lazily**: one that moves on, as that of an idle connection does with every message, costs
//!   nothing.
//! - **Fairness.** After sixteen system calls in a row a connection gives way to all others that are ready.
//! - **A layer**, such as encryption, may stand between a machine and its socket: [`Layer`].
//!
//! What the application keeps for a connection goes with its machine ([`With`]), or with its handle.
//!
//! # An echo server
//!
//! The machine stands in for a protocol; with `drywire_http` or `drywire_ws` only the type and the commands change.
//!
//! ```
//! # use std::convert::Infallible;
//! # use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
//! use drywire_std::{Turn, connect, poll::Server};
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
//!     server.run(
//!         |incoming| Raw::new(incoming.now),
//!         |served, turn| {
//!             if let Ok(Turn::Event(bytes)) = turn {
//!                 served.machine_mut().send(bytes);
//!             }
//!         },
//!     )
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

mod event_loop;
mod poller;
mod server;
mod slab;
mod sockets;
mod wire;

use std::io;
use std::net::{TcpListener as StdListener, ToSocketAddrs};

#[doc(inline)]
pub use drywire_driver::{Layer, Plain, Served, With};
pub use event_loop::{Incoming, Loop, LoopConfig, LoopEvent};
pub use poller::{Poller, Readiness, Source, Stream};
pub use server::Server;
pub use slab::ConnectionHandle;
pub use sockets::Sockets;

/// A non-blocking listener.
fn bind(address: impl ToSocketAddrs) -> io::Result<mio::net::TcpListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(mio::net::TcpListener::from_std(listener))
}
