//! Between the numbers of a script and those on the wire.

use std::net::SocketAddr;

use drywire::tcp::Flags;

use super::ast::{IcmpPacket, TcpOption, TcpPacket};
use super::flow::{Side, content};
use super::wire::{self, Offsets};

/// Our clock, where a script does not say what its first value is.
const FIRST_TIMESTAMP: u32 = 100;

/// How one pair of sockets numbers its packets.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    offsets: Offsets,
    /// Our initial sequence number, on the wire and in the script; known from our latest SYN.
    wire_isn: Option<u32>,
    local_isn: u32,
    remote_isn: u32,
    has_clock: bool,
}

impl Translation {
    pub(super) fn new(local: SocketAddr, remote: SocketAddr, remote_base: u32) -> Self {
        let offsets = Offsets { remote: remote_base, ..Offsets::default() };
        Self { local, remote, offsets, wire_isn: None, local_isn: 0, remote_isn: 0, has_clock: false }
    }

    /// The bytes of a segment of the peer's.
    pub(super) fn arriving(&mut self, packet: &TcpPacket) -> Result<Vec<u8>, String> {
        let has_syn = packet.flags.contains(Flags::SYN);
        if has_syn {
            self.remote_isn = packet.seq;
        }
        let first = packet.seq.wrapping_add(u32::from(has_syn)).wrapping_sub(self.remote_isn).wrapping_sub(1);
        let payload: Vec<u8> = (0..packet.len).map(|at| content(Side::Peer, first.wrapping_add(at))).collect();
        wire::encode(packet, &payload, self.offsets, self.remote, self.local)
    }

    /// The first bytes of the segment of ours that an ICMP message quotes.
    pub(super) fn quoted(&self, packet: &IcmpPacket) -> [u8; 8] {
        let ports = u32::from(self.local.port()) << 16 | u32::from(self.remote.port());
        let seq = packet.seq.wrapping_add(self.offsets.local);
        (u64::from(ports) << 32 | u64::from(seq)).to_be_bytes()
    }

    /// A segment of ours in the numbers of the script, its payload checked. If the first number of a kind is in it,
    /// `expected` says what it counts as.
    pub(super) fn leaving(&mut self, bytes: &[u8], expected: Option<&TcpPacket>) -> Result<TcpPacket, String> {
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let (raw, _) = wire::decode(bytes, Offsets::default(), local, remote)?;
        let has_syn = raw.flags.contains(Flags::SYN);
        if has_syn && self.wire_isn != Some(raw.seq) {
            // A connection begins, perhaps not the first one.
            self.local_isn = expected.map_or(0, |expected| expected.seq);
            self.offsets.local = raw.seq.wrapping_sub(self.local_isn);
            self.wire_isn = expected.map(|_| raw.seq);
            self.has_clock = false;
        }
        if let Some(value) = timestamp(&raw)
            && !self.has_clock
        {
            self.offsets.clock = value.wrapping_sub(expected.and_then(timestamp).unwrap_or(FIRST_TIMESTAMP));
            self.has_clock = expected.is_some();
        }
        let (packet, payload) = wire::decode(bytes, self.offsets, local, remote)?;
        let first = packet.seq.wrapping_add(u32::from(has_syn)).wrapping_sub(self.local_isn).wrapping_sub(1);
        for (at, byte) in (0..).zip(payload) {
            let place = first.wrapping_add(at);
            if *byte != content(Side::Application, place) {
                return Err(format!("byte {place} of the stream that leaves is not what was written ({packet})"));
            }
        }
        Ok(packet)
    }
}

fn timestamp(packet: &TcpPacket) -> Option<u32> {
    packet.options.iter().flatten().find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}
