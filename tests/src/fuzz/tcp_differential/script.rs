//! What is applied to both endpoints.

use std::time::Duration;

use drywire::tcp::Flags;

use super::super::input::Input;

/// How the run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The endpoints listen; else they connect.
    pub passive: bool,
    /// The endpoints offer timestamps, and so does the peer in its SYN.
    pub timestamps: bool,
    /// The peer offers SACK in its SYN.
    pub sack: bool,
    /// By how many bits the peer's windows are shifted, if its SYN says so.
    pub scale: Option<u8>,
    /// The peer's MSS, if its SYN tells it.
    pub mss: Option<u16>,
    /// drywire's initial sequence number; smoltcp draws its own.
    pub isn: u32,
    /// The peer's.
    pub peer_isn: u32,
}

/// One thing that happens to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The peer's segment arrives.
    Segment(SegmentPlan),
    /// The application takes so many bytes, or what there is.
    Read(usize),
    /// The application queues so many bytes, or as many as there is room for.
    Write(usize),
    /// The application closes its direction.
    Shutdown,
    /// The application gives up.
    Abort,
    /// Time passes.
    Wait(Duration),
}

/// A segment of the peer's in numbers relative to where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// Its control bits.
    pub flags: Flags,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK.
    pub ack: Ack,
    /// SEG.WND, as it stands in the header.
    pub window: u16,
    /// How many bytes of text.
    pub len: u16,
    /// TSval, if the SYNs had timestamps.
    pub clock: Clock,
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seq {
    /// So far behind RCV.NXT.
    Next(u32),
    /// So far behind the right edge of the window.
    Edge(u32),
    /// So far behind the peer's initial sequence number.
    Start(u32),
}

/// What a segment acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// So far behind SND.UNA.
    Una(u32),
    /// So far behind the highest number that both have sent.
    Max(u32),
}

/// The peer's clock in the timestamps option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As it should be.
    Now,
    /// Long past.
    Old,
    /// The option is missing.
    Missing,
}

impl Setup {
    /// A client or server with everything as simple as it gets.
    pub fn plain(passive: bool) -> Self {
        Self {
            passive,
            timestamps: false,
            sack: false,
            scale: None,
            mss: Some(1000),
            isn: 0xffff_ff00,
            peer_isn: 0xffff_fff0,
        }
    }

    pub(super) fn read(input: &mut Input<'_>) -> (Self, bool) {
        let mode = input.byte();
        let setup = Self {
            passive: mode & 1 != 0,
            timestamps: mode & 4 != 0,
            sack: mode & 8 != 0,
            scale: (mode & 16 != 0).then_some(mode >> 6),
            mss: (mode & 32 != 0).then_some(400 + u16::from(mode & 0xc0) * 8),
            isn: u32::from(input.byte()) << 24 | 0x00ff_ff00,
            peer_isn: u32::from(input.byte()) << 24 | 0x00ff_f000,
        };
        (setup, mode & 2 != 0)
    }

    /// The handshake in order.
    pub fn handshake(&self) -> Vec<Step> {
        let syn = SegmentPlan { flags: Flags::SYN, seq: Seq::Start(0), ..SegmentPlan::ack() };
        if self.passive {
            let ack = SegmentPlan { seq: Seq::Start(1), ..SegmentPlan::ack() };
            vec![Step::Segment(syn), Step::Segment(ack)]
        } else {
            vec![Step::Segment(SegmentPlan { flags: Flags::SYN | Flags::ACK, ..syn })]
        }
    }
}

impl SegmentPlan {
    /// An acknowledgment of everything, where it is expected.
    pub fn ack() -> Self {
        Self { flags: Flags::ACK, seq: Seq::Next(0), ack: Ack::Max(0), window: 5000, len: 0, clock: Clock::Now }
    }

    fn read(input: &mut Input<'_>) -> Self {
        let flags = match input.byte() {
            0..=119 => Flags::ACK,
            120..=139 => Flags::ACK | Flags::PSH,
            140..=169 => Flags::FIN | Flags::ACK,
            170..=189 => Flags::RST,
            190..=199 => Flags::RST | Flags::ACK,
            200..=214 => Flags::SYN,
            215..=224 => Flags::SYN | Flags::ACK,
            // Without CWR and ECE.
            other => Flags::from_bits(other << 1 & 0x3f),
        };
        let seq = match input.byte() {
            0..=119 => Seq::Next(0),
            120..=159 => Seq::Next(input.signed()),
            160..=179 => Seq::Next((input.number() as u32).wrapping_neg()),
            180..=209 => Seq::Next(input.number() as u32),
            210..=239 => Seq::Edge(input.signed()),
            _ => Seq::Start(input.signed()),
        };
        let ack = match input.byte() {
            0..=139 => Ack::Max(0),
            140..=179 => Ack::Una(0),
            180..=219 => Ack::Una(input.signed()),
            220..=239 => Ack::Una(input.number() as u32),
            _ => Ack::Max(input.signed()),
        };
        let window = match input.byte() {
            0..=149 => 5000,
            150..=179 => 0,
            _ => input.number() as u16,
        };
        let len = match input.byte() {
            0..=99 => 0,
            other => u16::from(other - 99) * 8,
        };
        let clock = match input.byte() {
            0..=219 => Clock::Now,
            220..=239 => Clock::Old,
            _ => Clock::Missing,
        };
        Self { flags, seq, ack, window, len, clock }
    }
}

impl Step {
    pub(super) fn read(input: &mut Input<'_>) -> Self {
        match input.byte() % 16 {
            0..=8 => Self::Segment(SegmentPlan::read(input)),
            9 | 10 => Self::Write(input.number() % 3000),
            11 => Self::Read(input.number()),
            12 => Self::Shutdown,
            13 => Self::Wait(Duration::from_millis(input.number() as u64 % 100)),
            14 => Self::Wait(Duration::from_millis(input.number() as u64)),
            _ if input.byte() < 64 => Self::Abort,
            _ => Self::Segment(SegmentPlan::ack()),
        }
    }
}
