//! Two TCP endpoints and a network between them.

mod transfer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use drywire_core::{BytesMut, Instant, Rng, Seed};
use drywire_tcp::{CloseReason, Config, Connection, Segment, SeqNumber, State};

pub use self::transfer::{Finish, Transfer};

use self::transfer::{Content, End};
use crate::{LinkConfig, LinkStats, Network, Observation, Packet, RunError, RunFailure, Side};

/// How the two ends of a [`TcpPair`] find each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Open {
    /// [`Side::B`] listens, [`Side::A`] connects.
    #[default]
    ClientServer,
    /// Both connect at the same time (RFC 9293 3.5, figure 7).
    Simultaneous,
}

/// Two TCP [`Connection`]s over a [`Network`], with applications that send, read, compare every byte, and close.
///
/// ```
/// use std::time::Duration;
/// use drywire_sim::{Chance, LinkConfig, TcpPair, Transfer};
///
/// let link = LinkConfig { latency: Duration::from_millis(10), loss: Chance::percent(5), ..LinkConfig::default() };
/// let report = TcpPair::new(7)
///     .links(link)
///     .transfers(Transfer { send: 100_000, ..Transfer::default() })
///     .run()?;
/// assert!(report.is_complete(), "{report:?}");
/// assert_eq!(report.received, [100_000; 2]);
/// # Ok::<(), drywire_sim::RunError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TcpPair {
    seed: u64,
    open: Open,
    links: [LinkConfig; 2],
    tcp: [Config; 2],
    transfers: [Transfer; 2],
    max_steps: u64,
}

/// How a run of a [`TcpPair`] went. In arrays [`Side::A`] stands first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpReport {
    /// The seed that replays the run.
    pub seed: u64,
    /// When the last connection reached CLOSED.
    pub ended: Instant,
    /// When each side had read all that its peer sent.
    pub received_all: [Option<Instant>; 2],
    /// Why each connection ended. `None`: it is half-open, for its peer is gone and it has nothing to send that would
    /// tell (without keep-alives that lasts for ever, RFC 9293 3.5.1).
    pub closed: [Option<CloseReason>; 2],
    /// The bytes that each side handed to TCP.
    pub sent: [u64; 2],
    /// The bytes that each side read, all of them right and in order.
    pub received: [u64; 2],
    /// What became of the packets of each side.
    pub links: [LinkStats; 2],
    /// Packets whose bytes were no segment: what corruption left.
    pub malformed: u64,
    /// The number of packets and deadlines handled.
    pub steps: u64,
}

impl TcpReport {
    /// Whether both connections ended in order and everything that was sent has been received.
    pub fn is_complete(&self) -> bool {
        let [a, b] = self.sent;
        self.closed == [Some(CloseReason::Normal); 2] && self.received == [b, a] && !self.received_all.contains(&None)
    }
}

impl TcpPair {
    const NODES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
    const PORTS: [u16; 2] = [49152, 80];

    /// A client and a server with default settings on perfect links, who send nothing and close. All that is random
    /// comes from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            open: Open::default(),
            links: Default::default(),
            tcp: Default::default(),
            transfers: Default::default(),
            max_steps: 50_000_000,
        }
    }

    /// Lets them open the connection like this.
    #[must_use]
    pub fn open(mut self, open: Open) -> Self {
        self.open = open;
        self
    }

    /// Lets both directions be like this.
    #[must_use]
    pub fn links(mut self, config: LinkConfig) -> Self {
        self.links = [config.clone(), config];
        self
    }

    /// Lets the direction that `side` sends to be like this.
    #[must_use]
    pub fn link_from(mut self, side: Side, config: LinkConfig) -> Self {
        self.links[side.index()] = config;
        self
    }

    /// Gives both connections these settings.
    #[must_use]
    pub fn tcp(mut self, config: Config) -> Self {
        self.tcp = [config.clone(), config];
        self
    }

    /// Gives the connection of `side` these settings.
    #[must_use]
    pub fn tcp_of(mut self, side: Side, config: Config) -> Self {
        self.tcp[side.index()] = config;
        self
    }

    /// Lets both applications do this.
    #[must_use]
    pub fn transfers(mut self, transfer: Transfer) -> Self {
        self.transfers = [transfer.clone(), transfer];
        self
    }

    /// Lets the application of `side` do this.
    #[must_use]
    pub fn transfer_of(mut self, side: Side, transfer: Transfer) -> Self {
        self.transfers[side.index()] = transfer;
        self
    }

    /// The number of steps (packets and deadlines) after which the run fails; fifty million unless set.
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.max_steps = steps;
        self
    }

    /// Runs until both connections are CLOSED, or one is and the other can never learn of it.
    pub fn run(&self) -> Result<TcpReport, RunError> {
        Run::new(self).finish(None)
    }

    /// As [`run`](Self::run), and tells `observer` what becomes of every packet.
    pub fn run_with(&self, mut observer: impl FnMut(Observation)) -> Result<TcpReport, RunError> {
        let mut run = Run::new(self);
        run.network.observe();
        run.finish(Some(&mut observer))
    }
}

/// A run under way.
struct Run<'a> {
    pair: &'a TcpPair,
    now: Instant,
    network: Network,
    ends: [End; 2],
    out: BytesMut,
    malformed: u64,
    steps: u64,
}

type Observer<'o> = Option<&'o mut dyn FnMut(Observation)>;

impl<'a> Run<'a> {
    fn new(pair: &'a TcpPair) -> Self {
        let mut rng = Rng::new(&Seed::from(pair.seed));
        let [a, b] = TcpPair::NODES;
        let mut network = Network::new(rng.next_u64());
        network.connect_one_way(a, b, pair.links[0].clone());
        network.connect_one_way(b, a, pair.links[1].clone());

        let now = Instant::ORIGIN;
        let [to_b, to_a] = [Content::new(&rng.split()), Content::new(&rng.split())];
        let [client, server] = [SocketAddr::new(a, TcpPair::PORTS[0]), SocketAddr::new(b, TcpPair::PORTS[1])];
        let [tcp_a, tcp_b] = pair.tcp.clone();
        let mut isn = || SeqNumber::new(rng.next_u32());
        let connections = [
            Connection::connect(now, client, server, isn(), tcp_a),
            match pair.open {
                Open::ClientServer => Connection::listen(server, isn(), tcp_b),
                Open::Simultaneous => Connection::connect(now, server, client, isn(), tcp_b),
            },
        ];
        let [conn_a, conn_b] = connections;
        let [transfer_a, transfer_b] = pair.transfers.clone();
        let ends = [End::new(conn_a, transfer_a, to_b.clone(), to_a.clone()), End::new(conn_b, transfer_b, to_a, to_b)];
        Self { pair, now, network, ends, out: BytesMut::new(), malformed: 0, steps: 0 }
    }

    fn finish(mut self, mut observer: Observer<'_>) -> Result<TcpReport, RunError> {
        for side in [Side::A, Side::B] {
            self.act(side)?;
        }
        loop {
            self.tell(&mut observer);
            let timeouts = self.ends.iter_mut().flat_map(|e| [e.connection.poll_timeout(), e.poll_timeout()]);
            let next = timeouts.chain([self.network.poll_timeout()]).flatten().min();
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            for side in [Side::A, Side::B] {
                self.handle_timeouts(side)?;
            }
            while let Some(packet) = self.network.poll_deliver(self.now) {
                self.tell(&mut observer);
                self.deliver(&packet)?;
            }
        }
        let closed = [self.ends[0].closed, self.ends[1].closed];
        let half_open = closed.iter().flatten().any(|reason| *reason != CloseReason::Normal);
        if closed.contains(&None) && !half_open {
            return Err(self.stuck());
        }
        let nodes = TcpPair::NODES;
        Ok(TcpReport {
            seed: self.pair.seed,
            ended: self.now,
            received_all: [self.ends[0].received_all, self.ends[1].received_all],
            closed,
            sent: [self.ends[0].sent, self.ends[1].sent],
            received: [self.ends[0].received, self.ends[1].received],
            links: [self.network.stats(nodes[0], nodes[1]), self.network.stats(nodes[1], nodes[0])],
            malformed: self.malformed,
            steps: self.steps,
        })
    }

    fn handle_timeouts(&mut self, side: Side) -> Result<(), RunError> {
        let now = self.now;
        let end = &mut self.ends[side.index()];
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let connection_due = due(end.connection.poll_timeout());
        if !connection_due && !due(end.poll_timeout()) {
            return Ok(());
        }
        if connection_due {
            end.connection.handle_timeout(now);
            if due(end.connection.poll_timeout()) {
                return Err(self.fail(RunFailure::DeadlineStays(side.to_string())));
            }
        }
        self.act(side)
    }

    fn deliver(&mut self, packet: &Packet) -> Result<(), RunError> {
        let side = if packet.destination == TcpPair::NODES[0] { Side::A } else { Side::B };
        let Ok(segment) = Segment::parse(&packet.bytes, packet.source, packet.destination) else {
            self.malformed += 1;
            return Ok(());
        };
        self.ends[side.index()].connection.handle_marked_segment(self.now, packet.source, packet.ecn, &segment);
        self.act(side)
    }

    /// Lets one side do all that can be done at this instant.
    fn act(&mut self, side: Side) -> Result<(), RunError> {
        self.steps += 1;
        if self.steps > self.pair.max_steps {
            return Err(self.fail(RunFailure::OutOfSteps(self.pair.max_steps)));
        }
        let end = &mut self.ends[side.index()];
        if let Err(offset) = end.act(self.now) {
            return Err(self.fail(RunFailure::WrongByte { receiver: side.to_string(), offset }));
        }
        while let Some(transmit) = end.connection.poll_transmit(self.now, &mut self.out) {
            let (source, destination) = (transmit.source.ip(), transmit.destination.ip());
            self.network
                .send(self.now, Packet { source, destination, ecn: transmit.ecn, bytes: self.out.split().freeze() });
        }
        Ok(())
    }

    fn tell(&mut self, observer: &mut Observer<'_>) {
        if let Some(observer) = observer {
            while let Some(observation) = self.network.poll_observation() {
                observer(observation);
            }
        }
    }

    fn stuck(&mut self) -> RunError {
        let mut reasons = Vec::new();
        for side in [Side::A, Side::B] {
            let end = &mut self.ends[side.index()];
            let state = end.connection.state();
            if state != State::Closed {
                let unread = end.connection.recv().len();
                let (sent, received) = (end.sent, end.received);
                reasons.push(format!("{side} is in {state}, {sent} bytes sent, {received} read, {unread} unread"));
            }
        }
        self.fail(RunFailure::Stuck(reasons.join("; ")))
    }

    fn fail(&self, reason: RunFailure) -> RunError {
        RunError { seed: self.pair.seed, at: self.now, reason }
    }
}
