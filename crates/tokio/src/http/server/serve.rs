//! Serving a handler.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use drywire_http::server;
use http::{Request, Response};

use super::connection::Connection;
use super::{Body, Error};
use crate::{Driver, Server, ShutdownHandle, Stopped, Transport};

/// The limits of a server's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The limits and times of HTTP itself.
    pub http: server::Config,
    /// The limits of the driver.
    pub driver: crate::Config,
    /// How many bytes of a request's content wait for the handler to read them: 64 KiB. At least one piece does.
    pub read_ahead: usize,
    /// Whether a response without `Date` gets one: by default it does (RFC 9110, 6.6.1).
    pub date: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { http: server::Config::default(), driver: crate::Config::default(), read_ahead: 64 * 1024, date: true }
    }
}

/// What answers requests: one for each connection.
pub(crate) trait Handler {
    type Body: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send;
    type Error: Into<Box<dyn StdError + Send + Sync>> + Send;

    /// Waits until it takes a request.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>>;

    fn call(
        &mut self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send;
}

/// Serves every connection of `server` with `handler`, until the server is asked to stop.
///
/// ```text
///   head ──▶ handler(Request<Body>) ──▶ Response<B> ──▶ B's frames ──▶ next request
///                     │                                     ▲
///                     └── content as it arrives ────────────┘  both directions at once, if the handler likes
/// ```
///
/// Requests of a connection are answered one after the other; pipelined ones in as few writes as they fit into. A handler
/// may answer before it has read the content: what is left of it is dropped, up to
/// [`drain_limit`](server::Config::drain_limit). It is dropped where it waits when the connection fails, and nothing
/// else is: a panic ends its own connection, and so does a body that fails, by a reset, because content that is cut off
/// must not look whole.
///
/// At a shutdown idle connections close, each running exchange is brought to its end, and what is left after
/// [`ServerConfig::drain`](crate::ServerConfig::drain) is aborted.
///
/// Cancel-safe in this sense: dropping the future closes the listener and aborts all connections.
pub async fn serve<F, R, B>(server: Server, config: Config, handler: F) -> io::Result<Stopped>
where
    F: Fn(Request<Body>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
{
    serve_by(server, config, FromFn(handler)).await
}

/// Serves one connection, such as one behind TLS. `shutdown` ends it behind the running exchange.
///
/// Cancel-safe in this sense: dropping the future drops the connection and the handler's future.
pub async fn serve_connection<T, F, R, B>(
    transport: T,
    config: &Config,
    shutdown: ShutdownHandle,
    handler: F,
) -> Result<(), Error>
where
    T: Transport + Send + 'static,
    F: Fn(Request<Body>) -> R + Send,
    R: Future<Output = Response<B>> + Send,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    serve_connection_by(transport, config, shutdown, FromFn(handler)).await
}

pub(crate) async fn serve_by<H>(server: Server, config: Config, handler: H) -> io::Result<Stopped>
where
    H: Handler + Clone + Send + 'static,
{
    let config = Arc::new(config);
    let connection = |transport, _, shutdown| {
        let (config, handler) = (Arc::clone(&config), handler.clone());
        async move {
            // How a connection ends is its peer's affair.
            let _ = serve_connection_by(transport, &config, shutdown, handler).await;
        }
    };
    server.run(connection).await
}

pub(crate) async fn serve_connection_by<T, H>(
    transport: T,
    config: &Config,
    shutdown: ShutdownHandle,
    mut handler: H,
) -> Result<(), Error>
where
    T: Transport + Send + 'static,
    H: Handler + Send,
{
    let machine = |now| Ok::<_, Infallible>(server::Connection::new(now, config.http.clone()));
    let Ok(driver) = Driver::start(transport, config.driver.clone(), machine);
    Connection::new(driver, config, shutdown).run(&mut handler).await
}

#[derive(Clone, Debug)]
struct FromFn<F>(F);

impl<F, R, B> Handler for FromFn<F>
where
    F: Fn(Request<Body>) -> R + Send,
    R: Future<Output = Response<B>> + Send,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + Send,
{
    type Body = B;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    async fn call(&mut self, request: Request<Body>) -> Result<Response<B>, Infallible> {
        Ok((self.0)(request).await)
    }
}
