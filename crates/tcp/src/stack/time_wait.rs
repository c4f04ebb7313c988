//! TIME-WAIT outside of the connection: a small entry that answers what may still arrive (RFC 9293 3.10.7.4, RFC 6191).

use bytes::BytesMut;
use drywire_core::Instant;

use crate::connection::TimeWait;
use crate::four_tuple::FourTuple;
use crate::{Flags, Header, Options, Segment, SeqNumber, Timestamps, Transmit};

/// A connection in TIME-WAIT.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tuple: FourTuple,
    pub(super) rest: TimeWait,
}

/// What a segment means to a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    None,
    /// The peer has not got our last acknowledgment: once more, and 2MSL begins again.
    AcknowledgeFin,
    /// It does not fit: an acknowledgment says where we are, within the limit of challenges.
    Challenge,
    /// The end.
    Reset,
    /// A new connection may take this one's place.
    Reopen,
}

impl Entry {
    /// `timestamps`: whether a new connection would use them, as far as it is ours to say.
    pub(super) fn answer(&self, segment: &Segment<'_>, timestamps: bool) -> Answer {
        let header = &segment.header;
        let TimeWait { rcv_nxt, rcv_wnd, .. } = self.rest;
        // RFC 6191 looks at the SYN before everything else: its sequence number is that of another connection.
        if header.flags.only(Flags::SYN | Flags::RST | Flags::ACK) == Flags::SYN && self.may_reopen(header, timestamps)
        {
            return Answer::Reopen;
        }
        let len = segment.sequence_len();
        if header.flags.contains(Flags::RST) {
            // RFC 5961 3.2, which also bounds the hazard of RFC 1337: anything but the exact number is not believed.
            return match header.seq {
                seq if seq == rcv_nxt => Answer::Reset,
                seq if seq.since(rcv_nxt) < rcv_wnd => Answer::Challenge,
                _ => Answer::None,
            };
        }
        if header.flags.contains(Flags::FIN) && header.seq + len == rcv_nxt {
            return Answer::AcknowledgeFin;
        }
        // RFC 5961 4.2; RFC 9293 3.10.7.4, first step, to which a segment without text is no reason.
        if header.flags.contains(Flags::SYN) || len > 0 || self.is_outdated(header) || header.seq != rcv_nxt {
            return Answer::Challenge;
        }
        Answer::None
    }

    /// RFC 6191 2: whether a SYN is surely younger than everything of this connection.
    ///
    /// One that is not is challenged and not dropped, as Linux does: a peer that has restarted then resets what is left.
    fn may_reopen(&self, syn: &Header, timestamps: bool) -> bool {
        let later_seq = syn.seq.after(self.rest.rcv_nxt);
        match (self.rest.timestamps, syn.options.timestamps.filter(|_| timestamps)) {
            (Some((recent, _)), Some(theirs)) => {
                let (theirs, recent) = (SeqNumber::new(theirs.value), SeqNumber::new(recent));
                theirs.after(recent) || theirs == recent && later_seq
            }
            (None, Some(_)) => true,
            (_, None) => later_seq,
        }
    }

    /// PAWS (RFC 7323 5.3).
    fn is_outdated(&self, header: &Header) -> bool {
        matches!(
            (self.rest.timestamps, header.options.timestamps),
            (Some((recent, _)), Some(theirs)) if SeqNumber::new(theirs.value).before(SeqNumber::new(recent))
        )
    }

    /// Appends the last acknowledgment once more.
    pub(super) fn acknowledge(&self, now: Instant, out: &mut BytesMut) -> Transmit {
        let (local, remote) = (self.tuple.local(), self.tuple.remote());
        let clock = now.as_millis() as u32;
        let timestamps =
            self.rest.timestamps.map(|(echo, offset)| Timestamps { value: clock.wrapping_add(offset), echo });
        let header = Header {
            source_port: local.port(),
            destination_port: remote.port(),
            seq: self.rest.snd_nxt,
            ack: self.rest.rcv_nxt,
            flags: Flags::ACK,
            window: self.rest.window,
            options: Options { timestamps, ..Options::default() },
            ..Header::default()
        };
        header.emit_alone(&self.tuple, out)
    }
}
