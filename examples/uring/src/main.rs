//! An HTTP echo server on io_uring. Run it with `cargo run -p drywire-example-uring`, then `curl -d hello 127.0.0.1:8086`.
//! Another address is the only argument.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "reading the clock is what a driver is for")]

#[cfg(target_os = "linux")]
mod driver;
#[cfg(target_os = "linux")]
#[path = "../../../crates/drywire/examples/shared/mod.rs"]
mod shared;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use compio::net::TcpListener;
    use drywire::Instant;
    use shared::Echo;

    compio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8086")).await?;
        println!("listening on http://{}", listener.local_addr()?);
        loop {
            // A connection that is gone before it is accepted is no reason to stop.
            let Ok((stream, _peer)) = listener.accept().await else { continue };
            let mut echo = Echo::default();
            let connection = driver::drive(Echo::machine(Instant::ORIGIN), stream, move |http, event| {
                let _ = echo.handle(http, event);
            });
            compio::runtime::spawn(async { drop(connection.await) }).detach();
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("io_uring is a part of Linux");
}
