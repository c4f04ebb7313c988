//! A WebSocket client on one thread, which sends every message back to the server. Run it with
//! `cargo run --example mirror_std -- ws://127.0.0.1:9001/`.

#[path = "shared/mirror.rs"]
mod mirror;

use drywire::std::{Driver, TcpTransport};
use mirror::Mirror;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("the argument is a ws: URL")?;
    let (address, mirror) = Mirror::new(&url)?;
    let mut driver = Driver::new(mirror, TcpTransport::connect(address, None)?);
    while let Some(event) = driver.next_event()? {
        mirror::report(&event);
    }
    Ok(())
}
