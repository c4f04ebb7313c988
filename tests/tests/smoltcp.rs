//! Another TCP as the peer: smoltcp, in memory, as client and as server, over IPv4 and IPv6.
//!
//! Everything is in virtual time over a wire that delays and loses packets; the bytes of both directions are compared.

use std::collections::VecDeque;
use std::time::Duration;

use drywire::tcp::{CloseReason, Config, Event, ListenerConfig, Stack, StackConfig, StackEvent, State};
use drywire::{Bytes, BytesMut, Instant, Rng, Seed};
use drywire_tests::card::Card;
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

const LATENCY: Duration = Duration::from_millis(10);
const PORT: u16 = 80;

/// A way that takes time and loses some.
struct Wire {
    packets: VecDeque<(Instant, Vec<u8>)>,
    rng: Rng,
    /// Out of a hundred.
    loss: u64,
}

impl Wire {
    fn new(rng: &mut Rng, loss: u64) -> Self {
        Self { packets: VecDeque::new(), rng: Rng::new(&rng.split()), loss }
    }

    fn send(&mut self, now: Instant, packet: Vec<u8>) {
        if !self.rng.chance(self.loss, 100) {
            self.packets.push_back((now + LATENCY, packet));
        }
    }

    fn deliver(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.packets.front().is_some_and(|(at, _)| *at <= now);
        if due { self.packets.pop_front().map(|(_, packet)| packet) } else { None }
    }
}

/// One end's application: sends all, ends, reads all.
struct Application {
    unsent: Bytes,
    finished: bool,
    received: Vec<u8>,
}

impl Application {
    fn new(content: &Bytes) -> Self {
        Self { unsent: content.clone(), finished: false, received: Vec::new() }
    }
}

struct Run {
    now: Instant,
    stack: Stack,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    card: Card,
    to_peer: Wire,
    from_peer: Wire,
    ours: Application,
    theirs: Application,
    closed: Option<CloseReason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opener {
    Ours,
    Theirs,
}

fn smoltcp_instant(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap())
}

fn addresses(v6: bool) -> (std::net::IpAddr, std::net::IpAddr) {
    if v6 {
        ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap())
    } else {
        ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap())
    }
}

/// Patient enough for a lossy wire.
fn config() -> Config {
    Config { syn_retries: 20, syn_ack_retries: 20, data_retries: 30, ..Config::default() }
}

fn run(seed: u64, opener: Opener, v6: bool, loss: u64, contents: &[Bytes; 2]) -> Run {
    let mut rng = Rng::new(&Seed::from(seed));
    let (ours, theirs) = addresses(v6);
    let mut stack = Stack::new(StackConfig::default(), &rng.split());
    assert!(stack.add_address(ours));

    let mut card = Card::default();
    let mut settings = iface::Config::new(HardwareAddress::Ip);
    settings.random_seed = rng.next_u64();
    let mut interface = Interface::new(settings, &mut card, smoltcp_instant(Instant::ORIGIN));
    let length = if v6 { 64 } else { 24 };
    interface.update_ip_addrs(|list| list.push(IpCidr::new(IpAddress::from(theirs), length)).unwrap());
    let mut sockets = SocketSet::new(Vec::new());
    let buffer = || tcp::SocketBuffer::new(vec![0; 64 * 1024]);
    let socket = sockets.add(tcp::Socket::new(buffer(), buffer()));

    let mut accepting = None;
    let mut connection = None;
    match opener {
        Opener::Ours => {
            sockets.get_mut::<tcp::Socket<'_>>(socket).listen(PORT).unwrap();
            connection = Some(stack.connect(Instant::ORIGIN, (theirs, PORT).into(), config()).unwrap());
        }
        Opener::Theirs => {
            let listen = ListenerConfig { connection: config(), ..ListenerConfig::default() };
            accepting = Some(stack.listen((ours, PORT).into(), listen).unwrap());
            let remote = IpEndpoint::new(IpAddress::from(ours), PORT);
            let context = interface.context();
            sockets.get_mut::<tcp::Socket<'_>>(socket).connect(context, remote, 49_152).unwrap();
        }
    }
    let mut run = Run {
        now: Instant::ORIGIN,
        stack,
        interface,
        sockets,
        socket,
        card,
        to_peer: Wire::new(&mut rng, loss),
        from_peer: Wire::new(&mut rng, loss),
        ours: Application::new(&contents[0]),
        theirs: Application::new(&contents[1]),
        closed: None,
    };
    let end = Instant::from_secs(3600);
    while run.now < end {
        if let Some(listener) = accepting
            && connection.is_none()
        {
            connection = run.stack.accept(listener);
        }
        run.peer();
        if let Some(handle) = connection {
            run.our_application(handle);
        }
        run.stack_packets();
        let peer_is_done =
            matches!(run.sockets.get::<tcp::Socket<'_>>(run.socket).state(), tcp::State::Closed | tcp::State::TimeWait);
        if run.closed.is_some() && peer_is_done {
            return run;
        }
        run.wait();
    }
    panic!("seed {seed}, {opener:?} opens, v6 {v6}: not done after an hour of virtual time");
}

impl Run {
    /// The peer's stack and application.
    fn peer(&mut self) {
        while let Some(packet) = self.to_peer.deliver(self.now) {
            self.card.incoming.push_back(packet);
        }
        loop {
            self.interface.poll(smoltcp_instant(self.now), &mut self.card, &mut self.sockets);
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.socket);
            let mut moved = false;
            while socket.can_recv() {
                let received = &mut self.theirs.received;
                moved |= socket.recv(|bytes| (bytes.len(), received.extend_from_slice(bytes))).is_ok();
            }
            if socket.can_send() && !self.theirs.unsent.is_empty() {
                let n = socket.send_slice(&self.theirs.unsent).unwrap();
                self.theirs.unsent = self.theirs.unsent.slice(n..);
                moved |= n > 0;
            }
            if socket.may_send() && self.theirs.unsent.is_empty() && !self.theirs.finished {
                self.theirs.finished = true;
                socket.close();
                moved = true;
            }
            if !moved && self.card.incoming.is_empty() {
                break;
            }
        }
        while let Some(packet) = self.card.outgoing.pop_front() {
            self.from_peer.send(self.now, packet);
        }
    }

    fn our_application(&mut self, handle: drywire::tcp::ConnectionHandle) {
        let Some(connection) = self.stack.connection_mut(handle) else { return };
        while let Some(event) = connection.poll_event() {
            if let Event::Closed(reason) = event {
                self.closed = Some(reason);
            }
        }
        let recv = connection.recv();
        let len = recv.len();
        self.ours.received.extend_from_slice(&recv.take(len));
        if connection.state() == State::Established || connection.state() == State::CloseWait {
            let n = connection.send_room().min(self.ours.unsent.len());
            if n > 0 {
                connection.send(self.ours.unsent.split_to(n)).unwrap();
            }
            if self.ours.unsent.is_empty() && !self.ours.finished {
                self.ours.finished = true;
                connection.shutdown();
            }
        }
    }

    fn stack_packets(&mut self) {
        while let Some(packet) = self.from_peer.deliver(self.now) {
            self.stack.handle_packet(self.now, &packet);
        }
        self.stack.handle_timeout(self.now);
        while let Some(StackEvent::Connection(_) | StackEvent::Accept(_) | StackEvent::Datagram(_)) =
            self.stack.poll_event()
        {}
        let mut out = BytesMut::new();
        while self.stack.poll_transmit(self.now, &mut out).is_some() {
            self.to_peer.send(self.now, out.split().to_vec());
        }
    }

    /// On to the next thing that can happen, in steps of a millisecond at most while applications may act.
    fn wait(&mut self) {
        let wires =
            [&self.to_peer, &self.from_peer].into_iter().filter_map(|wire| wire.packets.front().map(|(at, _)| *at));
        let peer = self.interface.poll_at(smoltcp_instant(self.now), &self.sockets);
        let peer = peer.map(|at| Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)));
        let next = wires.chain(peer).chain(self.stack.poll_timeout()).min();
        let soonest = self.now + Duration::from_micros(100);
        self.now = next.unwrap_or(soonest).clamp(soonest, self.now + Duration::from_secs(1));
    }
}

fn content(rng: &mut Rng, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes.into()
}

#[track_caller]
fn exchange(loss: u64, seeds: u64, largest: u64) {
    for seed in 0..seeds {
        for (opener, v6) in
            [(Opener::Ours, false), (Opener::Theirs, false), (Opener::Ours, true), (Opener::Theirs, true)]
        {
            let mut rng = Rng::new(&Seed::from(seed + 1000));
            let contents = [(); 2].map(|()| {
                let len = rng.below(largest) as usize;
                content(&mut rng, len)
            });
            let run = run(seed, opener, v6, loss, &contents);
            let name = format!("seed {seed}, {opener:?} opens, v6 {v6}");
            assert!(run.theirs.received == contents[0], "{name}: what the peer received differs");
            assert!(run.ours.received == contents[1], "{name}: what we received differs");
            assert_eq!(run.closed, Some(CloseReason::Normal), "{name}");
        }
    }
}

#[test]
fn both_roles_over_a_perfect_wire() {
    exchange(0, 4, 1 << 20);
}

#[test]
fn both_roles_over_a_wire_that_loses_five_in_a_hundred() {
    exchange(5, 10, 200_000);
}
