//! How much may be in flight: congestion control.
//!
//! A [`Controller`] holds the window and nothing else. Which segments count as lost, when a recovery begins and ends, and
//! how the window is used up during one (RFC 9937) is the connection's part and the same for all of them.

mod cubic;
mod new_reno;

use alloc::boxed::Box;
use core::any::Any;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use drywire_core::Instant;

pub use cubic::Cubic;
pub use new_reno::NewReno;

/// An acknowledgment of new data, as a [`Controller`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Acked {
    /// When it arrived.
    pub now: Instant,
    /// How many bytes it acknowledges.
    pub bytes: u32,
    /// How many bytes were in flight before it.
    pub flight: u32,
    /// The smoothed round-trip time; zero while nothing was measured.
    pub rtt: Duration,
}

/// The congestion window of one connection. All amounts are in bytes.
///
/// To bring one's own, implement this for a type that is `Clone + Eq + Hash` and put it into
/// [`Config::congestion`](crate::Config::congestion) by [`Congestion::custom`]. Each connection gets a copy.
pub trait Controller: fmt::Debug {
    /// The connection is established: segments hold `mss` bytes, and the first window is `window`.
    fn start(&mut self, mss: u32, window: u32);

    /// The size of a segment has changed.
    fn set_mss(&mut self, mss: u32);

    /// How many bytes may be in flight. At least one segment.
    fn window(&self) -> u32;

    /// The slow start threshold; `u32::MAX` before the first loss.
    fn threshold(&self) -> u32;

    /// New data was acknowledged, while no loss is being repaired or after a time-out.
    fn on_ack(&mut self, acked: &Acked);

    /// Something was lost with `flight` bytes in flight: at most once a round trip. From now on
    /// [`window`](Self::window) is what remains when the loss is repaired.
    fn on_congestion(&mut self, now: Instant, flight: u32);

    /// The peer reports that the network has marked something (RFC 3168), with `flight` bytes in flight: at most once a
    /// round trip. Nothing is lost, so [`window`](Self::window) counts at once. By default the same as for a loss.
    fn on_mark(&mut self, now: Instant, flight: u32) {
        self.on_congestion(now, flight);
    }

    /// The retransmission timer went off with `flight` bytes in flight; `again` where it did so before for the same
    /// data.
    fn on_timeout(&mut self, now: Instant, flight: u32, again: bool);

    /// Nothing was sent for so many retransmission time-outs, and the window is known to have been that of `restart`
    /// bytes once.
    fn on_idle(&mut self, timeouts: u32, restart: u32);
}

/// Which controller a connection uses, and its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Congestion {
    /// RFC 9438: what most of the Internet uses.
    Cubic(Cubic),
    /// RFC 5681 and RFC 6582.
    NewReno(NewReno),
    /// The caller's own.
    Custom(Custom),
}

impl Congestion {
    /// The caller's own controller.
    pub fn custom<C: Controller + Clone + Eq + Hash + Send + Sync + 'static>(controller: C) -> Self {
        Self::Custom(Custom(Box::new(controller)))
    }

    fn inner(&self) -> &dyn Controller {
        match self {
            Self::Cubic(cubic) => cubic,
            Self::NewReno(reno) => reno,
            Self::Custom(custom) => custom.0.as_controller(),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Controller {
        match self {
            Self::Cubic(cubic) => cubic,
            Self::NewReno(reno) => reno,
            Self::Custom(custom) => custom.0.as_controller_mut(),
        }
    }
}

impl Default for Congestion {
    fn default() -> Self {
        Self::Cubic(Cubic::default())
    }
}

impl Controller for Congestion {
    fn start(&mut self, mss: u32, window: u32) {
        self.inner_mut().start(mss, window);
    }

    fn set_mss(&mut self, mss: u32) {
        self.inner_mut().set_mss(mss);
    }

    fn window(&self) -> u32 {
        self.inner().window()
    }

    fn threshold(&self) -> u32 {
        self.inner().threshold()
    }

    fn on_ack(&mut self, acked: &Acked) {
        self.inner_mut().on_ack(acked);
    }

    fn on_congestion(&mut self, now: Instant, flight: u32) {
        self.inner_mut().on_congestion(now, flight);
    }

    fn on_mark(&mut self, now: Instant, flight: u32) {
        self.inner_mut().on_mark(now, flight);
    }

    fn on_timeout(&mut self, now: Instant, flight: u32, again: bool) {
        self.inner_mut().on_timeout(now, flight, again);
    }

    fn on_idle(&mut self, timeouts: u32, restart: u32) {
        self.inner_mut().on_idle(timeouts, restart);
    }
}

/// A controller of a type that only the caller knows.
#[derive(Debug)]
pub struct Custom(Box<dyn Erased>);

impl Clone for Custom {
    fn clone(&self) -> Self {
        Self(self.0.boxed_clone())
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl Eq for Custom {}

impl Hash for Custom {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.feed(state);
    }
}

/// What [`Custom`] needs of the type that it hides.
trait Erased: fmt::Debug + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn Erased>;
    fn equals(&self, other: &dyn Any) -> bool;
    fn feed(&self, state: &mut dyn Hasher);
    fn as_any(&self) -> &dyn Any;
    fn as_controller(&self) -> &dyn Controller;
    fn as_controller_mut(&mut self) -> &mut dyn Controller;
}

impl<C: Controller + Clone + Eq + Hash + Send + Sync + 'static> Erased for C {
    fn boxed_clone(&self) -> Box<dyn Erased> {
        Box::new(self.clone())
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<C>() == Some(self)
    }

    fn feed(&self, mut state: &mut dyn Hasher) {
        self.hash(&mut state);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_controller(&self) -> &dyn Controller {
        self
    }

    fn as_controller_mut(&mut self) -> &mut dyn Controller {
        self
    }
}

/// RFC 5681 3.1, slow start with RFC 3465 2.2 (L = 2 segments): how much the window grows.
fn slow_start(acked: u32, mss: u32) -> u32 {
    acked.min(mss.saturating_mul(2))
}

/// RFC 2861 3.1: a window halves with each time-out of idleness, down to the one to restart with (RFC 5681 4.1).
fn decay(window: u32, timeouts: u32, restart: u32) -> u32 {
    (window >> timeouts.min(31)).max(restart.min(window))
}
