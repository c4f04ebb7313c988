//! One connection: the transmission control block and the user's calls (RFC 9293 3.3.1, 3.10.1 to 3.10.6).
//!
//! What arrives is handled in `receive` and `ack`, what leaves in `transmit`, what is due in `timers`, and what we allow
//! the peer to send in `window`.

mod ack;
#[cfg(feature = "explore")]
mod canonical;
mod delayed_ack;
mod ecn;
mod host;
mod icmp;
mod info;
mod predict;
mod rare;
mod receive;
mod recovery;
mod refusal;
mod timers;
mod timestamps;
mod transmit;
mod undo;
mod window;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;

use bytes::Bytes;
use drywire_core::{Instant, RecvBuf};

use crate::assembler::Assembler;
use crate::congestion::{Congestion, Controller};
use crate::ip::Ecn;
use crate::recovery::{Flight, Rack};
use crate::rtt::RttEstimator;
use crate::sack::SackReporter;
use crate::send_buffer::SendBuffer;
use crate::{Config, Input, SeqNumber, State};

pub(crate) use ecn::is_setup;
pub(crate) use host::TimeWait;
pub use info::{Counters, Info};
pub(crate) use transmit::Room;

#[cfg(feature = "explore")]
pub use canonical::Sequence;
use ecn::Marking;
use rare::Rare;
pub use refusal::Refusal;

use recovery::Recovery;
use refusal::LastRefusal;
use timers::Timers;
use timestamps::Echo;
use transmit::Reply;

/// What a connection tells its user. Each comes at most once, in this order, but for [`Event::Urgent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is over: bytes flow both ways.
    Established,
    /// The peer has sent urgent data, or more of it (RFC 9293 3.8.5, MUST-32). It stands among the other bytes;
    /// [`Connection::urgent`] tells how far it goes.
    Urgent,
    /// The peer has closed its direction. Every byte before that is in [`Connection::recv`], which is marked finished.
    PeerFinished,
    /// The connection is gone. Bytes that arrived before may still be in [`Connection::recv`].
    Closed(CloseReason),
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// Both directions were closed in order, and the peer has acknowledged every byte.
    Normal,
    /// The peer reset the connection (RFC 9293 3.10.7.4, second step). Bytes may be lost in both directions.
    Reset,
    /// The peer answered our SYN with an RST (RFC 9293 3.10.7.3): nobody listens there.
    Refused,
    /// The peer did not answer until the retry limit was reached (RFC 9293 3.8.3), or all keep-alive probes were
    /// lost on it (3.8.4). Or it did not close its direction for [`Config::fin_wait_2`] after we had closed both.
    TimedOut,
    /// What was queued stayed unacknowledged for [`Config::user_timeout`] (RFC 9293 3.9.1).
    UserTimeout,
    /// The network said that the peer cannot be reached: at once during the handshake, and otherwise when it did not
    /// answer until the retry limit was reached (RFC 9293 3.9.2.2). Or our own address is gone
    /// ([`Stack::remove_address`](crate::Stack::remove_address)).
    Unreachable,
    /// This side gave up: [`Connection::abort`], [`Connection::shutdown`] before there was a connection, or data that
    /// arrived after [`Connection::shutdown_read`].
    Aborted,
}

/// Why bytes were not queued. Each variant gives them back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There are more bytes than [`Connection::send_room`].
    #[error("the send buffer has no room for {} bytes", .0.len())]
    Full(Bytes),
    /// The connection is in LISTEN: there is no peer yet (RFC 9293 3.10.2).
    #[error("there is no peer yet")]
    NotConnected(Bytes),
    /// Our direction is shut down, or the connection is gone (RFC 9293 3.10.2).
    #[error("our direction is closed")]
    Closed(Bytes),
}

/// The segment that [`Connection::poll_transmit`] appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transmit {
    /// Our address and port.
    pub source: SocketAddr,
    /// The peer's address and port.
    pub destination: SocketAddr,
    /// The length of the segment, header included, in bytes.
    pub len: usize,
    /// Set if the payload is longer than the MSS, which happens only with [`Config::segmentation_offload`]: into pieces of
    /// how many bytes it is to be cut. The last may be shorter, and alone has the FIN and PSH bits.
    pub gso_size: Option<u16>,
    /// Set if the checksum field holds the sum of the pseudo-header alone, not complemented, which happens only with
    /// [`Config::checksum_offload`]: whoever sends the segment, or its pieces, adds the rest.
    pub partial_checksum: bool,
    /// What the IP header is to say about congestion notification (RFC 3168 5).
    pub ecn: Ecn,
}

impl Transmit {
    /// What leaves as it is: nothing is to be cut, summed or marked.
    pub(crate) const fn whole(source: SocketAddr, destination: SocketAddr, len: usize) -> Self {
        Self { source, destination, len, gso_size: None, partial_checksum: false, ecn: Ecn::NotEct }
    }
}

/// What [`Stack::poll_transmit_batch`](crate::Stack::poll_transmit_batch) appended: packets of one connection, one behind the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// The first packet. The others are just like it, except that the last may be shorter.
    pub first: Transmit,
    /// The length of all packets together, in bytes.
    pub len: usize,
}

impl Batch {
    /// How many packets there are: at least one.
    pub fn packets(&self) -> usize {
        self.len.div_ceil(self.first.len.max(1))
    }

    /// The packets, one by one; `bytes` are those that were appended.
    pub fn split<'a>(&self, bytes: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        bytes.chunks(self.first.len.max(1))
    }
}

/// One end of a TCP connection, from its open to its close.
///
/// After every call that changes something (a segment, a time-out, a command, bytes taken from
/// [`recv`](Self::recv)), call [`poll_transmit`](Self::poll_transmit) until it returns `None`, then
/// [`poll_event`](Self::poll_event) likewise, then sleep until [`poll_timeout`](Self::poll_timeout) or the next segment.
///
/// Methods may be called in any order; none panics. A `now` that lies before an earlier one counts as that earlier one.
///
/// A connection is a value: it can be cloned to try what would happen, and compared and hashed to explore every state
/// that it can reach. Two that are equal behave alike for ever.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    local: SocketAddr,
    /// Not known in LISTEN.
    remote: Option<SocketAddr>,
    /// Shared by the connections of a listener, as it is a good part of what an idle one takes.
    config: Arc<Config>,
    /// Changes only in [`Connection::step`].
    state: State,
    /// Whether the connection began in LISTEN.
    passive: bool,
    /// The latest time that was seen.
    now: Instant,

    // Send sequence variables (RFC 9293 3.3.1).
    iss: SeqNumber,
    /// The oldest unacknowledged sequence number.
    snd_una: SeqNumber,
    /// The next to send. Goes back to `snd_una` when everything is to be sent again.
    snd_nxt: SeqNumber,
    /// The next that was never sent: acknowledgments up to here are valid.
    snd_max: SeqNumber,
    snd_wnd: u32,
    /// SEG.SEQ and SEG.ACK of the segment that last updated `snd_wnd`.
    snd_wl1: SeqNumber,
    snd_wl2: SeqNumber,
    /// The largest window that the peer ever offered.
    max_snd_wnd: u32,
    snd_mss: u32,
    snd_shift: u8,
    send: SendBuffer,
    /// `shutdown` was called in SYN-RECEIVED, and takes effect in ESTABLISHED (RFC 9293 3.10.4).
    shutdown_queued: bool,
    /// The persist timer went off: something is to be sent into the closed window.
    probe: bool,
    /// The keep-alive timer went off: the peer is to be asked whether it is there.
    keep_alive_due: bool,
    /// The end of the last segment that was not full (Snd.sml of RFC 9293 A.3).
    snd_sml: SeqNumber,
    last_sent: Instant,
    /// When something was last sent again.
    resent_at: Instant,

    // Receive sequence variables (RFC 9293 3.3.1).
    irs: SeqNumber,
    rcv_nxt: SeqNumber,
    /// The right edge of the window that the buffer has room for; moves in steps (RFC 9293 3.8.6.2.2).
    rcv_edge: SeqNumber,
    /// RCV.NXT + RCV.WND: the right-most edge that was ever announced. Never moves back.
    rcv_adv: SeqNumber,
    rcv_shift: u8,
    /// How much the receive buffer may hold. Grows up to the configured capacity, with what the user takes.
    rcv_capacity: u32,
    /// Up to where the user had taken when `rcv_capacity` was last adapted, and when that was.
    taken: (SeqNumber, Instant),
    /// Whether both sides scale their windows.
    scaling: bool,
    /// Whether both sides report by SACK what has arrived out of order.
    sack: bool,
    reporter: SackReporter,
    /// Present if both sides send timestamps.
    echo: Option<Echo>,
    recv: RecvBuf,
    /// The user wants nothing more of what the peer sends.
    recv_shutdown: bool,
    assembler: Assembler,
    /// The sequence number of the peer's FIN, once it is known.
    rcv_fin: Option<SeqNumber>,
    /// RCV.NXT as it was last acknowledged.
    rcv_acked: SeqNumber,
    /// The largest segment that came so far: what the peer takes for a full one.
    rcv_mss: u32,
    /// How many acknowledgments are still sent without delay at the beginning.
    quick_acks: u8,
    /// The last delayed acknowledgment left alone, and since then none left with text.
    waited_in_vain: bool,
    /// When something of the peer was last heard.
    heard: Instant,
    /// An acknowledgment is due, on its own or with data.
    ack_now: bool,
    /// Acknowledgments that are due on their own, because each tells of one segment out of order (RFC 5681 4.2).
    duplicate_acks: u32,
    /// What became of the last segment.
    refusal: LastRefusal,
    challenges: Challenges,
    /// How many more challenge ACKs the host allows, where it has a limit of its own.
    challenge_allowance: u32,
    reply: Option<Box<Reply>>,

    rtt: RttEstimator,
    /// Time-outs in a row without an answer.
    retries: u32,
    /// The network has said since the last answer that the peer is not to be reached.
    unreachable: bool,
    timers: Timers,
    congestion: Congestion,
    /// From `snd_una` to `snd_nxt`.
    flight: Flight,
    rack: Rack,
    recovery: Recovery,
    marking: Marking,
    rare: Option<Box<Rare>>,
    counters: Counters,
    events: Events,
}

/// Events that were not yet polled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Events {
    established: bool,
    urgent: bool,
    peer_finished: bool,
    closed: Option<CloseReason>,
}

/// How many challenge ACKs were sent in the second that began at `since` (RFC 5961 7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Challenges {
    since: Instant,
    sent: u16,
}

impl Connection {
    /// Opens a connection to `remote` (RFC 9293 3.10.1, active): the SYN is ready in [`poll_transmit`](Self::poll_transmit).
    ///
    /// `isn` is the initial sequence number. It must be hard to guess for others and must not repeat soon (RFC 9293
    /// 3.4.1); drawing it is the caller's part.
    ///
    /// Many connections with the same settings may share them: `config` is a [`Config`] or an `Arc` of one.
    pub fn connect(
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        isn: SeqNumber,
        config: impl Into<Arc<Config>>,
    ) -> Self {
        let mut connection = Self::closed(local, isn, Config::shared(config.into()));
        connection.advance_clock(now);
        connection.remote = Some(remote);
        connection.marking = Marking::asking(&connection.config);
        connection.step(Input::ActiveOpen);
        connection
    }

    /// Waits for one connection from any peer (RFC 9293 3.10.1, passive).
    ///
    /// `local` is the address that segments must be sent to: a concrete one, because the checksum covers it.
    pub fn listen(local: SocketAddr, isn: SeqNumber, config: impl Into<Arc<Config>>) -> Self {
        let mut connection = Self::closed(local, isn, Config::shared(config.into()));
        connection.passive = true;
        connection.step(Input::PassiveOpen);
        connection
    }

    fn closed(local: SocketAddr, isn: SeqNumber, config: Arc<Config>) -> Self {
        let mss = u32::from(config.mss_for(local.is_ipv6()));
        Self {
            local,
            remote: None,
            state: State::Closed,
            passive: false,
            now: Instant::ORIGIN,
            iss: isn,
            snd_una: isn,
            snd_nxt: isn,
            snd_max: isn,
            snd_wnd: 0,
            snd_wl1: isn,
            snd_wl2: isn,
            max_snd_wnd: 0,
            snd_mss: mss,
            snd_shift: 0,
            send: SendBuffer::default(),
            shutdown_queued: false,
            probe: false,
            keep_alive_due: false,
            snd_sml: isn,
            last_sent: Instant::ORIGIN,
            resent_at: Instant::ORIGIN,
            irs: SeqNumber::default(),
            rcv_nxt: SeqNumber::default(),
            rcv_edge: SeqNumber::default(),
            rcv_adv: SeqNumber::default(),
            rcv_shift: config.window_shift(),
            rcv_capacity: config.initial_capacity(),
            taken: (SeqNumber::default(), Instant::ORIGIN),
            scaling: false,
            sack: false,
            reporter: SackReporter::default(),
            echo: None,
            recv: RecvBuf::new(),
            recv_shutdown: false,
            assembler: Assembler::new(config.max_out_of_order),
            rcv_fin: None,
            rcv_acked: SeqNumber::default(),
            rcv_mss: 0,
            quick_acks: config.quick_acks,
            waited_in_vain: false,
            heard: Instant::ORIGIN,
            ack_now: false,
            duplicate_acks: 0,
            refusal: LastRefusal::default(),
            challenges: Challenges::default(),
            challenge_allowance: u32::MAX,
            reply: None,
            rtt: RttEstimator::new(&config),
            retries: 0,
            unreachable: false,
            timers: Timers::default(),
            congestion: config.congestion.clone(),
            flight: Flight::default(),
            rack: Rack::new(),
            recovery: Recovery::new(isn),
            marking: Marking::new(),
            rare: None,
            counters: Counters::default(),
            events: Events::default(),
            config,
        }
    }

    /// What has happened since the last call.
    pub fn poll_event(&mut self) -> Option<Event> {
        if core::mem::take(&mut self.events.established) {
            Some(Event::Established)
        } else if core::mem::take(&mut self.events.urgent) {
            Some(Event::Urgent)
        } else if core::mem::take(&mut self.events.peer_finished) {
            Some(Event::PeerFinished)
        } else {
            self.events.closed.take().map(Event::Closed)
        }
    }

    /// Queues `bytes` for sending (RFC 9293 3.10.2), by reference where they are many. They are kept until the peer has
    /// acknowledged them.
    ///
    /// All of them are queued or none: more than [`send_room`](Self::send_room) is [`SendError::Full`], so cut what is
    /// longer than [`Config::send_capacity`]. Before ESTABLISHED they wait for the handshake.
    pub fn send(&mut self, bytes: Bytes) -> Result<(), SendError> {
        match self.state {
            State::Listen => return Err(SendError::NotConnected(bytes)),
            State::SynSent | State::SynReceived | State::Established | State::CloseWait if !self.shutdown_queued => {}
            _ => return Err(SendError::Closed(bytes)),
        }
        if bytes.len() > self.send_room() {
            return Err(SendError::Full(bytes));
        }
        self.send.push(bytes);
        Ok(())
    }

    /// How many bytes [`send`](Self::send) takes before it is [`SendError::Full`].
    pub fn send_room(&self) -> usize {
        self.config.send_capacity.saturating_sub(self.send.len())
    }

    /// How many bytes the peer has not yet acknowledged, those that were not yet sent included.
    pub fn unacknowledged(&self) -> usize {
        self.send.len()
    }

    /// The bytes that have arrived in order, marked finished once the peer has closed its direction and they are all
    /// here (RFC 9293 3.10.3).
    ///
    /// Taking them opens the window; the peer hears of it by the next [`poll_transmit`](Self::poll_transmit).
    pub fn recv(&mut self) -> &mut RecvBuf {
        &mut self.recv
    }

    /// Closes our direction after everything queued (RFC 9293 3.10.4). The peer may go on sending.
    ///
    /// In LISTEN and SYN-SENT the connection is given up without a word; in SYN-RECEIVED the close waits for the end of
    /// the handshake. Later calls do nothing.
    pub fn shutdown(&mut self) {
        match self.state {
            State::Listen | State::SynSent => self.close(Input::Shutdown, CloseReason::Aborted),
            State::SynReceived => self.shutdown_queued = true,
            _ => {
                self.step(Input::Shutdown);
            }
        }
    }

    /// Closes the peer's direction for us: what has arrived is dropped, and so is what arrives. By default more data
    /// is answered with an RST, which ends the connection ([`Config::late_data`]). Our direction stays open, and the peer's
    /// FIN still counts.
    ///
    /// Together with [`shutdown`](Self::shutdown) this is what closing a socket is elsewhere: nobody waits for the peer any
    /// more, so if it does not close, the connection ends after [`Config::fin_wait_2`].
    pub fn shutdown_read(&mut self) {
        self.recv_shutdown = true;
        self.recv.skip(self.recv.len());
        self.bound_fin_wait_2();
    }

    /// Drops the connection at once, with an RST where there is a peer to tell (RFC 9293 3.10.5).
    pub fn abort(&mut self) {
        let tells_peer = matches!(
            self.state,
            State::SynReceived | State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait
        );
        if tells_peer && let Some(to) = self.remote {
            self.reply = Some(Box::new(Reply { to, seq: self.pure_ack_seq(), ack: None }));
        }
        let reason = if self.state == State::TimeWait { CloseReason::Normal } else { CloseReason::Aborted };
        self.close(Input::Abort, reason);
    }

    /// The state that the connection is in.
    pub fn state(&self) -> State {
        self.state
    }

    /// Our address and port.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer's address and port; `None` in LISTEN.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Time that goes backwards is clamped.
    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Moves along the table; returns whether it has a way for `input`. Nothing else changes the state.
    fn step(&mut self, input: Input) -> bool {
        match self.state.on(input) {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }

    /// Moves to CLOSED by `input` and drops everything but what the user has not yet read.
    fn close(&mut self, input: Input, reason: CloseReason) {
        if self.step(input) {
            self.events.closed = Some(reason);
            self.discard();
            self.timers = Timers::default();
        }
    }

    /// Nothing will be sent or reassembled any more.
    fn discard(&mut self) {
        self.send.clear();
        self.assembler.clear();
        (self.ack_now, self.duplicate_acks) = (false, 0);
        (self.probe, self.keep_alive_due) = (false, false);
        self.flight = Flight::default();
    }

    /// The handshake is over.
    fn establish(&mut self, input: Input) {
        if !self.step(input) {
            return;
        }
        self.events.established = true;
        // RFC 6928 2: one segment only where the SYN was lost more than once.
        let segments = if self.retries > 1 { 1 } else { self.config.initial_window };
        self.congestion.start(self.snd_mss, self.snd_mss * u32::from(segments));
        if self.retries > 0 {
            self.rtt.handshake_timed_out();
        }
        self.retries = 0;
        self.start_keep_alive();
        if core::mem::take(&mut self.shutdown_queued) {
            self.step(Input::Shutdown);
        }
        self.deliver();
    }

    /// Back to LISTEN, as if the peer had never called (RFC 9293 3.10.7.4). What was queued for it is dropped.
    fn relisten(&mut self) {
        let Some(state) = self.state.on(Input::Relisten) else { return };
        let fresh = Self::closed(self.local, self.iss, Arc::clone(&self.config));
        let (shutdown, recv_shutdown) = (self.shutdown_queued, self.recv_shutdown);
        *self = Self { state, passive: true, now: self.now, recv_shutdown, ..fresh };
        if shutdown {
            self.shutdown();
        }
    }
}
