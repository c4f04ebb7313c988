//! A host that opens connections, on a link in memory, in virtual time: another stack is the peer.

mod common;

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use common::{Echo, Memory, OURS, PEERS, link};
use drywire_core::{Bytes, BytesMut, Instant};
use drywire_tcp::{Config, ConnectionHandle, ListenerConfig, State};
use drywire_tun::{DriveError, Host, HostConfig, HostEvent, Turn};

type EchoHost = Host<Memory, Echo>;

fn second(n: u64) -> Instant {
    Instant::ORIGIN + Duration::from_secs(n)
}

fn connect(host: &mut EchoHost, port: u16, config: Config) -> ConnectionHandle {
    let echo = Echo::new(host.now());
    host.connect(format!("{PEERS}:{port}").parse().unwrap(), config, echo).unwrap()
}

/// Goes on until there is something to tell.
fn next(host: &mut EchoHost) -> HostEvent<Echo> {
    loop {
        if let Some(event) = host.next(None).unwrap() {
            return event;
        }
    }
}

#[test]
fn connections_that_we_open_carry_bytes_and_close_also_under_loss() {
    for lose in [usize::MAX, 20] {
        let (device, stack, peer) = link(lose);
        let text: Bytes = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let back = Rc::new(RefCell::new(BytesMut::new()));
        let listener = peer.borrow_mut().stack.listen("0.0.0.0:7".parse().unwrap(), ListenerConfig::default()).unwrap();
        // The peer sends a text, which our machine echoes, and closes when everything has come back.
        let (mut left, heard, mut at_peer) = (text.clone(), Rc::clone(&back), None);
        peer.borrow_mut().script = Box::new(move |stack, _| {
            at_peer = at_peer.or_else(|| stack.accept(listener));
            let Some(connection) = at_peer.and_then(|handle| stack.connection_mut(handle)) else { return };
            let room = connection.send_room().min(left.len());
            connection.send(left.split_to(room)).ok();
            let recv = connection.recv();
            heard.borrow_mut().extend_from_slice(&recv.take(recv.len()));
            if left.is_empty() && heard.borrow().len() == 300_000 {
                connection.shutdown();
            }
        });
        let mut host = Host::new(device, stack);
        let handle = connect(&mut host, 7, Config::default());
        assert!(matches!(next(&mut host), HostEvent::Connected(connected) if connected == handle));
        assert_eq!(host.peer(handle), Some("192.0.2.1:7".parse().unwrap()));
        loop {
            match next(&mut host) {
                HostEvent::Turn(_, Ok(Turn::Closed)) => break,
                HostEvent::Turn(_, Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(back.borrow()[..] == text[..], "other bytes came back");
        assert!(host.close(Duration::from_secs(5)).unwrap());
        assert_eq!((host.connections(), host.machine(handle).is_none()), (0, true));
    }
}

#[test]
fn nothing_is_told_to_have_left_before_there_is_a_connection() {
    let (device, stack, peer) = link(usize::MAX);
    let mut host = Host::new(device, stack);
    let handle = connect(&mut host, 7, Config::default());
    host.machine_mut(handle).unwrap().send.push(Bytes::from_static(b"early"));
    // Nobody listens yet, and the peer is silent for three seconds.
    peer.borrow_mut().stack = {
        let mut silent = drywire_tcp::Stack::new(drywire_tcp::StackConfig::default(), &3.into());
        silent.add_address("192.0.2.9".parse().unwrap());
        silent
    };
    peer.borrow_mut().script = Box::new(|stack, now| {
        if now >= second(3) && stack.add_address(PEERS.parse().unwrap()) {
            stack.listen("0.0.0.0:7".parse().unwrap(), ListenerConfig::default()).unwrap();
        }
    });
    assert!(matches!(next(&mut host), HostEvent::Connected(_)));
    assert!(host.now() >= second(3));
    assert_eq!(host.machine(handle).unwrap().send.len(), 5);
    assert!(matches!(next(&mut host), HostEvent::Turn(_, Ok(Turn::Flushed))));
    assert_eq!(host.machine(handle).unwrap().send.len(), 0);
}

#[test]
fn a_refused_connection_is_told_as_an_error() {
    let (device, stack, _peer) = link(usize::MAX);
    let mut host = Host::new(device, stack);
    let handle = connect(&mut host, 9, Config::default());
    let HostEvent::Turn(told, Err(DriveError::Io(error))) = next(&mut host) else { panic!("it is not refused") };
    assert_eq!((told, error.kind()), (handle, ErrorKind::ConnectionRefused));
    assert!(host.close(Duration::ZERO).unwrap(), "nothing is left to wait for");
}

#[test]
fn a_silent_peer_is_given_up() {
    let (device, stack, _peer) = link(1);
    let mut host = Host::new(device, stack);
    let silent = Echo { due: None, ..Echo::new(host.now()) };
    let config = Config { syn_retries: 2, ..Config::default() };
    host.connect("192.0.2.1:7".parse().unwrap(), config, silent).unwrap();
    let HostEvent::Turn(_, Err(DriveError::Io(error))) = next(&mut host) else { panic!("it is there") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(host.now().as_millis() / 1000, 7, "after 1, 2 and 4 seconds");
}

/// The peer has opened `n` connections to port 7.
fn with_clients(n: usize, config: HostConfig) -> (EchoHost, Rc<RefCell<common::Peer>>, Vec<ConnectionHandle>) {
    let (device, stack, peer) = link(usize::MAX);
    let mut host = Host::with_config(device, stack, config);
    host.listen(format!("{OURS}:7").parse().unwrap(), ListenerConfig::default()).unwrap();
    let remote = format!("{OURS}:7").parse().unwrap();
    let open = |_| peer.borrow_mut().stack.connect(Instant::ORIGIN, remote, Config::default()).unwrap();
    let clients = (0..n).map(open).collect();
    (host, peer, clients)
}

#[test]
fn an_incoming_connection_without_a_machine_is_reset() {
    let (mut host, peer, clients) = with_clients(1, HostConfig::default());
    let HostEvent::Incoming(incoming) = next(&mut host) else { panic!("nothing comes in") };
    let handle = incoming.handle;
    while !host.is_idle() {
        host.next(None).unwrap();
    }
    assert_eq!(peer.borrow().stack.connection(clients[0]).unwrap().state(), State::Closed);
    // Too late.
    assert!(!host.accept(handle, Echo::new(Instant::ORIGIN)));
}

#[test]
fn no_more_are_accepted_than_there_may_be() {
    let mut config = HostConfig::default();
    config.max_connections = 2;
    let (mut host, ..) = with_clients(3, config);
    let mut handles = vec![];
    for _ in 0..2 {
        let HostEvent::Incoming(incoming) = next(&mut host) else { panic!("nothing comes in") };
        assert!(host.accept(incoming.handle, Echo::new(incoming.now)));
        handles.push(incoming.handle);
    }
    while host.now() < second(2) {
        assert!(host.next(Some(second(2))).unwrap().is_none());
    }
    host.release(handles[0]);
    assert!(matches!(next(&mut host), HostEvent::Incoming(_)));
}

#[test]
fn commands_from_outside_a_turn_are_carried_out() {
    let (mut host, peer, clients) = with_clients(2, HostConfig::default());
    let mut handles = vec![];
    for _ in 0..2 {
        let HostEvent::Incoming(incoming) = next(&mut host) else { panic!("nothing comes in") };
        host.accept(incoming.handle, Echo::new(incoming.now));
        handles.push((incoming.handle, incoming.peer.port()));
    }
    let told = |n: usize| {
        let stack = &mut peer.borrow_mut().stack;
        let recv = stack.connection_mut(clients[n]).unwrap().recv();
        recv.take(recv.len())
    };
    for (handle, _) in &handles {
        host.machine_mut(*handle).unwrap().send.push(Bytes::from_static(b"news"));
        let waker = host.waker(*handle);
        waker.wake_by_ref();
        waker.wake();
    }
    let (mut flushed, mut woken) = (0, 0);
    while (flushed, woken) != (2, 2) {
        match next(&mut host) {
            HostEvent::Turn(_, Ok(Turn::Flushed)) => flushed += 1,
            HostEvent::Turn(_, Ok(Turn::Woken)) => woken += 1,
            other => panic!("{other:?}"),
        }
    }
    host.next(None).unwrap();
    assert_eq!([told(0), told(1)], ["news", "news"]);
}

#[test]
fn an_abort_resets_every_connection() {
    let (mut host, peer, clients) = with_clients(3, HostConfig::default());
    for _ in 0..3 {
        let HostEvent::Incoming(incoming) = next(&mut host) else { panic!("nothing comes in") };
        host.accept(incoming.handle, Echo::new(incoming.now));
    }
    assert_eq!(host.abort().unwrap(), 3);
    assert!(host.is_idle());
    for client in clients {
        assert_eq!(peer.borrow().stack.connection(client).unwrap().state(), State::Closed);
    }
}
