//! Acknowledgments of what we sent: the fifth step of RFC 9293 3.10.7.4.

use super::recovery::News;
use super::{CloseReason, Connection, Refusal};
use crate::config::Rule;
use crate::{Flags, Header, Input, Segment, SeqNumber, State};

impl Connection {
    /// The fifth step for the synchronized states. Returns whether the segment is to be processed further.
    pub(super) fn receive_ack(&mut self, segment: &Segment<'_>) -> bool {
        let header = &segment.header;
        let ack = header.ack;
        // RFC 5961 5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.MAX.
        let in_range = !ack.after(self.snd_max) && !ack.before(self.snd_una - self.max_snd_wnd);
        if !in_range && !self.config.omits(Rule::AckRange) {
            self.refuse(Refusal::Ack);
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
        let marked = header.flags.contains(Flags::ECE) && self.marking.is_full();
        let undelivered = self.undelivered();
        let mut news = News { outstanding: self.snd_max.since(una), marked, ..News::default() };
        let fin_acknowledged = ack.after(una) && self.acknowledge(header, &mut news);
        self.receive_sack(header, una, &mut news);
        if marked {
            let delivered = undelivered.saturating_sub(self.undelivered());
            self.counters.marked_segments_delivered = self.counters.marked_segments_delivered.saturating_add(delivered);
        }
        // Acknowledgments only grow, so one that covers more was sent later, whatever text it came with.
        if ack.after(una) || (ack == una && self.is_newer(header.seq, ack)) {
            self.update_window(window, header.seq, ack);
        }
        // RFC 5681 2: what makes an acknowledgment a duplicate. The answer to a probe is none.
        news.duplicate = ack == una
            && segment.payload.is_empty()
            && !header.flags.contains(Flags::FIN)
            && window == old_window
            && self.snd_max.after(una)
            && self.timers.persist.is_none();
        self.recover(header, &news);
        self.receive_ecn_echo(ack, &news);
        if fin_acknowledged {
            self.acknowledge_fin();
        }
        true
    }

    /// SND.WL1 < SEG.SEQ, or SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK: not an old segment that was overtaken.
    pub(super) fn is_newer(&self, seq: SeqNumber, ack: SeqNumber) -> bool {
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

    /// Everything before SEG.ACK has arrived. Returns whether our FIN is part of it.
    fn acknowledge(&mut self, header: &Header, news: &mut News) -> bool {
        let ack = header.ack;
        let acked = ack.since(self.snd_una);
        let bytes = self.send.len().min(acked as usize);
        self.send.advance(bytes);
        self.counters.bytes_acknowledged += bytes as u64;
        news.acked = acked;
        news.delivered = self.settle_flight(header, news);
        self.snd_una = ack;
        self.snd_nxt = self.snd_nxt.max(ack);
        (self.retries, self.unreachable) = (0, false);
        self.marking.resume();
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
        acked as usize > bytes
    }

    /// How many segments of the flight are not known to have arrived.
    fn undelivered(&self) -> u32 {
        (self.flight.segments() as u32).saturating_sub(self.flight.sacked_segments())
    }

    /// Our FIN is acknowledged, and with it everything that we sent.
    fn acknowledge_fin(&mut self) {
        if self.state == State::LastAck {
            self.close(Input::AckOfFin, CloseReason::Normal);
        } else if self.step(Input::AckOfFin) && self.state == State::TimeWait {
            self.start_time_wait();
        } else {
            self.bound_fin_wait_2();
        }
    }

    /// Our SYN is acknowledged.
    pub(super) fn acknowledge_syn(&mut self, header: &Header) {
        self.settle_flight(header, &mut News::default());
        self.snd_una = header.ack;
        self.snd_nxt = self.snd_nxt.max(header.ack);
        (self.timers.retransmit, self.timers.user) = (None, None);
    }

    /// Takes what SEG.ACK covers out of the flight, and the round-trip time from the first of it. Returns the number of
    /// bytes that were not known to have arrived.
    fn settle_flight(&mut self, header: &Header, news: &mut News) -> u32 {
        let (now, answers) = (self.now, self.answers(header));
        let (flight, rack, recovery) = (&mut self.flight, &mut self.rack, &self.recovery);
        let (mut first, mut again) = (None, false);
        let delivered = flight.acknowledge(header.ack, |sent| {
            rack.on_delivered(sent, now, &answers);
            again |= sent.again;
            news.original |= recovery.is_original(sent);
            first.get_or_insert(sent.time);
        });
        match first {
            // Karn's algorithm (RFC 6298 3): the answer to what was sent twice is ambiguous, and what lies behind it may
            // have arrived long ago.
            Some(time) if !again => self.rtt.sample(now - time),
            // The peer's echo of our clock tells which of the two it answers.
            _ => {
                if let Some(rtt) = self.echoed_rtt(header) {
                    self.rtt.sample(rtt);
                }
            }
        }
        delivered
    }
}
