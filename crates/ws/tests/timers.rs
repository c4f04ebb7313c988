//! Time as state: keep-alive, idleness, lifetime, and the time that a message may take.

mod common;

use core::time::Duration;

use common::*;
use drywire_core::{Close, Instant, StreamMachine};
use drywire_ws::{CapacityError, CloseCode, Config, Error, Event, MessageKind, Misuse, Opcode, Role, SendError, State};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    NOW + Duration::from_secs(seconds)
}

fn server(config: Config) -> End {
    End::with(Role::Server, config, 1024)
}

fn receive_at(end: &mut End, now: Instant, bytes: &[u8]) -> Result<Vec<Event>, Error> {
    end.recv.extend_from_slice(bytes);
    let mut events = Vec::new();
    while let Some(event) = end.machine.poll_event(now, &mut end.recv)? {
        events.push(event);
    }
    Ok(events)
}

#[test]
fn nothing_is_due_by_default() {
    for role in [Role::Server, Role::Client] {
        assert_eq!(End::new(role).machine.poll_timeout(), None);
    }
}

#[test]
fn a_silent_peer_is_asked_and_its_answer_is_nobody_elses() {
    let config = Config { ping_interval: Some(30 * SECOND), pong_timeout: 5 * SECOND, ..Config::default() };
    let mut server = server(config);
    assert_eq!(server.machine.poll_timeout(), Some(at(30)));
    // What arrives puts it off, half a header too.
    receive_at(&mut server, at(10), &masked(TEXT, b"x")).unwrap();
    receive_at(&mut server, at(20), &[TEXT]).unwrap();
    receive_at(&mut server, at(21), &masked(TEXT, b"x")[1..]).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(51)));
    // A poll without news does not.
    receive_at(&mut server, at(40), b"").unwrap();
    server.machine.handle_timeout(at(51));
    let [ping] = &server.sent_frames()[..] else { panic!("a Ping") };
    assert_eq!(ping.opcode, Opcode::Ping);
    assert_eq!(server.machine.poll_timeout(), Some(at(56)));
    // Another Pong is no answer, and is told; the answer is not.
    assert_eq!(receive_at(&mut server, at(52), &masked(PONG, b"other")).unwrap().len(), 1);
    assert_eq!(server.machine.poll_timeout(), Some(at(56)));
    assert_eq!(receive_at(&mut server, at(53), &masked(PONG, &ping.payload)), Ok(vec![]));
    assert_eq!(server.machine.poll_timeout(), Some(at(83)));
    // A second one like it was not asked for.
    assert_eq!(receive_at(&mut server, at(53), &masked(PONG, &ping.payload)).unwrap().len(), 1);
}

#[test]
fn a_peer_that_does_not_answer_fails_with_1008() {
    let config = Config { ping_interval: Some(30 * SECOND), pong_timeout: 5 * SECOND, ..Config::default() };
    let mut server = server(config);
    server.machine.handle_timeout(at(30));
    server.sent();
    // A message is no answer.
    receive_at(&mut server, at(31), &masked(TEXT, b"x")).unwrap();
    server.machine.handle_timeout(at(35));
    let failure = Error::Capacity(CapacityError::PongTimeout);
    assert_eq!(server.machine.send_text("x"), Err(SendError::Misuse(Misuse::Failed(failure))));
    assert_eq!(farewell(&mut server), Some(1008));
    assert_eq!(server.poll(), Err(failure));
    assert_eq!(server.machine.demand().close, Some(Close::Both));
}

/// A Pong cannot stand inside a frame (RFC 6455, 5.4): a peer that sends a long one on a slow link is not dead.
#[test]
fn a_long_frame_puts_the_answer_off() {
    let config = Config { ping_interval: Some(10 * SECOND), pong_timeout: 5 * SECOND, ..Config::default() };
    let mut server = server(config);
    let wire = masked(BINARY, &[0; 100]);
    receive_at(&mut server, at(0), &wire[..10]).unwrap();
    server.machine.handle_timeout(at(10));
    for second in 1..8 {
        let from = 10 * usize::try_from(second).unwrap();
        receive_at(&mut server, at(10 + 4 * second), &wire[from..from + 10]).unwrap();
        server.machine.handle_timeout(at(10 + 4 * second));
    }
    assert_eq!(server.machine.poll_timeout(), Some(at(38 + 5)));
    server.machine.handle_timeout(at(43));
    assert_eq!(server.poll(), Err(Error::Capacity(CapacityError::PongTimeout)));
}

#[test]
fn a_message_has_its_time() {
    let config = Config { message_timeout: Some(8 * SECOND), ..Config::default() };
    let mut server = server(config);
    // Dripped, but in time.
    receive_at(&mut server, at(0), &masked(0x01, b"a")).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(8)));
    receive_at(&mut server, at(7), &masked(0x00, b"b")).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(8)));
    receive_at(&mut server, at(7), &masked(CONTINUATION, b"c")).unwrap();
    assert_eq!(server.machine.poll_timeout(), None);
    // The next one has a time of its own, from its frame's first piece.
    receive_at(&mut server, at(9), &masked(TEXT, b"slow")[..8]).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(17)));
    server.machine.handle_timeout(at(17));
    assert_eq!(farewell(&mut server), Some(1008));
    assert_eq!(server.poll(), Err(Error::Capacity(CapacityError::MessageTimeout)));
}

#[test]
fn who_is_idle_is_closed_with_1001() {
    let config = Config { idle_timeout: Some(60 * SECOND), ping_interval: Some(25 * SECOND), ..Config::default() };
    let mut server = server(config);
    // Messages either way count, Pings and Pongs do not.
    receive_at(&mut server, at(10), &masked(TEXT, b"x")).unwrap();
    receive_at(&mut server, at(20), b"").unwrap();
    server.machine.send_text("y").unwrap();
    receive_at(&mut server, at(50), &masked(PING, b"")).unwrap();
    server.machine.handle_timeout(at(75));
    let asked = server.sent_frames().pop().unwrap();
    receive_at(&mut server, at(76), &masked(PONG, &asked.payload)).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(80)));
    server.machine.handle_timeout(at(80));
    assert_eq!(server.machine.state(), State::CloseSent);
    assert_eq!(farewell(&mut server), Some(1001));
    receive_at(&mut server, at(81), &masked(CLOSE, &close_payload(1001, ""))).unwrap();
    assert!(server.machine.close_info().clean);
}

#[test]
fn a_lifetime_ends_also_a_busy_connection() {
    let config = Config { max_lifetime: Some(60 * SECOND), ..Config::default() };
    let mut server = server(config.clone());
    receive_at(&mut server, at(59), &masked(TEXT, b"x")).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(at(60)));
    server.machine.handle_timeout(at(60));
    assert_eq!(farewell(&mut server), Some(1001));
    let sent = server.machine.close_info().sent.unwrap();
    assert_eq!((sent.code, sent.reason.as_str()), (CloseCode::GOING_AWAY, "the connection has reached its lifetime"));

    // Inside a frame no Close frame can be sent.
    let mut server = End::with(Role::Server, config, 1024);
    server.machine.start_frame(MessageKind::Binary, 2).unwrap();
    server.machine.handle_timeout(at(60));
    assert_eq!(server.sent(), [0x82, 2]);
    assert_eq!(server.poll(), Err(Error::UnfinishedFrame));
    assert_eq!(server.machine.demand().close, Some(Close::Both));
}

#[test]
fn no_ping_inside_a_frame_of_ours() {
    let config = Config { ping_interval: Some(10 * SECOND), ..Config::default() };
    let mut server = server(config);
    server.machine.start_frame(MessageKind::Binary, 1).unwrap();
    server.machine.handle_timeout(at(10));
    assert_eq!((server.sent(), server.machine.poll_timeout()), (vec![0x82, 1], Some(at(20))));
    server.machine.send_fragment("x", true).unwrap();
    server.machine.handle_timeout(at(20));
    assert_eq!(server.sent(), [&b"x"[..], &plain(PING, &1u32.to_be_bytes())].concat());
}

/// Durations of zero are as good as any: deadlines move, and a call comes to its end.
#[test]
fn law_6_holds_with_times_of_zero() {
    let zero = Some(Duration::ZERO);
    for role in [Role::Server, Role::Client] {
        for (ping, idle, lifetime) in [(zero, None, None), (None, zero, None), (None, None, zero), (zero, zero, zero)] {
            let config = Config {
                ping_interval: ping,
                idle_timeout: idle,
                max_lifetime: lifetime,
                message_timeout: zero,
                pong_timeout: Duration::ZERO,
                close_timeout: Duration::ZERO,
                ..Config::default()
            };
            let mut end = End::with(role, config, 1024);
            let mut turns = 0;
            while let Some(deadline) = end.machine.poll_timeout() {
                end.machine.handle_timeout(deadline);
                assert!(end.machine.poll_timeout().is_none_or(|next| next > deadline));
                turns += 1;
                assert!(turns < 10);
            }
            assert_ne!(end.machine.state(), State::Open);
        }
    }
}
