//! HTTP/1.1 as a pure state machine: bytes and time in, bytes, events and deadlines out.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod client;
mod content;
mod error;
mod head;
mod parts;
pub mod server;
#[cfg(test)]
mod tables;
mod timer;

pub use error::{CommandError, Error};
pub use head::{FieldIter, Fields, RequestHead, ResponseHead, TargetForm, Trailers, Version};
pub use parts::{Length, PlainRequest, PlainResponse, RequestParts, ResponseParts};
