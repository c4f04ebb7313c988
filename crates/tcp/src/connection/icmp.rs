//! ICMP errors about segments of this connection (RFC 9293 3.9.2.2, RFC 5461, RFC 5927), and the path MTU (RFC 1191,
//! RFC 8201).

use drywire_core::Instant;

use super::timestamps::OPTION_LEN;
use super::{CloseReason, Connection};
use crate::{Header, IcmpError, IcmpErrorKind, Input, State};

/// Guesses at the MTU of a path whose router does not tell it (RFC 1191 7.1).
const PLATEAUS: [u32; 9] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 576, MIN_IPV4];
/// No link that IPv4 runs on today carries less, so a smaller number is an attack (RFC 5927 7).
const MIN_IPV4: u32 = 552;
/// RFC 8201 4: a packet too big for less than the least MTU of IPv6 is never reported in earnest.
const MIN_IPV6: u32 = 1280;

impl Connection {
    /// Handles an ICMP error that quotes a segment of this connection.
    ///
    /// Anybody can make one up, so it counts only if the quoted sequence number is in flight (RFC 5927 4.1), and it ends
    /// a connection only before the handshake is over (RFC 5927 5.2). Later, and where it may pass, it is remembered: if
    /// the peer is given up after it, the reason is [`CloseReason::Unreachable`].
    pub fn handle_icmp(&mut self, now: Instant, error: IcmpError) {
        self.advance_clock(now);
        let in_flight = error.seq.at_or_after(self.snd_una) && error.seq.before(self.snd_max);
        if !in_flight || matches!(self.state, State::Closed | State::Listen | State::TimeWait) {
            return;
        }
        match error.kind {
            IcmpErrorKind::PacketTooBig { mtu } => self.on_packet_too_big(mtu),
            IcmpErrorKind::Hard if self.state == State::SynReceived && self.passive => self.relisten(),
            IcmpErrorKind::Hard if !self.state.is_synchronized() => {
                self.close(Input::GiveUp, CloseReason::Unreachable);
            }
            IcmpErrorKind::Hard | IcmpErrorKind::Soft => self.unreachable = true,
        }
    }

    /// Sends smaller segments from now on, and what was too big again.
    ///
    /// This is no sign of congestion, so the congestion window stays. After ten minutes the old size is tried again.
    fn on_packet_too_big(&mut self, mtu: u32) {
        let overhead = self.overhead();
        let sent = self.snd_mss + overhead;
        let mtu = match mtu {
            _ if self.local.is_ipv6() => mtu.max(MIN_IPV6),
            // RFC 1191 5: a router that does not know this part of the protocol.
            0 => PLATEAUS.into_iter().find(|plateau| *plateau < sent).unwrap_or(MIN_IPV4),
            _ => mtu.max(MIN_IPV4),
        };
        // No message makes it grow (RFC 1191 3), and a SYN has no size to give.
        if mtu >= sent || !self.state.is_synchronized() {
            return;
        }
        self.on_narrow_path(mtu - overhead);
        // RFC 1191 6.5: all of what was sent at that size was dropped.
        self.go_back();
    }

    /// What stands beside the text in each packet, in bytes: the headers of IP and TCP, and the options of every segment.
    pub(super) fn overhead(&self) -> u32 {
        let ip = if self.local.is_ipv6() { 40 } else { 20 };
        ip + Header::MIN_LEN as u32 + if self.echo.is_some() { OPTION_LEN } else { 0 }
    }

    /// Why the peer is given up that does not answer.
    pub(super) fn given_up(&self) -> CloseReason {
        if self.unreachable { CloseReason::Unreachable } else { CloseReason::TimedOut }
    }
}
