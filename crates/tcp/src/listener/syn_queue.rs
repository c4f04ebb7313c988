//! Connections of which only a SYN is known.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::BytesMut;
use drywire_core::Instant;
use hashbrown::HashTable;

use crate::connection::is_setup;
use crate::four_tuple::FourTuple;
use crate::siphash::SipKey;
use crate::slab::{Key, Slab};
use crate::timer_heap::TimerHeap;
use crate::{Config, Connection, Flags, Header, Options, Segment, SeqNumber, Timestamps};

/// A SYN that was answered: all that is needed to make the connection from it when the handshake is over.
///
/// It is a recipe, not a connection: playing the SYN and the time-outs that followed to a fresh [`Connection`] gives the
/// connection that would have been there all the time. So there is one set of rules for SYN-RECEIVED, the
/// connection's, and an entry holds no buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) tuple: FourTuple,
    pub(super) iss: SeqNumber,
    /// When the SYN arrived.
    at: Instant,
    /// How often the SYN-ACK was sent again because nothing came.
    pub(super) retries: u8,
    seq: SeqNumber,
    window: u16,
    flags: Flags,
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamp: Option<u32>,
}

impl Entry {
    pub(super) fn new(now: Instant, tuple: FourTuple, iss: SeqNumber, syn: &Header) -> Self {
        let options = &syn.options;
        Self {
            tuple,
            iss,
            at: now,
            retries: 0,
            seq: syn.seq,
            window: syn.window,
            // What else a SYN may carry is not kept: the peer sends text again.
            flags: syn.flags.only(Flags::SYN | Flags::ECE | Flags::CWR),
            mss: options.mss,
            window_scale: options.window_scale,
            sack_permitted: options.sack_permitted,
            timestamp: options.timestamps.map(|timestamps| timestamps.value),
        }
    }

    /// A SYN without ECN takes back what an earlier one said, also for the connection that is made later.
    pub(super) fn heed_ecn(&mut self, header: &Header) {
        if header.flags.contains(Flags::SYN) && header.seq == self.seq && !is_setup(header.flags) {
            self.flags = Flags::SYN;
        }
    }

    /// The connection in SYN-RECEIVED as it would be by now: everything that was sent has left it.
    pub(super) fn replay(&self, config: &Arc<Config>) -> Connection {
        let mut connection = self.open(config);
        discard_output(&mut connection, self.at);
        for _ in 0..self.retries {
            let Some(at) = connection.poll_timeout() else { break };
            connection.handle_timeout(at);
            discard_output(&mut connection, at);
        }
        connection
    }

    /// The connection to which the SYN has just arrived, with the SYN-ACK ready; in LISTEN if it does not take that
    /// SYN.
    pub(super) fn open(&self, config: &Arc<Config>) -> Connection {
        let (local, remote) = (self.tuple.local(), self.tuple.remote());
        let mut connection = Connection::listen(local, self.iss, Arc::clone(config));
        let header = Header {
            source_port: remote.port(),
            destination_port: local.port(),
            seq: self.seq,
            flags: self.flags,
            window: self.window,
            options: Options {
                mss: self.mss,
                window_scale: self.window_scale,
                sack_permitted: self.sack_permitted,
                timestamps: self.timestamp.map(|value| Timestamps { value, echo: 0 }),
                ..Options::default()
            },
            ..Header::default()
        };
        connection.handle_segment(self.at, remote.ip(), &Segment { header, payload: &[] });
        connection
    }
}

/// Whatever the connection sends was sent before.
pub(super) fn discard_output(connection: &mut Connection, now: Instant) {
    let mut out = BytesMut::new();
    while connection.poll_transmit(now, &mut out).is_some() {
        out.clear();
    }
}

/// The entries, found by their sockets, with the times at which their SYN-ACKs are due again.
pub(super) struct SynQueue {
    entries: Slab<Entry>,
    table: HashTable<u32>,
    key: SipKey,
    timers: TimerHeap,
}

impl SynQueue {
    pub(super) fn new(key: SipKey) -> Self {
        Self { entries: Slab::new(), table: HashTable::new(), key, timers: TimerHeap::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, tuple: &FourTuple) -> Option<Key> {
        let hash = self.key.fast(tuple.to_bytes().as_slice());
        let is_it = |index: &u32| self.entries.at(*index).is_some_and(|entry| entry.tuple == *tuple);
        self.entries.key_at(*self.table.find(hash, is_it)?)
    }

    pub(super) fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn insert(&mut self, entry: Entry, deadline: Option<Instant>) {
        let Self { entries, table, key, timers } = self;
        let hash = |tuple: &FourTuple| key.fast(tuple.to_bytes().as_slice());
        let index = entries.insert(entry).index();
        table
            .insert_unique(hash(&entry.tuple), index, |index| entries.at(*index).map_or(0, |entry| hash(&entry.tuple)));
        timers.set(index, deadline);
    }

    pub(super) fn remove(&mut self, key: Key) {
        let Some(entry) = self.entries.remove(key) else { return };
        let hash = self.key.fast(entry.tuple.to_bytes().as_slice());
        if let Ok(found) = self.table.find_entry(hash, |index| *index == key.index()) {
            found.remove();
        }
        self.timers.set(key.index(), None);
    }

    /// Removes the entries of which `keep` says no.
    pub(super) fn retain(&mut self, keep: impl Fn(&FourTuple) -> bool) {
        let gone = |key: &Key| self.entries.get(*key).is_some_and(|entry| !keep(&entry.tuple));
        let gone: Vec<Key> = self.entries.keys().filter(gone).collect();
        for key in gone {
            self.remove(key);
        }
    }

    pub(super) fn set_deadline(&mut self, key: Key, deadline: Option<Instant>) {
        self.timers.set(key.index(), deadline);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let index = self.timers.pop_due(now)?;
        self.entries.key_at(index)
    }
}

impl fmt::Debug for SynQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SynQueue").field("len", &self.len()).finish_non_exhaustive()
    }
}
