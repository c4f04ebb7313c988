//! An HTTP echo server on threads. Run it with `cargo run --example echo_std`, then `curl -d hello 127.0.0.1:8081`.

mod shared;

use drywire::std::{Driver, Server};
use shared::Echo;

fn main() -> std::io::Result<()> {
    let server = Server::bind("127.0.0.1:8081")?;
    println!("listening on http://{}", server.local_addr());
    server.run(|transport, _peer| {
        let (mut echo, mut driver) = (Echo::default(), Driver::new(Echo::machine(transport.now()), transport));
        while let Ok(Some(event)) = driver.next_event() {
            let _ = echo.handle(driver.machine_mut(), event);
        }
    })?;
    Ok(())
}
