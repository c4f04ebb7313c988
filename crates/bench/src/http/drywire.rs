//! drywire's side: the machine, driven as a driver does it.

use std::cell::Cell;
use std::hint::black_box;

use bytes::Bytes;
use drywire_core::{Buf as _, Instant, RecvBuf, StreamMachine as _};
use drywire_http::server::{Config, Connection, Event};
use drywire_http::{Length, PlainResponse, PreparedResponse, RequestHead};
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue};

use super::requests;
use super::wire::{Sink, Source};
use crate::summary::cpu_time;

/// How the application takes a request and begins its response.
pub(super) trait Application {
    fn respond(&self, head: RequestHead, connection: &mut Connection);
}

/// Asks the head where it lies, and sends a head that was encoded once.
pub(super) struct Prepared(PreparedResponse);

impl Prepared {
    pub(super) fn new() -> Self {
        let fields = [("Content-Type", requests::CONTENT_TYPE)];
        let length = Length::Known(requests::CONTENT.len() as u64);
        Self(PreparedResponse::new(&PlainResponse::new(200, &fields), length).expect("good fields"))
    }
}

impl Application for Prepared {
    fn respond(&self, head: RequestHead, connection: &mut Connection) {
        black_box((head.method(), head.target()));
        connection.respond_prepared(&self.0, Some(requests::DATE)).expect("it is time to respond");
    }
}

/// Uses the types of the `http` crate, as hyper does, which also keeps the map of a response for the next request.
#[derive(Default)]
pub(super) struct Types(Cell<HeaderMap>);

impl Application for Types {
    fn respond(&self, head: RequestHead, connection: &mut Connection) {
        let request = head.into_request_with(self.0.take()).expect("a good request");
        black_box((request.method(), request.uri()));
        let mut response = http::Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(requests::CONTENT_TYPE));
        response.headers_mut().insert(DATE, HeaderValue::from_static(requests::DATE));
        let length = Length::Known(requests::CONTENT.len() as u64);
        connection.respond(&response, length).expect("it is time to respond");
        self.0.set(std::mem::take(response.headers_mut()));
    }
}

/// Answers every request behind its end.
pub(super) fn serve(mut source: Source, sink: &mut Sink, application: &impl Application) -> u64 {
    let now = Instant::ORIGIN;
    let (mut connection, mut recv) = (Connection::new(now, Config::default()), RecvBuf::new());
    let mut content = 0;
    loop {
        let read = source.read(usize::MAX);
        if read.is_empty() {
            return content;
        }
        recv.extend_from_slice(read);
        while let Some(event) = connection.poll_event(now, &mut recv).expect("good requests") {
            match event {
                Event::Request(head) => application.respond(head, &mut connection),
                Event::Content(piece) => content += piece.len() as u64,
                Event::End(_) => {
                    connection.send_content(Bytes::from_static(requests::CONTENT)).expect("a response has begun");
                    connection.finish(None).expect("all content was sent");
                }
                Event::PeerEnded => unreachable!("it sends on"),
                Event::Ready => {}
            }
        }
        while !connection.transmit().is_empty() {
            let written = connection.transmit().chunk().len();
            sink.write(connection.transmit().chunk());
            connection.transmit().advance(written);
        }
        assert!(connection.demand().read);
    }
}

/// What it costs to append a byte and to be asked in vain inside a head, as often as `head` has bytes.
pub(super) fn nanos_of_calls(head: &[u8]) -> f64 {
    let now = Instant::ORIGIN;
    let (mut connection, mut recv, mut other) =
        (Connection::new(now, Config::default()), RecvBuf::new(), RecvBuf::new());
    recv.extend_from_slice(b"GET / HTTP/1.1\r\nX: v");
    let start = cpu_time();
    for byte in head {
        other.extend_from_slice(&[*byte]);
        assert!(matches!(connection.poll_event(now, &mut recv), Ok(None)));
        assert!(connection.transmit().is_empty() && connection.demand().read);
    }
    cpu_time().saturating_sub(start).as_nanos() as f64
}
