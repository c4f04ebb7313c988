//! The site over bytes in memory: no socket, no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use drywire::{Buf, Instant, RecvBuf, StreamMachine};

use super::{Calendar, Session, Site};

/// A connection with its input and the time.
struct Peer {
    session: Session,
    recv: RecvBuf,
    now: Instant,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Peer {
    fn new(site: &Site) -> Self {
        Self::woken_by(site, Waker::noop().clone())
    }

    fn woken_by(site: &Site, waker: Waker) -> Self {
        let now = Instant::from_secs(5);
        let calendar = Calendar::new(now, UNIX_EPOCH + Duration::from_secs(784_111_777));
        Self { session: Session::new(now, site.clone(), calendar, waker), recv: RecvBuf::new(), now }
    }

    /// Gives input and returns the output, as a driver with an endless socket would take it.
    fn send(&mut self, input: impl AsRef<[u8]>) -> String {
        self.recv.extend_from_slice(input.as_ref());
        self.output()
    }

    fn output(&mut self) -> String {
        let mut output = Vec::new();
        loop {
            while self.session.poll_event(self.now, &mut self.recv).is_ok_and(|event| event.is_some()) {}
            let transmit = self.session.transmit();
            if transmit.is_empty() {
                // Lossy, because the first bytes of a WebSocket frame are no UTF-8.
                return String::from_utf8_lossy(&output).into_owned();
            }
            output.extend_from_slice(&transmit.copy_to_bytes(transmit.remaining()));
        }
    }

    fn wait(&mut self, secs: u64) -> String {
        self.now += Duration::from_secs(secs);
        self.session.handle_timeout(self.now);
        self.output()
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")
}

fn post(target: &str, content: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

fn content(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

fn chunk(content: &str) -> String {
    format!("{:x}\r\n{content}\r\n", content.len())
}

#[test]
fn hello_has_a_date_and_a_length() {
    let response = Peer::new(&Site::new()).send(get("/hello"));
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{response}");
    assert!(response.to_lowercase().contains("\r\ncontent-length: 13\r\n"), "{response}");
    assert_eq!(content(&response), "hello, world\n");
}

#[test]
fn head_has_the_head_alone() {
    let site = Site::new();
    site.feed.publish("x".into());
    for target in ["/", "/hello", "/bytes/10", "/feed/poll", "/feed/long-poll", "/feed/stream", "/feed/events"] {
        let mut peer = Peer::new(&site);
        let response = peer.send(get(target).replace("GET", "HEAD"));
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{target}: {response}");
        assert_eq!(content(&response), "", "{target}");
        assert!(peer.send(get("/hello")).starts_with("HTTP/1.1 200 "), "{target}: usable afterwards");
    }
}

#[test]
fn errors_name_their_reason_and_keep_the_connection() {
    let mut peer = Peer::new(&Site::new());
    for (request, status) in [
        (get("/nowhere"), "404"),
        (get("/feed"), "405"),
        (post("/hello", "x"), "405"),
        (get("/bytes/x"), "400"),
        (get("/feed/poll?after=x"), "400"),
        (get("/feed/events").replace("\r\n\r\n", "\r\nLast-Event-ID: x\r\n\r\n"), "400"),
        (get("/ws/echo"), "4"),
    ] {
        let response = peer.send(&request);
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {response}");
        assert!(content(&response).ends_with('\n'), "{response}");
        assert_eq!(peer.session.demand().close, None, "{request}");
    }
    assert!(peer.send(get("/feed")).contains("\r\nAllow: POST\r\n"));
}

#[test]
fn echo_returns_content_while_it_arrives() {
    let mut peer = Peer::new(&Site::new());
    let head = peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(peer.send("01234"), "01234");
    assert_eq!(peer.send("56789"), "56789");
    let chunked = peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert!(chunked.ends_with("3\r\nabc\r\n"), "{chunked}");
    assert_eq!(peer.send("0\r\n\r\n"), "0\r\n\r\n");
}

#[test]
fn echo_returns_trailers_to_who_keeps_them() {
    let mut peer = Peer::new(&Site::new());
    for (te, end) in [("TE: trailers\r\n", "0\r\nX-Sum: 7\r\n\r\n"), ("", "0\r\n\r\n")] {
        peer.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{te}Transfer-Encoding: chunked\r\n\r\n"));
        assert_eq!(peer.send("0\r\nX-Sum: 7\r\n\r\n"), end);
    }
    // There is no place for them in HTTP/1.0, nor behind an announced length.
    let old = peer.send("POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi");
    assert!(old.ends_with("hi"), "{old}");
}

#[test]
fn echo_holds_back_what_the_peer_does_not_take() {
    let mut peer = Peer::new(&Site::new());
    peer.recv.extend_from_slice(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let block = [b'x'; 16 * 1024];
    let mut taken = 0;
    for _ in 0..64 {
        while peer.session.poll_event(peer.now, &mut peer.recv).unwrap().is_some() {}
        if !peer.session.demand().read {
            break;
        }
        peer.recv.extend_from_slice(&block);
        taken += block.len();
    }
    assert!(!peer.session.demand().read, "reading goes on after {taken} bytes");
    assert!(taken <= 256 * 1024, "{taken}");
    // Room in the queue starts it again.
    let rest = peer.output();
    assert_eq!(content(&rest).len(), taken);
    assert!(peer.session.demand().read);
}

#[test]
fn bytes_come_in_full() {
    let mut peer = Peer::new(&Site::new());
    for n in [0, 1, 64, 65_536, 65_537, 1_000_000] {
        assert_eq!(content(&peer.send(get(&format!("/bytes/{n}")))).len(), n);
    }
}

#[test]
fn too_large_an_event_is_refused_before_and_while_it_comes() {
    let site = Site::new();
    let announced = Peer::new(&site)
        .send("POST /feed HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n");
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    let chunk = format!("10000\r\n{}\r\n1\r\nx\r\n", "x".repeat(65_536));
    let chunked = Peer::new(&site)
        .send("POST /feed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + &chunk);
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    assert_eq!(site.feed.newest(), 0);
    assert!(Peer::new(&site).send(post("/feed", &"x".repeat(65_536))).starts_with("HTTP/1.1 201 "));
}

#[test]
fn poll_answers_at_once() {
    let mut peer = Peer::new(&Site::new());
    assert!(peer.send(get("/feed/poll?after=0")).starts_with("HTTP/1.1 204 "));
    assert_eq!(content(&peer.send(post("/feed", "one"))), "{\"id\":1}\n");
    peer.send(post("/feed", "two"));
    let all = peer.send(get("/feed/poll?after=0"));
    assert_eq!(content(&all), "[{\"id\":1,\"text\":\"one\"},{\"id\":2,\"text\":\"two\"}]\n");
    assert_eq!(content(&peer.send(get("/feed/poll?after=1"))), "[{\"id\":2,\"text\":\"two\"}]\n");
    assert!(peer.send("POST /feed HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").is_empty());
    assert!(peer.send(b"\xff").starts_with("HTTP/1.1 400 "));
}

#[test]
fn long_poll_is_held_until_an_event() {
    let (site, wakes) = (Site::new(), Arc::new(Wakes::default()));
    let mut peer = Peer::woken_by(&site, wakes.clone().into());
    assert_eq!(peer.send(get("/feed/long-poll?after=0&timeout=10")), "");
    assert_eq!(peer.session.poll_timeout(), Some(peer.now + Duration::from_secs(10)));
    assert_eq!(peer.wait(9), "");
    site.feed.publish("news".into());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(content(&peer.output()), "[{\"id\":1,\"text\":\"news\"}]\n");
    // Answered: nobody is woken any more.
    site.feed.publish("more".into());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
}

#[test]
fn long_poll_ends_with_204_at_its_deadline() {
    let mut peer = Peer::new(&Site::new());
    peer.send(get("/feed/long-poll?timeout=10"));
    assert!(peer.wait(10).starts_with("HTTP/1.1 204 "));
    assert!(peer.send(get("/hello")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn streams_go_on_as_events_come() {
    let site = Site::new();
    site.feed.publish("old".into());
    let (mut lines, mut events) = (Peer::new(&site), Peer::new(&site));
    let head = lines.send(get("/feed/stream?after=0&limit=2"));
    assert!(head.ends_with(&chunk("{\"id\":1,\"text\":\"old\"}\n")), "{head}");
    let resume = get("/feed/events?after=0").replace("\r\n\r\n", "\r\nLast-Event-ID: 1\r\n\r\n");
    let head = events.send(resume);
    assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{head}");
    assert_eq!(content(&head), "");
    site.feed.publish("new\nline".into());
    assert_eq!(lines.output(), chunk("{\"id\":2,\"text\":\"new\\nline\"}\n") + "0\r\n\r\n");
    assert_eq!(events.output(), chunk("id: 2\ndata: new\ndata: line\n\n"));
}

#[test]
fn shutdown_ends_streams_and_long_polls_in_order() {
    let site = Site::new();
    for (target, end) in [("/feed/stream", "0\r\n\r\n"), ("/feed/long-poll", "\r\n\r\n")] {
        let mut peer = Peer::new(&site);
        peer.send(get(target));
        peer.session.shutdown(peer.now);
        let output = peer.output();
        assert!(output.ends_with(end), "{target}: {output}");
        assert_ne!(peer.session.demand().close, None, "{target}");
    }
    let mut idle = Peer::new(&site);
    idle.send(get("/hello"));
    idle.session.shutdown(idle.now);
    assert_eq!(idle.output(), "");
    assert_ne!(idle.session.demand().close, None);
}

/// The opening handshake of RFC 6455 1.3.
fn upgrade(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

#[test]
fn a_frame_right_behind_the_upgrade_is_not_lost() {
    let mut peer = Peer::new(&Site::new());
    let mut input = upgrade("/ws/echo", "Sec-WebSocket-Protocol: a, echo\r\n").into_bytes();
    // "Hello", masked with zeros so that it can be read here.
    input.extend_from_slice(b"\x81\x85\0\0\0\0Hello");
    peer.recv.extend_from_slice(&input);
    while peer.session.poll_event(peer.now, &mut peer.recv).unwrap().is_some() {}
    let transmit = peer.session.transmit();
    let output = transmit.copy_to_bytes(transmit.remaining());
    let (head, frames) = output.split_at(output.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4);
    let head = std::str::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-protocol: echo\r\n"), "{head}");
    assert_eq!(frames, b"\x81\x05Hello");
}

#[test]
fn a_foreign_origin_gets_403() {
    let mut peer = Peer::new(&Site::new());
    assert!(peer.send(upgrade("/ws/echo", "Origin: http://b.example\r\n")).starts_with("HTTP/1.1 403 "));
    assert!(peer.send(upgrade("/ws/echo", "Origin: http://a.example\r\n")).starts_with("HTTP/1.1 101 "));
}

#[test]
fn pages_of_other_origins_are_let_in_by_name() {
    let from =
        |origin: &str| format!("POST /feed HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nContent-Length: 1\r\n\r\na");
    let ask = |origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        format!("OPTIONS /echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    };
    let mut site = Site::new();
    let mut peer = Peer::new(&site);
    assert!(peer.send(from("http://x")).starts_with("HTTP/1.1 201 "));
    assert!(peer.send(from("https://app.example")).starts_with("HTTP/1.1 403 "));
    assert!(peer.send(ask("https://app.example")).starts_with("HTTP/1.1 403 "));

    site.allow(vec!["https://app.example".to_owned()]);
    let mut peer = Peer::new(&site);
    assert!(peer.send(from("http://x")).starts_with("HTTP/1.1 201 "));
    assert!(peer.send(from("https://evil.example")).starts_with("HTTP/1.1 403 "));
    let response = peer.send(from("https://app.example"));
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    assert!(response.contains("\r\nAccess-Control-Allow-Origin: https://app.example\r\n"), "{response}");
    let response = peer.send(ask("https://app.example"));
    assert!(response.starts_with("HTTP/1.1 204 ") && response.contains("\r\nAccess-Control-Allow-Methods: PUT\r\n"));
    assert!(peer.send(ask("https://evil.example")).starts_with("HTTP/1.1 403 "));

    site.allow(vec!["*".to_owned()]);
    let response = Peer::new(&site).send(from("https://evil.example"));
    assert!(response.contains("\r\nAccess-Control-Allow-Origin: *\r\n"), "{response}");
}

#[test]
fn a_feed_socket_sends_and_publishes() {
    let site = Site::new();
    site.feed.publish("old".into());
    let mut peer = Peer::new(&site);
    peer.send(upgrade("/feed/ws", ""));
    let sent = peer.send(b"\x81\x82\0\0\0\0hi");
    // Its own message comes back as an event; the one from before the upgrade does not come.
    assert!(sent.ends_with("{\"id\":2,\"text\":\"hi\"}"), "{sent}");
    assert!(!sent.contains("old"), "{sent}");
    site.feed.publish("more".into());
    assert!(peer.output().ends_with("{\"id\":3,\"text\":\"more\"}"));
    // Binary is refused with 1003.
    let close = peer.send(b"\x82\x80\0\0\0\0");
    assert!(close.contains("the feed takes text"), "{close}");
}
