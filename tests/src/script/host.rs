//! What is under test: connections, each on its own, or a stack that holds them all.

use std::net::SocketAddr;

use drywire::tcp::ip::Ecn;
use drywire::tcp::{
    Config, Connection, ConnectionHandle, Flags, ListenerConfig, ListenerHandle, Segment, SeqNumber, Stack,
    StackConfig, State,
};
use drywire::{BytesMut, Instant, Seed};

use super::ast::{EcnMark, IcmpPacket, TcpPacket};
use super::ip;
use super::settings::Settings;
use super::translation::Translation;

/// Which of the two is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Connection,
    Stack,
}

/// The machines under test. Connections are named by their number, in the order in which they were made.
#[derive(Debug)]
pub(super) enum Host {
    /// Each connection is handed its own segments.
    Alone { connections: Vec<Connection>, translations: Vec<Translation>, next_isn: u32, remote_base: u32 },
    /// One stack is handed IP packets. All of them are of one pair of sockets, or of several in turn.
    Stacked {
        stack: Box<Stack>,
        connections: Vec<ConnectionHandle>,
        listener: Option<ListenerHandle>,
        translation: Translation,
    },
}

/// A segment that left.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// The number of its translation.
    pub(super) translation: usize,
    /// Of the IP header, or what a connection asks to be put there.
    pub(super) ecn: EcnMark,
    pub(super) bytes: Vec<u8>,
}

impl Host {
    pub(super) fn alone(local_isn: u32, remote_base: u32) -> Self {
        Self::Alone { connections: vec![], translations: vec![], next_isn: local_isn, remote_base }
    }

    /// `isn` stands for the secret from which the stack makes its initial sequence numbers.
    pub(super) fn stacked(isn: u32, remote_base: u32, local: SocketAddr, remote: SocketAddr) -> Self {
        let mut stack = Stack::new(StackConfig::default(), &Seed::from(u64::from(isn)));
        stack.add_address(local.ip());
        let translation = Translation::new(local, remote, remote_base);
        Self::Stacked { stack: Box::new(stack), connections: vec![], listener: None, translation }
    }

    /// Opens a connection; its number.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        config: Config,
    ) -> Result<usize, String> {
        match self {
            Self::Alone { .. } => {
                let isn = self.isn();
                Ok(self.add(Connection::connect(now, local, remote, isn, config), local, remote))
            }
            Self::Stacked { stack, connections, translation, .. } => {
                connections.push(stack.connect_from(now, local, remote, config).map_err(|error| error.to_string())?);
                (translation.local, translation.remote) = (local, remote);
                Ok(connections.len() - 1)
            }
        }
    }

    /// A connection in LISTEN, on its own; its number.
    pub(super) fn listen_alone(&mut self, local: SocketAddr, remote: SocketAddr, config: Config) -> usize {
        let isn = self.isn();
        self.add(Connection::listen(local, isn, config), local, remote)
    }

    /// A listener of the stack.
    pub(super) fn listen(&mut self, local: SocketAddr, config: ListenerConfig) -> Result<ListenerHandle, String> {
        let Self::Stacked { stack, listener, translation, .. } = self else {
            return Err("there is no stack".to_owned());
        };
        translation.local = local;
        let handle = stack.listen(local, config).map_err(|error| error.to_string())?;
        Ok(*listener.insert(handle))
    }

    /// The number of the connection that has waited longest at the listener.
    pub(super) fn accept(&mut self, listener: ListenerHandle) -> Option<usize> {
        let Self::Stacked { stack, connections, .. } = self else { return None };
        connections.push(stack.accept(listener)?);
        Some(connections.len() - 1)
    }

    pub(super) fn close_listener(&mut self, handle: ListenerHandle) {
        if let Self::Stacked { stack, listener, .. } = self {
            stack.close_listener(handle);
            *listener = None;
        }
    }

    fn isn(&mut self) -> SeqNumber {
        let Self::Alone { next_isn, .. } = self else { return SeqNumber::default() };
        let isn = SeqNumber::new(*next_isn);
        // Beyond what any connection of a script sends, as RFC 9293 3.4.1 wants it.
        *next_isn = next_isn.wrapping_add(0x1000_0000);
        isn
    }

    fn add(&mut self, connection: Connection, local: SocketAddr, remote: SocketAddr) -> usize {
        let Self::Alone { connections, translations, remote_base, .. } = self else { return 0 };
        connections.push(connection);
        translations.push(Translation::new(local, remote, *remote_base));
        connections.len() - 1
    }

    pub(super) fn connection(&mut self, number: usize) -> Option<&mut Connection> {
        match self {
            Self::Alone { connections, .. } => connections.get_mut(number),
            Self::Stacked { stack, connections, .. } => stack.connection_mut(*connections.get(number)?),
        }
    }

    /// The connection that assertions are about: the latest that is not in LISTEN.
    pub(super) fn subject(&self) -> Option<&Connection> {
        match self {
            Self::Alone { connections, .. } => {
                connections.iter().rfind(|it| it.state() != State::Listen).or(connections.last())
            }
            Self::Stacked { stack, connections, .. } => stack.connection(*connections.last()?),
        }
    }

    /// The state of that connection, also where the stack keeps it outside of a `Connection`.
    pub(super) fn state(&self) -> Option<State> {
        let state = self.subject().map(Connection::state);
        let Self::Stacked { stack, listener, .. } = self else { return state };
        if state.is_some_and(|state| state != State::Closed) {
            return state;
        }
        let listener = listener.and_then(|handle| stack.listener(handle));
        Some(match (state, listener) {
            _ if stack.time_waits() > 0 => State::TimeWait,
            (_, Some(listener)) if listener.handshakes() > 0 => State::SynReceived,
            (_, Some(listener)) if listener.waiting() > 0 => State::Established,
            (None, Some(_)) => State::Listen,
            _ => State::Closed,
        })
    }

    /// A segment of the peer's arrives; `nobody` are the sockets of a segment that belongs to none of ours.
    pub(super) fn inject(
        &mut self,
        now: Instant,
        packet: &TcpPacket,
        nobody: (SocketAddr, SocketAddr),
    ) -> Result<(), String> {
        match self {
            Self::Alone { .. } => {
                let number = self.destination(packet, nobody);
                let Self::Alone { connections, translations, .. } = self else { return Ok(()) };
                let (connection, translation) = (&mut connections[number], &mut translations[number]);
                let ecn = packet.ecn.map_or(Ecn::NotEct, EcnMark::codepoint);
                let bytes = translation.arriving(packet)?;
                let (from, to) = (translation.remote.ip(), translation.local.ip());
                let segment = Segment::parse(&bytes, from, to).map_err(|error| error.to_string())?;
                connection.handle_marked_segment(now, from, ecn, &segment);
            }
            Self::Stacked { stack, translation, .. } => {
                let ecn = packet.ecn.unwrap_or(EcnMark::NotEct);
                let bytes = translation.arriving(packet)?;
                let (from, to) = (translation.remote.ip(), translation.local.ip());
                stack.handle_packet(now, &ip::wrap(6, ecn, from, to, &bytes));
            }
        }
        Ok(())
    }

    /// An ICMP message arrives.
    pub(super) fn inject_icmp(&mut self, now: Instant, packet: &IcmpPacket) -> Result<(), String> {
        let Self::Stacked { stack, translation, .. } = self else {
            return Err("a connection on its own sees no ICMP messages: `--engine=stack`".to_owned());
        };
        let (local, remote) = (translation.local.ip(), translation.remote.ip());
        stack.handle_packet(now, &ip::icmp(packet, translation.quoted(packet), local, remote)?);
        Ok(())
    }

    /// The connection that a packet of the peer's belongs to: the latest, unless that is over and the packet opens
    /// another.
    fn destination(&mut self, packet: &TcpPacket, (local, remote): (SocketAddr, SocketAddr)) -> usize {
        let Self::Alone { connections, next_isn, .. } = self else { return 0 };
        let opens = packet.flags.contains(Flags::SYN) && !packet.flags.contains(Flags::ACK);
        let latest = connections.iter().rposition(|it| it.state() != State::Listen);
        let listening = connections.iter().rposition(|it| it.state() == State::Listen);
        match (latest, listening) {
            (Some(latest), Some(listening)) if opens && connections[latest].state() == State::Closed => listening,
            (Some(latest), _) => latest,
            (None, Some(listening)) => listening,
            (None, None) => {
                // A closed connection answers as a closed port does (RFC 9293 3.10.7.1).
                let mut nobody = Connection::listen(local, SeqNumber::new(*next_isn), Config::default());
                nobody.abort();
                self.add(nobody, local, remote)
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Alone { connections, .. } => connections.iter().filter_map(Connection::poll_timeout).min(),
            Self::Stacked { stack, .. } => stack.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Alone { connections, .. } => connections.iter_mut().for_each(|it| it.handle_timeout(now)),
            Self::Stacked { stack, .. } => stack.handle_timeout(now),
        }
    }

    /// The next segment that is due.
    pub(super) fn transmit(&mut self, now: Instant) -> Result<Option<Sent>, String> {
        let mut out = BytesMut::new();
        match self {
            Self::Alone { connections, .. } => {
                for (translation, connection) in connections.iter_mut().enumerate() {
                    if let Some(transmit) = connection.poll_transmit(now, &mut out) {
                        if transmit.len != out.len() {
                            return Err(format!("{transmit:?} does not describe {} bytes", out.len()));
                        }
                        let ecn = EcnMark::of(transmit.ecn);
                        return Ok(Some(Sent { at: now, translation, ecn, bytes: out.to_vec() }));
                    }
                }
                Ok(None)
            }
            Self::Stacked { stack, translation, .. } => {
                if stack.poll_transmit(now, &mut out).is_none() {
                    return Ok(None);
                }
                let (ecn, source, destination, bytes) = ip::unwrap(&out)?;
                if (source, destination) != (translation.local.ip(), translation.remote.ip()) {
                    return Err(format!("a packet leaves from {source} to {destination}"));
                }
                Ok(Some(Sent { at: now, translation: 0, ecn, bytes: bytes.to_vec() }))
            }
        }
    }

    /// The segment in the numbers of the script.
    pub(super) fn read(&mut self, sent: &Sent, expected: Option<&TcpPacket>) -> Result<TcpPacket, String> {
        let translation = match self {
            Self::Alone { translations, .. } => &mut translations[sent.translation],
            Self::Stacked { translation, .. } => translation,
        };
        let packet = translation.leaving(&sent.bytes, expected)?;
        // Only an expectation asks for it, so that packets show it only there.
        let ecn = expected.and_then(|expected| expected.ecn).map(|wanted| match (wanted, sent.ecn) {
            (EcnMark::Ect01, EcnMark::Ect0 | EcnMark::Ect1) => EcnMark::Ect01,
            (_, sent) => sent,
        });
        Ok(TcpPacket { ecn, ..packet })
    }

    /// The settings of a listener of the stack.
    pub(super) fn listener_config(settings: &Settings, backlog: usize, connection: Config) -> ListenerConfig {
        ListenerConfig {
            syn_queue: settings.syn_queue,
            syn_cookies: settings.syn_cookies,
            backlog,
            challenge_acks: u32::from(connection.challenge_acks),
            connection,
            ..ListenerConfig::default()
        }
    }
}
