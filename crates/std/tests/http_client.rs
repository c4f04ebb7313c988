//! The blocking client against servers on loopback.

#![allow(clippy::disallowed_methods, reason = "who waits for a connection waits on a thread")]

#[path = "../../client/tests/shared/mod.rs"]
mod shared;

use std::io::Read as _;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use drywire_client::hsts::{Store, UnixTime};
use drywire_client::{Config, Error, Request, Url};
use drywire_http::Length;
use drywire_std::http::Client;
use drywire_std::http::client::{Content, Response, load_hsts, save_hsts};
use shared::scenarios::{Answer, Pieces, Subject, all_scenarios};
use shared::secure::{Secure, secure_scenarios};
use shared::server::{Server, script};

impl Subject for Client {
    fn new(config: Config) -> Self {
        Self::new(config)
    }

    fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Error> {
        self.send(request).and_then(answer)
    }

    fn send_reader(&self, request: Request, content: Pieces, length: Length) -> Result<Answer, Error> {
        self.send(request.with_content(Content::reader(content, length))).and_then(answer)
    }

    fn peek(&self, request: Request) -> Result<u16, Error> {
        Ok(self.send(request)?.status())
    }

    fn connections(&self) -> usize {
        self.connections()
    }
}

fn answer(mut response: Response) -> Result<Answer, Error> {
    let mut content = Vec::new();
    while let Some(piece) = response.chunk()? {
        content.extend_from_slice(&piece);
    }
    let trailers = response.trailers().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Ok(Answer { status: response.status(), url: response.url().to_string(), content, trailers })
}

impl Secure for Client {
    fn with_tls(config: Config, tls: Arc<drywire_tls::ClientConfig>) -> Self {
        Self::with_tls(config, tls)
    }
}

all_scenarios!(Client);
secure_scenarios!(Client);

/// Between the two requests the server has closed, and told so: even what must not be sent twice gets through.
#[test]
fn a_closed_connection_is_seen_before_a_post_is_lost_on_it() {
    let (closed, told) = mpsc::channel();
    let server = Server::new(vec![
        script(move |mut peer| {
            peer.request(b"");
            peer.answer(200, "", "");
            drop(peer);
            closed.send(()).unwrap();
        }),
        script(|mut peer| {
            peer.request(b"buy");
            peer.answer(200, "", "");
        }),
    ]);
    let client = Client::default();
    client.get(&server.url("/")).unwrap().bytes(0).unwrap();
    told.recv().unwrap();
    let request = Request::post(&server.url("/")).unwrap().with_content("buy");
    assert_eq!(client.send(request).unwrap().status(), 200);
    server.finish();
}

/// With one connection allowed, the second thread waits for the first one's response to be read.
#[test]
fn who_finds_all_connections_in_use_waits_for_one() {
    let server = Server::new(vec![script(|mut peer| {
        for _ in 0..2 {
            peer.request(b"");
            peer.answer(200, "", "content");
        }
        peer.closed();
    })]);
    let mut config = Config::default();
    config.pool.max_per_route = 1;
    let client = Client::new(config);
    let first = client.get(&server.url("/")).unwrap();
    let (sender, receiver) = mpsc::channel();
    let second = thread::spawn({
        let (client, url) = (client.clone(), server.url("/"));
        move || {
            let response = client.get(&url).unwrap();
            sender.send(()).unwrap();
            response.bytes(100).unwrap()
        }
    });
    assert!(receiver.recv_timeout(Duration::from_millis(30)).is_err());
    assert_eq!(first.bytes(100).unwrap(), "content");
    receiver.recv().unwrap();
    assert_eq!(second.join().unwrap(), "content");
    assert_eq!(client.connections(), 1);
    client.close_idle();
    server.finish();
}

#[test]
fn who_waits_for_a_connection_waits_no_longer_than_the_exchange_may_take() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "content");
        peer.closed();
    })]);
    let mut config = Config::default();
    config.pool.max_per_route = 1;
    let client = Client::new(config);
    let held = client.get(&server.url("/")).unwrap();
    let request = Request::get(&server.url("/")).unwrap().timeout(Duration::from_millis(20));
    assert!(matches!(client.send(request), Err(Error::Timeout)));
    assert_eq!(client.connections(), 1);
    drop(held);
    server.finish();
}

#[test]
fn a_response_is_a_reader() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "some text");
        peer.request(b"");
        peer.send("HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nhalf");
    })]);
    let client = Client::default();
    let mut response = client.get(&server.url("/")).unwrap();
    let mut four = [0; 4];
    response.read_exact(&mut four).unwrap();
    assert_eq!(response.read(&mut []).unwrap(), 0);
    // What the reader has not taken of a piece comes with the next.
    assert_eq!((&four, response.bytes(100).unwrap().as_ref()), (b"some", &b" text"[..]));
    let error = client.get(&server.url("/")).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    server.finish();
}

#[test]
fn a_response_is_no_longer_than_its_reader_wants() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "longer text");
    })]);
    let client = Client::default();
    assert!(matches!(client.get(&server.url("/")).unwrap().bytes(10), Err(Error::TooLong { limit: 10 })));
    server.finish();
}

#[test]
fn known_hosts_survive_in_a_file() {
    let folder = std::env::temp_dir().join(format!("drywire-hsts-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("hosts");
    assert_eq!(load_hsts(&path).unwrap(), Store::new());
    let mut store = Store::new();
    let url = Url::parse("https://a.example").unwrap();
    store.note(UnixTime(1_800_000_000), &url, [&b"max-age=100"[..]]);
    for _ in 0..2 {
        save_hsts(&store, &path).unwrap();
    }
    assert_eq!(load_hsts(&path).unwrap(), store);
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(load_hsts(&path).unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    std::fs::remove_dir_all(&folder).unwrap();
}
