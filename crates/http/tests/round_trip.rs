//! What one machine encodes the other decodes to the same: heads, content and trailers, both ways, exchange after exchange.

mod common;

use bytes::Bytes;
use common::{client, server_with};
use drywire_core::{Buf as _, StreamMachine as _};
use drywire_http::{Fields, Length, client as client_side, server};
use proptest::prelude::*;

/// A message as its sender gives it and as its recipient finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    /// Method and target, or the status.
    start: [String; 2],
    fields: Vec<(String, Vec<u8>)>,
    /// Each piece is a chunk where the length is not announced.
    content: Vec<Vec<u8>>,
    trailers: Vec<(String, Vec<u8>)>,
    announced: bool,
}

impl Message {
    fn length(&self) -> Length {
        if self.announced { Length::Known(self.content.concat().len() as u64) } else { Length::Unknown }
    }

    fn trailers(&self) -> Option<Fields> {
        (!self.announced).then(|| fields_of(&self.trailers))
    }

    /// What is found of it: content in one piece, and nothing that this message has no room for.
    fn found(mut self, without_content: bool) -> Self {
        self.content = vec![if without_content { Vec::new() } else { self.content.concat() }];
        if without_content || self.announced {
            self.trailers.clear();
        }
        self.announced = false;
        self
    }

    fn find_fields(&mut self, fields: &Fields) {
        self.fields = ours(fields);
        self.content.push(Vec::new());
    }

    fn find_content(&mut self, piece: &Bytes) {
        self.content[0].extend_from_slice(piece);
    }
}

fn fields_of(lines: &[(String, Vec<u8>)]) -> Fields {
    Fields::new(lines.iter().map(|(name, value)| (name, value))).unwrap()
}

/// The fields that the machines do not write by themselves.
fn ours(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    let lines = fields.iter().filter(|(name, _)| name.starts_with(b"X"));
    lines.map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec())).collect()
}

fn lines() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let byte = prop_oneof![0x21..=0x7eu8, 0x80..=0xffu8];
    let inner = prop_oneof![Just(b' '), Just(b'\t'), byte.clone()];
    // No white space at the ends, which is not the value's.
    let value = (byte.clone(), prop::collection::vec(inner, 0..20), byte).prop_map(|(first, mut inner, last)| {
        inner.insert(0, first);
        inner.push(last);
        inner
    });
    let value = prop_oneof![Just(Vec::new()), value];
    prop::collection::vec(("X[-!#$%&'*+.^_`|~0-9A-Za-z]{0,12}", value), 0..5)
}

fn message(start: impl Strategy<Value = [String; 2]>) -> impl Strategy<Value = Message> {
    let piece = prop_oneof![3 => 0..40usize, 1 => 1000..3000usize];
    let content = prop::collection::vec((piece, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]), 0..5);
    (start, lines(), content, lines(), any::<bool>()).prop_map(|(start, fields, content, trailers, announced)| {
        Message { start, fields, content, trailers, announced }
    })
}

fn requests() -> impl Strategy<Value = Message> {
    let method = prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "x-own"]);
    message((method, "/[-a-z0-9/.;:@&=+$,?]{0,30}").prop_map(|(method, target)| [method.to_owned(), target]))
}

fn responses() -> impl Strategy<Value = Message> {
    let status = prop::sample::select(vec![200, 201, 204, 206, 302, 304, 404, 500, 999]);
    message(status.prop_map(|status: u16| [status.to_string(), String::new()]))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(
        exchanges in prop::collection::vec((requests(), responses()), 1..4),
        steps in prop::collection::vec(1..500usize, 1..5),
    ) {
        let mut client = client();
        let mut server = server_with(server::Config { tell_ready: true, ..server::Config::default() });
        let mut steps = steps.into_iter().cycle();
        for (request, response) in exchanges {
            // Fields that name the trailers' recipient and the host stand around the sender's.
            let around = [("Host".to_owned(), b"a".to_vec()), ("TE".to_owned(), b"trailers".to_vec())];
            let fields = fields_of(&[&request.fields[..], &around].concat());
            let [method, target] = &request.start;
            client.machine.send_request(&(&**method, &**target, &fields), request.length()).unwrap();
            for piece in &request.content {
                client.machine.send_content(piece.clone().into()).unwrap();
            }
            client.machine.finish(request.trailers().as_ref()).unwrap();

            let (mut found, mut ended) = (Message::default(), false);
            while !ended {
                server.feed(client.machine.transmit().pop(steps.next().unwrap()));
                while let Some(event) = server.poll().unwrap() {
                    match event {
                        server::Event::Request(head) => {
                            found.start = [head.method().to_owned(), head.target().to_owned()];
                            found.find_fields(head.field_section());
                        }
                        server::Event::Content(piece) => found.find_content(&piece),
                        server::Event::End(trailers) => {
                            found.trailers = ours(&trailers);
                            ended = true;
                        }
                        server::Event::PeerEnded | server::Event::Ready => unreachable!("in the middle of an exchange"),
                    }
                }
            }
            prop_assert!(!client.machine.transmit().has_remaining(), "it ends with its last byte");
            let is_head = request.start[0] == "HEAD";
            prop_assert_eq!(found, request.found(false));

            let status: u16 = response.start[0].parse().unwrap();
            let without_content = is_head || matches!(status, 204 | 304);
            let response = if matches!(status, 204 | 304) { Message { content: Vec::new(), ..response } } else { response };
            server.machine.respond(&(status, &fields_of(&response.fields)), response.length()).unwrap();
            for piece in &response.content {
                server.machine.send_content(piece.clone().into()).unwrap();
            }
            let trailers = response.trailers().filter(|_| !matches!(status, 204 | 304));
            server.machine.finish(trailers.as_ref()).unwrap();

            let (mut found, mut ended) = (Message::default(), false);
            while !ended {
                client.feed(server.machine.transmit().pop(steps.next().unwrap()));
                while let Some(event) = client.poll().unwrap() {
                    match event {
                        client_side::Event::Response(head) => {
                            found.start[0] = head.status().to_string();
                            found.find_fields(head.field_section());
                        }
                        client_side::Event::Content(piece) => found.find_content(&piece),
                        client_side::Event::End(trailers) => {
                            found.trailers = ours(&trailers);
                            ended = true;
                        }
                        client_side::Event::Informational(_) | client_side::Event::Closed => unreachable!("none was sent"),
                    }
                }
            }
            prop_assert!(!server.machine.transmit().has_remaining(), "it ends with its last byte");
            prop_assert_eq!(found, response.found(without_content));
            prop_assert_eq!(server.event(), server::Event::Ready);
        }
    }
}
