//! What a stack has counted.

use crate::Refusal;

/// Packets by what became of them. Every packet that arrived is counted in `packets` and in one of the other fields of its
/// paragraph, unless it went on to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Packets that arrived.
    pub packets: u64,
    /// Not an IP packet, or cut off.
    pub ip_malformed: u64,
    /// The checksum of the IPv4 header was wrong.
    pub ip_checksum: u64,
    /// Fragments, which are not put together.
    pub ip_fragments: u64,
    /// Source routes, and options or extension headers that are not accepted.
    pub ip_options: u64,
    /// From a multicast or broadcast address.
    pub ip_source: u64,
    /// To none of our addresses.
    pub ip_not_ours: u64,
    /// Of a protocol that we do not speak.
    pub ip_protocol: u64,

    /// Segments that went to a connection.
    pub segments: u64,
    /// Of these, those outside of the window ([`Refusal::Sequence`](crate::Refusal)).
    pub refused_sequence: u64,
    /// With an old timestamp or none ([`Refusal::Timestamp`](crate::Refusal)).
    pub refused_timestamp: u64,
    /// RSTs that were not at RCV.NXT ([`Refusal::Reset`](crate::Refusal)).
    pub refused_reset: u64,
    /// SYNs on connections that had begun ([`Refusal::Syn`](crate::Refusal)).
    pub refused_syn: u64,
    /// Without an ACK bit ([`Refusal::NoAck`](crate::Refusal)).
    pub refused_no_ack: u64,
    /// With an acknowledgment out of range ([`Refusal::Ack`](crate::Refusal)).
    pub refused_ack: u64,
    /// Segments that went to a listener.
    pub segments_to_listeners: u64,
    /// Segments that went to a connection in TIME-WAIT.
    pub segments_in_time_wait: u64,
    /// Segments whose checksum was wrong.
    pub segment_checksum: u64,
    /// Segments that were malformed in another way.
    pub segment_malformed: u64,
    /// Segments to a port where nobody is: answered with an RST, unless they were one.
    pub segments_to_closed_ports: u64,
    /// Segments to a listener that were dropped, as there are as many connections as there may be.
    pub connections_full: u64,

    /// Datagrams that went to a socket.
    pub datagrams: u64,
    /// Datagrams that were cut off or whose checksum was wrong.
    pub datagram_malformed: u64,
    /// Datagrams to a port where nobody is.
    pub datagrams_to_closed_ports: u64,
    /// Datagrams that were dropped, as the socket's queue was full.
    pub datagram_queue_full: u64,

    /// Echo requests that were answered.
    pub echo_replies: u64,
    /// ICMP messages that were cut off or whose checksum was wrong.
    pub icmp_malformed: u64,
    /// ICMP errors that went to a connection or a datagram socket.
    pub icmp_errors: u64,
    /// ICMP messages that say nothing to us: errors about nothing of ours, and other kinds.
    pub icmp_ignored: u64,

    /// RSTs that were sent for closed ports.
    pub resets_sent: u64,
    /// Errors "port unreachable" that were sent.
    pub port_unreachable_sent: u64,
    /// ICMP errors that were not sent because of their limit.
    pub icmp_errors_suppressed: u64,
    /// Answers that were dropped, as too many were waiting to leave.
    pub replies_dropped: u64,
    /// Connections in TIME-WAIT that were ended before their time to make room.
    pub time_wait_recycled: u64,
    /// Connections in TIME-WAIT that made way for a new one (RFC 6191).
    pub time_wait_reopened: u64,
    /// Released connections that were reset, as data arrived that nobody would read.
    pub released_reset: u64,
}

impl Statistics {
    /// What became of a segment that went to a connection.
    pub(super) fn count_refusal(&mut self, refusal: Option<Refusal>) {
        let counter = match refusal {
            None => return,
            Some(Refusal::Sequence) => &mut self.refused_sequence,
            Some(Refusal::Timestamp) => &mut self.refused_timestamp,
            Some(Refusal::Reset) => &mut self.refused_reset,
            Some(Refusal::Syn) => &mut self.refused_syn,
            Some(Refusal::NoAck) => &mut self.refused_no_ack,
            Some(Refusal::Ack) => &mut self.refused_ack,
        };
        *counter += 1;
    }
}
