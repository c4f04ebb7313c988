//! A waker for a task that waits for something else too.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tokio::sync::Notify;

/// What a [`Waker`] wakes where a task selects between this and other futures. Wakes before the wait count.
#[derive(Clone, Default)]
pub(crate) struct Pulse(Arc<Inner>);

#[derive(Default)]
struct Inner(Notify);

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

impl Pulse {
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0))
    }

    /// Waits for the next wake. Cancel-safe: a wake that is not waited for stays.
    pub(crate) async fn beat(&self) {
        self.0.0.notified().await;
    }
}
