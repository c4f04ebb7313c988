//! Segments of an earlier incarnation: the same addresses and ports, older numbers.

use drywire_tcp::ip::Ecn;
use drywire_tcp::{Flags, Header, Options, SeqNumber, Timestamps};

use super::endpoint::{Wire, address, isn, other};
use crate::Side;

/// How far its sequence numbers lie behind.
const AGO: u32 = 1 << 29;

/// How many of them are betrayed by their numbers. Those behind them have the numbers of the new incarnation: only a
/// timestamp shows their age, and only to an end that has one to compare it with.
pub(super) const BY_NUMBER: usize = 9;

/// What may arrive at `side`.
pub(super) fn earlier_incarnation(side: Side, timestamps: bool) -> Vec<Wire> {
    let peer = other(side);
    let (old_seq, old_ack) = (isn(peer) - AGO, isn(side) - AGO);
    let (seq, ack) = (isn(peer) + 1, isn(side) + 1);
    let none = SeqNumber::default();
    let mut wires = vec![
        (Flags::SYN, old_seq, none, ""),
        (Flags::SYN | Flags::ACK, old_seq, old_ack, ""),
        (Flags::ACK, old_seq, old_ack, ""),
        (Flags::ACK, old_seq, old_ack, "x"),
        (Flags::FIN | Flags::ACK, old_seq, old_ack, ""),
        (Flags::RST, old_seq, none, ""),
        (Flags::RST | Flags::ACK, old_seq, old_ack, ""),
        // Where only the acknowledgment number gives it away (RFC 5961 5).
        (Flags::ACK, seq, old_ack, "x"),
        (Flags::FIN | Flags::ACK, seq, old_ack, ""),
    ];
    if timestamps {
        // Where only the timestamp does (RFC 7323 5).
        wires.push((Flags::ACK, seq, ack, "x"));
        wires.push((Flags::FIN | Flags::ACK, seq, ack, ""));
    }
    let old_clock = super::endpoint::clock(peer).wrapping_sub(AGO);
    let options =
        Options { timestamps: timestamps.then_some(Timestamps { value: old_clock, echo: 0 }), ..Options::default() };
    let wire = |(flags, seq, ack, payload): (_, _, _, &str)| Wire {
        header: Header {
            source_port: address(peer).port(),
            destination_port: address(side).port(),
            seq,
            ack,
            flags,
            window: 1,
            options,
            ..Header::default()
        },
        ecn: Ecn::NotEct,
        payload: payload.into(),
    };
    wires.into_iter().map(wire).collect()
}
