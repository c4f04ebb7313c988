//! A hundred thousand connections cost no linear scan: what is looked at for one packet, call or time-out is counted, and
//! is no more among 100,000 connections than among 1,000, but for the depth of a heap.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::{Config, ConnectionHandle, KeepAlive, ListenerConfig, ListenerHandle, Stack, StackConfig, State};
use drywire::{Bytes, BytesMut, Instant, Seed};
use drywire_tcp::visits;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const THERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
/// Between one call and the next, so that no two deadlines fall together.
const STEP: Duration = Duration::from_micros(20);
const TIME_WAIT: Duration = Duration::from_secs(60);

/// Two stacks, and the connections between them.
struct Pair {
    now: Instant,
    stacks: [Stack; 2],
    listener: ListenerHandle,
    clients: Vec<ConnectionHandle>,
    servers: Vec<ConnectionHandle>,
    out: BytesMut,
}

fn config() -> Config {
    // Every idle connection has a timer.
    Config { keep_alive: Some(KeepAlive::default()), time_wait: TIME_WAIT, ..Config::default() }
}

impl Pair {
    fn new(connections: usize) -> Self {
        // One port more for each connection than the client's range has.
        let stack = |seed: u64, address: IpAddr| {
            let config = StackConfig { ephemeral_ports: 1024..=65_535, ..StackConfig::default() };
            let mut stack = Stack::new(config, &Seed::from(seed));
            assert!(stack.add_address(address));
            stack
        };
        let mut stacks = [stack(1, HERE), stack(2, THERE.ip())];
        let listen = ListenerConfig { connection: config(), ..ListenerConfig::default() };
        let anyone = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), THERE.port());
        let listener = stacks[1].listen(anyone, listen).unwrap();
        let (clients, servers) = (vec![], vec![]);
        let mut pair = Self { now: Instant::ORIGIN, stacks, listener, clients, servers, out: BytesMut::new() };
        for number in 0..connections {
            pair.open(number);
        }
        pair
    }

    /// 50,000 connections for each of the client's addresses.
    fn open(&mut self, number: usize) {
        self.tick();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 1, (number / 50_000) as u8));
        self.stacks[0].add_address(address);
        let client = self.stacks[0].connect_from(self.now, SocketAddr::new(address, 0), THERE, config()).unwrap();
        self.exchange();
        self.clients.push(client);
        self.servers.push(self.stacks[1].accept(self.listener).unwrap());
        assert_eq!(self.stacks[0].connection(client).unwrap().state(), State::Established);
    }

    /// What is due is handled when it is due.
    fn tick(&mut self) {
        self.now += STEP;
        for stack in &mut self.stacks {
            stack.handle_timeout(self.now);
        }
        self.exchange();
    }

    fn exchange(&mut self) {
        let mut packets = VecDeque::new();
        loop {
            for side in 0..2 {
                while self.stacks[side].poll_transmit(self.now, &mut self.out).is_some() {
                    packets.push_back((1 - side, self.out.split().freeze()));
                }
                while self.stacks[side].poll_event().is_some() {}
            }
            let Some((to, packet)) = packets.pop_front() else { return };
            self.stacks[to].handle_packet(self.now, &packet);
        }
    }

    /// A request and its answer; and all timers that fall due.
    fn request(&mut self, number: usize) {
        self.tick();
        for (side, handle) in [self.clients[number], self.servers[number]].into_iter().enumerate() {
            self.stacks[side].connection_mut(handle).unwrap().send(Bytes::from_static(b"ping")).unwrap();
            self.exchange();
        }
        for (side, handle) in [self.clients[number], self.servers[number]].into_iter().enumerate() {
            let recv = self.stacks[side].connection_mut(handle).unwrap().recv();
            assert_eq!(recv.take(100), "ping");
        }
        self.exchange();
    }

    /// The client closes, the server closes, the client's end waits.
    fn close(&mut self, number: usize) {
        self.tick();
        let (client, server) = (self.clients[number], self.servers[number]);
        self.stacks[0].connection_mut(client).unwrap().shutdown();
        self.exchange();
        self.stacks[1].connection_mut(server).unwrap().shutdown();
        self.exchange();
        self.stacks[0].release(client);
        self.stacks[1].release(server);
        self.exchange();
    }
}

/// The most entries that one of the calls looks at.
fn most(times: usize, mut call: impl FnMut(usize)) -> u64 {
    let count = |number| {
        let before = visits();
        call(number);
        visits() - before
    };
    (0..times).map(count).max().unwrap()
}

/// What is looked at among so many connections: for a request, for a new connection, for the end of one, for a time-out.
fn work(connections: usize) -> [(&'static str, u64); 5] {
    let mut pair = Pair::new(connections);
    assert_eq!([pair.stacks[0].connections(), pair.stacks[1].connections()], [connections; 2]);
    // All over the tables.
    let somewhere = |number: usize| number * 7919 % connections;
    let request = most(200, |number| pair.request(somewhere(number)));
    let open = most(100, |number| pair.open(connections + number));
    let close = most(100, |number| pair.close(somewhere(number)));
    assert_eq!(pair.stacks[0].time_waits(), 100);
    // Deadlines one by one, of which some have only moved away: those of TIME-WAIT are the first that do something.
    let time_out = |pair: &mut Pair| {
        pair.now = pair.stacks[0].poll_timeout().unwrap();
        pair.stacks[0].handle_timeout(pair.now);
        pair.exchange();
    };
    let mut timeout = 0;
    while pair.stacks[0].time_waits() > 0 {
        timeout = timeout.max(most(1, |_| time_out(&mut pair)));
    }
    // Then comes a keep-alive probe of each connection, and its answer.
    let probed = pair.stacks[1].statistics().segments;
    let mut probe = 0;
    while pair.stacks[1].statistics().segments < probed + 100 {
        probe = probe.max(most(1, |_| time_out(&mut pair)));
    }
    [("request", request), ("open", open), ("close", close), ("TIME-WAIT ends", timeout), ("probe", probe)]
}

#[test]
fn a_hundred_thousand_connections_cost_no_linear_scan() {
    let (few, many) = (work(1000), work(100_000));
    println!("among   1,000: {few:?}\namong 100,000: {many:?}");
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        // A heap of 100,000 is 7 levels deeper than one of 1,000; a call moves some deadlines, up and down.
        assert!(many <= few + 60, "{name}: {many} entries among 100,000 connections, {few} among 1,000");
        assert!(many < 500, "{name}: {many}");
    }
}
