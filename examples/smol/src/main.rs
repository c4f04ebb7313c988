//! An HTTP echo server on smol. Run it with `cargo run -p drywire-example-smol`, then `curl -d hello 127.0.0.1:8085`.
//! Another address is the only argument.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reading the clock is what a driver is for")]

mod driver;
#[path = "../../../crates/drywire/examples/shared/mod.rs"]
mod shared;

use driver::Driver;
use drywire::Instant;
use shared::Echo;
use smol::net::{TcpListener, TcpStream};

fn main() -> std::io::Result<()> {
    smol::block_on(async {
        let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8085")).await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            // A connection that is gone before it is accepted is no reason to stop.
            if let Ok((stream, _peer)) = listener.accept().await {
                smol::spawn(serve(stream)).detach();
            }
        }
    })
}

async fn serve(stream: TcpStream) {
    let (mut echo, mut driver) = (Echo::default(), Driver::new(Echo::machine(Instant::ORIGIN), stream));
    while let Ok(Some(event)) = driver.next_event().await {
        let _ = echo.handle(driver.machine_mut(), event);
    }
}
