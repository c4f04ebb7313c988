//! Messages that pass in pieces: in chunks as they arrive, and out as a frame whose payload follows.

mod common;

use common::*;
use drywire_core::{Buf, Bytes, Close, Demand, RecvBuf, SendQueue, StreamMachine};
use drywire_ws::{
    CapacityError, CloseCode, CloseFrame, Config, Delivery, Error, Event, FrameHeader, Message, MessageKind, Misuse,
    Opcode, ProtocolError, Role, SendError, State, mask,
};

fn chunks() -> Config {
    Config { delivery: Delivery::Chunks, ..Config::default() }
}

fn start(kind: MessageKind) -> Event {
    Event::MessageStart(kind)
}

fn chunk(text: &str) -> Event {
    Event::MessageChunk(Message::text(text))
}

#[test]
fn chunks_come_as_their_bytes_do() {
    let mut server = End::with(Role::Server, chunks(), 1024);
    let wire = [masked(0x01, b"dry"), masked(PING, b"?"), masked(CONTINUATION, b"wire")].concat();
    // The first header, "d", "ry" with the Ping and the header behind it, and the rest.
    assert_eq!(server.receive(&wire[..6]).unwrap(), [start(MessageKind::Text)]);
    assert_eq!(server.receive(&wire[6..7]).unwrap(), [chunk("d")]);
    assert_eq!(server.receive(&wire[7..22]).unwrap(), [chunk("ry"), Event::Ping("?".into())]);
    assert_eq!(server.receive(&wire[22..]).unwrap(), [chunk("wire"), Event::MessageEnd]);
    // A message in one frame is no different, and an empty one has no chunk.
    let one = [start(MessageKind::Binary), Event::MessageChunk(Message::binary("x")), Event::MessageEnd];
    assert_eq!(server.receive(&masked(BINARY, b"x")).unwrap(), one);
    assert_eq!(server.receive(&masked(TEXT, b"")).unwrap(), [start(MessageKind::Text), Event::MessageEnd]);
}

#[test]
fn a_text_chunk_is_cut_between_characters() {
    let whole = "\u{24}\u{a2}\u{20ac}\u{10348}";
    let wire = masked(TEXT, whole.as_bytes());
    for cut in 6..=wire.len() {
        let mut server = End::with(Role::Server, chunks(), 1024);
        let mut events = server.receive(&wire[..cut]).unwrap();
        events.extend(server.receive(&wire[cut..]).unwrap());
        let mut text = String::new();
        for event in &events {
            if let Event::MessageChunk(chunk) = event {
                assert!(!chunk.is_empty());
                text.push_str(chunk.as_text().unwrap());
            }
        }
        assert_eq!((text.as_str(), events.last()), (whole, Some(&Event::MessageEnd)));
    }
}

#[test]
fn a_bad_byte_in_a_chunk_fails_at_once_and_half_a_character_at_the_end() {
    let broken = Err(Error::Protocol(ProtocolError::TextNotUtf8));
    let mut server = End::with(Role::Server, chunks(), 1024);
    let wire = masked(TEXT, b"good \xff never");
    assert_eq!(server.receive(&wire[..11]).unwrap(), [start(MessageKind::Text), chunk("good ")]);
    assert_eq!(server.receive(&wire[11..12]), broken);
    assert_eq!(farewell(&mut server), Some(1007));
    let mut server = End::with(Role::Server, chunks(), 1024);
    server.recv.extend_from_slice(&masked(TEXT, b"\xe2\x82"));
    assert_eq!(server.machine.poll_event(NOW, &mut server.recv), Ok(Some(start(MessageKind::Text))));
    assert_eq!(server.poll(), broken);
}

#[test]
fn limits_hold_for_chunks_too() {
    let config = Config { max_message_size: 10, ..chunks() };
    let mut server = End::with(Role::Server, config, 1024);
    assert_eq!(server.receive(&masked(0x02, &[0; 10])).unwrap().len(), 2);
    let broken = Err(Error::Capacity(CapacityError::MessageTooLarge { limit: 10 }));
    assert_eq!(server.receive(&masked(CONTINUATION, &[0; 1])[..6]), broken);
}

/// 4 GiB and some bytes through a client's 64 KiB reads: neither the machine nor its buffer grows with the message.
#[test]
fn law_3_a_message_of_4_gib_passes_through_bounded_memory() {
    const LEN: u64 = (4 << 30) + 7;
    let config = Config { max_frame_size: u64::MAX, max_message_size: u64::MAX, ..chunks() };
    let mut client = End::with(Role::Client, config, 1024);
    let header = FrameHeader { fin: true, compressed: false, opcode: Opcode::Binary, mask: None, payload_len: LEN };
    assert_eq!(client.receive(&header.encode()).unwrap(), [start(MessageKind::Binary)]);
    let read = vec![0x5a; 64 * 1024];
    let (mut sent, mut received, mut ended) = (0, 0, false);
    while sent < LEN {
        let n = usize::try_from(LEN - sent).unwrap().min(read.len());
        client.recv.extend_from_slice(&read[..n]);
        sent += n as u64;
        while let Some(event) = client.machine.poll_event(NOW, &mut client.recv).unwrap() {
            match event {
                Event::MessageChunk(chunk) => received += chunk.len() as u64,
                event => ended = event == Event::MessageEnd,
            }
        }
        assert!(client.recv.is_empty() && client.recv.capacity() <= 2 * read.len());
    }
    assert_eq!((received, ended), (LEN, true));
}

#[test]
fn a_frame_of_known_length_is_sent_in_pieces() {
    for role in [Role::Server, Role::Client] {
        let mut end = End::new(role);
        end.machine.start_frame(MessageKind::Text, 3000 + 4).unwrap();
        // The header is on its way before the payload exists.
        let head = end.sent();
        assert_eq!(head.len(), if role == Role::Client { 8 } else { 4 });
        let (header, _) = FrameHeader::parse(&head).unwrap().unwrap();
        assert_eq!((header.fin, header.opcode, header.payload_len), (true, Opcode::Text, 3004));
        end.machine.send_fragment(&b"x"[..], false).unwrap();
        end.machine.send_fragment(vec![b'y'; 2999], false).unwrap();
        // Inside a character, but no other one.
        end.machine.send_fragment(&b"\xc3"[..], false).unwrap();
        let misuse = SendError::Misuse(Misuse::FragmentNotUtf8);
        assert_eq!(end.machine.send_fragment(&b"\xc3"[..], false), Err(misuse));
        end.machine.send_fragment(&b"\xa9\xc3\xa9"[..], true).unwrap();
        let mut payload = end.sent();
        if let Some(key) = header.mask {
            mask(key, 0, &mut payload);
        }
        assert_eq!(payload, [&b"x"[..], &[b'y'; 2999], "éé".as_bytes()].concat());
        end.machine.send_text("next").unwrap();
    }
}

#[test]
fn a_frame_of_known_length_keeps_its_length() {
    let mut server = End::server();
    let wrong = Err(SendError::Misuse(Misuse::WrongLength));
    server.machine.start_frame(MessageKind::Binary, 4).unwrap();
    assert_eq!(server.machine.send_fragment("12345", true), wrong);
    assert_eq!(server.machine.send_fragment("123", true), wrong);
    assert_eq!(server.machine.send_fragment("1234", false), wrong);
    server.machine.send_fragment("12", false).unwrap();
    assert_eq!(server.machine.send_fragment("345", true), wrong);
    server.machine.send_fragment("34", true).unwrap();
    assert_eq!(server.sent(), plain(BINARY, b"1234"));
    server.machine.start_frame(MessageKind::Binary, 0).unwrap();
    server.machine.send_fragment("", true).unwrap();
    assert_eq!(server.sent(), plain(BINARY, b""));
    assert_eq!(server.machine.start_frame(MessageKind::Binary, 1 << 63), Err(SendError::Misuse(Misuse::WrongLength)));
}

#[test]
fn nothing_stands_inside_a_frame() {
    let mut server = End::server();
    server.machine.start_frame(MessageKind::Binary, 2).unwrap();
    server.machine.send_fragment("1", false).unwrap();
    let misuse = Misuse::FrameUnderWay;
    assert_eq!(server.machine.send_text("x"), Err(SendError::Misuse(misuse)));
    assert_eq!(server.machine.ping("x"), Err(SendError::Misuse(misuse)));
    assert_eq!(server.machine.pong("x"), Err(SendError::Misuse(misuse)));
    assert_eq!(server.machine.start_message(MessageKind::Text), Err(misuse));
    assert_eq!(server.machine.close(NOW, None), Err(misuse));
    // Of the Pings that come meanwhile the newest is answered, behind the frame.
    server.receive(&[masked(PING, b"old"), masked(PING, b"new")].concat()).unwrap();
    assert_eq!(server.sent(), [0x82, 2, b'1']);
    server.machine.send_fragment("2", true).unwrap();
    assert_eq!([server.sent(), server.sent()].concat(), [&b"2"[..], &plain(PONG, b"new")].concat());
}

#[test]
fn rfc6455_5_5_1_a_close_frame_inside_a_frame_of_ours_is_answered_at_its_end() {
    for role in [Role::Server, Role::Client] {
        let mut end = End::new(role);
        let key = (role == Role::Server).then_some(KEY);
        end.machine.start_frame(MessageKind::Binary, 2).unwrap();
        let close = frame(CLOSE, key, &close_payload(1001, "bye"));
        let told = end.receive(&close).unwrap();
        assert_eq!(told, [Event::Close(Some(CloseFrame::new(CloseCode::GOING_AWAY, "bye")))]);
        assert_eq!(end.machine.state(), State::CloseReceived);
        assert_eq!(end.machine.demand(), Demand { read: false, close: None });
        assert_eq!(end.receive(&frame(TEXT, key, b"never")), Ok(vec![]));
        end.machine.send_fragment("12", true).unwrap();
        let sent = end.sent_frames();
        assert_eq!((sent.len(), sent[0].opcode, &sent[0].payload[..]), (2, Opcode::Binary, &b"12"[..]));
        assert_eq!((sent[1].opcode, &sent[1].payload[..]), (Opcode::Close, &close_payload(1001, "")[..]));
        assert_eq!(end.machine.send_text("x"), Err(SendError::Misuse(Misuse::Closing)));
        end.poll().unwrap();
        assert_eq!(end.machine.demand().close, Some(Close::Both));

        // Who does not end the frame in time is dropped.
        let mut end = End::new(role);
        end.machine.start_frame(MessageKind::Binary, 2).unwrap();
        end.receive(&close).unwrap();
        let deadline = end.machine.poll_timeout().unwrap();
        end.machine.handle_timeout(deadline);
        assert_eq!(end.machine.demand().close, Some(Close::Abort));
    }
}

#[test]
fn a_violation_inside_a_frame_of_ours_ends_without_a_close_frame() {
    let mut server = End::server();
    server.machine.start_frame(MessageKind::Binary, 2).unwrap();
    assert_eq!(server.receive(&masked(0x83, b"")), Err(Error::Protocol(ProtocolError::ReservedOpcode(3))));
    assert_eq!(server.sent(), [0x82, 2]);
    assert_eq!(server.machine.demand().close, Some(Close::Both));
}

/// Both halves at once: a client sends a message of 100 MiB in pieces to a server that takes it in chunks.
#[test]
fn a_long_message_passes_between_two_ends_piece_by_piece() {
    const LEN: u64 = 100 << 20;
    let config = Config { max_frame_size: u64::MAX, max_message_size: u64::MAX, ..chunks() };
    let mut client = End::with(Role::Client, config.clone(), 64 * 1024);
    let mut server = End::with(Role::Server, config, 64 * 1024);
    client.machine.start_frame(MessageKind::Binary, LEN).unwrap();
    let piece = Bytes::from(vec![7; 48 * 1024]);
    let (mut left, mut received) = (LEN, 0);
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        match client.machine.send_fragment(piece.slice(..n), n as u64 == left) {
            Ok(()) => left -= n as u64,
            Err(SendError::Full(_)) => {}
            Err(misuse) => panic!("{misuse}"),
        }
        carry(client.machine.transmit(), &mut server.recv);
        for event in server.poll().unwrap() {
            if let Event::MessageChunk(Message::Binary(chunk)) = event {
                assert!(chunk.iter().all(|&byte| byte == 7));
                received += chunk.len() as u64;
            }
        }
    }
    assert_eq!(received, LEN);
}

fn carry(queue: &mut SendQueue, recv: &mut RecvBuf) {
    let n = queue.remaining();
    recv.push(queue.copy_to_bytes(n));
}
