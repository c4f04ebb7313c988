//! Which connection a four-tuple names.

use core::fmt;

use hashbrown::HashTable;

use super::{Socket, time_wait};
use crate::four_tuple::FourTuple;
use crate::siphash::SipKey;
use crate::slab::{Key, Slab};

/// Where the segments of a four-tuple go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Connection(Key),
    TimeWait(Key),
}

/// Connections and those in TIME-WAIT, found by their four-tuple in constant time: the key of the hash is secret, so
/// nobody can make them collide.
///
/// The table holds four bytes for each, not their four-tuples, which stand with the connections.
pub(super) struct Demux {
    table: HashTable<u32>,
    key: SipKey,
    /// The connection that was found last: packets come in trains, and the next one is likely for the same.
    recent: Option<u32>,
}

/// In the table, the entries in TIME-WAIT have this bit.
const TIME_WAIT: u32 = 1 << 31;

type Sockets = Slab<alloc::boxed::Box<Socket>>;
type TimeWaits = Slab<time_wait::Entry>;

impl Demux {
    pub(super) fn new(key: SipKey) -> Self {
        Self { table: HashTable::new(), key, recent: None }
    }

    fn hash(&self, tuple: &FourTuple) -> u64 {
        self.key.fast(tuple.to_bytes().as_slice())
    }

    pub(super) fn find(&self, sockets: &Sockets, time_waits: &TimeWaits, tuple: &FourTuple) -> Option<Target> {
        let is_it = |id: &u32| tuple_of(sockets, time_waits, *id).as_ref() == Some(tuple);
        let id = *self.table.find(self.hash(tuple), is_it)?;
        if id & TIME_WAIT == 0 {
            sockets.key_at(id).map(Target::Connection)
        } else {
            time_waits.key_at(id ^ TIME_WAIT).map(Target::TimeWait)
        }
    }

    /// The same for a segment that has arrived.
    pub(super) fn find_again(
        &mut self,
        sockets: &Sockets,
        time_waits: &TimeWaits,
        tuple: &FourTuple,
    ) -> Option<Target> {
        if let Some(id) = self.recent
            && tuple_of(sockets, time_waits, id).as_ref() == Some(tuple)
        {
            return sockets.key_at(id).map(Target::Connection);
        }
        let found = self.find(sockets, time_waits, tuple);
        if let Some(Target::Connection(key)) = found {
            self.recent = Some(key.index());
        }
        found
    }

    pub(super) fn insert(&mut self, sockets: &Sockets, time_waits: &TimeWaits, tuple: &FourTuple, target: Target) {
        let hash = self.hash(tuple);
        let Self { table, key, .. } = self;
        table.insert_unique(hash, id_of(target), |id| {
            tuple_of(sockets, time_waits, *id).map_or(0, |tuple| key.fast(tuple.to_bytes().as_slice()))
        });
    }

    pub(super) fn remove(&mut self, tuple: &FourTuple, target: Target) {
        let id = id_of(target);
        if self.recent == Some(id) {
            self.recent = None;
        }
        if let Ok(found) = self.table.find_entry(self.hash(tuple), |other| *other == id) {
            found.remove();
        }
    }
}

fn id_of(target: Target) -> u32 {
    match target {
        Target::Connection(key) => key.index(),
        Target::TimeWait(key) => key.index() | TIME_WAIT,
    }
}

fn tuple_of(sockets: &Sockets, time_waits: &TimeWaits, id: u32) -> Option<FourTuple> {
    if id & TIME_WAIT == 0 {
        sockets.at(id).map(|socket| socket.tuple())
    } else {
        time_waits.at(id ^ TIME_WAIT).map(|entry| entry.tuple)
    }
}

impl fmt::Debug for Demux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demux").field("len", &self.table.len()).finish_non_exhaustive()
    }
}
