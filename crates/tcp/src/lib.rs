//! TCP as a pure state machine: segments and time in, segments, events and deadlines out.

#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod assembler;
mod config;
mod congestion;
mod connection;
mod rtt;
mod segment;
mod send_buffer;
mod seq;
mod state;

pub use config::Config;
pub use connection::{CloseReason, Connection, Event, SendError, Transmit};
pub use segment::{Flags, Header, Options, ParseError, SackBlocks, Segment, Timestamps};
pub use seq::SeqNumber;
pub use state::{Input, State};
