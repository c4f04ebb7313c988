//! Real sockets on the loopback interface.

#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use drywire_core::Instant;
use drywire_tokio::{
    AnyStream, DriveError, Driver, Server, ServerConfig, ShutdownHandle, Stopped, TcpTransport, Turn, connect,
};
use shared::{Lines, LinesConfig, Rule};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn lines(now: Instant) -> Lines {
    Lines::new(now, LinesConfig::default())
}

struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    task: JoinHandle<std::io::Result<Stopped>>,
}

impl Running {
    async fn stop(self) -> Stopped {
        self.shutdown.shutdown();
        self.task.await.expect("the server does not panic").expect("the server ends in order")
    }
}

async fn serve<H, F>(config: ServerConfig, handler: H) -> Running
where
    H: Fn(TcpTransport, SocketAddr, ShutdownHandle) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let server = Server::bind("127.0.0.1:0").await.unwrap().with_config(config);
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    Running { address, shutdown, task: tokio::spawn(server.run(handler)) }
}

/// Echoes until the peer ends it.
async fn echo(transport: TcpTransport, _: SocketAddr, _: ShutdownHandle) {
    let mut driver = Driver::new(lines(transport.now()), transport);
    while let Ok(Some(_)) = driver.next_event().await {}
}

async fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn echo_and_half_close() {
    let server = serve(ServerConfig::default(), echo).await;
    let mut client = connect(server.address, lines).await.unwrap();
    assert!(client.machine_mut().say(b"hello\n"));
    assert_eq!(client.next_event().await.unwrap().as_deref(), Some(&b"hello"[..]));
    drop(client);

    // The end of our direction reaches the server behind the bytes, and its answer still reaches us.
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"one\ntwo\n").await.unwrap();
    raw.shutdown().await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "one\ntwo\n");
    assert_eq!(server.stop().await.aborted, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_pass_a_slow_reader() {
    let server = serve(ServerConfig::default(), echo).await;
    let (mut reading, mut writing) = TcpStream::connect(server.address).await.unwrap().into_split();
    let line = [vec![b'x'; 999], vec![b'\n']].concat();
    let sent = line.repeat(8_000);
    let writer = tokio::spawn({
        let sent = sent.clone();
        async move {
            writing.write_all(&sent).await.unwrap();
            writing.shutdown().await.unwrap();
        }
    });
    let mut received = Vec::new();
    reading.read_to_end(&mut received).await.unwrap();
    writer.await.unwrap();
    assert!(received == sent);
    server.stop().await;
}

#[tokio::test]
async fn an_abort_is_a_reset_for_the_peer() {
    let server = serve(ServerConfig::default(), echo).await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"abort\n").await.unwrap();
    let error = raw.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    server.stop().await;
}

#[tokio::test]
async fn a_farewell_survives_unread_input() {
    let (errors, mut seen) = mpsc::unbounded_channel();
    let server = serve(ServerConfig::default(), move |transport, _, _| {
        let errors = errors.clone();
        async move {
            let mut driver = Driver::new(lines(transport.now()), transport);
            errors.send(driver.next_event().await).unwrap();
        }
    })
    .await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(&[b"bad\n".to_vec(), vec![b'x'; 400_000]].concat()).await.unwrap();
    let mut answer = String::new();
    raw.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "that was bad\n");
    drop(raw);
    assert!(matches!(seen.recv().await.unwrap(), Err(DriveError::Protocol(Rule::Bad))));
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_lets_the_exchange_in_flight_end() {
    let (told, mut was_told) = mpsc::unbounded_channel();
    let server = serve(ServerConfig::default(), move |transport, _, mut shutdown| {
        let told = told.clone();
        async move {
            let mut driver = Driver::new(lines(transport.now()), transport);
            let mut asked = false;
            loop {
                let turn = poll_fn(|cx| match driver.poll_turn(cx) {
                    Poll::Pending if !asked => shutdown.poll_requested(cx).map(|()| None),
                    turn => turn.map(Some),
                });
                match turn.await.transpose().unwrap() {
                    None => {
                        asked = true;
                        told.send(()).unwrap();
                    }
                    // The exchange is over: so is the connection.
                    Some(Turn::Event(_)) if asked => {
                        while driver.next_turn().await.unwrap() != Turn::Flushed {}
                        break;
                    }
                    Some(Turn::Closed) => break,
                    Some(_) => {}
                }
            }
        }
    })
    .await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"first\nsecond, not yet ").await.unwrap();
    assert_eq!(read_line(&mut raw).await, "first\n");
    server.shutdown.shutdown();
    was_told.recv().await.unwrap();
    raw.write_all(b"complete\n").await.unwrap();
    assert_eq!(read_line(&mut raw).await, "second, not yet complete\n");
    let address = server.address;
    assert_eq!(server.stop().await.aborted, 0);
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn what_is_left_after_the_drain_is_aborted() {
    let mut config = ServerConfig::default();
    config.drain = Duration::from_millis(50);
    let server = serve(config, echo).await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"hello\n").await.unwrap();
    assert_eq!(read_line(&mut raw).await, "hello\n");
    assert_eq!(server.stop().await.aborted, 1);
    assert_eq!(raw.read(&mut [0; 16]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropping_the_server_aborts_its_connections() {
    let server = serve(ServerConfig::default(), echo).await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"hello\n").await.unwrap();
    assert_eq!(read_line(&mut raw).await, "hello\n");
    server.task.abort();
    assert!(server.task.await.unwrap_err().is_cancelled());
    assert_eq!(raw.read(&mut [0; 16]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(TcpStream::connect(server.address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_one_to_end() {
    let mut config = ServerConfig::default();
    config.max_connections = 1;
    let server = serve(config, echo).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"first\n").await.unwrap();
    assert_eq!(read_line(&mut first).await, "first\n");
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(b"second\n").await.unwrap();
    first.write_all(b"close\n").await.unwrap();
    assert_eq!(read_line(&mut first).await, "close\n");
    drop(first);
    assert_eq!(read_line(&mut second).await, "second\n");
    drop(second);
    assert_eq!(server.stop().await.aborted, 0);
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let server = serve(ServerConfig::default(), |transport, peer, _| async move {
        let mut driver = Driver::new(lines(transport.now()), transport);
        while let Ok(Some(line)) = driver.next_event().await {
            // Without the message that a panic prints.
            if &line[..] == b"panic" {
                std::panic::resume_unwind(Box::new(peer));
            }
        }
    })
    .await;
    let mut raw = TcpStream::connect(server.address).await.unwrap();
    raw.write_all(b"panic\n").await.unwrap();
    assert!(matches!(raw.read(&mut [0; 16]).await, Ok(0)));
    let mut client = connect(server.address, lines).await.unwrap();
    assert!(client.machine_mut().say(b"still there\n"));
    assert_eq!(client.next_event().await.unwrap().as_deref(), Some(&b"still there"[..]));
    drop(client);
    assert_eq!(server.stop().await.aborted, 0);
}

#[tokio::test]
async fn one_handle_stops_two_servers() {
    let shutdown = ShutdownHandle::new();
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let server = Server::bind("127.0.0.1:0").await.unwrap().with_shutdown(shutdown.clone());
        tasks.push(tokio::spawn(server.run(echo)));
    }
    let asked = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.requested().await }
    });
    shutdown.shutdown();
    asked.await.unwrap();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().aborted, 0);
    }
}

#[tokio::test]
async fn an_address_that_nobody_listens_to_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(connect(address, lines).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let timeout = Some(Duration::from_secs(5));
    assert_eq!(TcpTransport::connect(address, timeout).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test(start_paused = true)]
async fn any_stream_in_memory_carries_a_machine() {
    let (near, far) = tokio::io::duplex(4);
    let server = tokio::spawn(async move {
        let mut driver = Driver::new(lines(Instant::ORIGIN), AnyStream(far));
        let mut count = 0;
        while let Ok(Some(_)) = driver.next_event().await {
            count += 1;
        }
        count
    });
    let mut client = Driver::new(lines(Instant::ORIGIN), near);
    assert!(client.machine_mut().say(b"through a pipe of four bytes\nclose\n"));
    assert_eq!(client.next_event().await.unwrap().as_deref(), Some(&b"through a pipe of four bytes"[..]));
    drop(client);
    assert!(server.await.unwrap() >= 1);
}
