//! An arriving segment: RFC 9293 3.10.7, step by step.

use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use drywire_core::Instant;

use super::refusal::LastRefusal;
use super::timestamps::{Echo, OPTION_LEN};
use super::transmit::Reply;
use super::{Challenges, CloseReason, Connection, Refusal};
use crate::config::Rule;
use crate::ip::Ecn;
use crate::segment::TextSegment;
use crate::{Config, Flags, Input, LateData, Options, Segment, SeqNumber, State};

impl Connection {
    /// Handles a segment that arrived from `source`, addressed to our address.
    ///
    /// Segments of other connections (another address or port) are ignored: telling connections apart is the caller's
    /// part. Everything else is answered as RFC 9293 3.10.7 says; the answer is ready in
    /// [`poll_transmit`](Self::poll_transmit).
    ///
    /// The network is taken for one that marks nothing; see [`handle_marked_segment`](Self::handle_marked_segment).
    pub fn handle_segment(&mut self, now: Instant, source: IpAddr, segment: &Segment<'_>) {
        self.handle_marked_segment(now, source, Ecn::NotEct, segment);
    }

    /// The same for a segment whose IP header says `ecn` about congestion notification (RFC 3168 5). Whoever hands
    /// [`Transmit::ecn`](super::Transmit::ecn) to the network must hand this back.
    pub fn handle_marked_segment(&mut self, now: Instant, source: IpAddr, ecn: Ecn, segment: &Segment<'_>) {
        self.advance_clock(now);
        self.refusal = LastRefusal::default();
        let port = segment.header.source_port;
        let is_ours = self.remote.is_none_or(|remote| remote.port() == port && remote.ip() == source);
        if !is_ours
            || segment.header.destination_port != self.local.port()
            || !is_possible_peer(self.local.ip(), source)
        {
            return;
        }
        match TextSegment::of(segment) {
            Some(text) if ecn != Ecn::Ce && self.predicts(&text) => self.take_predicted(now, &text),
            _ => self.on_segment(SocketAddr::new(source, port), ecn, segment),
        }
    }

    /// The long way, which any segment may go.
    pub(super) fn on_segment(&mut self, from: SocketAddr, ecn: Ecn, segment: &Segment<'_>) {
        self.counters.segments_received += 1;
        self.counters.data_segments_received += u64::from(!segment.payload.is_empty());
        match self.state {
            State::Closed => self.on_closed(from, segment),
            State::Listen => self.on_listen(from, segment),
            State::SynSent => self.on_syn_sent(from, segment),
            _ => self.on_arrival(from, ecn, segment),
        }
    }

    /// RFC 9293 3.10.7.1.
    fn on_closed(&mut self, from: SocketAddr, segment: &Segment<'_>) {
        self.reset_sender(from, segment);
    }

    /// RFC 9293 3.10.7.2.
    fn on_listen(&mut self, from: SocketAddr, segment: &Segment<'_>) {
        let flags = segment.header.flags;
        if flags.contains(Flags::RST) {
            return;
        }
        if flags.contains(Flags::ACK) {
            return self.reset_sender(from, segment);
        }
        if flags.contains(Flags::SYN) && self.step(Input::Syn) {
            self.remote = Some(from);
            self.receive_syn(segment);
            self.queue_text(segment.header.seq + 1, segment);
        }
    }

    /// RFC 9293 3.10.7.3.
    fn on_syn_sent(&mut self, from: SocketAddr, segment: &Segment<'_>) {
        let header = &segment.header;
        let has_ack = header.flags.contains(Flags::ACK);
        // First, check the ACK bit.
        if has_ack
            && (header.ack.at_or_before(self.iss) || header.ack.after(self.snd_max))
            && !self.config.omits(Rule::SynAckNumber)
        {
            self.refuse(Refusal::Ack);
            return self.reset_sender(from, segment);
        }
        // Second, check the RST bit.
        if header.flags.contains(Flags::RST) {
            if has_ack && self.withdraw_ecn() {
                // RFC 3168 6.1.1.1: perhaps it was ECN that was refused.
                self.timers.retransmit = None;
                self.go_back();
            } else if has_ack {
                self.close(Input::Reset, CloseReason::Refused);
            }
            return;
        }
        // Third, security: none. Fourth, check the SYN bit. Fifth, without it drop the segment.
        if !header.flags.contains(Flags::SYN) {
            return;
        }
        self.receive_syn(segment);
        if has_ack {
            self.acknowledge_syn(header);
            self.establish(Input::SynAck);
            self.ack_now = true;
            self.receive_text(header.seq + 1, segment);
        } else if self.step(Input::Syn) {
            self.queue_text(header.seq + 1, segment);
            // Simultaneous open: our SYN goes out again, now with an acknowledgment.
            self.go_back();
        }
    }

    /// RFC 9293 3.10.7.4: SYN-RECEIVED and the synchronized states.
    fn on_arrival(&mut self, from: SocketAddr, ecn: Ecn, segment: &Segment<'_>) {
        let header = &segment.header;
        let (seq, flags) = (header.seq, header.flags);
        if self.lacks_timestamps(header) {
            return self.refuse(Refusal::Timestamp);
        }
        // First, check the sequence number. A segment that begins at the right edge of the window has no acceptable
        // text, but its acknowledgment counts: with a closed window that is the special allowance that the RFC asks for,
        // and with an open one it is the state of a sender that has filled the window and lost a part.
        let at_right_edge = seq == self.rcv_nxt + self.rcv_wnd();
        let in_window = self.is_acceptable(seq, segment.sequence_len());
        let acceptable = at_right_edge || in_window;
        if (!acceptable || self.is_outdated(header)) && !self.omits_first_check(segment) {
            self.refuse(if acceptable { Refusal::Timestamp } else { Refusal::Sequence });
            return self.on_unacceptable(segment);
        }
        self.keep_timestamp(seq, header.options.timestamps);
        (self.heard, self.timers.keep_alive_probes) = (self.now, 0);
        // Second, check the RST bit.
        if flags.contains(Flags::RST) {
            if seq == self.rcv_nxt || self.config.omits(Rule::ResetSequence) {
                self.on_reset();
            } else if in_window {
                self.refuse(Refusal::Reset);
                // RFC 5961 3.2: in the window, but not where a genuine one would be. Beyond it there is no answer.
                self.challenge();
            }
            return;
        }
        // Third, security: none. Fourth, check the SYN bit.
        if flags.contains(Flags::SYN) {
            if self.state == State::SynReceived && self.passive {
                self.relisten();
            } else {
                self.refuse(Refusal::Syn);
                // RFC 5961 4.2: a peer that has restarted will answer this with an RST.
                self.challenge();
            }
            return;
        }
        // Fifth, check the ACK field.
        if !flags.contains(Flags::ACK) {
            return self.refuse(Refusal::NoAck);
        }
        if self.state == State::SynReceived {
            if header.ack.at_or_before(self.snd_una) || header.ack.after(self.snd_max) {
                self.refuse(Refusal::Ack);
                return self.reset_sender(from, segment);
            }
            self.acknowledge_syn(header);
            self.update_window(u32::from(header.window) << self.snd_shift, seq, header.ack);
            self.establish(Input::AckOfSyn);
        } else if !self.receive_ack(segment) {
            return;
        }
        if in_window {
            self.receive_mark(segment, ecn);
        }
        // Sixth, the URG bit.
        self.receive_urgent(header);
        // Seventh, the text.
        self.receive_text(seq, segment);
    }

    /// Whether this copy is broken so that it takes the segment whatever its sequence number is.
    fn omits_first_check(&self, segment: &Segment<'_>) -> bool {
        let is_reset = segment.header.flags.contains(Flags::RST);
        (is_reset && self.config.omits(Rule::ResetSequence))
            || (!segment.payload.is_empty() && self.config.omits(Rule::KnownText))
    }

    /// The table of RFC 9293 3.4 (and 3.10.7.4, first step).
    fn is_acceptable(&self, seq: SeqNumber, len: u32) -> bool {
        let window = self.rcv_wnd();
        let in_window = |seq: SeqNumber| seq.since(self.rcv_nxt) < window;
        match (len, window) {
            (0, 0) => seq == self.rcv_nxt,
            (_, 0) => false,
            (0, _) => in_window(seq),
            _ => in_window(seq) || in_window(seq + (len - 1)),
        }
    }

    /// An unacceptable segment is answered with an acknowledgment, unless it is an RST (RFC 9293 3.10.7.4, first step).
    fn on_unacceptable(&mut self, segment: &Segment<'_>) {
        let header = &segment.header;
        let len = segment.sequence_len();
        if header.flags.contains(Flags::RST) {
            return;
        }
        let is_syn = header.flags.contains(Flags::SYN);
        if self.state == State::SynReceived && is_syn && header.seq == self.irs {
            self.renegotiate_ecn(header.flags);
        }
        if self.state == State::TimeWait && header.flags.contains(Flags::FIN) && header.seq + len == self.rcv_nxt {
            // The peer has not got our last acknowledgment (RFC 9293 3.10.7.4, fifth and eighth step).
            self.ack_now = true;
            self.start_time_wait();
        } else if self.state == State::SynReceived
            && is_syn
            && !header.flags.contains(Flags::ACK)
            && header.seq == self.irs
        {
            // The peer has not got our SYN-ACK, which says all that an acknowledgment would.
            self.go_back();
        } else if len > 0 && !is_syn {
            if header.seq.before(self.rcv_nxt) {
                let known = self.rcv_nxt.since(header.seq) as usize;
                self.report_duplicate(header.seq, known.min(segment.payload.len()));
            }
            self.ack_now = true;
        } else {
            // Without text it may itself be an answer: the limit ends a war of acknowledgments.
            self.challenge();
        }
    }

    /// An RST exactly at RCV.NXT (RFC 9293 3.10.7.4, second step).
    fn on_reset(&mut self) {
        match self.state {
            State::SynReceived if self.passive => self.relisten(),
            State::SynReceived => self.close(Input::Reset, CloseReason::Refused),
            // Nothing was left but the exchange of FINs.
            State::Closing | State::LastAck | State::TimeWait if self.send.is_empty() => {
                self.close(Input::Reset, CloseReason::Normal);
            }
            _ => self.close(Input::Reset, CloseReason::Reset),
        }
    }

    /// Takes from a SYN what it announces.
    fn receive_syn(&mut self, segment: &Segment<'_>) {
        let header = &segment.header;
        self.start_receiving(header.seq);
        self.negotiate(&header.options);
        self.negotiate_ecn(header.flags);
        // The window of a SYN is never scaled (RFC 7323 2.2).
        let window = u32::from(header.window);
        (self.snd_wnd, self.max_snd_wnd) = (window, window);
        (self.snd_wl1, self.snd_wl2) = (header.seq, header.ack);
    }

    fn negotiate(&mut self, options: &Options) {
        let ipv6 = self.local.is_ipv6();
        // RFC 9293 3.7.1 (MUST-15): what a peer accepts that announces nothing.
        let default = if ipv6 { 1220 } else { 536 };
        let theirs = options.mss.unwrap_or(default).max(Config::MIN_MSS);
        self.snd_mss = u32::from(theirs.min(self.config.mss_for(ipv6)));
        // RFC 7323 2.2 and 2.3: scaled only if both have said so, and by 14 at most.
        (self.snd_shift, self.rcv_shift) = match options.window_scale {
            Some(shift) => (shift.min(Config::MAX_SHIFT), self.config.window_shift()),
            None => (0, 0),
        };
        self.scaling = options.window_scale.is_some();
        // RFC 2018 2: only to a peer that has asked for it.
        self.sack = options.sack_permitted && self.config.sack;
        // RFC 7323 3.2: in every segment from now on, or in none.
        self.echo =
            options.timestamps.filter(|_| self.config.timestamps).map(|it| Echo::new(it, self.now, self.rcv_nxt));
        if self.echo.is_some() {
            // RFC 9293 3.7.1: what options take is not left for text.
            self.snd_mss -= OPTION_LEN;
        }
    }

    /// The seventh and eighth step: text and FIN, which begin at `seq`.
    fn receive_text(&mut self, mut seq: SeqNumber, segment: &Segment<'_>) {
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            return;
        }
        let (mut text, mut fin) = (segment.payload, segment.header.flags.contains(Flags::FIN));
        if text.is_empty() && !fin {
            return;
        }
        // Cut off what is known, and what lies beyond the window.
        if seq.before(self.rcv_nxt) && self.config.omits(Rule::KnownText) {
            seq = self.rcv_nxt;
        } else if seq.before(self.rcv_nxt) {
            let known = self.rcv_nxt.since(seq) as usize;
            self.report_duplicate(seq, known.min(text.len()));
            text = text.get(known..).unwrap_or(&[]);
            seq = self.rcv_nxt;
        }
        let edge = self.rcv_fin.unwrap_or(self.rcv_nxt + self.rcv_wnd());
        let room = if edge.after(seq) { edge.since(seq) as usize } else { 0 };
        if text.len() > room {
            text = &text[..room];
            fin = false;
        }
        if self.recv_shutdown && !text.is_empty() && self.config.late_data == LateData::Reset {
            // RFC 9293 3.6.1: the peer is told that its data was lost.
            return self.abort();
        }
        let end = seq + text.len() as u32;
        // A FIN before data that has already arrived contradicts it, and is ignored.
        if fin && self.config.omits(Rule::FinOrder) {
            self.rcv_nxt = end;
            self.rcv_fin = Some(end);
        }
        if fin && self.rcv_fin.is_none() && self.assembler.end().is_none_or(|held| held.at_or_before(end)) {
            self.rcv_fin = Some(end);
        }
        if seq == self.rcv_nxt || self.config.omits(Rule::TextOrder) {
            let gaps = !self.assembler.is_empty();
            self.append(text);
            self.rcv_nxt = end;
            if gaps || text.is_empty() {
                // RFC 5681 4.2: at once if it fills a gap or a part of one; and so if the window had no room for it.
                self.ack_now = true;
                if gaps {
                    self.acknowledge_quickly_after_loss();
                }
            } else {
                self.acknowledge_soon(text.len());
            }
        } else {
            self.duplicate_acks = self.duplicate_acks.saturating_add(1);
            self.receive_out_of_order(seq, text);
        }
        self.deliver();
    }

    /// Text and FIN of a SYN wait for the end of the handshake, since before that the sender may be forged (RFC 9293
    /// 3.10.7.2, 3.10.7.3). The SYN-ACK does not acknowledge them.
    fn queue_text(&mut self, seq: SeqNumber, segment: &Segment<'_>) {
        let room = segment.payload.len().min(self.rcv_wnd() as usize);
        let (text, beyond) = segment.payload.split_at(room);
        self.assembler.insert(seq, text);
        let held = self.assembler.end().unwrap_or(seq).since(seq) as usize == text.len();
        if segment.header.flags.contains(Flags::FIN) && beyond.is_empty() && held {
            self.rcv_fin = Some(seq + text.len() as u32);
        }
    }

    /// Takes what was queued up to the next gap.
    pub(super) fn deliver(&mut self) {
        while let Some(bytes) = self.assembler.pop(self.rcv_nxt) {
            self.append(&bytes);
            self.rcv_nxt += bytes.len() as u32;
            self.ack_now = true;
        }
        if self.rcv_fin == Some(self.rcv_nxt) {
            self.receive_fin();
        }
    }

    pub(super) fn append(&mut self, text: &[u8]) {
        self.counters.bytes_received += text.len() as u64;
        if !self.recv_shutdown {
            self.recv.extend_from_slice(text);
        }
    }

    /// Text behind a gap is kept and reported.
    fn receive_out_of_order(&mut self, seq: SeqNumber, text: &[u8]) {
        self.counters.segments_out_of_order += 1;
        let end = seq + text.len() as u32;
        if self.assembler.run_at(seq).is_some_and(|(_, right)| right.at_or_after(end)) {
            return self.report_duplicate(seq, text.len());
        }
        self.assembler.insert(seq, text);
        if self.sack {
            self.reporter.on_out_of_order(seq, &self.assembler);
        }
    }

    /// `len` bytes at `seq` have arrived that were here already (RFC 2883 4).
    fn report_duplicate(&mut self, seq: SeqNumber, len: usize) {
        if self.sack && len > 0 {
            self.reporter.on_duplicate(seq, seq + len as u32);
        }
    }

    /// The eighth step: the FIN, and everything before it has arrived.
    fn receive_fin(&mut self) {
        self.rcv_nxt += 1;
        self.ack_now = true;
        self.recv.finish();
        self.assembler.clear();
        self.events.peer_finished = true;
        self.step(Input::Fin);
        if self.state == State::TimeWait {
            self.start_time_wait();
            if self.config.omits(Rule::TimeWait) {
                self.close(Input::TimeWaitOver, CloseReason::Normal);
            }
        }
    }

    /// Answers with an RST, unless the segment is one (RFC 9293 3.10.7.1).
    fn reset_sender(&mut self, from: SocketAddr, segment: &Segment<'_>) {
        let header = &segment.header;
        if header.flags.contains(Flags::RST) || self.reply.is_some() {
            return;
        }
        let reply = if header.flags.contains(Flags::ACK) {
            Reply { to: from, seq: header.ack, ack: None }
        } else {
            Reply { to: from, seq: SeqNumber::default(), ack: Some(header.seq + segment.sequence_len()) }
        };
        self.reply = Some(Box::new(reply));
    }

    /// Sends a challenge ACK, within the limit (RFC 5961 7).
    pub(super) fn challenge(&mut self) {
        if self.now - self.challenges.since >= Duration::from_secs(1) {
            self.challenges = Challenges { since: self.now, sent: 0 };
        }
        if self.challenges.sent < self.config.challenge_acks && self.challenge_allowance > 0 {
            self.challenges.sent += 1;
            self.challenge_allowance -= 1;
            self.ack_now = true;
        }
    }
}

/// Neither a broadcast or multicast address (RFC 9293 3.9.2.3, MUST-57, MUST-63) nor none, and of our own family.
fn is_possible_peer(local: IpAddr, source: IpAddr) -> bool {
    let broadcast = matches!(source, IpAddr::V4(source) if source.is_broadcast());
    local.is_ipv4() == source.is_ipv4() && !source.is_multicast() && !source.is_unspecified() && !broadcast
}
