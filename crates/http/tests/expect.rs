//! 100 (Continue) on both sides (RFC 9110, 10.1.1).

mod common;

use core::time::Duration;

use bytes::Bytes;
use common::{Client, client, client_with, server};
use drywire_core::{Close, Instant, StreamMachine};
use drywire_http::client::{Config, Event, State};
use drywire_http::{CommandError, Fields, Length, PlainRequest, PlainResponse, server as server_side};

const EXPECTING: &[(&str, &str)] = &[("Host", "a"), ("Expect", "100-continue")];
const PUT: PlainRequest<'_> = PlainRequest::new("PUT", "/", EXPECTING);

/// A client that has sent the head of a request and has been given some of its content.
fn expecting(length: Length) -> Client {
    let mut client = client();
    client.machine.send_request(&PUT, length).unwrap();
    assert!(client.sent().ends_with("\r\n\r\n"));
    client.machine.send_content(Bytes::from_static(b"hel")).unwrap();
    assert_eq!(client.sent(), "", "the content waits");
    assert_eq!(client.machine.state(), State::Expecting);
    client
}

#[test]
fn rfc9110_10_1_1_content_waits_for_continue() {
    let mut client = expecting(Length::Known(5));
    client.feed("HTTP/1.1 103 Early Hints\r\n\r\n").event();
    assert_eq!(client.sent(), "", "103 is not 100");
    client.feed("HTTP/1.1 100 Continue\r\n\r\n");
    assert!(matches!(client.event(), Event::Informational(head) if head.status() == 100));
    assert_eq!(client.sent(), "hel");
    client.machine.send_content(Bytes::from_static(b"lo")).unwrap();
    client.machine.finish(None).unwrap();
    assert_eq!((client.sent().as_str(), client.machine.state()), ("lo", State::Waiting));
    client.feed("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    client.event();
    client.event();
    assert!(client.machine.is_ready());
}

#[test]
fn a_whole_request_may_wait() {
    let mut client = expecting(Length::Unknown);
    client.machine.finish(Some(&Fields::new([("X-Sum", "1")]).unwrap())).unwrap();
    assert_eq!((client.sent().as_str(), client.machine.state()), ("", State::Expecting));
    assert_eq!(client.machine.finish(None), Err(CommandError::NoMessageUnderWay));
    client.feed("HTTP/1.1 100 Continue\r\n\r\n").event();
    assert_eq!(client.sent(), "3\r\nhel\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.machine.state(), State::Waiting);
}

#[test]
fn rfc9110_10_1_1_a_client_does_not_wait_for_ever() {
    let mut client = expecting(Length::Known(3));
    client.machine.finish(None).unwrap();
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_secs(1)));
    client.expire();
    assert_eq!((client.sent().as_str(), client.machine.state()), ("hel", State::Waiting));
    // A late 100 is one more informational response.
    client.feed("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    assert!(matches!(client.event(), Event::Informational(_)));
    assert!(matches!(client.event(), Event::Response(_)));
    client.event();
    assert!(client.machine.is_ready());

    let mut client = client_with(Config { continue_timeout: Duration::from_millis(5), ..Config::default() });
    client.machine.send_request(&PUT, Length::Known(3)).unwrap();
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_millis(5)));
}

#[test]
fn rfc9110_10_1_1_a_final_status_instead_keeps_the_content_back() {
    for finished in [false, true] {
        let mut client = expecting(Length::Known(if finished { 3 } else { 5 }));
        if finished {
            client.machine.finish(None).unwrap();
        }
        client.feed("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\n");
        assert!(matches!(client.event(), Event::Response(head) if head.status() == 417));
        if !finished {
            client.machine.send_content(Bytes::from_static(b"lo")).unwrap();
            client.machine.finish(None).unwrap();
        }
        assert_eq!(client.sent(), "");
        assert_eq!(client.machine.state(), State::Receiving);
        client.feed("no");
        assert_eq!(client.event(), Event::Content(Bytes::from_static(b"no")));
        assert!(matches!(client.event(), Event::End(_)));
        // The server still waits for the announced content: no request can follow.
        assert_eq!(client.close(), Some(Close::Both));
        assert_eq!(client.event(), Event::Closed);
        client.no_event();
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut client = client_with(Config { send_high_water: 100, ..Config::default() });
    client.machine.send_request(&PUT, Length::Unknown).unwrap();
    client.sent();
    client.machine.send_content(Bytes::from(vec![b'x'; 200])).unwrap();
    let more = Bytes::from_static(b"more");
    assert_eq!(client.machine.send_content(more.clone()), Err(CommandError::Full(more.clone())));
    client.feed("HTTP/1.1 100 Continue\r\n\r\n").event();
    client.sent();
    client.machine.send_content(more).unwrap();
}

#[test]
fn rfc9110_10_1_1_no_expectation_without_content() {
    for (method, length) in [("GET", 0), ("PUT", 0)] {
        let mut client = client();
        let refused = client.machine.send_request(&PlainRequest::new(method, "/", EXPECTING), Length::Known(length));
        assert_eq!(refused, Err(CommandError::ExpectWithoutContent));
        assert_eq!(client.sent(), "");
    }
    // Nor behind another request: its 100 could not be told from one for that.
    let mut client = client_with(Config { max_pipeline: 2, ..Config::default() });
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    assert_eq!(client.machine.send_request(&PUT, Length::Known(3)), Err(CommandError::ExchangeUnderWay));
}

#[test]
fn rfc9110_10_1_1_no_continue_where_content_has_come() {
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let ok = PlainResponse::new(200, &[]);
    let mut sent = Vec::new();
    for input in [head.to_owned(), format!("{head}h")] {
        let mut server = server();
        server.feed(input);
        assert!(matches!(server.event(), server_side::Event::Request(_)));
        server.machine.send_continue().unwrap();
        sent.push(server.sent());
        // The rest of the exchange is the same.
        server.machine.respond(&ok, Length::Known(0)).unwrap();
        server.machine.finish(None).unwrap();
        assert_eq!(server.sent(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert_eq!(sent, ["HTTP/1.1 100 Continue\r\n\r\n", ""]);
}

/// The client asks first, the server looks at the head and lets it go on.
#[test]
fn an_expectation_between_the_two_machines() {
    let (mut client, mut server) = (client(), server());
    client.machine.send_request(&PUT, Length::Known(5)).unwrap();
    client.machine.send_content(Bytes::from_static(b"hello")).unwrap();
    client.machine.finish(None).unwrap();
    server.feed(client.sent());
    server.event();
    server.no_event();
    server.machine.send_continue().unwrap();
    client.feed(server.sent()).event();
    server.feed(client.sent());
    assert_eq!(server.event(), server_side::Event::Content(Bytes::from_static(b"hello")));
}
