//! Compressors between two messages.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::codec::{Compressor, Decompressor, Settings};

/// Compressors and decompressors that connections without context takeover share: each message takes one and gives
/// it back, so that a thousand idle connections hold none.
///
/// A compressor takes about 370 KiB, a decompressor 55 KiB. What a connection gets does not depend on who used it
/// before, so a run replays whether its pool is shared or not. Clones are the same pool; its lock is held only to
/// take one out or to put one back.
#[derive(Clone)]
pub struct Pool {
    shelf: Arc<Mutex<Shelf>>,
}

#[expect(clippy::vec_box, reason = "they move between the pool and its connections as they are")]
struct Shelf {
    keep: usize,
    compressors: Vec<Box<Compressor>>,
    decompressors: Vec<Box<Decompressor>>,
}

impl Pool {
    /// A pool that keeps up to `keep` idle ones of each kind. Nothing is allocated before the first use.
    pub fn new(keep: usize) -> Self {
        Self { shelf: Arc::new(Mutex::new(Shelf { keep, compressors: Vec::new(), decompressors: Vec::new() })) }
    }

    /// How many idle compressors and decompressors it holds.
    pub fn idle(&self) -> (usize, usize) {
        let shelf = self.shelf();
        (shelf.compressors.len(), shelf.decompressors.len())
    }

    pub(super) fn take_compressor(&self, settings: Settings) -> Option<Box<Compressor>> {
        let compressors = &mut self.shelf().compressors;
        let fits = compressors.iter().rposition(|compressor| compressor.settings() == settings)?;
        Some(compressors.swap_remove(fits))
    }

    /// Takes back a compressor that has been reset. Above the limit the oldest goes.
    pub(super) fn give_compressor(&self, compressor: Box<Compressor>) {
        let mut shelf = self.shelf();
        let keep = shelf.keep;
        shelf.compressors.push(compressor);
        if shelf.compressors.len() > keep {
            shelf.compressors.swap_remove(0);
        }
    }

    pub(super) fn take_decompressor(&self) -> Option<Box<Decompressor>> {
        self.shelf().decompressors.pop()
    }

    /// Takes back a decompressor that has been reset.
    pub(super) fn give_decompressor(&self, decompressor: Box<Decompressor>) {
        let mut shelf = self.shelf();
        if shelf.decompressors.len() < shelf.keep {
            shelf.decompressors.push(decompressor);
        }
    }

    /// Nothing can panic under the lock, so a poisoned one is as good.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pool {
    /// A pool that keeps up to 16 of each kind.
    fn default() -> Self {
        Self::new(16)
    }
}

impl PartialEq for Pool {
    /// Whether both are the same pool.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shelf, &other.shelf)
    }
}

impl Eq for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (compressors, decompressors) = self.idle();
        f.debug_struct("Pool").field("compressors", &compressors).field("decompressors", &decompressors).finish()
    }
}
