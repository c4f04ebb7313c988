//! An HTTP echo server on tokio. Run it with `cargo run --example echo_tokio --features tokio`, then
//! `curl -d hello 127.0.0.1:8081`.

mod shared;

use drywire::tokio::{Driver, Server};
use shared::Echo;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}", server.local_addr());
    let connection = |transport: drywire::tokio::TcpTransport, _peer, _shutdown| async move {
        let (mut echo, mut driver) = (Echo::default(), Driver::new(Echo::machine(transport.now()), transport));
        while let Ok(Some(event)) = driver.next_event().await {
            let _ = echo.handle(driver.machine_mut(), event);
        }
    };
    server.run(connection).await?;
    Ok(())
}
