//! The readiness loop on real sockets on the loopback interface.

#![allow(clippy::disallowed_methods, reason = "servers run on threads of their own")]

#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use drywire_core::Instant;
use drywire_std::poll::{Incoming, Loop, LoopConfig, LoopEvent, Plain, Served, Server, Sockets};
use drywire_std::{DriveError, ServerConfig, ShutdownHandle, Stopped, Turn, TurnResult};
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

fn serve(
    config: ServerConfig,
    mut accepted: impl FnMut(&Incoming) + Send + 'static,
    on_turn: impl FnMut(&mut Served<'_, Lines>, TurnResult<Lines>) + Send + 'static,
) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap().with_config(config);
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let thread = std::thread::spawn(move || {
        let accept = |incoming: Incoming| {
            accepted(&incoming);
            lines(incoming.now)
        };
        server.run(accept, on_turn)
    });
    Running { address, shutdown, thread }
}

/// Echoes until the peer or the shutdown ends it.
fn echo() -> Running {
    serve(ServerConfig::default(), |_| {}, |_, _| {})
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
    let server = echo();
    let mut streams: Vec<_> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for stream in &mut streams {
        stream.write_all(b"hello\n").unwrap();
    }
    for stream in &mut streams {
        assert_eq!(read_line(stream), "hello\n");
    }
    // The end of our direction reaches the server behind the bytes, and its answer still reaches us.
    let mut last = streams.pop().unwrap();
    last.write_all(b"one\ntwo\n").unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "one\ntwo\n");
    drop(streams);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn megabytes_pass_a_slow_reader_while_others_are_served() {
    let server = echo();
    let mut slow = TcpStream::connect(server.address).unwrap();
    let mut writing = slow.try_clone().unwrap();
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
    let mut other = TcpStream::connect(server.address).unwrap();
    for n in 0..100 {
        let mut some = vec![0; 10_000];
        slow.read_exact(&mut some).unwrap();
        received.extend(some);
        other.write_all(format!("{n}\n").as_bytes()).unwrap();
        assert_eq!(read_line(&mut other), format!("{n}\n"));
    }
    slow.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent);
    drop(other);
    server.stop();
}

#[test]
fn an_abort_is_a_reset_for_the_peer() {
    let server = echo();
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"abort\n").unwrap();
    let error = raw.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop();
}

#[test]
fn a_farewell_survives_unread_input_and_a_reset_is_told() {
    let (errors, seen) = mpsc::channel();
    let server = serve(
        ServerConfig::default(),
        |_| {},
        move |_, turn| {
            if let Err(error) = turn {
                errors.send(error).unwrap();
            }
        },
    );
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(&[b"bad\n".to_vec(), vec![b'x'; 400_000]].concat()).unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "that was bad\n");
    drop(raw);
    assert!(matches!(seen.recv().unwrap(), DriveError::Protocol(Rule::Bad)));

    // Closed with the answer unread, which resets the connection.
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"hello\n").unwrap();
    raw.peek(&mut [0]).unwrap();
    drop(raw);
    let DriveError::Io(error) = seen.recv().unwrap() else { panic!("it is not the connection") };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop();
}

#[test]
fn any_thread_wakes_any_connection() {
    let (wakers, given) = mpsc::channel::<Waker>();
    let server = serve(
        ServerConfig::default(),
        move |incoming| wakers.send(incoming.waker.clone()).unwrap(),
        |served, turn| {
            if matches!(turn, Ok(Turn::Woken)) {
                assert!(served.machine_mut().say(b"woken\n"));
            }
        },
    );
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let stream = TcpStream::connect(server.address).unwrap();
            (stream, given.recv().unwrap())
        })
        .collect();
    let threads: Vec<_> = clients
        .into_iter()
        .map(|(mut stream, waker)| {
            std::thread::spawn(move || {
                for _ in 0..200 {
                    waker.wake_by_ref();
                    assert_eq!(read_line(&mut stream), "woken\n");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    server.stop();
}

#[test]
fn a_shutdown_lets_the_exchange_in_flight_end() {
    let (woken, was_woken) = mpsc::channel();
    let server = serve(
        ServerConfig::default(),
        |_| {},
        move |served, turn| {
            if matches!(turn, Ok(Turn::Woken)) {
                assert!(served.is_shutting_down());
                woken.send(()).unwrap();
            }
        },
    );
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"first\nsecond, not yet ").unwrap();
    assert_eq!(read_line(&mut raw), "first\n");
    server.shutdown.shutdown();
    was_woken.recv().unwrap();
    assert_eq!(TcpStream::connect(server.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    raw.write_all(b"complete\n").unwrap();
    assert_eq!(read_line(&mut raw), "second, not yet complete\n");
    drop(raw);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn what_is_left_after_the_drain_is_aborted() {
    let mut config = ServerConfig::default();
    config.drain = Duration::from_millis(50);
    let server = serve(config, |_| {}, |_, _| {});
    let mut raw = TcpStream::connect(server.address).unwrap();
    raw.write_all(b"hello\n").unwrap();
    assert_eq!(read_line(&mut raw), "hello\n");
    assert_eq!(server.stop().aborted, 1);
    assert_eq!(raw.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_connection_beyond_the_limit_waits_for_one_to_end() {
    let mut config = ServerConfig::default();
    config.max_connections = 1;
    let server = serve(config, |_| {}, |_, _| {});
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

/// Both ends of a hundred connections on this thread.
#[test]
fn one_loop_opens_and_accepts() {
    const N: usize = 100;
    let mut sockets = Loop::new().unwrap();
    let address = sockets.bind("127.0.0.1:0").unwrap();
    let ours: Vec<_> = (0..N)
        .map(|n| {
            let mut machine = lines(sockets.now());
            assert!(machine.say(format!("{n}\n").as_bytes()));
            sockets.connect(address, machine).unwrap()
        })
        .collect();
    let (mut connected, mut heard) = (0, 0);
    while heard < N {
        match sockets.next(None).unwrap() {
            Some(LoopEvent::Connected(handle)) => connected += usize::from(ours.contains(&handle)),
            Some(LoopEvent::Incoming(incoming)) => {
                let machine = lines(incoming.now);
                assert!(sockets.accept(incoming.handle, machine));
            }
            Some(LoopEvent::Turn(handle, turn)) => {
                let turn = turn.unwrap();
                if let Some(n) = ours.iter().position(|our| *our == handle)
                    && let Turn::Event(line) = turn
                {
                    assert_eq!(line, n.to_string());
                    heard += 1;
                    // Both would echo for ever.
                    sockets.release(handle);
                }
            }
            _ => {}
        }
    }
    assert_eq!(connected, N);
}

#[test]
fn an_address_that_nobody_listens_to_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sockets = Loop::new().unwrap();
    let machine = lines(sockets.now());
    let handle = sockets.connect(address, machine).unwrap();
    loop {
        match sockets.next(None).unwrap() {
            Some(LoopEvent::Turn(told, Err(DriveError::Io(error)))) => {
                assert_eq!((told, error.kind()), (handle, ErrorKind::ConnectionRefused));
                break;
            }
            None => {}
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn a_deadline_ends_the_wait() {
    let idle = Duration::from_millis(20);
    let mut limits = LoopConfig::default();
    limits.driver.linger = Duration::ZERO;
    let mut sockets = Loop::with_poller(Sockets::new().unwrap(), limits);
    let address = sockets.bind("127.0.0.1:0").unwrap();
    let _peer = TcpStream::connect(address).unwrap();
    let mut started = Instant::MAX;
    let error = loop {
        match sockets.next(None).unwrap() {
            Some(LoopEvent::Incoming(incoming)) => {
                started = incoming.now;
                let config = LinesConfig { idle: Some(idle), ..LinesConfig::default() };
                sockets.accept_over(incoming.handle, Plain, Lines::new(started, config));
            }
            Some(LoopEvent::Turn(_, Err(error))) => break error,
            _ => {}
        }
    };
    assert!(matches!(error, DriveError::Protocol(Rule::Idle)));
    assert!(sockets.now() - started >= idle);
}
