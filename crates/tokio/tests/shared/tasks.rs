//! A few tasks on one thread, of which a seed chooses who runs next. A task runs only when it was woken, so that a wake
//! that is missing shows as a standstill.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use drywire_core::{Rng, Seed};

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Default)]
pub(crate) struct Tasks<'a>(Vec<Task<'a>>);

struct Task<'a> {
    name: &'static str,
    woken: Arc<Flag>,
    future: Pin<Box<dyn Future<Output = ()> + 'a>>,
}

impl<'a> Tasks<'a> {
    pub(crate) fn add(&mut self, name: &'static str, future: impl Future<Output = ()> + 'a) {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        self.0.push(Task { name, woken, future: Box::pin(future) });
    }

    /// Runs all to their ends.
    pub(crate) fn run(mut self, seed: u64) {
        let mut rng = Rng::new(&Seed::from(seed));
        while !self.0.is_empty() {
            let names: Vec<_> = self.0.iter().map(|task| task.name).collect();
            let woken: Vec<usize> = (0..self.0.len()).filter(|&at| self.0[at].woken.0.load(Ordering::SeqCst)).collect();
            assert!(!woken.is_empty(), "seed {seed}: {names:?} wait for ever");
            let at = woken[rng.below(woken.len() as u64) as usize];
            let task = &mut self.0[at];
            task.woken.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&task.woken));
            if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                drop(self.0.remove(at));
            }
        }
    }
}

/// Awaits a future that is made anew for each poll: cancelled at every wait.
#[macro_export]
macro_rules! cancelled {
    ($future:expr) => {
        std::future::poll_fn(|cx| std::pin::pin!($future).poll(cx)).await
    };
}

/// Polls once.
pub(crate) fn once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
