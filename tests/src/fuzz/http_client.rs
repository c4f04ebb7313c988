//! The HTTP client against raw bytes: cuts do not show, errors are final, deadlines move.
//!
//! The first byte chooses what is asked, the rest is a [`Splits`].

use core::time::Duration;

use bytes::Bytes;
use drywire::http::client::{Config, Connection, Event};
use drywire::http::{Error, Fields, Length, Lenient, PlainRequest, PreparedRequest};
use drywire::{Instant, RecvBuf, StreamMachine};

use super::{Splits, everything_overlooked};

/// Small limits, so that a short input reaches them; with the highest bit of the mode everything is overlooked that can be.
fn config(mode: u8) -> Config {
    Config {
        lenient: if mode >> 7 == 1 { everything_overlooked() } else { Lenient::NONE },
        max_pipeline: usize::from(mode >> 4 & 3) + 1,
        max_head: 800,
        max_fields: 10,
        max_informational: 3,
        max_content: 2000,
        max_chunk_line: 60,
        max_chunk_extensions: 90,
        max_trailers: 100,
        idle_timeout: Some(Duration::from_secs(1)),
        response_timeout: Some(Duration::from_secs(2)),
        content_timeout: Some(Duration::from_secs(3)),
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

/// What was seen, the requests sent, the error, what was left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trace {
    seen: Vec<u8>,
    asked: usize,
    error: Option<Error>,
    left: Vec<u8>,
}

fn trace<'a>(pieces: impl Iterator<Item = &'a [u8]>, mode: u8) -> Trace {
    let mut connection = Connection::new(Instant::ORIGIN, config(mode));
    let mut recv = RecvBuf::new();
    let mut trace = Trace::default();
    ask(&mut connection, mode, &mut trace);
    for piece in pieces {
        recv.extend_from_slice(piece);
        pump(&mut connection, &mut recv, mode, &mut trace);
    }
    recv.finish();
    pump(&mut connection, &mut recv, mode, &mut trace);
    while let Some(deadline) = connection.poll_timeout() {
        connection.handle_timeout(deadline);
        assert!(connection.poll_timeout().is_none_or(|next| next > deadline), "law 6");
    }
    trace.left = recv.to_vec();
    trace
}

fn pump(connection: &mut Connection, recv: &mut RecvBuf, mode: u8, trace: &mut Trace) {
    loop {
        match connection.poll_event(Instant::ORIGIN, recv) {
            // Content is recorded without its cuts.
            Ok(Some(event)) => match event {
                Event::Informational(head) => trace.seen.extend_from_slice(format!("\u{1}{head:#}").as_bytes()),
                Event::Response(head) => trace.seen.extend_from_slice(format!("\u{2}{head:#}").as_bytes()),
                Event::Content(content) => trace.seen.extend_from_slice(&content),
                Event::End(trailers) => {
                    trace.seen.extend_from_slice(format!("\u{3}{trailers}").as_bytes());
                    ask(connection, mode, trace);
                }
                Event::Closed => trace.seen.push(4),
            },
            Ok(None) => return,
            Err(error) => {
                assert!(trace.error.is_none_or(|earlier| earlier == error), "law 8");
                trace.error = Some(error);
                assert_eq!(connection.poll_event(Instant::ORIGIN, recv).err(), Some(error), "law 8");
                return;
            }
        }
    }
}

/// Asks as often as the machine lets it, at most four times.
fn ask(connection: &mut Connection, mode: u8, trace: &mut Trace) {
    let (method, target) = match mode % 4 {
        0 => ("GET", "/"),
        1 => ("HEAD", "/"),
        2 => ("POST", "/"),
        _ => ("CONNECT", "fuzz:1"),
    };
    let all: &[_] = &[("Host", "fuzz"), ("Upgrade", "fuzz"), ("Expect", "100-continue")];
    let fields = match mode >> 2 & 1 {
        _ if mode >> 6 & 1 == 1 => &[all[0], all[2]][..],
        0 => &all[..2],
        _ => &all[..1],
    };
    let length = if method == "POST" { Length::Unknown } else { Length::Known(0) };
    for _ in 0..4 {
        let request = PlainRequest::new(method, target, fields);
        // Each in its own way: as it is, from a prepared head, from a list of fields.
        let sent = match trace.asked % 3 {
            0 => connection.send_request(&request, length),
            1 => PreparedRequest::new(&request, length).and_then(|prepared| connection.send_prepared(&prepared)),
            _ => Fields::new(fields.iter().copied())
                .and_then(|fields| connection.send_request(&(method, target, &fields), length)),
        };
        if sent.is_err() {
            return;
        }
        trace.asked += 1;
        if method == "POST" {
            let _ = connection.send_content(Bytes::from_static(b"content"));
        }
        // Some requests stay unfinished, so that the response is the earlier one.
        if mode & 8 == 0 {
            let _ = connection.finish(None);
        }
    }
}
