//! HTTP handlers in memory: content both ways, who waits for whom, and every end that a connection can have.

#[path = "shared/client.rs"]
mod client;
#[path = "shared/tasks.rs"]
mod tasks;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use ::http::{HeaderMap, Request, Response, StatusCode};
use client::{exchange, until};
use drywire_core::{Bytes, Rng, Seed};
use drywire_tokio::http::{self, Body, BodyError, Config, Error, Upgrade};
use drywire_tokio::ws::{self, Accept, Message, Offer, client as ws_client};
use drywire_tokio::{Server, ShutdownHandle};
use drywire_ws::CloseCode;
use tasks::{Tasks, once};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Without a date, so that responses can be compared.
fn config() -> Config {
    Config { date: false, ..Config::default() }
}

struct Running {
    client: DuplexStream,
    shutdown: ShutdownHandle,
    task: JoinHandle<Result<(), Error>>,
}

/// A client's end of a pipe of so many bytes, and the task of the server at the other one.
fn start<F, R>(pipe: usize, handler: F) -> Running
where
    F: Fn(Request<Body>) -> R + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let (client, far) = tokio::io::duplex(pipe);
    let shutdown = ShutdownHandle::new();
    let stop = shutdown.clone();
    let task = tokio::spawn(async move { http::serve_connection(far, &config(), stop, handler).await });
    Running { client, shutdown, task }
}

async fn echo(request: Request<Body>) -> Response<Body> {
    Response::new(request.into_body())
}

async fn ignore(_: Request<Body>) -> Response<Body> {
    Response::new("ignored".into())
}

#[tokio::test(start_paused = true)]
async fn exchanges_follow_one_another_until_one_is_the_last() {
    let handler = |request: Request<Body>| async move {
        Response::new(Body::from(format!("{} {}", request.method(), request.uri())))
    };
    let Running { mut client, task, .. } = start(4096, handler);
    client.write_all(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut client, "/one").await, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /one");
    // Two at once; the length that GET would have, for HEAD.
    let rest = "GET /two HTTP/1.1\r\nHost: a\r\n\r\nHEAD /three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(
        exchange(&mut client, rest).await,
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /two\
         HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n"
    );
    drop(client);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn content_and_trailers_stream_through() {
    let Running { mut client, .. } = start(16, echo);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n";
    let answer = exchange(&mut client, request).await;
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert!(content.ends_with("\r\n0\r\nx-sum: 5\r\n\r\n"), "{content}");
    let text: String = content.lines().filter(|line| line.len() != 1).take_while(|line| *line != "x-sum: 5").collect();
    assert_eq!(text, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_length_that_is_known_is_announced() {
    let Running { mut client, .. } = start(4096, echo);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = exchange(&mut client, request).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
}

#[tokio::test(start_paused = true)]
async fn content_is_a_reader_with_trailers_behind_it() {
    let handler = |request: Request<Body>| async move {
        let mut reader = request.into_body().into_reader();
        let (mut line, mut rest) = (String::new(), String::new());
        reader.read_line(&mut line).await.unwrap();
        reader.read_to_string(&mut rest).await.unwrap();
        let sum = reader.trailers().unwrap().remove("x-sum").unwrap();
        Response::new(format!("{line:?} {rest:?} {sum:?}").into())
    };
    let Running { mut client, .. } = start(16, handler);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   6\r\none\ntw\r\n1\r\no\r\n0\r\nX-Sum: 7\r\n\r\n";
    assert!(exchange(&mut client, request).await.ends_with("\r\n\r\n\"one\\n\" \"two\" \"7\""));
}

/// RFC 9110, 10.1.1: 100 (Continue) when the content is asked for, and none where it is not.
#[tokio::test(start_paused = true)]
async fn rfc9110_10_1_1_content_is_called_for_when_it_is_read() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let Running { mut client, .. } = start(4096, |request: Request<Body>| async move {
        Response::new(request.into_body().collect(10).await.unwrap().into())
    });
    client.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(until(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    assert_eq!(until(&mut client, "hello").await, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");

    let Running { mut client, .. } = start(4096, ignore);
    let answer = exchange(&mut client, request).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nignored");
}

/// The handler answers before the content has come: the rest is dropped, and the connection goes on.
#[tokio::test(start_paused = true)]
async fn an_early_response_does_not_wait_for_the_content() {
    let Running { mut client, .. } = start(4096, ignore);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
    until(&mut client, "ignored").await;
    client.write_all(b"lloGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut client, "ignored").await;
}

/// Whoever still reads content when the response has ended is told.
#[tokio::test(start_paused = true)]
async fn content_behind_the_response_is_over() {
    let (keep, mut kept) = mpsc::unbounded_channel();
    let handler = move |request: Request<Body>| {
        keep.send(request.into_body()).unwrap();
        async { Response::new("early".into()) }
    };
    let Running { mut client, .. } = start(4096, handler);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
    until(&mut client, "early").await;
    let mut body = kept.recv().await.unwrap();
    assert_eq!(body.chunk().await, Err(BodyError::Over));
}

/// The client waits for each answer before it sends the next piece of one request.
#[tokio::test(start_paused = true)]
async fn both_directions_flow_at_once() {
    let Running { mut client, .. } = start(64, echo);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    until(&mut client, "\r\n\r\n").await;
    for number in 0..100 {
        client.write_all(format!("3\r\n{number:03}\r\n").as_bytes()).await.unwrap();
        assert_eq!(until(&mut client, "\r\n").await, "3\r\n");
        assert_eq!(until(&mut client, "\r\n").await, format!("{number:03}\r\n"));
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    until(&mut client, "0\r\n\r\n").await;
}

/// The handler reads nothing: the client cannot send more than what is kept for it.
#[tokio::test(start_paused = true)]
async fn content_that_is_not_read_is_not_taken() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(Some(wait)));
    let handler = move |request: Request<Body>| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            wait.await.unwrap();
            let mut body = request.into_body();
            let mut length = 0;
            while let Some(piece) = body.chunk().await.unwrap() {
                length += piece.len();
            }
            Response::new(length.to_string().into())
        }
    };
    let Running { mut client, .. } = start(1024, handler);
    let length = 4_000_000;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut sent = 0;
    let block = vec![b'x'; 1000];
    while let Ok(n) = tokio::time::timeout(std::time::Duration::from_secs(1), client.write(&block)).await {
        sent += n.unwrap();
    }
    // The read-ahead, a piece kept, the receive buffer, the pipe.
    assert!((64 * 1024..320 * 1024).contains(&sent), "{sent} bytes were taken");
    go.send(()).unwrap();
    while sent < length {
        let n = block.len().min(length - sent);
        client.write_all(&block[..n]).await.unwrap();
        sent += n;
    }
    until(&mut client, "4000000").await;
}

/// A client that does not read: a body is not polled for more than the queue takes.
#[tokio::test(start_paused = true)]
async fn a_body_is_not_asked_for_what_nobody_takes() {
    let given = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&given);
    let handler = move |_| {
        let count = Arc::clone(&count);
        async move {
            let (mut sender, body) = Body::channel(1);
            tokio::spawn(async move {
                while sender.send(vec![b'x'; 1000]).await {
                    count.fetch_add(1000, Ordering::Relaxed);
                }
            });
            Response::new(body)
        }
    };
    let Running { mut client, task, .. } = start(1024, handler);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let given = given.load(Ordering::Relaxed);
    // The send queue's high-water mark, one piece more, one in the channel, the pipe.
    assert!((64 * 1024..70 * 1024).contains(&given), "{given} bytes were given");
    drop(client);
    assert!(task.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_channel_ends_with_trailers_or_is_cut_off() {
    let handler = |request: Request<Body>| async move {
        let (mut sender, body) = Body::channel(8);
        tokio::spawn(async move {
            assert!(sender.send("one").await);
            if request.uri() == "/whole" {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "3".parse().unwrap());
                sender.finish(Some(trailers));
            }
        });
        Response::new(body)
    };
    let Running { mut client, .. } = start(4096, handler);
    client.write_all(b"GET /whole HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n0\r\nx-sum: 3\r\n\r\n").await.ends_with("3\r\none\r\n0\r\nx-sum: 3\r\n\r\n"));
    let Running { mut client, task, .. } = start(4096, handler);
    let answer = exchange(&mut client, "GET /part HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("0\r\n\r\n"), "{answer}");
    assert!(matches!(task.await.unwrap(), Err(Error::Body(_))));
}

#[tokio::test(start_paused = true)]
async fn content_that_breaks_off_is_incomplete() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let handler = move |request: Request<Body>| {
        let told = told.clone();
        // Apart, since the handler itself is dropped with its connection.
        tokio::spawn(async move { told.send(request.into_body().collect(100).await).unwrap() });
        std::future::pending()
    };
    let Running { mut client, task, .. } = start(4096, handler);
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(tells.recv().await, Some(Err(BodyError::Incomplete)));
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    drop(client);
    assert!(matches!(task.await.unwrap(), Err(Error::Protocol(drywire_http::Error::UnexpectedEnd))));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_cannot_be_sent_becomes_500() {
    let handler = |_| async {
        let mut response = Response::new(Body::from("four"));
        response.headers_mut().insert("content-length", "3".parse().unwrap());
        *response.status_mut() = StatusCode::from_u16(101).unwrap();
        response
    };
    let Running { mut client, task, .. } = start(4096, handler);
    let answer = exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    drop(client);
    assert!(matches!(task.await.unwrap(), Err(Error::Response(_))));
}

#[tokio::test(start_paused = true)]
async fn statuses_without_content_drop_the_body() {
    for status in [204, 205, 304] {
        let handler = move |_| async move {
            let mut response = Response::new(Body::from("nothing to see"));
            response.headers_mut().insert("content-length", "14".parse().unwrap());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        };
        let Running { mut client, .. } = start(4096, handler);
        let answer = exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

/// RFC 9110, 15.6.2: there is no tunnel to hand over, and the handler is not asked for one.
#[tokio::test(start_paused = true)]
async fn rfc9110_15_6_2_connect_is_not_implemented() {
    let Running { mut client, .. } = start(4096, ignore);
    client.write_all(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 501 "));
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut client, "ignored").await;
}

#[tokio::test(start_paused = true)]
async fn rfc9110_6_6_1_a_response_has_a_date() {
    for (own, count) in [(false, 1), (true, 1)] {
        let (mut client, far) = tokio::io::duplex(4096);
        let handler = move |_| async move {
            let mut response = Response::new(Body::empty());
            if own {
                response.headers_mut().insert("date", "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
            }
            response
        };
        let stop = ShutdownHandle::new();
        tokio::spawn(async move { http::serve_connection(far, &Config::default(), stop, handler).await });
        let answer = exchange(&mut client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let dates: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("date: ")).collect();
        assert_eq!(dates.len(), count, "{answer}");
        assert!(dates[0].ends_with(" GMT") && dates[0].len() == 29, "{answer}");
        assert_eq!(dates[0] == "Sun, 06 Nov 1994 08:49:37 GMT", own);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_connection_behind_the_running_exchange() {
    let (go, wait) = oneshot::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(Some(wait)));
    let handler = move |_| {
        let wait = wait.lock().unwrap().take().unwrap();
        async move {
            wait.await.unwrap();
            Response::new(Body::from("done"))
        }
    };
    let Running { mut client, shutdown, task } = start(4096, handler);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    shutdown.shutdown();
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    let answer = exchange(&mut client, "").await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    drop(client);
    task.await.unwrap().unwrap();

    let Running { mut client, shutdown, task } = start(4096, echo);
    tokio::task::yield_now().await;
    shutdown.shutdown();
    assert_eq!(exchange(&mut client, "").await, "");
    drop(client);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_with_its_connection() {
    struct Told(Option<oneshot::Sender<()>>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let (dropped, was_dropped) = oneshot::channel();
    let told = Arc::new(std::sync::Mutex::new(Some(Told(Some(dropped)))));
    let handler = move |_| {
        let told = told.lock().unwrap().take();
        async move {
            let _told = told;
            std::future::pending().await
        }
    };
    let Running { client, task, .. } = start(4096, handler);
    let mut client = client;
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    drop(client);
    was_dropped.await.unwrap();
    assert!(task.await.unwrap().is_err());
}

#[tokio::test]
async fn a_panic_ends_its_connection_only() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let running = tokio::spawn(http::serve(server, config(), |request: Request<Body>| async move {
        if request.uri() == "/panic" {
            // Without the message that a panic prints.
            std::panic::resume_unwind(Box::new(()));
        }
        Response::new(Body::from("fine"))
    }));
    let mut other = TcpStream::connect(address).await.unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_eq!(exchange(&mut client, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    other.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut other, "fine").await;
    shutdown.shutdown();
    drop(other);
    assert_eq!(running.await.unwrap().unwrap().aborted, 0);
}

async fn upgrade(mut request: Request<Body>) -> Response<Body> {
    let upgrade = request.extensions_mut().remove::<Upgrade>().expect("it asks for one");
    upgrade.answer(&Accept::default(), |mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            let _ = socket.feed(message).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_handler_opens_a_websocket() {
    let Running { client, task, .. } = start(64, upgrade);
    let (mut socket, _) = ws::connect(client, Offer::new("a", "/"), ws_client::Config::default()).await.unwrap();
    socket.send("hello").await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.close().await.unwrap();
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_a_websocket_with_1001() {
    let Running { client, shutdown, task } = start(64, upgrade);
    let (mut socket, _) = ws::connect(client, Offer::new("a", "/"), ws_client::Config::default()).await.unwrap();
    shutdown.shutdown();
    assert!(socket.next().await.is_none());
    let received = socket.connection().close_info().received.unwrap();
    assert_eq!(received.code, CloseCode::GOING_AWAY);
    drop(socket);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_websocket_outside_the_policy_gets_its_status_and_the_connection_goes_on() {
    let Running { mut client, .. } = start(4096, upgrade);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.write_all(format!("{request}Origin: http://b\r\n\r\n").as_bytes()).await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
    client.write_all(format!("{request}\r\n").as_bytes()).await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
}

/// A client that sends three requests in random pieces, a handler in parts that wait for one another through a channel,
/// every public future cancelled at every wait or none: whoever runs next, the answers are the same.
#[test]
fn whoever_runs_next_the_answers_are_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    for seed in 0..300 {
        let mut rng = Rng::new(&Seed::from(seed));
        let (near, far) = tokio::io::duplex(1 + rng.below(60) as usize);
        let (mut read, mut write) = tokio::io::split(near);
        let cancels = rng.chance(1, 2);
        let limits = Config { read_ahead: 1 + rng.below(20) as usize, ..config() };
        let limit = 1 + rng.below(20) as usize;
        let mut tasks = Tasks::default();
        let (parts, mut received) = mpsc::unbounded_channel::<(Body, http::Sender)>();
        tasks.add("server", async move {
            let handler = move |request: Request<Body>| {
                let (sender, body) = Body::channel(limit);
                parts.send((request.into_body(), sender)).unwrap();
                async move { Response::new(body) }
            };
            http::serve_connection(far, &limits, ShutdownHandle::new(), handler).await.unwrap();
        });
        tasks.add("application", async move {
            while let Some((mut body, mut sender)) = received.recv().await {
                loop {
                    let piece = if cancels { cancelled!(body.chunk()) } else { body.chunk().await };
                    let Some(piece) = piece.unwrap() else { break };
                    let shouted = Bytes::from(piece.to_ascii_uppercase());
                    let sent =
                        if cancels { cancelled!(sender.send(shouted.clone())) } else { sender.send(shouted).await };
                    assert!(sent);
                }
                sender.finish(body.trailers());
            }
        });
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz";
        let last = request.replace("Host: a", "Host: a\r\nConnection: close");
        let requests = [request, request, &last].concat();
        let (done, all_read) = oneshot::channel();
        tasks.add("client writes", async move {
            let mut rest = requests.as_bytes();
            while !rest.is_empty() {
                let n = rest.len().min(1 + rng.below(40) as usize);
                write.write_all(&rest[..n]).await.unwrap();
                rest = &rest[n..];
            }
            all_read.await.unwrap();
        });
        tasks.add("client reads", async move {
            let mut answers = String::new();
            read.read_to_string(&mut answers).await.unwrap();
            let content: String = answers
                .split("HTTP/1.1 200 OK\r\n")
                .skip(1)
                .flat_map(|answer| {
                    let chunks = answer.split_once("\r\n\r\n").unwrap().1;
                    chunks.split("\r\n").skip(1).step_by(2).chain(["."]).map(str::to_owned).collect::<Vec<_>>()
                })
                .collect();
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
            assert_eq!(content, format!("{alphabet}.{alphabet}.{alphabet}."), "seed {seed}");
            done.send(()).unwrap();
        });
        tasks.run(seed);
    }
}

/// Cancelled readers lose nothing: `AsyncRead`, too.
#[test]
fn a_reader_that_is_cancelled_loses_nothing() {
    let (mut sender, body) = Body::channel(100);
    let mut reader = body.into_reader();
    let mut room = [0; 4];
    assert!(once(reader.read(&mut room)).is_pending());
    assert_eq!(once(sender.send("hello")), Poll::Ready(true));
    assert!(matches!(once(reader.read(&mut room)), Poll::Ready(Ok(4))));
    assert_eq!(&room, b"hell");
    sender.finish(None);
    assert!(matches!(once(reader.read(&mut room)), Poll::Ready(Ok(1))));
    assert!(matches!(once(reader.read(&mut room)), Poll::Ready(Ok(0))));
}
