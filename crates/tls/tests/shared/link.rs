//! The wires below TLS.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::task::Poll;

use drywire_core::{Instant, RecvBuf};
use drywire_driver::{Interest, Wire};

/// What one call does beside what it should.
#[derive(Clone, Copy, Debug)]
pub enum Whim {
    /// Moves so many bytes at most.
    Short(usize),
    /// Cannot go on, although it could.
    Pending,
    Interrupted,
}

/// What breaks an end, at its nth call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Read(usize),
    Write(usize),
    WriteZero(usize),
}

/// How the two ends behave.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// For the calls of each end, in order; afterwards there are none.
    pub whims: [Vec<Whim>; 2],
    /// All calls move one byte.
    pub one_by_one: bool,
    /// How many bytes each direction holds: 0 is no limit.
    pub capacity: usize,
    /// What is written leaves only by a flush.
    pub is_buffered: bool,
    /// The direction to the client, and to the server, ends behind so many bytes.
    pub cuts: [Option<usize>; 2],
    pub faults: [Option<Fault>; 2],
}

impl Link {
    pub fn ends(self) -> (End, End) {
        let clock = Rc::new(Cell::new(Instant::ORIGIN));
        let [to_client, to_server] =
            self.cuts.map(|cut| Rc::new(RefCell::new(Direction { cut, ..Direction::default() })));
        let end = |side: usize, incoming: &Rc<RefCell<Direction>>, outgoing: &Rc<RefCell<Direction>>| End {
            whims: self.whims[side].clone().into(),
            one_by_one: self.one_by_one,
            capacity: if self.capacity == 0 { usize::MAX } else { self.capacity },
            is_buffered: self.is_buffered,
            fault: self.faults[side],
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            clock: Rc::clone(&clock),
            held: VecDeque::new(),
            reads: 0,
            writes: 0,
            blocked: Interest::default(),
            write_failed: false,
            is_shut: false,
            idle_calls: 0,
        };
        (end(0, &to_client, &to_server), end(1, &to_server, &to_client))
    }
}

/// Bytes under way.
#[derive(Debug, Default)]
struct Direction {
    bytes: VecDeque<u8>,
    is_ended: bool,
    /// The reader is gone.
    is_deserted: bool,
    /// As TCP has it: bytes that nobody was there to read destroy those that are under way to the writer.
    is_reset: bool,
    carried: usize,
    cut: Option<usize>,
    is_cut: bool,
}

/// One end, which judges whoever uses it.
pub struct End {
    whims: VecDeque<Whim>,
    one_by_one: bool,
    capacity: usize,
    is_buffered: bool,
    fault: Option<Fault>,
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
    clock: Rc<Cell<Instant>>,
    held: VecDeque<u8>,
    reads: usize,
    writes: usize,
    /// What could not go on in this turn.
    blocked: Interest,
    write_failed: bool,
    is_shut: bool,
    idle_calls: u32,
}

impl End {
    pub fn now(&self) -> Instant {
        self.clock.get()
    }

    pub fn set_now(&self, now: Instant) {
        self.clock.set(now.max(self.now()));
    }

    /// Whether something did not arrive because the link was cut.
    pub fn is_cut(&self) -> bool {
        self.incoming.borrow().is_cut
    }

    /// How many bytes were on their way to this end.
    pub fn carried(&self) -> usize {
        self.incoming.borrow().carried
    }

    /// The sending direction was ended in order.
    pub fn is_shut(&self) -> bool {
        self.is_shut
    }

    pub fn begin_turn(&mut self) {
        self.blocked = Interest::default();
        self.idle_calls = 0;
    }

    /// I1: readiness may come as an edge, so every wake follows a call that could not go on.
    pub fn check_wait(&self, interest: Interest) {
        assert!(!interest.read || self.blocked.read, "waits for reading without having tried");
        assert!(!interest.write || self.blocked.write, "waits for writing without having tried");
    }

    pub fn is_ready(&self, interest: Interest) -> bool {
        let (incoming, outgoing) = (self.incoming.borrow(), self.outgoing.borrow());
        let read = incoming.is_ended || incoming.is_reset || !incoming.bytes.is_empty();
        interest.read && read || interest.write && outgoing.bytes.len() < self.capacity
    }

    /// The end is dropped.
    pub fn close(&mut self) {
        let (mut incoming, mut outgoing) = (self.incoming.borrow_mut(), self.outgoing.borrow_mut());
        outgoing.is_ended = true;
        if !incoming.bytes.is_empty() {
            incoming.bytes.clear();
            outgoing.bytes.clear();
            outgoing.is_reset = true;
        }
        incoming.is_deserted = true;
    }

    /// Writes to the other end without TLS.
    pub fn inject(&self, bytes: &[u8]) {
        self.outgoing.borrow_mut().bytes.extend(bytes);
    }

    /// What has come and was not read.
    pub fn pending(&self) -> Vec<u8> {
        self.incoming.borrow().bytes.iter().copied().collect()
    }

    /// Ends the direction to the other end without TLS.
    pub fn hang_up(&self) {
        self.outgoing.borrow_mut().is_ended = true;
    }

    fn whim(&mut self) -> io::Result<Option<usize>> {
        match self.whims.pop_front() {
            Some(Whim::Short(n)) => Ok(Some(n)),
            Some(Whim::Pending) => Ok(None),
            Some(Whim::Interrupted) => Err(ErrorKind::Interrupted.into()),
            None => Ok(Some(if self.one_by_one { 1 } else { usize::MAX })),
        }
    }

    fn block<T>(&mut self, what: Interest) -> Poll<io::Result<T>> {
        self.blocked.read |= what.read;
        self.blocked.write |= what.write;
        // I3. Until rustls's 64 KiB are full, each of the machine's 3000 bytes that it takes is followed by a flush.
        self.idle_calls += 1;
        assert!(self.idle_calls < 40, "it spins");
        Poll::Pending
    }

    fn block_write<T>(&mut self) -> Poll<io::Result<T>> {
        self.block(Interest { read: false, write: true })
    }

    fn block_read<T>(&mut self) -> Poll<io::Result<T>> {
        self.block(Interest { read: true, write: false })
    }

    /// Moves held bytes on as far as there is room.
    fn transfer(&mut self) {
        let (mut outgoing, mut incoming) = (self.outgoing.borrow_mut(), self.incoming.borrow_mut());
        while outgoing.bytes.len() < self.capacity
            && let Some(byte) = self.held.pop_front()
        {
            outgoing.carried += 1;
            if outgoing.cut.is_some_and(|cut| outgoing.carried > cut) {
                (outgoing.is_cut, outgoing.is_ended) = (true, true);
            } else if outgoing.is_deserted {
                incoming.is_reset = true;
                incoming.bytes.clear();
            } else {
                outgoing.bytes.push_back(byte);
            }
            self.idle_calls = 0;
        }
    }
}

impl Wire for End {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!room.is_empty(), "a read without room");
        self.reads += 1;
        if matches!(self.fault, Some(Fault::Read(n)) if self.reads >= n) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let Some(max) = self.whim()? else { return self.block_read() };
        let incoming = Rc::clone(&self.incoming);
        let mut incoming = incoming.borrow_mut();
        if incoming.is_reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let n = max.min(room.len()).min(incoming.bytes.len());
        if n == 0 && !incoming.is_ended {
            return self.block_read();
        }
        self.idle_calls = 0;
        for (to, from) in room.iter_mut().zip(incoming.bytes.drain(..n)) {
            *to = from;
        }
        Poll::Ready(Ok(n))
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        let mut pending = false;
        let result = recv.fill_with(max, |room| match self.read(room) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                pending = true;
                Ok(0)
            }
        });
        if pending { Poll::Pending } else { Poll::Ready(result) }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        assert!(!pieces.is_empty() && pieces.iter().all(|piece| !piece.is_empty()), "a write of nothing");
        // I2.
        assert!(!self.is_shut, "a write behind the end");
        assert!(!self.write_failed, "a write behind an error");
        self.writes += 1;
        match self.fault {
            Some(Fault::Write(n)) if self.writes >= n => {
                self.write_failed = true;
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            Some(Fault::WriteZero(n)) if self.writes >= n => {
                self.write_failed = true;
                return Poll::Ready(Ok(0));
            }
            _ => {}
        }
        let Some(max) = self.whim()? else { return self.block_write() };
        let room = self.capacity.saturating_sub(self.held.len());
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).take(max.min(room)).collect();
        if bytes.is_empty() {
            self.transfer();
            return self.block_write();
        }
        self.held.extend(&bytes);
        if !self.is_buffered {
            self.transfer();
        }
        self.idle_calls = 0;
        Poll::Ready(Ok(bytes.len()))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        self.transfer();
        if self.held.is_empty() { Poll::Ready(Ok(())) } else { self.block_write() }
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        assert!(self.held.is_empty() || self.write_failed, "an end before the flush");
        assert!(!self.is_shut, "a second end");
        if self.whim()?.is_none() {
            return self.block_write();
        }
        self.is_shut = true;
        self.outgoing.borrow_mut().is_ended = true;
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}

    fn now(&self) -> Instant {
        self.clock.get()
    }
}
