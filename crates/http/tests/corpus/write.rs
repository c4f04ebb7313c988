//! Cases about what is written: a head is given to a machine, which sends or refuses it.
//!
//! `writes response 200 reason` and `writes request METHOD target`, each input line a field as `name | value`;
//! `writes trailers` for the trailer section of a chunked response.

use std::borrow::Cow;

use drywire_core::{Instant, RecvBuf, StreamMachine};
use drywire_http::{Fields, Length, RequestParts, ResponseParts, client, server};

use crate::case::{Case, escape, unescape};

/// A head from arbitrary text.
struct Parts {
    /// The method or the status.
    first: String,
    /// The target or the reason.
    second: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Parts {
    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (&name[..], &value[..]))
    }
}

impl RequestParts for Parts {
    fn method(&self) -> &str {
        &self.first
    }

    fn target(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.second)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs()
    }
}

impl ResponseParts for Parts {
    fn status(&self) -> u16 {
        self.first.parse().expect("a status")
    }

    fn reason(&self) -> Option<&str> {
        Some(&self.second)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs()
    }
}

pub(crate) fn outcome(case: &Case) -> Vec<String> {
    let fields = case.texts().filter_map(|text| text.split_once(" | "));
    let fields = fields.map(|(name, value)| (unescape(name), unescape(value))).collect();
    let mut words = case.role.splitn(4, ' ').map(|word| String::from_utf8(unescape(word)).expect("text")).skip(1);
    let kind = words.next().unwrap_or_default();
    let parts = Parts { first: words.next().unwrap_or_default(), second: words.next().unwrap_or_default(), fields };

    let mut server = server_with_a_request();
    let mut client = client::Connection::new(Instant::ORIGIN, client::Config::default());
    let (result, queue) = match &kind[..] {
        "response" => (server.respond(&parts, Length::Known(0)), server.transmit()),
        "request" => (client.send_request(&parts, Length::Known(0)), client.transmit()),
        "trailers" => {
            let ok = Parts { first: "200".into(), second: "OK".into(), fields: Vec::new() };
            server.respond(&ok, Length::Unknown).unwrap();
            server.transmit().clear();
            let trailers = Fields::new(parts.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())));
            (trailers.and_then(|trailers| server.finish(Some(&trailers))), server.transmit())
        }
        _ => panic!("{}: writes what?", case.name),
    };
    let sent = queue.pop(usize::MAX);
    match result {
        Ok(()) => sent.split_inclusive(|byte| *byte == b'\n').map(|line| format!("sent {}", escape(line))).collect(),
        Err(error) => {
            assert!(sent.is_empty(), "{}: refused, but written: {}", case.name, escape(&sent));
            vec![format!("refused {error:?}")]
        }
    }
}

fn server_with_a_request() -> server::Connection {
    let mut server = server::Connection::new(Instant::ORIGIN, server::Config::default());
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    while server.poll_event(Instant::ORIGIN, &mut recv).unwrap().is_some() {}
    server
}
