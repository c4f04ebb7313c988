//! A host's TCP: many connections behind IP packets.
//!
//! What arrives is handled in `receive`, what leaves in `transmit`; connections are opened and given up here.

mod addresses;
mod config;
mod datagram;
mod demux;
mod flow;
mod receive;
mod statistics;
mod time_wait;
mod transmit;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use drywire_core::{Instant, Rng, Seed};

pub use config::StackConfig;
pub use datagram::{DatagramError, ReceivedDatagram, UdpConfig, UdpHandle, UdpSendError};
pub use statistics::Statistics;

use datagram::UdpSocket;
use demux::{Demux, Target};
use flow::Flow;

use crate::four_tuple::FourTuple;
use crate::ip::header_len;
use crate::isn::EphemeralPorts;
use crate::listener::ChallengeLimit;
use crate::outbox::Outbox;
use crate::siphash::SipKey;
use crate::slab::{Key, Slab};
use crate::timer_heap::TimerHeap;
use crate::{Config, Connection, Header, IsnGenerator, Listener, ListenerConfig, State};

/// Names a connection of a [`Stack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionHandle(Key);

/// Names a listener of a [`Stack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerHandle(Key);

/// Where something has happened that the application may want to know. What it is the socket itself tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StackEvent {
    /// The connection has changed its state, has received bytes, or has room for more to send: look at
    /// [`Connection::poll_event`], [`Connection::recv`] and [`Connection::send_room`].
    Connection(ConnectionHandle),
    /// Connections wait for [`Stack::accept`].
    Accept(ListenerHandle),
    /// Datagrams wait for [`Stack::recv_datagram`], or an error about one for [`Stack::take_datagram_error`].
    Datagram(UdpHandle),
}

/// Why a connection, a listener or a datagram socket could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// None of the stack's addresses, or none of the peer's family.
    #[error("no such local address")]
    NoAddress,
    /// Nobody can be reached at this address and port.
    #[error("no possible peer")]
    NoPeer,
    /// The address and port are in use.
    #[error("the address is in use")]
    InUse,
    /// Every ephemeral port to this peer is in use.
    #[error("no ephemeral port is free")]
    NoPort,
    /// [`StackConfig::max_connections`] is reached.
    #[error("too many connections")]
    TooMany,
}

/// A connection and what the stack knows of it.
#[derive(Debug)]
struct Socket {
    connection: Connection,
    /// The listener in whose accept queue it waits.
    listener: Option<Key>,
    /// It stands in the list of those that may have something to send.
    ready: bool,
    /// It stands in the list of news.
    news: bool,
    /// The application has given it up: it ends by itself.
    released: bool,
    /// It is found by its four-tuple.
    mapped: bool,
    /// The state that the application knows of.
    reported: State,
}

impl Socket {
    fn tuple(&self) -> FourTuple {
        let local = self.connection.local();
        // Only a connection in LISTEN has no peer, and a stack holds none.
        FourTuple::new(local, self.connection.remote().unwrap_or(local))
    }
}

/// A listener and the connections that wait for the application.
#[derive(Debug)]
struct ListenSocket {
    listener: Listener,
    accept_queue: VecDeque<Key>,
    ready: bool,
    news: bool,
}

/// Many connections, listeners and datagram sockets at many addresses, on one link that carries IP packets.
///
/// After every call that changes something, call [`poll_transmit`](Self::poll_transmit) until it returns `None`, then
/// [`poll_event`](Self::poll_event) likewise, then sleep until [`poll_timeout`](Self::poll_timeout) or the next packet.
/// Whatever the number of connections, a packet or a time-out costs at most a logarithm of it.
///
/// ```
/// use drywire_core::{Bytes, BytesMut, Instant, Seed};
/// use drywire_tcp::{Config, ListenerConfig, Stack, StackConfig, State};
///
/// let mut a = Stack::new(StackConfig::default(), &Seed::from(1));
/// let mut b = Stack::new(StackConfig::default(), &Seed::from(2));
/// a.add_address("192.0.2.1".parse()?);
/// b.add_address("192.0.2.2".parse()?);
/// let now = Instant::ORIGIN;
///
/// let listener = b.listen("0.0.0.0:80".parse()?, ListenerConfig::default())?;
/// let client = a.connect(now, "192.0.2.2:80".parse()?, Config::default())?;
///
/// /// Carries packets both ways until neither side has any.
/// fn exchange(now: Instant, a: &mut Stack, b: &mut Stack) {
///     let mut packet = BytesMut::new();
///     loop {
///         packet.clear();
///         if a.poll_transmit(now, &mut packet).is_some() {
///             b.handle_packet(now, &packet);
///         } else if b.poll_transmit(now, &mut packet).is_some() {
///             a.handle_packet(now, &packet);
///         } else {
///             return;
///         }
///     }
/// }
///
/// exchange(now, &mut a, &mut b);
/// let server = b.accept(listener).unwrap();
/// a.connection_mut(client).unwrap().send(Bytes::from_static(b"hello"))?;
/// exchange(now, &mut a, &mut b);
/// assert_eq!(&b.connection_mut(server).unwrap().recv()[..], b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stack {
    config: StackConfig,
    now: Instant,
    addresses: BTreeSet<IpAddr>,
    /// The first address of each family is the one that connections begin from.
    first_v4: Option<Ipv4Addr>,
    first_v6: Option<Ipv6Addr>,
    isn: IsnGenerator,
    ports: EphemeralPorts,
    rng: Rng,
    limit_key: SipKey,

    /// The settings of the connection that was opened last.
    last_config: Arc<Config>,
    demux: Demux,
    /// The connection of the last segment.
    flow: Option<Flow>,
    sockets: Slab<Box<Socket>>,
    timers: TimerHeap,
    time_waits: Slab<time_wait::Entry>,
    time_wait_timers: TimerHeap,
    listeners: Slab<Box<ListenSocket>>,
    listening: BTreeMap<SocketAddr, Key>,
    listener_timers: TimerHeap,
    udp_sockets: Slab<Box<UdpSocket>>,
    bound: BTreeMap<SocketAddr, Key>,

    /// Connections that may have something to send, each once.
    ready: VecDeque<Key>,
    /// How many packets the first of them has sent in a row.
    burst: u32,
    ready_listeners: VecDeque<Key>,
    news: VecDeque<StackEvent>,
    replies: Outbox,
    datagrams: Outbox,
    challenges: ChallengeLimit,
    icmp_errors: ChallengeLimit,
    statistics: Statistics,
}

impl Stack {
    /// A stack without addresses.
    ///
    /// From `secret` come initial sequence numbers, ports, cookies and the key of the table of connections. For real
    /// traffic take it from the operating system, and a new one for each stack.
    pub fn new(config: StackConfig, secret: &Seed) -> Self {
        let mut rng = Rng::new(secret);
        Self {
            now: Instant::ORIGIN,
            addresses: BTreeSet::new(),
            first_v4: None,
            first_v6: None,
            isn: IsnGenerator::new(&rng.split()),
            ports: EphemeralPorts::new(&rng.split(), config.ephemeral_ports.clone()),
            demux: Demux::new(SipKey::draw(&mut rng)),
            limit_key: SipKey::draw(&mut rng),
            rng,
            last_config: Arc::new(Config::default()),
            flow: None,
            sockets: Slab::new(),
            timers: TimerHeap::default(),
            time_waits: Slab::new(),
            time_wait_timers: TimerHeap::default(),
            listeners: Slab::new(),
            listening: BTreeMap::new(),
            listener_timers: TimerHeap::default(),
            udp_sockets: Slab::new(),
            bound: BTreeMap::new(),
            ready: VecDeque::new(),
            burst: 0,
            ready_listeners: VecDeque::new(),
            news: VecDeque::new(),
            replies: Outbox::new(config.max_replies),
            datagrams: Outbox::new(config.max_datagrams),
            challenges: ChallengeLimit::default(),
            icmp_errors: ChallengeLimit::default(),
            statistics: Statistics::default(),
            config,
        }
    }

    /// Opens a connection to `remote` from our first address of its family and an ephemeral port (RFC 6056).
    pub fn connect(&mut self, now: Instant, remote: SocketAddr, config: Config) -> Result<ConnectionHandle, OpenError> {
        let unspecified = match remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        self.connect_from(now, SocketAddr::new(unspecified, 0), remote, config)
    }

    /// Opens a connection from `local`: an unspecified address stands for our first one, port zero for an ephemeral
    /// port.
    pub fn connect_from(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        config: Config,
    ) -> Result<ConnectionHandle, OpenError> {
        self.advance_clock(now);
        let local = SocketAddr::new(self.source_address(local.ip(), remote.ip())?, local.port());
        let to = remote.ip();
        if remote.port() == 0 || to.is_unspecified() || to.is_multicast() || to == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(OpenError::NoPeer);
        }
        if self.sockets.len() >= self.config.max_connections {
            return Err(OpenError::TooMany);
        }
        let tuple = FourTuple::new(self.with_port(local, remote)?, remote);
        if self.find(&tuple).is_some() {
            return Err(OpenError::InUse);
        }
        let local = tuple.local();
        let isn = self.isn.isn(self.now, local, remote);
        let config = self.share(self.fit_link(config));
        let connection = Connection::connect(self.now, local, remote, isn, config);
        Ok(ConnectionHandle(self.insert(connection, tuple, None)))
    }

    /// The address that a packet from `asked` to `remote` has.
    fn source_address(&self, asked: IpAddr, remote: IpAddr) -> Result<IpAddr, OpenError> {
        if asked.is_ipv4() != remote.is_ipv4() {
            return Err(OpenError::NoAddress);
        }
        let address = match asked {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => self.first_v4.map(IpAddr::V4),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => self.first_v6.map(IpAddr::V6),
            _ => Some(asked).filter(|asked| self.addresses.contains(asked)),
        };
        address.ok_or(OpenError::NoAddress)
    }

    /// `local` with an ephemeral port to `remote`, if it has none.
    fn with_port(&mut self, local: SocketAddr, remote: SocketAddr) -> Result<SocketAddr, OpenError> {
        if local.port() != 0 {
            return Ok(local);
        }
        let Self { ports, demux, sockets, time_waits, listening, .. } = self;
        let free = |port| {
            let local = SocketAddr::new(local.ip(), port);
            // A port with a listener would give its connections a second way in.
            demux.find(sockets, time_waits, &FourTuple::new(local, remote)).is_none()
                && find_bound(listening, local).is_none()
        };
        let port = ports.choose(local.ip(), remote, free).ok_or(OpenError::NoPort)?;
        Ok(SocketAddr::new(local.ip(), port))
    }

    /// With what the link can do, and an MSS for packets of our MTU over IPv4; over IPv6 the connection takes off what that
    /// header is longer.
    fn fit_link(&self, mut config: Config) -> Config {
        config.segmentation_offload |= self.config.offload;
        config.checksum_offload |= self.config.offload;
        let headers = (header_len(&IpAddr::V4(Ipv4Addr::UNSPECIFIED)) + Header::MIN_LEN) as u16;
        config.mss = config.mss.min(self.config.mtu.saturating_sub(headers));
        config
    }

    /// Connections that are opened with the same settings share them.
    fn share(&mut self, config: Config) -> Arc<Config> {
        if *self.last_config != config {
            self.last_config = Arc::new(config);
        }
        Arc::clone(&self.last_config)
    }

    /// Waits for connections at `local`; an unspecified address stands for all of ours of its family.
    pub fn listen(&mut self, local: SocketAddr, config: ListenerConfig) -> Result<ListenerHandle, OpenError> {
        if !local.ip().is_unspecified() && !self.addresses.contains(&local.ip()) {
            return Err(OpenError::NoAddress);
        }
        let local = SocketAddr::new(local.ip(), local.port());
        if local.port() == 0 || self.listening.contains_key(&local) {
            return Err(OpenError::InUse);
        }
        let config = ListenerConfig { connection: self.fit_link(config.connection), ..config };
        let listener = Listener::new(local, config, &self.rng.split()).with_isn(self.isn.clone());
        let socket = ListenSocket { listener, accept_queue: VecDeque::new(), ready: false, news: false };
        let key = self.listeners.insert(Box::new(socket));
        self.listening.insert(local, key);
        Ok(ListenerHandle(key))
    }

    /// Takes the connection that has waited longest. It may have ended since.
    pub fn accept(&mut self, listener: ListenerHandle) -> Option<ConnectionHandle> {
        let socket = self.listeners.get_mut(listener.0)?;
        let key = socket.accept_queue.pop_front()?;
        socket.listener.taken();
        if let Some(socket) = self.sockets.get_mut(key) {
            socket.listener = None;
        }
        Some(ConnectionHandle(key))
    }

    /// The listener, for its statistics.
    pub fn listener(&self, listener: ListenerHandle) -> Option<&Listener> {
        self.listeners.get(listener.0).map(|socket| &socket.listener)
    }

    /// Ends a listener. Handshakes under way are forgotten, and connections that were not accepted are aborted.
    pub fn close_listener(&mut self, listener: ListenerHandle) {
        let Some(socket) = self.listeners.remove(listener.0) else { return };
        self.listening.remove(&socket.listener.local());
        self.listener_timers.set(listener.0.index(), None);
        for key in socket.accept_queue {
            if let Some(connection) = self.connection_mut(ConnectionHandle(key)) {
                connection.abort();
            }
            self.release(ConnectionHandle(key));
        }
    }

    /// A connection, to look at; `None` once it was released.
    pub fn connection(&self, handle: ConnectionHandle) -> Option<&Connection> {
        self.sockets.get(handle.0).filter(|socket| !socket.released).map(|socket| &socket.connection)
    }

    /// A connection, to send, receive or close. The stack takes it that it then has something to transmit.
    ///
    /// Leave its segments and time-outs to the stack.
    pub fn connection_mut(&mut self, handle: ConnectionHandle) -> Option<&mut Connection> {
        self.sockets.get(handle.0).filter(|socket| !socket.released)?;
        self.mark_ready(handle.0);
        self.sockets.get_mut(handle.0).map(|socket| &mut socket.connection)
    }

    /// Gives a connection up: its handle finds nothing any more.
    ///
    /// If it is not yet shut down, it is now, both ways. It goes on by itself until everything queued is sent and both sides
    /// have closed, or until [`Config::fin_wait_2`] is over. Data that arrives for it is answered as
    /// [`Config::late_data`] says, by default with an RST, as nobody will read it.
    pub fn release(&mut self, handle: ConnectionHandle) {
        let Some(socket) = self.sockets.get_mut(handle.0).filter(|socket| !socket.released) else { return };
        socket.released = true;
        let unread = !socket.connection.recv().is_empty();
        if unread {
            // RFC 9293 3.6.1 and RFC 2525 2.17: the peer must learn that its data is lost.
            socket.connection.abort();
        } else {
            socket.connection.shutdown();
            socket.connection.shutdown_read();
        }
        while socket.connection.poll_event().is_some() {}
        self.mark_ready(handle.0);
    }

    /// Where something has happened since the last call.
    pub fn poll_event(&mut self) -> Option<StackEvent> {
        loop {
            let event = self.news.pop_front()?;
            match event {
                StackEvent::Connection(handle) => {
                    let Some(socket) = self.sockets.get_mut(handle.0).filter(|socket| !socket.released) else {
                        continue;
                    };
                    socket.news = false;
                }
                StackEvent::Accept(handle) => {
                    let Some(socket) = self.listeners.get_mut(handle.0) else { continue };
                    socket.news = false;
                }
                StackEvent::Datagram(handle) => {
                    let Some(socket) = self.udp_sockets.get_mut(handle.key()) else { continue };
                    socket.news = false;
                }
            }
            return Some(event);
        }
    }

    /// What was counted.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How many connections there are, those that wait to be accepted or were released included.
    pub fn connections(&self) -> usize {
        self.sockets.len()
    }

    /// How many connections are in TIME-WAIT, outside of those.
    pub fn time_waits(&self) -> usize {
        self.time_waits.len()
    }

    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn find(&self, tuple: &FourTuple) -> Option<Target> {
        self.demux.find(&self.sockets, &self.time_waits, tuple)
    }

    /// A connection is there from now on.
    fn insert(&mut self, connection: Connection, tuple: FourTuple, listener: Option<Key>) -> Key {
        let reported = connection.state();
        let socket =
            Socket { connection, listener, ready: false, news: false, released: false, mapped: true, reported };
        let key = self.sockets.insert(Box::new(socket));
        self.demux.insert(&self.sockets, &self.time_waits, &tuple, Target::Connection(key));
        self.mark_ready(key);
        key
    }

    /// The connection may have something to send, and its timers may have changed.
    fn mark_ready(&mut self, key: Key) {
        if let Some(socket) = self.sockets.get_mut(key)
            && !core::mem::replace(&mut socket.ready, true)
        {
            self.ready.push_back(key);
        }
    }

    /// The application may want to look at the connection.
    fn mark_news(&mut self, key: Key) {
        if let Some(socket) = self.sockets.get_mut(key)
            && !socket.released
            && socket.listener.is_none()
            && !core::mem::replace(&mut socket.news, true)
        {
            self.news.push_back(StackEvent::Connection(ConnectionHandle(key)));
        }
    }
}

/// What is bound to this address and port, or to this port of all addresses.
fn find_bound(bound: &BTreeMap<SocketAddr, Key>, local: SocketAddr) -> Option<Key> {
    let any = match local {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    bound.get(&local).or_else(|| bound.get(&SocketAddr::new(any, local.port()))).copied()
}
