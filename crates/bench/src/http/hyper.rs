//! hyper's side: `serve_connection` over memory, polled by hand.

use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::requests;
use super::wire::{Sink, Source};

struct Transport<'a> {
    source: Source,
    sink: &'a mut Sink,
}

/// Always ready: hyper is never left and asked again.
impl Read for Transport<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        room.put_slice(self.source.read(room.remaining()));
        Poll::Ready(Ok(()))
    }
}

impl Write for Transport<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.sink.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Answers every request behind its end.
pub(super) fn serve(source: Source, sink: &mut Sink) -> u64 {
    let received = &std::cell::Cell::new(0);
    let service = service_fn(move |request: Request<Incoming>| async move {
        black_box((request.method(), request.uri()));
        let mut body = request.into_body();
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            if let Some(data) = frame.expect("good requests").data_ref() {
                received.set(received.get() + data.len() as u64);
            }
        }
        let mut response = Response::new(Full::new(Bytes::from_static(requests::CONTENT)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(requests::CONTENT_TYPE));
        Ok::<_, Infallible>(response)
    });
    let mut builder = Builder::new();
    builder.pipeline_flush(true).half_close(true).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(Transport { source, sink }, service));
    let mut context = Context::from_waker(Waker::noop());
    // It gives way to other tasks now and then.
    while connection.as_mut().poll(&mut context).map(|end| end.expect("good requests")).is_pending() {}
    received.get()
}
