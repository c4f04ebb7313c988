//! What a client writes a server reads, and the other way round, or it is refused before the first byte.
//!
//! The first byte chooses how the content is framed, whether there are trailers and in what form heads are given, the second
//! the status; the rest is a [`Splits`] whose payload, cut at every 0xff, gives method, target and reason, two fields, and
//! pieces of content.

use std::borrow::Cow;

use bytes::Bytes;
use drywire::http::{Fields, Length, PreparedRequest, PreparedResponse, RequestParts, ResponseParts, client, server};
use drywire::{Instant, RecvBuf, SendQueue, StreamMachine as _};

use super::Splits;

/// A head from arbitrary parts.
struct Parts<'a> {
    method: &'a str,
    target: &'a str,
    status: u16,
    reason: &'a str,
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl RequestParts for Parts<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.target)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        [(&b"Host"[..], &b"a"[..])].into_iter().chain(self.fields.iter().copied())
    }
}

impl ResponseParts for Parts<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn reason(&self) -> Option<&str> {
        Some(self.reason)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().copied()
    }
}

/// How a head is given to the machine that sends it.
#[derive(Clone, Copy)]
enum Form {
    /// As an implementation of the traits.
    Parts,
    /// Encoded before.
    Prepared,
    /// As a list of fields.
    Fields,
}

/// What is sent both ways.
struct Exchange<'a> {
    parts: Parts<'a>,
    form: Form,
    length: Length,
    content: Vec<Bytes>,
    trailers: Option<Fields>,
    splits: Splits<'a>,
}

/// Sends a request and its response from machine to machine.
pub fn run(data: &[u8]) {
    let [mode, status, rest @ ..] = data else { return };
    let splits = Splits::new(rest);
    let mut given = splits.payload.split(|byte| *byte == 0xff);
    let mut next = || given.next().unwrap_or_default();
    let [method, target, reason] = [next(), next(), next()].map(|text| str::from_utf8(text).unwrap_or("?"));
    let fields = [(next(), next()), (next(), next())];
    let mut fields: Vec<_> = fields.into_iter().filter(|(name, _)| !is_known(name)).collect();
    let content: Vec<_> = given.take(8).map(Bytes::copy_from_slice).collect();
    let total = content.iter().map(Bytes::len).sum::<usize>() as u64;
    let trailers = Fields::new(fields.iter().copied()).ok().filter(|_| mode & 2 == 2);
    if trailers.is_some() {
        fields.push((b"TE", b"trailers"));
    }
    let form = match mode >> 2 & 3 {
        0 => Form::Parts,
        1 => Form::Prepared,
        _ => Form::Fields,
    };
    let length = if mode & 1 == 0 { Length::Known(total) } else { Length::Unknown };
    let parts = Parts { method, target, status: 100 + u16::from(*status) * 4, reason, fields };
    let exchange = Exchange { parts, form, length, content, trailers, splits };

    let mut client = client::Connection::new(Instant::ORIGIN, client::Config::default());
    let mut server = server::Connection::new(Instant::ORIGIN, server::Config::default());
    if exchange.request(&mut client, &mut server) {
        exchange.response(&mut server, &mut client);
    }
}

impl Exchange<'_> {
    /// `false` if it cannot be sent.
    fn request(&self, client: &mut client::Connection, server: &mut server::Connection) -> bool {
        let Self { parts, length, .. } = self;
        let begun = match self.form {
            Form::Parts => client.send_request(parts, *length),
            Form::Prepared => PreparedRequest::new(parts, *length).and_then(|head| client.send_prepared(&head)),
            Form::Fields => Fields::new(RequestParts::fields(parts))
                .and_then(|fields| client.send_request(&(parts.method, parts.target, &fields), *length)),
        };
        if begun.is_err() {
            assert!(client.transmit().is_empty(), "refused, but written");
            return false;
        }
        for piece in &self.content {
            client.send_content(piece.clone()).expect("as announced");
        }
        let mut trailers = self.trailers.as_ref();
        if client.finish(trailers).is_err() {
            trailers = None;
            client.finish(None).expect("without trailers");
        }

        let wire = taken(client.transmit());
        let (mut recv, mut received, mut ended) = (RecvBuf::new(), Vec::new(), false);
        for piece in cut(&self.splits, &wire) {
            recv.extend_from_slice(piece);
            while let Some(event) = server.poll_event(Instant::ORIGIN, &mut recv).expect("what our client writes") {
                match event {
                    server::Event::Request(head) => {
                        assert_eq!((head.method(), head.target()), (parts.method, parts.target));
                        assert_same(&parts.fields, head.field_section());
                    }
                    server::Event::Content(piece) => received.extend_from_slice(&piece),
                    server::Event::End(got) => {
                        ended = true;
                        assert_same(&sent(trailers), &got);
                    }
                    server::Event::PeerEnded | server::Event::Ready => unreachable!("the response has not begun"),
                }
            }
        }
        assert!(ended && recv.is_empty(), "the request ends with its last byte");
        assert_eq!(received, self.content.concat());
        true
    }

    fn response(&self, server: &mut server::Connection, client: &mut client::Connection) {
        let Self { parts, length, .. } = self;
        let begun = match self.form {
            Form::Parts => server.respond(parts, *length),
            Form::Prepared => {
                PreparedResponse::new(parts, *length).and_then(|head| server.respond_prepared(&head, None))
            }
            Form::Fields => Fields::new(parts.fields.iter().copied())
                .and_then(|fields| server.respond(&(parts.status, &fields), *length)),
        };
        if begun.is_err() {
            return assert!(server.transmit().is_empty(), "refused, but written");
        }
        if server.is_upgraded() {
            return;
        }
        let mut content: Vec<_> =
            self.content.iter().filter(|piece| server.send_content((*piece).clone()).is_ok()).cloned().collect();
        let mut trailers = self.trailers.as_ref();
        if server.finish(trailers).is_err() {
            trailers = None;
            server.finish(None).expect("as announced");
        }
        if parts.method == "HEAD" {
            // Content and trailers in answer to HEAD are taken and dropped.
            (content, trailers) = (Vec::new(), None);
        }

        let wire = taken(server.transmit());
        let (mut recv, mut received, mut ended) = (RecvBuf::new(), Vec::new(), false);
        for piece in cut(&self.splits, &wire) {
            recv.extend_from_slice(piece);
            while let Some(event) = client.poll_event(Instant::ORIGIN, &mut recv).expect("what our server writes") {
                match event {
                    client::Event::Response(head) => {
                        assert_eq!(head.status(), parts.status);
                        if !matches!(self.form, Form::Fields) {
                            assert_eq!(head.reason(), parts.reason.as_bytes());
                        }
                        assert_same(&parts.fields, head.field_section());
                    }
                    client::Event::Content(piece) => received.extend_from_slice(&piece),
                    client::Event::End(got) => {
                        ended = true;
                        assert_same(&sent(trailers), &got);
                    }
                    client::Event::Informational(_) => unreachable!("none was sent"),
                    client::Event::Closed => assert!(ended, "what has a length does not end with the connection"),
                }
            }
        }
        assert!(ended && recv.is_empty(), "the response ends with its last byte");
        assert_eq!(received, content.concat());
    }
}

/// The lines of a trailer section.
fn sent(trailers: Option<&Fields>) -> Vec<(&[u8], &[u8])> {
    trailers.into_iter().flatten().collect()
}

/// Fields that the machines read or write themselves.
fn is_known(name: &[u8]) -> bool {
    let known = ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The fields that were given arrive in order, without the white space around their values.
fn assert_same(given: &[(&[u8], &[u8])], fields: &Fields) {
    let arrived: Vec<_> = fields.iter().filter(|(name, _)| !is_known(name)).collect();
    let ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let trimmed = given.iter().filter(|(name, _)| !is_known(name)).map(|(name, value)| {
        let start = value.iter().position(|byte| !ows(byte)).unwrap_or(value.len());
        let end = value.iter().rposition(|byte| !ows(byte)).map_or(start, |last| last + 1);
        (*name, &value[start..end])
    });
    assert_eq!(arrived, trimmed.collect::<Vec<_>>());
}

fn taken(queue: &mut SendQueue) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !queue.is_empty() {
        bytes.extend_from_slice(&queue.pop(usize::MAX));
    }
    bytes
}

/// Other bytes than the input's, cut at the same lengths.
fn cut<'a>(splits: &Splits<'a>, payload: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    Splits { payload, ..splits.clone() }.pieces()
}
