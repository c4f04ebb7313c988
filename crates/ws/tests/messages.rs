//! RFC 6455, 5.4, 5.6 and 8.1: messages, their fragments, their text, and the limits of 10.4.

mod common;

use common::*;
use drywire_core::{Bytes, SendQueue, StreamMachine};
use drywire_ws::{
    CapacityError, Config, Error, Event, Message, MessageKind, Misuse, Opcode, ProtocolError, Role, SendError,
    Utf8Bytes,
};

#[test]
fn rfc6455_5_4_fragments_make_one_message_and_control_frames_may_stand_between() {
    let mut server = End::server();
    let wire = [
        masked(0x01, b"dry"),
        masked(PING, b"1"),
        masked(0x00, b""),
        masked(PONG, b"2"),
        masked(0x00, b"wi"),
        masked(CONTINUATION, b"re"),
    ];
    let events = server.receive(&wire.concat()).unwrap();
    assert_eq!(events, [Event::Ping("1".into()), Event::Pong("2".into()), text("drywire")]);
    // The Pong does not wait for the end of the message (5.5.2).
    assert_eq!(server.sent(), plain(PONG, b"1"));
}

#[test]
fn rfc6455_5_4_a_continuation_needs_a_message_to_continue() {
    for first in [0x00, CONTINUATION] {
        let mut server = End::server();
        let broken = Err(Error::Protocol(ProtocolError::UnexpectedContinuation));
        assert_eq!(server.receive(&masked(first, b"x")), broken);
        assert_eq!(farewell(&mut server), Some(1002));

        let mut server = End::server();
        server.receive(&[masked(0x01, b"a"), masked(CONTINUATION, b"b")].concat()).unwrap();
        assert_eq!(server.receive(&masked(first, b"x")), broken);
    }
}

#[test]
fn rfc6455_5_4_a_message_may_not_start_inside_another() {
    for first in [0x01, TEXT, 0x02, BINARY] {
        let mut server = End::server();
        server.receive(&masked(0x01, b"a")).unwrap();
        let broken = Err(Error::Protocol(ProtocolError::ExpectedContinuation));
        assert_eq!(server.receive(&masked(first, b"x")), broken);
        assert_eq!(farewell(&mut server), Some(1002));
    }
}

#[test]
fn rfc6455_5_6_empty_messages_of_both_kinds() {
    let mut server = End::server();
    assert_eq!(server.receive(&masked(TEXT, b"")).unwrap(), [text("")]);
    assert_eq!(server.receive(&masked(BINARY, b"")).unwrap(), [binary(b"")]);
    assert_eq!(server.receive(&[masked(0x01, b""), masked(CONTINUATION, b"")].concat()).unwrap(), [text("")]);
}

/// The largest valid text by length classes of the check, cut inside every character.
#[test]
fn rfc6455_8_1_a_character_may_be_cut_by_fragments_and_by_reads() {
    let whole = "\u{24}\u{a2}\u{20ac}\u{10348}\u{10ffff}";
    for cut in 0..=whole.len() {
        let (front, back) = whole.as_bytes().split_at(cut);
        let wire = [masked(0x01, front), masked(0x00, b""), masked(CONTINUATION, back)].concat();
        assert_eq!(End::server().receive(&wire).unwrap(), [text(whole)]);
        let wire = masked(TEXT, whole.as_bytes());
        let mut server = End::server();
        let mut events = server.receive(&wire[..6 + cut]).unwrap();
        events.extend(server.receive(&wire[6 + cut..]).unwrap());
        assert_eq!(events, [text(whole)]);
    }
}

#[test]
fn rfc6455_8_1_text_fails_at_its_first_bad_byte() {
    // Overlong, surrogate, beyond Unicode, stray continuation, impossible byte; the length that shows it.
    for (bad, shows) in [
        (&[0xc0, 0xaf][..], 1),
        (&[0xe0, 0x80, 0x80], 2),
        (&[0xed, 0xa0, 0x80], 2),
        (&[0xf4, 0x90, 0x80, 0x80], 2),
        (&[0xf5, 0x80], 1),
        (&[0x80], 1),
        (&[0xce, 0x7f], 2),
        (&[0xff], 1),
    ] {
        for lead in ["", "κόσμε", &"x".repeat(200)] {
            let payload = [lead.as_bytes(), bad, b"tail"].concat();
            let at = lead.len() + shows;
            let wire = masked(TEXT, &payload);
            let head = wire.len() - payload.len();
            let mut server = End::server();
            assert_eq!(server.receive(&wire[..head + at - 1]), Ok(vec![]), "{bad:x?}");
            let broken = Err(Error::Protocol(ProtocolError::TextNotUtf8));
            assert_eq!(server.receive(&wire[head + at - 1..head + at]), broken, "{bad:x?}");
            assert_eq!(farewell(&mut server), Some(1007));
            // The whole frame at once, and the same text in two fragments.
            assert_eq!(End::server().receive(&wire), broken);
            let (front, back) = payload.split_at(at);
            let mut server = End::server();
            assert_eq!(server.receive(&[masked(0x01, front), masked(CONTINUATION, back)].concat()), broken);
        }
    }
}

#[test]
fn rfc6455_8_1_text_may_not_end_inside_a_character() {
    let broken = Err(Error::Protocol(ProtocolError::TextNotUtf8));
    for part in [&[0xe2, 0x82][..], &[0xf0, 0x9f, 0x92], &[0xc3]] {
        assert_eq!(End::server().receive(&masked(TEXT, part)), broken);
        let mut server = End::server();
        assert_eq!(server.receive(&[masked(0x01, part), masked(CONTINUATION, b"")].concat()), broken);
        assert_eq!(farewell(&mut server), Some(1007));
    }
}

#[test]
fn a_kind_that_is_not_accepted_fails_with_1003() {
    for (only, first, other) in [(MessageKind::Text, BINARY, TEXT), (MessageKind::Binary, TEXT, BINARY)] {
        let config = Config { only: Some(only), ..Config::default() };
        let mut server = End::with(Role::Server, config, 1024);
        assert_eq!(server.receive(&masked(other, b"x")).unwrap().len(), 1);
        let refused = if only == MessageKind::Text { MessageKind::Binary } else { MessageKind::Text };
        let broken = Err(Error::Capacity(CapacityError::KindNotAccepted(refused)));
        // By its first byte and the rest of the header.
        assert_eq!(server.receive(&masked(first, b"x")[..6]), broken);
        assert_eq!(farewell(&mut server), Some(1003));
    }
}

#[test]
fn binary_is_not_checked() {
    let bytes = [0xff, 0xc0, 0x00, 0x80];
    assert_eq!(End::server().receive(&masked(BINARY, &bytes)).unwrap(), [binary(&bytes)]);
}

#[test]
fn rfc6455_10_4_a_frame_over_the_limit_is_refused_by_its_header() {
    let config = Config { max_frame_size: 10, ..Config::default() };
    let mut server = End::with(Role::Server, config.clone(), 1024);
    assert_eq!(server.receive(&masked(BINARY, &[0; 10])).unwrap().len(), 1);
    let header = &masked(BINARY, &[0; 11])[..6];
    let broken = Err(Error::Capacity(CapacityError::FrameTooLarge { limit: 10 }));
    assert_eq!(server.receive(header), broken);
    assert_eq!(farewell(&mut server), Some(1009));
    // Control frames have a limit of their own.
    let mut server = End::with(Role::Server, config, 1024);
    assert_eq!(server.receive(&masked(PING, &[0; 100])).unwrap().len(), 1);
}

#[test]
fn rfc6455_10_4_a_message_over_the_limit_is_refused_by_the_header_that_exceeds_it() {
    let config = Config { max_message_size: 10, ..Config::default() };
    let broken = Err(Error::Capacity(CapacityError::MessageTooLarge { limit: 10 }));
    for first in [0x01, 0x02] {
        let mut server = End::with(Role::Server, config.clone(), 1024);
        assert_eq!(server.receive(&masked(first, &[b'x'; 6])), Ok(vec![]));
        assert_eq!(server.receive(&masked(0x00, &[b'x'; 4])), Ok(vec![]));
        assert_eq!(server.receive(&masked(CONTINUATION, b"y")[..6]), broken);
        assert_eq!(farewell(&mut server), Some(1009));
    }
    let mut server = End::with(Role::Server, config.clone(), 1024);
    assert_eq!(server.receive(&masked(TEXT, &[b'x'; 10])).unwrap().len(), 1);
    assert_eq!(server.receive(&masked(TEXT, &[b'x'; 11])[..6]), broken);
    // The start of a character counts as well.
    let mut server = End::with(Role::Server, config, 1024);
    server.receive(&masked(0x01, "xxxxxxxx€".as_bytes().split_at(10).0)).unwrap();
    assert_eq!(server.receive(&masked(CONTINUATION, &[0xac])[..6]), broken);
}

#[test]
fn rfc6455_10_4_a_message_of_too_many_fragments_is_refused() {
    let config = Config { max_fragments: 3, ..Config::default() };
    let mut server = End::with(Role::Server, config, 1024);
    let whole = [masked(0x02, b""), masked(0x00, b"a"), masked(CONTINUATION, b"")].concat();
    assert_eq!(server.receive(&whole).unwrap(), [binary(b"a")]);
    let endless = [masked(0x02, b""), masked(0x00, b""), masked(0x00, b""), masked(0x00, b"")].concat();
    let broken = Err(Error::Capacity(CapacityError::TooManyFragments { limit: 3 }));
    assert_eq!(server.receive(&endless), broken);
    assert_eq!(farewell(&mut server), Some(1008));
}

#[test]
fn the_default_limits_take_a_message_of_16_mib_and_of_65_536_fragments() {
    let limit = Config::default().max_message_size;
    let mut client = End::client();
    let wire = plain(BINARY, &vec![7; usize::try_from(limit).unwrap()]);
    let mut events = Vec::new();
    for piece in wire.chunks(60_000) {
        events.extend(client.receive(piece).unwrap());
    }
    assert_eq!(events.len(), 1);

    let mut events = client.receive(&plain(0x01, &[b'x'; 64])).unwrap();
    for _ in 0..65_535 {
        events.extend(client.receive(&plain(0x00, &[b'x'; 64])).unwrap());
    }
    events.extend(client.receive(&plain(CONTINUATION, b"")).unwrap());
    let [Event::Message(message)] = &events[..] else { panic!("one message") };
    assert_eq!(message.len(), 65_536 * 64);
}

#[test]
fn an_announced_frame_of_2_to_the_63_costs_nothing() {
    let config = Config { max_frame_size: u64::MAX, max_message_size: u64::MAX, ..Config::default() };
    let mut client = End::with(Role::Client, config, 1024);
    let header = [&[BINARY, 127][..], &((1u64 << 63) - 1).to_be_bytes()].concat();
    assert_eq!(client.receive(&header), Ok(vec![]));
    assert_eq!(client.receive(b"some of it"), Ok(vec![]));
    assert_eq!(client.recv.len(), 0);
}

#[test]
fn a_message_that_is_one_frame_and_wholly_there_is_not_copied() {
    let mut server = End::server();
    let payload = vec![0x5a; 4096];
    server.recv.extend_from_slice(&masked(BINARY, &payload));
    let address = server.recv[8..].as_ptr();
    let [Event::Message(Message::Binary(bytes))] = &server.poll().unwrap()[..] else { panic!("a message") };
    assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &payload[..]));
}

#[test]
fn rfc6455_5_4_sent_fragments_carry_the_opcode_once_and_fin_last() {
    for (kind, opcode) in [(MessageKind::Text, Opcode::Text), (MessageKind::Binary, Opcode::Binary)] {
        let mut client = End::client();
        client.machine.start_message(kind).unwrap();
        client.machine.send_fragment("dry", false).unwrap();
        client.machine.ping("between").unwrap();
        client.machine.send_fragment("wi", false).unwrap();
        client.machine.send_fragment("re", true).unwrap();
        let sent: Vec<_> = client.sent_frames().into_iter().map(|frame| (frame.opcode, frame.fin)).collect();
        let continuation = Opcode::Continuation;
        assert_eq!(sent, [(opcode, false), (Opcode::Ping, true), (continuation, false), (continuation, true)]);
        // The next message starts afresh.
        client.machine.send_text("next").unwrap();
        assert_eq!(client.sent_frames()[0].opcode, Opcode::Text);
    }
}

#[test]
fn rfc6455_5_4_messages_are_not_interleaved_on_sending() {
    let mut server = End::server();
    assert_eq!(server.machine.send_fragment("x", true), Err(SendError::Misuse(Misuse::NoMessageUnderWay)));
    server.machine.start_message(MessageKind::Binary).unwrap();
    let misuse = Misuse::MessageUnderWay;
    assert_eq!(server.machine.start_message(MessageKind::Text), Err(misuse));
    assert_eq!(server.machine.send_text("x"), Err(SendError::Misuse(misuse)));
    assert_eq!(server.machine.send_binary("x"), Err(SendError::Misuse(misuse)));
    assert_eq!(server.machine.send(Message::text("x")), Err(SendError::Misuse(misuse)));
    assert!(server.sent().is_empty());
    server.machine.send_fragment("whole", true).unwrap();
    assert_eq!(server.sent(), plain(BINARY, b"whole"));
    assert_eq!(server.machine.send_fragment("x", true), Err(SendError::Misuse(Misuse::NoMessageUnderWay)));
}

#[test]
fn rfc6455_5_6_sent_fragments_of_text_add_up_to_utf8() {
    let mut server = End::server();
    let misuse = Err(SendError::Misuse(Misuse::FragmentNotUtf8));
    let euro = "€".as_bytes();
    server.machine.start_message(MessageKind::Text).unwrap();
    server.machine.send_fragment(euro[..2].to_vec(), false).unwrap();
    assert_eq!(server.machine.send_fragment("x", false), misuse);
    assert_eq!(server.machine.send_fragment("", true), misuse);
    // A refused fragment has changed nothing.
    server.machine.send_fragment(euro[2..].to_vec(), true).unwrap();
    let sent = server.sent();
    assert_eq!(End::client().receive(&sent).unwrap(), [text("€")]);
}

#[test]
fn a_full_queue_hands_the_payload_back() {
    let mut server = End::with(Role::Server, Config::default(), 10);
    // One message of any size is taken while the queue is below the mark.
    server.machine.send_binary(vec![1; 5000]).unwrap();
    assert_eq!(server.machine.send_text("t"), Err(SendError::Full(Utf8Bytes::from("t"))));
    assert_eq!(server.machine.send_binary("b"), Err(SendError::Full(Bytes::from("b"))));
    assert_eq!(server.machine.send("m"), Err(SendError::Full(Message::text("m"))));
    assert_eq!(server.machine.ping("p"), Err(SendError::Full(Bytes::from("p"))));
    assert_eq!(server.machine.pong("p"), Err(SendError::Full(Bytes::from("p"))));
    server.machine.start_message(MessageKind::Text).unwrap();
    assert_eq!(server.machine.send_fragment("f", true), Err(SendError::Full(Bytes::from("f"))));
    assert_eq!(server.sent().len(), 5004);
    server.machine.send_fragment("f", true).unwrap();
    assert_eq!(server.sent(), plain(TEXT, b"f"));
}

#[test]
fn a_large_payload_is_sent_by_reference_and_masked_in_place_only_if_it_is_ours_alone() {
    let shared = Bytes::from(vec![0x5a; SendQueue::BY_REFERENCE]);
    let mut server = End::server();
    server.machine.send_binary(shared.clone()).unwrap();
    server.machine.transmit().pop(4);
    assert_eq!(server.machine.transmit().pop(usize::MAX).as_ptr(), shared.as_ptr());

    let mut client = End::client();
    client.machine.send_binary(shared.clone()).unwrap();
    assert_eq!(client.sent_frames()[0].payload, shared);
    assert!(shared.iter().all(|&byte| byte == 0x5a));

    // Up to 4 KiB a client copies all the same.
    let alone = Bytes::from(vec![0x5a; 4 * 1024 + 1]);
    let address = alone.as_ptr();
    client.machine.send_binary(alone).unwrap();
    client.machine.transmit().pop(8);
    assert_eq!(client.machine.transmit().pop(usize::MAX).as_ptr(), address);
}
