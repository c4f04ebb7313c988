//! WebSocket as a pure state machine: bytes and time in, bytes, events and deadlines out.

#![no_std]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod client;
mod close;
mod config;
mod connection;
mod error;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod state;
mod utf8;

pub use client::Client;
pub use close::{CloseCode, CloseFrame};
pub use config::{Config, Role};
pub use connection::{Connection, Event, MessageKind};
pub use error::{CapacityError, Error, Misuse, ProtocolError, SendError};
pub use frame::{EncodedHeader, FrameHeader, Opcode};
pub use mask::mask;
pub use message::{Message, Utf8Bytes};
pub use state::State;
