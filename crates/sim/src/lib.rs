//! A seeded network and virtual time for drywire machines: whole protocol runs as plain function calls.
//!
//! A machine takes bytes and time as arguments, so a simulator needs no threads, no sockets and no sleeping: it is the
//! caller. An hour of timers passes as fast as their work can be done, and a run that failed once fails again from its
//! seed, on every platform.
//!
//! ```text
//!   StreamPair              TcpPair                      World
//!
//!   app ─ machine           send, read, compare          app ─ machine ─┐
//!            │                      │                                TcpHost   (any number of hosts)
//!        byte pipe            tcp::Connection                     tcp::Connection
//!   cuts, delays, room              │                                   │
//!            │                ┌─────┴─────────────── Network ───────────┴─────┐
//!   app ─ machine             │  latency, jitter, loss, duplication, order,   │
//!                             │  corruption, rate, queue, MTU, marks; observer│
//!                             └───────────────────────────────────────────────┘
//! ```
//!
//! # In scope
//!
//! * [`Network`]: packets between nodes, with everything that may happen to them, and an [`Observation`] of each fate.
//! * [`StreamPair`]: two [`StreamMachine`](drywire_core::StreamMachine)s over a reliable pipe that cuts the stream at
//!   random places. The first thing to test a machine with.
//! * [`TcpPair`]: two TCP endpoints that send, read, compare every byte and close.
//! * [`TcpHost`] and [`World`]: machines on our own TCP on the network, with applications, every segment observed.
//! * [`explore`]: every order of events of two TCP endpoints within a budget, instead of a sample.
//! * [`Schedule`] and [`Digest`]: an event queue in virtual time, and the fingerprint by which two runs are compared.
//!
//! # Out of scope
//!
//! Real time, sockets and threads (the adapters), and any protocol knowledge: what happens on the wire is the machines'
//! own doing.
//!
//! # Seeds
//!
//! Every run takes a `u64`, and its report and its [`RunError`] name it. Nothing else is random: no clock is read, no
//! map is iterated in random order, and probabilities are integers ([`Chance`]). The same seed with the same settings
//! gives the same packets at the same nanoseconds.
//!
//! # From the first byte to the close
//!
//! ```
//! use core::convert::Infallible;
//! use std::time::Duration;
//! use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
//! use drywire_sim::{Input, PipeConfig, StreamPair};
//!
//! /// Says what it is told to, reports what it hears, and closes when the peer has and all is said.
//! struct Talk {
//!     send: SendQueue,
//!     done: bool,
//!     peer_done: bool,
//! }
//!
//! impl Talk {
//!     fn new() -> Self {
//!         Self { send: SendQueue::new(4096), done: false, peer_done: false }
//!     }
//! }
//!
//! impl StreamMachine for Talk {
//!     type Event = Bytes;
//!     type Error = Infallible;
//!
//!     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
//!         self.peer_done = recv.is_finished();
//!         Ok((!recv.is_empty()).then(|| recv.take(recv.len())))
//!     }
//!     fn transmit(&mut self) -> &mut SendQueue {
//!         &mut self.send
//!     }
//!     fn poll_timeout(&self) -> Option<Instant> {
//!         None
//!     }
//!     fn handle_timeout(&mut self, _: Instant) {}
//!     fn demand(&self) -> Demand {
//!         let close = match (self.done && self.send.is_empty(), self.peer_done) {
//!             (false, _) => None,
//!             (true, false) => Some(Close::WriteHalf),
//!             (true, true) => Some(Close::Both),
//!         };
//!         Demand { read: !self.peer_done, close }
//!     }
//! }
//!
//! // Whoever is heard is told so in return. The pipe cuts "ping" wherever it likes.
//! let pipe = PipeConfig { latency: Duration::from_millis(20), ..PipeConfig::default() };
//! let mut answer = Vec::new();
//! let report = StreamPair::new(42, Talk::new(), Talk::new()).pipes(pipe).run(
//!     |cx, input| match input {
//!         Input::Connected => {
//!             cx.machine().send.extend_from_slice(b"ping");
//!             cx.machine().done = true;
//!         }
//!         Input::Event(bytes) => answer.extend_from_slice(&bytes),
//!         _ => {}
//!     },
//!     |cx, input| match input {
//!         Input::Event(bytes) => cx.machine().send.push(bytes),
//!         // One round trip after the start, by when "ping" has arrived whole.
//!         Input::Connected => cx.wake_at(Instant::from_millis(40)),
//!         Input::Woken => cx.machine().done = true,
//!         _ => {}
//!     },
//! )?;
//! assert_eq!(answer, b"ping");
//! assert_eq!(report.ended, Instant::from_millis(60));
//! # Ok::<(), drywire_sim::RunError>(())
//! ```

mod app;
mod error;
pub mod explore;
mod network;
mod pump;
mod schedule;
mod stream_pair;
mod tcp_host;
mod tcp_pair;
mod world;

pub use app::{Context, Input};
pub use error::{RunError, RunFailure};
pub use network::{Chance, Digest, Fate, LinkConfig, LinkStats, Network, Observation, Packet};
pub use schedule::Schedule;
pub use stream_pair::{Cut, PipeConfig, Side, StreamPair, StreamReport};
pub use tcp_host::TcpHost;
pub use tcp_pair::{Finish, Open, TcpPair, TcpReport, Transfer};
pub use world::{Entry, Happening, World, WorldReport};
