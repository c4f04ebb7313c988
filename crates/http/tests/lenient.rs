//! Each switch that overlooks a broken rule: off, and on.

mod common;

use std::fmt::Write as _;

use common::{Server, server_with};
use drywire_http::server::{Config, Event};
use drywire_http::{Error, Length, Lenient, PlainRequest, client};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

fn server(lenient: Lenient) -> Server {
    server_with(Config { lenient, ..Config::default() })
}

/// What a server makes of `input`: the head, the content and the trailers as text, the next request behind it.
fn outcome(input: &str, lenient: Lenient) -> Result<String, Error> {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut server = server(lenient);
        let mut seen = String::new();
        for piece in pieces {
            server.feed(piece);
            while let Some(event) = server.poll()? {
                match event {
                    Event::Request(head) => writeln!(seen, "{head:#}").unwrap(),
                    Event::Content(content) => seen += std::str::from_utf8(&content).unwrap(),
                    Event::End(trailers) => write!(seen, "\n{trailers}").unwrap(),
                    Event::PeerEnded | Event::Ready => unreachable!(),
                }
            }
        }
        assert_eq!(&server.recv[..], NEXT.as_bytes());
        Ok(seen)
    };
    let input = format!("{input}{NEXT}");
    let whole = read(&mut [input.as_bytes()].into_iter());
    assert_eq!(read(&mut input.as_bytes().chunks(1)), whole, "law 1");
    whole
}

/// Refused without the switch and with all the others; accepted with it, as `expected`.
#[track_caller]
fn check(switch: Lenient, input: &str, error: Error, expected: &str) {
    const ALL: [Lenient; 9] = [
        Lenient::BARE_LF,
        Lenient::OBS_FOLD,
        Lenient::SPACE_BEFORE_COLON,
        Lenient::CONTROLS_IN_VALUES,
        Lenient::STRAY_PERCENT,
        Lenient::MISSING_HOST,
        Lenient::BOTH_FRAMINGS,
        Lenient::SPACE_AFTER_CHUNK_SIZE,
        Lenient::ANY_CHUNK_EXTENSION,
    ];
    let others = ALL.into_iter().filter(|other| *other != switch).fold(Lenient::NONE, |sum, other| sum | other);
    assert_eq!(outcome(input, Lenient::NONE), Err(error));
    assert_eq!(outcome(input, others), Err(error), "no other switch does it");
    assert_eq!(outcome(input, switch).as_deref(), Ok(expected));
}

#[test]
fn bare_lf() {
    check(Lenient::BARE_LF, "GET / HTTP/1.1\nHost: a\nB: c \n\n", Error::BareLf, "GET / HTTP/1.1\nHost: a\nB: c\n\n");
    check(Lenient::BARE_LF, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Error::BareLf, "GET / HTTP/1.1\nHost: a\n\n");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let seen = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n";
    for (content, error) in [
        ("2\nhi\r\n0\r\n\r\n", Error::BareLf),
        ("2;a=b\nhi\r\n0\r\n\r\n", Error::BareLf),
        ("2\r\nhi\n0\r\n\r\n", Error::MissingChunkEnd),
        ("2\r\nhi\r\n0\n\r\n", Error::BareLf),
        ("2\r\nhi\r\n0\r\n\n", Error::BareLf),
    ] {
        check(Lenient::BARE_LF, &format!("{chunked}{content}"), error, &format!("{seen}hi\n"));
    }
    // A bare CR stays what it is.
    assert_eq!(outcome("GET / HTTP/1.1\rHost: a\r\n\r\n", Lenient::BARE_LF), Err(Error::BareCr));
}

#[test]
fn obs_fold() {
    let expected = "GET / HTTP/1.1\nHost: a\nB: c   d\n\n";
    check(Lenient::OBS_FOLD, "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n", Error::ObsFold, expected);
    let both = Lenient::OBS_FOLD | Lenient::BARE_LF;
    let folded = outcome("GET / HTTP/1.1\nHost: a\nB: c\n d\n\n", both);
    assert_eq!(folded.as_deref(), Ok("GET / HTTP/1.1\nHost: a\nB: c  d\n\n"), "one line end, one space");
    let space = outcome("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Lenient::OBS_FOLD);
    assert_eq!(space, Err(Error::WhitespaceBeforeFirstField), "nothing to fold into");
}

#[test]
fn space_before_colon() {
    let input = "GET / HTTP/1.1\r\nHost \t: a\r\n\r\n";
    let expected = "GET / HTTP/1.1\nHost: a\n\n";
    check(Lenient::SPACE_BEFORE_COLON, input, Error::WhitespaceBeforeColon, expected);
    let inside = outcome("GET / HTTP/1.1\r\nHo st: a\r\n\r\n", Lenient::SPACE_BEFORE_COLON);
    assert_eq!(inside, Err(Error::WhitespaceBeforeColon));
}

#[test]
fn controls_in_values() {
    let input = "GET / HTTP/1.1\r\nHost: a\r\nB: \u{1}\u{7f}\r\n\r\n";
    let expected = "GET / HTTP/1.1\nHost: a\nB: \\x01\\x7f\n\n";
    check(Lenient::CONTROLS_IN_VALUES, input, Error::InvalidFieldValue, expected);
    let nul = outcome("GET / HTTP/1.1\r\nHost: a\r\nB: \0\r\n\r\n", Lenient::CONTROLS_IN_VALUES);
    assert_eq!(nul, Err(Error::Nul));
}

#[test]
fn stray_percent() {
    for target in ["/100%", "/%4", "/%zz", "/?q=%%20"] {
        let input = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let expected = format!("GET {target} HTTP/1.1\nHost: a\n\n");
        check(Lenient::STRAY_PERCENT, &input, Error::InvalidPercentEncoding, &expected);
    }
}

#[test]
fn missing_host() {
    check(Lenient::MISSING_HOST, "GET / HTTP/1.1\r\n\r\n", Error::MissingHost, "GET / HTTP/1.1\n\n");
    let two = outcome("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Lenient::MISSING_HOST);
    assert_eq!(two, Err(Error::DuplicateHost));
}

#[test]
fn both_framings() {
    let input =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let expected = "POST / HTTP/1.1\nHost: a\nContent-Length: 9\nTransfer-Encoding: chunked\nhi\n";
    check(Lenient::BOTH_FRAMINGS, input, Error::TransferEncodingWithContentLength, expected);
    let mut server = server(Lenient::BOTH_FRAMINGS);
    server.feed(input);
    let Event::Request(head) = server.event() else { panic!() };
    assert!(!head.keep_alive(), "RFC 9112, 6.3: the connection closes behind the response");
}

#[test]
fn space_after_chunk_size() {
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let seen = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nhi\n";
    for (line, error) in [
        ("2 ", Error::InvalidChunkSize),
        ("2\t ", Error::InvalidChunkSize),
        ("2;a ", Error::InvalidChunkExtension),
        ("2;a=b ", Error::InvalidChunkExtension),
        ("2;a=\"b\" ", Error::InvalidChunkExtension),
    ] {
        let input = format!("{chunked}{line}\r\nhi\r\n0\r\n\r\n");
        check_with_any_extension(&input, error, seen);
    }
    for line in [" 2", "2 x"] {
        let input = format!("{chunked}{line}\r\nhi\r\n0\r\n\r\n");
        assert_eq!(outcome(&input, Lenient::SPACE_AFTER_CHUNK_SIZE), Err(Error::InvalidChunkSize), "{line}");
    }
}

/// As [`check`], but white space behind an extension is also text.
#[track_caller]
fn check_with_any_extension(input: &str, error: Error, expected: &str) {
    assert_eq!(outcome(input, Lenient::NONE), Err(error));
    assert_eq!(outcome(input, Lenient::SPACE_AFTER_CHUNK_SIZE).as_deref(), Ok(expected), "{input}");
}

#[test]
fn any_chunk_extension() {
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let seen = "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nhi\n";
    for line in ["2;", "2;;", "2;=", "2;a=", "2;a=\"b", "2;a b", "2;\u{e4}"] {
        let input = format!("{chunked}{line}\r\nhi\r\n0\r\n\r\n");
        check(Lenient::ANY_CHUNK_EXTENSION, &input, Error::InvalidChunkExtension, seen);
    }
    let control = format!("{chunked}2;\u{1}\r\nhi\r\n0\r\n\r\n");
    assert_eq!(outcome(&control, Lenient::ANY_CHUNK_EXTENSION), Err(Error::InvalidChunkExtension));
}

#[test]
fn a_client_has_the_same_switches() {
    for (lenient, outcome) in [(Lenient::NONE, Err(Error::BareLf)), (Lenient::BARE_LF, Ok(Some(200)))] {
        let mut client = common::client_with(client::Config { lenient, ..Default::default() });
        client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
        client.feed("HTTP/1.1 200 OK\nContent-Length: 0\n\n");
        let status = client.poll().map(|event| match event {
            Some(client::Event::Response(head)) => Some(head.status()),
            _ => None,
        });
        assert_eq!(status, outcome);
    }
}
