//! Framing that two recipients could read differently (RFC 9112, 6.3, 7.1 and 11.2), one test a rule.

mod common;

use bytes::Bytes;
use common::{Server, server, server_with, status};
use drywire_http::server::{Config, Event};
use drywire_http::{Error, Length, PlainRequest, client as client_side};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that was sent a POST with these field lines and this content, a further request behind it.
fn post(fields: &str, content: &str) -> Server {
    let mut server = server();
    server.feed(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}{SMUGGLED}"));
    server
}

/// The error for such a request, which must not hand out a second one.
#[track_caller]
fn refused(fields: &str, content: &str) -> Error {
    let mut server = post(fields, content);
    loop {
        match server.poll() {
            Ok(Some(Event::Request(head))) => assert_eq!(head.target(), "/"),
            Ok(Some(_)) => {}
            Ok(None) => panic!("accepted: {fields:?} {content:?}"),
            Err(error) => {
                assert_eq!(Some(status(&server.sent())), error.status());
                assert_eq!(server.poll(), Err(error));
                return error;
            }
        }
    }
}

/// The content of such a request, which must end where the next one begins.
#[track_caller]
fn accepted(fields: &str, content: &str) -> Vec<u8> {
    let mut server = post(fields, content);
    let mut received = Vec::new();
    assert!(matches!(server.event(), Event::Request(_)));
    loop {
        match server.event() {
            Event::Content(piece) => received.extend_from_slice(&piece),
            Event::End(_) => break,
            Event::Request(_) | Event::PeerEnded | Event::Ready => panic!(),
        }
    }
    server.no_event();
    assert_eq!(&server.recv[..], SMUGGLED.as_bytes());
    received
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn rfc9112_6_3_content_length_with_transfer_encoding_is_refused() {
    let both = Error::TransferEncodingWithContentLength;
    assert_eq!(refused("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), both, "CL.TE");
    assert_eq!(refused("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), both, "TE.CL");
}

#[test]
fn rfc9110_8_6_content_length_is_digits() {
    for value in ["+5", "-5", "0x5", "5a", "1_0", "5 5", "", "5,", ",5", "5;", "\"5\"", "18446744073709551616", "5\t5"]
    {
        let fields = format!("Content-Length: {value}\r\n");
        assert_eq!(refused(&fields, "hello"), Error::InvalidContentLength, "{value:?}");
    }
    assert_eq!(accepted("Content-Length: \t 5 \r\n", "hello"), b"hello");
    assert_eq!(accepted("Content-Length: 0000000000000000000000005\r\n", "hello"), b"hello");
}

#[test]
fn rfc9110_8_6_equal_lengths_are_one_and_others_are_refused() {
    assert_eq!(accepted("Content-Length: 5\r\ncontent-length: 5\r\n", "hello"), b"hello");
    assert_eq!(accepted("Content-Length: 5, 5\r\n", "hello"), b"hello");
    let conflict = Error::ConflictingContentLength;
    assert_eq!(refused("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), conflict);
    assert_eq!(refused("Content-Length: 5, 6\r\n", "hello"), conflict);
}

#[test]
fn rfc9112_6_1_chunked_is_final_and_single() {
    for value in [
        "chunked, identity",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "gzip",
        "xchunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
    ] {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        assert_eq!(refused(&fields, "0\r\n\r\n"), Error::ChunkedNotFinal, "{value:?}");
    }
    for value in ["", ",", "chunked;q=1", "\"chunked\"", "chun ked", "chunked x", "ch\u{e4}nked", "chunked;"] {
        let fields = format!("Transfer-Encoding: {value}\r\n");
        let error = refused(&fields, "0\r\n\r\n");
        let expected = if value == "chun ked" { Error::ChunkedNotFinal } else { Error::InvalidTransferEncoding };
        assert_eq!(error, expected, "{value:?}");
    }
    assert_eq!(refused("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), Error::UnknownTransferCoding);
    assert_eq!(Error::UnknownTransferCoding.status(), Some(501));
    assert_eq!(accepted("Transfer-Encoding:\t ,, CHUNKED ,\t\r\n", "0\r\n\r\n"), b"");
}

#[test]
fn rfc9112_5_1_transfer_encoding_behind_a_space_is_refused() {
    assert_eq!(refused("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), Error::WhitespaceBeforeColon);
    assert_eq!(refused("Content-Length: 5\r\n Transfer-Encoding: chunked\r\n", ""), Error::ObsFold);
}

#[test]
fn rfc9112_6_1_transfer_encoding_in_http10_is_refused() {
    let mut server = server();
    server.feed("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(server.error(), Error::TransferEncodingInHttp10);
}

#[test]
fn rfc9112_6_3_a_request_without_framing_has_no_content() {
    assert_eq!(accepted("", ""), b"");
}

#[test]
fn rfc9112_7_1_a_chunk_size_is_hexadecimal_digits_alone() {
    for size in ["+5", "-5", "-0", " 5", "5 ", "0x5", "0_5", "", "g", "5\t", "5 x", "\u{ff15}", "5,", "5\0"] {
        let error = refused(CHUNKED, &format!("{size}\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(error, Error::InvalidChunkSize, "{size:?}");
    }
    for size in ["5", "05", "0000000000000000000000005", "5;a", "5 ;a", "5\t; a=\"b\\\"\" ; c = d"] {
        assert_eq!(accepted(CHUNKED, &format!("{size}\r\nhello\r\n0\r\n\r\n")), b"hello", "{size:?}");
    }
    assert_eq!(accepted(CHUNKED, "A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n").len(), 20);
}

#[test]
fn rfc9112_7_1_a_chunk_size_does_not_overflow() {
    assert_eq!(refused(CHUNKED, "10000000000000005\r\nhello\r\n0\r\n\r\n"), Error::ChunkSizeOverflow);
    assert_eq!(refused(CHUNKED, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), Error::ChunkSizeOverflow);
    // The largest size is announced, and nothing is allocated for it.
    let mut server = post(CHUNKED, "ffffffffffffffff\r\n");
    server.event();
    assert_eq!(server.event(), Event::Content(Bytes::from_static(SMUGGLED.as_bytes())));
    server.no_event();
}

#[test]
fn rfc9112_7_1_chunk_data_is_followed_by_crlf() {
    for end in ["", "\n", "\r", "\rX", "X\r\n", "\n\r"] {
        let error = refused(CHUNKED, &format!("5\r\nhello{end}0\r\n\r\n"));
        assert_eq!(error, Error::MissingChunkEnd, "{end:?}");
    }
}

#[test]
fn rfc9112_7_1_chunk_lines_end_with_crlf() {
    assert_eq!(refused(CHUNKED, "5\nhello\r\n0\r\n\r\n"), Error::BareLf);
    assert_eq!(refused(CHUNKED, "5;a\nhello\r\n0\r\n\r\n"), Error::BareLf);
    assert_eq!(refused(CHUNKED, "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"), Error::BareLf);
    assert_eq!(refused(CHUNKED, "5\rXhello\r\n0\r\n\r\n"), Error::BareCr);
    assert_eq!(refused(CHUNKED, "5;a\rb\r\nhello\r\n0\r\n\r\n"), Error::BareCr);
    assert_eq!(refused(CHUNKED, "0\n\r\n"), Error::BareLf);
}

#[test]
fn rfc9112_7_1_2_trailers_are_as_strict_as_heads() {
    for (trailers, error) in [
        ("\n", Error::BareLf),
        ("A: b\n\r\n", Error::BareLf),
        ("A: b\r\n\n", Error::BareLf),
        ("A: b\r\n\rX", Error::BareCr),
        ("A: b\rc\r\n\r\n", Error::BareCr),
        ("A : b\r\n\r\n", Error::WhitespaceBeforeColon),
        ("A: b\r\n c\r\n\r\n", Error::ObsFold),
        (" A: b\r\n\r\n", Error::WhitespaceBeforeFirstField),
        ("A: \0\r\n\r\n", Error::Nul),
    ] {
        assert_eq!(refused(CHUNKED, &format!("0\r\n{trailers}")), error, "{trailers:?}");
    }
    // A request line is no field line: what follows a last chunk without its empty line is not swallowed.
    assert_eq!(refused(CHUNKED, "0\r\n"), Error::WhitespaceBeforeColon);
}

#[test]
fn rfc9110_6_5_1_trailers_do_not_change_the_framing() {
    let trailers = "Content-Length: 99\r\nTransfer-Encoding: gzip\r\nHost: b\r\nConnection: close\r\nX: y\r\n\r\n";
    let mut server = post(CHUNKED, &format!("0\r\n{trailers}"));
    server.event();
    let Event::End(fields) = server.event() else { panic!() };
    assert_eq!(fields.to_string(), "X: y");
    assert_eq!(server.machine.dropped_trailers(), 4);
    server.no_event();
    assert_eq!(&server.recv[..], SMUGGLED.as_bytes());
}

#[test]
fn rfc9112_7_1_1_chunk_extensions_are_bounded_by_line_and_in_sum() {
    let config = Config { max_chunk_line: 64, max_chunk_extensions: 100, ..Config::default() };
    let start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for flood in [
        format!("1;{}", "x".repeat(64)),
        format!("{}1", "0".repeat(64)),
        format!("1{}", " ".repeat(64)),
        format!("1;{}\r\nx\r\n", "x".repeat(30)).repeat(4),
    ] {
        let mut server = server_with(config.clone());
        assert_eq!(server.feed(start).feed(&flood).error(), Error::ChunkExtensionsTooLong, "{flood}");
    }
}

#[test]
fn rfc9112_7_1_1_a_chunk_extension_is_a_name_with_an_optional_value() {
    for extension in
        [";a", "; a", " ; a", ";a;b", ";a=b", ";a = b ; c", ";a=\"\"", ";a=\"b;c\"", ";a=\"\\\"\\x\"", "\t;\ta=\u{27}"]
    {
        assert_eq!(
            accepted(CHUNKED, &format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n")),
            b"hello",
            "{extension}"
        );
    }
    for extension in [
        ";",
        "; ",
        ";a;",
        ";=b",
        ";a=",
        ";a= ",
        ";a=b c",
        ";a b",
        ";a=\"b",
        ";a=\"b\"c",
        ";a==b",
        ";(a)",
        ";a=\u{e4}",
        ";a=\u{1}",
    ] {
        let error = refused(CHUNKED, &format!("5{extension}\r\nhello\r\n0\r\n\r\n"));
        assert_eq!(error, Error::InvalidChunkExtension, "{extension}");
    }
    // White space alone is none.
    assert_eq!(refused(CHUNKED, "5 \t\r\nhello\r\n0\r\n\r\n"), Error::InvalidChunkSize);
}

/// A flood of one-byte chunks that carry a long extension each, and an upload that signs its large ones.
#[test]
fn chunk_extensions_are_bounded_by_the_content_they_come_with() {
    let config = Config { max_chunk_extensions: 1000, chunk_extension_rate: 10, ..Config::default() };
    let start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let run = |chunk: String| {
        let mut server = server_with(config.clone());
        server.feed(start);
        for sent in 0..1000 {
            server.feed(&chunk);
            loop {
                match server.poll() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => return Err((sent, error)),
                }
            }
        }
        Ok(())
    };
    let signature = format!("s={}", "x".repeat(97));
    assert_eq!(run(format!("1;{signature}\r\nx\r\n")), Err((10, Error::ChunkExtensionsTooLong)));
    assert_eq!(run(format!("2800;{signature}\r\n{}\r\n", "x".repeat(0x2800))), Ok(()));
    // Leading zeros and white space are no way around it.
    assert_eq!(run(format!("{}1\r\nx\r\n", "0".repeat(100))), Err((10, Error::ChunkExtensionsTooLong)));
    assert_eq!(run(format!("1{};a\r\nx\r\n", " ".repeat(98))), Err((10, Error::ChunkExtensionsTooLong)));
}

#[test]
fn rfc9112_7_1_2_trailers_are_bounded() {
    let config = Config { max_trailers: 32, max_trailer_fields: 3, ..Config::default() };
    let start = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    for flood in [format!("A: {}", "x".repeat(30)), "A:\r\nB:\r\nC:\r\nD:\r\n".to_owned()] {
        let mut server = server_with(config.clone());
        assert_eq!(server.feed(start).feed(&flood).error(), Error::TrailersTooLarge, "{flood}");
        assert_eq!(status(&server.sent()), 431);
    }
}

#[test]
fn rfc9110_15_5_14_content_over_the_limit_is_413() {
    let config = Config { max_content: 10, ..Config::default() };
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n5\r\n",
    ] {
        let mut server = server_with(config.clone());
        assert_eq!(server.feed(request).error(), Error::ContentTooLarge);
        assert_eq!(status(&server.sent()), 413);
    }
    let mut server = server_with(config);
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
    server.event();
    assert!(matches!(server.event(), Event::Content(_)));
}

#[test]
fn rfc9112_8_an_end_inside_content_is_an_error() {
    for (fields, content) in [
        ("Content-Length: 5\r\n", "hell"),
        (CHUNKED, ""),
        (CHUNKED, "5"),
        (CHUNKED, "5\r\nhel"),
        (CHUNKED, "5\r\nhello"),
        (CHUNKED, "5\r\nhello\r\n"),
        (CHUNKED, "0\r\n"),
        (CHUNKED, "0\r\nA: b\r\n"),
    ] {
        let mut server = server();
        server.feed(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}")).feed_end();
        assert_eq!(server.error(), Error::UnexpectedEnd, "{content:?}");
        assert_eq!(status(&server.sent()), 400);
    }
}

#[test]
fn a_get_with_content_is_consumed() {
    let mut server = server();
    server.feed(format!("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}"));
    server.event();
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b"abc")));
    assert!(matches!(server.event(), Event::End(_)));
    assert_eq!(&server.recv[..], SMUGGLED.as_bytes());
}

/// What a client makes of a response with these field lines: its content, and whether the connection goes on.
fn response(fields: &str, content: &str) -> Result<(Vec<u8>, bool), Error> {
    let mut client = common::client();
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client.feed(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{content}"));
    let mut received = Vec::new();
    while let Some(event) = client.poll()? {
        match event {
            client_side::Event::Content(piece) => received.extend_from_slice(&piece),
            client_side::Event::End(_) => return Ok((received, client.machine.is_ready())),
            _ => {}
        }
    }
    panic!("no end");
}

#[test]
fn rfc9112_6_3_chunked_wins_over_content_length_in_a_response_and_closes() {
    let both = response("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(both, Ok((b"hi".to_vec(), false)));
    let chunked = response("Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(chunked, Ok((b"hi".to_vec(), true)));
}

#[test]
fn rfc9112_6_3_ambiguous_lengths_in_a_response_are_refused() {
    assert_eq!(response("Content-Length: 2\r\nContent-Length: 3\r\n", "hi"), Err(Error::ConflictingContentLength));
    assert_eq!(response("Content-Length: +2\r\n", "hi"), Err(Error::InvalidContentLength));
    assert_eq!(response("Transfer-Encoding: gzip\r\n", "hi"), Err(Error::ChunkedNotFinal));
    assert_eq!(response("Transfer-Encoding: gzip, chunked\r\n", "hi"), Err(Error::UnknownTransferCoding));
    assert_eq!(response("Content-Length: 2, 2\r\n", "hi"), Ok((b"hi".to_vec(), true)));
}
