//! Heads that are encoded once: what is sent is what would be sent otherwise.

mod common;

use bytes::Bytes;
use common::{client, client_with, server};
use drywire_http::client::{Config, State};
use drywire_http::{
    CommandError, Fields, Length, PlainRequest, PlainResponse, PreparedRequest, PreparedResponse, server as server_side,
};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What a server sends in answer to `request`, and what it is left in.
fn sent(
    request: &str,
    respond: impl FnOnce(&mut server_side::Connection) -> Result<(), CommandError>,
) -> (String, Result<(), CommandError>, server_side::State) {
    let mut server = server();
    server.feed(request);
    while server.poll().unwrap().is_some() {}
    let mut outcome = respond(&mut server.machine);
    if outcome.is_ok() && !server.machine.is_upgraded() {
        let _ = server.machine.send_content(Bytes::from_static(b"hello"));
        outcome = server.machine.finish(None);
    }
    (server.sent(), outcome, server.machine.state())
}

/// Every kind of request against every kind of head, with and without a date.
#[test]
fn a_prepared_response_is_the_response() {
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx",
        "",
    ];
    let heads: [(u16, &[(&str, &str)]); 8] = [
        (200, &[]),
        (200, &[("Content-Type", "text/plain"), ("Content-Length", "5")]),
        (200, &[("Connection", "close"), ("Server", "a")]),
        (200, &[("Upgrade", "x")]),
        (200, &[("Connection", "X-Hop"), ("X-Hop", "1")]),
        (204, &[]),
        (304, &[("Etag", "\"a\"")]),
        (404, &[("Server", "b")]),
    ];
    let mut compared = 0;
    for request in requests {
        for (status, fields) in heads {
            for length in [Length::Known(0), Length::Known(5), Length::Unknown] {
                let Ok(prepared) = PreparedResponse::new(&PlainResponse::new(status, fields), length) else { continue };
                for date in [None, Some(DATE)] {
                    // As it stands in the encoded head: framing, then the date.
                    let mut all = fields.to_vec();
                    all.extend(date.map(|date| ("Date", date)));
                    let plain = sent(request, |http| http.respond(&PlainResponse::new(status, &all), length));
                    let ready = sent(request, |http| http.respond_prepared(&prepared, date));
                    let lines = |(head, outcome, state): (String, _, _)| {
                        let mut lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
                        lines.sort();
                        (lines, outcome, state)
                    };
                    assert_eq!(lines(ready), lines(plain), "{request} {status} {fields:?} {length:?} {date:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 300);
}

#[test]
fn the_ordinary_response_stands_ready() {
    let fields = [("Server", "a")];
    let head = PreparedResponse::new(&PlainResponse::new(200, &fields), Length::Known(5)).unwrap();
    for (date, expected) in [
        (None, "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\nhello"),
        (
            Some(DATE),
            "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello",
        ),
    ] {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(sent(get, |http| http.respond_prepared(&head, date)).0, expected);
    }
}

#[test]
fn header_injection_through_a_date_is_refused() {
    let head = PreparedResponse::new(&PlainResponse::new(200, &[]), Length::Known(5)).unwrap();
    for date in ["Sun, 06 Nov 1994\r\nX-Smuggled: y", "a\r\nb", "\u{1}"] {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let (sent, outcome, _) = sent(get, |http| http.respond_prepared(&head, Some(date)));
        assert_eq!((sent.as_str(), outcome), ("", Err(CommandError::InvalidFieldValue)));
    }
}

#[test]
fn what_could_not_be_sent_cannot_be_prepared() {
    let prepare = |status, fields: &[(&str, &str)], length| {
        PreparedResponse::new(&PlainResponse::new(status, fields), length).map(drop)
    };
    assert_eq!(prepare(100, &[], Length::Known(0)), Err(CommandError::InvalidStatus(100)));
    assert_eq!(prepare(200, &[("A", "b\r\nc")], Length::Known(0)), Err(CommandError::InvalidFieldValue));
    assert_eq!(prepare(200, &[("Content-Length", "4")], Length::Known(5)), Err(CommandError::ConflictingFraming));
    assert_eq!(prepare(204, &[], Length::Known(5)), Err(CommandError::ContentNotAllowed));
    let prepare = |method, target, fields: &[(&str, &str)], length| {
        PreparedRequest::new(&PlainRequest::new(method, target, fields), length).map(drop)
    };
    assert_eq!(prepare("GET", "/ x", &[("Host", "a")], Length::Known(0)), Err(CommandError::InvalidTarget));
    assert_eq!(prepare("GET", "/", &[], Length::Known(0)), Err(CommandError::InvalidHost));
    assert_eq!(prepare("G T", "/", &[("Host", "a")], Length::Known(0)), Err(CommandError::InvalidMethod));
}

#[test]
fn a_prepared_request_is_sent_again_and_again() {
    let fields = [("Host", "a"), ("Accept", "*/*")];
    let plain = PlainRequest::new("POST", "/p", &fields);
    let prepared = PreparedRequest::new(&plain, Length::Known(2)).unwrap();
    let mut client = client();
    let mut sent = Vec::new();
    for turn in 0..3 {
        if turn == 0 {
            client.machine.send_request(&plain, Length::Known(2)).unwrap();
        } else {
            client.machine.send_prepared(&prepared).unwrap();
        }
        client.machine.send_content(Bytes::from_static(b"hi")).unwrap();
        client.machine.finish(None).unwrap();
        sent.push(client.sent());
        assert_eq!(client.machine.send_prepared(&prepared), Err(CommandError::ExchangeUnderWay));
        client.feed("HTTP/1.1 204 No Content\r\n\r\n").event();
        client.event();
    }
    assert!(sent.iter().all(|request| request == &sent[0]), "{sent:?}");
}

#[test]
fn a_prepared_request_keeps_the_rules_of_its_kind() {
    let expecting = [("Host", "a"), ("Expect", "100-continue")];
    let prepared = PreparedRequest::new(&PlainRequest::new("PUT", "/", &expecting), Length::Known(2)).unwrap();
    let mut client = client();
    client.machine.send_prepared(&prepared).unwrap();
    assert_eq!(client.machine.state(), State::Expecting);
    // A proxy is asked in absolute form.
    let mut client = client_with(Config { absolute_form: true, ..Config::default() });
    assert_eq!(client.machine.send_prepared(&prepared), Err(CommandError::InvalidTarget));
    let absolute = PreparedRequest::new(&PlainRequest::new("GET", "http://h/p", &[]), Length::Known(0)).unwrap();
    client.machine.send_prepared(&absolute).unwrap();
    assert_eq!(client.sent(), "GET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n");
}

/// What was received goes on as it is: names in their case, lines in their order.
#[test]
fn received_fields_are_sent_on() {
    let mut server = server();
    server.feed("GET / HTTP/1.1\r\nhOST: a\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n");
    let server_side::Event::Request(head) = server.event() else { panic!() };
    let mut client = client();
    client.machine.send_request(&(head.method(), head.target(), head.field_section()), Length::Known(0)).unwrap();
    assert_eq!(client.sent(), "GET / HTTP/1.1\r\nHost: a\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n\r\n");
    let fields = Fields::new([("x-c", "4")]).unwrap();
    server.machine.respond(&(200, &fields), Length::Known(0)).unwrap();
    assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\nx-c: 4\r\nContent-Length: 0\r\n\r\n");
}
