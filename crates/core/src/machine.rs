//! The edge between a stream protocol and whatever carries its bytes.

use alloc::boxed::Box;

use crate::{Instant, RecvBuf, SendQueue};

/// What a machine wants of its transport right now. Drivers ask after every call into the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Demand {
    /// Whether more input would help. `false` is backpressure: the driver stops reading, and the peer's window closes.
    pub read: bool,
    /// Whether the transport is to be closed, and how. Set only while [`StreamMachine::transmit`] is empty, so that
    /// a close can never overtake queued bytes; [`Close::Abort`] alone does not wait.
    pub close: Option<Close>,
}

/// How to close the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Close {
    /// End the sending direction and go on reading (`shutdown(SHUT_WR)`, a TCP FIN).
    WriteHalf,
    /// End both directions in order: nothing more is read or written.
    Both,
    /// Drop the connection at once, with a TCP RST where there is one.
    Abort,
}

/// A protocol over an ordered byte stream. Drivers, simulators and fuzzers need only this.
///
/// Methods may be called in any order and any number of times; none of them panics. Commands (sending a request, a
/// message, starting a shutdown) are inherent methods of each machine.
///
/// A machine keeps its buffers while there is work. A driver that is going to wait gives their storage back, with
/// [`RecvBuf::release`] and [`SendQueue::release`], so that an idle connection holds none.
///
/// The laws that every implementation keeps:
///
/// 1. *Split invariance*: how the input is cut into reads changes neither the events nor the output bytes.
/// 2. *Linear work*: the total work is linear in the total number of bytes, also when they come one at a time.
/// 3. *Bounded memory*: nothing is allocated for bytes that were only announced.
/// 4. *Replay*: the same inputs at the same instants give the same outputs.
/// 5. *No panic* on any input or order of calls.
/// 6. *Deadlines move*: after `handle_timeout(t)`, `poll_timeout()` is `None` or later than `t`.
/// 7. *Nothing after the end*: bytes behind the last message stay in `recv`.
/// 8. *Errors are final*: an error is repeated by every later call, and its farewell is already in `transmit()`.
pub trait StreamMachine {
    /// What the machine tells its user.
    type Event;
    /// The peer's broken rule, or the transport's early end.
    type Error: core::error::Error + Clone;

    /// Parses forward to the next event, taking bytes off the front of `recv`.
    ///
    /// `Ok(None)` means that more input is needed, or that the machine waits for its user. Call it until then: one
    /// read can hold many events.
    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Self::Event>, Self::Error>;

    /// What is ready for the wire. The driver writes from its front and advances by what the transport took.
    fn transmit(&mut self) -> &mut SendQueue;

    /// The next instant at which [`handle_timeout`](Self::handle_timeout) has work.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Does the work that is due at `now`. Calling it early does nothing.
    fn handle_timeout(&mut self, now: Instant);

    /// Whether to read, and whether and how to close the transport.
    fn demand(&self) -> Demand;
}

macro_rules! forward {
    ($($pointer:ty),+) => {$(
        impl<M: StreamMachine + ?Sized> StreamMachine for $pointer {
            type Event = M::Event;
            type Error = M::Error;

            fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<M::Event>, M::Error> {
                (**self).poll_event(now, recv)
            }

            fn transmit(&mut self) -> &mut SendQueue {
                (**self).transmit()
            }

            fn poll_timeout(&self) -> Option<Instant> {
                (**self).poll_timeout()
            }

            fn handle_timeout(&mut self, now: Instant) {
                (**self).handle_timeout(now);
            }

            fn demand(&self) -> Demand {
                (**self).demand()
            }
        }
    )+};
}

forward!(&mut M, Box<M>);

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;

    #[test]
    fn the_trait_is_dyn_compatible() {
        fn takes(_: Option<&mut dyn StreamMachine<Event = (), Error = Infallible>>) {}
        takes(None);
    }
}
