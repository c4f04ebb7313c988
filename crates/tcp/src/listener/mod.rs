//! Passive open for many: the SYN queue, the bound of the accept queue, and SYN cookies (RFC 4987).

mod cookies;
mod syn_queue;

use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bytes::BytesMut;
use drywire_core::{Instant, Rng, Seed};

use cookies::Cookies;
use syn_queue::{Entry, SynQueue, discard_output};

use crate::four_tuple::FourTuple;
use crate::ip::Ecn;
use crate::outbox::Outbox;
use crate::siphash::SipKey;
use crate::slab::Key;
use crate::{
    Config, Connection, Flags, Header, IcmpError, IsnGenerator, Options, Segment, SeqNumber, State, Timestamps,
    Transmit,
};

/// The settings of a [`Listener`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// How many handshakes may be under way, each some 200 bytes. Default 1024. How often each sends its SYN-ACK again is
    /// [`Config::syn_ack_retries`].
    pub syn_queue: usize,
    /// How many connections may wait for the application. While so many do, SYNs are dropped, and so are the last
    /// acknowledgments of handshakes, which the peer's data or our SYN-ACK brings again. Default 128, at least 1.
    pub backlog: usize,
    /// Whether SYNs that find the queue full are answered with cookies instead of being dropped. Default true.
    pub syn_cookies: bool,
    /// How many answers may wait to leave; what does not fit is dropped. Default 256.
    pub max_replies: usize,
    /// How many challenge ACKs a second may leave (RFC 5961 7). Default 100.
    pub challenge_acks: u32,
    /// The settings of the connections.
    pub connection: Config,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            syn_queue: 1024,
            backlog: 128,
            syn_cookies: true,
            max_replies: 256,
            challenge_acks: 100,
            connection: Config::default(),
        }
    }
}

/// What a [`Listener`] has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerStatistics {
    /// SYNs that were answered and remembered in the SYN queue.
    pub syns_queued: u64,
    /// SYNs that were answered by a cookie, as the queue was full.
    pub cookies_sent: u64,
    /// SYNs that were dropped, as the SYN queue was full and cookies are off.
    pub syn_queue_full: u64,
    /// SYNs and last acknowledgments that were dropped, as the accept queue was full.
    pub accept_queue_full: u64,
    /// SYN-ACKs that were sent again because nothing came.
    pub syn_acks_repeated: u64,
    /// Handshakes that were given up after the last repetition.
    pub timed_out: u64,
    /// Handshakes that the peer ended by an RST, or began anew with another SYN.
    pub reset: u64,
    /// Handshakes that an ICMP error ended.
    pub unreachable: u64,
    /// Connections by the SYN queue.
    pub established: u64,
    /// Connections by a cookie.
    pub cookies_accepted: u64,
    /// Acknowledgments that belong to no handshake, and bring no good cookie. They were answered with an RST.
    pub strays: u64,
    /// Answers that were dropped, as too many were waiting to leave.
    pub replies_dropped: u64,
}

/// Waits at one port for any number of connections (RFC 9293 3.10.1, passive).
///
/// A SYN is answered from an entry in the SYN queue that holds no buffers; when the handshake is over
/// [`handle_segment`](Self::handle_segment) returns the connection, and from then on its segments are the caller's to
/// hand to it. Until the application has taken it ([`taken`](Self::taken)) it counts against the backlog.
///
/// Where the SYN queue is full, SYNs are answered with cookies: nothing is remembered, and the connection is made from
/// what its first acknowledgment brings back. MSS survives that rounded down; window scale, SACK and ECN only if the
/// peer sends timestamps.
///
/// ```
/// use drywire_core::{BytesMut, Instant, Seed};
/// use drywire_tcp::{Config, Connection, Listener, ListenerConfig, Segment, SeqNumber, State};
/// use std::net::SocketAddr;
///
/// let (a, b): (SocketAddr, SocketAddr) = ("192.0.2.1:49152".parse()?, "192.0.2.2:80".parse()?);
/// let now = Instant::ORIGIN;
/// let mut listener = Listener::new(b, ListenerConfig::default(), &Seed::from(1));
/// let mut client = Connection::connect(now, a, b, SeqNumber::new(100), Config::default());
///
/// let mut wire = BytesMut::new();
/// client.poll_transmit(now, &mut wire);
/// let syn = Segment::parse(&wire, a.ip(), b.ip())?;
/// assert!(listener.handle_segment(now, b.ip(), a.ip(), &syn).is_none());
///
/// let mut wire = BytesMut::new();
/// listener.poll_transmit(now, &mut wire);
/// client.handle_segment(now, b.ip(), &Segment::parse(&wire, b.ip(), a.ip())?);
///
/// let mut wire = BytesMut::new();
/// client.poll_transmit(now, &mut wire);
/// let ack = Segment::parse(&wire, a.ip(), b.ip())?;
/// let server = listener.handle_segment(now, b.ip(), a.ip(), &ack).unwrap();
/// assert_eq!(server.state(), State::Established);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    local: SocketAddr,
    config: ListenerConfig,
    /// Of all its connections.
    shared: Arc<Config>,
    isn: IsnGenerator,
    cookies: Cookies,
    queue: SynQueue,
    outbox: Outbox,
    /// Connections that were returned and not yet taken.
    waiting: usize,
    /// When a cookie was sent last: until some time after that, an acknowledgment may bring one back.
    last_cookie: Option<Instant>,
    challenges: ChallengeLimit,
    statistics: ListenerStatistics,
    now: Instant,
}

/// How many challenge ACKs may still leave in this second (RFC 5961 7).
#[derive(Clone, Debug, Default)]
pub(crate) struct ChallengeLimit {
    since: Instant,
    pub(crate) left: u32,
    begun: bool,
}

impl ChallengeLimit {
    /// Whether the last second is over.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        !self.begun || now - self.since >= Duration::from_secs(1)
    }

    /// Begins a new second if the last one is over.
    pub(crate) fn refill(&mut self, now: Instant, limit: u32) {
        if self.is_over(now) {
            *self = Self { since: now, left: limit, begun: true };
        }
    }
}

impl Listener {
    /// Waits at `local`. If its address is unspecified (`0.0.0.0` or `[::]`), any address of that family is meant.
    ///
    /// From `secret` come the initial sequence numbers and the key of the cookies.
    pub fn new(local: SocketAddr, config: ListenerConfig, secret: &Seed) -> Self {
        let mut rng = Rng::new(secret);
        Self {
            local,
            isn: IsnGenerator::new(&rng.split()),
            cookies: Cookies::new(&rng.split()),
            queue: SynQueue::new(SipKey::draw(&mut rng)),
            outbox: Outbox::new(config.max_replies),
            waiting: 0,
            shared: Config::shared(Arc::new(config.connection.clone())),
            last_cookie: None,
            challenges: ChallengeLimit::default(),
            statistics: ListenerStatistics::default(),
            now: Instant::ORIGIN,
            config: ListenerConfig { backlog: config.backlog.max(1), ..config },
        }
    }

    /// Takes initial sequence numbers from a generator that others share.
    pub(crate) fn with_isn(mut self, isn: IsnGenerator) -> Self {
        self.isn = isn;
        self
    }

    /// Handles a segment from `source` to `destination`, which is one of our addresses, that belongs to no connection.
    ///
    /// Returns the connection if that is what the segment completes. It has seen the segment already.
    pub fn handle_segment(
        &mut self,
        now: Instant,
        destination: IpAddr,
        source: IpAddr,
        segment: &Segment<'_>,
    ) -> Option<Connection> {
        self.handle_marked_segment(now, destination, source, Ecn::NotEct, segment)
    }

    /// The same for a segment whose IP header says `ecn` about congestion notification; see
    /// [`Connection::handle_marked_segment`].
    pub fn handle_marked_segment(
        &mut self,
        now: Instant,
        destination: IpAddr,
        source: IpAddr,
        ecn: Ecn,
        segment: &Segment<'_>,
    ) -> Option<Connection> {
        self.handle_reopening(now, destination, source, ecn, segment, None)
    }

    /// The same, for a SYN that ends an old connection's TIME-WAIT: the new one begins behind `old_snd_nxt`.
    pub(crate) fn handle_reopening(
        &mut self,
        now: Instant,
        destination: IpAddr,
        source: IpAddr,
        ecn: Ecn,
        segment: &Segment<'_>,
        old_snd_nxt: Option<SeqNumber>,
    ) -> Option<Connection> {
        self.now = self.now.max(now);
        let header = &segment.header;
        let is_ours = self.local.port() == header.destination_port
            && self.local.is_ipv4() == destination.is_ipv4()
            && (self.local.ip() == destination || self.local.ip().is_unspecified());
        if !is_ours {
            return None;
        }
        let tuple = FourTuple::new(
            SocketAddr::new(destination, header.destination_port),
            SocketAddr::new(source, header.source_port),
        );
        match self.queue.find(&tuple) {
            Some(key) => self.on_known(key, tuple, ecn, segment),
            None => self.on_unknown(tuple, ecn, segment, old_snd_nxt),
        }
    }

    /// LISTEN (RFC 9293 3.10.7.2).
    fn on_unknown(
        &mut self,
        tuple: FourTuple,
        ecn: Ecn,
        segment: &Segment<'_>,
        old_snd_nxt: Option<SeqNumber>,
    ) -> Option<Connection> {
        let flags = segment.header.flags;
        if flags.contains(Flags::RST) {
            return None;
        }
        if flags.contains(Flags::ACK) {
            return self.on_acknowledgment(tuple, ecn, segment);
        }
        if flags.contains(Flags::SYN) {
            self.on_syn(tuple, &segment.header, old_snd_nxt);
        }
        None
    }

    fn on_syn(&mut self, tuple: FourTuple, syn: &Header, old_snd_nxt: Option<SeqNumber>) {
        if self.waiting >= self.config.backlog {
            self.statistics.accept_queue_full += 1;
        } else if self.queue.len() < self.config.syn_queue {
            let mut iss = self.isn.isn(self.now, tuple.local(), tuple.remote());
            if let Some(old) = old_snd_nxt.filter(|old| !iss.after(*old)) {
                // RFC 9293 3.10.7.4, fourth step: larger than any that the old connection used.
                iss = old + (u32::from(u16::MAX) + 2);
            }
            let entry = Entry::new(self.now, tuple, iss, syn);
            let mut connection = entry.open(&self.shared);
            if connection.state() != State::SynReceived {
                return;
            }
            self.send_all(&mut connection);
            self.queue.insert(entry, connection.poll_timeout());
            self.statistics.syns_queued += 1;
        } else if self.config.syn_cookies {
            self.send_cookie(tuple, syn);
        } else {
            self.statistics.syn_queue_full += 1;
        }
    }

    /// A segment of a handshake that is under way: the connection that would be there decides.
    fn on_known(&mut self, key: Key, tuple: FourTuple, ecn: Ecn, segment: &Segment<'_>) -> Option<Connection> {
        let entry = self.queue.get_mut(key)?;
        entry.heed_ecn(&segment.header);
        let mut connection = entry.replay(&self.shared);
        self.challenges.refill(self.now, self.config.challenge_acks);
        *connection.challenge_allowance() = self.challenges.left;
        connection.handle_marked_segment(self.now, tuple.remote().ip(), ecn, segment);
        self.challenges.left = *connection.challenge_allowance();
        match connection.state() {
            State::SynReceived => {
                self.send_all(&mut connection);
                None
            }
            State::Listen | State::Closed => {
                self.queue.remove(key);
                self.statistics.reset += 1;
                self.send_all(&mut connection);
                // The first SYN may have been an old one; this one is as good as any.
                self.on_unknown(tuple, ecn, segment, None)
            }
            _ if self.waiting >= self.config.backlog => {
                self.statistics.accept_queue_full += 1;
                None
            }
            _ => {
                self.queue.remove(key);
                self.statistics.established += 1;
                Some(self.hand_over(connection))
            }
        }
    }

    /// An acknowledgment without a handshake: it may bring a cookie back.
    fn on_acknowledgment(&mut self, tuple: FourTuple, ecn: Ecn, segment: &Segment<'_>) -> Option<Connection> {
        let header = &segment.header;
        let (irs, cookie) = (header.seq - 1, header.ack - 1);
        let mss = self
            .last_cookie
            .filter(|_| !header.flags.contains(Flags::SYN))
            .filter(|last| self.now - *last <= Duration::from_secs(Cookies::MAX_AGE))
            .and_then(|_| self.cookies.check(self.now, &tuple, irs, cookie));
        let Some(mss) = mss else {
            self.statistics.strays += 1;
            self.push(|out| Some(reset(&tuple, segment)?.emit_alone(&tuple, out)));
            return None;
        };
        if self.waiting >= self.config.backlog {
            self.statistics.accept_queue_full += 1;
            return None;
        }
        let mut syn = Header { seq: irs, flags: Flags::SYN, options: Options::default(), ..*header };
        syn.options.mss = Some(mss);
        if let Some(timestamps) = header.options.timestamps {
            syn.options.timestamps = Some(Timestamps { value: timestamps.value, echo: 0 });
            cookies::decode(timestamps.echo, &mut syn);
        }
        let mut connection = Entry::new(self.now, tuple, cookie, &syn).open(&self.shared);
        discard_output(&mut connection, self.now);
        connection.forget_timing();
        connection.handle_marked_segment(self.now, tuple.remote().ip(), ecn, segment);
        if !connection.state().is_synchronized() {
            return None;
        }
        self.statistics.cookies_accepted += 1;
        Some(self.hand_over(connection))
    }

    /// Answers a SYN and forgets it.
    fn send_cookie(&mut self, tuple: FourTuple, syn: &Header) {
        let default = if tuple.local().is_ipv6() { 1220 } else { 536 };
        let announced = syn.options.mss.unwrap_or(default);
        let (cookie, mss) = self.cookies.make(self.now, &tuple, syn.seq, announced);
        // Only what can be remembered is agreed on: without timestamps that is the MSS.
        let remembers = syn.options.timestamps.is_some() && self.shared.timestamps;
        let options = if remembers { syn.options } else { Options::default() };
        let flags = if remembers { syn.flags } else { Flags::SYN };
        let syn = Header { flags, options: Options { mss: Some(mss), ..options }, ..*syn };
        let mut connection = Entry::new(self.now, tuple, cookie, &syn).open(&self.shared);
        let mut scratch = BytesMut::new();
        let Some(_) = connection.poll_transmit(self.now, &mut scratch) else { return };
        let (source, destination) = (tuple.local().ip(), tuple.remote().ip());
        let Ok(Segment { mut header, .. }) = Segment::parse(&scratch, source, destination) else { return };
        if let Some(timestamps) = &mut header.options.timestamps {
            timestamps.value = cookies::encode(timestamps.value, &syn);
        }
        if self.push(|out| Some(header.emit_alone(&tuple, out))) {
            self.statistics.cookies_sent += 1;
            self.last_cookie = Some(self.now);
        }
    }

    fn hand_over(&mut self, connection: Connection) -> Connection {
        self.waiting += 1;
        connection
    }

    /// Handles an ICMP error about a SYN-ACK from `local` to `remote`. Returns whether such a handshake is under way.
    ///
    /// As in SYN-RECEIVED, only an error about our own sequence number counts (RFC 5927 4.1), and a hard one ends the
    /// handshake (RFC 9293 3.9.2.2).
    pub fn handle_icmp(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, error: IcmpError) -> bool {
        self.now = self.now.max(now);
        let Some(key) = self.queue.find(&FourTuple::new(local, remote)) else { return false };
        let Some(mut connection) = self.queue.get(key).map(|entry| entry.replay(&self.shared)) else { return false };
        connection.handle_icmp(self.now, error);
        if connection.state() != State::SynReceived {
            self.queue.remove(key);
            self.statistics.unreachable += 1;
        }
        true
    }

    /// Forgets the handshakes of an address that is gone.
    pub(crate) fn forget_address(&mut self, address: IpAddr) {
        self.queue.retain(|tuple| tuple.local().ip() != address);
    }

    /// The application has taken one of the connections that were returned: its place in the accept queue is free.
    pub fn taken(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Appends the next segment that is due to `out`. `None`, with nothing appended, if none is due.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit> {
        self.now = self.now.max(now);
        self.outbox.pop(out)
    }

    /// The next instant at which [`handle_timeout`](Self::handle_timeout) has work.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.next_deadline()
    }

    /// Sends SYN-ACKs again, and drops the entries whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(key) = self.queue.pop_due(self.now) {
            self.on_timeout(key);
        }
    }

    fn on_timeout(&mut self, key: Key) {
        let Some(mut entry) = self.queue.get(key).copied() else { return };
        let mut connection = entry.replay(&self.shared);
        // Where the caller comes late, several repetitions may be over; one is sent.
        while let Some(at) = connection.poll_timeout().filter(|at| *at <= self.now) {
            connection.handle_timeout(at);
            if connection.state() != State::SynReceived {
                self.queue.remove(key);
                self.statistics.timed_out += 1;
                return;
            }
            entry.retries = entry.retries.saturating_add(1);
            let mut scratch = BytesMut::new();
            let Some(transmit) = connection.poll_transmit(at, &mut scratch) else { continue };
            if connection.poll_timeout().is_none_or(|next| next > self.now) {
                self.statistics.syn_acks_repeated += 1;
                self.push(|out| {
                    out.extend_from_slice(&scratch);
                    Some(transmit)
                });
            }
        }
        if let Some(kept) = self.queue.get_mut(key) {
            *kept = entry;
        }
        self.queue.set_deadline(key, connection.poll_timeout());
    }

    fn send_all(&mut self, connection: &mut Connection) {
        let now = self.now;
        let mut sent = true;
        while sent {
            let mut any = false;
            sent = self.push(|out| connection.poll_transmit(now, out).inspect(|_| any = true)) && any;
        }
    }

    /// Returns whether there was room.
    fn push(&mut self, write: impl FnOnce(&mut BytesMut) -> Option<Transmit>) -> bool {
        let room = self.outbox.push(write);
        if !room {
            self.statistics.replies_dropped += 1;
        }
        room
    }

    /// Where the listener waits.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether its connections use timestamps with peers that do.
    pub(crate) fn uses_timestamps(&self) -> bool {
        self.shared.timestamps
    }

    /// How many handshakes are under way.
    pub fn handshakes(&self) -> usize {
        self.queue.len()
    }

    /// How many connections were returned and not yet [taken](Self::taken).
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// What was counted.
    pub fn statistics(&self) -> &ListenerStatistics {
        &self.statistics
    }
}

/// The RST that answers a segment for which there is no connection; none for an RST (RFC 9293 3.10.7.1).
pub(crate) fn reset(tuple: &FourTuple, segment: &Segment<'_>) -> Option<Header> {
    let header = &segment.header;
    let ports =
        Header { source_port: tuple.local().port(), destination_port: tuple.remote().port(), ..Header::default() };
    if header.flags.contains(Flags::RST) {
        None
    } else if header.flags.contains(Flags::ACK) {
        Some(Header { seq: header.ack, flags: Flags::RST, ..ports })
    } else {
        let ack = header.seq + segment.sequence_len();
        Some(Header { ack, flags: Flags::RST | Flags::ACK, ..ports })
    }
}

impl Header {
    /// Appends a segment that is only this header.
    pub(crate) fn emit_alone(&self, tuple: &FourTuple, out: &mut BytesMut) -> Transmit {
        let (source, destination) = (tuple.local(), tuple.remote());
        Segment { header: *self, payload: &[] }.emit(source.ip(), destination.ip(), out);
        Transmit::whole(source, destination, self.wire_len())
    }
}
