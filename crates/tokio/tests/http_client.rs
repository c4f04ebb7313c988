//! The asynchronous client against servers on loopback.

#[path = "../../client/tests/shared/mod.rs"]
mod shared;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use drywire_client::{Config, Error, Request};
use drywire_http::Length;
use drywire_tokio::http::Client;
use drywire_tokio::http::client::{Content, Response, load_hsts, save_hsts};
use shared::scenarios::{Answer, Pieces, Subject, all_scenarios};
use shared::secure::{Secure, secure_scenarios};
use shared::server::{Server, script};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// The client, with the runtime that it belongs to.
struct Twin {
    client: Client,
    runtime: Runtime,
}

impl Subject for Twin {
    fn new(config: Config) -> Self {
        let runtime = runtime();
        Self { client: runtime.block_on(async { Client::new(config) }), runtime }
    }

    fn send(&self, request: Request<Vec<u8>>) -> Result<Answer, Error> {
        self.runtime.block_on(async { answer(self.client.send(request).await?).await })
    }

    fn send_reader(&self, request: Request, content: Pieces, length: Length) -> Result<Answer, Error> {
        let content = Content::reader(Sluggish { content, is_awake: false }, length);
        self.runtime.block_on(async { answer(self.client.send(request.with_content(content)).await?).await })
    }

    fn peek(&self, request: Request) -> Result<u16, Error> {
        self.runtime.block_on(async { Ok(self.client.send(request).await?.status()) })
    }

    fn connections(&self) -> usize {
        self.client.connections()
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn answer(mut response: Response) -> Result<Answer, Error> {
    let mut content = Vec::new();
    while let Some(piece) = response.chunk().await? {
        content.extend_from_slice(&piece);
    }
    let trailers = response.trailers().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    Ok(Answer { status: response.status(), url: response.url().to_string(), content, trailers })
}

/// A reader that is pending before every piece.
struct Sluggish {
    content: Pieces,
    is_awake: bool,
}

impl AsyncRead for Sluggish {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.is_awake = !self.is_awake;
        if self.is_awake {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut piece = [0; 100];
        let read = std::io::Read::read(&mut self.content, &mut piece)?;
        room.put_slice(&piece[..read]);
        Poll::Ready(Ok(()))
    }
}

impl Secure for Twin {
    fn with_tls(config: Config, tls: Arc<drywire_tls::ClientConfig>) -> Self {
        let runtime = runtime();
        Self { client: runtime.block_on(async { Client::with_tls(config, tls) }), runtime }
    }
}

all_scenarios!(Twin);
secure_scenarios!(Twin);

/// With one connection allowed, the second request waits for the first one's response to be read.
#[tokio::test]
async fn who_finds_all_connections_in_use_waits_for_one() {
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
    let first = client.get(&server.url("/")).await.unwrap();
    let url = server.url("/");
    let mut second = pin!(client.get(&url));
    let once = poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
    assert!(once);
    assert_eq!(first.bytes(100).await.unwrap(), "content");
    assert_eq!(second.await.unwrap().bytes(100).await.unwrap(), "content");
    assert_eq!(client.connections(), 1);
    client.close_idle();
    server.finish();
}

#[tokio::test]
async fn who_waits_for_a_connection_waits_no_longer_than_the_exchange_may_take() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "content");
        peer.closed();
    })]);
    let mut config = Config::default();
    config.pool.max_per_route = 1;
    let client = Client::new(config);
    let held = client.get(&server.url("/")).await.unwrap();
    let request = Request::get(&server.url("/")).unwrap().timeout(Duration::from_millis(20));
    assert!(matches!(client.send(request).await, Err(Error::Timeout)));
    assert_eq!(client.connections(), 1);
    drop(held);
    server.finish();
}

/// A request that is given up at any of its waits leaves no connection, no place and no turn in the queue behind.
#[tokio::test]
async fn a_request_that_is_dropped_at_any_await_leaves_nothing_behind() {
    let mut finished = false;
    for polls in 1.. {
        // As many connections as come: the client may be gone before it has sent anything.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answers = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok";
                    for byte in answer {
                        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &[*byte]).await;
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        let mut config = Config::default();
        config.pool.max_per_route = 1;
        let client = Client::new(config);
        {
            let mut exchange = pin!(async { client.get(&url).await?.bytes(10).await });
            for _ in 0..polls {
                let result = poll_fn(|cx| Poll::Ready(exchange.as_mut().poll(cx))).await;
                if let Poll::Ready(content) = result {
                    assert_eq!(content.unwrap(), "ok");
                    finished = true;
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(client.connections(), usize::from(finished), "after {polls} polls");
        // The only place is free again.
        assert_eq!(client.get(&url).await.unwrap().bytes(10).await.unwrap(), "ok");
        answers.abort();
        if finished {
            assert!(polls > 3, "{polls} polls are no test");
            return;
        }
        assert!(polls < 10_000, "no end");
    }
}

/// The same for a piece of content: a dropped future takes nothing along.
#[tokio::test]
async fn a_chunk_that_is_dropped_at_every_poll_loses_nothing() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.send("HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..50 {
            peer.send(&format!("3\r\n{number:03}\r\n"));
        }
        peer.send("0\r\n\r\n");
    })]);
    let client = Client::default();
    let mut response = client.get(&server.url("/")).await.unwrap();
    let mut content = Vec::new();
    loop {
        let polled = poll_fn(|cx| {
            let mut chunk = pin!(response.chunk());
            Poll::Ready(chunk.as_mut().poll(cx))
        });
        match polled.await {
            Poll::Ready(piece) => match piece.unwrap() {
                Some(piece) => content.extend_from_slice(&piece),
                None => break,
            },
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
    let expected: String = (0..50).fold(String::new(), |all, number| all + &format!("{number:03}"));
    assert_eq!(content, expected.as_bytes());
    server.finish();
}

#[tokio::test]
async fn a_response_is_a_reader() {
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "some text");
        peer.request(b"");
        peer.send("HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nhalf");
    })]);
    let client = Client::default();
    let mut response = client.get(&server.url("/")).await.unwrap();
    let mut four = [0; 4];
    response.read_exact(&mut four).await.unwrap();
    // What the reader has not taken of a piece comes with the next.
    assert_eq!((&four, response.bytes(100).await.unwrap().as_ref()), (b"some", &b" text"[..]));
    let error = client.get(&server.url("/")).await.unwrap().read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    server.finish();
}

#[tokio::test]
async fn a_client_and_its_responses_can_go_to_other_tasks() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let server = Server::new(vec![script(|mut peer| {
        peer.request(b"");
        peer.answer(200, "", "there");
    })]);
    let (client, url) = (Client::default(), server.url("/"));
    let task = tokio::spawn(is_send(async move { client.get(&url).await?.bytes(10).await }));
    assert_eq!(task.await.unwrap().unwrap(), "there");
    server.finish();
}

#[tokio::test]
async fn known_hosts_survive_in_a_file() {
    let path = std::env::temp_dir().join(format!("drywire-tokio-hsts-{}", std::process::id()));
    assert!(load_hsts(&path).await.unwrap().is_empty());
    let client = Client::default();
    save_hsts(&client.hsts(), &path).await.unwrap();
    assert!(load_hsts(&path).await.unwrap().is_empty());
    tokio::fs::write(&path, "nonsense").await.unwrap();
    assert_eq!(load_hsts(&path).await.unwrap_err().kind(), std::io::ErrorKind::InvalidData);
    tokio::fs::remove_file(&path).await.unwrap();
}

/// Accepts WebSockets that say their number and close, or refuses where the number is in `refused`.
async fn count_websockets(listener: tokio::net::TcpListener, refused: &'static [usize]) {
    use drywire_tokio::TcpTransport;
    use drywire_tokio::ws::{self, Accept};

    for number in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        if refused.contains(&number) {
            continue;
        }
        let (mut socket, request) = ws::accept(TcpTransport::new(stream), &Accept::default()).await.unwrap();
        assert_eq!((request.target(), request.field("host").is_some()), ("/feed?x", true));
        socket.send(format!("number {number}")).await.unwrap();
        let _ = socket.close().await;
    }
}

#[tokio::test]
async fn a_websocket_is_opened_by_its_url_and_again_when_it_is_lost() {
    use drywire_client::{Backoff, Reconnect};
    use drywire_core::Seed;
    use drywire_tokio::ws::{self, Message, Offer};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/feed?x", listener.local_addr().unwrap());
    let server = tokio::spawn(count_websockets(listener, &[2, 3]));
    let client = Client::default();
    let (mut socket, _) = client.websocket(&url, Offer::default(), ws::client::Config::default()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("number 0"));
    assert!(socket.next().await.is_none());

    let millisecond = Duration::from_millis(1);
    let backoff = Backoff::new(millisecond, millisecond * 5, &Seed::from(1));
    let mut again = client.reconnecting(&url, Offer::default(), ws::client::Config::default(), &Seed::from(1));
    again = again.with_reconnect(Reconnect::with(backoff, millisecond));
    for number in [1, 4, 5] {
        let (mut socket, _) = again.next().await;
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(format!("number {number}")));
    }
    server.abort();
}

/// A proxy that opens a tunnel and then is the server: what goes through is not its own protocol any more.
#[tokio::test]
async fn rfc6455_4_1_a_websocket_goes_through_a_tunnel() {
    use drywire_client::Proxies;
    use drywire_tokio::TcpTransport;
    use drywire_tokio::ws::{self, Accept, Message, Offer};
    use tokio::io::AsyncWriteExt as _;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::default();
    config.proxies = Proxies::all(&listener.local_addr().unwrap().to_string()).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n"));
        stream.write_all(b"HTTP/1.1 200 \r\n\r\n").await.unwrap();
        let (mut socket, request) = ws::accept(TcpTransport::new(stream), &Accept::default()).await.unwrap();
        assert_eq!((request.target(), request.field("host")), ("/", Some(&b"a.example"[..])));
        socket.send("through").await.unwrap();
        let _ = socket.close().await;
    });
    let client = Client::new(config);
    let (mut socket, _) =
        client.websocket("ws://a.example", Offer::default(), ws::client::Config::default()).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("through"));
    assert!(socket.next().await.is_none());
    server.await.unwrap();
}
