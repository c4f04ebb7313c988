//! TLS on real sockets on the loopback interface.

#![allow(clippy::disallowed_methods, reason = "servers run on threads of their own")]

#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use drywire_core::{Bytes, Instant};
use drywire_std::{
    DriveError, Driver, Server, ShutdownHandle, Stopped, TcpTransport, TlsTransport, Transport as _, poll,
};
use drywire_tls::rustls::{HandshakeKind, ProtocolVersion};
use drywire_tls::server::ClientCertificates;
use drywire_tls::{ClientConfig, Error, Identity, Roots, ServerConfig, Session, client, server};
use shared::{Lines, LinesConfig};

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

struct Running {
    address: SocketAddr,
    shutdown: ShutdownHandle,
    thread: JoinHandle<std::io::Result<Stopped>>,
}

impl Running {
    fn stop(self) {
        self.shutdown.shutdown();
        let stopped = self.thread.join().expect("the server does not panic").expect("the server ends in order");
        assert_eq!(stopped.aborted, 0);
    }
}

/// Echoes lines over TLS.
fn serve(config: Arc<ServerConfig>) -> Running {
    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let echo = move |tcp: TcpTransport, _| {
        let tls = TlsTransport::server(tcp, Arc::clone(&config)).unwrap();
        let tls = tls.with_plain_answer(Bytes::from_static(b"speak TLS\n"));
        let mut driver = Driver::new(lines(tls.now()), tls);
        while let Ok(Some(_)) = driver.next_event() {}
    };
    Running { address, shutdown, thread: std::thread::spawn(move || server.run(echo)) }
}

fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &'static str) -> TlsTransport<TcpTransport> {
    let tcp = TcpTransport::connect(address, None).unwrap();
    TlsTransport::client(tcp, Arc::clone(config), name.try_into().unwrap()).unwrap()
}

#[test]
fn echo_and_half_close() {
    let (server_config, client_config) = configs();
    let server = serve(server_config);
    let tls = connect(server.address, &client_config, "localhost");
    let mut driver = Driver::new(lines(tls.now()), tls);
    // `half` ends both directions, one behind the other, with everything said before.
    let long = "x".repeat(3000);
    for line in ["one", &long, "half"] {
        assert!(driver.machine_mut().say(format!("{line}\n").as_bytes()));
    }
    for line in ["one", &long, "half"] {
        assert_eq!(driver.next_event().unwrap().as_deref(), Some(line.as_bytes()));
    }
    assert_eq!(driver.next_event().unwrap(), None);
    let tls = driver.transport().session().connection();
    assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(tls.alpn_protocol(), Some(&b"http/1.1"[..]));
    server.stop();
}

/// Many connections at a time, which the readiness loop serves on one thread.
#[test]
fn a_readiness_loop_has_tls_as_a_layer() {
    let (server_config, client_config) = configs();
    let server = poll::Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let thread = std::thread::spawn(move || {
        let accept =
            |incoming: poll::Incoming| (Session::server(Arc::clone(&server_config)).unwrap(), lines(incoming.now));
        server.run_over(accept, |_, turn| drop(turn.unwrap()))
    });
    let long = "x".repeat(3000);
    let mut drivers: Vec<_> = (0..10)
        .map(|_| {
            let tls = connect(address, &client_config, "localhost");
            Driver::new(lines(tls.now()), tls)
        })
        .collect();
    for driver in &mut drivers {
        for line in ["one", &long, "half"] {
            assert!(driver.machine_mut().say(format!("{line}\n").as_bytes()));
        }
    }
    // Each is told its first line while all others are open.
    for line in ["one", &long, "half"] {
        for driver in &mut drivers {
            assert!(driver.next_event().unwrap().is_some_and(|told| told == line));
        }
    }
    for driver in &mut drivers {
        assert_eq!(driver.next_event().unwrap(), None);
    }
    Running { address, shutdown, thread }.stop();
}

#[test]
fn the_second_connection_is_resumed() {
    let (server_config, client_config) = configs();
    let server = serve(server_config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut tls = connect(server.address, &client_config, "localhost");
        tls.handshake(None).unwrap();
        assert!(!tls.session().is_handshaking());
        let mut driver = Driver::new(lines(tls.now()), tls);
        driver.machine_mut().say(b"half\n");
        while driver.next_event().unwrap().is_some() {}
        assert_eq!(driver.transport().session().connection().handshake_kind(), Some(kind));
    }
    server.stop();
}

#[test]
fn a_wrong_name_fails_the_first_turn() {
    let (server_config, client_config) = configs();
    let server = serve(server_config);
    let tls = connect(server.address, &client_config, "elsewhere.example");
    let mut driver = Driver::new(lines(tls.now()), tls);
    driver.machine_mut().say(b"hello\n");
    let Err(DriveError::Io(error)) = driver.next_event() else { panic!("it was trusted") };
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("not valid for name"), "{error}");
    server.stop();
}

/// A peer that accepts and says nothing; and a wake that comes meanwhile, which is the driver's to tell.
#[test]
fn the_handshake_has_a_deadline_and_keeps_a_wake() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_, client_config) = configs();
    let mut tls = connect(listener.local_addr().unwrap(), &client_config, "localhost");
    tls.waker().wake();
    let deadline = tls.now() + Duration::from_millis(30);
    assert_eq!(tls.handshake(Some(deadline)).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(tls.now() >= deadline);
    assert!(tls.take_woken() && !tls.take_woken());
}

#[test]
fn a_peer_without_tls_is_told_so() {
    let (server_config, client_config) = configs();
    let server = serve(server_config);
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "speak TLS\n");
    server.stop();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tls = connect(listener.local_addr().unwrap(), &client_config, "localhost");
    let (mut plain, _) = listener.accept().unwrap();
    plain.write_all(b"HTTP/1.1 400 Bad Request\r\n").unwrap();
    let error = tls.handshake(None).unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::NotTls(b"HTTP/1.1 400 Bad".to_vec())));
    assert_eq!(error.to_string(), "the peer does not speak TLS: it began with \"HTTP/1.1 400 Bad\"");
}
