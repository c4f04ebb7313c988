//! The classes of known vulnerabilities in HTTP/1 libraries, one test each.
//!
//! `docs/compliance/http-advisories.md` says which advisory is which class. What the tests have in common: whatever is
//! sent, a request for `/smuggled` that stands inside content is never taken for a request.

mod common;

use bytes::Bytes;
use common::{Server, client, server, server_with, status};
use drywire_http::server::{Config, Event, State};
use drywire_http::{CommandError, Error, Fields, Length, PlainRequest, PlainResponse, client as client_side};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: PlainResponse<'_> = PlainResponse::new(200, &[]);

/// How the application treats content.
#[derive(Clone, Copy, PartialEq)]
enum Application {
    /// Reads all of it and answers then.
    Reads,
    /// Answers at the head and reads nothing.
    AnswersAtOnce,
}

/// The targets of all requests that the bytes are taken for, with the error that ends them.
fn targets(server: &mut Server, application: Application) -> (Vec<String>, Option<Error>) {
    let mut targets = Vec::new();
    let answer = |server: &mut Server| {
        server.machine.respond(&OK, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
    };
    loop {
        match server.poll() {
            Ok(Some(Event::Request(head))) => {
                targets.push(head.target().to_owned());
                if application == Application::AnswersAtOnce {
                    answer(server);
                }
            }
            Ok(Some(Event::End(_))) if application == Application::Reads => answer(server),
            Ok(Some(_)) => {}
            Ok(None) => return (targets, None),
            Err(error) => return (targets, Some(error)),
        }
        server.sent();
    }
}

/// The error for a request that has to be refused with its status, before anything behind it is looked at.
#[track_caller]
fn refused(request: &str) -> Error {
    let mut server = server();
    server.feed(request);
    let error = loop {
        match server.poll() {
            Ok(Some(Event::Request(head))) => assert_ne!(head.target(), "/smuggled", "{request:?}"),
            Ok(Some(Event::End(_))) => panic!("taken for a whole request: {request:?}"),
            Ok(Some(_)) => {}
            Ok(None) => panic!("neither taken nor refused: {request:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(Some(status(&server.sent())), error.status(), "{request:?}");
    assert_eq!(server.machine.state(), State::Lingering);
    error
}

fn post(fields: &str, content: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}")
}

/// The error for chunks that have to be refused, by a server and by a client.
#[track_caller]
fn refused_chunks(chunks: &str) -> Error {
    let error = refused(&post("Transfer-Encoding: chunked\r\n", &format!("{chunks}{SMUGGLED}")));
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client.feed(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}HTTP/1.1 200 OK\r\n\r\n"));
    assert_eq!(client.error(), error, "{chunks:?}");
    error
}

/// hyper sent content behind a GET without a field that framed it, and so it became the next request.
#[test]
fn rustsec_2020_0008_content_is_never_sent_without_framing() {
    for (length, field) in [(Length::Known(35), "Content-Length: 35"), (Length::Unknown, "Transfer-Encoding: chunked")]
    {
        let mut client = client();
        client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), length).unwrap();
        client.machine.send_content(Bytes::from_static(SMUGGLED.as_bytes())).unwrap();
        assert!(client.sent().contains(field));
    }
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.sent();
    let refusal = client.machine.send_content(Bytes::from_static(SMUGGLED.as_bytes()));
    assert_eq!(refusal, Err(CommandError::ContentNotAllowed));
    assert_eq!(client.sent(), "");
}

/// `tiny_http` read spellings of `Transfer-Encoding` as chunked that a proxy in front passed on as something else.
#[test]
fn rustsec_2020_0031_a_malformed_transfer_encoding_is_refused() {
    for line in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\x0c",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked;",
        "Transfer-Encoding: cow, chunked",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding\0: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding:\r\n chunked",
    ] {
        // By the length alone the smuggled request is content, by chunks it is not.
        let length = 5 + SMUGGLED.len();
        refused(&post(&format!("Content-Length: {length}\r\n{line}\r\n"), &format!("0\r\n\r\n{SMUGGLED}")));
        refused(&post(&format!("{line}\r\nContent-Length: {length}\r\n"), &format!("0\r\n\r\n{SMUGGLED}")));
        refused(&post(&format!("{line}\r\n"), &format!("0\r\n\r\n{SMUGGLED}")));
    }
}

/// async-h1 took what was left of a long content that nobody had read for the next request.
#[test]
fn rustsec_2020_0093_unread_content_is_never_a_request() {
    for repeated in [1, 100, 3_000, 20_000] {
        let content = SMUGGLED.repeat(repeated);
        let mut server = server();
        server.feed(post(&format!("Content-Length: {}\r\n", content.len()), &(content + NEXT)));
        let (targets, error) = targets(&mut server, Application::AnswersAtOnce);
        assert_eq!(error, None);
        // Little enough is dropped for the next request to be reached; behind more than that the connection closes.
        let drained = repeated * SMUGGLED.len() <= 256 << 10;
        assert_eq!(targets, if drained { vec!["/", "/next"] } else { vec!["/"] }, "{repeated}");
    }
}

/// hyper looked at one of several `Transfer-Encoding` lines.
#[test]
fn rustsec_2021_0020_several_transfer_encodings_are_one_list() {
    for (lines, error) in [
        (["chunked", "identity"], Error::ChunkedNotFinal),
        (["identity", "chunked"], Error::UnknownTransferCoding),
        (["chunked", "chunked"], Error::ChunkedNotFinal),
        (["chunked", "cow"], Error::ChunkedNotFinal),
        (["gzip", "chunked"], Error::UnknownTransferCoding),
    ] {
        let fields = lines.map(|line| format!("Transfer-Encoding: {line}\r\n")).concat();
        assert_eq!(refused(&post(&fields, &format!("0\r\n\r\n{SMUGGLED}"))), error, "{lines:?}");
    }
}

/// hyper took a sign in front of a `Content-Length`.
#[test]
fn rustsec_2021_0078_a_content_length_is_digits_alone() {
    for value in ["+35", "-35", " +35", "0x23", "3_5", "35 ,", "35;", "\u{663}\u{665}", "3 5", "35.0", ""] {
        let request = post(&format!("Content-Length: {value}\r\n"), SMUGGLED);
        assert_eq!(refused(&request), Error::InvalidContentLength, "{value:?}");
    }
}

/// hyper computed chunk sizes beyond 64 bits into small ones.
#[test]
fn rustsec_2021_0079_a_chunk_size_does_not_wrap() {
    for size in
        ["10000000000000000", "10000000000000005", "f0000000000000003", "ffffffffffffffffff", "1".repeat(40).as_str()]
    {
        assert_eq!(refused_chunks(&format!("{size}\r\nhello\r\n0\r\n\r\n")), Error::ChunkSizeOverflow, "{size}");
    }
}

/// actix-http did not see that framing was contradictory.
#[test]
fn rustsec_2021_0081_contradictory_framing_is_refused() {
    for fields in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 35\r\n",
        "Content-Length: 35\r\nContent-Length: 0\r\n",
        "Content-Length: 0, 35\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 35\r\n",
        "Transfer-Encoding: \r\nContent-Length: 35\r\n",
    ] {
        refused(&post(fields, SMUGGLED));
    }
    refused(&format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"));
}

/// conduit-hyper allocated what a `Content-Length` announced.
#[test]
fn rustsec_2022_0066_an_announced_length_costs_nothing() {
    let mut open = server();
    open.feed(post(&format!("Content-Length: {}\r\n", u64::MAX), "x"));
    open.event();
    open.event();
    open.no_event();
    assert!(open.recv.capacity() < 4096, "{}", open.recv.capacity());
    let mut limited = server_with(Config { max_content: 1 << 20, ..Config::default() });
    limited.feed(post(&format!("Content-Length: {}\r\n", u64::MAX), ""));
    assert_eq!(limited.error(), Error::ContentTooLarge);
    assert_eq!(status(&limited.sent()), 413);
}

/// trillium-http wrote names and values as they were given.
#[test]
fn rustsec_2024_0009_what_is_written_cannot_split_a_message() {
    let injected = "x\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK";
    for injected in [injected, "x\ny", "x\ry", "x\0y"] {
        for fields in [[("X", injected)], [(injected, "y")]] {
            let mut server = server();
            server.feed(NEXT).event();
            let refusal = server.machine.respond(&PlainResponse::new(200, &fields), Length::Known(0)).unwrap_err();
            assert!(matches!(refusal, CommandError::InvalidFieldValue | CommandError::InvalidFieldName));
            assert_eq!(server.sent(), "");
            let mut client = client();
            let refusal = client.machine.send_request(&PlainRequest::new("GET", "/", &fields), Length::Known(0));
            assert!(matches!(refusal, Err(CommandError::InvalidFieldValue | CommandError::InvalidFieldName)));
            assert_eq!(client.sent(), "");
            Fields::new(fields).unwrap_err();
        }
    }
}

/// Pingora answered from its cache and did not drain the content of the request.
#[test]
fn rustsec_2025_0037_an_answer_without_reading_leaves_no_content_behind() {
    let chunked = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    for (fields, content) in [
        (format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
        ("Transfer-Encoding: chunked\r\n".to_owned(), &chunked),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let mut server = server();
            server.feed(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}{NEXT}"));
            let (targets, error) = targets(&mut server, Application::AnswersAtOnce);
            assert_eq!((targets, error), (vec!["/".to_owned(), "/next".to_owned()], None), "{method} {fields}");
        }
    }
}

/// Pingora treated what follows a request for an upgrade as the other protocol before the answer was 101.
#[test]
fn rustsec_2026_0033_nothing_switches_before_the_101() {
    let offer = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let mut server = server();
    server.feed(format!("{offer}{NEXT}"));
    server.event();
    server.event();
    server.no_event();
    assert!(!server.machine.is_upgraded());
    // Refused: what follows is HTTP.
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert_eq!(targets(&mut server, Application::Reads), (vec!["/next".to_owned()], None));

    // A client that offers reads HTTP until the 101.
    let mut client = client();
    let fields = [("Host", "a"), ("Upgrade", "x")];
    client.machine.send_request(&PlainRequest::new("GET", "/", &fields), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client.feed("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert!(matches!(client.event(), client_side::Event::Informational(_)));
    assert!(matches!(client.event(), client_side::Event::Response(_)));
    assert!(!client.machine.is_upgraded());
    assert!(matches!(client.event(), client_side::Event::Content(content) if content == "hello"));
}

/// Pingora let the close end the content of HTTP/1.0 requests, and took one of several codings.
#[test]
fn rustsec_2026_0034_requests_are_never_ended_by_the_close() {
    let mut server = server();
    server.feed(format!("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{NEXT}"));
    assert_eq!(targets(&mut server, Application::Reads), (vec!["/".to_owned(), "/next".to_owned()], None));
    for coding in ["chunked", "identity", "gzip", "chunked, identity"] {
        let request = format!("POST / HTTP/1.0\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        assert_eq!(refused(&request), Error::TransferEncodingInHttp10);
    }
    for coding in ["identity", "gzip", "chunked, identity"] {
        let request = post(&format!("Transfer-Encoding: {coding}\r\n"), SMUGGLED);
        assert_eq!(refused(&request), Error::ChunkedNotFinal);
    }
}

/// llhttp ended field lines and heads without CRLF: LF alone, CR alone, CR and another byte.
#[test]
fn llhttp_lines_and_heads_end_with_crlf_alone() {
    for (request, error) in [
        ("GET / HTTP/1.1\r\nHost: a\nContent-Length: 35\r\n\r\n", Error::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\rContent-Length: 35\r\n\r\n", Error::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\rContent-Length: 35\r\n\r\n", Error::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\nX:\nContent-Length: 35\r\n\r\n", Error::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", Error::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", Error::BareCr),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Error::BareLf),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 35\r\n\r\n", Error::WhitespaceBeforeColon),
        ("GET / HTTP/1.1\r\nHost: a\r\n Content-Length: 35\r\n\r\n", Error::ObsFold),
    ] {
        assert_eq!(refused(&format!("{request}{SMUGGLED}")), error, "{request:?}");
    }
}

/// h11 read the two bytes behind chunk data without looking at them, and others skip to the next line.
#[test]
fn h11_the_two_bytes_behind_chunk_data_are_crlf() {
    for end in ["XX", "\n\n", "\r\r", "\n", "0\r\n", "\rX", " \r\n", "\n\r\n"] {
        assert_eq!(refused_chunks(&format!("5\r\nhello{end}0\r\n\r\n")), Error::MissingChunkEnd, "{end:?}");
    }
}

/// Go took LF for the end of a chunk line, where others read on to the CRLF; the same in the other places of the coding.
#[test]
fn go_chunk_lines_and_trailers_end_with_crlf_alone() {
    for chunks in [
        "5\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5;a=b\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "0\r\n\n",
        "0\r\nX: y\n\r\n",
    ] {
        assert_eq!(refused_chunks(chunks), Error::BareLf, "{chunks:?}");
    }
    for chunks in
        ["5\r5\r\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n", "0\r\n\rX", "5\r\r\nhello\r\n0\r\n\r\n"]
    {
        assert_eq!(refused_chunks(chunks), Error::BareCr, "{chunks:?}");
    }
}

/// Extensions made servers read a gigabyte that was no content; each line and all of them together are bounded.
#[test]
fn chunk_extension_floods_are_cut_off() {
    let mut long = server();
    long.feed(post("Transfer-Encoding: chunked\r\n", "1;"));
    let mut many = server();
    many.feed(post("Transfer-Encoding: chunked\r\n", ""));
    for (server, piece) in [(&mut long, "x".repeat(1000)), (&mut many, format!("1;{}\r\nx\r\n", "x".repeat(100)))] {
        let mut fed = 0;
        let error = loop {
            fed += server.feed(&piece).recv.len();
            match server.poll() {
                Ok(Some(_)) => while let Ok(Some(_)) = server.poll() {},
                Ok(None) => {}
                Err(error) => break error,
            }
            assert!(fed < 1 << 20, "not cut off");
        };
        assert_eq!(error, Error::ChunkExtensionsTooLong);
        assert!(fed < 128 << 10, "{fed}");
    }
}

/// A front end sends a length that the back end does not see (0.CL), or the other way round (CL.0), because a spelling
/// of the field is read by one of them only. Such a field is refused, whatever it may mean.
#[test]
fn zero_cl_and_cl_zero_hidden_lengths_are_refused() {
    for line in [
        "Content-Length : 35",
        " Content-Length: 35",
        "\tContent-Length: 35",
        "X: y\r\n Content-Length: 35",
        "Content-Length:\r\n 35",
        "Content-Length\0: 35",
        "Content-Length\x0b: 35",
        "Content-Length: 35\x0c",
        "Content-Length: 35\0",
        "X: y\nContent-Length: 35",
        "X: y\rContent-Length: 35",
        "Content-Length 35",
        ": y\r\nContent-Length: 35",
        "(Content-Length): 35",
        "Content\u{ad}-Length: 35",
    ] {
        refused(&post(&format!("{line}\r\n"), SMUGGLED));
    }
    // A length counts for every method and every application.
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "TRACE", "POST", "X"] {
        for application in [Application::Reads, Application::AnswersAtOnce] {
            let mut server = server();
            let fields = format!("Host: a\r\nContent-Length: {}\r\n", SMUGGLED.len());
            server.feed(format!("{method} / HTTP/1.1\r\n{fields}\r\n{SMUGGLED}{NEXT}"));
            let (targets, error) = targets(&mut server, application);
            assert_eq!((targets, error), (vec!["/".to_owned(), "/next".to_owned()], None), "{method}");
        }
    }
}

/// With `Expect` the two sides disagree on whether content follows a final response: the connection ends there.
#[test]
fn expect_desyncs_end_the_connection() {
    for expect in ["100-continue", "100-Continue", "x, 100-continue"] {
        let request = post(&format!("Expect: {expect}\r\nContent-Length: {}\r\n", SMUGGLED.len()), "");
        // The client sends no content because of the final response, and a request instead.
        let mut server = server();
        server.feed(format!("{request}{SMUGGLED}{NEXT}"));
        server.event();
        server.machine.respond(&PlainResponse::new(417, &[]), Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        assert!(server.sent().contains("Connection: close\r\n"), "{expect}");
        server.no_event();
        assert_eq!(server.machine.state(), State::Lingering);
    }
    // An expectation that is not understood does not change what is content.
    for expect in ["y 100-continue", "100-continue=x", "200-ok", "100-continue\r\nExpect: z"] {
        for application in [Application::Reads, Application::AnswersAtOnce] {
            let fields = format!("Expect: {expect}\r\nContent-Length: {}\r\n", SMUGGLED.len());
            let mut server = server();
            server.feed(post(&fields, &format!("{SMUGGLED}{NEXT}")));
            let (targets, _) = targets(&mut server, application);
            assert!(!targets.contains(&"/smuggled".to_owned()), "{expect}");
        }
    }
    // A client holds content back, gets its 100, and then a final response: nothing is left over for the next one.
    let mut client = client();
    let fields = [("Host", "a"), ("Expect", "100-continue")];
    client.machine.send_request(&PlainRequest::new("POST", "/", &fields), Length::Known(5)).unwrap();
    client.feed("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert!(matches!(client.event(), client_side::Event::Response(_)));
    assert!(matches!(client.event(), client_side::Event::End(_)));
    // The content is still owed, so no request can follow in its place, and the connection closes.
    assert!(!client.machine.is_ready());
    let next = client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0));
    assert_eq!(next, Err(CommandError::Closed));
}

/// A response that no request asked for poisons the one to come.
#[test]
fn response_queue_poisoning_unrequested_responses_are_refused() {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_eq!(client.error(), Error::UnrequestedResponse);
    assert!(!client.machine.is_ready());
}
