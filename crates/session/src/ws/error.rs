//! Why a WebSocket did not open, and why it ended.

use std::io;
use std::sync::Arc;

use drywire_core::Bytes;
use drywire_driver::DriveError;
use drywire_http::ResponseHead;
use drywire_ws::handshake::{OfferError, Rejection};
use drywire_ws::{Misuse, client};

/// Why a WebSocket failed, or why it took no message.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule or a limit, or went without a Close frame.
    #[error(transparent)]
    Connection(#[from] drywire_ws::Error),
    /// The transport failed.
    #[error("transport: {0}")]
    Io(Arc<io::Error>),
    /// The WebSocket is closing or closed: it takes no more messages (RFC 6455, 5.5.1). Reading tells what the peer
    /// still says, and how it ended.
    #[error("the WebSocket is closing or closed")]
    Closed,
    /// A message was given without asking first whether there is room for one.
    #[error("there was no room for the message, and nobody asked")]
    NotReady,
    /// The machine refused the command.
    #[error(transparent)]
    Misuse(Misuse),
}

impl From<DriveError<drywire_ws::Error>> for Error {
    fn from(error: DriveError<drywire_ws::Error>) -> Self {
        match error {
            DriveError::Protocol(error) => Self::Connection(error),
            DriveError::Io(error) => Self::Io(Arc::new(error)),
        }
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::Failed(failure) => Self::Connection(failure),
            Misuse::Closing => Self::Closed,
            misuse => Self::Misuse(misuse),
        }
    }
}

/// What a server answered instead of opening a WebSocket: a redirect, a request for credentials, an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The head of the answer.
    pub head: ResponseHead,
    /// Its content, cut off at 64 KiB.
    pub content: Bytes,
}

/// Why a client got no WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The offer cannot be made.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The server answered with another status than 101 (Switching Protocols).
    #[error("the server answered with status {}", .0.head.status())]
    Refused(Box<Refusal>),
    /// The server broke a rule or was too slow.
    #[error(transparent)]
    Protocol(#[from] client::Error),
    /// The transport, or the system's source of randomness, failed.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
}

impl From<DriveError<client::Error>> for ConnectError {
    fn from(error: DriveError<client::Error>) -> Self {
        match error {
            DriveError::Protocol(error) => Self::Protocol(error),
            DriveError::Io(error) => Self::Io(error),
        }
    }
}

/// Why a server opened no WebSocket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The request is none for a WebSocket, or not within the policy. It was answered with the status that says so.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The client broke a rule of HTTP, or was too slow.
    #[error(transparent)]
    Http(#[from] drywire_http::Error),
    /// The client went before it had asked for anything.
    #[error("the client went without a request")]
    Closed,
    /// The transport failed.
    #[error("transport: {0}")]
    Io(#[from] io::Error),
}

impl From<DriveError<drywire_http::Error>> for AcceptError {
    fn from(error: DriveError<drywire_http::Error>) -> Self {
        match error {
            DriveError::Protocol(error) => Self::Http(error),
            DriveError::Io(error) => Self::Io(error),
        }
    }
}
