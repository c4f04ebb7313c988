//! An HTTP echo server on one thread, over a readiness loop. Run it with `cargo run --example echo_poll`, then
//! `curl -d hello 127.0.0.1:8081`.

mod shared;

use drywire::std::Turn;
use drywire::std::poll::{Server, With};
use shared::Echo;

fn main() -> std::io::Result<()> {
    let server = Server::bind("127.0.0.1:8081")?;
    println!("listening on http://{}", server.local_addr());
    server.run(
        |incoming| With { machine: Echo::machine(incoming.now), state: Echo::default() },
        |served, turn| {
            if let Ok(Turn::Event(event)) = turn {
                let With { machine, state: echo } = served.machine_mut();
                let _ = echo.handle(machine, event);
            }
        },
    )?;
    Ok(())
}
