//! A WebSocket client on tokio, which sends every message back to the server. Run it with
//! `cargo run --example mirror_tokio --features tokio -- ws://127.0.0.1:9001/`.

#[path = "shared/mirror.rs"]
mod mirror;

use drywire::tokio::{Driver, TcpTransport};
use mirror::Mirror;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the argument is a ws: URL")?;
    let (address, mirror) = Mirror::new(&url)?;
    let mut driver = Driver::new(mirror, TcpTransport::connect(address, None).await?);
    while let Some(event) = driver.next_event().await? {
        mirror::report(&event);
    }
    Ok(())
}
