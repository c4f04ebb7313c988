//! What leaves, and what is due.

use core::net::IpAddr;

use bytes::{BufMut, BytesMut};
use drywire_core::Instant;

use super::demux::Target;
use super::{Stack, time_wait};
use crate::connection::Room;
use crate::ip::{self, Ecn, Protocol, header_len};
use crate::outbox::Outbox;
use crate::slab::Key;
use crate::timer_heap::TimerHeap;
use crate::{Batch, State, Transmit};

/// So many packets leave a connection before it is the next one's turn.
const BURST: u32 = 16;

impl Stack {
    /// Appends the next packet that is due to `out`, ready for the link. `None`, with nothing appended, if none is due.
    ///
    /// The ports of the result are zero for a packet that has none.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit> {
        self.poll_transmit_batch(now, 1, out).map(|batch| batch.first)
    }

    /// Appends up to `most` packets that are due to `out`, one behind the other. All are of one connection. `None`, with
    /// nothing appended, if none is due.
    ///
    /// The packets, their order, and what becomes of the stack are those of as many calls of
    /// [`poll_transmit`](Self::poll_transmit). It is only faster: what a run of packets has in common is done once.
    ///
    /// ```
    /// # use drywire_core::{BytesMut, Instant};
    /// # use drywire_tcp::Stack;
    /// fn send_all(stack: &mut Stack, now: Instant, mut send: impl FnMut(&[u8])) {
    ///     let mut packets = BytesMut::new();
    ///     while let Some(batch) = stack.poll_transmit_batch(now, 64, &mut packets) {
    ///         batch.split(&packets).for_each(&mut send);
    ///         packets.clear();
    ///     }
    /// }
    /// ```
    pub fn poll_transmit_batch(&mut self, now: Instant, most: usize, out: &mut BytesMut) -> Option<Batch> {
        self.advance_clock(now);
        self.replies
            .pop(out)
            .or_else(|| self.datagrams.pop(out))
            .or_else(|| self.transmit_of_listeners(out))
            .map(|first| Batch { first, len: first.len })
            .or_else(|| self.transmit_of_connections(most, out))
    }

    fn transmit_of_listeners(&mut self, out: &mut BytesMut) -> Option<Transmit> {
        loop {
            let key = *self.ready_listeners.front()?;
            let Some(socket) = self.listeners.get_mut(key) else {
                self.ready_listeners.pop_front();
                continue;
            };
            let family = socket.listener.local().ip();
            let start = out.len();
            out.put_bytes(0, header_len(&family));
            if let Some(transmit) = socket.listener.poll_transmit(self.now, out) {
                let first = Transmit { len: out.len() - start, ..transmit };
                self.seal(&Batch { first, len: first.len }, &mut out[start..]);
                return Some(first);
            }
            out.truncate(start);
            socket.ready = false;
            self.ready_listeners.pop_front();
            self.listener_timers.set(key.index(), socket.listener.poll_timeout());
        }
    }

    fn transmit_of_connections(&mut self, most: usize, out: &mut BytesMut) -> Option<Batch> {
        loop {
            if self.burst >= BURST {
                self.burst = 0;
                self.ready.rotate_left(1.min(self.ready.len()));
            }
            let key = *self.ready.front()?;
            let Some(socket) = self.sockets.get_mut(key) else {
                self.ready.pop_front();
                continue;
            };
            let start = out.len();
            let segments = most.clamp(1, (BURST - self.burst) as usize);
            let room = Room { segments, before_each: header_len(&socket.connection.local().ip()) };
            if let Some(batch) = socket.connection.poll_transmit_batch(self.now, room, out) {
                self.burst += batch.packets() as u32;
                self.seal(&batch, &mut out[start..]);
                return Some(batch);
            }
            self.ready.pop_front();
            self.burst = 0;
            self.settle(key);
        }
    }

    /// Writes the IP headers in front of segments.
    fn seal(&self, batch: &Batch, packets: &mut [u8]) {
        let Transmit { source, destination, len, ecn, .. } = batch.first;
        let header = self.header(source.ip(), destination.ip(), Protocol::TCP);
        let header = ip::Header { ecn, ..header };
        for packet in packets.chunks_mut(len.max(1)) {
            header.fill(packet);
        }
    }

    pub(super) fn header(&self, source: IpAddr, destination: IpAddr, protocol: Protocol) -> ip::Header {
        ip::Header { source, destination, protocol, hop_limit: self.config.hop_limit, ecn: Ecn::NotEct }
    }

    /// The connection has nothing more to send: takes note of its timers, its state, and its end.
    fn settle(&mut self, key: Key) {
        let Some(socket) = self.sockets.get_mut(key) else { return };
        socket.ready = false;
        let tuple = socket.tuple();
        let rest = socket.connection.take_time_wait();
        let state = socket.connection.state();
        let changed = core::mem::replace(&mut socket.reported, state) != state;
        if state == State::Closed {
            let released = socket.released;
            if core::mem::take(&mut socket.mapped) {
                self.demux.remove(&tuple, Target::Connection(key));
            }
            self.timers.set(key.index(), None);
            if released {
                self.sockets.remove(key);
            }
        } else {
            self.timers.set_no_later(key.index(), socket.connection.poll_timeout());
        }
        if let Some(rest) = rest {
            self.begin_time_wait(time_wait::Entry { tuple, rest });
        }
        if changed {
            self.mark_news(key);
        }
    }

    fn begin_time_wait(&mut self, entry: time_wait::Entry) {
        if self.time_waits.len() >= self.config.max_time_wait {
            self.statistics.time_wait_recycled += 1;
            let oldest = self.time_wait_timers.pop().and_then(|index| self.time_waits.key_at(index));
            match oldest {
                Some(oldest) => self.end_time_wait(oldest),
                None => return,
            }
        }
        let (tuple, over) = (entry.tuple, self.now + entry.rest.length);
        let key = self.time_waits.insert(entry);
        self.demux.insert(&self.sockets, &self.time_waits, &tuple, Target::TimeWait(key));
        self.time_wait_timers.set(key.index(), Some(over));
    }

    /// The next instant at which [`handle_timeout`](Self::handle_timeout) may have work. It may come early, when a
    /// connection's deadline has moved away since, but never late.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [&self.timers, &self.time_wait_timers, &self.listener_timers].into_iter().filter_map(TimerHeap::next).min()
    }

    /// Does the work that is due at `now`. Afterwards [`poll_timeout`](Self::poll_timeout) is `None` or later than
    /// `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        while let Some(index) = self.timers.pop_due(self.now) {
            let Some(key) = self.sockets.key_at(index) else { continue };
            let Some(socket) = self.sockets.get_mut(key) else { continue };
            socket.connection.handle_timeout(self.now);
            self.timers.set(index, socket.connection.poll_timeout());
            self.mark_ready(key);
        }
        while let Some(index) = self.time_wait_timers.pop_due(self.now) {
            if let Some(key) = self.time_waits.key_at(index) {
                self.end_time_wait(key);
            }
        }
        while let Some(index) = self.listener_timers.pop_due(self.now) {
            let Some(key) = self.listeners.key_at(index) else { continue };
            let Some(socket) = self.listeners.get_mut(key) else { continue };
            socket.listener.handle_timeout(self.now);
            self.listener_timers.set(index, socket.listener.poll_timeout());
            self.mark_listener_ready(key);
        }
    }

    pub(super) fn mark_listener_ready(&mut self, key: Key) {
        if let Some(socket) = self.listeners.get_mut(key)
            && !core::mem::replace(&mut socket.ready, true)
        {
            self.ready_listeners.push_back(key);
        }
    }
}

impl Outbox {
    /// Appends a packet around the segment that `write` appends. Returns whether there was room.
    pub(super) fn push_packet(&mut self, header: &ip::Header, write: impl FnOnce(&mut BytesMut) -> Transmit) -> bool {
        self.push(|out| {
            let start = out.len();
            out.put_bytes(0, header.wire_len());
            let transmit = write(out);
            header.fill(&mut out[start..]);
            Some(Transmit { len: out.len() - start, ..transmit })
        })
    }

    /// The same for a message without ports.
    pub(super) fn push_message(&mut self, header: &ip::Header, write: impl FnOnce(&mut BytesMut)) -> bool {
        let at = |address| core::net::SocketAddr::new(address, 0);
        let (source, destination) = (at(header.source), at(header.destination));
        self.push_packet(header, |out| {
            write(out);
            Transmit::whole(source, destination, 0)
        })
    }
}
