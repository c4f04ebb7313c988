//! What ICMP reports about segments that we sent (RFC 792, RFC 4443; RFC 9293 3.9.2.2).

use crate::SeqNumber;

/// An ICMP error about one of our segments, as the network sent it back: anybody could have made it up.
///
/// What a connection does with it is RFC 5927's: it believes only errors about sequence numbers that are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpError {
    /// What is wrong.
    pub kind: IcmpErrorKind,
    /// SEG.SEQ of the segment that the error quotes.
    pub seq: SeqNumber,
}

/// What an ICMP error says, in the classes that matter to TCP (RFC 9293 3.9.2.2, RFC 5461).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IcmpErrorKind {
    /// A soft error, which may pass: no route to the host at the moment, or a hop limit exceeded.
    Soft,
    /// A hard error: the host says that nobody speaks this protocol or listens on this port, or a router forbids it.
    Hard,
    /// The packet was too big to be passed on, and may not be fragmented (RFC 1191, RFC 8201).
    PacketTooBig {
        /// The MTU of the next hop, in bytes, as reported; zero where an old router does not say (RFC 1191 5).
        mtu: u32,
    },
}
