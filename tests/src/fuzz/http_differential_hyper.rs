//! Whole connections as drywire's server reads them beside hyper's: the same requests with the same content, or a known
//! difference.
//!
//! The input is what a client sends before it ends its direction.

use core::cell::RefCell;
use core::convert::Infallible;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use bytes::Bytes;
use drywire::http::{Error, Length, PlainResponse, server};
use drywire::{Instant, RecvBuf, StreamMachine as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;

/// A whole request, in the form in which both can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Request {
    method: String,
    target: String,
    minor: u8,
    /// Names in small letters and in order, lines of the same name in theirs.
    fields: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
}

impl Request {
    fn sort(&mut self) {
        self.fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        // hyper makes one line of a length that is given several times, the first; 05 is as long as 5.
        let digits = |value: &[u8]| value.iter().copied().skip_while(|digit| *digit == b'0').collect::<Vec<_>>();
        self.fields.dedup_by(|(later, again), (first, value)| {
            later == first && later == "content-length" && digits(again) == digits(value)
        });
    }
}

/// Serves the input with both.
pub fn run(input: &[u8]) {
    let (mut ours, error) = our_requests(input);
    let mut theirs = their_requests(input);
    ours.iter_mut().chain(&mut theirs).for_each(Request::sort);
    let both = ours.len().min(theirs.len());
    for (one, other) in ours.iter().zip(&theirs) {
        assert_eq!(one, other, "read differently");
    }
    if let Some(request) = theirs.get(both) {
        let error = error.unwrap_or_else(|| panic!("hyper has one request more: {request:?}"));
        assert!(is_stricter(error), "{error:?} but hyper has {request:?}");
    }
    if let Some(request) = ours.get(both) {
        assert!(is_more_lenient(&ours[..both], request, input), "hyper has one request less: {request:?}");
    }
}

/// What hyper takes and drywire does not. Behind such an input hyper may go on, and drywire never does.
fn is_stricter(error: Error) -> bool {
    match error {
        // RFC 9112, 2.2, lets a recipient take LF for a line end in a head. hyper does so, also in chunk lines and behind
        // the last chunk, where it does not say that.
        Error::BareLf | Error::BareCr => true,
        // hyper skips any number of empty lines in front of a request.
        Error::EmptyLines => true,
        // hyper takes every target that is a URI or part of one, whatever the method.
        Error::InvalidTarget | Error::TargetForm | Error::InvalidPercentEncoding => true,
        // hyper leaves Host to the application (RFC 9112, 3.2, has the server answer 400).
        Error::MissingHost | Error::DuplicateHost | Error::InvalidHost => true,
        // hyper takes the coding and removes the length (RFC 9112, 6.3, allows both).
        Error::TransferEncodingWithContentLength => true,
        // hyper looks at the last coding alone.
        Error::ChunkedNotFinal | Error::UnknownTransferCoding | Error::InvalidTransferEncoding => true,
        // hyper takes white space behind a chunk size, and does not look into extensions.
        Error::InvalidChunkSize | Error::InvalidChunkExtension | Error::ChunkExtensionsTooLong => true,
        // hyper takes trailers by httparse's rules, and has other limits.
        Error::TrailersTooLarge | Error::HeadTooLarge | Error::FieldLineTooLong | Error::RequestLineTooLong => true,
        _ => false,
    }
}

/// What drywire takes and hyper does not.
fn is_more_lenient(before: &[Request], request: &Request, input: &[u8]) -> bool {
    let mut connection = before.iter().flat_map(|request| &request.fields).filter(|(name, _)| name == "connection");
    // Characters in a target that RFC 3986 would have encoded, and forms of authority that `http::Uri` does not know.
    request.target.parse::<http::Uri>().is_err()
        // hyper reads no `keep-alive` beside obs-text.
        || connection.any(|(_, value)| !value.is_ascii())
        // RFC 9112, 6.3: a list of equal lengths may be taken as one; hyper takes lines, and no lists.
        || request.fields.iter().any(|(name, value)| name == "content-length" && value.contains(&b','))
        // RFC 9110, 2.5: a higher minor version is treated as 1.1.
        || input.windows(8).any(|window| window.starts_with(b"HTTP/1.") && matches!(window[7], b'2'..=b'9'))
}

fn our_requests(input: &[u8]) -> (Vec<Request>, Option<Error>) {
    let mut machine = server::Connection::new(Instant::ORIGIN, server::Config::default());
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(input);
    recv.finish();
    let mut requests = Vec::new();
    let mut request = None;
    loop {
        match machine.poll_event(Instant::ORIGIN, &mut recv) {
            Ok(Some(server::Event::Request(head))) => {
                // Refused where it is not awaited.
                let _ = machine.send_continue();
                let field = |(name, value): (&[u8], &[u8])| {
                    (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec())
                };
                request = Some(Request {
                    method: head.method().to_owned(),
                    target: uri(head.target()),
                    minor: u8::from(head.version() == drywire::http::Version::Http11),
                    fields: head.fields().map(field).collect(),
                    content: Vec::new(),
                });
            }
            Ok(Some(server::Event::Content(content))) => {
                request.as_mut().expect("behind its head").content.extend_from_slice(&content);
            }
            Ok(Some(server::Event::End(_))) => {
                requests.extend(request.take());
                // No tunnel, no upgrade: the connection stays HTTP.
                machine.respond(&PlainResponse::new(400, &[]), Length::Known(0)).expect("a response");
                machine.finish(None).expect("its end");
            }
            Ok(Some(server::Event::PeerEnded | server::Event::Ready)) => {}
            Ok(None) if machine.transmit().is_empty() => return (requests, None),
            Ok(None) => {}
            Err(error) => return (requests, Some(error)),
        }
        machine.transmit().clear();
    }
}

/// As `http::Uri` writes it, where that knows it.
fn uri(target: &str) -> String {
    target.parse::<http::Uri>().map_or_else(|_| target.to_owned(), |uri| uri.to_string())
}

fn their_requests(input: &[u8]) -> Vec<Request> {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let requests = Rc::clone(&requests);
        async move {
            let (head, body) = request.into_parts();
            let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (name.as_str().to_owned(), value.as_bytes().to_vec())
            };
            if let Ok(content) = body.collect().await {
                requests.borrow_mut().push(Request {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    minor: u8::from(head.version == http::Version::HTTP_11),
                    fields: head.headers.iter().map(field).collect(),
                    content: content.to_bytes().to_vec(),
                });
            }
            Ok::<_, Infallible>(http::Response::builder().status(400).body(Empty::<Bytes>::new()).expect("a response"))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.half_close(true).pipeline_flush(true).header_read_timeout(None);
    {
        let mut connection = pin!(builder.serve_connection(Memory { input: input.to_vec(), read: 0 }, service));
        let mut context = Context::from_waker(Waker::noop());
        // All input is there from the start, so nothing is ever waited for; the bound is for what would not end.
        for _ in 0..1000 + input.len() {
            if connection.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
    }
    requests.take()
}

/// A transport that gives the input and its end, and takes all output.
struct Memory {
    input: Vec<u8>,
    read: usize,
}

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let rest = &self.input[self.read..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
