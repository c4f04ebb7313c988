//! ureq-proto, which takes and gives slices, and the parsers alone.

use std::hint::black_box;

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderValue};
use ntex_httparse::{Header, HeaderParsed};
use ureq_proto::server::{RecvRequestResult, Reply, SendResponseResult};

use super::requests;
use super::wire::{Sink, Source};

/// Answers every request behind its end.
pub(super) fn ureq_proto(mut source: Source, sink: &mut Sink) -> u64 {
    let mut content = 0;
    let mut input = Vec::new();
    let mut output = vec![0; 64 * 1024];
    loop {
        let read = source.read(usize::MAX);
        if read.is_empty() {
            return content;
        }
        input.extend_from_slice(read);
        let mut reply = Reply::new().expect("a new one");
        let (used, request) = reply.try_request(&input).expect("a good request");
        let Some(request) = request else { continue };
        black_box((request.method(), request.uri()));
        input.drain(..used);
        let reply = match reply.proceed().expect("a request has come") {
            RecvRequestResult::ProvideResponse(reply) => reply,
            RecvRequestResult::RecvBody(mut body) => {
                while !body.is_ended() {
                    let (used, received) = body.read(&input, &mut output).expect("good content");
                    input.drain(..used);
                    content += received as u64;
                    if received == 0 && !body.is_ended() {
                        input.extend_from_slice(source.read(usize::MAX));
                    }
                }
                body.proceed().expect("it has ended")
            }
            RecvRequestResult::Send100(_) => unreachable!("nobody expects it"),
        };
        let mut response = Response::new(());
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(requests::CONTENT_TYPE));
        fields.insert(CONTENT_LENGTH, requests::CONTENT.len().into());
        fields.insert(DATE, HeaderValue::from_static(requests::DATE));
        let mut reply = reply.provide(response).expect("a good response");
        let head = reply.write(&mut output).expect("enough room");
        let SendResponseResult::SendBody(mut reply) = reply.proceed() else { unreachable!("it has content") };
        let (_, body) = reply.write(requests::CONTENT, &mut output[head..]).expect("enough room");
        sink.write(&output[..head + body]);
        assert!(!reply.proceed().must_close_connection());
    }
}

pub(super) fn httparse(mut source: Source) -> u64 {
    loop {
        let read = source.read(usize::MAX);
        if read.is_empty() {
            return 0;
        }
        let mut fields = [::httparse::EMPTY_HEADER; 32];
        let mut request = ::httparse::Request::new(&mut fields);
        assert!(request.parse(black_box(read)).is_ok_and(|status| status.is_complete()));
        black_box((request.method, request.path, request.headers.len()));
    }
}

pub(super) fn ntex_httparse(mut source: Source) -> u64 {
    loop {
        let read = black_box(source.read(usize::MAX));
        if read.is_empty() {
            return 0;
        }
        let mut request = ::ntex_httparse::Request::default();
        let mut at = request.parse(read).expect("a good request").unwrap();
        black_box((request.method, request.path));
        let mut field = Header::default();
        while let HeaderParsed::Header(len) = field.parse(&read[at..]).expect("good fields").unwrap() {
            at += len;
            black_box(&field);
        }
    }
}
