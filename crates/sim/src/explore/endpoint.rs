//! One end: the real connection with an application, and what must hold at each of its steps.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};

use drywire_core::{Bytes, BytesMut, Instant};
use drywire_tcp::ip::Ecn;
use drywire_tcp::{CloseReason, Config, Connection, Event, Flags, Header, Input, Segment, SeqNumber, State};

use super::property::{Property, Violation, require};
use crate::Side;

/// The time at which everything happens. Only a timer moves the clock, and is then moved back.
const NOW: Instant = Instant::from_secs(1_000_000);

/// How many segments may leave in answer to one input.
pub(super) const MAX_ANSWERS: usize = 4;

/// A segment on its way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    pub(super) header: Header,
    pub(super) ecn: Ecn,
    pub(super) payload: Vec<u8>,
}

impl Wire {
    pub(super) fn is_reset(&self) -> bool {
        self.header.flags.contains(Flags::RST)
    }
}

/// What can happen to one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stimulus<'a> {
    Segment(&'a Wire),
    /// The same, marked as having met congestion.
    Marked(&'a Wire),
    Timer,
    Send,
    Read,
    Shutdown,
    Abort,
}

/// One end of the connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    connection: Connection,
    pub(super) side: Side,
    /// Whether the application reads everything as soon as it arrives, and not only when told to.
    reads_at_once: bool,
    /// How many bytes TCP took from the application.
    pub(super) sent: u8,
    /// Whether the application has closed its direction.
    pub(super) shut: bool,
    /// How many bytes the application has read.
    read: u8,
    /// How many bytes have arrived, read or not.
    pub(super) arrived: u8,
    /// Whether the peer's direction has ended.
    pub(super) ended: bool,
    pub(super) closed: Option<CloseReason>,
    /// Whether the application aborted what was not yet closed.
    aborted: bool,
    /// Whether this side ever answered the SYN of an earlier incarnation, as it cannot know better.
    pub(super) deceived: bool,
    /// The right edge of the window that was announced, as seen on the wire.
    edge: Option<SeqNumber>,
}

/// What came of a stimulus.
pub(super) struct Effect {
    pub(super) next: Endpoint,
    pub(super) sent: Vec<Wire>,
}

pub(super) const fn address(side: Side) -> SocketAddr {
    match side {
        Side::A => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 49152),
        Side::B => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 80),
    }
}

/// Initial sequence numbers at which the numbers wrap within the first bytes.
pub(super) const fn isn(side: Side) -> SeqNumber {
    match side {
        Side::A => SeqNumber::new(u32::MAX),
        Side::B => SeqNumber::new(u32::MAX - 1),
    }
}

/// The value of the timestamps that `side` sends (RFC 7323 5.4). As time stands still, so does it.
pub(super) const fn clock(side: Side) -> u32 {
    (NOW.as_millis() as u32).wrapping_add(isn(side).value())
}

pub(super) const fn other(side: Side) -> Side {
    match side {
        Side::A => Side::B,
        Side::B => Side::A,
    }
}

/// The byte at `offset` of what `side` sends.
fn byte_at(side: Side, offset: u8) -> u8 {
    let first = match side {
        Side::A => b'a',
        Side::B => b'A',
    };
    first + offset
}

impl Endpoint {
    /// An end that listens or connects, and what it sends at once.
    pub(super) fn open(side: Side, listens: bool, reads_at_once: bool, config: &Config) -> Result<Effect, Violation> {
        let (local, remote) = (address(side), address(other(side)));
        let connection = if listens {
            Connection::listen(local, isn(side), config.clone())
        } else {
            Connection::connect(NOW, local, remote, isn(side), config.clone())
        };
        let mut next = Self {
            connection,
            side,
            reads_at_once,
            sent: 0,
            shut: false,
            read: 0,
            arrived: 0,
            ended: false,
            closed: None,
            aborted: false,
            deceived: false,
            edge: None,
        };
        let sent = next.settle()?;
        Ok(Effect { next, sent })
    }

    pub(super) fn state(&self) -> State {
        self.connection.state()
    }

    pub(super) fn has_timer(&self) -> bool {
        self.connection.poll_timeout().is_some()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.connection.unacknowledged()
    }

    pub(super) fn irs(&self) -> SeqNumber {
        self.connection.sequence().irs
    }

    /// Whether this side gave the connection up, so that the peer may be refused, reset or left alone. (An abort in
    /// TIME-WAIT is told as a normal end, but the peer may still need what TIME-WAIT is for.)
    pub(super) fn gave_up(&self) -> bool {
        let by_peer = [CloseReason::Normal, CloseReason::Reset, CloseReason::Refused];
        self.aborted || self.closed.is_some_and(|reason| !by_peer.contains(&reason))
    }

    /// What `stimulus` does, or `None` if it is nothing.
    pub(super) fn on(&self, stimulus: Stimulus<'_>) -> Result<Option<Effect>, Violation> {
        let mut next = self.clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            next.take(stimulus)?;
            next.forget_peer();
            next.settle()
        }));
        let sent = match outcome {
            Ok(sent) => sent?,
            Err(panic) => {
                let message = panic.downcast_ref::<String>().map(String::as_str);
                let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("of no text");
                return Err(Violation::new(Property::NoPanic, format!("{}: {message}", self.side)));
            }
        };
        self.check_step(&next, stimulus)?;
        Ok((next != *self || !sent.is_empty()).then_some(Effect { next, sent }))
    }

    fn take(&mut self, stimulus: Stimulus<'_>) -> Result<(), Violation> {
        match stimulus {
            Stimulus::Segment(wire) | Stimulus::Marked(wire) => {
                let marked = matches!(stimulus, Stimulus::Marked(_));
                let ecn = if marked { Ecn::Ce } else { wire.ecn };
                let segment = Segment { header: wire.header, payload: &wire.payload };
                self.connection.handle_marked_segment(NOW, address(other(self.side)).ip(), ecn, &segment);
            }
            Stimulus::Timer => {
                if let Some(at) = self.connection.poll_timeout() {
                    self.connection.handle_timeout(at);
                    let moved = self.connection.poll_timeout().is_none_or(|next| next > at);
                    require(moved, Property::DeadlinesMove, || format!("{} is due again at once", self.side))?;
                }
            }
            Stimulus::Send => {
                let byte = Bytes::from(vec![byte_at(self.side, self.sent)]);
                self.sent += u8::from(self.connection.send(byte).is_ok());
            }
            Stimulus::Read => self.read_all(),
            Stimulus::Shutdown => {
                self.connection.shutdown();
                self.shut = true;
            }
            Stimulus::Abort => {
                self.connection.abort();
                self.aborted |= self.closed.is_none();
            }
        }
        self.deceived |= self.state() == State::SynReceived && self.irs() != isn(other(self.side));
        self.connection.forget_time(NOW);
        Ok(())
    }

    /// Takes what is due to leave and to be told, until there is nothing more.
    fn settle(&mut self) -> Result<Vec<Wire>, Violation> {
        let mut sent = Vec::new();
        self.transmit(&mut sent)?;
        while let Some(event) = self.connection.poll_event() {
            if let Event::Closed(reason) = event {
                let first = self.closed.replace(reason).is_none();
                require(first, Property::Reported, || format!("{} was told twice of its end", self.side))?;
            }
        }
        self.receive()?;
        if self.reads_at_once {
            self.read_all();
            // What was read may have opened the window.
            self.transmit(&mut sent)?;
        }
        self.connection.forget_time(NOW);
        Ok(sent)
    }

    fn transmit(&mut self, sent: &mut Vec<Wire>) -> Result<(), Violation> {
        let mut out = BytesMut::new();
        while let Some(transmit) = self.connection.poll_transmit(NOW, &mut out) {
            let bytes = out.split();
            let (source, destination) = (transmit.source.ip(), transmit.destination.ip());
            let Ok(Segment { header, payload }) = Segment::parse(&bytes, source, destination) else {
                return Err(Violation::new(Property::NoPanic, format!("{} sends what is no segment", self.side)));
            };
            self.announce(&header)?;
            sent.push(Wire { header, ecn: transmit.ecn, payload: payload.to_vec() });
            require(sent.len() <= MAX_ANSWERS, Property::ShortAnswers, || {
                format!("{} answers by more than {MAX_ANSWERS} segments", self.side)
            })?;
        }
        Ok(())
    }

    /// Windows are not scaled here, as buffers are small.
    fn announce(&mut self, header: &Header) -> Result<(), Violation> {
        if header.flags.contains(Flags::ACK) && !header.flags.contains(Flags::RST) {
            let edge = header.ack + u32::from(header.window);
            let stays = self.edge.is_none_or(|before| before.at_or_before(edge));
            require(stays, Property::WindowEdge, || {
                format!("{} takes back {} of its window", self.side, self.edge.unwrap_or(edge).since(edge))
            })?;
            self.edge = Some(edge);
        }
        Ok(())
    }

    /// Compares what has arrived with what the peer sends.
    fn receive(&mut self) -> Result<(), Violation> {
        let recv = self.connection.recv();
        let peer = other(self.side);
        let right = recv.iter().zip(self.read..).all(|(byte, offset)| *byte == byte_at(peer, offset));
        self.arrived = self.read + recv.len() as u8;
        self.ended = recv.is_end_of_stream();
        require(right, Property::Prefix, || format!("{} has got {:?}", self.side, Bytes::copy_from_slice(recv)))
    }

    fn read_all(&mut self) {
        let recv = self.connection.recv();
        self.read += recv.len() as u8;
        recv.skip(recv.len());
    }

    /// What must hold between a state and the next.
    fn check_step(&self, next: &Self, stimulus: Stimulus<'_>) -> Result<(), Violation> {
        let (from, to) = (self.state(), next.state());
        let side = self.side;
        require(is_way(from, to, &reasons(self, stimulus), 4), Property::EdgesOfTheDiagram, || {
            format!("{side} went from {from} to {to}, for which this is no reason")
        })?;
        require((to == State::Closed) == next.closed.is_some(), Property::Reported, || {
            format!("{side} is in {to} and was told {:?}", next.closed)
        })?;
        let (before, after) = (self.connection.sequence(), next.connection.sequence());
        let ordered = after.snd_una.at_or_before(after.snd_nxt) && after.snd_nxt.at_or_before(after.snd_max);
        require(ordered, Property::SendSequence, || format!("{side} has {after:?}"))?;
        if to == State::Listen || (from, to) == (State::SynReceived, State::Closed) {
            // All over again, as if nothing had been; or over, by a shutdown that was queued, on the way through LISTEN.
            return Ok(());
        }
        let grows = before.snd_una.at_or_before(after.snd_una) && before.snd_max.at_or_before(after.snd_max);
        require(grows, Property::SendSequence, || format!("{side} had {before:?}, has {after:?}"))?;
        let known = !matches!(from, State::Closed | State::Listen | State::SynSent);
        require(!known || before.rcv_nxt.at_or_before(after.rcv_nxt), Property::ReceiveSequence, || {
            format!("{side} had {before:?}, has {after:?}")
        })
    }

    /// Back in LISTEN, what was queued and announced counts no more (RFC 9293 3.10.7.4).
    fn forget_peer(&mut self) {
        if self.state() == State::Listen {
            (self.sent, self.edge) = (0, None);
        }
    }
}

/// The inputs of the table for which `stimulus` is a reason.
fn reasons(end: &Endpoint, stimulus: Stimulus<'_>) -> Vec<Input> {
    let wire = match stimulus {
        Stimulus::Segment(wire) | Stimulus::Marked(wire) => wire,
        Stimulus::Timer => return vec![Input::GiveUp, Input::TimeWaitOver],
        Stimulus::Send | Stimulus::Read => return vec![],
        Stimulus::Shutdown => return vec![Input::Shutdown],
        Stimulus::Abort => return vec![Input::Abort],
    };
    let flags = wire.header.flags;
    let mut inputs = vec![];
    if flags.contains(Flags::RST) {
        inputs.extend([Input::Reset, Input::Relisten]);
    } else {
        if flags.contains(Flags::SYN) {
            inputs.extend([Input::Syn, Input::SynAck, Input::Relisten]);
        }
        if flags.contains(Flags::ACK) {
            inputs.extend([Input::AckOfSyn, Input::AckOfFin]);
        }
        // Text can close the gap before a FIN that is already here.
        if flags.contains(Flags::FIN) || !wire.payload.is_empty() {
            inputs.push(Input::Fin);
        }
    }
    if end.shut {
        // It waited for the end of the handshake.
        inputs.push(Input::Shutdown);
    }
    inputs
}

/// Whether the table leads from one state to the other by at most `steps` of these inputs.
fn is_way(from: State, to: State, inputs: &[Input], steps: u32) -> bool {
    from == to
        || (steps > 0
            && inputs.iter().filter_map(|input| from.on(*input)).any(|via| is_way(via, to, inputs, steps - 1)))
}
