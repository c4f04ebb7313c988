//! An axum router on drywire's HTTP. Run it with `cargo run --example axum_tokio --features tower`, then
//! `curl 127.0.0.1:8084/hello`. The argument is another address to listen on.
//!
//! A handler is axum's in everything: extractors, layers, streaming bodies. Only WebSockets are drywire's, by the
//! extension that requests for one carry.

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path};
use axum::http::Response;
use axum::routing::{get, post};
use drywire::tokio::http::{Config, Upgrade};
use drywire::tokio::ws::Accept;
use drywire::tokio::{Server, tower};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let router = Router::new()
        .route("/hello", get(|| async { "hello, world\n" }))
        .route("/hello/{name}", get(|Path(name): Path<String>| async move { format!("hello, {name}\n") }))
        .route("/echo", post(|content: Body| async { content }))
        .route("/length", post(|text: String| async move { format!("{}\n", text.len()) }))
        .route("/ws", get(mirror));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8084".to_owned());
    let server = Server::bind(address).await?;
    println!("listening on http://{}", server.local_addr());
    tower::serve(server, Config::default(), router).await?;
    Ok(())
}

/// Returns every message.
async fn mirror(upgrade: Option<Extension<Upgrade>>) -> Response<Body> {
    let Some(Extension(upgrade)) = upgrade else { return Response::new("this is for WebSockets\n".into()) };
    upgrade.answer(&Accept::default(), |mut socket| async move {
        while let Some(Ok(message)) = socket.next().await {
            let _ = socket.feed(message).await;
        }
    })
}
