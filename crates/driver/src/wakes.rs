//! Which connections were woken, by anybody on any thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The connections of one thread that were woken and not yet served, each once. Clones share one list.
pub struct Wakes<K>(Arc<Shared<K>>);

struct Shared<K> {
    list: Mutex<Vec<Arc<ConnectionWaker<K>>>>,
    /// Ends the thread's wait.
    thread: Waker,
}

/// What the waker of one connection wakes.
struct ConnectionWaker<K> {
    key: K,
    listed: AtomicBool,
    shared: Arc<Shared<K>>,
}

impl<K: Copy + Send + Sync + 'static> Wakes<K> {
    /// An empty list for a thread whose wait `thread` ends.
    pub fn new(thread: Waker) -> Self {
        Self(Arc::new(Shared { list: Mutex::default(), thread }))
    }

    /// A waker that lists the connection `key`, and ends the thread's wait where nobody has done so before.
    pub fn waker(&self, key: K) -> Waker {
        Waker::from(Arc::new(ConnectionWaker { key, listed: AtomicBool::new(false), shared: Arc::clone(&self.0) }))
    }

    /// Takes the list. A wake that comes from now on lists its connection again.
    ///
    /// A connection may be over by then: keys that are given to others again need something that tells them apart.
    pub fn take(&self) -> impl Iterator<Item = K> + use<K> {
        let list = std::mem::take(&mut *self.0.list.lock().unwrap_or_else(PoisonError::into_inner));
        list.into_iter().map(|waker| {
            waker.listed.store(false, Ordering::SeqCst);
            waker.key
        })
    }
}

impl<K: Send + Sync> Wake for ConnectionWaker<K> {
    fn wake(self: Arc<Self>) {
        if self.listed.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mut list = shared.list.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = list.is_empty();
        list.push(self);
        drop(list);
        // The others find the wait ended: whoever takes the list takes them all.
        if is_first {
            shared.thread.wake_by_ref();
        }
    }
}

impl<K> Clone for Wakes<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Wakes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_is_listed_once_and_the_thread_is_woken_for_the_first() {
        let count = Arc::new(Count::default());
        let wakes = Wakes::new(Waker::from(Arc::clone(&count)));
        let (one, two) = (wakes.waker(1), wakes.waker(2));
        for waker in [&one, &two, &one, &one.clone()] {
            waker.wake_by_ref();
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert_eq!(wakes.take().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(wakes.take().count(), 0);
        two.wake();
        assert_eq!((wakes.take().collect::<Vec<_>>(), count.0.load(Ordering::SeqCst)), (vec![2], 2));
    }

    /// A wake while the list is being taken is not lost: it is in this list, or in the next with the thread woken.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "wakes come from other threads")]
    fn no_wake_is_lost_between_threads() {
        let wakes = Wakes::new(Waker::noop().clone());
        let wakers: Vec<Waker> = (0..4).map(|key| wakes.waker(key)).collect();
        let sent: [AtomicUsize; 4] = Default::default();
        std::thread::scope(|scope| {
            for (waker, sent) in wakers.iter().zip(&sent) {
                scope.spawn(move || {
                    for _ in 0..10_000 {
                        sent.fetch_add(1, Ordering::SeqCst);
                        waker.wake_by_ref();
                    }
                });
            }
            // What each key's last entry has seen of its sender.
            let mut seen = [0; 4];
            while seen != [10_000; 4] {
                for key in wakes.take() {
                    seen[key] = sent[key].load(Ordering::SeqCst);
                }
            }
        });
    }
}
