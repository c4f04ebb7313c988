//! Why a connection ended out of order.

use std::io;

/// Why a connection ended out of order. Each is reported once; afterwards the driver is closed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError<E> {
    /// The machine's error: the peer broke a rule of the protocol, or a deadline passed. Its farewell was written,
    /// as far as the peer took it, and the transport was closed as the machine demanded.
    #[error(transparent)]
    Protocol(E),
    /// The transport failed.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
}
