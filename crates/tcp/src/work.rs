//! Counts how often an entry of a table or heap was looked at, so that a test can tell work that grows with their size from
//! work that does not. Without the feature `count-work` there is nothing to count and nothing to pay.

#[cfg(feature = "count-work")]
std::thread_local! {
    static VISITS: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
}

/// How many entries of connections, of TIME-WAIT, of listeners and of timers this thread has looked at, in all stacks.
#[cfg(feature = "count-work")]
pub fn visits() -> u64 {
    VISITS.get()
}

/// An entry is looked at.
#[inline]
pub(crate) fn visit() {
    #[cfg(feature = "count-work")]
    VISITS.set(VISITS.get() + 1);
}
