//! What an idle connection costs: every byte that the allocator gives, counted.

use std::alloc::System;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drywire_core::{Instant, Seed};
use drywire_tcp::{Config, ListenerConfig, Stack, StackConfig, State};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 8192;
const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const B: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), 80);

fn exchange(now: Instant, a: &mut Stack, b: &mut Stack) {
    let mut packet = BytesMut::new();
    loop {
        packet.clear();
        if a.poll_transmit(now, &mut packet).is_some() {
            b.handle_packet(now, &packet);
        } else if b.poll_transmit(now, &mut packet).is_some() {
            a.handle_packet(now, &packet);
        } else {
            return;
        }
    }
}

/// The only test of this file, as the allocator counts for all threads.
#[test]
fn law_3_an_idle_established_connection_takes_at_most_one_kibibyte() {
    let mut now = Instant::ORIGIN;
    let config = StackConfig { ephemeral_ports: 1024..=65_535, ..StackConfig::default() };
    let (mut a, mut b) = (Stack::new(config.clone(), &Seed::from(1)), Stack::new(config, &Seed::from(2)));
    a.add_address(A);
    b.add_address(B.ip());
    let listener = b.listen(B, ListenerConfig { backlog: CONNECTIONS, ..ListenerConfig::default() }).unwrap();

    let region = Region::new(ALLOCATOR);
    let mut handles = Vec::with_capacity(2 * CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let client = a.connect(now, B, Config::default()).unwrap();
        exchange(now, &mut a, &mut b);
        let server = b.accept(listener).unwrap();
        // Each has been used both ways.
        a.connection_mut(client).unwrap().send(Bytes::from_static(&[7; 5000])).unwrap();
        exchange(now, &mut a, &mut b);
        let recv = b.connection_mut(server).unwrap().recv();
        let bytes = recv.take(recv.len());
        b.connection_mut(server).unwrap().send(bytes).unwrap();
        exchange(now, &mut a, &mut b);
        a.connection_mut(client).unwrap().recv().skip(5000);
        handles.push((client, server));
    }
    for _ in 0..100 {
        exchange(now, &mut a, &mut b);
        now += Duration::from_millis(50);
        a.handle_timeout(now);
        b.handle_timeout(now);
    }
    while a.poll_event().is_some() || b.poll_event().is_some() {}
    for (client, server) in &handles {
        assert_eq!(a.connection(*client).unwrap().state(), State::Established);
        assert_eq!(b.connection(*server).unwrap().state(), State::Established);
    }
    let held = region.change();
    let held = held.bytes_allocated - held.bytes_deallocated - size_of_val(&handles[..]);
    let each = held / (2 * CONNECTIONS);
    println!("{each} bytes a connection");
    assert!(each <= 1024, "{each} bytes a connection");
}
