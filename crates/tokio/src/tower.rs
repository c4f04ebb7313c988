//! Any `tower::Service` as an HTTP server, axum's `Router` for one.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use drywire_tokio::{Server, http, tower};
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind("127.0.0.1:0").await?;
//! let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
//! let router = Router::new().route("/", get(|| async { "hello" }));
//! let running = tokio::spawn(tower::serve(server, http::Config::default(), router));
//! # let mut client = tokio::net::TcpStream::connect(address).await?;
//! # client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await?;
//! # let mut answer = String::new();
//! # client.read_to_string(&mut answer).await?;
//! # assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"));
//!
//! shutdown.shutdown();
//! running.await??;
//! # Ok(()) }
//! ```

use std::error::Error as StdError;
use std::io;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::http::{Body, Config, Error, Handler, serve_by, serve_connection_by};
use crate::{Server, ShutdownHandle, Stopped, Transport};

/// Serves every connection of `server` with a clone of `service`, until the server is asked to stop.
///
/// As [`http::serve`](crate::http::serve), with these additions: the service is asked whether it is
/// [ready](Service::poll_ready) before each request, of which nothing more is read until it is, and its error is
/// answered with 500, behind which the connection ends.
///
/// Cancel-safe in this sense: dropping the future closes the listener and aborts all connections.
pub async fn serve<S, B>(server: Server, config: Config, service: S) -> io::Result<Stopped>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<Box<dyn StdError + Send + Sync>> + Send>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    serve_by(server, config, FromService(service)).await
}

/// Serves one connection, such as one behind TLS, or with a service that knows its peer. `shutdown` ends it behind the
/// running exchange.
///
/// Cancel-safe in this sense: dropping the future drops the connection and the service's future.
pub async fn serve_connection<T, S, B>(
    transport: T,
    config: &Config,
    shutdown: ShutdownHandle,
    service: S,
) -> Result<(), Error>
where
    T: Transport + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>, Error: Into<Box<dyn StdError + Send + Sync>> + Send> + Send,
    S::Future: Send,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    serve_connection_by(transport, config, shutdown, FromService(service)).await
}

#[derive(Clone, Debug)]
struct FromService<S>(S);

impl<S, B> Handler for FromService<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<Box<dyn StdError + Send + Sync>> + Send>,
    S::Future: Send,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    type Body = B;
    type Error = S::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> impl Future<Output = Result<Response<B>, S::Error>> + Send {
        self.0.call(request)
    }
}
