//! tower services, an axum router with layers among them.

#[path = "shared/client.rs"]
mod client;

use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use ::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use axum::Router;
use axum::extract::{Extension, Path};
use axum::routing::{get, post};
use client::{exchange, until};
use drywire_tokio::http::{Body, Config, Error, Upgrade};
use drywire_tokio::ws::{self, Accept, Message, Offer, client as ws_client};
use drywire_tokio::{ShutdownHandle, tower};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::task::JoinHandle;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_service::Service;

fn start<S, B>(service: S) -> (DuplexStream, JoinHandle<Result<(), Error>>)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<Box<dyn StdError + Send + Sync>> + Send>,
    S: Service<Request<Body>, Future: Send> + Send + 'static,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    let (client, far) = tokio::io::duplex(4096);
    let config = Config { date: false, ..Config::default() };
    let serving = async move { tower::serve_connection(far, &config, ShutdownHandle::new(), service).await };
    (client, tokio::spawn(serving))
}

fn router() -> Router {
    let server =
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static("server"), HeaderValue::from_static("drywire"));
    Router::new()
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello, {name}") }))
        .route("/shout", post(|text: String| async move { text.to_uppercase() }))
        .route("/stream", post(|body: axum::body::Body| async { body }))
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route("/echo", get(websocket))
        .layer(RequestBodyLimitLayer::new(100))
        .layer(server)
}

async fn websocket(Extension(upgrade): Extension<Upgrade>) -> Response<axum::body::Body> {
    upgrade.answer(&Accept::default(), |mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            let _ = socket.feed(message).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn an_axum_router_answers_through_its_layers() {
    let (mut client, task) = start(router());
    client.write_all(b"GET /hello/world HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = until(&mut client, "hello, world").await;
    assert!(answer.contains("\r\nserver: drywire\r\n") && answer.contains("\r\nContent-Length: 12\r\n"), "{answer}");
    client.write_all(b"POST /shout HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello").await.unwrap();
    until(&mut client, "HELLO").await;
    client.write_all(b"HEAD /hello/world HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.contains("\r\nContent-Length: 12\r\n"));
    client.write_all(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
    client.write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut client, "\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
    // The limit counts what arrives where no length is announced.
    let request = format!(
        "POST /shout HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n{}\r\n0\r\n\r\n",
        "x".repeat(200)
    );
    assert!(exchange(&mut client, &request).await.starts_with("HTTP/1.1 413 "));
    drop(client);
    task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_axum_handler_streams_content_and_trailers() {
    let (mut client, _task) = start(router());
    let request = "POST /stream HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    // The answer to what has come so far, while more is to come.
    until(&mut client, "\r\n\r\n3\r\none\r\n").await;
    client.write_all(b"3\r\ntwo\r\n0\r\nX-Sum: 6\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut client, "6\r\n\r\n").await, "3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn an_axum_handler_opens_a_websocket_behind_layers() {
    let (client, task) = start(router());
    let (mut socket, opened) =
        ws::connect(client, Offer::new("a", "/echo"), ws_client::Config::default()).await.unwrap();
    assert_eq!(opened.response.field("server"), Some(&b"drywire"[..]));
    socket.send("hello").await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.close().await.unwrap();
    task.await.unwrap().unwrap();
}

/// A service that says when it is ready, and fails when it is asked to.
#[derive(Clone, Default)]
struct Gate {
    is_open: Arc<AtomicBool>,
    waiting: Arc<std::sync::Mutex<Option<Waker>>>,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = String;
    type Future = Ready<Result<Response<Body>, String>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        *self.waiting.lock().unwrap() = Some(cx.waker().clone());
        if self.is_open.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(if request.uri() == "/fail" { Err("as asked".to_owned()) } else { Ok(Response::new("ready".into())) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for() {
    let gate = Gate::default();
    let (mut client, _task) = start(gate.clone());
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::task::yield_now().await;
    assert_eq!(gate.calls.load(Ordering::SeqCst), 0);
    gate.is_open.store(true, Ordering::SeqCst);
    gate.waiting.lock().unwrap().take().expect("the service was asked").wake();
    until(&mut client, "ready").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_is_500_and_the_end_of_its_connection() {
    let gate = Gate::default();
    gate.is_open.store(true, Ordering::SeqCst);
    let (mut client, task) = start(gate.clone());
    let answer = exchange(&mut client, "GET /fail HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    drop(client);
    let error = task.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the service failed: as asked");
    assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
}
