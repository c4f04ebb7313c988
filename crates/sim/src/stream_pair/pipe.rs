//! One direction of a reliable byte pipe.

use std::collections::VecDeque;
use std::time::Duration;

use drywire_core::{Bytes, Instant, RecvBuf, Rng, Seed};
use drywire_tcp::CloseReason;

use crate::pump::Transport;

/// What one direction of a [`StreamPair`](crate::StreamPair)'s pipe is like.
///
/// The default has no delay, 64 KiB of room, and cuts the stream at random places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PipeConfig {
    /// How long every byte travels.
    pub latency: Duration,
    /// Added to the latency of each piece: uniform between zero and this. The order stays.
    pub jitter: Duration,
    /// The bytes per second that pass; `None` is no limit, and zero counts as one.
    pub rate: Option<u64>,
    /// The bytes that fit in between the writer and the reader; zero counts as one. A reader that does not read fills
    /// it, and then the writer waits.
    pub capacity: usize,
    /// How the stream is cut, at the writer's end and again at the reader's.
    pub cut: Cut,
}

impl Default for PipeConfig {
    fn default() -> Self {
        Self { latency: Duration::ZERO, jitter: Duration::ZERO, rate: None, capacity: 64 * 1024, cut: Cut::Random }
    }
}

/// How a pipe cuts the stream into writes and reads: a machine must not care (law 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// As large as they can be.
    Whole,
    /// At most this many bytes at a time; zero counts as one.
    Every(usize),
    /// Now one byte, now a few, now a packet, now all there is.
    Random,
}

impl Cut {
    fn draw(self, rng: &mut Rng) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Every(n) => n.max(1),
            Self::Random => match rng.below(4) {
                0 => 1,
                1 => 1 + rng.below(16) as usize,
                2 => 1 + rng.below(1460) as usize,
                _ => usize::MAX,
            },
        }
    }
}

/// What travels.
enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

pub(super) struct Pipe {
    pub(super) config: PipeConfig,
    rng: Rng,
    /// In order of arrival.
    under_way: VecDeque<(Instant, Piece)>,
    /// Arrived, and not yet read.
    arrived: VecDeque<Bytes>,
    arrived_end: bool,
    arrived_reset: bool,
    /// The bytes under way and arrived.
    held: usize,
    free_at: Instant,
    last_arrival: Instant,
    /// The reader takes nothing more.
    abandoned: bool,
    pub(super) carried: u64,
}

impl Pipe {
    pub(super) fn new(config: PipeConfig, seed: &Seed) -> Self {
        Self {
            config,
            rng: Rng::new(seed),
            under_way: VecDeque::new(),
            arrived: VecDeque::new(),
            arrived_end: false,
            arrived_reset: false,
            held: 0,
            free_at: Instant::ORIGIN,
            last_arrival: Instant::ORIGIN,
            abandoned: false,
            carried: 0,
        }
    }

    fn room(&self) -> usize {
        if self.abandoned { usize::MAX } else { self.config.capacity.max(1).saturating_sub(self.held) }
    }

    fn write(&mut self, now: Instant, mut bytes: Bytes) {
        self.carried += bytes.len() as u64;
        while !bytes.is_empty() {
            let piece = bytes.split_to(self.config.cut.draw(&mut self.rng).min(bytes.len()));
            self.held += piece.len();
            self.put(now, Piece::Bytes(piece));
        }
    }

    fn put(&mut self, now: Instant, piece: Piece) {
        let size = if let Piece::Bytes(bytes) = &piece { bytes.len() } else { 0 };
        let mut leaves = now;
        if let Some(rate) = self.config.rate {
            let sending = (size as u128 * 1_000_000_000).div_ceil(rate.max(1).into());
            self.free_at = self.free_at.max(now) + Duration::from_nanos(u64::try_from(sending).unwrap_or(u64::MAX));
            leaves = self.free_at;
        }
        let jitter = u64::try_from(self.config.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = if jitter == 0 { 0 } else { self.rng.below(jitter.saturating_add(1)) };
        let arrives = leaves + self.config.latency + Duration::from_nanos(jitter);
        self.last_arrival = self.last_arrival.max(arrives);
        self.under_way.push_back((self.last_arrival, piece));
    }

    /// When the next piece arrives.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.front().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            match self.under_way.pop_front() {
                Some((_, Piece::Bytes(bytes))) if self.abandoned => self.held -= bytes.len(),
                Some((_, Piece::Bytes(bytes))) => self.arrived.push_back(bytes),
                Some((_, Piece::End)) => self.arrived_end = true,
                Some((_, Piece::Reset)) => self.arrived_reset = true,
                None => {}
            }
        }
    }

    /// One read: the next bytes, cut short where the pipe is configured so, or the end of the stream (a count of zero).
    pub(super) fn read(&mut self, recv: &mut RecvBuf) -> Option<usize> {
        if self.arrived.is_empty() {
            if self.arrived_end && !recv.is_end_of_stream() {
                recv.finish();
                return Some(0);
            }
            return None;
        }
        let mut max = self.config.cut.draw(&mut self.rng);
        let start = recv.len();
        while max > 0
            && let Some(front) = self.arrived.front_mut()
        {
            let bytes = front.split_to(max.min(front.len()));
            if front.is_empty() {
                self.arrived.pop_front();
            }
            max -= bytes.len();
            self.held -= bytes.len();
            recv.extend_from_slice(&bytes);
        }
        Some(recv.len() - start)
    }

    /// The number of bytes that wait to be read.
    pub(super) fn unread(&self) -> usize {
        self.arrived.iter().map(Bytes::len).sum()
    }

    fn abandon(&mut self) {
        self.abandoned = true;
        self.held -= self.unread();
        self.arrived.clear();
    }
}

/// One end of the pipe, as its machine's transport.
pub(super) struct Socket<'a> {
    pub(super) now: Instant,
    pub(super) recv: &'a mut RecvBuf,
    pub(super) incoming: &'a mut Pipe,
    pub(super) outgoing: &'a mut Pipe,
    pub(super) state: &'a mut SocketState,
}

/// What an end of the pipe remembers.
#[derive(Debug, Default)]
pub(super) struct SocketState {
    shut: bool,
    discarding: bool,
    aborted: bool,
}

impl Transport for Socket<'_> {
    fn is_connected(&self) -> bool {
        true
    }

    fn close_reason(&self) -> Option<CloseReason> {
        if self.state.aborted {
            Some(CloseReason::Aborted)
        } else if self.incoming.arrived_reset {
            Some(CloseReason::Reset)
        } else {
            let no_more_input = self.state.discarding || self.recv.is_end_of_stream();
            (self.state.shut && no_more_input).then_some(CloseReason::Normal)
        }
    }

    fn recv(&mut self) -> &mut RecvBuf {
        self.recv
    }

    fn send_room(&self) -> usize {
        if self.incoming.arrived_reset { 0 } else { self.outgoing.room() }
    }

    fn send(&mut self, bytes: Bytes) {
        self.outgoing.write(self.now, bytes);
    }

    fn shutdown(&mut self) {
        self.state.shut = true;
        self.outgoing.put(self.now, Piece::End);
    }

    fn discard(&mut self) {
        self.state.discarding = true;
        self.incoming.abandon();
    }

    fn abort(&mut self) {
        if !self.state.aborted {
            self.state.aborted = true;
            self.outgoing.put(self.now, Piece::Reset);
            self.discard();
        }
    }
}
