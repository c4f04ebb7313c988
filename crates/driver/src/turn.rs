//! What a driver tells its caller, and what it is made of.

use drywire_core::{RecvBuf, StreamMachine};

use crate::{Config, DriveError};

/// What a turn of a driver came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Turn<E> {
    /// The machine has something to tell.
    Event(E),
    /// Everything that was queued has left: there is room for more content.
    Flushed,
    /// The driver's waker was woken, or the server is shutting down. Only blocking drivers have such a waker: a task
    /// that waits for more than one thing is woken by its own.
    Woken,
    /// The connection is closed in the way that the machine demanded. Every later turn says so again.
    Closed,
}

/// What a turn gives for the machine `M`.
pub type TurnResult<M> = Result<Turn<<M as StreamMachine>::Event>, DriveError<<M as StreamMachine>::Error>>;

/// The next event of the machine `M`, or `None` once the connection is closed in order.
pub type EventResult<M> = Result<Option<<M as StreamMachine>::Event>, DriveError<<M as StreamMachine>::Error>>;

/// What a driver is made of.
#[derive(Debug)]
pub struct Parts<M, T> {
    /// The protocol.
    pub machine: M,
    /// The connection.
    pub transport: T,
    /// Bytes that the machine has not taken, with the end of the stream.
    pub recv: RecvBuf,
    /// The limits.
    pub config: Config,
}
