//! The server on a link in memory, in virtual time: another stack is the peer.

mod common;

use std::time::Duration;

use common::{Echo, Script, link};
use drywire_core::{Bytes, BytesMut, Instant};
use drywire_tcp::{Config, ConnectionHandle, ListenerConfig, Stack};
use drywire_tun::{Server, ShutdownHandle, Turn};

const SERVER: &str = "192.0.2.2:7";

/// Runs an echo server until the script stops it. Returns how many connections were aborted, and how many bytes came.
fn run(lose: usize, script: impl FnOnce(&mut Stack, ShutdownHandle) -> Script) -> (usize, usize) {
    let (device, stack, peer) = link(lose);
    let mut server = Server::new(device, stack);
    server.listen(SERVER.parse().unwrap(), ListenerConfig::default()).unwrap();
    let script = script(&mut peer.borrow_mut().stack, server.shutdown_handle());
    peer.borrow_mut().script = script;
    let mut bytes = 0;
    let stopped = server
        .run(
            |incoming| Echo::new(incoming.now),
            |served, turn| match turn {
                Ok(Turn::Event(n)) => bytes += n,
                Ok(Turn::Woken) if served.is_shutting_down() => served.machine_mut().ended = true,
                Ok(_) | Err(_) => {}
            },
        )
        .unwrap();
    (stopped.aborted, bytes)
}

fn connect(stack: &mut Stack) -> ConnectionHandle {
    stack.connect(Instant::ORIGIN, SERVER.parse().unwrap(), Config::default()).unwrap()
}

#[test]
fn what_is_sent_comes_back_and_both_close_in_order_also_under_loss() {
    for lose in [usize::MAX, 20] {
        let data: Bytes = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let length = data.len();
        let (aborted, bytes) = run(lose, |stack, shutdown| {
            let mut clients: Vec<_> = (0..3).map(|_| (connect(stack), data.clone(), BytesMut::new())).collect();
            Box::new(move |stack, _| {
                clients.retain_mut(|(handle, left, back)| {
                    let connection = stack.connection_mut(*handle).unwrap();
                    if left.is_empty() {
                        connection.shutdown();
                    } else {
                        let room = connection.send_room().min(left.len());
                        connection.send(left.split_to(room)).unwrap();
                    }
                    let recv = connection.recv();
                    back.extend_from_slice(&recv.take(recv.len()));
                    if !recv.is_finished() {
                        return true;
                    }
                    assert!(*back == data, "other bytes came back");
                    stack.release(*handle);
                    false
                });
                if clients.is_empty() {
                    shutdown.shutdown();
                }
            })
        });
        assert_eq!((aborted, bytes), (0, 3 * length));
    }
}

#[test]
fn a_machines_deadline_closes_an_idle_connection() {
    let (aborted, _) = run(usize::MAX, |stack, shutdown| {
        let client = connect(stack);
        Box::new(move |stack, now| {
            if stack.connection_mut(client).is_some_and(|connection| connection.recv().is_finished()) {
                assert!(now >= Instant::ORIGIN + Duration::from_secs(10));
                stack.release(client);
                shutdown.shutdown();
            }
        })
    });
    assert_eq!(aborted, 0);
}

#[test]
fn a_shutdown_wakes_every_connection() {
    let (aborted, _) = run(usize::MAX, |stack, shutdown| {
        let client = connect(stack);
        Box::new(move |stack, now| {
            if now >= Instant::ORIGIN + Duration::from_secs(2) {
                shutdown.shutdown();
                if stack.connection_mut(client).is_some_and(|connection| connection.recv().is_finished()) {
                    stack.release(client);
                }
            }
        })
    });
    assert_eq!(aborted, 0);
}
