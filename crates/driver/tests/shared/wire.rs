//! A wire that does what a script says, in virtual time, and judges the driver at every call.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use drywire_core::Instant;

use super::{Probe, START};

#[derive(Clone, Debug)]
pub enum ReadStep {
    Data(Vec<u8>),
    /// Blocks once, until this much later.
    Block(Duration),
    Interrupted,
    End,
    Error(ErrorKind),
}

#[derive(Clone, Copy, Debug)]
pub enum WriteStep {
    /// Takes at most so many bytes.
    Take(usize),
    /// Blocks once, until this much later.
    Block(Duration),
    Interrupted,
    /// Returns `Ok(0)`.
    Zero,
    Error(ErrorKind),
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Nothing comes behind the last one.
    pub reads: Vec<ReadStep>,
    /// Everything is taken behind the last one.
    pub writes: Vec<WriteStep>,
    /// How often, and for how long, shutting down blocks.
    pub shutdowns: Vec<Duration>,
    /// How often, and for how long, flushing blocks.
    pub flushes: Vec<Duration>,
    /// Which parks end at once for no reason.
    pub spurious: Vec<bool>,
}

/// What a driver has a wake for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

/// Clones are the same wire: the driver has one and the test the other.
#[derive(Clone)]
pub struct Wire(Rc<RefCell<State>>);

struct State {
    reads: VecDeque<ReadStep>,
    writes: VecDeque<WriteStep>,
    shutdowns: VecDeque<Duration>,
    flushes: VecDeque<Duration>,
    spurious: VecDeque<bool>,
    probe: Option<Probe>,
    now: Instant,
    /// Until when each side blocks, since a call has said so.
    read_block: Option<Block>,
    write_block: Option<Block>,
    parks: u64,
    written: Vec<u8>,
    unflushed: bool,
    end_was_read: bool,
    /// An edge has told that the end of the stream is there, and no further one will.
    end_was_told: bool,
    write_failed: bool,
    shut: bool,
    aborted: bool,
    /// Calls in a row, without a park, that moved nothing.
    idle_calls: u32,
}

#[derive(Clone, Copy)]
struct Block {
    /// `None` lasts for ever.
    until: Option<Instant>,
    since_park: u64,
    /// Its end was told as an edge.
    told: bool,
}

impl Block {
    fn new(until: Option<Instant>, since_park: u64) -> Self {
        Self { until, since_park, told: false }
    }

    /// Whether its end is to be told now.
    fn take_edge(&mut self, now: Instant, parks: u64) -> bool {
        self.is_over(now, parks) && !std::mem::replace(&mut self.told, true)
    }

    fn is_over(self, now: Instant, parks: u64) -> bool {
        self.until.is_some_and(|until| until <= now) && parks > self.since_park
    }
}

impl Wire {
    pub fn new(script: Script) -> Self {
        Self(Rc::new(RefCell::new(State {
            reads: script.reads.into(),
            writes: script.writes.into(),
            shutdowns: script.shutdowns.into(),
            flushes: script.flushes.into(),
            spurious: script.spurious.into(),
            probe: None,
            now: START,
            read_block: None,
            write_block: None,
            parks: 0,
            written: Vec::new(),
            unflushed: false,
            end_was_read: false,
            end_was_told: false,
            write_failed: false,
            shut: false,
            aborted: false,
            idle_calls: 0,
        })))
    }

    /// Judges the driver by this machine from now on.
    pub fn judge(&self, probe: Probe) {
        probe.set(|seen| seen.judged = true);
        self.0.borrow_mut().probe = Some(probe);
    }

    pub fn now(&self) -> Instant {
        self.0.borrow().now
    }

    pub fn set_now(&self, now: Instant) {
        self.0.borrow_mut().now = now;
    }

    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().written).into_owned()
    }

    pub fn is_shut(&self) -> bool {
        self.0.borrow().shut
    }

    pub fn is_aborted(&self) -> bool {
        self.0.borrow().aborted
    }

    pub fn parks(&self) -> u64 {
        self.0.borrow().parks
    }

    pub fn reads_left(&self) -> usize {
        self.0.borrow().reads.len()
    }

    /// I2: an error shows only once its farewell has left, as far as the peer took it.
    pub fn check_error(&self) {
        let state = self.0.borrow();
        let left = state.pending() == 0 && !state.unflushed;
        assert!(left || state.aborted || state.write_failed, "an error overtook its farewell");
    }

    pub fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        assert!(!room.is_empty(), "a read without room");
        assert!(!state.end_was_read, "a read behind the end of the stream");
        assert!(!state.aborted, "a read behind the abort");
        if let Some(block) = state.read_block {
            if !block.is_over(state.now, state.parks) {
                return state.blocked();
            }
            state.read_block = None;
            state.reads.pop_front();
        }
        match state.reads.pop_front() {
            Some(ReadStep::Data(mut bytes)) => {
                let n = bytes.len().min(room.len());
                room[..n].copy_from_slice(&bytes[..n]);
                if n < bytes.len() {
                    state.reads.push_front(ReadStep::Data(bytes.split_off(n)));
                }
                state.moved();
                Ok(n)
            }
            Some(ReadStep::Block(pause)) => {
                state.reads.push_front(ReadStep::Block(pause));
                state.read_block = Some(Block::new(Some(state.now + pause), state.parks));
                state.blocked()
            }
            Some(ReadStep::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(ReadStep::End) => {
                state.end_was_read = true;
                state.moved();
                Ok(0)
            }
            Some(ReadStep::Error(kind)) => {
                state.end_was_read = true;
                Err(kind.into())
            }
            None => {
                state.read_block = Some(Block::new(None, state.parks));
                state.blocked()
            }
        }
    }

    pub fn write_vectored(&self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let state = &mut *self.0.borrow_mut();
        assert!(!pieces.is_empty() && pieces.iter().all(|piece| !piece.is_empty()), "a write of nothing");
        assert!(!state.shut && !state.aborted, "a write behind the close");
        assert!(!state.write_failed, "a write behind an error");
        if let Some(block) = state.write_block {
            if !block.is_over(state.now, state.parks) {
                return state.blocked();
            }
            state.write_block = None;
        }
        let max = match state.writes.pop_front() {
            Some(WriteStep::Take(n)) => n,
            Some(WriteStep::Block(pause)) => return state.block_write(pause),
            Some(WriteStep::Interrupted) => return Err(ErrorKind::Interrupted.into()),
            Some(WriteStep::Zero) => 0,
            Some(WriteStep::Error(kind)) => {
                state.write_failed = true;
                return Err(kind.into());
            }
            None => usize::MAX,
        };
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(max).collect();
        state.written.extend_from_slice(&bytes);
        state.unflushed = true;
        state.write_failed = max == 0;
        state.moved();
        Ok(bytes.len())
    }

    pub fn flush(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if let Some(block) = state.write_block {
            if !block.is_over(state.now, state.parks) {
                return state.blocked();
            }
            state.write_block = None;
        }
        if let Some(pause) = state.flushes.pop_front() {
            return state.block_write(pause);
        }
        state.unflushed = false;
        state.moved();
        Ok(())
    }

    /// For transports that tell edges: a read got less than it had room for, so that the next one has an edge before it.
    pub fn arm_read(&self) {
        let state = &mut *self.0.borrow_mut();
        if state.end_was_read || state.end_was_told {
            return;
        }
        let pause = match state.reads.front() {
            Some(ReadStep::Block(pause)) => Some(*pause),
            Some(_) => {
                state.reads.push_front(ReadStep::Block(Duration::ZERO));
                Some(Duration::ZERO)
            }
            None => None,
        };
        state.read_block = Some(Block::new(pause.map(|pause| state.now + pause), state.parks));
    }

    /// The same for a write that was short.
    pub fn arm_write(&self) {
        let state = &mut *self.0.borrow_mut();
        state.write_block = Some(Block::new(Some(state.now), state.parks));
    }

    /// I1 for a driver that is told edges of both directions: judges its wait. Returns when the next edge comes.
    pub fn wait_for_edges(&self, deadline: Option<Instant>) -> Option<Instant> {
        let state = &mut *self.0.borrow_mut();
        state.parked();
        if let Some(probe) = &state.probe {
            let seen = probe.get();
            let pending = state.pending();
            assert!(
                pending == 0 || state.write_block.is_some(),
                "waits with {pending} bytes to write and no edge to come"
            );
            let wants_read = seen.reads && pending < seen.high_water && !state.end_was_read;
            assert!(!wants_read || state.read_block.is_some(), "waits with a demanded read and no edge to come");
            if let Some(timeout) = seen.timeout {
                assert!(deadline.is_some_and(|deadline| deadline <= timeout), "waits without the machine's deadline");
            }
        }
        if state.spurious.front() == Some(&true) {
            return Some(state.now);
        }
        let blocks = [state.read_block, state.write_block].into_iter().flatten();
        blocks.filter(|block| !block.told).filter_map(|block| block.until).min()
    }

    /// The edges that have come for reading and for writing, each told once, and whether the end of the stream is among
    /// them.
    pub fn take_edges(&self) -> (bool, bool, bool) {
        let state = &mut *self.0.borrow_mut();
        let (now, parks) = (state.now, state.parks);
        if state.spurious.pop_front() == Some(true) {
            return (true, true, false);
        }
        let read = state.read_block.as_mut().is_some_and(|block| block.take_edge(now, parks));
        let write = state.write_block.as_mut().is_some_and(|block| block.take_edge(now, parks));
        // Behind the block that is over, up to the next one.
        let there = state.reads.iter().skip(1).take_while(|step| !matches!(step, ReadStep::Block(_)));
        let ended = read && there.into_iter().any(|step| matches!(step, ReadStep::End | ReadStep::Error(_)));
        state.end_was_told |= ended;
        (read, write, ended)
    }

    pub fn shutdown_write(&self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        // I2.
        assert_eq!(state.pending(), 0, "a shutdown before the flush");
        assert!(!state.unflushed, "a shutdown before the transport's flush");
        assert!(!state.shut, "a second shutdown");
        assert!(!state.aborted, "a shutdown behind the abort");
        if let Some(block) = state.write_block {
            if !block.is_over(state.now, state.parks) {
                return state.blocked();
            }
            state.write_block = None;
        }
        if let Some(pause) = state.shutdowns.pop_front() {
            return state.block_write(pause);
        }
        state.shut = true;
        state.moved();
        Ok(())
    }

    pub fn abort(&self) {
        let state = &mut *self.0.borrow_mut();
        assert!(!state.aborted, "a second abort");
        state.aborted = true;
    }

    /// I1: judges a park. Returns whether it ends at once, and else when a side with an interest could go on.
    pub fn park(&self, interest: Interest, deadline: Option<Instant>) -> (bool, Option<Instant>) {
        let state = &mut *self.0.borrow_mut();
        state.parked();
        if let Some(probe) = &state.probe {
            let seen = probe.get();
            let pending = state.pending();
            assert!(pending == 0 || interest.write, "parked with {pending} bytes to write and no wake for it");
            assert!(!state.unflushed || interest.write, "parked with a flush to do and no wake for it");
            let wants_read = seen.reads && pending < seen.high_water && !state.end_was_read;
            assert!(!wants_read || interest.read, "parked with a demanded read and no wake for it");
            if let Some(timeout) = seen.timeout {
                assert!(deadline.is_some_and(|deadline| deadline <= timeout), "parked without the machine's deadline");
            }
        }
        // Readiness may come as an edge: only a call that blocked has a wake.
        assert!(!interest.read || state.read_block.is_some(), "parked for reading without having tried");
        assert!(!interest.write || state.write_block.is_some(), "parked for writing without having tried");
        if state.spurious.pop_front() == Some(true) {
            return (true, None);
        }
        let read = state.read_block.filter(|_| interest.read).and_then(|block| block.until);
        let write = state.write_block.filter(|_| interest.write).and_then(|block| block.until);
        (false, read.into_iter().chain(write).min())
    }
}

impl State {
    fn pending(&self) -> usize {
        self.probe.as_ref().map_or(0, |probe| probe.get().queued - self.written.len())
    }

    fn parked(&mut self) {
        self.parks += 1;
        self.moved();
    }

    fn moved(&mut self) {
        self.idle_calls = 0;
        if let Some(probe) = &self.probe {
            probe.set(|seen| seen.idle_polls = 0);
        }
    }

    fn blocked<T>(&mut self) -> io::Result<T> {
        // I3.
        self.idle_calls += 1;
        assert!(self.idle_calls < 12, "the driver spins");
        Err(ErrorKind::WouldBlock.into())
    }

    fn block_write<T>(&mut self, pause: Duration) -> io::Result<T> {
        self.write_block = Some(Block::new(Some(self.now + pause), self.parks));
        self.blocked()
    }
}
