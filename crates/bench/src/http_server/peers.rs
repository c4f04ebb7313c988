//! hyper, and axum on top of it.

use std::convert::Infallible;
use std::io;

use axum::routing::get;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE as CONTENT_TYPE_FIELD, HeaderValue};
use http_body_util::Full;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::{ADDRESS, CONTENT, CONTENT_TYPE, listening};

async fn hello(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(CONTENT.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE_FIELD, HeaderValue::from_static(CONTENT_TYPE));
    if request.uri().path() != "/hello" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

pub(super) async fn hyper(timer: bool) -> io::Result<()> {
    let listener = TcpListener::bind(ADDRESS).await?;
    listening(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut builder = Builder::new();
            builder.pipeline_flush(true);
            if timer {
                builder.timer(TokioTimer::new());
            } else {
                builder.header_read_timeout(None);
            }
            // How a connection ends is the client's affair.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(hello)).await;
        });
    }
}

pub(super) async fn axum() -> io::Result<()> {
    let listener = TcpListener::bind(ADDRESS).await?;
    listening(listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router()).await
}

/// What axum serves, on hyper or on drywire.
pub(super) fn router() -> axum::Router {
    let hello = || async { ([(CONTENT_TYPE_FIELD, HeaderValue::from_static(CONTENT_TYPE))], CONTENT) };
    axum::Router::new().route("/hello", get(hello))
}
