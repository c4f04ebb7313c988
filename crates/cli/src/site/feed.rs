//! One log of events, read by every technique.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use drywire::Bytes;
use drywire::http::sse;

/// A published text with its place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// 1 for the first event ever published.
    pub(crate) id: u64,
    pub(crate) text: String,
}

impl Entry {
    /// `{"id":1,"text":"…"}`, without a line break in it.
    pub(crate) fn to_json(&self) -> String {
        serde_json::json!({ "id": self.id, "text": self.text }).to_string()
    }

    /// The event as a line of its own.
    pub(crate) fn to_line(&self) -> Bytes {
        (self.to_json() + "\n").into()
    }

    /// The event as a block of an event stream.
    pub(crate) fn to_event_stream(&self) -> Bytes {
        // A number as an id is never refused.
        sse::Event::new(&self.text).id(&self.id.to_string()).encode().unwrap_or_default()
    }
}

/// The newest events, bounded in number and bytes, and who waits for more. Clones share one feed.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    entries: VecDeque<Entry>,
    bytes: usize,
    published: u64,
    watchers: BTreeMap<u64, Waker>,
    next_watcher: u64,
}

impl Feed {
    /// How many events are kept.
    const ENTRIES_MAX: usize = 1024;
    /// How many bytes of text are kept.
    const BYTES_MAX: usize = 4 << 20;

    /// Appends an event, drops the oldest ones beyond the bounds, and wakes everybody who waits.
    pub(crate) fn publish(&self, text: String) -> u64 {
        let mut log = self.lock();
        log.published += 1;
        let id = log.published;
        log.bytes += text.len();
        log.entries.push_back(Entry { id, text });
        while log.entries.len() > Self::ENTRIES_MAX || log.bytes > Self::BYTES_MAX {
            let Some(oldest) = log.entries.pop_front() else { break };
            log.bytes -= oldest.text.len();
        }
        let wakers: Vec<Waker> = log.watchers.values().cloned().collect();
        drop(log);
        wakers.iter().for_each(Waker::wake_by_ref);
        id
    }

    /// The oldest kept event after event `id`.
    pub(crate) fn next_after(&self, id: u64) -> Option<Entry> {
        let log = self.lock();
        let oldest = log.entries.front()?.id;
        let skip = usize::try_from(id.saturating_add(1).saturating_sub(oldest)).ok()?;
        log.entries.get(skip).cloned()
    }

    /// All kept events after event `id`, oldest first.
    pub(crate) fn after(&self, id: u64) -> Vec<Entry> {
        self.lock().entries.iter().filter(|entry| entry.id > id).cloned().collect()
    }

    /// The newest event's id, 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.lock().published
    }

    /// Wakes `waker` at every event until the watch is dropped.
    pub(crate) fn watch(&self, waker: Waker) -> Watch {
        let mut log = self.lock();
        let id = log.next_watcher;
        log.next_watcher += 1;
        log.watchers.insert(id, waker);
        Watch { feed: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Nothing in here can panic half-way, so a poisoned log is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody's wish to be woken at every event; ends when dropped.
pub(crate) struct Watch {
    feed: Feed,
    id: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed.lock().watchers.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn ids_count_from_one_and_after_is_exclusive() {
        let feed = Feed::default();
        assert_eq!((feed.newest(), feed.next_after(0)), (0, None));
        assert_eq!(feed.publish("a".into()), 1);
        assert_eq!(feed.publish("b".into()), 2);
        assert_eq!(feed.after(0).len(), 2);
        assert_eq!(feed.after(1), [Entry { id: 2, text: "b".into() }]);
        assert_eq!(feed.next_after(1).unwrap().text, "b");
        assert_eq!(feed.next_after(2), None);
        assert_eq!(feed.next_after(u64::MAX), None);
    }

    #[test]
    fn the_oldest_events_make_room() {
        let feed = Feed::default();
        for n in 0..Feed::ENTRIES_MAX + 10 {
            feed.publish(n.to_string());
        }
        assert_eq!(feed.after(0).len(), Feed::ENTRIES_MAX);
        assert_eq!(feed.next_after(0).unwrap().id, 11);
        for _ in 0..10 {
            feed.publish("x".repeat(1 << 20));
        }
        assert_eq!(feed.after(0).len(), 4);
    }

    #[test]
    fn a_watch_wakes_until_it_is_dropped() {
        let (feed, count) = (Feed::default(), Arc::new(Count::default()));
        let watch = feed.watch(count.clone().into());
        feed.publish("a".into());
        feed.publish("b".into());
        drop(watch);
        feed.publish("c".into());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_event_stream_block_holds_no_stray_line() {
        let entry = Entry { id: 7, text: "a\r\nb\rid: 9\n".into() };
        assert_eq!(entry.to_event_stream(), "id: 7\ndata: a\ndata: b\ndata: id: 9\ndata: \n\n");
        assert_eq!(Entry { id: 1, text: "a\n\"b\"".into() }.to_json(), r#"{"id":1,"text":"a\n\"b\""}"#);
    }
}
