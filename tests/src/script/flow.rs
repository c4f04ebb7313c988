//! One connection under test, seen in the numbers of its script.

use std::net::SocketAddr;

use drywire::tcp::{CloseReason, Connection, Event, Flags, Segment};
use drywire::{Bytes, BytesMut, Instant};

use super::ast::{TcpOption, TcpPacket};
use super::wire::{self, Offsets};

/// Our clock, where a script does not say what its first value is.
const FIRST_TIMESTAMP: u32 = 100;

/// A connection and how its numbers translate.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) connection: Connection,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    offsets: Offsets,
    /// Whether our initial sequence number is known from our SYN; it is the script's `local_isn`.
    synchronized: bool,
    local_isn: u32,
    remote_isn: u32,
    has_clock: bool,
    /// How many bytes the application has written and read.
    written: u32,
    read: u32,
    /// What the connection has told.
    pub(super) established: bool,
    pub(super) closed: Option<CloseReason>,
    /// Whether the application has heard of the error that ended the connection; it does so once.
    pub(super) error_told: bool,
}

/// A segment that left.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// The index of its flow.
    pub(super) flow: usize,
    pub(super) bytes: Bytes,
}

impl Flow {
    pub(super) fn new(connection: Connection, local: SocketAddr, remote: SocketAddr, remote_base: u32) -> Self {
        Self {
            connection,
            local,
            remote,
            offsets: Offsets { remote: remote_base, ..Offsets::default() },
            synchronized: false,
            local_isn: 0,
            remote_isn: 0,
            has_clock: false,
            written: 0,
            read: 0,
            established: false,
            closed: None,
            error_told: false,
        }
    }

    /// Hands in a segment of the peer's.
    pub(super) fn inject(&mut self, now: Instant, packet: &TcpPacket) -> Result<(), String> {
        let has_syn = packet.flags.contains(Flags::SYN);
        if has_syn {
            self.remote_isn = packet.seq;
        }
        let first = packet.seq.wrapping_add(u32::from(has_syn)).wrapping_sub(self.remote_isn).wrapping_sub(1);
        let payload: Vec<u8> = (0..packet.len).map(|at| content(Side::Peer, first.wrapping_add(at))).collect();
        let (from, to) = ((self.remote.ip(), self.remote.port()), (self.local.ip(), self.local.port()));
        let bytes = wire::encode(packet, &payload, self.offsets, from, to)?;
        let segment = Segment::parse(&bytes, from.0, to.0).map_err(|error| error.to_string())?;
        self.connection.handle_segment(now, from.0, &segment);
        Ok(())
    }

    /// The next segment that is due.
    pub(super) fn transmit(&mut self, now: Instant) -> Result<Option<Bytes>, String> {
        let mut out = BytesMut::new();
        let Some(transmit) = self.connection.poll_transmit(now, &mut out) else { return Ok(None) };
        if (transmit.source, transmit.destination, transmit.len) != (self.local, self.remote, out.len()) {
            return Err(format!("{transmit:?} does not describe {} bytes to {}", out.len(), self.remote));
        }
        Ok(Some(out.freeze()))
    }

    /// The segment in the numbers of the script, its payload checked. If the first number of a kind is in it, `expected`
    /// says what it counts as.
    pub(super) fn read(&mut self, bytes: &[u8], expected: Option<&TcpPacket>) -> Result<TcpPacket, String> {
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let (raw, _) = wire::decode(bytes, Offsets::default(), local, remote)?;
        let has_syn = raw.flags.contains(Flags::SYN);
        if has_syn && !self.synchronized {
            self.local_isn = expected.map_or(0, |expected| expected.seq);
            self.offsets.local = raw.seq.wrapping_sub(self.local_isn);
            self.synchronized = expected.is_some();
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
            if place >= self.written || *byte != content(Side::Application, place) {
                return Err(format!("byte {place} of the stream that leaves is not what was written ({packet})"));
            }
        }
        Ok(packet)
    }

    /// Writes as much of `len` bytes as there is room for.
    pub(super) fn write(&mut self, len: usize) -> Result<usize, drywire::tcp::SendError> {
        let len = len.min(self.connection.send_room());
        let bytes: Vec<u8> =
            (0..len as u32).map(|at| content(Side::Application, self.written.wrapping_add(at))).collect();
        self.connection.send(bytes.into())?;
        self.written = self.written.wrapping_add(len as u32);
        Ok(len)
    }

    /// Reads up to `len` bytes that have arrived, and checks them.
    pub(super) fn take(&mut self, len: usize) -> Result<usize, String> {
        let bytes = self.connection.recv().take(len);
        for byte in &bytes {
            if *byte != content(Side::Peer, self.read) {
                return Err(format!("byte {} of the stream that arrives is not what was sent", self.read));
            }
            self.read = self.read.wrapping_add(1);
        }
        Ok(bytes.len())
    }

    /// Takes in what the connection tells.
    pub(super) fn observe(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            match event {
                Event::Established => self.established = true,
                Event::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }
}

fn timestamp(packet: &TcpPacket) -> Option<u32> {
    packet.options.iter().flatten().find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}

/// Who a byte comes from.
#[derive(Clone, Copy)]
enum Side {
    Application,
    Peer,
}

/// The byte at this place of a stream: scripts say how many there are, not which, so that a lost, doubled or swapped one
/// shows.
const fn content(side: Side, place: u32) -> u8 {
    let salted = place.wrapping_add(match side {
        Side::Application => 0,
        Side::Peer => 0x1234_5678,
    });
    (salted.wrapping_mul(2_654_435_761) >> 24) as u8
}
