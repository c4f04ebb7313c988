//! What the clients of both adapters have to do alike over TLS.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread;

use drywire_client::{Config, Error, Proxies, Request};
use drywire_http::{Length, PlainResponse, server};
use drywire_std::{Driver, TcpTransport, TlsTransport};
use drywire_tls::server::ClientCertificates;
use drywire_tls::{ClientConfig, Identity, Roots, ServerConfig};

use super::scenarios::Subject;
use super::server::{Server, script};

/// A client that speaks TLS.
pub trait Secure: Subject {
    fn with_tls(config: Config, tls: Arc<ClientConfig>) -> Self;
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let identity = Identity::self_signed(["secure.test".to_owned()]).unwrap();
    let roots = Roots::from_der(identity.chain.clone()).unwrap();
    let server = drywire_tls::server::config(identity, ClientCertificates::NotAsked).unwrap();
    (Arc::new(server), Arc::new(drywire_tls::client::config(roots, None).unwrap()))
}

/// Answers every request over TLS with its target, and asks for TLS from then on.
fn serve(transport: TcpTransport, config: Arc<ServerConfig>) {
    let tls = TlsTransport::server(transport, config).unwrap();
    let mut driver = Driver::new(server::Connection::new(tls.now(), server::Config::default()), tls);
    let mut target = String::new();
    while let Ok(Some(event)) = driver.next_event() {
        match event {
            server::Event::Request(head) => head.target().clone_into(&mut target),
            server::Event::End(_) => {
                let fields = [("Strict-Transport-Security", "max-age=1000")];
                let machine = driver.machine_mut();
                machine.respond(&PlainResponse::new(200, &fields), Length::Known(target.len() as u64)).unwrap();
                machine.send_content(target.clone().into()).unwrap();
                machine.finish(None).unwrap();
            }
            _ => {}
        }
    }
}

/// A server of so many connections, its port, and a client configuration that finds it by name.
fn secure_server(config: Arc<ServerConfig>, connections: usize) -> (thread::JoinHandle<()>, u16, Config) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = thread::spawn(move || {
        for _ in 0..connections {
            let (stream, _) = listener.accept().unwrap();
            serve(TcpTransport::new(stream).unwrap(), Arc::clone(&config));
        }
    });
    let mut config = Config::default();
    config.hosts.insert("secure.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    (running, port, config)
}

fn get(url: &str) -> Request<Vec<u8>> {
    Request::get(url).unwrap().with_content(Vec::new())
}

/// RFC 6797, 8.3: the second URL says http, and the host has asked for TLS; the port stays.
pub fn rfc6797_8_3_a_host_that_asks_for_tls_gets_it<S: Secure>() {
    let (server, tls) = configs();
    let (running, port, config) = secure_server(server, 1);
    let client = S::with_tls(config, tls);
    for scheme in ["https", "http"] {
        let answer = client.send(get(&format!("{scheme}://secure.test:{port}/{scheme}"))).unwrap();
        assert_eq!(answer.content, format!("/{scheme}").as_bytes());
        assert_eq!(answer.url, format!("https://secure.test:{port}/{scheme}"));
    }
    assert_eq!(client.connections(), 1);
    drop(client);
    running.join().unwrap();
}

pub fn a_server_that_nobody_vouches_for_is_not_talked_to<S: Secure>() {
    let (server, _) = configs();
    let (_, tls) = configs();
    let (running, port, config) = secure_server(server, 1);
    let client = S::with_tls(config, tls);
    let error = client.send(get(&format!("https://secure.test:{port}/"))).unwrap_err();
    assert!(matches!(&error, Error::Tls { host, .. } if host == "secure.test"), "{error}");
    assert_eq!(client.connections(), 0);
    running.join().unwrap();
}

pub fn a_server_of_another_name_is_not_talked_to<S: Secure>() {
    let (server, tls) = configs();
    let (running, port, mut config) = secure_server(server, 1);
    config.hosts.insert("other.test".into(), vec![Ipv4Addr::LOCALHOST.into()]);
    let error = S::with_tls(config, tls).send(get(&format!("https://other.test:{port}/"))).unwrap_err();
    assert!(matches!(&error, Error::Tls { host, .. } if host == "other.test"), "{error}");
    running.join().unwrap();
}

/// The proxy sees the host and the port, and then only TLS.
pub fn rfc9110_9_3_6_tls_goes_through_a_tunnel<S: Secure>() {
    let (server, tls) = configs();
    let proxy = Server::new(vec![script(move |mut peer| {
        let head = peer.head();
        assert_eq!(head[0], "CONNECT secure.test:443 HTTP/1.1");
        assert!(head.contains(&"Proxy-Authorization: Basic dTpw".to_owned()), "{head:?}");
        peer.send("HTTP/1.1 200 \r\n\r\n");
        serve(TcpTransport::new(peer.into_stream()).unwrap(), server);
    })]);
    let mut config = Config::default();
    config.proxies = Proxies::all(&format!("http://u:p@{}", proxy.address)).unwrap();
    let client = S::with_tls(config, tls);
    for _ in 0..2 {
        assert_eq!(client.send(get("https://secure.test/through")).unwrap().content, b"/through");
    }
    drop(client);
    proxy.finish();
}

/// Makes a test of every scenario, for one client.
macro_rules! secure_scenarios {
    ($subject:ty) => {
        $crate::shared::secure::secure_scenarios! { $subject:
            rfc6797_8_3_a_host_that_asks_for_tls_gets_it
            a_server_that_nobody_vouches_for_is_not_talked_to
            a_server_of_another_name_is_not_talked_to
            rfc9110_9_3_6_tls_goes_through_a_tunnel
        }
    };
    ($subject:ty: $($name:ident)*) => {
        $(#[test] fn $name() { $crate::shared::secure::$name::<$subject>(); })*
    };
}
pub(crate) use secure_scenarios;
