//! Runs a simulation for many seeds on all cores.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Runs every seed below `count`, or the one that the environment names with `SEED`, and panics with the first that
/// fails. `SEEDS` puts another number in the place of `count`, for long runs.
#[track_caller]
pub fn for_each_seed<T>(count: u64, run: impl Fn(u64) -> Result<T, String> + Sync) {
    let (first, end) = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => (seed, seed + 1),
        (None, count_there) => (0, count_there.unwrap_or(count)),
    };
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            if let Err(failure) = run(seed) {
                failures.lock().unwrap().push((seed, failure));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    if let Some((seed, failure)) = failures.first() {
        panic!("{} of {} seeds fail, the first is SEED={seed}: {failure}", failures.len(), end - first);
    }
}

#[allow(clippy::disallowed_methods, reason = "a test, not a machine, is told by its environment what to run")]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}
