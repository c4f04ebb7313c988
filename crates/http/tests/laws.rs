//! The laws of every stream machine, on random and on hostile input.

mod common;
#[path = "common/trace.rs"]
mod trace;

use common::{client, client_with, server_with};
use drywire_core::{Instant, RecvBuf, StreamMachine};
use drywire_http::{CommandError, Length, PlainRequest, PlainResponse, client as client_side, server};
use proptest::prelude::*;
use trace::Mode;

/// Parts that make valid messages often and broken ones in interesting places.
const REQUEST_PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
];

const RESPONSE_PARTS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n",
    "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
];

const SHARED_PARTS: &[&str] = &[
    "5\r\nhello\r\n",
    "3;x=y\r\nabc\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\nHost: z\r\n\r\n",
    "\r\n",
    "\r",
    "\n",
    "\0",
    " ",
    "\t",
    ":",
    ";",
    "x",
];

/// Messages of such parts, with single bytes removed, added and changed.
fn input(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![3 => prop::sample::select(parts), 2 => prop::sample::select(SHARED_PARTS)];
    let edit = (any::<prop::sample::Index>(), 0..3u8, prop::sample::select(&b"\r\n\0 :;,a0\x80"[..]));
    (prop::collection::vec(part, 1..8), prop::collection::vec(edit, 0..3)).prop_map(|(parts, edits)| {
        let mut bytes = parts.concat().into_bytes();
        for (index, kind, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                _ => bytes[at] = byte,
            }
        }
        bytes
    })
}

/// `bytes`, cut at lengths that are used in turn.
fn cut<'a>(bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at((*length).clamp(1, rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn law_1_cuts_do_not_show_to_a_server(
        bytes in input(REQUEST_PARTS),
        lengths in prop::collection::vec(1..60usize, 1..5),
        mode in any::<u8>().prop_map(Mode),
        end_apart in any::<bool>(),
    ) {
        let whole = trace::of_server(&[&bytes], false, mode);
        prop_assert_eq!(&trace::of_server(&cut(&bytes, &lengths), end_apart, mode), &whole);
        prop_assert_eq!(&trace::of_server(&cut(&bytes, &[1]), true, mode), &whole);
    }

    #[test]
    fn law_1_cuts_do_not_show_to_a_client(
        bytes in input(RESPONSE_PARTS),
        lengths in prop::collection::vec(1..60usize, 1..5),
        mode in any::<u8>().prop_map(Mode),
    ) {
        // When the end shows is part of the input: a client that knows of it asks nothing more.
        let whole = trace::of_client(&[&bytes], true, mode);
        prop_assert_eq!(&trace::of_client(&cut(&bytes, &lengths), true, mode), &whole);
        prop_assert_eq!(&trace::of_client(&cut(&bytes, &[1]), true, mode), &whole);
    }

    #[test]
    fn law_5_any_order_of_calls_is_survived(
        ops in prop::collection::vec((0..16u8, any::<u8>(), any::<u32>()), 0..60),
        bytes in prop_oneof![input(REQUEST_PARTS), input(RESPONSE_PARTS)],
    ) {
        let mut server = server_with(server::Config { drain_limit: 3, send_high_water: 200, ..server::Config::default() });
        let mut client = client();
        let mut rest = &bytes[..];
        let mut errors = (None, None);
        for (op, small, large) in ops {
            let ok = PlainResponse::new(u16::from(small) * 3, &[("Upgrade", "x")]);
            let get = PlainRequest::new(if small & 1 == 0 { "GET" } else { "POST" }, "/", &[("Host", "a"), ("Upgrade", "x")]);
            let length = if small & 2 == 0 { Length::Unknown } else { Length::Known(u64::from(small >> 5)) };
            let content = bytes::Bytes::from(vec![0; usize::from(small)]);
            match op {
                0..=5 => {
                    let (piece, behind) = rest.split_at(usize::from(small).min(rest.len()));
                    server.feed(piece);
                    client.feed(piece);
                    rest = behind;
                }
                6 => { let _ = (server.machine.respond(&ok, length), client.machine.send_request(&get, length)); }
                7 => { let _ = (server.machine.send_content(content.clone()), client.machine.send_content(content)); }
                8 => { let _ = (server.machine.finish(None), client.machine.finish(None)); }
                9 => { let _ = (server.machine.send_continue(), server.machine.send_informational(&ok)); }
                10 => { let _ = server.machine.upgrade(&PlainResponse::new(101, &[("Upgrade", "x")])); }
                11 => {
                    server.now = server.now.max(Instant::from_nanos(u64::from(large) << (small % 24)));
                    client.now = server.now;
                    server.machine.handle_timeout(server.now);
                    client.machine.handle_timeout(client.now);
                    prop_assert!(server.machine.poll_timeout().is_none_or(|next| next > server.now));
                }
                12 => { server.sent(); client.sent(); }
                13 if small > 240 => { server.machine.shutdown(); client.machine.shutdown(); }
                14 if small > 250 => { server.machine.abort(); client.machine.abort(); }
                15 if small > 200 => { server.feed_end(); client.feed_end(); }
                _ => {}
            }
            let results = (server.poll().err(), client.poll().err());
            prop_assert!(errors.0.is_none() || results.0 == errors.0, "errors are final");
            prop_assert!(errors.1.is_none() || results.1 == errors.1, "errors are final");
            errors = results;
            if server.machine.demand().close.is_some_and(|close| close != drywire_core::Close::Abort) {
                prop_assert!(server.machine.transmit().is_empty());
            }
        }
    }
}

/// A megabyte, one byte at a time: quadratic work would take hours.
#[test]
fn law_2_dripped_input_costs_linear_work() {
    const MEGABYTE: usize = 1 << 20;
    let long = "x".repeat(MEGABYTE);
    let huge = 4 * MEGABYTE;
    let config = server::Config {
        max_request_line: huge,
        max_head: huge,
        max_field_line: huge,
        max_fields: huge,
        max_trailer_fields: huge,
        max_chunk_line: huge,
        max_chunk_extensions: huge as u64,
        max_trailers: huge,
        ..server::Config::default()
    };
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for input in [
        format!("{long} "),
        format!("GET /{long} "),
        format!("GET / HTTP/1.1\r\n{long}:"),
        format!("GET / HTTP/1.1\r\nA: {long}\r\n"),
        format!("GET / HTTP/1.1\r\nA: {}\r\n", " ".repeat(MEGABYTE)),
        format!("GET / HTTP/1.1\r\n{}", "A:\r\n".repeat(MEGABYTE / 4)),
        format!("{chunked}1;{long}\r\n"),
        format!("{chunked}{}", "1\r\nx\r\n".repeat(MEGABYTE / 6)),
        format!("{chunked}0\r\nA: {long}\r\n"),
    ] {
        let mut server = server_with(config.clone());
        for byte in input.as_bytes() {
            server.feed([*byte]);
            while server.poll().unwrap().is_some() {}
        }
    }
    // Folds: a value whose end moves with every line.
    let config = client_side::Config { max_head: huge, max_field_line: huge, ..client_side::Config::default() };
    for line in ["\r\n x", "\r\n  "] {
        let mut client = client_with(config.clone());
        client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
        client.feed("HTTP/1.1 200 OK\r\nA: b");
        for _ in 0..MEGABYTE / 4 {
            client.feed(line).no_event();
        }
    }
}

#[test]
fn law_3_nothing_is_held_for_announced_bytes() {
    let mut server = common::server();
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n");
    server.event();
    server.no_event();
    assert!(server.machine.transmit().is_empty());
}

/// An application that keeps a few bytes keeps these bytes.
#[test]
fn law_3_little_content_keeps_no_receive_buffer_alive() {
    for (fields, content, expected) in [
        ("Content-Length: 99999", "0123456789", "0123456789"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n6\r\n world\r\n270f\r\n", "hello world"),
        ("Transfer-Encoding: chunked", "270f\r\n0123456789", "0123456789"),
    ] {
        let mut server = common::server();
        server.recv = RecvBuf::new();
        server.recv.spare(64 * 1024);
        server.feed(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}"));
        server.event();
        let server::Event::Content(piece) = server.event() else { panic!("content") };
        assert_eq!(piece, expected);
        assert!(piece.is_unique(), "a part of a buffer is not");
        let whole = piece.try_into_mut().expect("of nobody else");
        assert_eq!(whole.capacity(), expected.len());
    }
}

#[test]
fn large_content_is_not_copied() {
    for framing in ["Content-Length: 4000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nfa0\r\n"] {
        let mut server = common::server();
        server.feed(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        server.event();
        server.no_event();
        server.feed([b'x'; 4000]);
        let address = server.recv.as_ptr();
        let server::Event::Content(piece) = server.event() else { panic!("content") };
        assert_eq!((piece.as_ptr(), piece.len()), (address, 4000));
    }
}

/// What was in use stays for the next exchange, until the driver says that it is going to wait.
#[test]
fn law_3_an_idle_connection_gives_its_buffers_back() {
    let mut server = common::server();
    for _ in 0..2 {
        server.recv.spare(4096);
        server.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        server.event();
        server.event();
        server.machine.respond(&PlainResponse::new(204, &[]), Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        server.sent();
        server.no_event();
        assert!(server.recv.capacity() > 0);
        server.recv.release();
        server.machine.transmit().release();
        assert_eq!((server.recv.capacity(), server.machine.transmit().capacity()), (0, 0));
    }
}

#[test]
fn law_3_a_pipelining_flood_is_not_read() {
    let mut server = common::server();
    server.feed("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4000));
    server.event();
    server.event();
    server.no_event();
    assert!(!server.reads(), "until the caller has answered");
}

/// Both machines over pipes that deliver a few bytes at a time.
#[test]
fn a_client_and_a_server_as_a_pair() {
    for step in [1, 7, 1000] {
        let mut client = client();
        let mut server = common::server();
        let mut received = Vec::new();
        let mut exchanges = 0;
        let mut sum = 0usize;
        while exchanges < 3 {
            if client.machine.is_ready() {
                client
                    .machine
                    .send_request(&PlainRequest::new("POST", "/", &[("Host", "a")]), Length::Unknown)
                    .unwrap();
                for n in 0..10u8 {
                    client.machine.send_content(vec![n; 300].into()).unwrap();
                }
                client.machine.finish(None).unwrap();
            }
            server.feed(client.machine.transmit().pop(step));
            while let Some(event) = server.poll().unwrap() {
                match event {
                    server::Event::Request(_) => {
                        server.machine.respond(&PlainResponse::new(200, &[]), Length::Unknown).unwrap();
                    }
                    server::Event::Content(content) => server.machine.send_content(content).unwrap(),
                    server::Event::End(_) => server.machine.finish(None).unwrap(),
                    server::Event::PeerEnded => unreachable!(),
                    server::Event::Ready => {}
                }
            }
            client.feed(server.machine.transmit().pop(step));
            while let Some(event) = client.poll().unwrap() {
                match event {
                    client_side::Event::Content(content) => received.extend_from_slice(&content),
                    client_side::Event::End(_) => {
                        exchanges += 1;
                        sum += received.len();
                        let expected: Vec<u8> = (0..10).flat_map(|n| [n; 300]).collect();
                        assert_eq!(std::mem::take(&mut received), expected);
                    }
                    _ => {}
                }
            }
        }
        assert_eq!(sum, 9000);
        client.machine.shutdown();
        assert_eq!(client.close(), Some(drywire_core::Close::Both));
        server.feed_end().no_event();
        assert_eq!(server.close(), Some(drywire_core::Close::Both));
    }
}

#[test]
fn errors_are_returned_by_commands_too() {
    let mut server = common::server();
    let error = server.feed("\0").error();
    let ok = PlainResponse::new(200, &[]);
    let failed = Err(CommandError::Failed(error));
    assert_eq!(server.machine.respond(&ok, Length::Unknown), failed);
    assert_eq!(server.machine.send_content(bytes::Bytes::new()), failed);
    assert_eq!(server.machine.finish(None), failed);
    assert_eq!(server.machine.send_continue(), failed);
    assert_eq!(server.machine.upgrade(&ok), failed);
}

#[test]
fn machines_are_trait_objects() {
    let machine = client().machine;
    let boxed: Box<dyn StreamMachine<Event = client_side::Event, Error = drywire_http::Error>> = Box::new(machine);
    let mut boxed = boxed;
    assert!(boxed.poll_event(Instant::ORIGIN, &mut RecvBuf::new()).is_ok());
}
