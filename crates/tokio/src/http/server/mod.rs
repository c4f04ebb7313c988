//! Servers: a handler, and the connections that ask it.

mod body;
mod connection;
mod head;
mod pipe;
mod serve;
#[cfg(feature = "ws")]
mod upgrade;

pub use body::{Body, BodyError, BodyReader, Sender};
pub use connection::Error;
#[cfg(feature = "tower")]
pub(crate) use serve::Handler;
pub use serve::{Config, serve, serve_connection};
#[cfg(feature = "tower")]
pub(crate) use serve::{serve_by, serve_connection_by};
#[cfg(feature = "ws")]
pub use upgrade::{Socket, Upgrade};
