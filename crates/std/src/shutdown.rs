//! Telling a server and all its connections to stop.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Asks a [`Server`](crate::Server) to stop, from any thread. Clones are the same handle, and one handle can stop
/// several servers.
#[derive(Clone, Default)]
pub struct ShutdownHandle {
    shared: Arc<Shared>,
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

    /// Stops accepting and wakes every connection's driver with [`Turn::Woken`](crate::Turn::Woken).
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

    /// Has `waker` woken by the shutdown, at once where it has already come, until the registration is dropped.
    pub(crate) fn register(&self, waker: Waker) -> Registration {
        let id = {
            let mut wakers = self.shared.lock();
            let id = wakers.next;
            wakers.next += 1;
            wakers.by_id.insert(id, waker.clone());
            id
        };
        // After the insertion: a shutdown that did not see the waker is seen here.
        if self.is_shutting_down() {
            waker.wake();
        }
        Registration { handle: self.clone(), id }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        // A panic elsewhere leaves the map whole.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownHandle").field("is_shutting_down", &self.is_shutting_down()).finish_non_exhaustive()
    }
}

/// Keeps a waker registered.
#[derive(Debug)]
pub(crate) struct Registration {
    handle: ShutdownHandle,
    id: u64,
}

impl Registration {
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.handle.is_shutting_down()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Bound, so that the waker is dropped outside the lock.
        let waker = self.handle.shared.lock().by_id.remove(&self.id);
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
        let registration = handle.register(waker_before);
        drop(handle.register(waker_gone));
        handle.clone().shutdown();
        let late = handle.register(waker_after);
        assert!(registration.is_shutting_down() && late.is_shutting_down());
        assert_eq!([before, gone, after].map(|count| count.0.load(Ordering::SeqCst)), [1, 0, 1]);
    }
}
