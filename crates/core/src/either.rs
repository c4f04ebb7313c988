//! A connection that speaks one protocol and then another.

use core::fmt;

use crate::{Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// One of two machines, as one machine: for a connection that changes its protocol where its type cannot change.
///
/// Its events and errors are `Either` too. The change is an assignment: what the first machine has queued moves to the
/// second one by hand, and received bytes stay in the driver's [`RecvBuf`].
///
/// ```
/// use drywire_core::Either;
///
/// let mut connection: Either<&str, &str> = Either::First("HTTP");
/// assert_eq!(connection.first_mut(), Some(&mut "HTTP"));
/// connection = Either::Second("WebSocket");
/// assert_eq!(connection.second_mut(), Some(&mut "WebSocket"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Either<A, B> {
    /// The first machine, or what is its.
    First(A),
    /// The second machine, or what is its.
    Second(B),
}

impl<A, B> Either<A, B> {
    /// The first machine, if it is that.
    pub fn first_mut(&mut self) -> Option<&mut A> {
        match self {
            Self::First(a) => Some(a),
            Self::Second(_) => None,
        }
    }

    /// The second machine, if it is that.
    pub fn second_mut(&mut self) -> Option<&mut B> {
        match self {
            Self::First(_) => None,
            Self::Second(b) => Some(b),
        }
    }
}

impl<A: fmt::Display, B: fmt::Display> fmt::Display for Either<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(a) => a.fmt(f),
            Self::Second(b) => b.fmt(f),
        }
    }
}

impl<A: core::error::Error, B: core::error::Error> core::error::Error for Either<A, B> {}

impl<A: StreamMachine, B: StreamMachine> StreamMachine for Either<A, B> {
    type Event = Either<A::Event, B::Event>;
    type Error = Either<A::Error, B::Error>;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Self::Event>, Self::Error> {
        match self {
            Self::First(a) => a.poll_event(now, recv).map(|e| e.map(Either::First)).map_err(Either::First),
            Self::Second(b) => b.poll_event(now, recv).map(|e| e.map(Either::Second)).map_err(Either::Second),
        }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        match self {
            Self::First(a) => a.transmit(),
            Self::Second(b) => b.transmit(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::First(a) => a.poll_timeout(),
            Self::Second(b) => b.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::First(a) => a.handle_timeout(now),
            Self::Second(b) => b.handle_timeout(now),
        }
    }

    fn demand(&self) -> Demand {
        match self {
            Self::First(a) => a.demand(),
            Self::Second(b) => b.demand(),
        }
    }
}
