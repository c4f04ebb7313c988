//! Acknowledgments of what we sent: the fifth step of RFC 9293 3.10.7.4, and loss recovery (RFC 5681, RFC 6582).

use super::{CloseReason, Connection};
use crate::config::Rule;
use crate::{Flags, Header, Input, Segment, SeqNumber, State};

/// What is known about losses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recovery {
    /// `recover` of RFC 6582: SND.MAX when the last loss was noticed.
    recover: SeqNumber,
    duplicate_acks: u32,
    /// Whether fast recovery goes on.
    fast: bool,
}

impl Recovery {
    pub(super) fn new(iss: SeqNumber) -> Self {
        // RFC 6582 3.2, step 1.
        Self { recover: iss, duplicate_acks: 0, fast: false }
    }

    /// RFC 6582 4: duplicates of what was in flight at a time-out start no fast retransmit.
    pub(super) fn on_timeout(&mut self, snd_max: SeqNumber) {
        *self = Self { recover: snd_max, duplicate_acks: 0, fast: false };
    }
}

impl Connection {
    /// The fifth step for the synchronized states. Returns whether the segment is to be processed further.
    pub(super) fn receive_ack(&mut self, segment: &Segment<'_>) -> bool {
        let header = &segment.header;
        let ack = header.ack;
        // RFC 5961 5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.MAX.
        let in_range = !ack.after(self.snd_max) && !ack.before(self.snd_una - self.max_snd_wnd);
        if !in_range && !self.config.omits(Rule::AckRange) {
            self.challenge();
            return false;
        }
        if self.timers.persist.is_some() {
            // RFC 9293 3.8.6.1: as long as probes are answered, the connection stays.
            self.retries = 0;
        }
        if segment.sequence_len() == 0 && self.config.omits(Rule::SilentAck) {
            self.ack_now = true;
        }
        let window = u32::from(header.window) << self.snd_shift;
        let (una, old_window) = (self.snd_una, self.snd_wnd);
        if ack.after(una) {
            self.acknowledge(header);
        }
        // Acknowledgments only grow, so one that covers more was sent later, whatever text it came with.
        if ack.after(una) || (ack == una && self.is_newer(header.seq, ack)) {
            self.update_window(window, header.seq, ack);
        }
        // RFC 5681 2: what makes an acknowledgment a duplicate. The answer to a probe is none.
        if ack == una
            && segment.payload.is_empty()
            && !header.flags.contains(Flags::FIN)
            && window == old_window
            && self.snd_max.after(una)
            && self.timers.persist.is_none()
        {
            self.on_duplicate_ack();
        }
        true
    }

    /// SND.WL1 < SEG.SEQ, or SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK: not an old segment that was overtaken.
    fn is_newer(&self, seq: SeqNumber, ack: SeqNumber) -> bool {
        self.snd_wl1.before(seq) || (self.snd_wl1 == seq && self.snd_wl2.at_or_before(ack))
    }

    /// Takes the peer's window.
    pub(super) fn update_window(&mut self, window: u32, seq: SeqNumber, ack: SeqNumber) {
        (self.snd_wnd, self.snd_wl1, self.snd_wl2) = (window, seq, ack);
        self.max_snd_wnd = self.max_snd_wnd.max(window);
        if window > 0 {
            self.timers.probes = 0;
        } else if self.snd_max.after(self.snd_una) {
            // What is in flight is not wanted now: probes take its place, and do not wear out the retry limit.
            self.timers.retransmit = None;
            self.retries = 0;
            self.go_back();
        }
    }

    /// Everything before SEG.ACK has arrived.
    fn acknowledge(&mut self, header: &Header) {
        let ack = header.ack;
        let acked = ack.since(self.snd_una);
        let flight = self.snd_max.since(self.snd_una);
        let bytes = self.send.len().min(acked as usize);
        self.send.advance(bytes);
        self.snd_una = ack;
        self.snd_nxt = self.snd_nxt.max(ack);
        self.measure(header);
        (self.retries, self.unreachable) = (0, false);
        self.recover(acked, flight);
        // RFC 6298 5.2 and 5.3. While the window is closed, the persist timer runs in its place.
        self.timers.retransmit = None;
        if self.snd_max.after(ack) && self.timers.persist.is_none() {
            self.start_retransmission_timer();
        }
        if self.snd_max == ack && self.send.is_empty() {
            // There is nothing left to probe for; with more to send, the timer starts anew.
            self.timers.stop_persist();
        }
        self.timers.user = None;
        if self.snd_max.after(ack) || !self.send.is_empty() {
            self.start_user_timer();
        }
        // Beyond the bytes there is only the FIN.
        if acked as usize > bytes {
            self.acknowledge_fin();
        }
    }

    /// Our FIN is acknowledged, and with it everything that we sent.
    fn acknowledge_fin(&mut self) {
        if self.state == State::LastAck {
            self.close(Input::AckOfFin, CloseReason::Normal);
        } else if self.step(Input::AckOfFin) && self.state == State::TimeWait {
            self.start_time_wait();
        }
    }

    /// Our SYN is acknowledged.
    pub(super) fn acknowledge_syn(&mut self, header: &Header) {
        self.snd_una = header.ack;
        self.snd_nxt = self.snd_nxt.max(header.ack);
        self.measure(header);
        (self.timers.retransmit, self.timers.user) = (None, None);
    }

    /// Takes the round-trip time if the timed segment is acknowledged. If none is timed, because something was sent
    /// twice, the peer's echo of our clock tells which of the two it answers.
    fn measure(&mut self, header: &Header) {
        match self.timed {
            Some((end, sent)) if header.ack.at_or_after(end) => {
                self.rtt.sample(self.now - sent);
                self.timed = None;
            }
            Some(_) => {}
            None => {
                if let Some(rtt) = self.echoed_rtt(header) {
                    self.rtt.sample(rtt);
                }
            }
        }
    }

    /// New data is acknowledged (RFC 6582 3.2, step 3).
    fn recover(&mut self, acked: u32, flight: u32) {
        self.recovery.duplicate_acks = 0;
        if !self.recovery.fast {
            self.congestion.on_ack(acked, flight);
        } else if self.snd_una.at_or_after(self.recovery.recover) {
            self.recovery.fast = false;
            self.congestion.on_recovered(flight - acked);
        } else {
            // The next hole begins here.
            self.congestion.on_partial_ack(acked);
            self.resend_head = true;
        }
    }

    /// RFC 5681 3.2, with the condition of RFC 6582 3.2, step 2.
    fn on_duplicate_ack(&mut self) {
        self.recovery.duplicate_acks = self.recovery.duplicate_acks.saturating_add(1);
        if self.recovery.fast {
            self.congestion.on_duplicate_in_recovery();
        } else if self.recovery.duplicate_acks == 3 && self.snd_una.after(self.recovery.recover) {
            let flight = self.snd_max.since(self.snd_una);
            self.congestion.on_fast_retransmit(flight);
            self.recovery.recover = self.snd_max;
            self.recovery.fast = true;
            self.resend_head = true;
        }
    }
}
