//! Hosts with machines and applications, on one network, in one virtual time.

mod entry;
mod host;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use drywire_core::{BytesMut, Instant, Rng, Seed, StreamMachine};
use drywire_tcp::{CloseReason, Segment, SeqNumber, State};

pub use self::entry::{Entry, Happening};

use self::host::{Actor, Host};
use crate::app::Requests;
use crate::{Context, Input, Network, Packet, RunError, RunFailure, Schedule, TcpHost};

/// How a run of a [`World`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldReport {
    /// The seed that replays the run.
    pub seed: u64,
    /// When the last host was closed.
    pub ended: Instant,
    /// The number of things handled: inputs, packets and deadlines.
    pub steps: u64,
    /// Each host, and how its connection ended. `None` is a listener to whom nobody came, or a half-open connection:
    /// its peer is gone, and it has nothing to send that would tell (RFC 9293 3.5.1).
    pub hosts: Vec<(Arc<str>, Option<CloseReason>)>,
    /// Packets whose bytes are no segment: what corruption left.
    pub malformed: u64,
    /// Segments for which there was no host.
    pub unclaimed: u64,
}

/// Any number of [`TcpHost`]s, each with an application, on one [`Network`], in one virtual time.
///
/// Segments go to the host whose address, port and peer match, or else to one that listens there. Everything that
/// happens, on the wire and in the applications, is told in the order of virtual time to whom it may concern
/// ([`run_with`](Self::run_with)); the same seed gives the same telling, byte for byte.
///
/// ```
/// # use core::convert::Infallible;
/// # use drywire_core::{Bytes, Close, Demand, RecvBuf, SendQueue, StreamMachine};
/// use std::time::Duration;
/// use drywire_core::Instant;
/// use drywire_sim::{Input, LinkConfig, TcpHost, World};
/// use drywire_tcp::Config;
/// # /// Sends what it is told to, closes when the peer has.
/// # struct Talk { send: SendQueue, ended: bool, bye: bool }
/// # impl Talk {
/// #     fn new() -> Self { Self { send: SendQueue::new(4096), ended: false, bye: false } }
/// #     fn say(&mut self, text: &'static str) { self.send.push(Bytes::from_static(text.as_bytes())) }
/// #     fn bye(&mut self) { self.bye = true }
/// # }
/// # impl StreamMachine for Talk {
/// #     type Event = Bytes;
/// #     type Error = Infallible;
/// #     fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, Infallible> {
/// #         self.ended = recv.is_finished();
/// #         Ok((!recv.is_empty()).then(|| recv.take(recv.len())))
/// #     }
/// #     fn transmit(&mut self) -> &mut SendQueue { &mut self.send }
/// #     fn poll_timeout(&self) -> Option<Instant> { None }
/// #     fn handle_timeout(&mut self, _: Instant) {}
/// #     fn demand(&self) -> Demand {
/// #         let close = match () {
/// #             () if !self.send.is_empty() => None,
/// #             () if self.ended => Some(Close::Both),
/// #             () => self.bye.then_some(Close::WriteHalf),
/// #         };
/// #         Demand { read: !self.ended, close }
/// #     }
/// # }
///
/// let (client, server) = ("10.0.0.1:49152".parse()?, "10.0.0.2:80".parse()?);
/// let mut world = World::new(7);
/// world.network().connect(
///     [10, 0, 0, 1].into(),
///     [10, 0, 0, 2].into(),
///     LinkConfig { latency: Duration::from_millis(10), ..LinkConfig::default() },
/// );
///
/// let isn = world.isn();
/// world.add("server", TcpHost::listen(server, isn, Config::default(), Talk::new()), |cx, input| {
///     if let Input::Event(bytes) = input {
///         cx.note(format!("heard {bytes:?}"));
///     }
/// });
/// let isn = world.isn();
/// let host = TcpHost::connect(Instant::ORIGIN, client, server, isn, Config::default(), Talk::new());
/// world.add("client", host, |cx, input| {
///     if let Input::Connected = input {
///         cx.machine().say("hello");
///         cx.machine().bye();
///     }
/// });
///
/// let mut lines = Vec::new();
/// world.run_with(|entry| lines.push(entry.to_string()))?;
/// assert!(lines.iter().any(|line| line.ends_with("server: heard b\"hello\"")));
/// assert!(lines.iter().any(|line| line.ends_with("client TIME-WAIT -> CLOSED")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct World<'a> {
    seed: u64,
    rng: Rng,
    now: Instant,
    network: Network,
    hosts: Vec<Slot<'a>>,
    wakes: Schedule<Wake>,
    out: BytesMut,
    steps: u64,
    max_steps: u64,
    malformed: u64,
    unclaimed: u64,
}

/// Who is told of what happens, if anybody.
type Log<'l> = Option<&'l mut dyn FnMut(Entry)>;

/// What a scheduled wake is for.
enum Wake {
    /// The host starts.
    Start(usize),
    /// Its application asked for it.
    App(usize),
}

struct Slot<'a> {
    name: Arc<str>,
    host: Box<dyn Host + 'a>,
    started: bool,
    woken: bool,
    /// The state that was last told.
    told: State,
}

impl<'a> World<'a> {
    /// A world with nobody in it. All that is random in it comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(&Seed::from(seed));
        let network = Network::new(rng.next_u64());
        Self {
            seed,
            rng,
            now: Instant::ORIGIN,
            network,
            hosts: Vec::new(),
            wakes: Schedule::new(),
            out: BytesMut::new(),
            steps: 0,
            max_steps: 10_000_000,
            malformed: 0,
            unclaimed: 0,
        }
    }

    /// The network, to join its nodes.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// An initial sequence number from the seed, different in each call.
    pub fn isn(&mut self) -> SeqNumber {
        SeqNumber::new(self.rng.next_u32())
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The number of steps (inputs, packets and deadlines) after which the run fails; ten million unless set.
    pub fn set_max_steps(&mut self, steps: u64) {
        self.max_steps = steps;
    }

    /// Adds a host and its application. The name is for the log.
    pub fn add<M: StreamMachine + 'a>(
        &mut self,
        name: &str,
        host: TcpHost<M>,
        app: impl FnMut(&mut Context<'_, M>, Input<M::Event, M::Error>) + 'a,
    ) {
        self.wakes.push(host.starts(), Wake::Start(self.hosts.len()));
        let host = Box::new(Actor::new(host, app));
        self.hosts.push(Slot { name: name.into(), host, started: false, woken: false, told: State::Closed });
    }

    /// Runs until every connection is closed. A host that listens in vain does not keep the world running.
    pub fn run(&mut self) -> Result<WorldReport, RunError> {
        self.run_to_end(&mut None)
    }

    /// As [`run`](Self::run), and tells `log` of everything that happens, in the order of virtual time.
    pub fn run_with(&mut self, mut log: impl FnMut(Entry)) -> Result<WorldReport, RunError> {
        self.network.observe();
        self.run_to_end(&mut Some(&mut log))
    }

    fn run_to_end(&mut self, log: &mut Log<'_>) -> Result<WorldReport, RunError> {
        // A wake that a closed application once asked for keeps nobody waiting.
        while self.network.in_flight() > 0 || !self.hosts.iter().all(|slot| slot.host.is_closed()) {
            let deadlines = self.hosts.iter().filter_map(Slot::poll_timeout);
            let others = [self.network.poll_timeout(), self.wakes.next_at()];
            let Some(next) = deadlines.chain(others.into_iter().flatten()).min() else { break };
            self.now = self.now.max(next);
            self.handle_timeouts(log)?;
            self.handle_wakes(log)?;
            while let Some(packet) = self.network.poll_deliver(self.now) {
                self.tell_packets(log);
                self.deliver(&packet, log)?;
            }
        }
        let stuck: Vec<_> = self.hosts.iter_mut().filter_map(Slot::waits_for).collect();
        let mut reasons = self.hosts.iter().filter_map(|slot| slot.host.closed());
        let half_open = reasons.any(|reason| reason != CloseReason::Normal);
        if !stuck.is_empty() && !half_open {
            return Err(self.fail(RunFailure::Stuck(stuck.join("; "))));
        }
        Ok(WorldReport {
            seed: self.seed,
            ended: self.now,
            steps: self.steps,
            hosts: self.hosts.iter().map(|slot| (slot.name.clone(), slot.host.closed())).collect(),
            malformed: self.malformed,
            unclaimed: self.unclaimed,
        })
    }

    fn handle_timeouts(&mut self, log: &mut Log<'_>) -> Result<(), RunError> {
        for index in 0..self.hosts.len() {
            let slot = &mut self.hosts[index];
            if slot.poll_timeout().is_some_and(|at| at <= self.now) {
                slot.host.handle_timeout(self.now);
                if slot.poll_timeout().is_some_and(|at| at <= self.now) {
                    let name = slot.name.to_string();
                    return Err(self.fail(RunFailure::DeadlineStays(name)));
                }
                self.act(index, log)?;
            }
        }
        Ok(())
    }

    fn handle_wakes(&mut self, log: &mut Log<'_>) -> Result<(), RunError> {
        while let Some((_, wake)) = self.wakes.pop_due(self.now) {
            let index = match wake {
                Wake::Start(index) => {
                    self.hosts[index].started = true;
                    index
                }
                Wake::App(index) => {
                    self.hosts[index].woken = true;
                    index
                }
            };
            self.act(index, log)?;
        }
        Ok(())
    }

    fn deliver(&mut self, packet: &Packet, log: &mut Log<'_>) -> Result<(), RunError> {
        let Ok(segment) = Segment::parse(&packet.bytes, packet.source, packet.destination) else {
            self.malformed += 1;
            return self.count_step();
        };
        let local = SocketAddr::new(packet.destination, segment.header.destination_port);
        let remote = SocketAddr::new(packet.source, segment.header.source_port);
        let claim = |index: &usize| self.hosts[*index].claim(local, remote);
        // Of two equal claims the host that was added first has the better one.
        let best = (0..self.hosts.len()).rev().max_by_key(claim).filter(|index| claim(index) != Claim::None);
        let Some(index) = best else {
            self.unclaimed += 1;
            return self.count_step();
        };
        self.hosts[index].host.handle_segment(self.now, packet.source, packet.ecn, &segment);
        self.act(index, log)
    }

    /// Lets one host, and everyone whom it wakes, do all that can be done at this instant.
    fn act(&mut self, index: usize, log: &mut Log<'_>) -> Result<(), RunError> {
        self.act_alone(index, log)?;
        while let Some(index) = self.hosts.iter().position(|slot| slot.started && slot.woken) {
            self.act_alone(index, log)?;
        }
        Ok(())
    }

    fn act_alone(&mut self, index: usize, log: &mut Log<'_>) -> Result<(), RunError> {
        self.count_step()?;
        self.tell_state(index, log);
        loop {
            let slot = &mut self.hosts[index];
            let mut requests = Requests::default();
            if slot.host.step(self.now, &mut slot.woken, &mut requests) {
                self.grant(index, requests, log);
                self.tell_state(index, log);
                self.count_step()?;
                continue;
            }
            let Some(transmit) = slot.host.poll_transmit(self.now, &mut self.out) else { return Ok(()) };
            let (source, destination) = (transmit.source.ip(), transmit.destination.ip());
            let packet = Packet { source, destination, ecn: transmit.ecn, bytes: self.out.split().freeze() };
            self.tell_state(index, log);
            self.network.send(self.now, packet);
            self.tell_packets(log);
        }
    }

    fn grant(&mut self, index: usize, requests: Requests, log: &mut Log<'_>) {
        for text in requests.notes {
            let host = self.hosts[index].name.clone();
            self.tell(log, Happening::Note { host, text });
        }
        for at in requests.wakes {
            self.wakes.push(at, Wake::App(index));
        }
        if requests.wake_others {
            let others = self.hosts.iter_mut().enumerate().filter(|(i, _)| *i != index);
            others.for_each(|(_, slot)| slot.woken = true);
        }
    }

    fn tell(&self, log: &mut Log<'_>, what: Happening) {
        if let Some(log) = log {
            log(Entry { at: self.now, what });
        }
    }

    fn tell_state(&mut self, index: usize, log: &mut Log<'_>) {
        let slot = &mut self.hosts[index];
        let (from, to) = (slot.told, slot.host.state());
        if from != to {
            slot.told = to;
            let host = slot.name.clone();
            self.tell(log, Happening::State { host, from, to });
        }
    }

    fn tell_packets(&mut self, log: &mut Log<'_>) {
        while let Some(observation) = self.network.poll_observation() {
            self.tell(log, Happening::Packet(observation));
        }
    }

    fn count_step(&mut self) -> Result<(), RunError> {
        self.steps += 1;
        if self.steps > self.max_steps { Err(self.fail(RunFailure::OutOfSteps(self.max_steps))) } else { Ok(()) }
    }

    fn fail(&self, reason: RunFailure) -> RunError {
        RunError { seed: self.seed, at: self.now, reason }
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.hosts.iter().map(|slot| (&slot.name, slot.host.state())).collect();
        f.debug_struct("World")
            .field("seed", &self.seed)
            .field("now", &self.now)
            .field("hosts", &hosts)
            .finish_non_exhaustive()
    }
}

/// How much a host has to do with a segment, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    None,
    /// Its connection was once the segment's, and is over.
    Past,
    /// It listens where the segment goes.
    Listening,
    /// The segment belongs to its connection.
    Connected,
}

impl Slot<'_> {
    fn poll_timeout(&self) -> Option<Instant> {
        if self.started { self.host.poll_timeout() } else { None }
    }

    fn claim(&self, local: SocketAddr, remote: SocketAddr) -> Claim {
        if !self.started || self.host.local() != local {
            return Claim::None;
        }
        match (self.host.state(), self.host.remote()) {
            (State::Listen, _) => Claim::Listening,
            (State::Closed, Some(peer)) if peer == remote => Claim::Past,
            (_, Some(peer)) if peer == remote => Claim::Connected,
            _ => Claim::None,
        }
    }

    fn waits_for(&mut self) -> Option<String> {
        let waits = !self.host.is_closed() && self.host.state() != State::Listen;
        waits.then(|| format!("{} {}", self.name, self.host.waits_for()))
    }
}
