//! WebSockets that block, on real sockets.

#![allow(clippy::disallowed_methods, reason = "threads are what is tested")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};

use drywire_std::ws::{self, Accept, AcceptError, Error, Message, Offer, Policy, WebSocket, client};
use drywire_std::{Server, ShutdownHandle, Stopped, TcpTransport};
use drywire_ws::CloseCode;

struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: JoinHandle<io::Result<Stopped>>,
}

fn serve(handler: impl Fn(TcpTransport) + Send + Sync + 'static) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    Running { address, shutdown, thread: thread::spawn(move || server.run(move |transport, _| handler(transport))) }
}

impl Running {
    fn connect(&self) -> WebSocket<TcpTransport> {
        let transport = TcpTransport::connect(self.address, None).unwrap();
        let offer = Offer { protocols: vec!["chat".into()], ..Offer::new("example.org", "/room") };
        ws::connect(transport, offer, client::Config::default()).unwrap().0
    }

    fn stop(self) -> Stopped {
        self.shutdown.shutdown();
        self.thread.join().expect("the server does not panic").expect("the server ends in order")
    }
}

fn echo(transport: TcpTransport) {
    let options = Accept::new(Policy { protocols: vec!["chat".into()], ..Policy::default() });
    let (mut socket, request) = ws::accept(transport, &options).unwrap();
    assert_eq!((request.target(), socket.protocol()), ("/room", Some("chat")));
    while let Ok(Some(message)) = socket.read() {
        let _ = socket.feed(message);
    }
}

#[test]
fn both_ends_open_talk_and_close() {
    let server = serve(echo);
    let mut socket = server.connect();
    assert_eq!(socket.protocol(), Some("chat"));
    for number in 0..100 {
        socket.feed(format!("message {number}")).unwrap();
    }
    for number in 0..100 {
        assert_eq!(socket.read().unwrap(), Some(Message::text(format!("message {number}"))));
    }
    socket.close().unwrap();
    assert!(socket.connection().close_info().clean);
    assert!(matches!(socket.send("late"), Err(Error::Closed)));
    assert_eq!(socket.read().unwrap(), None);
    assert_eq!(server.stop().aborted, 0);
}

/// Both ends send before either reads: what comes meanwhile is kept.
#[test]
fn two_writers_do_not_wait_for_each_other() {
    let send = |socket: &mut WebSocket<TcpTransport>| {
        for _ in 0..4 {
            socket.send(vec![7; 10_000]).unwrap();
        }
        for _ in 0..4 {
            assert_eq!(socket.read().unwrap().unwrap().len(), 10_000);
        }
    };
    let server = serve(move |transport| {
        let mut socket = ws::accept(transport, &Accept::default()).unwrap().0;
        send(&mut socket);
        while let Ok(Some(_)) = socket.read() {}
    });
    let mut socket = server.connect();
    send(&mut socket);
    socket.close().unwrap();
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn a_shutdown_closes_with_1001() {
    let server = serve(echo);
    let mut socket = server.connect();
    socket.send("hello").unwrap();
    assert_eq!(socket.read().unwrap(), Some(Message::text("hello")));
    server.shutdown.shutdown();
    assert_eq!(socket.read().unwrap(), None);
    assert_eq!(socket.connection().close_info().received.unwrap().code, CloseCode::GOING_AWAY);
    drop(socket);
    assert_eq!(server.stop().aborted, 0);
}

#[test]
fn a_request_that_is_none_for_a_websocket_is_answered() {
    let server = serve(|transport| {
        let error = ws::accept(transport, &Accept::default()).map(drop).unwrap_err();
        assert!(matches!(error, AcceptError::Rejected(_)), "{error}");
    });
    let mut client = TcpStream::connect(server.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    drop(client);
    server.stop();
}
