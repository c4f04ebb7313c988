//! Small protocols with every demand that a machine can have.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// What a wire needs to know of the machine to judge the driver between them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Mutex<Seen>>);

#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Bytes that the machine has ever queued.
    pub queued: usize,
    /// Whether the machine would read with an empty queue.
    pub reads: bool,
    pub high_water: usize,
    pub timeout: Option<Instant>,
    /// Whether a wire looks, and resets the next field.
    pub judged: bool,
    /// Calls of `poll_event` in a row that gave nothing. The wire resets it when something moves.
    pub idle_polls: u32,
}

impl Probe {
    pub fn get(&self) -> Seen {
        *self.0.lock().unwrap()
    }

    pub fn set(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap());
    }
}

pub trait Toy: StreamMachine<Event = Bytes, Error = Rule> {
    fn probe(&self) -> Probe;
}

/// A broken rule of a toy protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    #[error("a bad line")]
    Bad,
    #[error("the stream ended inside a line")]
    Truncated,
    #[error("no line in time")]
    Idle,
}

#[derive(Clone, Copy, Debug)]
pub struct LinesConfig {
    pub high_water: usize,
    pub idle: Option<Duration>,
}

impl Default for LinesConfig {
    fn default() -> Self {
        Self { high_water: 4096, idle: None }
    }
}

/// Echoes lines, each of which is an event.
///
/// `half` ends the sending direction and goes on reading, `close` ends both, `abort` drops the connection, `bad` is an
/// error with a farewell. While the queue is full it parses nothing: the slow consumer.
#[derive(Debug)]
pub struct Lines {
    send: SendQueue,
    idle: Option<Duration>,
    deadline: Option<Instant>,
    close: Option<Close>,
    failed: Option<Rule>,
    probe: Probe,
}

impl Lines {
    pub fn new(now: Instant, config: LinesConfig) -> Self {
        let probe = Probe::default();
        probe.set(|seen| seen.high_water = config.high_water);
        let deadline = config.idle.map(|idle| now + idle);
        let send = SendQueue::new(config.high_water);
        let machine = Self { send, idle: config.idle, deadline, close: None, failed: None, probe };
        machine.show();
        machine
    }

    /// A command: queues `bytes` unless the queue is full.
    pub fn say(&mut self, bytes: &[u8]) -> bool {
        let room = !self.send.is_full();
        if room {
            self.queue(bytes);
        }
        room
    }

    /// A command: the idle deadline comes this much after `now`.
    pub fn hurry(&mut self, now: Instant, idle: Duration) {
        self.deadline = Some(now + idle);
        self.show();
    }

    pub fn into_transmit(self) -> SendQueue {
        self.send
    }

    fn queue(&mut self, bytes: &[u8]) {
        self.send.extend_from_slice(bytes);
        self.probe.set(|seen| seen.queued += bytes.len());
    }

    fn fail(&mut self, rule: Rule, farewell: &[u8]) {
        self.failed = Some(rule);
        self.deadline = None;
        if self.close.is_none() {
            self.queue(farewell);
        }
        self.close = Some(Close::Both);
        self.show();
    }

    fn show(&self) {
        self.probe.set(|seen| {
            seen.reads = matches!(self.close, None | Some(Close::WriteHalf));
            seen.timeout = self.deadline;
        });
    }
}

impl StreamMachine for Lines {
    type Event = Bytes;
    type Error = Rule;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Rule> {
        if let Some(rule) = self.failed {
            return Err(rule);
        }
        self.probe.set(|seen| seen.idle_polls += 1);
        let seen = self.probe.get();
        assert!(!seen.judged || seen.idle_polls < 12, "the driver spins");
        if self.send.is_full() || matches!(self.close, Some(Close::Both | Close::Abort)) {
            return Ok(None);
        }
        let Some(end) = recv.iter().position(|byte| *byte == b'\n') else {
            if recv.is_finished() {
                self.close = Some(Close::Both);
                self.deadline = None;
                self.show();
            } else if recv.is_end_of_stream() {
                self.fail(Rule::Truncated, b"truncated\n");
                return Err(Rule::Truncated);
            }
            return Ok(None);
        };
        self.probe.set(|seen| seen.idle_polls = 0);
        let line = recv.take(end + 1);
        self.deadline = self.idle.map(|idle| now + idle);
        if &line[..] == b"bad\n" {
            self.fail(Rule::Bad, b"that was bad\n");
            return Err(Rule::Bad);
        }
        if self.close.is_none() {
            self.queue(&line);
        }
        match &line[..] {
            b"half\n" => self.close = Some(Close::WriteHalf),
            b"close\n" => self.close = Some(Close::Both),
            b"abort\n" => self.close = Some(Close::Abort),
            _ => {}
        }
        if matches!(self.close, Some(Close::Both | Close::Abort)) {
            self.deadline = None;
        }
        self.show();
        Ok(Some(line.slice(..end)))
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.fail(Rule::Idle, b"timeout\n");
        }
    }

    fn demand(&self) -> Demand {
        let read = self.probe.get().reads && !self.send.is_full();
        let close = self.close.filter(|close| *close == Close::Abort || self.send.is_empty());
        Demand { read, close }
    }
}

impl Toy for Lines {
    fn probe(&self) -> Probe {
        self.probe.clone()
    }
}

/// Sends a tick every period and closes after so many. Ignores what it receives.
#[derive(Debug)]
pub struct Ticker {
    send: SendQueue,
    period: Duration,
    due: Option<Instant>,
    left: u32,
    untold: u32,
    probe: Probe,
}

impl Ticker {
    pub fn new(now: Instant, period: Duration, ticks: u32) -> Self {
        let probe = Probe::default();
        probe.set(|seen| *seen = Seen { high_water: 4096, reads: true, timeout: Some(now + period), ..*seen });
        Self { send: SendQueue::new(4096), period, due: Some(now + period), left: ticks, untold: 0, probe }
    }
}

impl StreamMachine for Ticker {
    type Event = Bytes;
    type Error = Rule;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Rule> {
        recv.skip(recv.len());
        if self.untold == 0 {
            return Ok(None);
        }
        self.untold -= 1;
        Ok(Some(Bytes::from_static(b"tick")))
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.due.filter(|due| *due <= now) {
            self.send.extend_from_slice(b"tick\n");
            self.probe.set(|seen| seen.queued += 5);
            self.untold += 1;
            self.left -= 1;
            self.due = (self.left > 0).then_some(due + self.period);
        }
        self.probe.set(|seen| {
            seen.reads = self.due.is_some();
            seen.timeout = self.due;
        });
    }

    fn demand(&self) -> Demand {
        let done = self.due.is_none() && self.untold == 0;
        Demand { read: self.due.is_some(), close: (done && self.send.is_empty()).then_some(Close::Both) }
    }
}

impl Toy for Ticker {
    fn probe(&self) -> Probe {
        self.probe.clone()
    }
}

/// Fails at the first byte, takes nothing, never demands a close, and may wait for the peer and the clock.
#[derive(Debug)]
pub struct Stubborn {
    waits: bool,
    send: SendQueue,
    later: Instant,
    failed: bool,
}

impl Stubborn {
    pub fn new(now: Instant, waits: bool) -> Self {
        Self { waits, send: SendQueue::new(1), later: now + Duration::from_secs(3600), failed: false }
    }
}

impl StreamMachine for Stubborn {
    type Event = Bytes;
    type Error = Rule;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Rule> {
        self.failed |= !recv.is_empty();
        if self.failed { Err(Rule::Bad) } else { Ok(None) }
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.waits.then_some(self.later)
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn demand(&self) -> Demand {
        Demand { read: self.waits || !self.failed, close: None }
    }
}

impl Toy for Stubborn {
    /// Nothing to judge by.
    fn probe(&self) -> Probe {
        Probe::default()
    }
}

/// Ends its own direction at once, waits for the peer's end by itself, and gives up on it after a while.
#[derive(Debug)]
pub struct Patient {
    send: SendQueue,
    until: Instant,
    over: bool,
}

impl Patient {
    pub fn new(now: Instant, patience: Duration) -> Self {
        Self { send: SendQueue::new(1), until: now + patience, over: false }
    }
}

impl StreamMachine for Patient {
    type Event = Bytes;
    type Error = Rule;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Rule> {
        self.over |= recv.is_end_of_stream();
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (!self.over).then_some(self.until)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.over |= now >= self.until;
    }

    fn demand(&self) -> Demand {
        Demand { read: !self.over, close: Some(if self.over { Close::Both } else { Close::WriteHalf }) }
    }
}

impl Toy for Patient {
    /// Nothing to judge by.
    fn probe(&self) -> Probe {
        Probe::default()
    }
}
