//! The HTTP server against raw bytes: cuts do not show, errors are final, deadlines move, memory is bounded.
//!
//! The first byte chooses what the application does, the rest is a [`Splits`].

use bytes::Bytes;
use drywire::http::server::{Config, Connection, Event};
use drywire::http::{CommandError, Error, Fields, Length, Lenient, PlainResponse, PreparedResponse};
use drywire::{Instant, RecvBuf, SendQueue, StreamMachine};

use super::{Splits, everything_overlooked};

/// Small limits, so that a short input reaches them; with the highest bit of the mode everything is overlooked that can be.
fn config(mode: u8) -> Config {
    Config {
        lenient: if mode >> 7 == 1 { everything_overlooked() } else { Lenient::NONE },
        max_request_line: 200,
        max_head: 800,
        max_fields: 10,
        max_content: 2000,
        max_chunk_line: 60,
        max_chunk_extensions: 90,
        max_trailers: 100,
        send_high_water: 500,
        drain_limit: 100,
        linger_limit: u64::MAX,
        tell_ready: true,
        ..Config::default()
    }
}

/// Runs the input in one piece, in the chosen pieces and byte by byte.
pub fn run(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else { return };
    let splits = Splits::new(rest);
    let whole = trace(core::iter::once(splits.payload), mode);
    assert_eq!(trace(splits.pieces(), mode), whole, "law 1");
    assert_eq!(trace(splits.payload.chunks(1), mode), whole, "law 1");
}

/// What was seen, what was sent, the error, what was left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    seen: Vec<u8>,
    sent: Vec<u8>,
    error: Option<Error>,
    left: Vec<u8>,
}

fn trace<'a>(pieces: impl Iterator<Item = &'a [u8]>, mode: u8) -> Trace {
    let mut connection = Connection::new(Instant::ORIGIN, config(mode));
    let mut recv = RecvBuf::new();
    let mut trace = Trace::default();
    for piece in pieces {
        recv.extend_from_slice(piece);
        pump(&mut connection, &mut recv, mode, &mut trace);
    }
    recv.finish();
    pump(&mut connection, &mut recv, mode, &mut trace);
    if let Some(deadline) = connection.poll_timeout() {
        connection.handle_timeout(deadline);
        assert!(connection.poll_timeout().is_none_or(|next| next > deadline), "law 6");
    }
    trace.left = recv.to_vec();
    // 100 (Continue) does not leave where content has come already: it tells the cuts apart, and is to.
    let sent = String::from_utf8_lossy(&trace.sent).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    trace.sent = sent.into_bytes();
    trace
}

fn pump(connection: &mut Connection, recv: &mut RecvBuf, mode: u8, trace: &mut Trace) {
    loop {
        let result = connection.poll_event(Instant::ORIGIN, recv);
        match result {
            Ok(Some(event)) => {
                // Content is recorded without its cuts.
                match &event {
                    Event::Request(head) => trace.seen.extend_from_slice(format!("\u{1}{head:#}").as_bytes()),
                    Event::Content(content) => trace.seen.extend_from_slice(content),
                    Event::End(trailers) => trace.seen.extend_from_slice(format!("\u{2}{trailers}").as_bytes()),
                    Event::PeerEnded => trace.seen.push(3),
                    Event::Ready => trace.seen.push(4),
                }
                react(connection, event, mode);
            }
            Ok(None) => break,
            Err(error) => {
                assert!(trace.error.is_none_or(|earlier| earlier == error), "law 8");
                trace.error = Some(error);
                assert_eq!(connection.poll_event(Instant::ORIGIN, recv).err(), Some(error), "law 8");
                break;
            }
        }
        // One answer or one piece of content above the mark, and no more.
        assert!(connection.transmit().len() <= config(mode).send_high_water + 2500, "law 3");
        take(connection.transmit(), &mut trace.sent);
    }
    take(connection.transmit(), &mut trace.sent);
}

/// Begins a 200; how its head comes about shows in no other way, and follows from what there is to answer.
fn respond(connection: &mut Connection, length: Length, kind: usize) -> Result<(), CommandError> {
    let ok = PlainResponse::new(200, &[("Server", "fuzz")]);
    match kind % 3 {
        0 => connection.respond(&ok, length),
        1 => connection.respond(&(200, &Fields::new([("Server", "fuzz")])?), length),
        _ => connection.respond_prepared(&PreparedResponse::new(&ok, length)?, None),
    }
}

fn react(connection: &mut Connection, event: Event, mode: u8) {
    let has = |bit: u8| mode >> bit & 1 == 1;
    match event {
        Event::Request(head) => {
            if has(6) {
                // Refused towards HTTP/1.0.
                let _ = connection.send_informational(&PlainResponse::new(103, &[("Link", "</fuzz>")]));
            }
            if has(0) && head.expects_continue() {
                connection.send_continue().expect("awaited");
            }
            let switch = PlainResponse::new(101, &[("Upgrade", "fuzz")]);
            let switched = has(1) && connection.upgrade(&switch).is_ok();
            if !switched && has(2) {
                let length = match head.content_length() {
                    Some(length) if has(3) => Length::Known(length),
                    _ if has(4) => Length::Unknown,
                    _ => Length::Known(0),
                };
                // 2xx to a CONNECT with content has to wait for its end.
                let _ = respond(connection, length, head.target().len());
                if has(5) {
                    let _ = connection.finish(None);
                }
            }
        }
        // An echo, where a length keeps the cuts from showing.
        Event::Content(content) => {
            if has(3) && !has(4) {
                let _ = connection.send_content(content);
            }
        }
        Event::End(trailers) => {
            if respond(connection, Length::Unknown, usize::from(mode)).is_ok() {
                let _ = connection.send_content(Bytes::from_static(b"content"));
            }
            if connection.finish(Some(&trailers)).is_err() && connection.finish(None).is_err() && has(6) {
                connection.shutdown();
            }
        }
        Event::PeerEnded | Event::Ready => {}
    }
}

fn take(queue: &mut SendQueue, sent: &mut Vec<u8>) {
    while !queue.is_empty() {
        sent.extend_from_slice(&queue.pop(usize::MAX));
    }
}
