//! What one of the three writes, and what that is to be read as.

use core::task::{Context, Poll, Waker};

use drywire::ws::{CloseCode, CloseFrame, Config, Connection, Message, MessageKind, Role};
use drywire::{Buf, Instant, Seed, SendQueue, StreamMachine};
use futures_util::SinkExt as _;

use super::super::input::Input;
use super::Seen;
use super::peers::Memory;

/// A message of up to 999 bytes, in up to four pieces.
enum Plan {
    Message(Seen, usize),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// What to write next, until the input is used up.
fn next(input: &mut Input<'_>) -> Option<Plan> {
    if input.is_empty() {
        return None;
    }
    let choice = input.byte();
    let len = input.number();
    Some(match choice % 8 {
        0..=2 => Plan::Message(Seen::Text("aé€𐍈".repeat(len % 100).into_bytes()), usize::from(choice / 8 % 4)),
        3 | 4 => Plan::Message(Seen::Binary(vec![choice; len % 1000]), usize::from(choice / 8 % 4)),
        5 => Plan::Ping(vec![choice; len % 126]),
        6 => Plan::Pong(vec![choice; len % 126]),
        _ => Plan::Close,
    })
}

fn bye() -> Seen {
    Seen::Close(Some((1000, "bye".into())))
}

/// Its reader has the given role. Messages leave whole, in fragments, or as a frame in pieces.
pub(super) fn by_drywire(input: &mut Input<'_>, reader: Role) -> (Vec<Seen>, Vec<u8>) {
    let role = if reader == Role::Server { Role::Client } else { Role::Server };
    let mut writer =
        Connection::new(Instant::ORIGIN, role, Config::default(), &Seed::from(5), SendQueue::new(usize::MAX));
    let mut events = Vec::new();
    while let Some(plan) = next(input) {
        match plan {
            Plan::Message(message, pieces) => {
                let (kind, payload) = match &message {
                    Seen::Text(text) => (MessageKind::Text, text),
                    Seen::Binary(bytes) => (MessageKind::Binary, bytes),
                    _ => unreachable!("a plan's message is one"),
                };
                if pieces == 0 {
                    let whole = match String::from_utf8(payload.clone()) {
                        Ok(text) if kind == MessageKind::Text => Message::text(text),
                        _ => Message::binary(payload.clone()),
                    };
                    writer.send(whole).expect("no other is under way");
                } else {
                    if pieces == 3 {
                        writer.start_frame(kind, payload.len() as u64).expect("no other is under way");
                    } else {
                        writer.start_message(kind).expect("no other is under way");
                    }
                    for i in 0..pieces {
                        let last = i + 1 == pieces;
                        let piece = &payload[payload.len() * i / pieces..payload.len() * (i + 1) / pieces];
                        // A frame is at its end when its last byte is there, so an empty piece cannot follow that.
                        if pieces == 3 && payload.len() < 3 {
                            writer.send_fragment(payload.clone(), true).expect("the whole frame");
                            break;
                        }
                        writer.send_fragment(piece.to_vec(), last).expect("one is under way");
                        if !last && pieces != 3 {
                            writer.ping("between").expect("between two fragments");
                            events.push(Seen::Ping(b"between".to_vec()));
                        }
                    }
                }
                events.push(message);
            }
            Plan::Ping(payload) => {
                writer.ping(payload.clone()).expect("a control frame");
                events.push(Seen::Ping(payload));
            }
            Plan::Pong(payload) => {
                writer.pong(payload.clone()).expect("a control frame");
                events.push(Seen::Pong(payload));
            }
            Plan::Close => {
                writer.close(Instant::ORIGIN, Some(CloseFrame::new(CloseCode::NORMAL, "bye"))).expect("the first");
                events.push(bye());
                break;
            }
        }
    }
    let queue = writer.transmit();
    (events, queue.copy_to_bytes(queue.remaining()).to_vec())
}

pub(super) fn by_tungstenite(input: &mut Input<'_>) -> (Vec<Seen>, Vec<u8>) {
    use tungstenite::protocol::frame::coding::CloseCode;
    use tungstenite::protocol::{CloseFrame, Message, Role, WebSocket};
    let mut writer = WebSocket::from_raw_socket(Memory::new(&[], 1), Role::Server, None);
    let mut events = Vec::new();
    while let Some(plan) = next(input) {
        let (message, seen) = match plan {
            Plan::Message(Seen::Text(text), _) => {
                (Message::text(String::from_utf8(text.clone()).expect("text")), Seen::Text(text))
            }
            Plan::Message(message, _) => {
                let Seen::Binary(bytes) = &message else { unreachable!("a plan's message is one") };
                (Message::binary(bytes.clone()), message)
            }
            Plan::Ping(payload) => (Message::Ping(payload.clone().into()), Seen::Ping(payload)),
            Plan::Pong(payload) => (Message::Pong(payload.clone().into()), Seen::Pong(payload)),
            Plan::Close => {
                writer.close(Some(CloseFrame { code: CloseCode::Normal, reason: "bye".into() })).expect("the first");
                events.push(bye());
                break;
            }
        };
        // Each on its own, since of the Pongs that wait only the newest leaves.
        writer.send(message).expect("written");
        events.push(seen);
    }
    (events, writer.into_inner().written)
}

/// Long messages leave in fragments of 100 bytes.
pub(super) fn by_tokio_websockets(input: &mut Input<'_>) -> (Vec<Seen>, Vec<u8>) {
    use tokio_websockets::{CloseCode, Config, Message, ServerBuilder};
    let mut writer = ServerBuilder::new().config(Config::default().frame_size(100)).serve(Memory::new(&[], 1));
    let mut events = Vec::new();
    while let Some(plan) = next(input) {
        let (message, seen) = match plan {
            Plan::Message(Seen::Text(text), _) => {
                (Message::text(String::from_utf8(text.clone()).expect("text")), Seen::Text(text))
            }
            Plan::Message(message, _) => {
                let Seen::Binary(bytes) = &message else { unreachable!("a plan's message is one") };
                (Message::binary(bytes.clone()), message)
            }
            Plan::Ping(payload) => (Message::ping(payload.clone()), Seen::Ping(payload)),
            Plan::Pong(payload) => (Message::pong(payload.clone()), Seen::Pong(payload)),
            Plan::Close => (Message::close(Some(CloseCode::NORMAL_CLOSURE), "bye"), bye()),
        };
        let last = message.is_close();
        writer.start_send_unpin(message).expect("queued");
        events.push(seen);
        if last {
            break;
        }
    }
    let flushed = writer.poll_flush_unpin(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(flushed, Poll::Ready(Ok(()))), "the transport is always ready");
    (events, std::mem::take(&mut writer.get_mut().written))
}
