//! TLS on tokio: in memory with every future dropped after one poll, and on the loopback interface.

#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use drywire_core::{Bytes, Instant};
use drywire_tls::rustls::HandshakeKind;
use drywire_tls::server::ClientCertificates;
use drywire_tls::{ClientConfig, Error, Identity, Roots, ServerConfig, client, server};
use drywire_tokio::{DriveError, Driver, Server, TcpTransport, TlsTransport, Transport, Turn};
use shared::{Lines, LinesConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

fn lines(now: Instant) -> Lines {
    Lines::new(now, LinesConfig::default())
}

/// A server's configuration, and that of a client which trusts it.
fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let identity = Identity::self_signed(["localhost".to_owned()]).unwrap();
    let roots = Roots::from_der(identity.chain.clone()).unwrap();
    let server = server::config(identity, ClientCertificates::NotAsked).unwrap();
    (Arc::new(server), Arc::new(client::config(roots, None).unwrap()))
}

async fn echo<T: Transport>(transport: T) {
    let mut driver = Driver::new(lines(Instant::ORIGIN), transport);
    while let Ok(Some(_)) = driver.next_event().await {}
}

/// Says lines and half-closes; returns what came back. `drops` polls a new future each time, and drops it.
async fn ask<T: Transport>(transport: T, drops: bool) -> (Vec<Bytes>, Driver<Lines, T>) {
    let mut driver = Driver::new(lines(Instant::ORIGIN), transport);
    for line in [&b"one\n"[..], &[b'x'; 3000], b"\n", b"half\n"] {
        assert!(driver.machine_mut().say(line));
    }
    let mut heard = Vec::new();
    loop {
        let turn = if drops {
            let driver = &mut driver;
            poll_fn(|cx| pin!(driver.next_turn()).poll(cx)).await
        } else {
            driver.next_turn().await
        };
        match turn.unwrap() {
            Turn::Event(line) => heard.push(line),
            Turn::Closed => return (heard, driver),
            _ => {}
        }
    }
}

fn said() -> Vec<Bytes> {
    vec![Bytes::from_static(b"one"), vec![b'x'; 3000].into(), Bytes::from_static(b"half")]
}

#[tokio::test]
async fn futures_may_be_dropped_at_every_wait() {
    let (server_config, client_config) = configs();
    // The sizes of the pipe put the waits everywhere.
    for size in [1, 2, 3, 5, 17, 100, 1000, 4000, 100_000] {
        let (near, far) = duplex(size);
        let mut server = TlsTransport::server(far, Arc::clone(&server_config)).unwrap();
        let mut client =
            TlsTransport::client(near, Arc::clone(&client_config), "localhost".try_into().unwrap()).unwrap();
        // Half of them do not wait for the first turn with the handshake.
        let is_early = size % 2 == 1;
        let asking = async {
            if is_early {
                poll_fn(|cx| pin!(client.handshake()).poll(cx)).await.unwrap();
            }
            ask(client, true).await.0
        };
        let answering = async {
            if is_early {
                poll_fn(|cx| pin!(server.handshake()).poll(cx)).await.unwrap();
            }
            echo(server).await;
        };
        let (heard, ()) = tokio::join!(asking, answering);
        assert_eq!(heard, said(), "with a pipe of {size}");
    }
}

#[tokio::test]
async fn the_second_connection_is_resumed() {
    let (server_config, client_config) = configs();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let running = tokio::spawn(server.run(move |tcp, _, _| {
        let config = Arc::clone(&server_config);
        async move { echo(TlsTransport::server(tcp, config).unwrap()).await }
    }));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let tcp = TcpTransport::connect(address, None).await.unwrap();
        let tls = TlsTransport::client(tcp, Arc::clone(&client_config), "localhost".try_into().unwrap()).unwrap();
        let (heard, driver) = ask(tls, false).await;
        assert_eq!(heard, said());
        assert_eq!(driver.transport().session().connection().handshake_kind(), Some(kind));
    }
    shutdown.shutdown();
    assert_eq!(running.await.unwrap().unwrap().aborted, 0);
}

#[tokio::test]
async fn a_wrong_name_fails_both_sides() {
    let (server_config, client_config) = configs();
    let (near, far) = duplex(4096);
    let mut server = TlsTransport::server(far, server_config).unwrap();
    let tls = TlsTransport::client(near, client_config, "elsewhere.example".try_into().unwrap()).unwrap();
    let mut driver = Driver::new(lines(Instant::ORIGIN), tls);
    driver.machine_mut().say(b"hello\n");
    let (turn, handshake) = tokio::join!(driver.next_event(), server.handshake());
    let Err(DriveError::Io(error)) = turn else { panic!("it was trusted") };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("not valid for name"), "{error}");
    // The alert has come.
    let error = handshake.unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::Tls(_))), "{error}");
}

/// tokio's own way to use a stream.
#[tokio::test]
async fn it_reads_and_writes_without_a_driver() {
    let (server_config, client_config) = configs();
    let (near, far) = duplex(300);
    let mut client = TlsTransport::client(near, client_config, "localhost".try_into().unwrap()).unwrap();
    let mut server = TlsTransport::server(far, server_config).unwrap();
    let asking = async {
        client.write_all(&vec![7; 50_000]).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answering = async {
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        server.write_all(&question[..20]).await.unwrap();
        server.shutdown().await.unwrap();
        question.len()
    };
    let (answer, asked) = tokio::join!(asking, answering);
    assert_eq!((&answer[..], asked), (&[7; 20][..], 50_000));
}

#[tokio::test]
async fn an_end_without_close_notify_is_an_error() {
    let (server_config, client_config) = configs();
    let (near, far) = duplex(10_000);
    let mut client = TlsTransport::client(near, client_config, "localhost".try_into().unwrap()).unwrap();
    let mut server = TlsTransport::server(far, server_config).unwrap();
    let (near, far) = tokio::join!(client.handshake(), server.handshake());
    near.unwrap();
    far.unwrap();
    server.write_all(b"all of it?").await.unwrap();
    server.flush().await.unwrap();
    drop(server);
    let mut heard = Vec::new();
    let error = client.read_to_end(&mut heard).await.unwrap_err();
    assert_eq!((error.kind(), &heard[..]), (ErrorKind::UnexpectedEof, &b"all of it?"[..]));
    assert_eq!(Error::of(&error), Some(&Error::Truncated));
}

/// A peer that says nothing is waited for no longer than the caller wants, and what was exchanged is kept.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_given_up_can_be_taken_up_again() {
    let (server_config, client_config) = configs();
    let (near, far) = duplex(10_000);
    let mut client = TlsTransport::client(near, client_config, "localhost".try_into().unwrap()).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(3), client.handshake()).await.is_err());
    let mut server = TlsTransport::server(far, server_config).unwrap();
    let (near, far) = tokio::join!(client.handshake(), server.handshake());
    near.unwrap();
    far.unwrap();
}
