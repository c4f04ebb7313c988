//! What leaves: one segment a call.

use core::net::SocketAddr;

use bytes::{BufMut, BytesMut};
use drywire_core::Instant;

use super::{Batch, Connection, Transmit};
use crate::congestion::Controller;
use crate::ip::Ecn;
use crate::recovery::Sent;
use crate::segment::Emitter;
use crate::segment::checksum::Sum;
use crate::{Flags, Header, Options, SackBlocks, SeqNumber, State};

/// An RST that is due. It needs no state, so it outlives the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reply {
    pub(super) to: SocketAddr,
    pub(super) seq: SeqNumber,
    pub(super) ack: Option<SeqNumber>,
}

/// An IP packet has 65,535 bytes at most, of which the two headers take up to 100.
const MAX_OFFLOAD: usize = 65_535 - 100;

/// What whoever sends segments has room for.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// At least one.
    pub(crate) segments: usize,
    /// So many bytes are left free before each, for a header.
    pub(crate) before_each: usize,
}

/// What part of the stream a segment carries.
#[derive(Clone, Copy)]
struct Text {
    seq: SeqNumber,
    len: usize,
    fin: bool,
    kind: Kind,
}

/// Why it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is next in line.
    New,
    /// The segment of the flight with this number is lost, or may be.
    Again(u64),
    /// The peer's window is closed.
    Probe,
}

impl Connection {
    /// Appends the next segment that is due to `out`: header, payload and checksum, ready for an IP packet. Never more
    /// than one, and never more payload than the MSS unless [`Config::segmentation_offload`](crate::Config) is set. `None`,
    /// with nothing appended, if none is due.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit> {
        self.poll_transmit_batch(now, Room { segments: 1, before_each: 0 }, out).map(|batch| batch.first)
    }

    /// The same for as many segments as there is room for, as far as they follow one another in the stream. The outcome is
    /// that of as many calls of [`poll_transmit`](Self::poll_transmit).
    pub(crate) fn poll_transmit_batch(&mut self, now: Instant, room: Room, out: &mut BytesMut) -> Option<Batch> {
        self.advance_clock(now);
        let start = out.len();
        let sent = self.transmit_reply(room, out).or_else(|| {
            let to = self.remote?;
            let sent = match self.state {
                State::Closed | State::Listen => None,
                State::SynSent | State::SynReceived => self.transmit_syn(to, room, out),
                _ => self.transmit_stream(to, room, out),
            };
            sent.or_else(|| self.transmit_ack(to, room, out))
        });
        let Some(first) = sent else {
            // Law 3: an idle connection holds no buffers.
            self.send.release();
            self.flight.release();
            self.recv.release();
            return None;
        };
        let batch = Batch { first, len: out.len() - start };
        self.counters.segments_sent += batch.packets() as u64;
        Some(batch)
    }

    /// The RST that is due.
    fn transmit_reply(&mut self, room: Room, out: &mut BytesMut) -> Option<Transmit> {
        let reply = self.reply.take()?;
        let flags = if reply.ack.is_some() { Flags::RST | Flags::ACK } else { Flags::RST };
        let header = Header { seq: reply.seq, ack: reply.ack.unwrap_or_default(), flags, ..self.header(reply.to) };
        Some(self.emit(reply.to, &header, room, out))
    }

    /// The SYN or SYN-ACK (RFC 9293 3.5), the first time and again.
    fn transmit_syn(&mut self, to: SocketAddr, room: Room, out: &mut BytesMut) -> Option<Transmit> {
        if self.snd_nxt != self.iss {
            return None;
        }
        let answers = self.state == State::SynReceived;
        let options = Options {
            // RFC 9293 3.7.1 (MUST-14).
            mss: Some(self.config.mss_for(self.local.is_ipv6())),
            // RFC 7323 2.2: in a SYN-ACK only if the SYN had it.
            window_scale: (!answers || self.scaling).then_some(self.rcv_shift),
            // RFC 2018 2: in a SYN-ACK only if the SYN had it.
            sack_permitted: if answers { self.sack } else { self.config.sack },
            timestamps: self.syn_timestamps(answers),
            ..Options::default()
        };
        let (flags, ack) =
            if answers { (Flags::SYN | Flags::ACK, self.rcv_nxt) } else { (Flags::SYN, SeqNumber::default()) };
        let flags = flags | self.ecn_setup_flags(answers);
        let window = self.syn_window();
        let header = Header { seq: self.iss, ack, flags, window, options, ..self.header(to) };
        self.acknowledged_now(false);
        self.counters.segments_retransmitted += u64::from(self.snd_max != self.iss);
        self.snd_nxt = self.iss + 1;
        self.mark_sent(Kind::New, self.iss, self.iss, self.snd_nxt);
        Some(self.emit(to, &header, room, out))
    }

    /// New data, data again, a probe or a FIN.
    fn transmit_stream(&mut self, to: SocketAddr, room: Room, out: &mut BytesMut) -> Option<Transmit> {
        if self.duplicate_acks > 0 {
            // An acknowledgment counts as a duplicate only without text (RFC 5681 2), so it goes first.
            return None;
        }
        self.widen_path();
        let most = if self.may_run() { room.segments } else { 1 };
        let text = self.tail_probe().or_else(|| self.lost_text()).or_else(|| self.next_text(most))?;
        let end = text.seq + text.len as u32 + u32::from(text.fin);
        let is_new = text.kind == Kind::New && text.len > 0 && !text.seq.before(self.snd_max);
        let mark = self.mark_text(is_new);
        if text.kind == Kind::New && text.len % self.snd_mss as usize != 0 && !text.fin {
            self.snd_sml = end;
        }
        self.count_text(text);
        self.mark_sent(text.kind, text.seq, text.seq + text.len as u32, end);
        Some(self.emit_text(to, text, mark, room, out))
    }

    /// Writes text that leaves: as one segment, which may be one to be cut by the link, or as a run of them.
    fn emit_text(
        &mut self,
        to: SocketAddr,
        text: Text,
        (ecn, cwr): (Ecn, Flags),
        room: Room,
        out: &mut BytesMut,
    ) -> Transmit {
        let offset = text.seq.since(self.snd_una) as usize;
        let mss = self.snd_mss as usize;
        let mut last = Flags::NONE;
        if text.fin {
            last |= Flags::FIN;
        }
        if text.len > 0 && offset + text.len == self.send.len() {
            // The last buffered data (RFC 9293 3.9.1.2).
            last |= Flags::PSH;
        }
        let offload = self.config.segmentation_offload;
        let each = if offload { text.len } else { text.len.min(mss) };
        let header = self.stream_header(to, text.seq, Flags::ACK | cwr, text.len);
        let header_len = header.wire_len();
        let (source, partial_checksum) = (self.local.ip(), self.config.checksum_offload);
        let mut emitter = Emitter::new(&header, source, to.ip(), partial_checksum);
        let (mut done, mut left) = (0, text.len);
        out.reserve(text.len.div_ceil(each.max(1)).max(1) * (room.before_each + header_len) + text.len);
        loop {
            let len = left.min(each);
            left -= len;
            if left == 0 {
                emitter.set_flags(header.flags | last);
            }
            let pieces = self.send.pieces(offset + done, len);
            let mut sum = Sum::default();
            if !partial_checksum {
                pieces.clone().for_each(|piece| sum.add(piece));
            }
            out.put_bytes(0, room.before_each);
            emitter.put_header(len, sum, out);
            pieces.for_each(|piece| out.put_slice(piece));
            if left == 0 {
                break;
            }
            done += len;
            emitter.advance(len as u32);
        }
        // The MSS is one of 16 bits.
        let gso_size = (each > mss).then_some(self.snd_mss as u16);
        let len = room.before_each + header_len + each;
        Transmit { gso_size, partial_checksum, ecn, ..Transmit::whole(self.local, to, len) }
    }

    /// An acknowledgment on its own, for whatever reason.
    fn transmit_ack(&mut self, to: SocketAddr, room: Room, out: &mut BytesMut) -> Option<Transmit> {
        let mut seq = self.pure_ack_seq();
        if self.duplicate_acks > 0 {
            self.duplicate_acks -= 1;
        } else if core::mem::take(&mut self.keep_alive_due) && self.snd_una == self.snd_max {
            // RFC 9293 3.8.4: a sequence number that the peer has long acknowledged, so that it must answer.
            seq = self.snd_una - 1;
        } else if self.ack_now || self.window_update_due() {
            self.quick_acks = self.quick_acks.saturating_sub(1);
        } else {
            return None;
        }
        let header = self.stream_header(to, seq, Flags::ACK, 0);
        Some(self.emit(to, &header, room, out))
    }

    /// The first segment that is known to be lost, if the congestion window lets it go (RFC 6675 4, NextSeg rule 1).
    fn lost_text(&mut self) -> Option<Text> {
        if self.sends_new_data_first() {
            return None;
        }
        let (number, sent) = self.flight.next_lost()?;
        if sent.end.since(self.snd_una) > self.snd_wnd {
            // The peer has taken back a part of its window: what fits now is cut anew.
            self.go_back();
            return None;
        }
        let leaves = self.is_head_due() || self.has_window_for(sent.end.since(sent.start));
        leaves.then(|| self.again(number, sent))
    }

    /// What tells the peer, and so us, whether the end of the flight has arrived (RFC 8985 7.3).
    fn tail_probe(&mut self) -> Option<Text> {
        if !self.take_tail_probe() {
            return None;
        }
        let offset = self.snd_nxt.since(self.snd_una);
        let window = self.snd_wnd.saturating_sub(offset);
        let unsent = self.send.len().saturating_sub(offset as usize);
        let len = unsent.min(self.snd_mss as usize).min(window as usize);
        if len > 0 {
            // New text is the better probe: it is no use lost. The congestion window does not count.
            let seq = self.snd_nxt;
            self.snd_nxt += len as u32;
            self.on_tail_probe_sent(self.snd_nxt, false);
            return Some(Text { seq, len, fin: false, kind: Kind::New });
        }
        let (number, sent) = self.flight.last()?;
        if sent.end.since(self.snd_una) > self.snd_wnd {
            return None;
        }
        self.on_tail_probe_sent(self.snd_nxt, true);
        Some(self.again(number, sent))
    }

    /// A segment of the flight as it was.
    fn again(&self, number: u64, sent: Sent) -> Text {
        // Beyond the bytes there is only the FIN.
        let fin = sent.end.since(self.snd_una) as usize > self.send.len();
        let len = sent.end.since(sent.start) as usize - usize::from(fin);
        Text { seq: sent.start, len, fin, kind: Kind::Again(number) }
    }

    /// Whether the congestion window lets `bytes` go; with nothing in flight it always does.
    fn has_window_for(&self, bytes: u32) -> bool {
        let pipe = self.pipe();
        pipe == 0 || pipe.saturating_add(bytes) <= self.cwnd()
    }

    /// What is next in line, `most` segments of it, if both windows and the sender's silly window avoidance let it go; moves
    /// SND.NXT.
    fn next_text(&mut self, most: usize) -> Option<Text> {
        if (self.flight.lost_segments() > 0 && !self.sends_new_data_first()) || self.is_paused() {
            // What is lost goes first.
            return None;
        }
        let seq = self.snd_nxt;
        let offset = seq.since(self.snd_una);
        let has_fin = matches!(self.state, State::FinWait1 | State::Closing | State::LastAck);
        // With the FIN sent, SND.NXT is one beyond the bytes.
        let unsent = self.send.len().saturating_sub(offset as usize);
        let fin_unsent = has_fin && offset as usize <= self.send.len();
        if unsent == 0 && !fin_unsent {
            self.timers.stop_persist();
            return None;
        }
        if offset == 0 {
            self.restart_after_idle();
        }
        let window = self.snd_wnd.saturating_sub(offset);
        let usable = window.min(self.cwnd().saturating_sub(self.pipe()));
        let mut len = unsent.min(self.largest_text(most)).min(usable as usize);
        // What was sent before is sent again even where little of it fits into the peer's window, but the congestion
        // window makes no small segments.
        let again = seq.before(self.snd_max) && usable == window;
        // A FIN takes a place in the window, too, but none in the network.
        let mut fin = fin_unsent && len == unsent && window as usize > len;
        if len > self.snd_mss as usize {
            // What remains behind the last full segment goes along only if it would also leave on its own.
            let rest = len % self.snd_mss as usize;
            if rest > 0 && !self.is_worth_sending(rest, rest + unsent - len, fin, again) {
                len -= rest;
                fin = false;
            }
        }
        let forced = core::mem::take(&mut self.probe) && offset == 0;
        if (forced && window > 0) || self.is_worth_sending(len, unsent, fin, again) {
            self.timers.stop_persist();
            self.snd_nxt += len as u32 + u32::from(fin);
            return Some(Text { seq, len, fin, kind: Kind::New });
        }
        if forced {
            // RFC 9293 3.8.6.1: one byte, or the FIN, beyond the window. SND.NXT stays: the peer will hardly take it.
            let len = unsent.min(1);
            return Some(Text { seq, len, fin: len == 0, kind: Kind::Probe });
        }
        if offset == 0 && self.timers.persist.is_none() {
            // Nothing is in flight that could bring an acknowledgment: ask when the time is over.
            self.timers.retransmit = None;
            self.timers.persist = Some(self.now + self.rtt.backed_off(self.timers.probes));
            self.start_user_timer();
        }
        None
    }

    /// How much text may leave at once: that of `most` segments, or as many MSS as fit into an IP packet that is to be cut.
    fn largest_text(&self, most: usize) -> usize {
        let mss = self.snd_mss as usize;
        // Only the first of several may have the CWR bit, so it stands on one alone.
        let offload = self.config.segmentation_offload && !self.marking.tells_reduction();
        let most = if offload { MAX_OFFLOAD / mss } else { most };
        mss * most.max(1)
    }

    /// Whether the segments that follow one another now are alike: nothing is to be sent again, asked, told or reported.
    fn may_run(&self) -> bool {
        self.recovery.is_quiet()
            && self.snd_nxt == self.snd_max
            && !self.probe
            && !self.marking.tells_reduction()
            && self.reporter.is_empty()
    }

    /// RFC 9293 3.8.6.2.1: a full segment, all that there is if Nagle's algorithm lets it go, or half of the largest
    /// window.
    fn is_worth_sending(&self, len: usize, unsent: usize, fin: bool, again: bool) -> bool {
        match len {
            0 => fin,
            _ if len >= self.snd_mss as usize || again || len >= (self.max_snd_wnd / 2) as usize => true,
            _ => len == unsent && (fin || !self.nagle_holds()),
        }
    }

    /// RFC 9293 3.7.4, with the modification of A.3: what is not a full segment waits while another such is in flight. So
    /// the end of a large message does not wait for the acknowledgment of its beginning, which the peer may delay.
    fn nagle_holds(&self) -> bool {
        !self.config.no_delay
            && self.snd_nxt == self.snd_max
            && self.snd_sml.after(self.snd_una)
            && self.snd_sml.at_or_before(self.snd_max)
    }

    /// RFC 5681 4.1, RFC 2861: a window that was not used for longer than the time-out counts less and less.
    fn restart_after_idle(&mut self) {
        let (idle, rto) = ((self.now - self.last_sent).as_nanos(), self.rtt.rto().as_nanos().max(1));
        if idle > rto {
            let restart = self.snd_mss * u32::from(self.config.initial_window);
            self.congestion.on_idle(u32::try_from(idle / rto).unwrap_or(u32::MAX), restart);
        }
    }

    fn count_text(&mut self, text: Text) {
        let again = text.seq.before(self.snd_max);
        let each = if self.config.segmentation_offload { text.len } else { self.snd_mss as usize };
        let segments = text.len.div_ceil(each.max(1));
        let (len, counters) = (text.len as u64, &mut self.counters);
        counters.data_segments_sent += segments as u64;
        counters.bytes_sent += len;
        counters.segments_retransmitted += u64::from(again);
        counters.bytes_retransmitted += if again { len } else { 0 };
    }

    /// Book-keeping for what takes sequence space from `seq` up to `end`, a SYN or FIN included that text ends before.
    fn mark_sent(&mut self, kind: Kind, seq: SeqNumber, text_end: SeqNumber, end: SeqNumber) {
        self.last_sent = self.now;
        let again = seq.before(self.snd_max);
        if again {
            self.resent_at = self.now;
        }
        self.snd_max = self.snd_max.max(end);
        self.start_user_timer();
        match kind {
            Kind::New => {
                // One record for each segment that the network will see.
                let mut start = seq;
                while text_end.after(start + self.snd_mss) {
                    self.flight.push(start, start + self.snd_mss, self.now, again);
                    start += self.snd_mss;
                }
                self.flight.push(start, end, self.now, again);
            }
            Kind::Again(number) => {
                self.flight.resend(number, self.now);
                self.on_sent_again(end);
                if seq == self.snd_una {
                    // What the peer waits for has a time-out of its own.
                    self.timers.retransmit = None;
                }
            }
            Kind::Probe => {}
        }
        self.count_for_recovery(end.since(seq));
        // The persist timer runs in its place while the window is closed.
        if self.timers.persist.is_none() {
            self.start_retransmission_timer();
        }
        if kind == Kind::New && !again {
            self.schedule_tail_probe();
        }
    }

    /// SEG.SEQ of a segment without text: what the peer expects next, as far as we know.
    pub(super) fn pure_ack_seq(&self) -> SeqNumber {
        // What was sent into a closed window was most likely dropped, and what lies beyond would be dropped, too.
        if self.state.is_synchronized() && self.snd_wnd == 0 { self.snd_nxt } else { self.snd_max }
    }

    /// A header with acknowledgment and window, which are thereby told, for `len` bytes of text.
    fn stream_header(&mut self, to: SocketAddr, seq: SeqNumber, flags: Flags, len: usize) -> Header {
        self.acknowledged_now(len > 0);
        let window = self.offer_window();
        let options =
            Options { timestamps: self.stream_timestamps(), sack: self.sack_blocks(len), ..Options::default() };
        let flags = flags | self.ecn_echo();
        Header { seq, ack: self.rcv_nxt, flags, window, options, ..self.header(to) }
    }

    /// What has arrived out of order, for a segment with `len` bytes of text (RFC 2018 4).
    fn sack_blocks(&mut self, len: usize) -> SackBlocks {
        if self.reporter.is_empty() {
            return SackBlocks::new();
        }
        // Text must still fit into the packet (RFC 9293 3.7.1): a full segment has no room for blocks.
        let space = if len == 0 { SackBlocks::MAX } else { (self.snd_mss as usize).saturating_sub(len + 4) / 8 };
        let beside_timestamps = SackBlocks::MAX - usize::from(self.echo.is_some());
        self.reporter.blocks(self.rcv_nxt, &self.assembler, space.min(beside_timestamps))
    }

    fn header(&self, to: SocketAddr) -> Header {
        Header { source_port: self.local.port(), destination_port: to.port(), ..Header::default() }
    }

    fn emit(&self, to: SocketAddr, header: &Header, room: Room, out: &mut BytesMut) -> Transmit {
        let start = out.len();
        out.put_bytes(0, room.before_each);
        Emitter::new(header, self.local.ip(), to.ip(), false).put_header(0, Sum::default(), out);
        Transmit::whole(self.local, to, out.len() - start)
    }
}
