//! RFC 6455, 5.5.2 and 5.5.3: Ping and Pong.

mod common;

use common::*;
use drywire_core::{Instant, StreamMachine};
use drywire_ws::{CapacityError, Config, Error, Event, Misuse, Opcode, Role, SendError};

#[test]
fn rfc6455_5_5_2_every_ping_is_answered_with_its_payload_while_there_is_room() {
    let mut server = End::server();
    let mut expected = Vec::new();
    for i in 0..10u8 {
        let payload = vec![i; usize::from(i) * 13];
        assert_eq!(server.receive(&masked(PING, &payload)).unwrap(), [Event::Ping(payload.clone().into())]);
        expected.extend(plain(PONG, &payload));
    }
    assert_eq!(server.sent(), expected);
}

#[test]
fn rfc6455_5_5_3_a_ping_flood_leaves_one_pong_for_the_newest() {
    let config = Config { max_control_frames: u32::MAX, ..Config::default() };
    let mut server = End::with(Role::Server, config, 1000);
    for i in 0..100_000u32 {
        server.receive(&masked(PING, &i.to_be_bytes())).unwrap();
        // The mark, and at most the frame that crossed it.
        assert!(server.machine.transmit().len() < 1000 + 6);
    }
    let mut pongs = server.sent_frames();
    assert!(pongs.iter().all(|frame| frame.opcode == Opcode::Pong));
    // The newest one follows as soon as there is room.
    pongs.extend(server.sent_frames());
    assert_eq!(pongs.last().unwrap().payload, 99_999u32.to_be_bytes());
    assert!(server.sent().is_empty());
}

#[test]
fn a_pong_that_waited_is_dropped_for_one_that_need_not() {
    let mut server = End::with(Role::Server, Config::default(), 10);
    server.machine.send_binary(vec![0; 20]).unwrap();
    server.receive(&masked(PING, b"old")).unwrap();
    // The queue drains behind the machine's back, and the next Ping comes before `transmit` is asked for.
    let queue = server.machine.transmit();
    queue.clear();
    server.receive(&masked(PING, b"new")).unwrap();
    assert_eq!(server.sent_frames().iter().map(|frame| &frame.payload[..]).collect::<Vec<_>>(), [b"new"]);
}

#[test]
fn rfc6455_5_5_3_an_unasked_pong_is_an_event_and_needs_no_answer() {
    let mut server = End::server();
    assert_eq!(server.receive(&masked(PONG, b"alive")).unwrap(), [Event::Pong("alive".into())]);
    assert!(server.sent().is_empty());
    server.machine.pong("here too").unwrap();
    assert_eq!(server.sent(), plain(PONG, b"here too"));
}

#[test]
fn rfc6455_5_5_sent_control_frames_have_at_most_125_bytes() {
    let mut client = End::client();
    client.machine.ping(vec![0; 125]).unwrap();
    assert_eq!(client.machine.ping(vec![0; 126]), Err(SendError::Misuse(Misuse::ControlTooLong)));
    assert_eq!(client.machine.pong(vec![0; 126]), Err(SendError::Misuse(Misuse::ControlTooLong)));
    assert_eq!(client.sent_frames().len(), 1);
}

#[test]
fn rfc6455_5_5_2_a_ping_is_answered_until_the_peer_has_closed() {
    let mut server = End::server();
    server.machine.close(NOW, None).unwrap();
    server.receive(&masked(PING, b"still there?")).unwrap();
    assert_eq!(server.sent(), [plain(CLOSE, b""), plain(PONG, b"still there?")].concat());
    // Nothing behind the peer's Close frame is looked at.
    assert_eq!(server.receive(&[masked(CLOSE, b""), masked(PING, b"late")].concat()).unwrap(), [Event::Close(None)]);
    assert!(server.sent().is_empty());
}

#[test]
fn rfc6455_10_4_control_frames_are_limited_by_the_second() {
    let config = Config { max_control_frames: 3, ..Config::default() };
    let mut server = End::with(Role::Server, config, 1000);
    let flood = [masked(PING, b""), masked(PONG, b""), masked(PING, b"")].concat();
    for second in 1..4 {
        server.recv.extend_from_slice(&flood);
        for _ in 0..3 {
            let now = Instant::from_secs(second);
            assert!(server.machine.poll_event(now, &mut server.recv).unwrap().is_some());
        }
    }
    server.recv.extend_from_slice(&masked(PONG, b""));
    let just_before = Instant::from_millis(3999);
    let broken = Err(Error::Capacity(CapacityError::TooManyControlFrames { limit: 3 }));
    assert_eq!(server.machine.poll_event(just_before, &mut server.recv), broken);
    assert_eq!(farewell(&mut server), Some(1008));
}
