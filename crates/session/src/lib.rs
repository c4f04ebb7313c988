//! HTTP and WebSocket connections as applications use them, but for the waiting.
//!
//! A machine tells events one by one and takes commands, in whatever order they come. An application reads messages,
//! writes content, and expects each call to return when its own work is done. What lies between the two is the same
//! for threads and for tasks, so it stands here once: where an event goes that comes while the application writes, when
//! the peer is told to go on, what is left to do for a flush or a close.
//!
//! ```text
//!   drywire-std: blocking calls         drywire-tokio: futures, Stream and Sink, tower
//!          │ parks                              │ registers the task's waker
//!          └──────────────────┬─────────────────┘
//!                        this crate                     poll_… (engine, wire) -> Poll<…>
//!                             │
//!                       drywire-driver                  Engine<machine>, Wire
//! ```
//!
//! Every method that may have to wait takes the [`Engine`](drywire_driver::Engine) of its connection and a
//! [`Wire`](drywire_driver::Wire), and answers `Poll`. `Pending` means what it means for the engine: only readiness, time
//! or a command brings the connection forward. All state is in the session and the engine, none in a call: a call that
//! is not repeated loses nothing.
//!
//! # In scope
//!
//! - `http` (feature `http`): the exchanges of a server's connection, one after the other, and the date of a response
//! - `ws` (feature `ws`): opening a WebSocket from either end, its messages, its close
//!
//! # Out of scope
//!
//! Sockets, clocks, waiting (the drivers); the protocols themselves (`drywire-http`, `drywire-ws`); policy of clients,
//! such as redirects and pools.

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "ws")]
pub mod ws;
