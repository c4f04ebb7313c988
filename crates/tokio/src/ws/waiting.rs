//! Who waits for a WebSocket: a reader, a writer, or both from different tasks.

use std::sync::Arc;
use std::task::{Wake, Waker};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Reader,
    Writer,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Reader => Self::Writer,
            Self::Writer => Self::Reader,
        }
    }
}

/// A transport and a timer keep the waker of their last poll only. So while both sides wait, that is one which wakes
/// both.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The waker for both, kept for as long as they are the same two.
    both: Option<(Arc<Both>, Waker)>,
}

#[derive(Debug)]
struct Both([Waker; 2]);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.iter().for_each(Waker::wake_by_ref);
    }
}

impl Waiting {
    /// What a poll for `side` registers: its own waker, or one for both sides while the other one waits elsewhere.
    pub(super) fn waker<'a>(&'a mut self, side: Side, own: &'a Waker) -> &'a Waker {
        let Some(other) = self.side(side.other()).as_ref().filter(|other| !other.will_wake(own)).cloned() else {
            return own;
        };
        let known = self.both.take().filter(|(both, _)| both.0[0].will_wake(own) && both.0[1].will_wake(&other));
        let (_, waker) = self.both.insert(known.unwrap_or_else(|| {
            let both = Arc::new(Both([own.clone(), other]));
            (Arc::clone(&both), Waker::from(both))
        }));
        waker
    }

    /// Says whether `side` waits, and by which waker.
    pub(super) fn set(&mut self, side: Side, waker: Option<&Waker>) {
        let slot = self.side(side);
        match (waker, &mut *slot) {
            (Some(waker), Some(known)) => known.clone_from(waker),
            (waker, _) => *slot = waker.cloned(),
        }
    }

    pub(super) fn wake(&mut self, side: Side) {
        if let Some(waker) = self.side(side).take() {
            waker.wake();
        }
    }

    fn side(&mut self, side: Side) -> &mut Option<Waker> {
        match side {
            Side::Reader => &mut self.reader,
            Side::Writer => &mut self.writer,
        }
    }
}
