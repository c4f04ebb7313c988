//! Telling a server and all its connections to stop.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Asks a server to stop, from any thread or task, and tells its handlers. Clones are the same handle, and one handle
/// can stop several servers, also of different drivers.
#[derive(Default)]
pub struct ShutdownHandle {
    shared: Arc<Shared>,
    /// This clone's waker, once it was polled.
    polled: Option<(Registration, Waker)>,
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
    /// Returns at once; further calls do nothing. The server's `run` returns when the handlers have.
    pub fn shutdown(&self) {
        self.shared.requested.store(true, Ordering::SeqCst);
        // Not woken under the lock: a waker may do anything.
        let wakers: Vec<Waker> = self.shared.lock().by_id.values().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether [`shutdown`](Self::shutdown) was called.
    pub fn is_shutting_down(&self) -> bool {
        self.shared.is_requested()
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
            self.keep(cx.waker());
        }
        // After the insertion: a shutdown that did not see the waker is seen here.
        if self.is_shutting_down() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Registers the waker, without the lock that all connections share where it is registered already.
    fn keep(&mut self, waker: &Waker) {
        match &mut self.polled {
            Some((_, known)) if known.will_wake(waker) => {}
            Some((registration, known)) => {
                registration.set(waker);
                known.clone_from(waker);
            }
            None => {
                let registration = Registration::new(&self.shared);
                registration.set(waker);
                self.polled = Some((registration, waker.clone()));
            }
        }
    }

    /// Has `waker` woken by the shutdown, at once where it has already come, until the registration is dropped.
    #[must_use = "dropping the registration takes the waker back"]
    pub fn register(&self, waker: &Waker) -> Registration {
        let registration = Registration::new(&self.shared);
        registration.set(waker);
        // After the insertion: a shutdown that did not see the waker is seen here.
        if self.is_shutting_down() {
            waker.wake_by_ref();
        }
        registration
    }
}

impl Shared {
    fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Wakers> {
        // A panic elsewhere leaves the map whole.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for ShutdownHandle {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), polled: None }
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownHandle").field("is_shutting_down", &self.is_shutting_down()).finish_non_exhaustive()
    }
}

/// Keeps a waker registered with a [`ShutdownHandle`].
pub struct Registration {
    shared: Arc<Shared>,
    id: u64,
}

impl Registration {
    /// A place in the list, with no waker yet.
    fn new(shared: &Arc<Shared>) -> Self {
        let mut wakers = shared.lock();
        wakers.next += 1;
        Self { shared: Arc::clone(shared), id: wakers.next }
    }

    fn set(&self, waker: &Waker) {
        // Bound, so that the old waker is dropped outside the lock: dropping one may do anything.
        let old = self.shared.lock().by_id.insert(self.id, waker.clone());
        drop(old);
    }

    /// Whether [`ShutdownHandle::shutdown`] was called.
    pub fn is_shutting_down(&self) -> bool {
        self.shared.is_requested()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("is_shutting_down", &self.is_shutting_down()).finish_non_exhaustive()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Bound, so that the waker is dropped outside the lock.
        let waker = self.shared.lock().by_id.remove(&self.id);
        drop(waker);
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

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn a_shutdown_wakes_whoever_is_registered_before_or_after_it() {
        let handle = ShutdownHandle::new();
        let ((before, waker_before), (gone, waker_gone), (after, waker_after)) = (counted(), counted(), counted());
        let registration = handle.register(&waker_before);
        drop(handle.register(&waker_gone));
        handle.clone().shutdown();
        let late = handle.register(&waker_after);
        assert!(registration.is_shutting_down() && late.is_shutting_down());
        assert_eq!([before, gone, after].map(|count| count.0.load(Ordering::SeqCst)), [1, 0, 1]);
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
