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
pub(crate) struct Tasks<'a> {
    tasks: Vec<(&'static str, Arc<Flag>, Option<Pin<Box<dyn Future<Output = ()> + 'a>>>)>,
}

impl<'a> Tasks<'a> {
    pub(crate) fn add(&mut self, name: &'static str, task: impl Future<Output = ()> + 'a) {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.tasks.push((name, flag, Some(Box::pin(task))));
    }

    /// Runs all to their ends.
    pub(crate) fn run(mut self, seed: u64) {
        let mut rng = Rng::new(&Seed::from(seed));
        while self.tasks.iter().any(|(_, _, task)| task.is_some()) {
            let woken: Vec<usize> = (0..self.tasks.len())
                .filter(|&at| self.tasks[at].2.is_some() && self.tasks[at].1.0.load(Ordering::SeqCst))
                .collect();
            let waiting: Vec<_> =
                self.tasks.iter().filter(|(_, _, task)| task.is_some()).map(|(name, ..)| *name).collect();
            assert!(!woken.is_empty(), "seed {seed}: {waiting:?} wait for ever");
            let (_, flag, task) = &mut self.tasks[woken[rng.below(woken.len() as u64) as usize]];
            flag.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(flag));
            let done =
                task.as_mut().is_some_and(|task| task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
            if done {
                *task = None;
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
