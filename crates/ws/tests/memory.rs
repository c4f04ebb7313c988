//! What an idle connection holds, counted by the allocator.

mod common;

use std::alloc::System;

use common::*;
use drywire_core::{RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_ws::deflate::{Compression, Parameters, Pool};
use drywire_ws::{Config, Connection, Event, Message, Role};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}

/// One message echoed, and what a driver does when a connection becomes idle.
fn echo(end: &mut End, wire: &[u8]) {
    for event in end.receive(wire).unwrap() {
        let Event::Message(message) = event else { panic!("a message") };
        end.machine.send(message).unwrap();
    }
    assert!(!end.machine.transmit().is_empty());
    end.machine.transmit().clear();
    end.recv.release();
    end.machine.transmit().release();
}

/// One test, since the counts are the process's.
#[test]
fn law_3_an_idle_connection_holds_less_than_half_a_kibibyte() {
    let pool = Pool::default();
    let config = || Config { compression: Compression { threshold: 0, ..Compression::default() }, ..Config::default() };
    let new = |role, agreed| {
        let machine = Connection::new(NOW, role, config(), &Seed::from(1), SendQueue::new(64 * 1024));
        End { machine: machine.with_deflate(agreed, &pool), recv: RecvBuf::new() }
    };
    let compressed = {
        let mut sender = new(Role::Server, Some(Parameters::no_context_takeover()));
        sender.machine.send_text("hello hello").unwrap();
        sender.sent()
    };
    for role in [Role::Server, Role::Client] {
        for (agreed, limit) in
            [(None, 512), (Some(Parameters::no_context_takeover()), 1024), (Some(Parameters::default()), 440 * 1024)]
        {
            let wire = match (role, agreed) {
                (Role::Server, _) => masked(TEXT, b"hello"),
                (Role::Client, None) => plain(TEXT, b"hello"),
                (Role::Client, Some(_)) => compressed.clone(),
            };
            // What the pool takes for the first time is the pool's.
            echo(&mut new(role, agreed), &wire);
            let region = Region::new(ALLOCATOR);
            let mut end = new(role, agreed);
            let before = held(&region);
            echo(&mut end, &wire);
            let idle = held(&region);
            println!("{role}, {agreed:?}: {} inline, {before} at first, {idle} bytes idle", size_of::<End>());
            assert!(idle <= limit, "{role}, {agreed:?}: {idle} bytes");
        }
    }
    assert_eq!(pool.idle(), (1, 1));
    // The connection itself with its receive buffer, wherever its owner has them.
    assert!(size_of::<End>() <= 512);

    // Small messages are copied out of the receive buffer, one allocation each: kept, they hold their own bytes only.
    let mut server = new(Role::Server, None);
    let region = Region::new(ALLOCATOR);
    server.recv.extend_from_slice(&masked(BINARY, &[7; 20]).repeat(1000));
    let mut kept = Vec::with_capacity(1000);
    let list = size_of::<Message>() * kept.capacity();
    let before = region.change().allocations;
    while let Some(Event::Message(message)) = server.machine.poll_event(NOW, &mut server.recv).unwrap() {
        kept.push(message);
    }
    assert_eq!((kept.len(), region.change().allocations - before), (1000, 1000));
    server.recv.release();
    assert_eq!(held(&region), list + 20 * 1000);

    // A message in pieces takes at most twice what has arrived of it, whatever its frame announces.
    for opcode in [TEXT, BINARY] {
        let mut server = new(Role::Server, None);
        let wire = masked(opcode, &vec![b'x'; 1 << 20]);
        let region = Region::new(ALLOCATOR);
        for (n, piece) in wire.chunks(1000).enumerate() {
            let events = server.receive(piece).unwrap();
            server.recv.release();
            if events.is_empty() {
                let (arrived, held) = (1000 * (n + 1), held(&region));
                assert!(held <= 2 * arrived + 512, "{held} bytes for {arrived}");
            }
        }
        assert_eq!(held(&region), 0);
    }
}
