//! The receive window: what the peer may send (RFC 9293 3.8.6).

use super::Connection;
use crate::config::Rule;
use crate::{SeqNumber, State};

impl Connection {
    /// RCV.WND: how far beyond RCV.NXT we have announced that we accept data.
    pub(super) fn rcv_wnd(&self) -> u32 {
        // A FIN at the right edge is taken, since it needs no room: RCV.NXT is then one beyond.
        if self.rcv_adv.after(self.rcv_nxt) { self.rcv_adv.since(self.rcv_nxt) } else { 0 }
    }

    /// The window of a SYN, which is never scaled (RFC 7323 2.2).
    pub(super) fn syn_window(&self) -> u16 {
        u16::try_from(self.rcv_capacity).unwrap_or(u16::MAX)
    }

    /// Begins to receive after the SYN with sequence number `irs`, to which we announce or have announced
    /// [`syn_window`](Self::syn_window).
    pub(super) fn start_receiving(&mut self, irs: SeqNumber) {
        self.irs = irs;
        self.rcv_nxt = irs + 1;
        self.rcv_edge = self.rcv_nxt + u32::from(self.syn_window());
        self.rcv_adv = self.rcv_edge;
        self.taken = (self.rcv_nxt, self.now);
    }

    /// Adapts the capacity once a round trip to what the user has taken in that time: twice as much never holds the peer
    /// back, and lets its congestion window double (dynamic right-sizing).
    ///
    /// A user who is slow keeps a small buffer, however long the path.
    fn tune_capacity(&mut self) {
        let most = self.config.recv_capacity as u32;
        let (before, since) = self.taken;
        let round_trip = self.rtt.srtt().unwrap_or(self.rtt.rto());
        if self.rcv_capacity >= most || self.now - since < round_trip {
            return;
        }
        let taken = self.rcv_nxt - u32::try_from(self.recv.len()).unwrap_or(u32::MAX);
        if taken.after(before) {
            self.rcv_capacity = self.rcv_capacity.max(taken.since(before).saturating_mul(2)).min(most);
        }
        self.taken = (taken, self.now);
    }

    /// The value for the window field of a segment that leaves now.
    ///
    /// The edge moves only by a full segment or half of the buffer (RFC 9293 3.8.6.2.2), and never back. Its distance
    /// is rounded up to what the scale can say, so the announced edge may lie beyond the edge by less than one unit of
    /// the scale; what was announced is always accepted.
    pub(super) fn offer_window(&mut self) -> u16 {
        self.tune_capacity();
        if self.growth() >= self.step_size(1) {
            self.rcv_edge = self.limit();
        }
        if self.config.omits(Rule::WindowEdge) && self.recv.is_end_of_stream() {
            return 0;
        }
        let window = self.remaining().div_ceil(1 << self.rcv_shift).min(u32::from(u16::MAX));
        self.rcv_adv = self.rcv_adv.max(self.rcv_nxt + (window << self.rcv_shift));
        window as u16
    }

    /// Whether the user has taken so much that the peer, which may be waiting, should hear of it.
    ///
    /// As long as half of the buffer is open the peer is not waiting, and what it sends next is answered anyway. Nor is it
    /// as long as it has sent nothing, though the window of a SYN is a small part of a large buffer.
    pub(super) fn window_update_due(&self) -> bool {
        matches!(self.state, State::Established | State::FinWait1 | State::FinWait2)
            && self.rcv_nxt != self.irs + 1
            && self.remaining() < self.capacity().div_ceil(2)
            && self.growth() >= self.step_size(2)
    }

    /// What the scale lets us announce of the capacity.
    fn capacity(&self) -> u32 {
        let most = u32::from(u16::MAX) << self.rcv_shift;
        most.min(self.rcv_capacity)
    }

    /// The right edge that the buffer has room for now.
    fn limit(&self) -> SeqNumber {
        let held = u32::try_from(self.recv.len()).unwrap_or(u32::MAX);
        self.rcv_nxt + self.capacity().saturating_sub(held)
    }

    /// How much of the edge is left.
    fn remaining(&self) -> u32 {
        if self.rcv_edge.after(self.rcv_nxt) { self.rcv_edge.since(self.rcv_nxt) } else { 0 }
    }

    /// How far the edge could move.
    fn growth(&self) -> u32 {
        let limit = self.limit();
        if limit.after(self.rcv_edge) { limit.since(self.rcv_edge) } else { 0 }
    }

    /// The least move of the edge that is worth telling, in so many segments of the size that is really sent: options
    /// are taken off (`Eff.snd.MSS`, RFC 9293 3.8.6.2.2).
    fn step_size(&self, segments: u32) -> u32 {
        (self.capacity() / 2).min(segments * self.snd_mss).max(1)
    }
}
