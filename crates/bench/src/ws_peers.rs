//! The peers of `ws`, each with its own defaults except that none collects more than 64 KiB before it writes.

use bytes::Bytes;
use drywire_ws::Role;
use futures_util::{SinkExt as _, StreamExt as _};

use crate::ws::{READ, Stream, Tally};
use crate::ws_memory::{Memory, complete};

/// One peer: what it receives, and what it sends.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) receive: fn(&Stream, usize),
    pub(crate) send: fn(Role, &Bytes, usize),
}

pub(crate) const PEERS: [Peer; 6] = [
    Peer { name: "tungstenite", receive: tungstenite_receive, send: tungstenite_send },
    Peer { name: "fastwebsockets", receive: fastwebsockets_receive, send: fastwebsockets_send },
    Peer { name: "tokio-websockets", receive: tokio_websockets_receive, send: tokio_websockets_send },
    Peer { name: "soketto", receive: soketto_receive, send: soketto_send },
    Peer { name: "yawc", receive: yawc_receive, send: yawc_send },
    Peer { name: "web-socket", receive: web_socket_receive, send: web_socket_send },
];

fn nothing() -> Memory {
    Memory::new(Vec::new(), READ)
}

fn tungstenite(memory: Memory, role: Role) -> tungstenite::WebSocket<Memory> {
    use tungstenite::protocol::{Role as Its, WebSocketConfig};
    let role = if role == Role::Server { Its::Server } else { Its::Client };
    let config = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(READ);
    tungstenite::WebSocket::from_raw_socket(memory, role, Some(config))
}

fn tungstenite_receive(stream: &Stream, count: usize) {
    let mut ws = tungstenite(stream.memory(), Role::Server);
    let mut tally = Tally::new(stream, count);
    while tally.lacks() {
        match ws.read().expect("a message") {
            tungstenite::Message::Text(text) => tally.take(text.as_bytes()),
            message => tally.take(&message.into_data()),
        }
    }
}

fn tungstenite_send(role: Role, payload: &Bytes, count: usize) {
    let mut ws = tungstenite(nothing(), role);
    for _ in 0..count {
        ws.write(tungstenite::Message::Binary(payload.clone())).expect("written");
    }
    ws.flush().expect("flushed");
}

fn fastwebsockets(memory: Memory, role: Role) -> fastwebsockets::WebSocket<Memory> {
    use fastwebsockets::Role as Its;
    let role = if role == Role::Server { Its::Server } else { Its::Client };
    fastwebsockets::WebSocket::after_handshake(memory, role)
}

fn fastwebsockets_receive(stream: &Stream, count: usize) {
    let mut ws = fastwebsockets(stream.memory(), Role::Server);
    let mut tally = Tally::new(stream, count);
    complete(async {
        while tally.lacks() {
            tally.take(&ws.read_frame().await.expect("a message").payload);
        }
    });
}

fn fastwebsockets_send(role: Role, payload: &Bytes, count: usize) {
    use fastwebsockets::{Frame, Payload};
    let mut ws = fastwebsockets(nothing(), role);
    complete(async {
        for _ in 0..count {
            ws.write_frame(Frame::binary(Payload::Borrowed(payload))).await.expect("written");
        }
    });
}

fn tokio_websockets(memory: Memory, role: Role) -> tokio_websockets::WebSocketStream<Memory> {
    let config = tokio_websockets::Config::default().flush_threshold(READ);
    match role {
        Role::Server => tokio_websockets::ServerBuilder::new().config(config).serve(memory),
        Role::Client => tokio_websockets::ClientBuilder::new().config(config).take_over(memory),
    }
}

fn tokio_websockets_receive(stream: &Stream, count: usize) {
    let mut ws = tokio_websockets(stream.memory(), Role::Server);
    let mut tally = Tally::new(stream, count);
    complete(async {
        while tally.lacks() {
            tally.take(ws.next().await.expect("no end").expect("a message").as_payload());
        }
    });
}

fn tokio_websockets_send(role: Role, payload: &Bytes, count: usize) {
    let mut ws = tokio_websockets(nothing(), role);
    complete(async {
        for _ in 0..count {
            ws.feed(tokio_websockets::Message::binary(payload.clone())).await.expect("written");
        }
        ws.flush().await.expect("flushed");
    });
}

fn soketto_receive(stream: &Stream, count: usize) {
    use soketto::connection::{Builder, Mode};
    let (_sender, mut receiver) = Builder::new(stream.memory(), Mode::Server).finish();
    let mut tally = Tally::new(stream, count);
    let mut message = Vec::new();
    complete(async {
        while tally.lacks() {
            message.clear();
            // It leaves UTF-8 to the caller, as its documentation shows.
            if receiver.receive_data(&mut message).await.expect("a message").is_text() {
                std::str::from_utf8(&message).expect("UTF-8");
            }
            tally.take(&message);
        }
    });
}

fn soketto_send(role: Role, payload: &Bytes, count: usize) {
    use soketto::connection::{Builder, Mode};
    let mode = if role == Role::Server { Mode::Server } else { Mode::Client };
    let (mut sender, _receiver) = Builder::new(nothing(), mode).finish();
    complete(async {
        for _ in 0..count {
            sender.send_binary(payload).await.expect("written");
        }
        sender.flush().await.expect("flushed");
    });
}

fn yawc(memory: Memory, role: Role) -> yawc::WebSocket<Memory> {
    let role = if role == Role::Server { yawc::Role::Server } else { yawc::Role::Client };
    // Checking text is an option of its own, and so are messages of 1 MiB.
    let options = yawc::Options::default().with_utf8().with_limits(16 << 20, 32 << 20).with_backpressure_boundary(READ);
    yawc::WebSocket::from_stream(memory, role, options).expect("no extensions")
}

fn yawc_receive(stream: &Stream, count: usize) {
    let mut ws = yawc(stream.memory(), Role::Server);
    let mut tally = Tally::new(stream, count);
    complete(async {
        while tally.lacks() {
            tally.take(ws.next_frame().await.expect("a message").payload());
        }
    });
}

fn yawc_send(role: Role, payload: &Bytes, count: usize) {
    let mut ws = yawc(nothing(), role);
    complete(async {
        for _ in 0..count {
            ws.feed(yawc::Frame::binary(payload.clone())).await.expect("written");
        }
        ws.flush().await.expect("flushed");
    });
}

fn web_socket_receive(stream: &Stream, count: usize) {
    use web_socket::{DataType, Event, MessageType, WebSocket};
    // It has no buffer of its own.
    let mut ws = WebSocket::server(tokio::io::BufReader::with_capacity(READ, stream.memory()));
    let mut tally = Tally::new(stream, count);
    complete(async {
        while tally.lacks() {
            let Ok(Event::Data { ty, data }) = ws.recv().await else { unreachable!("a message") };
            // It leaves UTF-8 to the caller.
            if let DataType::Complete(MessageType::Text) = ty {
                std::str::from_utf8(&data).expect("UTF-8");
            }
            tally.take(&data);
        }
    });
}

fn web_socket_send(role: Role, payload: &Bytes, count: usize) {
    use web_socket::WebSocket;
    let mut ws = if role == Role::Server { WebSocket::server(nothing()) } else { WebSocket::client(nothing()) };
    complete(async {
        for _ in 0..count {
            ws.send(&payload[..]).await.expect("written");
        }
    });
}
