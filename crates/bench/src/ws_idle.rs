//! The heap of a WebSocket connection that is idle after one echo, beside the peers with their own defaults.

use drywire_core::{Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_ws::deflate::{Compression, Parameters, Pool};
use drywire_ws::{Config, Connection, Event, Role};
use futures_util::{SinkExt as _, StreamExt as _};

use crate::ALLOCATOR;
use crate::ws::Stream;
use crate::ws_memory::{Memory, complete};

const NOW: Instant = Instant::ORIGIN;

pub(crate) fn run() {
    if !cfg!(feature = "count") {
        println!("bytes are counted only where the feature `count` is on");
    }
    println!("{:<34} {:>10} {:>10}", "server, idle after one echo", "heap", "inline");
    row("drywire", |memory| drywire(memory, None, &Pool::default()));
    let pool = Pool::default();
    // What the pool takes for the first message is the pool's.
    drop(drywire(echoed().memory(), Some(Parameters::no_context_takeover()), &pool));
    row("drywire, pooled compression", |memory| drywire(memory, Some(Parameters::no_context_takeover()), &pool));
    row("tungstenite", |memory| {
        let mut ws = tungstenite::WebSocket::from_raw_socket(memory, tungstenite::protocol::Role::Server, None);
        let message = ws.read().expect("a message");
        ws.send(message).expect("sent");
        ws
    });
    row("fastwebsockets", |memory| {
        let mut ws = fastwebsockets::WebSocket::after_handshake(memory, fastwebsockets::Role::Server);
        complete(async {
            let frame = ws.read_frame().await.expect("a message");
            let payload = fastwebsockets::Payload::Owned(frame.payload.to_vec());
            ws.write_frame(fastwebsockets::Frame::binary(payload)).await.expect("written");
        });
        ws
    });
    row("tokio-websockets", |memory| {
        let mut ws = tokio_websockets::ServerBuilder::new().serve(memory);
        complete(async {
            let message = ws.next().await.expect("no end").expect("a message");
            ws.send(message).await.expect("sent");
        });
        ws
    });
    row("soketto", |memory| {
        use soketto::connection::{Builder, Mode};
        let (mut sender, mut receiver) = Builder::new(memory, Mode::Server).finish();
        complete(async {
            let mut message = Vec::new();
            receiver.receive_data(&mut message).await.expect("a message");
            sender.send_binary(&message).await.expect("sent");
            sender.flush().await.expect("flushed");
        });
        (sender, receiver)
    });
    row("yawc", |memory| {
        let mut ws =
            yawc::WebSocket::from_stream(memory, yawc::Role::Server, yawc::Options::default()).expect("no extensions");
        complete(async {
            let frame = ws.next_frame().await.expect("a message");
            ws.send(yawc::Frame::binary(frame.into_payload())).await.expect("sent");
        });
        ws
    });
}

/// One message of 20 bytes, as a client sends it.
fn echoed() -> Stream {
    Stream::new(drywire_ws::Opcode::Binary, vec![7; 20], 0)
}

/// What is held once `echo` is over, without the transport in memory.
fn row<T>(name: &str, echo: impl FnOnce(Memory) -> T) {
    let memory = echoed().memory();
    let before = in_use();
    let connection = echo(memory);
    println!("{name:<34} {:>10} {:>10}", in_use() - before, size_of::<T>() - size_of::<Memory>());
    drop(connection);
}

fn in_use() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The connection, its receive buffer and the transport, as a driver leaves them while it waits.
fn drywire(mut memory: Memory, agreed: Option<Parameters>, pool: &Pool) -> (Connection, RecvBuf, Memory) {
    let config = Config { compression: Compression { threshold: 0, ..Compression::default() }, ..Config::default() };
    let queue = SendQueue::new(64 * 1024);
    let mut server = Connection::new(NOW, Role::Server, config, &Seed::from(1), queue).with_deflate(agreed, pool);
    let mut recv = RecvBuf::new();
    let read = recv.fill_with(16 * 1024, |room| std::io::Read::read(&mut memory, room));
    assert!(read.is_ok_and(|n| n > 0));
    while let Some(event) = server.poll_event(NOW, &mut recv).expect("no violation") {
        let Event::Message(message) = event else { unreachable!("only messages are sent") };
        server.send(message).expect("queued");
    }
    server.transmit().clear();
    server.transmit().release();
    recv.release();
    (server, recv, memory)
}
