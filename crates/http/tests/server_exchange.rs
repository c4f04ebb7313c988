//! Whole exchanges of the server: framing of responses, persistence, pipelining, upgrade.

mod common;

use bytes::Bytes;
use common::{server, server_with, status};
use drywire_core::{Close, SendQueue, StreamMachine};
use drywire_http::server::{Config, Event, State};
use drywire_http::{CommandError, Error, Fields, Length, PlainResponse, Trailers, Version};

const OK: PlainResponse<'_> = PlainResponse::new(200, &[]);
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that has been asked by `request` and has returned the head.
#[track_caller]
fn asked(request: &str) -> common::Server {
    let mut server = server();
    server.feed(request);
    assert!(matches!(server.event(), Event::Request(_)));
    server
}

#[track_caller]
fn answered(request: &str, length: Length, content: &[&'static str]) -> String {
    let mut server = asked(request);
    server.machine.respond(&OK, length).unwrap();
    for piece in content {
        server.machine.send_content(Bytes::from_static(piece.as_bytes())).unwrap();
    }
    server.machine.finish(None).unwrap();
    server.sent()
}

#[test]
fn a_request_is_a_head_and_an_end() {
    let mut server = server();
    server.feed("GET /p?q HTTP/1.1\r\nHost: a:80\r\nX-A:  1 \t\r\nx-a:2\r\n\r\n");
    let Event::Request(head) = server.event() else { panic!() };
    assert_eq!((head.method(), head.target(), head.version()), ("GET", "/p?q", Version::Http11));
    assert_eq!((head.path(), head.query(), head.authority()), ("/p", Some("q"), Some("a:80")));
    assert_eq!(
        head.fields().collect::<Vec<_>>(),
        [(&b"Host"[..], &b"a:80"[..]), (&b"X-A"[..], &b"1"[..]), (&b"x-a"[..], &b"2"[..]),]
    );
    assert_eq!(head.to_string(), "GET /p?q HTTP/1.1");
    assert_eq!(format!("{head:#}"), "GET /p?q HTTP/1.1\nHost: a:80\nX-A: 1\nx-a: 2");
    assert_eq!(server.event(), Event::End(Trailers::default()));
    server.no_event();
}

#[test]
fn rfc9112_6_2_known_length_is_content_length() {
    assert_eq!(answered(GET, Length::Known(5), &["he", "llo"]), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answered(GET, Length::Known(0), &[]), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn rfc9112_7_1_unknown_length_is_chunked_one_chunk_a_piece() {
    assert_eq!(
        answered(GET, Length::Unknown, &["he", "", "llo"]),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    );
}

#[test]
fn rfc9112_6_1_unknown_length_towards_http10_ends_with_the_close() {
    let mut server = asked("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.machine.send_content(Bytes::from_static(b"hello")).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.close(), None, "not before the content has left");
    assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    assert_eq!(server.close(), Some(Close::WriteHalf));
}

#[test]
fn rfc9110_9_3_2_head_has_the_length_without_the_content() {
    let head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(answered(head, Length::Known(5), &["hello"]), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(answered(head, Length::Known(5), &[]), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(answered(head, Length::Unknown, &["hello"]), "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn rfc9110_6_4_1_no_content_in_204_205_304() {
    for (code, length, expected) in [
        (204, Length::Unknown, "HTTP/1.1 204 No Content\r\n\r\n"),
        (204, Length::Known(0), "HTTP/1.1 204 No Content\r\n\r\n"),
        (205, Length::Unknown, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n"),
        (304, Length::Unknown, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        (304, Length::Known(9), "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let mut server = asked(GET);
        server.machine.respond(&PlainResponse::new(code, &[]), length).unwrap();
        let content = Bytes::from_static(b"x");
        assert_eq!(server.machine.send_content(content), Err(CommandError::ContentNotAllowed));
        server.machine.finish(None).unwrap();
        assert_eq!(server.sent(), expected);
        assert_eq!(server.close(), None);
    }
    let mut server = asked(GET);
    let refused = server.machine.respond(&PlainResponse::new(204, &[]), Length::Known(1));
    assert_eq!(refused, Err(CommandError::ContentNotAllowed));
    assert_eq!(server.sent(), "");
}

#[test]
fn rfc9112_9_3_persistence_by_version_and_connection() {
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", Some("close")),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", Some("close")),
        ("GET / HTTP/1.0\r\n\r\n", Some("close")),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Some("keep-alive")),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", None),
    ] {
        let mut server = asked(request);
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        let connection = expected.map_or(String::new(), |option| format!("Connection: {option}\r\n"));
        assert_eq!(server.sent(), format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{connection}\r\n"), "{request}");
        let closes = expected == Some("close");
        assert_eq!(server.machine.state(), if closes { State::Closing } else { State::Idle });
    }
}

#[test]
fn rfc9112_9_3_2_pipelined_requests_are_answered_one_by_one() {
    let mut server = server();
    server.feed("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    for n in 1..=2 {
        let Event::Request(head) = server.event() else { panic!() };
        assert_eq!(head.target(), format!("/{n}"));
        assert!(matches!(server.event(), Event::End(_)));
        server.no_event();
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.no_event();
        server.machine.finish(None).unwrap();
    }
    server.no_event();
    assert_eq!(server.sent().matches("HTTP/1.1 200 OK").count(), 2);
}

#[test]
fn a_response_may_end_before_the_end_of_an_empty_request_is_told() {
    let mut server = asked(GET);
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    server.feed(GET);
    assert!(matches!(server.event(), Event::End(_)));
    assert!(matches!(server.event(), Event::Request(_)));
    assert!(matches!(server.event(), Event::End(_)));
}

#[test]
fn content_arrives_by_reference_and_in_full() {
    let mut server = server();
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET");
    assert!(matches!(server.event(), Event::Request(_)));
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b"hello")));
    assert_eq!(server.event(), Event::End(Trailers::default()));
    server.no_event();
    assert_eq!(&server.recv[..], b"GET", "law 7");
}

#[test]
fn rfc9112_7_1_chunked_requests_with_extensions_and_trailers() {
    let mut server = server();
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked ,\r\n\r\n");
    server.feed("5;a=b;c=\"d\"\r\nhello\r\n006 ;x\r\n world\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: b\r\n\r\n");
    assert!(matches!(server.event(), Event::Request(_)));
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b"hello")));
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b" world")));
    // RFC 9110, 6.5.1: framing and routing fields are not for trailers.
    assert_eq!(server.event(), Event::End(Fields::new([("X-Sum", "1")]).unwrap()));
}

#[test]
fn rfc9110_6_5_trailers_are_sent_behind_chunks_only() {
    let trailers = Fields::new([("X-Sum", "1")]).unwrap();
    let mut server = asked("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\n\r\n");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    let forbidden = Fields::new([("Content-Length", "1")]).unwrap();
    assert_eq!(server.machine.finish(Some(&forbidden)), Err(CommandError::TrailersNotAllowed));
    server.machine.finish(Some(&trailers)).unwrap();
    assert!(server.sent().ends_with("\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"));

    let mut server = asked(GET);
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    assert_eq!(server.machine.finish(Some(&trailers)), Err(CommandError::TrailersNotAllowed));
    server.machine.finish(None).unwrap();
}

#[test]
fn announced_content_is_neither_exceeded_nor_cut_short() {
    let mut server = asked(GET);
    server.machine.respond(&OK, Length::Known(3)).unwrap();
    let four = server.machine.send_content(Bytes::from_static(b"four"));
    assert_eq!(four, Err(CommandError::TooMuchContent { remaining: 3 }));
    server.machine.send_content(Bytes::from_static(b"f")).unwrap();
    assert_eq!(server.machine.finish(None), Err(CommandError::TooLittleContent { missing: 2 }));
    server.machine.abort();
    assert_eq!(server.close(), Some(Close::Abort));
    assert_eq!(server.sent(), "");
}

#[test]
fn a_full_queue_gives_the_content_back() {
    let mut server = server_with(Config { send_high_water: 100, ..Config::default() });
    server.feed(GET);
    server.event();
    server.machine.respond(&OK, Length::Unknown).unwrap();
    let content = Bytes::from(vec![b'x'; 5000]);
    server.machine.send_content(content.clone()).unwrap();
    let Err(CommandError::Full(back)) = server.machine.send_content(content.clone()) else { panic!() };
    assert_eq!(back.as_ptr(), content.as_ptr());
    assert!(server.machine.transmit().len() < 5200);
    server.sent();
    server.machine.send_content(back).unwrap();
    server.machine.finish(None).unwrap();
    // A flood of requests waits until the response has left.
    server.feed(GET);
    server.event();
    server.no_event();
    assert!(!server.reads());
    assert_eq!(&server.recv[..], GET.as_bytes());
    server.sent();
    assert!(server.reads());
    assert!(matches!(server.event(), Event::Request(_)));
}

#[test]
fn large_content_is_neither_copied_in_nor_out() {
    let mut server = asked("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.feed(vec![b'x'; 100_000]);
    let Event::Content(content) = server.event() else { panic!() };
    assert_eq!(content.len(), 100_000);
    server.machine.send_content(content.clone()).unwrap();
    let queue: &mut SendQueue = server.machine.transmit();
    queue.pop(usize::MAX);
    assert_eq!(queue.pop(usize::MAX).as_ptr(), content.as_ptr());
}

#[test]
fn an_echo_is_never_full() {
    let mut server = server_with(Config { send_high_water: 64, ..Config::default() });
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    server.event();
    server.machine.respond(&OK, Length::Unknown).unwrap();
    let mut echoed = 0;
    for _ in 0..100 {
        server.feed("20\r\n01234567890123456789012345678901\r\n");
        while let Some(Event::Content(content)) = server.poll().unwrap() {
            echoed += content.len();
            server.machine.send_content(content).unwrap();
        }
        assert!(server.machine.transmit().len() < 64 + 200);
        server.sent();
    }
    while let Some(Event::Content(content)) = server.poll().unwrap() {
        echoed += content.len();
        server.sent();
    }
    assert_eq!(echoed, 3200);
}

#[test]
fn rfc9110_10_1_1_continue_is_sent_when_awaited() {
    let expecting = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n";
    let mut server = server();
    assert_eq!(server.machine.send_continue(), Err(CommandError::ContinueNotExpected));
    server.feed(expecting);
    let Event::Request(head) = server.event() else { panic!() };
    assert!(head.expects_continue());
    server.machine.send_continue().unwrap();
    assert_eq!(server.machine.send_continue(), Err(CommandError::ContinueNotExpected));
    assert_eq!(server.sent(), "HTTP/1.1 100 Continue\r\n\r\n");
    server.feed("hi");
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b"hi")));
    assert!(matches!(server.event(), Event::End(_)));
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(server.machine.state(), State::Idle);
}

#[test]
fn rfc9110_10_1_1_continue_is_moot_once_content_has_come() {
    let mut server = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nhi");
    server.event();
    assert_eq!(server.machine.send_continue(), Err(CommandError::ContinueNotExpected));
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    assert!(!server.sent().contains("close"));
}

#[test]
fn rfc9110_10_1_1_a_final_response_instead_of_continue_closes() {
    let mut server = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    server.machine.respond(&PlainResponse::new(417, &[]), Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert!(server.sent().contains("Connection: close"));
    assert_eq!(server.machine.state(), State::Lingering);
    // Content or next request: it cannot be told, and is not read as either.
    server.feed("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    server.no_event();
    assert_eq!(server.close(), Some(Close::WriteHalf));
    assert!(server.reads());
    server.feed_end().no_event();
    assert_eq!(server.close(), Some(Close::Both));
}

#[test]
fn rfc9110_10_1_1_expect_is_ignored_in_http10_and_without_content() {
    for request in [
        "PUT / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let mut server = server();
        server.feed(request);
        let Event::Request(head) = server.event() else { panic!() };
        assert!(!head.expects_continue(), "{request}");
    }
}

#[test]
fn rfc9110_15_2_informational_responses_go_ahead_to_http11_only() {
    let hints = PlainResponse::new(103, &[("Link", "</s.css>; rel=preload")]);
    let mut server = asked(GET);
    server.machine.send_informational(&hints).unwrap();
    assert_eq!(server.sent(), "HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n");
    assert_eq!(server.machine.send_informational(&OK), Err(CommandError::InvalidStatus(200)));
    assert_eq!(server.machine.respond(&hints, Length::Known(0)), Err(CommandError::InvalidStatus(103)));
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    assert_eq!(server.machine.send_informational(&hints), Err(CommandError::AlreadyAnswered));

    let mut server = asked("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(server.machine.send_informational(&hints), Err(CommandError::InformationalToHttp10));
}

#[test]
fn an_early_response_drains_a_small_rest_and_keeps_the_connection() {
    let mut server = asked("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n0123456789");
    server.event();
    server.machine.respond(&PlainResponse::new(403, &[]), Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.machine.state(), State::Draining);
    server.feed([b'x'; 90]).feed(GET);
    assert!(matches!(server.event(), Event::End(_)), "the content is dropped");
    assert!(matches!(server.event(), Event::Request(_)));
}

#[test]
fn an_early_response_lingers_before_a_large_rest() {
    let config = Config { drain_limit: 50, linger_limit: 500, ..Config::default() };
    for head in ["Content-Length: 1000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n3E8\r\n"] {
        let mut server = server_with(config.clone());
        server.feed("PUT / HTTP/1.1\r\nHost: a\r\n").feed(head);
        server.event();
        server.machine.respond(&PlainResponse::new(413, &[]), Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        server.feed([b'x'; 100]).no_event();
        assert_eq!(server.machine.state(), State::Lingering);
        assert_eq!(server.close(), None, "the response leaves first");
        let response = server.sent();
        assert_eq!(status(&response), 413);
        // RFC 9112, 9.6: said beforehand where it can be known.
        assert_eq!(response.contains("Connection: close"), head.starts_with("Content-Length"));
        assert_eq!(server.close(), Some(Close::WriteHalf));
        assert!(server.reads(), "what the client still sends is read and dropped");
        server.feed([b'x'; 100]).no_event();
        assert!(server.recv.is_empty());
        server.feed([b'x'; 500]).no_event();
        assert_eq!(server.close(), Some(Close::Both), "but not for ever");
    }
}

#[test]
fn rfc9112_9_6_a_half_closed_client_gets_its_response() {
    let mut server = server();
    server.feed(GET).feed(GET).feed_end();
    for index in 0..2 {
        assert!(matches!(server.event(), Event::Request(_)));
        server.event();
        if index == 0 {
            assert_eq!(server.event(), Event::PeerEnded);
        }
        server.no_event();
        assert!(server.machine.is_peer_finished());
        assert!(!server.reads());
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
    }
    server.no_event();
    assert_eq!(server.close(), None);
    assert_eq!(server.sent().matches("200 OK").count(), 2);
    assert_eq!(server.close(), Some(Close::Both));
}

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: a/1, websocket\r\n\r\n";

#[test]
fn rfc9110_7_8_an_upgrade_leaves_what_follows_in_place() {
    let mut server = asked(UPGRADE);
    server.feed("frames");
    assert!(!server.machine.is_upgraded());
    server.machine.upgrade(&PlainResponse::new(101, &[("Upgrade", "websocket")])).unwrap();
    assert!(server.machine.is_upgraded());
    assert!(matches!(server.event(), Event::End(_)));
    server.no_event();
    assert_eq!(&server.recv[..], b"frames", "law 7");
    assert_eq!(server.machine.demand(), drywire_core::Demand { read: false, close: None });
    let mut transmit = server.machine.into_transmit();
    assert_eq!(
        transmit.pop(usize::MAX),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    );
}

#[test]
fn rfc9110_7_8_an_upgrade_can_be_refused_or_ignored() {
    let mut server = asked(UPGRADE);
    server.machine.respond(&PlainResponse::new(403, &[]), Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.sent(), "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(server.machine.state(), State::Idle);
}

#[test]
fn rfc9110_7_8_an_upgrade_answers_an_offer_and_a_whole_request() {
    let switch = PlainResponse::new(101, &[("Upgrade", "x")]);
    for (request, refused) in [
        (GET, CommandError::UpgradeNotOffered),
        ("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", CommandError::UpgradeNotOffered),
        ("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", CommandError::UpgradeNotOffered),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\n",
            CommandError::RequestIncomplete,
        ),
    ] {
        let mut server = asked(request);
        assert_eq!(server.machine.upgrade(&switch), Err(refused), "{request}");
        assert_eq!(server.sent(), "");
    }
    let mut server = asked(UPGRADE);
    assert_eq!(server.machine.upgrade(&PlainResponse::new(101, &[])), Err(CommandError::MissingUpgrade));
    assert_eq!(server.machine.upgrade(&OK), Err(CommandError::InvalidStatus(200)));
    assert_eq!(server.machine.upgrade(&switch), Ok(()));
    assert_eq!(server.machine.upgrade(&switch), Err(CommandError::Closed));
}

#[test]
fn rfc9110_9_3_6_connect_becomes_a_tunnel() {
    let mut server = asked("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03\x01");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    assert!(server.machine.is_upgraded());
    assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\n\r\n");
    server.event();
    server.no_event();
    assert_eq!(&server.recv[..], b"\x16\x03\x01");

    let mut server = asked("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
    server.machine.respond(&PlainResponse::new(403, &[]), Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.machine.state(), State::Idle);
}

#[test]
fn header_injection_is_refused_and_nothing_is_written() {
    let mut server = asked(GET);
    for (name, value, expected) in [
        ("X", "a\r\nSet-Cookie: b", CommandError::InvalidFieldValue),
        ("X", "a\nb", CommandError::InvalidFieldValue),
        ("X", "a\rb", CommandError::InvalidFieldValue),
        ("X", "a\0b", CommandError::InvalidFieldValue),
        ("X\r\nY", "a", CommandError::InvalidFieldName),
        ("X ", "a", CommandError::InvalidFieldName),
        ("X:", "a", CommandError::InvalidFieldName),
        ("", "a", CommandError::InvalidFieldName),
        ("Content-Length", "7", CommandError::ConflictingFraming),
        ("Content-Length", "+3", CommandError::ConflictingFraming),
        ("Content-Length", "x", CommandError::ConflictingFraming),
        ("Transfer-Encoding", "chunked", CommandError::ConflictingFraming),
        ("Transfer-Encoding", "gzip", CommandError::ConflictingFraming),
    ] {
        let fields = [(name, value)];
        let result = server.machine.respond(&PlainResponse::new(200, &fields), Length::Known(3));
        assert_eq!(result, Err(expected), "{name:?} {value:?}");
        assert_eq!(Fields::new(fields).is_err(), !matches!(result, Err(CommandError::ConflictingFraming)));
    }
    for status in [0, 99, 1000] {
        let result = server.machine.respond(&PlainResponse::new(status, &[]), Length::Known(3));
        assert_eq!(result, Err(CommandError::InvalidStatus(status)));
    }
    assert_eq!(server.sent(), "");
    let fields = [("Content-Length", "3"), ("Connection", "close, X-Hop"), ("X-Hop", "1")];
    server.machine.respond(&PlainResponse::new(200, &fields), Length::Known(3)).unwrap();
    assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\nX-Hop: 1\r\nContent-Length: 3\r\nConnection: close, X-Hop\r\n\r\n");
}

#[test]
fn commands_out_of_order_are_refused() {
    let mut server = server();
    assert_eq!(server.machine.respond(&OK, Length::Known(0)), Err(CommandError::NoRequest));
    assert_eq!(server.machine.send_content(Bytes::new()), Err(CommandError::NoMessageUnderWay));
    assert_eq!(server.machine.finish(None), Err(CommandError::NoMessageUnderWay));
    server.feed("GET");
    server.no_event();
    assert_eq!(server.machine.respond(&OK, Length::Known(0)), Err(CommandError::NoRequest));
    server.feed(" / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.event();
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    assert_eq!(server.machine.respond(&OK, Length::Known(0)), Err(CommandError::AlreadyAnswered));
    server.machine.shutdown();
    server.machine.finish(None).unwrap();
    assert_eq!(server.machine.respond(&OK, Length::Known(0)), Err(CommandError::Closed));
    assert_eq!(server.machine.finish(None), Err(CommandError::Closed));
}

#[test]
fn shutdown_finishes_the_running_exchange() {
    let mut server = asked(GET);
    server.machine.shutdown();
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert!(server.sent().contains("Connection: close"));
    assert_eq!(server.close(), Some(Close::WriteHalf));

    let mut server = common::server();
    server.machine.shutdown();
    assert_eq!(server.close(), Some(Close::WriteHalf));
    server.feed(GET).no_event();
    assert_eq!(&server.recv[..], GET.as_bytes(), "law 7");
    server.feed_end().no_event();
    assert_eq!(server.close(), Some(Close::Both));
}

#[test]
fn a_shutdown_in_mid_response_closes_behind_it() {
    let mut server = asked(GET);
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.machine.shutdown();
    server.machine.send_content(Bytes::from_static(b"x")).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(server.machine.state(), State::Closing);
}

#[test]
fn rfc9112_8_an_error_in_mid_response_does_not_spoil_it() {
    let mut server = asked("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.sent();
    server.feed("x");
    assert_eq!(server.error(), Error::InvalidChunkSize);
    assert_eq!(server.sent(), "", "no second head inside the first response");
    assert_eq!(server.close(), Some(Close::WriteHalf));
    let refused = server.machine.send_content(Bytes::from_static(b"x"));
    assert_eq!(refused, Err(CommandError::Failed(Error::InvalidChunkSize)));

    let mut server = asked("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.feed_end();
    assert_eq!(server.error(), Error::UnexpectedEnd);
    assert_eq!(server.close(), Some(Close::Abort), "or the response would look whole");
}

/// Long polling: the response takes minutes, and the client gives up meanwhile.
#[test]
fn the_end_of_a_peer_that_waits_for_its_response_is_told() {
    for answered in [false, true] {
        let mut server = asked(GET);
        assert!(matches!(server.event(), Event::End(_)));
        if answered {
            server.machine.respond(&OK, Length::Unknown).unwrap();
        }
        server.no_event();
        assert!(server.reads());
        server.feed_end();
        assert_eq!(server.event(), Event::PeerEnded);
        server.no_event();
        // It may still be reading.
        if !answered {
            server.machine.respond(&OK, Length::Known(0)).unwrap();
        }
        server.machine.finish(None).unwrap();
        server.no_event();
        server.sent();
        assert_eq!(server.close(), Some(Close::Both));
    }
}

#[test]
fn the_end_of_each_exchange_but_the_last_is_told() {
    let mut server = server_with(Config { tell_ready: true, send_high_water: 100, ..Config::default() });
    let content = Bytes::from(vec![b'x'; 5000]);
    server.feed(GET);
    server.event();
    server.event();
    server.machine.respond(&OK, Length::Known(5000)).unwrap();
    server.no_event();
    server.machine.send_content(content).unwrap();
    server.machine.finish(None).unwrap();
    server.no_event();
    server.sent();
    assert_eq!(server.event(), Event::Ready, "when there is room for another response");
    server.no_event();

    // The response first, then the rest of the request.
    server.feed("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    server.event();
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    server.sent();
    server.no_event();
    server.feed("abc");
    assert!(matches!(server.event(), Event::End(_)));
    assert_eq!(server.event(), Event::Ready);

    for last in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"] {
        let mut server = server_with(Config { tell_ready: true, ..Config::default() });
        server.feed(last).event();
        server.event();
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        server.no_event();
        assert_eq!(server.machine.state(), State::Closing);
    }
    let mut server = server_with(Config { tell_ready: true, ..Config::default() });
    server.feed(UPGRADE).event();
    server.event();
    server.machine.upgrade(&PlainResponse::new(101, &[("Upgrade", "websocket")])).unwrap();
    server.no_event();
}

#[test]
fn rfc9110_6_5_1_trailers_are_sent_to_who_keeps_them() {
    let trailers = Fields::new([("X-Sum", "1")]).unwrap();
    for (te, kept) in
        [("", false), ("TE: gzip\r\n", false), ("TE: trailers\r\n", true), ("te: a;q=1, TRAILERS\r\n", true)]
    {
        let mut server = server();
        server.feed(format!("GET / HTTP/1.1\r\nHost: a\r\n{te}\r\n"));
        let Event::Request(head) = server.event() else { panic!() };
        assert_eq!(head.accepts_trailers(), kept, "{te}");
        server.machine.respond(&OK, Length::Unknown).unwrap();
        server.machine.finish(Some(&trailers)).unwrap();
        let end = if kept { "0\r\nX-Sum: 1\r\n\r\n" } else { "\r\n0\r\n\r\n" };
        assert!(server.sent().ends_with(end), "{te}");
    }
}

#[test]
fn informational_responses_are_bounded_on_the_way_out() {
    let mut server = server_with(Config { max_informational: 2, ..Config::default() });
    let processing = PlainResponse::new(102, &[]);
    for _ in 0..2 {
        server.feed(GET).event();
        for _ in 0..2 {
            server.machine.send_informational(&processing).unwrap();
        }
        server.sent();
        assert_eq!(server.machine.send_informational(&processing), Err(CommandError::TooManyInformational));
        assert_eq!(server.sent(), "");
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        server.event();
    }
}
