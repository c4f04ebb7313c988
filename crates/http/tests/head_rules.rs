//! The grammar of heads, one test a rule: what is accepted, what is refused, and with which answer.

mod common;

use common::{client, server, server_with, status};
use drywire_core::Close;
use drywire_http::server::{Config, Event, State};
use drywire_http::{Error, Length, PlainRequest, TargetForm, client as client_side};

/// The error for `input`, in one piece and byte by byte, after which the farewell and the close must fit.
#[track_caller]
fn refused(input: impl AsRef<[u8]>) -> Error {
    let input = input.as_ref();
    let mut whole = server();
    whole.feed(input);
    let error = whole.error();
    assert_eq!(whole.poll(), Err(error), "errors are sticky");
    assert_eq!(whole.close(), None, "the farewell leaves first");
    let farewell = whole.sent();
    assert_eq!(Some(status(&farewell)), error.status());
    assert!(farewell.contains("\r\nConnection: close\r\n"), "{farewell}");
    assert_eq!(whole.close(), Some(Close::WriteHalf));

    let mut dripped = server();
    for byte in input {
        if dripped.feed([*byte]).poll().is_err() {
            break;
        }
    }
    assert_eq!(dripped.poll(), Err(error), "law 1");
    assert_eq!(dripped.sent(), farewell, "law 1");
    error
}

/// The head that `input` begins with.
#[track_caller]
fn accepted(input: impl AsRef<[u8]>) -> drywire_http::RequestHead {
    let mut server = server();
    let Event::Request(head) = server.feed(input).event() else { panic!() };
    head
}

/// The error for a field line in an otherwise valid request.
#[track_caller]
fn refused_field(line: &str) -> Error {
    refused(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\nX: y\r\n\r\n"))
}

#[test]
fn rfc9112_2_2_bare_lf_is_refused_everywhere() {
    for input in [
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET /\nHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.\n",
        "GET / HTTP/1.1\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\na\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
    ] {
        assert_eq!(refused(input), Error::BareLf, "{input:?}");
    }
}

#[test]
fn rfc9112_2_2_bare_cr_is_refused_everywhere() {
    for input in [
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET\r / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.\r1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX",
    ] {
        assert_eq!(refused(input), Error::BareCr, "{input:?}");
    }
}

#[test]
fn rfc9110_5_5_nul_and_controls_are_refused() {
    for input in [
        "\0",
        "G\0",
        "GET /\0",
        "GET / HTTP/\0",
        "GET / HTTP/1.1\r\n\0",
        "GET / HTTP/1.1\r\nA\0",
        "GET / HTTP/1.1\r\nA:b\0",
    ] {
        assert_eq!(refused(input), Error::Nul, "{input:?}");
    }
    for control in (1..=8).chain([11, 12]).chain(14..=31).chain([127]) {
        assert_eq!(refused_field(&format!("A: b{}c", char::from(control))), Error::InvalidFieldValue);
        assert_eq!(refused_field(&format!("A{}: b", char::from(control))), Error::InvalidFieldName);
        assert_eq!(refused([control]), Error::InvalidMethod);
    }
}

#[test]
fn rfc9110_5_5_obs_text_and_tabs_are_values() {
    let head = accepted(b"GET / HTTP/1.1\r\nHost: a\r\nA: \t\xe4 \xff\tb \t\r\nB:\r\nC: \t \r\n\r\n");
    assert_eq!(head.field("a"), Some(&b"\xe4 \xff\tb"[..]));
    assert_eq!(head.field("b"), Some(&b""[..]));
    assert_eq!(head.field("c"), Some(&b""[..]));
}

#[test]
fn rfc9112_2_2_a_few_empty_lines_before_a_request_are_skipped() {
    accepted("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(refused("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Error::EmptyLines);
}

#[test]
fn rfc9112_3_1_the_method_is_a_token_and_one_space() {
    assert_eq!(accepted("x-1!#$%&'*+.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n").method(), "x-1!#$%&'*+.^_`|~");
    for input in [" GET /", "GET\t/", "G(T /", "GET\r\n", "\"GET\" /"] {
        assert_eq!(refused(input), Error::InvalidMethod, "{input:?}");
    }
}

#[test]
fn rfc9112_3_2_the_target_has_one_of_four_forms() {
    for (line, form) in [
        ("GET /a?b{|}^\" ", TargetForm::Origin),
        ("GET http://h/a ", TargetForm::Absolute),
        ("OPTIONS * ", TargetForm::Asterisk),
        ("CONNECT h:1 ", TargetForm::Authority),
    ] {
        assert_eq!(accepted(format!("{line}HTTP/1.1\r\nHost: h\r\n\r\n")).target_form(), form);
    }
    for line in ["GET * ", "GET host:80 ", "GET a/b ", "CONNECT / ", "CONNECT h ", "OPTIONS ** ", "POST http:/ "] {
        assert_eq!(refused(line), Error::TargetForm, "{line:?}");
    }
    for line in ["GET  / HTTP/1.1", "GET /#f ", "GET /\t", "GET /\u{e4} ", "GET \x7f"] {
        assert_eq!(refused(line), Error::InvalidTarget, "{line:?}");
    }
}

#[test]
fn rfc9112_3_2_2_the_authority_of_an_absolute_target_wins_over_host() {
    let head = accepted("GET http://real.example:81/p?q HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!((head.authority(), head.path(), head.query()), (Some("real.example:81"), "/p", Some("q")));
}

#[test]
fn rfc9112_2_3_the_version_is_exact() {
    for version in [
        "http/1.1",
        "HTTP/1",
        "HTTP/11",
        "HTTP/1.1 ",
        "HTTP/1.10",
        "HTTP 1.1",
        "HTTP/1,1",
        "HTTP/a.1",
        "HTTPS/1.1",
        " HTTP/1.1",
    ] {
        assert_eq!(refused(format!("GET / {version}\r\nHost: a\r\n\r\n")), Error::InvalidVersion, "{version:?}");
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1", "HTTP/9.9"] {
        assert_eq!(refused(format!("GET / {version}\r\n")), Error::UnsupportedVersion, "{version}");
    }
    assert_eq!(Error::UnsupportedVersion.status(), Some(505));
}

#[test]
fn rfc9112_3_a_line_without_a_version_is_refused() {
    assert_eq!(refused("GET /\r\n"), Error::MissingVersion);
}

#[test]
fn rfc9113_3_4_the_http2_preface_is_known_before_its_end() {
    assert_eq!(refused("PRI * HTTP/2.0"), Error::Http2Preface);
    assert_eq!(refused("PRI * HTTP/1.1"), Error::TargetForm);
    assert_eq!(Error::Http2Preface.status(), Some(505));
}

#[test]
fn a_tls_hello_is_answered_at_its_first_byte() {
    assert_eq!(refused(b"\x16"), Error::InvalidMethod);
}

#[test]
fn rfc9112_5_1_no_space_before_the_colon() {
    assert_eq!(refused_field("A : b"), Error::WhitespaceBeforeColon);
    assert_eq!(refused_field("A\t: b"), Error::WhitespaceBeforeColon);
    assert_eq!(refused("GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n"), Error::WhitespaceBeforeColon);
}

#[test]
fn rfc9110_5_1_a_field_name_is_a_token() {
    assert_eq!(refused_field(": b"), Error::EmptyFieldName);
    assert_eq!(refused_field("A\"b: c"), Error::InvalidFieldName);
    assert_eq!(refused_field("(A): c"), Error::InvalidFieldName);
    assert_eq!(refused_field("\u{e4}: c"), Error::InvalidFieldName);
    assert_eq!(refused_field("A"), Error::MissingColon);
}

#[test]
fn rfc9112_5_2_obs_fold_in_a_request_is_refused() {
    assert_eq!(refused_field("A: b\r\n c"), Error::ObsFold);
    assert_eq!(refused_field("A: b\r\n\tc"), Error::ObsFold);
}

#[test]
fn rfc9112_2_2_white_space_before_the_first_field_is_refused() {
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n"), Error::WhitespaceBeforeFirstField);
}

#[test]
fn rfc9112_3_2_exactly_one_valid_host_in_http11() {
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n"), Error::MissingHost);
    assert_eq!(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Error::DuplicateHost);
    assert_eq!(refused("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), Error::DuplicateHost);
    for host in ["a b", "a, b", "u@h", "h/p", "h:x", "[::1", "a\"b"] {
        assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")), Error::InvalidHost, "{host}");
    }
    accepted("GET / HTTP/1.0\r\n\r\n");
    accepted("GET / HTTP/1.1\r\nhOsT: [::1]:80\r\n\r\n");
    accepted("GET / HTTP/1.1\r\nHost:\r\n\r\n");
}

#[test]
fn rfc9110_15_5_15_a_long_request_line_is_414() {
    let config = Config { max_request_line: 20, ..Config::default() };
    let line = |extra: usize| format!("GET /{} HTTP/1.1", "x".repeat(6 + extra));
    assert_eq!(line(0).len(), 20);
    let mut server = server_with(config.clone());
    assert!(matches!(server.feed(line(0) + "\r\nHost: a\r\n\r\n").event(), Event::Request(_)));
    for input in [line(1), "x".repeat(21), format!("GET /{}", "x".repeat(16))] {
        let mut server = server_with(config.clone());
        assert_eq!(server.feed(input).error(), Error::RequestLineTooLong);
        assert_eq!(status(&server.sent()), 414);
    }
}

#[test]
fn rfc6585_5_a_large_head_is_431() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n";
    let mut server = server_with(Config { max_head: head.len(), ..Config::default() });
    assert!(matches!(server.feed(head).event(), Event::Request(_)));
    let mut server = server_with(Config { max_head: head.len() - 1, ..Config::default() });
    assert_eq!(server.feed(head).error(), Error::HeadTooLarge);
    assert_eq!(status(&server.sent()), 431);
    // Without waiting for the line to end, and not later when it comes in one piece.
    let mut server = server_with(Config { max_head: 100, ..Config::default() });
    assert_eq!(server.feed("GET / HTTP/1.1\r\nHost: ").feed([b'a'; 79]).error(), Error::HeadTooLarge);
}

#[test]
fn rfc6585_5_a_long_field_line_is_431() {
    let config = Config { max_field_line: 10, ..Config::default() };
    for (line, fits) in [("A: 3456789", true), ("A: 34567890", false), ("A:        0", false), ("ABCDEFGHIJK", false)] {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}");
        let mut whole = server_with(config.clone());
        let mut dripped = server_with(config.clone());
        whole.feed(format!("{input}\r\n\r\n"));
        if fits {
            assert!(matches!(whole.event(), Event::Request(_)));
            continue;
        }
        assert_eq!(whole.error(), Error::FieldLineTooLong, "{line}");
        assert_eq!(status(&whole.sent()), 431);
        for (index, byte) in input.bytes().chain([b'\r']).enumerate() {
            let expected = if index == input.len() { Err(Error::FieldLineTooLong) } else { Ok(None) };
            assert_eq!(dripped.feed([byte]).poll(), expected, "law 1: {line} at {index}");
        }
    }
    // Each line of a folded value counts by itself.
    let mut client = common::client_with(client_side::Config { max_field_line: 10, ..Default::default() });
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.feed("HTTP/1.1 204 No Content\r\nA: 3456789\r\n 123456789\r\n\r\n").event();
}

#[test]
fn rfc3986_2_1_a_percent_sign_encodes_a_byte() {
    for target in ["/%41", "/a?b=%e2%82%AC", "http://h%41/%20?%20"] {
        assert_eq!(accepted(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).target(), target);
    }
    for target in ["/%", "/%4", "/%4g", "/%g4", "/%%41", "/a?%", "http://h/%"] {
        let error = refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(error, Error::InvalidPercentEncoding, "{target}");
    }
}

#[test]
fn rfc6585_5_many_fields_are_431() {
    let config = Config { max_fields: 3, ..Config::default() };
    let mut server = server_with(config.clone());
    assert!(matches!(server.feed("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n").event(), Event::Request(_)));
    let mut server = server_with(config);
    assert_eq!(server.feed("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC").error(), Error::TooManyFields);
    assert_eq!(status(&server.sent()), 431);
}

#[test]
fn rfc9112_8_an_end_inside_a_head_is_an_error_with_an_answer() {
    let mut server = server();
    assert_eq!(server.feed("GET / HT").feed_end().error(), Error::UnexpectedEnd);
    assert_eq!(status(&server.sent()), 400);
    assert_eq!(server.machine.state(), State::Closed);
    assert_eq!(server.close(), Some(Close::Both));
}

/// What a client makes of `input` as the answer to a GET.
fn response(input: impl AsRef<[u8]>) -> Result<drywire_http::ResponseHead, Error> {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    match client.feed(input).poll()? {
        Some(client_side::Event::Response(head)) => Ok(head),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc9112_4_the_status_line() {
    for (line, code, reason) in [
        ("HTTP/1.1 200 OK", 200, "OK"),
        ("HTTP/1.0 404 Not  Found", 404, "Not  Found"),
        ("HTTP/1.1 599 ", 599, ""),
        ("HTTP/1.1 599", 599, ""),
    ] {
        let head = response(format!("{line}\r\nContent-Length: 0\r\n\r\n")).unwrap();
        assert_eq!((head.status(), head.reason()), (code, reason.as_bytes()));
        assert_eq!(head.to_string(), line.trim_end());
    }
    for (line, error) in [
        ("HTTP/1.1  200 OK\r\n", Error::InvalidStatus),
        ("HTTP/1.1 20 OK\r\n", Error::InvalidStatus),
        ("HTTP/1.1 2000 OK\r\n", Error::InvalidStatus),
        ("HTTP/1.1 099 OK\r\n", Error::InvalidStatus),
        ("HTTP/1.1 +20 OK\r\n", Error::InvalidStatus),
        ("HTTP/1.1\r\n", Error::InvalidStatus),
        ("HTTP/1.1 200 O\x01\r\n", Error::InvalidReason),
        ("HTTP/1.1 200 OK\n", Error::BareLf),
        ("HTTP/1.1 200 O\rK", Error::BareCr),
        ("HTTP/2.0 200 OK\r\n", Error::UnsupportedVersion),
        ("HTTP/1.12 200 OK\r\n", Error::InvalidVersion),
        ("ICY 200 OK\r\n", Error::InvalidVersion),
        ("<html>", Error::InvalidVersion),
    ] {
        assert_eq!(response(line), Err(error), "{line:?}");
    }
}

#[test]
fn rfc9112_5_2_obs_fold_in_a_response_becomes_spaces() {
    let head =
        response("HTTP/1.1 200 OK\r\nA: b\r\n c \r\n\t \r\n\t d\r\nContent-Length:\r\n 0\r\nB:\r\n \r\n\r\n").unwrap();
    assert_eq!(head.field("a"), Some(&b"b   c   \t   \t d"[..]));
    assert_eq!(head.content_length(), Some(0));
    assert_eq!(head.field("b"), Some(&b""[..]));
    let first = response("HTTP/1.1 200 OK\r\n A: b\r\n\r\n");
    assert_eq!(first, Err(Error::WhitespaceBeforeFirstField));
}
