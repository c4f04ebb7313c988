//! When acknowledgments leave (RFC 9293 3.8.6.3, RFC 5681 4.2).

use super::Connection;

/// RFC 9293 3.7.1.
const DEFAULT_MSS: u32 = 536;

impl Connection {
    /// Text of `len` bytes has arrived in order, with no gap before or behind it: its acknowledgment may wait for the
    /// next full segment or for something to send, but not long.
    ///
    /// PSH makes no difference. It stands at the end of nearly every message, which is just where an answer is to come that
    /// carries the acknowledgment.
    pub(super) fn acknowledge_soon(&mut self, len: usize) {
        // A segment may come out of an offload, and is then several of the peer's.
        let most = u32::from(self.config.mss_for(self.local.is_ipv6()));
        self.rcv_mss = self.rcv_mss.max((len as u32).min(most));
        // At least every second full-sized segment (SHLD-19). Where only small ones have come, they are not full: no
        // peer's are smaller than the default unless our window makes them so.
        let full = self.rcv_mss.max(DEFAULT_MSS.min(most).min(self.rcv_capacity / 2));
        let second = self.rcv_nxt.since(self.rcv_acked) > full;
        // A segment that is not full ends a message, or all that a window lets go. If our side lets messages pass without
        // an answer, nothing comes that is worth waiting for.
        let ends = (len as u32) < self.rcv_mss && self.waited_in_vain;
        if second || ends || self.quick_acks > 0 || self.config.delayed_ack.is_zero() {
            self.ack_now = true;
        } else if self.timers.delayed_ack.is_none() {
            self.timers.delayed_ack = Some(self.now + self.config.delayed_ack);
        }
    }

    /// A part of a gap is filled, so the peer has lost something and its window is small. There each delayed acknowledgment
    /// holds back a good part of what it may send, until the window has grown again.
    pub(super) fn acknowledge_quickly_after_loss(&mut self) {
        self.quick_acks = self.config.quick_acks.saturating_mul(2);
    }

    /// An acknowledgment has waited for company, and none came.
    pub(super) fn on_delayed_ack_timeout(&mut self) {
        self.timers.delayed_ack = None;
        self.ack_now = true;
        self.waited_in_vain = true;
    }

    /// A segment leaves that acknowledges everything up to RCV.NXT.
    pub(super) fn acknowledged_now(&mut self, with_text: bool) {
        if with_text && self.timers.delayed_ack.is_some() {
            self.waited_in_vain = false;
        }
        self.ack_now = false;
        self.timers.delayed_ack = None;
        self.rcv_acked = self.rcv_nxt;
    }
}
