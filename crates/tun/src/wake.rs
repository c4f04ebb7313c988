//! Which connections were woken, by anybody on any thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use drywire_tcp::ConnectionHandle;

/// The connections that were woken and not yet served, each once.
pub(crate) struct Wakes {
    list: Mutex<Vec<Arc<ConnectionWaker>>>,
    device: Waker,
}

/// What the waker of one connection wakes.
pub(crate) struct ConnectionWaker {
    handle: ConnectionHandle,
    listed: AtomicBool,
    wakes: Arc<Wakes>,
}

impl Wakes {
    pub(crate) fn new(device: Waker) -> Arc<Self> {
        Arc::new(Self { list: Mutex::default(), device })
    }

    pub(crate) fn waker(self: &Arc<Self>, handle: ConnectionHandle) -> Waker {
        Waker::from(Arc::new(ConnectionWaker { handle, listed: AtomicBool::new(false), wakes: Arc::clone(self) }))
    }

    /// Takes the list. A wake that comes from now on lists its connection again.
    pub(crate) fn take(&self) -> impl Iterator<Item = ConnectionHandle> + use<> {
        let list = std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner));
        list.into_iter().map(|waker| {
            waker.listed.store(false, Ordering::SeqCst);
            waker.handle
        })
    }
}

impl Wake for ConnectionWaker {
    fn wake(self: Arc<Self>) {
        if !self.listed.swap(true, Ordering::SeqCst) {
            let wakes = Arc::clone(&self.wakes);
            wakes.list.lock().unwrap_or_else(PoisonError::into_inner).push(self);
            wakes.device.wake_by_ref();
        }
    }
}
