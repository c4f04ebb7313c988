//! Real sockets on the loopback interface.

#![allow(clippy::disallowed_methods, reason = "servers run on threads of their own")]

#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use drywire_core::Instant;
use drywire_std::{DriveError, Driver, Server, ServerConfig, ShutdownHandle, Stopped, TcpTransport, Turn, connect};
use shared::{Lines, LinesConfig, Rule};

fn lines(now: Instant) -> Lines {
    Lines::new(now, LinesConfig::default())
}

struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: JoinHandle<std::io::Result<Stopped>>,
}

impl Running {
    fn stop(self) -> Stopped {
        self.shutdown.shutdown();
        self.thread.join().expect("the server does not panic").expect("the server ends in order")
    }
}

fn serve(config: ServerConfig, handler: impl Fn(TcpTransport, SocketAddr) + Send + Sync + 'static) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap().with_config(config);
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    Running { address, shutdown, thread: std::thread::spawn(move || server.run(handler)) }
}

/// Echoes until the peer or the shutdown ends it.
fn echo(transport: TcpTransport, _: SocketAddr) {
    let mut driver = Driver::new(lines(transport.now()), transport);
    while let Ok(Some(_)) = driver.next_event() {}
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

#[test]
fn echo_and_half_close() {
    let server = serve(ServerConfig::default(), echo);
    let mut client = connect(server.address, lines).unwrap();
    assert!(client.machine_mut().say(b"hello\n"));
    assert_eq!(client.next_event().unwrap().as_deref(), Some(&b"hello"[..]));
    drop(client);

    // The end of our direction reaches the server behind the bytes, and its answer still reaches us.
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"one\ntwo\n").unwrap();
    raw.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "one\ntwo\n");
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn megabytes_pass_a_slow_reader() {
    let server = serve(ServerConfig::default(), echo);
    let mut raw = TcpStream::connect(server.address).unwrap();
    let mut writing = raw.try_clone().unwrap();
    let line = [vec![b'x'; 999], vec![b'\n']].concat();
    let sent = line.repeat(8_000);
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || {
            writing.write_all(&sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut received = Vec::new();
    raw.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent);
    server.stop();
}

#[test]
fn an_abort_is_a_reset_for_the_peer() {
    let server = serve(ServerConfig::default(), echo);
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"abort\n").unwrap();
    let error = raw.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop();
}

#[test]
fn a_farewell_survives_unread_input() {
    let (errors, seen) = mpsc::channel();
    let server = serve(ServerConfig::default(), move |transport, _| {
        let mut driver = Driver::new(lines(transport.now()), transport);
        errors.send(driver.next_event()).unwrap();
    });
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(&[b"bad\n".to_vec(), vec![b'x'; 400_000]].concat()).unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "that was bad\n");
    drop(raw);
    assert!(matches!(seen.recv().unwrap(), Err(DriveError::Protocol(Rule::Bad))));
    server.stop();
}

#[test]
fn any_thread_wakes_a_parked_driver() {
    let server = serve(ServerConfig::default(), echo);
    let mut client = connect(server.address, lines).unwrap();
    let waker = client.waker();
    waker.wake_by_ref();
    assert_eq!(client.next_turn().unwrap(), Turn::Woken);
    let waking = std::thread::spawn(move || {
        waker.wake_by_ref();
        waker.wake();
    });
    assert_eq!(client.next_turn().unwrap(), Turn::Woken);
    waking.join().unwrap();
    drop(client);
    server.stop();
}

#[test]
fn a_shutdown_lets_the_exchange_in_flight_end() {
    let (woken, was_woken) = mpsc::channel();
    let server = serve(ServerConfig::default(), move |transport, _| {
        let mut driver = Driver::new(lines(transport.now()), transport);
        loop {
            match driver.next_turn().unwrap() {
                Turn::Woken => {
                    assert!(driver.is_shutting_down());
                    woken.send(()).unwrap();
                }
                // The exchange is over: so is the connection.
                Turn::Event(_) if driver.is_shutting_down() => {
                    while driver.next_turn().unwrap() != Turn::Flushed {}
                    break;
                }
                Turn::Closed => break,
                _ => {}
            }
        }
    });
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"first\nsecond, not yet ").unwrap();
    assert_eq!(read_line(&mut raw), "first\n");
    server.shutdown.shutdown();
    was_woken.recv().unwrap();
    raw.write_all(b"complete\n").unwrap();
    assert_eq!(read_line(&mut raw), "second, not yet complete\n");
    let address = server.address;
    assert_eq!(server.stop().aborted, 0);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_is_left_after_the_drain_is_aborted() {
    let (errors, seen) = mpsc::channel();
    let mut config = ServerConfig::default();
    config.drain = Duration::from_millis(50);
    let server = serve(config, move |transport, _| {
        let mut driver = Driver::new(lines(transport.now()), transport);
        errors
            .send(loop {
                match driver.next_event() {
                    Ok(_) => {}
                    Err(DriveError::Io(error)) => break error.kind(),
                    Err(error) => panic!("{error}"),
                }
            })
            .unwrap();
    });
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"hello\n").unwrap();
    assert_eq!(read_line(&mut raw), "hello\n");
    assert_eq!(server.stop().aborted, 1);
    assert_eq!(seen.recv().unwrap(), ErrorKind::ConnectionAborted);
    assert_eq!(raw.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_connection_beyond_the_limit_waits_for_one_to_end() {
    let mut config = ServerConfig::default();
    config.max_connections = 1;
    let server = serve(config, echo);
    let mut first = TcpStream::connect(server.address).unwrap();
    first.write_all(b"first\n").unwrap();
    assert_eq!(read_line(&mut first), "first\n");
    let mut second = TcpStream::connect(server.address).unwrap();
    second.write_all(b"second\n").unwrap();
    first.write_all(b"close\n").unwrap();
    assert_eq!(read_line(&mut first), "close\n");
    drop(first);
    assert_eq!(read_line(&mut second), "second\n");
    drop(second);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn a_panic_ends_its_connection_only() {
    let server = serve(ServerConfig::default(), |transport, peer| {
        let mut driver = Driver::new(lines(transport.now()), transport);
        while let Ok(Some(line)) = driver.next_event() {
            // Without the message that a panic prints.
            if &line[..] == b"panic" {
                std::panic::resume_unwind(Box::new(peer));
            }
        }
    });
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"panic\n").unwrap();
    assert!(matches!(raw.read(&mut [0; 16]), Ok(0)));
    let mut client = connect(server.address, lines).unwrap();
    assert!(client.machine_mut().say(b"still there\n"));
    assert_eq!(client.next_event().unwrap().as_deref(), Some(&b"still there"[..]));
    drop(client);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn one_handle_stops_two_servers() {
    let shutdown = ShutdownHandle::new();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let server = Server::bind("127.0.0.1:0").unwrap().with_shutdown(shutdown.clone());
            std::thread::spawn(move || server.run(echo))
        })
        .collect();
    shutdown.shutdown();
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap().aborted, 0);
    }
}

#[test]
fn an_address_that_nobody_listens_to_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(connect(address, lines).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let timeout = Some(Duration::from_secs(5));
    assert_eq!(TcpTransport::connect(address, timeout).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_deadline_wakes_a_parked_thread() {
    let server = serve(ServerConfig::default(), echo);
    let idle = Duration::from_millis(20);
    let config = LinesConfig { idle: Some(idle), ..LinesConfig::default() };
    let mut started = Instant::MAX;
    let mut client = connect(server.address, |now| {
        started = now;
        Lines::new(now, config)
    })
    .unwrap();
    assert!(matches!(client.next_event(), Err(DriveError::Protocol(Rule::Idle))));
    assert!(client.now() - started >= idle);
    drop(client);
    server.stop();
}
