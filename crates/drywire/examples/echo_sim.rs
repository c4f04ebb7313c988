//! An HTTP echo server and a client over simulated TCP that loses a fifth of all packets, in virtual time. Run it with
//! `cargo run --example echo_sim --features sim`: every run prints the same lines.

mod shared;

use std::time::Duration;

use drywire::Instant;
use drywire::http::{Length, PlainRequest, client};
use drywire::sim::{Chance, Input, LinkConfig, TcpHost, World};
use drywire::tcp::Config;
use shared::Echo;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (here, there) = ("10.0.0.1:49152".parse()?, "10.0.0.2:80".parse()?);
    let mut world = World::new(7);
    let link = LinkConfig { latency: Duration::from_millis(20), loss: Chance::percent(20), ..LinkConfig::default() };
    world.network().connect([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), link);

    let isn = world.isn();
    let (mut echo, http) = (Echo::default(), Echo::machine(Instant::ORIGIN));
    world.add("server", TcpHost::listen(there, isn, Config::default(), http), move |cx, input| {
        if let Input::Event(event) = input {
            let _ = echo.handle(cx.machine(), event);
        }
    });

    let isn = world.isn();
    let http = client::Connection::new(Instant::ORIGIN, client::Config::default());
    let host = TcpHost::connect(Instant::ORIGIN, here, there, isn, Config::default(), http);
    world.add("client", host, |cx, input| match input {
        Input::Connected => {
            let request = PlainRequest::new("POST", "/", &[("Host", "server.example")]);
            let http = cx.machine();
            http.send_request(&request, Length::Known(5)).expect("a fresh connection takes a request");
            http.send_content("hello".into()).expect("its queue has room");
            http.finish(None).expect("all content is sent");
        }
        Input::Event(event) => {
            if let client::Event::End(_) = event {
                cx.machine().shutdown();
            }
            cx.note(format!("{event:?}"));
        }
        _ => {}
    });

    world.run_with(|entry| println!("{entry}"))?;
    Ok(())
}
