//! A proxy that knows `CONNECT` alone. Run it with `cargo run --example tunnel_tokio --features tokio`, then
//! `curl --proxytunnel --proxy 127.0.0.1:8083 http://example.com/`. The argument is another address to listen on.
//!
//! What it shows is the hand-over: behind the 200 the machine leaves the receive buffer alone, and whatever the client has
//! sent behind its request is the first that the tunnel carries.

use drywire::StreamMachine as _;
use drywire::http::server::{Config, Connection, Event};
use drywire::http::{Length, PlainResponse};
use drywire::tokio::{Driver, Server, TcpTransport};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8083".to_owned());
    let server = Server::bind(address).await?;
    println!("listening on http://{}", server.local_addr());
    server.run(|transport, _, _| async { drop(serve(transport).await) }).await?;
    Ok(())
}

async fn serve(transport: TcpTransport) -> Result<(), Box<dyn std::error::Error>> {
    let mut driver = Driver::new(Connection::new(transport.now(), Config::default()), transport);
    let mut target = None;
    while let Some(event) = driver.next_event().await? {
        match event {
            Event::Request(head) => target = Some(head.target().to_owned()).filter(|_| head.method() == "CONNECT"),
            Event::End(_) => {
                let upstream = match target.take() {
                    Some(authority) => TcpStream::connect(authority).await.map_err(|_| 502),
                    None => Err(405),
                };
                let http = driver.machine_mut();
                match upstream {
                    Ok(upstream) => {
                        http.respond(&PlainResponse::new(200, &[]), Length::Known(0))?;
                        return tunnel(driver, upstream).await;
                    }
                    Err(status) => {
                        http.respond(&PlainResponse::new(status, &[("Allow", "CONNECT")]), Length::Known(0))?;
                        http.finish(None)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

async fn tunnel(
    driver: Driver<Connection, TcpTransport>,
    mut upstream: TcpStream,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut parts = driver.into_parts();
    // The 200 first, then what has come already.
    parts.transport.write_all_buf(parts.machine.transmit()).await?;
    upstream.write_all(&parts.recv).await?;
    if parts.recv.is_end_of_stream() {
        upstream.shutdown().await?;
    }
    copy_bidirectional(&mut parts.transport, &mut upstream).await?;
    Ok(())
}
