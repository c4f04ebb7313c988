//! The laws of a stream machine, on random streams, commands and cuts.

mod common;

use common::*;
use drywire_core::{Buf, Instant, RecvBuf, Rng, Seed, StreamMachine};
use drywire_ws::{CloseCode, CloseFrame, Config, Error, Event, Message, MessageKind, Opcode, Role, SendError};
use proptest::prelude::*;

/// Small limits, so that random streams meet them.
fn config() -> Config {
    Config { max_frame_size: 3000, max_message_size: 5000, max_fragments: 8, ..Config::default() }
}

/// The events of a stream that arrives in these pieces, how it failed, what was sent, and what is left.
fn run(role: Role, pieces: &[&[u8]]) -> (Vec<Event>, Option<Error>, Vec<u8>, Vec<u8>) {
    let mut end = End::with(role, config(), 2000);
    let (mut events, mut failure) = (Vec::new(), None);
    let mut step = |end: &mut End| loop {
        match end.machine.poll_event(NOW, &mut end.recv) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return,
            Err(error) => {
                // 8: an error is repeated.
                assert!(failure.is_none_or(|earlier| earlier == error));
                failure = Some(error);
                return;
            }
        }
    };
    for piece in pieces {
        end.recv.extend_from_slice(piece);
        step(&mut end);
    }
    end.recv.finish();
    step(&mut end);
    let sent = end.sent();
    // After an error nobody reads on, so it does not matter how much of a broken message was taken.
    let left = if failure.is_none() { end.recv.to_vec() } else { Vec::new() };
    (events, failure, sent, left)
}

/// A frame, most often a legal one.
fn wire(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => prop::sample::select(vec![0x01u8, TEXT, 0x02, BINARY]),
        8 => prop::sample::select(vec![0x00u8, 0x00, CONTINUATION]),
        3 => prop::sample::select(vec![PING, PONG]),
        1 => Just(CLOSE),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        6 => "\\PC{0,20}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..140),
        1 => (0usize..3100).prop_map(|n| vec![b'x'; n]),
        1 => prop::sample::select(vec![vec![], vec![3, 0xe8], vec![3], vec![3, 0xed, 0xff], vec![0xe2, 0x82]]),
    ];
    let fits = role == Role::Server;
    (first, payload, any::<[u8; 4]>(), prop::bool::weighted(0.97))
        .prop_map(move |(first, payload, key, legal)| frame(first, (fits == legal).then_some(key), &payload))
}

fn stream(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let mutation = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(wire(role), 1..12), mutation).prop_map(|(frames, mutation)| {
        let mut bytes = frames.concat();
        if let Some((at, byte)) = mutation {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// Cuts `bytes` into pieces of these lengths, used in turn.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn law_1_splits_change_nothing_for_a_server(
        bytes in stream(Role::Server), lengths in prop::collection::vec(1..40usize, 1..6),
    ) {
        let whole = run(Role::Server, &[&bytes]);
        prop_assert_eq!(&run(Role::Server, &cut(&bytes, &lengths)), &whole);
        prop_assert_eq!(&run(Role::Server, &cut(&bytes, &[1])), &whole);
    }

    #[test]
    fn law_1_splits_change_nothing_for_a_client(
        bytes in stream(Role::Client), lengths in prop::collection::vec(1..40usize, 1..6),
    ) {
        let whole = run(Role::Client, &[&bytes]);
        prop_assert_eq!(&run(Role::Client, &cut(&bytes, &lengths)), &whole);
        prop_assert_eq!(&run(Role::Client, &cut(&bytes, &[1])), &whole);
    }

    #[test]
    fn laws_4_to_8_hold_for_any_order_of_calls(
        client: bool, seed: u64, calls in prop::collection::vec((0..12u8, any::<u16>()), 0..80),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        let first = drive(role, seed, &calls);
        prop_assert_eq!(first, drive(role, seed, &calls));
    }
}

/// Makes these calls, checks the laws at each, and gives all that was sent.
fn drive(role: Role, seed: u64, calls: &[(u8, u16)]) -> Vec<u8> {
    let mut end = End::with(role, config(), 500);
    let mut rng = Rng::new(&Seed::from(seed));
    let (mut sent, mut failure, mut dropped) = (Vec::new(), None, false);
    let mut now = NOW;
    for &(call, n) in calls {
        let size = usize::from(n % 700);
        match call {
            0 => drop(end.machine.send_text("x".repeat(size))),
            1 => drop(end.machine.send_binary(vec![1; size])),
            2 => drop(end.machine.start_message(if n % 2 == 0 { MessageKind::Text } else { MessageKind::Binary })),
            3 => drop(end.machine.send_fragment("é".as_bytes()[..size % 3].to_vec(), n % 5 == 0)),
            4 => drop(end.machine.ping(vec![2; size])),
            5 if n % 7 == 0 => drop(end.machine.close(now, Some(CloseFrame::new(CloseCode(n), "bye")))),
            5 if n % 5 == 0 => drop(end.machine.close(now, None)),
            6 => {
                let payload = vec![b'p'; size % 120];
                let first = [TEXT, BINARY, 0x01, CONTINUATION, PING, PING, PONG, 0x00][usize::from(n % 8)];
                end.recv.extend_from_slice(&frame(first, (role == Role::Server).then_some(KEY), &payload));
            }
            7 if n % 9 == 0 => {
                end.recv.extend_from_slice(&frame(CLOSE, (role == Role::Server).then_some(KEY), &[3, 0xe8]));
            }
            8 => {
                let queue = end.machine.transmit();
                let n = queue.len().min(size);
                sent.extend(queue.copy_to_bytes(n));
            }
            9 => {
                // Any time, also an earlier one.
                now = Instant::from_nanos(rng.below(40_000_000_000));
                // A queue that the peer does not take in time is dropped, in the middle of a frame or not.
                dropped |= end.machine.poll_timeout().is_some_and(|deadline| deadline <= now);
                end.machine.handle_timeout(now);
                // 6: deadlines move.
                assert!(end.machine.poll_timeout().is_none_or(|deadline| deadline > now));
            }
            10 if n % 11 == 0 => end.recv.finish(),
            _ => match end.machine.poll_event(now, &mut end.recv) {
                Ok(_) => assert_eq!(failure, None),
                Err(error) => {
                    assert!(failure.is_none_or(|earlier| earlier == error));
                    failure = Some(error);
                }
            },
        }
        let demand = end.machine.demand();
        // A close in order never overtakes what is queued.
        if demand.close == Some(drywire_core::Close::Both) {
            assert!(end.machine.transmit().is_empty());
        }
        // The mark, and the one message that crossed it; Close frames and the farewell.
        assert!(end.machine.transmit().len() < 500 + 714 + 2 * 139);
    }
    sent.extend(end.sent());
    if !dropped {
        // Whole frames only, and nothing but Pongs behind a Close frame.
        let frames = frames(&sent);
        let mut behind = frames.iter().skip_while(|frame| frame.opcode != Opcode::Close).skip(1);
        assert!(behind.all(|frame| frame.opcode == Opcode::Pong));
        assert!(frames.iter().all(|frame| frame.masked == (role == Role::Client)));
    }
    sent
}

/// Two ends that talk through random cuts: every message comes back as it went.
#[test]
fn a_client_gets_back_what_it_sends_to_an_echo_server() {
    for seed in 0..60 {
        let mut rng = Rng::new(&Seed::from(seed));
        let (mut client, mut server) = (End::client(), End::server());
        let messages: Vec<Message> = (0..40)
            .map(|_| {
                let len = [0, 1, 20, 125, 126, 1023, 1024, 5000, 65_535, 65_536, 100_000][rng.below(11) as usize];
                if rng.chance(1, 2) {
                    let unit = ["x", "é", "€", "𐍈"][rng.below(4) as usize];
                    Message::text(unit.repeat(len / unit.len()))
                } else {
                    let mut bytes = vec![0; len];
                    rng.fill(&mut bytes);
                    Message::binary(bytes)
                }
            })
            .collect();
        let mut to_send = messages.clone().into_iter().peekable();
        let mut to_echo = std::collections::VecDeque::new();
        let mut echoed = Vec::new();
        let mut closed = 0;
        while closed < 2 {
            if let Some(message) = to_send.next_if(|_| rng.chance(1, 3)) {
                // In fragments at random.
                if rng.chance(1, 3) {
                    let kind = if message.as_text().is_some() { MessageKind::Text } else { MessageKind::Binary };
                    client.machine.transmit();
                    client.machine.start_message(kind).unwrap();
                    let bytes = message.into_bytes();
                    let cut = rng.below(bytes.len() as u64 + 1) as usize;
                    send_all(&mut client, &mut server, bytes.slice(..cut), false);
                    client.machine.ping("between").unwrap_or_default();
                    send_all(&mut client, &mut server, bytes.slice(cut..), true);
                } else if let Err(SendError::Full(message)) = client.machine.send(message) {
                    pump(&mut client, &mut server, usize::MAX);
                    client.machine.send(message).unwrap();
                }
            }
            let n = rng.below(70_000) as usize;
            pump(&mut client, &mut server, n);
            for event in server.poll().unwrap() {
                if let Event::Message(message) = event {
                    to_echo.push_back(message);
                }
            }
            while let Some(message) = to_echo.pop_front() {
                if let Err(SendError::Full(message)) = server.machine.send(message) {
                    to_echo.push_front(message);
                    break;
                }
            }
            let n = rng.below(70_000) as usize;
            pump(&mut server, &mut client, n);
            for event in client.poll().unwrap() {
                match event {
                    Event::Message(message) => echoed.push(message),
                    Event::Close(_) => closed += 1,
                    _ => {}
                }
            }
            if echoed.len() == messages.len() && closed == 0 {
                // Refused as closing from the second time on.
                let _ = client.machine.close(NOW, Some(CloseFrame::new(CloseCode::NORMAL, "")));
            }
            if closed == 1 && server.machine.demand().close.is_some() {
                client.recv.finish();
                closed += client.poll().unwrap().len() + 1;
            }
        }
        assert_eq!(echoed, messages, "seed {seed}");
        assert!(client.machine.demand().close.is_some());
    }
}

fn send_all(client: &mut End, server: &mut End, payload: drywire_core::Bytes, last: bool) {
    if let Err(SendError::Full(payload)) = client.machine.send_fragment(payload, last) {
        pump(client, server, usize::MAX);
        client.machine.send_fragment(payload, last).unwrap();
    }
}

/// Moves up to `n` bytes from one end to the other.
fn pump(from: &mut End, to: &mut End, n: usize) {
    let queue = from.machine.transmit();
    let n = n.min(queue.len());
    to.recv.push(queue.copy_to_bytes(n));
}

/// Two million bytes one at a time take well below a second. Work in their square, 2 * 10^12 steps for each kind of
/// message, would not end.
#[test]
fn law_2_dripped_input_is_linear_work() {
    let payload = "é".repeat(1_000_000);
    for first in [TEXT, BINARY] {
        let wire = masked(first, payload.as_bytes());
        let mut server = End::server();
        let mut events = Vec::new();
        for byte in &wire {
            events.extend(server.receive(&[*byte]).unwrap());
        }
        assert_eq!(events.len(), 1);
    }
}

/// 10^6 empty fragments are bounded by their count alone, and cost no memory.
#[test]
fn law_3_empty_fragments_hold_nothing() {
    let mut server = End::server();
    server.receive(&masked(0x02, b"")).unwrap();
    let burst = masked(0x00, b"").repeat(1000);
    let failure = loop {
        match server.receive(&burst) {
            Ok(events) => assert!(events.is_empty()),
            Err(failure) => break failure,
        }
    };
    assert!(matches!(failure, Error::Capacity(_)));
    assert_eq!(farewell(&mut server), Some(1008));
}

#[test]
fn law_7_recv_keeps_what_is_behind_the_end() {
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(&masked(CLOSE, b""));
    recv.extend_from_slice(b"GET / HTTP/1.1\r\n");
    let mut server = End::server();
    server.machine.poll_event(NOW, &mut recv).unwrap();
    assert_eq!(server.machine.poll_event(NOW, &mut recv), Ok(None));
    assert_eq!(&recv[..], b"GET / HTTP/1.1\r\n");
}
