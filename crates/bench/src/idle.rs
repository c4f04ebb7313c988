//! Many idle connections: what each takes, and what they cost an active one.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use drywire_core::Instant;
use drywire_tcp::{ConnectionHandle, ListenerConfig};

use crate::ALLOCATOR;
use crate::bulk::{Run, transfer};
use crate::drywire_host::{CLIENT, DrywireHost, PORT, config};
use crate::host::Host;
use crate::smoltcp_host::{self, SmoltcpHost};
use crate::wire::Wire;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Numbers of idle connections.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10_000, 100_000])]
    connections: Vec<usize>,
    /// What the active connection sends, in MiB.
    #[arg(long, default_value_t = 128)]
    mib: u64,
    /// Up to so many idle connections smoltcp runs, too: each packet looks at all of its sockets.
    #[arg(long, default_value_t = 10_000)]
    smoltcp_up_to: usize,
}

/// The buffers of the active connection, and what drywire's idle ones may use when they wake up.
const BUFFER: usize = 256 * 1024;
/// smoltcp's sockets own their buffers from the first moment: small ones for the idle connections.
const SMALL_BUFFER: usize = 4096;
/// How many handshakes run at a time.
const BATCH: usize = 1000;

pub(crate) fn run(arguments: &Arguments) {
    if !cfg!(feature = "count") {
        println!("bytes are counted only where the feature `count` is on");
    }
    println!("{:>8} {:>12} {:>20} {:>14}", "side", "connections", "bytes a connection", "ns a packet");
    let row = |side: &str, connections: usize, in_use: usize, run: &Run| {
        // Both ends are here.
        let each = if connections == 0 { 0 } else { in_use / (2 * connections) };
        println!("{side:>8} {connections:>12} {each:>20} {:>14.1}", run.nanos_per_packet());
    };
    for &connections in &arguments.connections {
        let before = in_use();
        let hosts = drywire(connections);
        let taken = in_use() - before;
        row("drywire", connections, taken, &transfer(activate(hosts), arguments.mib << 20));
    }
    for &connections in arguments.connections.iter().filter(|it| **it <= arguments.smoltcp_up_to) {
        let before = in_use();
        let hosts = smoltcp(connections);
        let taken = in_use() - before;
        // A hundredth tells enough where it takes a hundred times as long.
        let bytes = if connections == 0 { arguments.mib << 20 } else { (arguments.mib << 20) / 64 };
        row("smoltcp", connections, taken, &transfer(wake(hosts), bytes));
    }
}

/// The bytes that are allocated now.
fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Carries packets until both hosts are silent.
fn settle<H: Host>(now: Instant, client: &mut H, server: &mut H, wires: &mut (Wire, Wire)) {
    let (there, back) = wires;
    loop {
        client.ingress(now, back, there);
        client.egress(now, there);
        let silent = there.is_empty();
        server.ingress(now, there, back);
        server.egress(now, back);
        if silent && back.is_empty() {
            return;
        }
    }
}

/// A server address for so many connections: each has its own ephemeral ports.
const PORTS: usize = 10_000;

fn server_address(connection: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 1, (connection / PORTS) as u8 + 1))
}

/// Two stacks with idle connections between them.
fn drywire(connections: usize) -> (DrywireHost, DrywireHost) {
    let (mut client, mut server) = (DrywireHost::new(CLIENT, 1), DrywireHost::new(server_address(0), 2));
    for first in (0..=connections).step_by(PORTS) {
        server.stack.add_address(server_address(first));
    }
    let listener = server.listen(ListenerConfig {
        connection: config(BUFFER),
        backlog: BATCH,
        syn_queue: BATCH,
        max_replies: BATCH,
        ..ListenerConfig::default()
    });
    let mut wires = (Wire::default(), Wire::default());
    let mut now = Instant::ORIGIN;
    for first in (0..connections).step_by(BATCH) {
        let batch: Vec<ConnectionHandle> = (first..connections.min(first + BATCH))
            .map(|n| {
                let to = SocketAddr::new(server_address(n), PORT);
                client.stack.connect(now, to, config(BUFFER)).expect("there are ports enough")
            })
            .collect();
        settle(now, &mut client, &mut server, &mut wires);
        for handle in batch {
            let state = client.stack.connection(handle).map(drywire_tcp::Connection::state);
            assert_eq!(state, Some(drywire_tcp::State::Established));
        }
        while server.stack.accept(listener).is_some() {}
        server.connection = None;
        // Whatever waits for a moment, such as a delayed acknowledgment, is over.
        now = Instant::from_nanos(now.as_nanos() + 1_000_000_000);
        settle(now, &mut client, &mut server, &mut wires);
    }
    assert_eq!((client.stack.connections(), server.stack.connections()), (connections, connections));
    (client, server)
}

/// Opens one connection more.
fn activate((mut client, server): (DrywireHost, DrywireHost)) -> (DrywireHost, DrywireHost) {
    let to = SocketAddr::new(server_address(0), PORT);
    client.connection = client.stack.connect(Instant::ORIGIN, to, config(BUFFER)).ok();
    (client, server)
}

/// The same with smoltcp.
fn smoltcp(connections: usize) -> (SmoltcpHost, SmoltcpHost) {
    let (mut client, mut server) = (SmoltcpHost::new(smoltcp_host::CLIENT), SmoltcpHost::new(smoltcp_host::SERVER));
    let mut wires = (Wire::default(), Wire::default());
    for n in 0..connections {
        server.listen(SMALL_BUFFER);
        client.connect(1024 + n as u16, SMALL_BUFFER);
    }
    settle(Instant::ORIGIN, &mut client, &mut server, &mut wires);
    settle(Instant::from_secs(1), &mut client, &mut server, &mut wires);
    (client, server)
}

fn wake((mut client, mut server): (SmoltcpHost, SmoltcpHost)) -> (SmoltcpHost, SmoltcpHost) {
    server.handle = Some(server.listen(BUFFER));
    client.handle = Some(client.connect(65_000, BUFFER));
    (client, server)
}
