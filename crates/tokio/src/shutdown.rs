//! Telling a server and all its connections to stop.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Asks a [`Server`](crate::Server) to stop, from any task or thread, and tells its handlers. Clones are the same
/// handle, and one handle can stop several servers.
///
/// ```
/// use std::future::poll_fn;
/// use std::task::Poll;
/// use drywire_core::StreamMachine;
/// use drywire_tokio::{Driver, ShutdownHandle, Transport, Turn, TurnResult};
///
/// /// Waits for the next turn, or `None` for the shutdown: one waiting place, nothing lost.
/// async fn turn_or_shutdown<M: StreamMachine, T: Transport>(
///     driver: &mut Driver<M, T>,
///     shutdown: &mut ShutdownHandle,
/// ) -> Option<TurnResult<M>> {
///     poll_fn(|cx| {
///         if shutdown.poll_requested(cx).is_ready() {
///             return Poll::Ready(None);
///         }
///         driver.poll_turn(cx).map(Some)
///     })
///     .await
/// }
/// ```
#[derive(Default)]
pub struct ShutdownHandle {
    shared: Arc<Shared>,
    /// Under which this clone's waker is registered.
    id: Option<u64>,
}

#[derive(Default)]
struct Shared {
    requested: AtomicBool,
    wakers: Mutex<Wakers>,
}

#[derive(Default)]
struct Wakers {
    next: u64,
    by_id: BTreeMap<u64, Waker>,
}

impl ShutdownHandle {
    /// A handle that no server listens to yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops accepting and tells every handler.
    ///
    /// Returns at once; further calls do nothing. [`Server::run`](crate::Server::run) returns when the handlers have.
    pub fn shutdown(&self) {
        self.shared.requested.store(true, Ordering::SeqCst);
        // Not woken under the lock: a waker may do anything.
        let wakers: Vec<Waker> = self.shared.lock().by_id.values().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    pub fn is_shutting_down(&self) -> bool {
        self.shared.requested.load(Ordering::SeqCst)
    }

    /// Waits until [`shutdown`](Self::shutdown) is called.
    ///
    /// Cancel-safe: it only looks.
    pub async fn requested(&self) {
        let mut own = self.clone();
        poll_fn(|cx| own.poll_requested(cx)).await;
    }

    /// [`requested`](Self::requested) for a `poll_fn` that waits for more than one thing. Of several callers of one
    /// clone only the last is woken.
    pub fn poll_requested(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_shutting_down() {
            let mut wakers = self.shared.lock();
            let id = *self.id.get_or_insert_with(|| {
                wakers.next += 1;
                wakers.next
            });
            let known = wakers.by_id.get(&id).is_some_and(|waker| waker.will_wake(cx.waker()));
            // The old waker is dropped outside the lock: dropping one may do anything.
            let old = if known { None } else { wakers.by_id.insert(id, cx.waker().clone()) };
            drop(wakers);
            drop(old);
        }
        // After the insertion: a shutdown that did not see the waker is seen here.
        if self.is_shutting_down() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        // A panic elsewhere leaves the map whole.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for ShutdownHandle {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), id: None }
    }
}

impl Drop for ShutdownHandle {
    fn drop(&mut self) {
        let waker = self.id.and_then(|id| self.shared.lock().by_id.remove(&id));
        drop(waker);
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownHandle").field("is_shutting_down", &self.is_shutting_down()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_shutdown_wakes_whoever_polled_last_and_nobody_who_is_gone() {
        let counts: [Arc<Count>; 3] = Default::default();
        let wakers = counts.clone().map(Waker::from);
        let handle = ShutdownHandle::new();
        let (mut moved, mut gone) = (handle.clone(), handle.clone());
        assert_eq!(moved.poll_requested(&mut Context::from_waker(&wakers[0])), Poll::Pending);
        assert_eq!(moved.poll_requested(&mut Context::from_waker(&wakers[1])), Poll::Pending);
        assert_eq!(gone.poll_requested(&mut Context::from_waker(&wakers[2])), Poll::Pending);
        drop(gone);
        handle.shutdown();
        assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [0, 1, 0]);
        assert_eq!(moved.poll_requested(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
        assert_eq!(handle.clone().poll_requested(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }

    #[test]
    fn a_dropped_handle_leaves_no_waker_behind() {
        let handle = ShutdownHandle::new();
        let mut clone = handle.clone();
        assert_eq!(clone.poll_requested(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        assert_eq!(handle.shared.lock().by_id.len(), 1);
        drop(clone);
        assert_eq!(handle.shared.lock().by_id.len(), 0);
    }
}
