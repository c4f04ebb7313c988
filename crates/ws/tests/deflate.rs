//! RFC 7692: compressed messages, both ways.

mod common;

use common::inflate::{Inflated, inflate};
use common::*;
use drywire_core::{Buf, RecvBuf, Rng, Seed, SendQueue, StreamMachine};
use drywire_ws::deflate::{Compression, Parameters, Pool, WindowBits};
use drywire_ws::{
    CapacityError, Config, Connection, Delivery, Error, Event, FrameHeader, Message, MessageKind, Opcode,
    PreparedMessage, ProtocolError, Role,
};
use proptest::prelude::*;

/// First bytes of compressed frames.
const RSV1: u8 = 0x40;
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

fn with(role: Role, config: Config, parameters: Parameters, pool: &Pool) -> End {
    let queue = SendQueue::new(64 * 1024);
    let machine = Connection::new(NOW, role, config, &Seed::from(7692), queue).with_deflate(Some(parameters), pool);
    End { machine, recv: RecvBuf::new() }
}

/// An end that compresses whatever it sends.
fn end(role: Role, parameters: Parameters) -> End {
    with(role, eager(), parameters, &Pool::default())
}

fn eager() -> Config {
    Config { compression: Compression { threshold: 0, ..Compression::default() }, ..Config::default() }
}

fn client() -> End {
    end(Role::Client, Parameters::default())
}

fn parameters(server_alone: bool, client_alone: bool, server_bits: u8, client_bits: u8) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.server_no_context_takeover = server_alone;
    parameters.client_no_context_takeover = client_alone;
    parameters.server_max_window_bits = WindowBits::new(server_bits).unwrap();
    parameters.client_max_window_bits = WindowBits::new(client_bits).unwrap();
    parameters
}

/// Moves everything from one end to the other, and gives it.
fn pass(from: &mut End, to: &mut End) -> Vec<u8> {
    let sent = from.sent();
    to.recv.extend_from_slice(&sent);
    sent
}

#[test]
fn rfc7692_7_2_3_the_examples() {
    for (wire, message) in [
        (&[0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
        (&[0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
        // 7.2.3.3: a block without compression.
        (&[0xc1, 0x0b, 0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
        // 7.2.3.4: a final block.
        (&[0xc1, 0x08, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
        // 7.2.3.5: two blocks.
        (&[0xc1, 0x0d, 0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
        // 7.2.3.6: an empty block.
        (&[0xc1, 0x01, 0x00], ""),
    ] {
        assert_eq!(client().receive(wire).unwrap(), [text(message)]);
        // Everything goes on behind it.
        let twice = client().receive(&[wire, wire].concat()).unwrap();
        assert_eq!(twice, [text(message), text(message)]);
    }
    // 7.2.3.2: the second message refers to the first.
    let wire = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xc1, 0x05, 0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(client().receive(&wire).unwrap(), [text("Hello"), text("Hello")]);
    let mut alone = end(Role::Client, Parameters::no_context_takeover());
    assert_eq!(alone.receive(&wire), Err(Error::Protocol(ProtocolError::Deflate)));
}

#[test]
fn rfc7692_6_1_rsv1_stands_in_the_first_frame_of_a_data_message_only() {
    let broken = Err(Error::Protocol(ProtocolError::ReservedBits));
    for first in [PING, PONG, CLOSE, 0x00, CONTINUATION] {
        let mut client = client();
        client.receive(&plain(0x01, b"begun")).unwrap();
        assert_eq!(client.receive(&[first | RSV1]), broken);
        assert_eq!(farewell(&mut client), Some(1002));
    }
    for first in [TEXT | 0x20, TEXT | 0x10, BINARY | RSV1 | 0x20] {
        assert_eq!(client().receive(&[first]), broken);
    }
    // A message without it is not compressed.
    assert_eq!(client().receive(&plain(TEXT, b"as it is")).unwrap(), [text("as it is")]);
}

#[test]
fn rfc7692_7_2_2_data_that_is_not_deflate_fails_with_1007() {
    for payload in [
        // A reserved block type, a stored block whose lengths disagree, and a reference to what never was.
        &[0x06][..],
        &[0x00, 0x05, 0x00, 0x00, 0x00],
        &[0xf2, 0x00, 0x11, 0x00, 0x00],
        // Data that ends inside a block, and none at all: with the tail it would swallow the next message.
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48],
        &[0xf2, 0x48, 0xcd],
        &[],
    ] {
        let mut client = client();
        let result = client.receive(&plain(BINARY | RSV1, payload));
        assert_eq!(result, Err(Error::Protocol(ProtocolError::Deflate)), "{payload:x?}");
        assert_eq!(farewell(&mut client), Some(1007));
    }
}

/// A final block and nothing behind it: the peer has left out the empty block of 7.2.1, and said all the same where the
/// data ends. What follows starts afresh.
#[test]
fn rfc7692_7_2_3_4_a_final_block_may_end_a_message() {
    let mut client = client();
    assert_eq!(client.receive(&[0xc2, 0x02, 0x03, 0x80]).unwrap(), [binary(b"")]);
    assert_eq!(client.receive(&[0xc1, 0x07, 0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).unwrap(), [text("Hello")]);
    // Two streams in one message, and empty blocks around them.
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let empty = [0, 0, 0, 0xff, 0xff];
    let wire = plain(TEXT | RSV1, &[&empty[..], &hello, &empty, &hello, &[0x00]].concat());
    assert_eq!(client.receive(&wire).unwrap(), [text("HelloHello")]);
    // 100 000 final blocks are as many steps.
    let wire = plain(BINARY | RSV1, &[0x03, 0x00].repeat(100_000));
    assert_eq!(client.receive(&wire).unwrap(), [binary(b"")]);
}

#[test]
fn rfc7692_8_text_is_checked_after_decompression_as_it_arrives() {
    let mut sender = end(Role::Server, Parameters::default());
    sender.machine.start_message(MessageKind::Binary).unwrap();
    sender.machine.send_fragment(&b"good \xff"[..], false).unwrap();
    let mut wire = sender.sent();
    wire[0] = 0x41;
    let mut client = client();
    assert_eq!(client.receive(&wire), Err(Error::Protocol(ProtocolError::TextNotUtf8)));
    assert_eq!(farewell(&mut client), Some(1007));
}

/// 1 GiB of zeros in 1 MiB on the wire: refused at the limit, with no more memory than that.
#[test]
fn a_bomb_is_refused_at_the_limit() {
    let zeros = drywire_core::Bytes::from(vec![0; 1 << 20]);
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config { delivery, max_message_size: 3 << 20, ..Config::default() };
        let mut client = with(Role::Client, config, Parameters::default(), &Pool::default());
        let mut sender = end(Role::Server, Parameters::default());
        sender.machine.start_message(MessageKind::Binary).unwrap();
        let mut taken = 0;
        let failure = loop {
            sender.machine.send_fragment(zeros.clone(), false).unwrap();
            let sent = pass(&mut sender, &mut client);
            assert!(sent.len() < (1 << 20) / 50, "{}", sent.len());
            match client.poll() {
                Ok(events) => {
                    taken += events
                        .iter()
                        .map(|event| if let Event::MessageChunk(c) = event { c.len() } else { 0 })
                        .sum::<usize>();
                }
                Err(failure) => break failure,
            }
        };
        assert_eq!(failure, Error::Capacity(CapacityError::MessageTooLarge { limit: 3 << 20 }));
        assert_eq!(farewell(&mut client), Some(1009));
        assert_eq!(taken, if delivery == Delivery::Chunks { 3 << 20 } else { 0 });
    }
}

/// A gibibyte of zeros through chunks of bounded size.
#[test]
fn law_3_a_compressed_message_passes_through_bounded_memory() {
    const PIECES: usize = 256;
    let config = Config { delivery: Delivery::Chunks, max_message_size: u64::MAX, ..eager() };
    let mut client = with(Role::Client, config, Parameters::default(), &Pool::default());
    let mut sender = end(Role::Server, Parameters::default());
    sender.machine.start_message(MessageKind::Text).unwrap();
    let piece = drywire_core::Bytes::from(vec![b'x'; 1 << 20]);
    let (mut received, mut ended) = (0, false);
    for i in 0..PIECES {
        sender.machine.send_fragment(piece.clone(), i + 1 == PIECES).unwrap();
        pass(&mut sender, &mut client);
        while let Some(event) = client.machine.poll_event(NOW, &mut client.recv).unwrap() {
            match event {
                Event::MessageChunk(chunk) => {
                    assert!(chunk.len() <= 8 * 1024);
                    received += chunk.len();
                }
                event => ended = event == Event::MessageEnd,
            }
        }
    }
    assert_eq!((received, ended), (PIECES << 20, true));
}

#[test]
fn rfc7692_7_2_1_what_is_sent_has_no_tail_and_an_empty_message_one_byte() {
    for role in [Role::Server, Role::Client] {
        let mut end = end(role, Parameters::default());
        for message in ["", "Hello", ""] {
            end.machine.send_text(message).unwrap();
            let sent = end.sent();
            let frame = &frames_deflate(&sent)[0];
            assert!(frame.1, "RSV1");
            assert!(!frame.0.payload.ends_with(&TAIL));
            if message.is_empty() {
                assert_eq!(frame.0.payload, [0x00]);
            }
        }
    }
}

/// Frames with their RSV1, payloads unmasked.
fn frames_deflate(mut wire: &[u8]) -> Vec<(Frame, bool)> {
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::parse_deflate(wire).unwrap() {
        let (payload, rest) = wire[len..].split_at(usize::try_from(header.payload_len).unwrap());
        let mut payload = payload.to_vec();
        if let Some(key) = header.mask {
            drywire_ws::mask(key, 0, &mut payload);
        }
        let frame = Frame { opcode: header.opcode, fin: header.fin, masked: header.mask.is_some(), payload };
        frames.push((frame, header.compressed));
        wire = rest;
    }
    frames
}

#[test]
fn rfc7692_6_1_fragments_are_one_compressed_message() {
    let mut server = end(Role::Server, Parameters::default());
    server.machine.start_message(MessageKind::Text).unwrap();
    for (piece, last) in [("dry", false), ("", false), ("wire", false), ("", true)] {
        server.machine.send_fragment(piece, last).unwrap();
    }
    let sent = server.sent();
    let shape: Vec<_> = frames_deflate(&sent).iter().map(|(frame, rsv1)| (frame.opcode, frame.fin, *rsv1)).collect();
    let continuation = |fin| (Opcode::Continuation, fin, false);
    assert_eq!(shape, [(Opcode::Text, false, true), continuation(false), continuation(false), continuation(true)]);
    assert_eq!(client().receive(&sent).unwrap(), [text("drywire")]);
    // Each fragment can be read when it arrives.
    let config = Config { delivery: Delivery::Chunks, ..Config::default() };
    let mut chunks = with(Role::Client, config, Parameters::default(), &Pool::default());
    let first = FrameHeader::parse_deflate(&sent).unwrap().unwrap();
    let end_of_first = first.1 + usize::try_from(first.0.payload_len).unwrap();
    let events = chunks.receive(&sent[..end_of_first]).unwrap();
    assert_eq!(events, [Event::MessageStart(MessageKind::Text), Event::MessageChunk(Message::text("dry"))]);
}

#[test]
fn short_messages_and_those_of_the_users_choice_are_sent_as_they_are() {
    let pool = Pool::default();
    let mut server = with(Role::Server, Config::default(), Parameters::default(), &pool);
    let long = "a".repeat(Compression::default().threshold);
    let rsv1 = |server: &mut End| frames_deflate(&server.sent()).iter().map(|(_, rsv1)| *rsv1).collect::<Vec<_>>();
    server.machine.send_text(&long[1..]).unwrap();
    server.machine.send_text(&*long).unwrap();
    assert_eq!(rsv1(&mut server), [false, true]);
    server.machine.set_compressing(false);
    server.machine.send_text(&*long).unwrap();
    server.machine.start_message(MessageKind::Binary).unwrap();
    // It holds for the message from its start.
    server.machine.set_compressing(true);
    server.machine.send_fragment("x", true).unwrap();
    server.machine.start_message(MessageKind::Binary).unwrap();
    server.machine.send_fragment("x", true).unwrap();
    server.machine.start_frame(MessageKind::Binary, 1).unwrap();
    server.machine.send_fragment("x", true).unwrap();
    assert_eq!(rsv1(&mut server), [false, false, true, false]);
}

#[test]
fn rfc7692_7_1_1_context_is_taken_over_or_not() {
    let message = "a message with some words, of which no two are alike";
    for (alone, role) in [(false, Role::Server), (false, Role::Client), (true, Role::Server), (true, Role::Client)] {
        let agreed = parameters(alone, alone, 15, 15);
        let peer = if role == Role::Server { Role::Client } else { Role::Server };
        let (mut sender, mut receiver) = (end(role, agreed), end(peer, agreed));
        let sizes: Vec<_> = (0..3)
            .map(|_| {
                sender.machine.send_text(message).unwrap();
                let sent = pass(&mut sender, &mut receiver);
                assert_eq!(receiver.poll().unwrap(), [text(message)]);
                sent.len()
            })
            .collect();
        assert_eq!(sizes[1] == sizes[0], alone, "{role} {sizes:?}");
        assert_eq!(sizes[2] == sizes[0], alone);
    }
}

/// No compressor refers back farther than was agreed, in 8 bits either, which zlib itself does not offer.
#[test]
fn rfc7692_7_1_2_no_reference_leaves_the_window() {
    let mut rng = Rng::new(&Seed::from(1951));
    // Words that come again at every distance.
    let words: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let mut word = vec![0; 3 + rng.below(9) as usize];
            rng.fill(&mut word);
            word
        })
        .collect();
    for level in [1, 2, 4, 6, 9] {
        for bits in 8..=15 {
            for role in [Role::Server, Role::Client] {
                let config = Config { compression: Compression { level, threshold: 0 }, ..Config::default() };
                let mut end = with(role, config, parameters(false, false, bits, bits), &Pool::default());
                let mut inflated = Inflated::default();
                let mut expected = Vec::new();
                for _ in 0..12 {
                    let message: Vec<u8> =
                        (0..1200).flat_map(|_| words[rng.below(words.len() as u64) as usize].clone()).collect();
                    expected.extend_from_slice(&message);
                    end.machine.send_binary(message).unwrap();
                    for (frame, _) in frames_deflate(&end.sent()) {
                        inflate(&[&frame.payload[..], &TAIL].concat(), &mut inflated).expect("whole blocks");
                    }
                }
                assert!(inflated.bytes == expected);
                let window = 1 << bits;
                assert!(inflated.farthest <= window, "level {level}, {bits} bits: {}", inflated.farthest);
                // And it is used, so the test can fail.
                assert!(inflated.farthest > window / 3, "level {level}, {bits} bits: {}", inflated.farthest);
            }
        }
    }
}

#[test]
fn compressors_come_from_the_pool_and_go_back_with_each_message() {
    let pool = Pool::new(1);
    let agreed = Parameters::no_context_takeover();
    let mut ends: Vec<_> =
        [Role::Server, Role::Client, Role::Server].map(|role| with(role, eager(), agreed, &pool)).into();
    assert_eq!(pool.idle(), (0, 0), "nothing before the first use");
    ends[0].sent_text("one");
    assert_eq!(pool.idle(), (1, 0));
    // Whoever takes it, the bytes are the same.
    let fresh = end(Role::Server, agreed).sent_text("the same message");
    for _ in 0..3 {
        ends[2].machine.send_text("something else").unwrap();
        ends[2].sent();
        assert_eq!(ends[0].sent_text("the same message"), fresh);
        assert_eq!(pool.idle(), (1, 0));
    }
    ends[1].receive(&fresh).unwrap();
    assert_eq!(pool.idle(), (1, 1));
    // Two at once: one is kept.
    ends[0].machine.start_message(MessageKind::Text).unwrap();
    ends[2].machine.start_message(MessageKind::Text).unwrap();
    ends[0].machine.send_fragment("a", false).unwrap();
    ends[2].machine.send_fragment("b", false).unwrap();
    assert_eq!(pool.idle(), (0, 1));
    ends[0].machine.send_fragment("a", true).unwrap();
    ends[2].machine.send_fragment("b", true).unwrap();
    assert_eq!(pool.idle(), (1, 1));
    assert_eq!(pool, pool.clone());
    assert_ne!(pool, Pool::new(1));
}

trait SendsText {
    fn sent_text(&mut self, text: &str) -> Vec<u8>;
}

impl SendsText for End {
    fn sent_text(&mut self, text: &str) -> Vec<u8> {
        self.machine.send_text(text).unwrap();
        self.sent()
    }
}

#[test]
fn a_prepared_message_is_encoded_once_and_sent_to_all() {
    let body = "news for everybody ".repeat(200);
    let compression = Compression::default();
    for prepared in [PreparedMessage::new(&*body), PreparedMessage::deflated(&*body, compression)] {
        for agreed in [
            None,
            Some(Parameters::default()),
            Some(parameters(true, true, 15, 15)),
            Some(parameters(false, false, 12, 12)),
        ] {
            for role in [Role::Server, Role::Client] {
                let peer = if role == Role::Server { Role::Client } else { Role::Server };
                let pool = Pool::default();
                let end = |role| {
                    let queue = SendQueue::new(64 * 1024);
                    let machine =
                        Connection::new(NOW, role, eager(), &Seed::from(1), queue).with_deflate(agreed, &pool);
                    End { machine, recv: RecvBuf::new() }
                };
                let (mut sender, mut receiver) = (end(role), end(peer));
                // Between messages of its own, whose context must stay the peer's.
                for round in 0..3 {
                    let own = format!("a message of its own, number {round}, about news for everybody");
                    sender.machine.send_text(&*own).unwrap();
                    sender.machine.send_prepared(&prepared).unwrap();
                    sender.machine.send_text(&*own).unwrap();
                    let sent = pass(&mut sender, &mut receiver);
                    assert_eq!(receiver.poll().unwrap(), [text(&own), text(&body), text(&own)], "{role} {agreed:?}");
                    let rsv1: Vec<_> = frames_deflate(&sent).iter().map(|(_, rsv1)| *rsv1).collect();
                    let window = agreed.map(|agreed| agreed.server_max_window_bits);
                    let shrunk = sent.len() < body.len() / 4;
                    assert_eq!(rsv1[1], shrunk);
                    assert!(!shrunk || window == Some(WindowBits::MAX));
                }
            }
        }
    }
    // By reference.
    let prepared = PreparedMessage::new(Message::binary(vec![7; 5000]));
    let address = |end: &mut End| {
        end.machine.send_prepared(&prepared).unwrap();
        end.machine.transmit().pop(usize::MAX).as_ptr()
    };
    assert_eq!(address(&mut End::server()), address(&mut End::server()));
    assert_eq!(prepared.kind(), MessageKind::Binary);
    let narrow = PreparedMessage::deflated_for(&*body, compression, WindowBits::new(9).unwrap());
    let mut server = end(Role::Server, parameters(false, false, 9, 9));
    server.machine.send_prepared(&narrow).unwrap();
    assert!(server.sent().len() < body.len() / 4);
}

/// What a run shows, chunks joined.
type Trace = (Vec<Event>, Option<Error>, Vec<u8>);

fn run(role: Role, delivery: Delivery, pieces: &[&[u8]]) -> Trace {
    let config = Config { delivery, max_message_size: 5000, ..Config::default() };
    let mut end = with(role, config, Parameters::default(), &Pool::default());
    let (mut events, mut failure) = (Vec::<Event>::new(), None);
    for piece in pieces {
        end.recv.extend_from_slice(piece);
        loop {
            match end.machine.poll_event(NOW, &mut end.recv) {
                Ok(Some(Event::MessageChunk(chunk))) => {
                    if let Some(Event::MessageChunk(Message::Binary(whole))) = events.last_mut() {
                        *whole = [&whole[..], chunk.as_bytes()].concat().into();
                    } else {
                        events.push(Event::MessageChunk(Message::Binary(chunk.into_bytes())));
                    }
                }
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
    }
    (events, failure, end.sent())
}

/// A stream of messages, most of them compressed and whole, and sometimes one byte of it changed.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let message = (any::<bool>(), "[a-d€]{0,60}", 0..4usize, 0..30u8, any::<bool>());
    let mutation = prop::option::weighted(0.4, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(message, 1..6), mutation).prop_map(|(messages, mutation)| {
        let mut sender = end(Role::Server, Parameters::default());
        let mut wire = Vec::new();
        for (is_text, unit, pieces, repeat, compressing) in messages {
            let payload = unit.repeat(usize::from(repeat) * usize::from(repeat) / 3 + 1).into_bytes();
            sender.machine.set_compressing(compressing);
            sender.machine.start_message(if is_text { MessageKind::Text } else { MessageKind::Binary }).unwrap();
            for i in 0..=pieces {
                let piece = &payload[payload.len() * i / (pieces + 1)..payload.len() * (i + 1) / (pieces + 1)];
                sender.machine.send_fragment(piece.to_vec(), i == pieces).unwrap();
                if i == 1 {
                    sender.machine.ping("between").unwrap();
                }
                // All together can be more than the queue takes.
                wire.extend(sender.sent());
            }
        }
        if let Some((at, byte)) = mutation {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        wire
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn law_1_splits_change_nothing_for_compressed_messages(
        wire in stream(), lengths in prop::collection::vec(1..40usize, 1..6),
    ) {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let whole = run(Role::Client, delivery, &[&wire]);
            prop_assert_eq!(&run(Role::Client, delivery, &wire.chunks(1).collect::<Vec<_>>()), &whole);
            let (mut pieces, mut rest, mut lengths) = (Vec::new(), &wire[..], lengths.iter().cycle());
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(rest.len().min(*lengths.next().unwrap()));
                pieces.push(piece);
                rest = behind;
            }
            prop_assert_eq!(&run(Role::Client, delivery, &pieces), &whole);
        }
    }

    #[test]
    fn what_one_end_compresses_the_other_gets_back(
        (server_alone, client_alone, server_bits, client_bits) in (any::<bool>(), any::<bool>(), 8..=15u8, 8..=15u8),
        client_sends: bool, chunks: bool, level in 0..=9u8,
        messages in prop::collection::vec((prop::collection::vec(0..6u8, 0..300), 1..200usize, 0..4usize), 1..6),
    ) {
        let agreed = parameters(server_alone, client_alone, server_bits, client_bits);
        let (from, to) = if client_sends { (Role::Client, Role::Server) } else { (Role::Server, Role::Client) };
        let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        let config = Config { delivery, compression: Compression { level, threshold: 0 }, ..Config::default() };
        let pool = Pool::new(1);
        let mut sender = with(from, config.clone(), agreed, &pool);
        let mut receiver = with(to, config, agreed, &pool);
        for (unit, repeat, fragments) in messages {
            let payload = unit.repeat(repeat);
            if fragments == 0 {
                sender.machine.send_binary(payload.clone()).unwrap();
            } else {
                sender.machine.start_message(MessageKind::Binary).unwrap();
                for i in 0..fragments {
                    let piece = &payload[payload.len() * i / fragments..payload.len() * (i + 1) / fragments];
                    sender.machine.send_fragment(piece.to_vec(), i + 1 == fragments).unwrap();
                    pass(&mut sender, &mut receiver);
                }
            }
            pass(&mut sender, &mut receiver);
            let mut received = Vec::new();
            for event in receiver.poll().unwrap() {
                if let Event::Message(message) | Event::MessageChunk(message) = event {
                    received.extend_from_slice(message.as_bytes());
                }
            }
            prop_assert!(received == payload);
        }
    }
}

/// Every cut of one stream that has all of it: both kinds, fragments, a Ping between, takeover.
#[test]
fn law_1_every_split_of_a_compressed_stream() {
    let mut sender = end(Role::Server, Parameters::default());
    for round in 0..2 {
        sender.machine.send_text("κόσμε, the same words again and again and again").unwrap();
        sender.machine.start_message(MessageKind::Text).unwrap();
        sender.machine.send_fragment("the same words ".as_bytes(), false).unwrap();
        sender.machine.ping(vec![round]).unwrap();
        sender.machine.send_fragment("again €".as_bytes(), true).unwrap();
        sender.machine.send_binary(vec![round; 300]).unwrap();
    }
    let wire = sender.sent();
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let whole = run(Role::Client, delivery, &[&wire]);
        assert_eq!((whole.1, whole.0.len()), (None, if delivery == Delivery::Messages { 8 } else { 22 }));
        for cut in 0..=wire.len() {
            let (front, back) = wire.split_at(cut);
            assert_eq!(run(Role::Client, delivery, &[front, back]), whole, "cut at {cut}");
        }
        assert_eq!(run(Role::Client, delivery, &wire.chunks(1).collect::<Vec<_>>()), whole);
    }
    assert_eq!(sender.machine.transmit().remaining(), 0);
}
