//! What a client writes a server reads, and the other way round, or it is refused before the first byte.
//!
//! The first byte chooses how the content is framed, the second the status; the rest is a [`Splits`] whose payload, cut at
//! every 0xff, gives method, target and reason, two fields, and pieces of content.

use std::borrow::Cow;

use bytes::Bytes;
use drywire::http::{Fields, Length, RequestParts, ResponseParts, client, server};
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

/// Sends a request and its response from machine to machine.
pub fn run(data: &[u8]) {
    let [mode, status, rest @ ..] = data else { return };
    let splits = Splits::new(rest);
    let mut given = splits.payload.split(|byte| *byte == 0xff);
    let mut next = || given.next().unwrap_or_default();
    let [method, target, reason] = [next(), next(), next()].map(|text| str::from_utf8(text).unwrap_or("?"));
    let fields = [(next(), next()), (next(), next())];
    let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !is_known(name)).collect();
    let content: Vec<_> = given.take(8).map(Bytes::copy_from_slice).collect();
    let parts = Parts { method, target, status: 100 + u16::from(*status) * 4, reason, fields };
    let total = content.iter().map(Bytes::len).sum::<usize>() as u64;
    let length = if mode & 1 == 0 { Length::Known(total) } else { Length::Unknown };
    let trailers = Fields::new(parts.fields.iter().copied()).ok().filter(|_| mode & 2 == 2);

    let mut client = client::Connection::new(Instant::ORIGIN, client::Config::default());
    if client.send_request(&parts, length).is_err() {
        return assert!(client.transmit().is_empty(), "refused, but written");
    }
    for piece in &content {
        client.send_content(piece.clone()).expect("as announced");
    }
    if client.finish(trailers.as_ref()).is_err() {
        client.finish(None).expect("without trailers");
    }

    let mut server = server::Connection::new(Instant::ORIGIN, server::Config::default());
    let wire = taken(client.transmit());
    let (mut recv, mut received) = (RecvBuf::new(), Vec::new());
    for piece in splits_of(&splits, &wire) {
        recv.extend_from_slice(piece);
        while let Some(event) = server.poll_event(Instant::ORIGIN, &mut recv).expect("what our client writes") {
            match event {
                server::Event::Request(head) => {
                    assert_eq!((head.method(), head.target()), (method, target));
                    assert_same(&parts, head.field_section());
                }
                server::Event::Content(piece) => received.extend_from_slice(&piece),
                server::Event::End(got) => {
                    let sent = trailers.as_ref().map_or(0, Fields::len);
                    assert!(got.len() == sent || got.is_empty());
                }
                server::Event::PeerEnded => unreachable!("it has not"),
            }
        }
    }
    assert_eq!(received, content.concat());

    if server.respond(&parts, length).is_err() {
        return assert!(server.transmit().is_empty(), "refused, but written");
    }
    if server.is_upgraded() {
        return;
    }
    let sent: Vec<_> = content.iter().filter(|piece| server.send_content((*piece).clone()).is_ok()).collect();
    server.finish(None).expect("as announced");
    // Content in answer to HEAD is taken and dropped.
    let expected = if method == "HEAD" { Vec::new() } else { sent.into_iter().flatten().copied().collect() };
    let wire = taken(server.transmit());
    let (mut recv, mut received, mut ended) = (RecvBuf::new(), Vec::new(), false);
    for piece in splits_of(&splits, &wire) {
        recv.extend_from_slice(piece);
        while let Some(event) = client.poll_event(Instant::ORIGIN, &mut recv).expect("what our server writes") {
            match event {
                client::Event::Response(head) => {
                    assert_eq!((head.status(), head.reason()), (parts.status, reason.as_bytes()));
                    assert_same(&parts, head.field_section());
                }
                client::Event::Content(piece) => received.extend_from_slice(&piece),
                client::Event::End(_) => ended = true,
                client::Event::Informational(_) => unreachable!("none was sent"),
            }
        }
    }
    assert!(ended && recv.is_empty(), "the response ends with its last byte");
    assert_eq!(received, expected);
}

/// Fields that the machines read or write themselves.
fn is_known(name: &[u8]) -> bool {
    let known = ["connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"];
    known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The fields that were given arrive in order, without the white space around their values.
fn assert_same(parts: &Parts<'_>, fields: &Fields) {
    let arrived: Vec<_> = fields.iter().filter(|(name, _)| !is_known(name)).collect();
    let ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let trimmed = parts.fields.iter().map(|(name, value)| {
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

/// Other bytes, cut at the same lengths.
fn splits_of<'a>(splits: &Splits<'a>, payload: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let mut splits = splits.clone();
    splits.payload = payload;
    splits.pieces()
}
