//! What the clients of both adapters have to do alike, against servers on loopback.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use drywire_client::{Config, Error, Proxies, RedirectError, Request};
use drywire_http::Length;

use super::server::{DeadAddress, Server, script};

/// A client, whichever adapter it is of.
pub trait Subject {
    fn new(config: Config) -> Self;
    /// Sends a request and reads the response to its end.
    fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Error>;
    /// The same with content out of a reader that gives pieces of this length.
    fn send_reader(&self, request: Request, content: Pieces, length: Length) -> Result<Answer, Error>;
    /// Waits for the head, and drops the response.
    fn peek(&self, request: Request) -> Result<u16, Error>;
    fn connections(&self) -> usize;
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub url: String,
    pub content: Vec<u8>,
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Content that comes in pieces and may fail behind the last.
pub struct Pieces {
    pub pieces: Vec<Vec<u8>>,
    pub failure: Option<io::ErrorKind>,
}

impl Pieces {
    fn of(pieces: &[&str]) -> Self {
        Self { pieces: pieces.iter().rev().map(|piece| piece.as_bytes().to_vec()).collect(), failure: None }
    }
}

impl Read for Pieces {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match (self.pieces.pop(), self.failure) {
            (Some(piece), _) => {
                room[..piece.len()].copy_from_slice(&piece);
                Ok(piece.len())
            }
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
        }
    }
}

fn get(url: &str) -> Request<Vec<u8>> {
    Request::get(url).unwrap().with_content(Vec::new())
}

fn post(url: &str, content: &[u8]) -> Request<Vec<u8>> {
    Request::post(url).unwrap().with_content(content.to_vec())
}

fn client<S: Subject>() -> S {
    S::new(Config::default())
}

pub fn a_connection_is_used_again<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        assert_eq!(peer.request(b""), "GET /a HTTP/1.1");
        peer.answer(200, "", "one");
        assert_eq!(peer.request(b"two?"), "POST /b HTTP/1.1");
        peer.send("HTTP/1.1 201 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntw\r\n1\r\no\r\n0\r\nX-Sum: 3\r\n\r\n");
        peer.closed();
    })]);
    let client = client::<S>();
    let one = client.send(get(&server.url("/a"))).unwrap();
    assert_eq!((one.status, &*one.content), (200, &b"one"[..]));
    let two = client.send(post(&server.url("/b"), b"two?")).unwrap();
    assert_eq!((two.status, &*two.content), (201, &b"two"[..]));
    assert_eq!(two.trailers, [(b"X-Sum".to_vec(), b"3".to_vec())]);
    assert_eq!(client.connections(), 1);
    drop(client);
    server.finish();
}

/// The server takes the second request and closes without an answer, as one does whose patience ended at that moment.
pub fn a_request_that_is_lost_on_a_kept_connection_is_sent_again<S: Subject>() {
    for reset in [false, true] {
        let server = Server::new(vec![
            script(move |mut peer| {
                peer.request(b"");
                peer.answer(200, "", "");
                peer.request(b"");
                if reset {
                    peer.reset();
                }
            }),
            script(|mut peer| {
                assert_eq!(peer.request(b""), "GET /again HTTP/1.1");
                peer.answer(200, "", "here");
            }),
        ]);
        let client = client::<S>();
        client.send(get(&server.url("/"))).unwrap();
        assert_eq!(client.send(get(&server.url("/again"))).unwrap().content, b"here");
        server.finish();
    }
}

pub fn a_post_that_is_lost_is_not_sent_again<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "");
        peer.request(b"buy");
    })]);
    let client = client::<S>();
    client.send(get(&server.url("/"))).unwrap();
    let error = client.send(post(&server.url("/"), b"buy")).unwrap_err();
    assert!(error.is_disconnect(), "{error}");
    assert_eq!(client.connections(), 0);
    server.finish();
}

/// The server has closed the kept connection when the second request comes: it goes to a new one, on whichever way that
/// is noticed.
pub fn a_kept_connection_that_was_closed_is_replaced<S: Subject>() {
    let (closed, told) = mpsc::channel();
    let server = Server::new(vec![
        script(move |mut peer| {
            peer.request(b"");
            peer.answer(200, "", "");
            drop(peer);
            closed.send(()).unwrap();
        }),
        script(|mut peer| {
            peer.request(b"");
            peer.answer(200, "", "new");
        }),
    ]);
    let client = client::<S>();
    client.send(get(&server.url("/"))).unwrap();
    told.recv().unwrap();
    assert_eq!(client.send(get(&server.url("/"))).unwrap().content, b"new");
    server.finish();
}

pub fn a_server_that_closes_behind_its_response_is_not_asked_there_again<S: Subject>() {
    let one = || {
        script(|mut peer| {
            peer.request(b"");
            peer.answer(200, "Connection: close\r\n", "bye");
        })
    };
    let server = Server::new(vec![one(), one()]);
    let client = client::<S>();
    for _ in 0..2 {
        assert_eq!(client.send(post(&server.url("/"), b"")).unwrap().content, b"bye");
        assert_eq!(client.connections(), 0);
    }
    server.finish();
}

/// More than all buffers hold is on its way when the answer comes, and nobody reads it.
pub fn an_early_refusal_ends_an_upload<S: Subject>() {
    let upload = vec![7; 32 << 20];
    let (answered, told) = mpsc::channel();
    let server = Server::new(vec![script(move |mut peer| {
        peer.head();
        peer.answer(413, "", "too much");
        told.recv().unwrap();
    })]);
    let client = client::<S>();
    let refused = client.send(post(&server.url("/"), &upload)).unwrap();
    assert_eq!((refused.status, &*refused.content), (413, &b"too much"[..]));
    answered.send(()).unwrap();
    assert_eq!(client.connections(), 0);
    server.finish();
}

/// A server that answers before it has read goes on reading: both go on until the end.
pub fn an_early_success_does_not_end_an_upload<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.head();
        peer.send("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n");
        let (content, _) = peer.chunks();
        peer.send(&format!("{:x}\r\n{}\r\n0\r\n\r\n", content.len(), String::from_utf8(content).unwrap()));
        peer.request(b"");
        peer.answer(200, "", "again");
    })]);
    let client = client::<S>();
    let request = Request::post(&server.url("/")).unwrap();
    let echoed = client.send_reader(request, Pieces::of(&["some ", "more ", "content"]), Length::Unknown).unwrap();
    assert_eq!(echoed.content, b"some more content");
    assert_eq!(client.send(get(&server.url("/"))).unwrap().content, b"again");
    server.finish();
}

pub fn content_of_a_reader_is_sent_by_length_or_in_chunks<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        assert_eq!(peer.request(b"abcde"), "PUT /known HTTP/1.1");
        peer.answer(204, "", "");
        assert!(peer.head().iter().any(|line| line == "Transfer-Encoding: chunked"));
        assert_eq!(peer.chunks(), (b"abcde".to_vec(), 2));
        peer.answer(204, "", "");
    })]);
    let client = client::<S>();
    for (path, length) in [("/known", Length::Known(5)), ("/unknown", Length::Unknown)] {
        let request = Request::put(&server.url(path)).unwrap();
        assert_eq!(client.send_reader(request, Pieces::of(&["abc", "de"]), length).unwrap().status, 204);
    }
    server.finish();
}

pub fn a_reader_that_fails_or_lies_fails_the_request<S: Subject>() {
    for (failure, length) in [(Some(io::ErrorKind::PermissionDenied), 9), (None, 9), (None, 2)] {
        let server = Server::new(vec![script(|mut peer| peer.until_closed())]);
        let client = client::<S>();
        let content = Pieces { failure, ..Pieces::of(&["abc"]) };
        let request = Request::put(&server.url("/")).unwrap();
        let error = client.send_reader(request, content, Length::Known(length)).unwrap_err();
        match failure {
            Some(_) => assert!(matches!(error, Error::Content(_)), "{error}"),
            None => assert!(matches!(error, Error::Request(_)), "{error}"),
        }
        assert_eq!(client.connections(), 0);
        drop(client);
        server.finish();
    }
}

pub fn a_truncated_response_is_an_error<S: Subject>() {
    for text in [
        "HTTP/1.1 200 \r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n",
        "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n",
        "HTTP/1.1 200 \r\nContent-Le",
    ] {
        let server = Server::new(vec![script(move |mut peer| {
            peer.request(b"");
            peer.send(text);
        })]);
        let client = client::<S>();
        let error = client.send(get(&server.url("/"))).unwrap_err();
        let expected = [drywire_http::Error::UnexpectedEnd, drywire_http::Error::NoResponse];
        assert!(matches!(error, Error::Http(error) if expected.contains(&error)), "{text:?}: {error}");
        assert_eq!(client.connections(), 0);
        server.finish();
    }
    // Only the end of the connection ends this one, and it came in order.
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.send("HTTP/1.1 200 \r\n\r\nall of it");
    })]);
    assert_eq!(client::<S>().send(get(&server.url("/"))).unwrap().content, b"all of it");
    server.finish();
}

pub fn a_redirect_to_another_origin_takes_no_credentials_along<S: Subject>() {
    let there = Server::new(vec![script(|mut peer| {
        let head = peer.head();
        assert_eq!(head[0], "GET /there HTTP/1.1");
        assert!(!head.iter().any(|line| line.contains("secret")), "{head:?}");
        assert!(head.iter().any(|line| line == "x-mine: 1"), "{head:?}");
        peer.answer(200, "", "arrived");
        peer.closed();
    })]);
    let location = format!("Location: {}\r\n", there.url("/there#part"));
    let here = Server::new(vec![script(move |mut peer| {
        assert!(peer.head().iter().any(|line| line == "authorization: Bearer secret"));
        peer.answer(302, "Location: /next\r\n", "read me");
        // The redirect was read to its end: the connection stays.
        assert!(peer.head().iter().any(|line| line == "authorization: Bearer secret"));
        peer.answer(303, &location, "");
        peer.closed();
    })]);
    let client = client::<S>();
    let request = Request::get(&here.url("/#old")).unwrap().bearer("secret").unwrap().field("x-mine", "1").unwrap();
    let answer = client.send(request.with_content(Vec::new())).unwrap();
    assert_eq!((answer.url, answer.content), (there.url("/there#part"), b"arrived".to_vec()));
    assert_eq!(client.connections(), 2);
    drop(client);
    here.finish();
    there.finish();
}

pub fn content_goes_along_where_a_redirect_keeps_the_method<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        assert_eq!(peer.request(b"content"), "POST /a HTTP/1.1");
        peer.answer(308, "Location: /b\r\n", "");
        assert_eq!(peer.request(b"content"), "POST /b HTTP/1.1");
        peer.answer(303, "Location: /c\r\n", "");
        assert_eq!(peer.request(b""), "GET /c HTTP/1.1");
        peer.answer(200, "", "");
    })]);
    let answer = client::<S>().send(post(&server.url("/a"), b"content")).unwrap();
    assert_eq!((answer.status, answer.url), (200, server.url("/c")));
    server.finish();
}

/// A redirect whose content does not end costs its connection, and not the client's patience.
pub fn a_redirect_with_too_much_content_is_followed_on_another_connection<S: Subject>() {
    let server = Server::new(vec![
        script(|mut peer| {
            peer.request(b"");
            peer.answer(302, "Location: /b\r\n", &"x".repeat(200_000));
            peer.until_closed();
        }),
        script(|mut peer| {
            assert_eq!(peer.request(b""), "GET /b HTTP/1.1");
            peer.answer(200, "", "");
        }),
    ]);
    assert_eq!(client::<S>().send(get(&server.url("/a"))).unwrap().status, 200);
    server.finish();
}

pub fn redirects_that_go_round_end<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(302, "Location: /b\r\n", "");
        peer.request(b"");
        peer.answer(302, "Location: /a\r\n", "");
    })]);
    let client = client::<S>();
    let error = client.send(get(&server.url("/a"))).unwrap_err();
    assert!(matches!(error, Error::Redirect(RedirectError::Loop(_))), "{error}");
    assert_eq!(client.connections(), 0);
    server.finish();
}

/// The first address of the name takes no connections, the second one does.
pub fn a_dead_address_before_a_live_one_costs_one_delay<S: Subject>() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let dead = Ipv4Addr::new(127, 0, 0, 2);
    let _dead = DeadAddress::at(SocketAddr::from((dead, port)));
    let server = Server::on(
        listener,
        vec![script(|mut peer| {
            assert!(peer.head().iter().any(|line| line.starts_with("Host: two.test:")));
            peer.answer(200, "", "alive");
        })],
    );
    let mut config = Config::default();
    config.hosts.insert("two.test".into(), vec![dead.into(), Ipv4Addr::LOCALHOST.into()]);
    config.attempt_delay = Duration::from_millis(40);
    let begin = Instant::now();
    let answer = S::new(config).send(get(&format!("http://two.test:{port}/"))).unwrap();
    let took = begin.elapsed();
    assert_eq!(answer.content, b"alive");
    assert!(took >= Duration::from_millis(40) && took < Duration::from_secs(10), "{took:?}");
    server.finish();
}

/// Nobody listens at the first address: the second one is tried at once.
pub fn a_refusing_address_before_a_live_one_costs_nothing<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "");
    })]);
    let mut config = Config::default();
    config.hosts.insert("two.test".into(), vec![Ipv4Addr::new(127, 0, 0, 3).into(), Ipv4Addr::LOCALHOST.into()]);
    // So long that the test would fail.
    config.attempt_delay = Duration::from_secs(60);
    let url = format!("http://two.test:{}/", server.address.port());
    assert_eq!(S::new(config).send(get(&url)).unwrap().status, 200);
    server.finish();
}

pub fn nobody_there<S: Subject>() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let client = client::<S>();
    let error = client.send(get(&format!("http://127.0.0.1:{port}/"))).unwrap_err();
    assert!(matches!(&error, Error::Connect { host, .. } if host == "127.0.0.1"), "{error}");
    let mut config = Config::default();
    config.hosts.insert("none.test".into(), Vec::new());
    let error = S::new(config).send(get("http://none.test/")).unwrap_err();
    assert!(matches!(&error, Error::Connect { host, .. } if host == "none.test"), "{error}");
    assert!(matches!(client.send(get("https://127.0.0.1:1/")), Err(Error::Connect { .. } | Error::NoTls { .. })));
    assert_eq!(client.connections(), 0);
}

pub fn a_connection_that_does_not_come_about_is_given_up<S: Subject>() {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let _dead = DeadAddress::at(address);
    let mut config = Config::default();
    config.connect_timeout = Duration::from_millis(50);
    let client = S::new(config);
    let error = client.send(get(&format!("http://{address}/"))).unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout { .. }), "{error}");
    let request = get(&format!("http://{address}/")).timeout(Duration::from_millis(20));
    assert!(matches!(client.send(request), Err(Error::Timeout)));
    assert_eq!(client.connections(), 0);
}

pub fn a_server_that_says_nothing_or_stops_is_given_up<S: Subject>() {
    let short = Duration::from_millis(50);
    for text in ["", "HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nslow"] {
        for whole in [false, true] {
            let server = Server::new(vec![script(move |mut peer| {
                peer.request(b"");
                peer.send(text);
                peer.until_closed();
            })]);
            let mut config = Config::default();
            let mut request = get(&server.url("/"));
            if whole {
                request = request.timeout(short);
            } else {
                (config.http.response_timeout, config.http.content_timeout) = (Some(short), Some(short));
            }
            let client = S::new(config);
            let error = client.send(request).unwrap_err();
            assert!(error.is_timeout() && matches!(error, Error::Timeout) == whole, "{text:?} {whole}: {error}");
            assert_eq!(client.connections(), 0);
            server.finish();
        }
    }
}

pub fn a_response_that_is_dropped_closes_its_connection<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.send("HTTP/1.1 200 \r\nContent-Length: 1000000\r\n\r\nbeginning");
        peer.closed();
    })]);
    let client = client::<S>();
    assert_eq!(client.peek(Request::get(&server.url("/")).unwrap()).unwrap(), 200);
    assert_eq!(client.connections(), 0);
    server.finish();
}

pub fn informational_responses_are_passed_over<S: Subject>() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.send("HTTP/1.1 103 \r\nLink: </x>\r\n\r\nHTTP/1.1 102 \r\n\r\n");
        peer.answer(200, "", "final");
    })]);
    assert_eq!(client::<S>().send(get(&server.url("/"))).unwrap().content, b"final");
    server.finish();
}

pub fn a_proxy_is_sent_whole_urls<S: Subject>() {
    let proxy = Server::new(vec![script(|mut peer| {
        for host in ["a.example", "b.example:81"] {
            let head = peer.head();
            assert_eq!(head[0], format!("GET http://{host}/x HTTP/1.1"));
            assert!(
                head.contains(&format!("Host: {host}")) && head.contains(&"proxy-authorization: Basic dTpw".into())
            );
            peer.answer(200, "", host);
        }
    })]);
    let mut config = Config::default();
    config.proxies = Proxies::all(&format!("http://u:p@{}", proxy.address)).unwrap();
    let client = S::new(config);
    for host in ["a.example", "b.example:81"] {
        assert_eq!(client.send(get(&format!("http://{host}/x"))).unwrap().content, host.as_bytes());
    }
    drop(client);
    proxy.finish();
}

pub fn a_proxy_that_refuses_a_tunnel_is_told_of<S: Subject>() {
    let proxy = Server::new(vec![script(|mut peer| {
        let head = peer.head();
        assert_eq!(head[..2], ["CONNECT a.example:443 HTTP/1.1", "Host: a.example:443"]);
        peer.answer(407, "Proxy-Authenticate: Basic\r\n", "who are you?");
        peer.until_closed();
    })]);
    let mut config = Config::default();
    config.proxies = Proxies::all(&proxy.address.to_string()).unwrap();
    let client = S::new(config);
    let error = client.send(get("https://a.example/")).unwrap_err();
    assert_eq!(error.to_string(), "the proxy: it refuses a tunnel with status 407");
    assert_eq!(client.connections(), 0);
    proxy.finish();
}

/// Makes a test of every scenario, for one client.
macro_rules! all_scenarios {
    ($subject:ty) => {
        $crate::shared::scenarios::all_scenarios! { $subject:
            a_connection_is_used_again
            a_request_that_is_lost_on_a_kept_connection_is_sent_again
            a_post_that_is_lost_is_not_sent_again
            a_kept_connection_that_was_closed_is_replaced
            a_server_that_closes_behind_its_response_is_not_asked_there_again
            an_early_refusal_ends_an_upload
            an_early_success_does_not_end_an_upload
            content_of_a_reader_is_sent_by_length_or_in_chunks
            a_reader_that_fails_or_lies_fails_the_request
            a_truncated_response_is_an_error
            a_redirect_to_another_origin_takes_no_credentials_along
            content_goes_along_where_a_redirect_keeps_the_method
            a_redirect_with_too_much_content_is_followed_on_another_connection
            redirects_that_go_round_end
            a_dead_address_before_a_live_one_costs_one_delay
            a_refusing_address_before_a_live_one_costs_nothing
            nobody_there
            a_connection_that_does_not_come_about_is_given_up
            a_server_that_says_nothing_or_stops_is_given_up
            a_response_that_is_dropped_closes_its_connection
            informational_responses_are_passed_over
            a_proxy_is_sent_whole_urls
            a_proxy_that_refuses_a_tunnel_is_told_of
        }
    };
    ($subject:ty: $($name:ident)*) => {
        $(#[test] fn $name() { $crate::shared::scenarios::$name::<$subject>(); })*
    };
}
pub(crate) use all_scenarios;
