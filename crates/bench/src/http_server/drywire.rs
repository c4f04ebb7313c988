//! drywire's sides: the same application on three runtimes.

use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use drywire_http::server::{Config, Connection, Event};
use drywire_http::{CommandError, Length, PlainResponse, PreparedResponse};

use super::{ADDRESS, CONTENT, CONTENT_TYPE, listening, peers, with_date};

static HELLO: LazyLock<PreparedResponse> = LazyLock::new(|| {
    let fields = [("Content-Type", CONTENT_TYPE)];
    PreparedResponse::new(&PlainResponse::new(200, &fields), Length::Known(CONTENT.len() as u64)).expect("a good head")
});

/// A refused command means that the connection failed or is closing: the driver tells why.
fn handle(connection: &mut Connection, event: &Event) -> Result<(), CommandError> {
    if let Event::Request(head) = event {
        if head.path() != "/hello" {
            connection.respond(&PlainResponse::new(404, &[]), Length::Known(0))?;
            return connection.finish(None);
        }
        with_date(|date| connection.respond_prepared(&HELLO, Some(date)))?;
        connection.send_content(Bytes::from_static(CONTENT.as_bytes()))?;
        connection.finish(None)?;
    }
    Ok(())
}

pub(super) async fn on_tokio() -> io::Result<()> {
    use drywire_tokio::{Driver, Server};

    let server = Server::bind(ADDRESS).await?;
    listening(server.local_addr());
    let run = server.run(|transport, _peer, _shutdown| async {
        let mut driver = Driver::new(Connection::new(transport.now(), Config::default()), transport);
        while let Ok(Some(event)) = driver.next_event().await {
            let _ = handle(driver.machine_mut(), &event);
        }
    });
    run.await.map(drop)
}

pub(super) fn on_std() -> io::Result<()> {
    use drywire_std::{Driver, Server};

    let server = Server::bind(ADDRESS)?;
    listening(server.local_addr());
    let run = server.run(|transport, _peer| {
        let mut driver = Driver::new(Connection::new(transport.now(), Config::default()), transport);
        while let Ok(Some(event)) = driver.next_event() {
            let _ = handle(driver.machine_mut(), &event);
        }
    });
    run.map(drop)
}

pub(super) fn on_poll() -> io::Result<()> {
    use drywire_std::{Turn, poll::Server};

    let server = Server::bind(ADDRESS)?;
    listening(server.local_addr());
    let run = server.run(
        |incoming| Connection::new(incoming.now, Config::default()),
        |served, turn| {
            if let Ok(Turn::Event(event)) = turn {
                let _ = handle(served.machine_mut(), &event);
            }
        },
    );
    run.map(drop)
}

/// By `http` types, and with the date that drywire adds.
pub(super) async fn handler() -> io::Result<()> {
    use drywire_tokio::Server;
    use drywire_tokio::http::{self, Body, Config};
    use hyper::header::{CONTENT_TYPE as CONTENT_TYPE_FIELD, HeaderValue};
    use hyper::{Request, Response, StatusCode};

    let server = Server::bind(ADDRESS).await?;
    listening(server.local_addr());
    let hello = |request: Request<Body>| async move {
        let mut response = Response::new(Body::from(CONTENT));
        response.headers_mut().insert(CONTENT_TYPE_FIELD, HeaderValue::from_static(CONTENT_TYPE));
        if request.uri().path() != "/hello" {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    };
    http::serve(server, Config::default(), hello).await.map(drop)
}

/// The router that the other side serves on hyper.
pub(super) async fn axum() -> io::Result<()> {
    use drywire_tokio::http::Config;
    use drywire_tokio::{Server, tower};

    let server = Server::bind(ADDRESS).await?;
    listening(server.local_addr());
    tower::serve(server, Config::default(), peers::router()).await.map(drop)
}
