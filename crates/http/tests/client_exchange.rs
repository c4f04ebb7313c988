//! Whole exchanges of the client: requests, framing of responses, persistence, upgrade.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Client, client, client_with};
use drywire_core::Close;
use drywire_http::client::{Config, Event, State};
use drywire_http::{CommandError, Error, Fields, Length, PlainRequest, RequestParts, Trailers};

const HOST: &[(&str, &str)] = &[("Host", "a")];
const GET: PlainRequest<'_> = PlainRequest::new("GET", "/", HOST);

/// A client that has sent such a request without content.
#[track_caller]
fn asking(method: &str, fields: &[(&str, &str)]) -> Client {
    let mut client = client();
    let target = if method == "CONNECT" { "h:443" } else { "/" };
    client.machine.send_request(&PlainRequest::new(method, target, fields), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client.sent();
    client
}

#[track_caller]
fn head(client: &mut Client) -> u16 {
    match client.event() {
        Event::Response(head) => head.status(),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn written(request: &PlainRequest<'_>, length: Length) -> Result<String, CommandError> {
    let mut client = client();
    let result = client.machine.send_request(request, length);
    let sent = client.sent();
    assert_eq!(result.is_err(), sent.is_empty(), "a refused command leaves no trace");
    result.map(|()| sent)
}

#[test]
fn an_exchange_from_request_to_the_next() {
    let mut client = client();
    assert!(client.machine.is_ready());
    client.machine.send_request(&GET, Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    assert_eq!(client.sent(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!client.machine.is_ready());
    assert_eq!(client.machine.send_request(&GET, Length::Known(0)), Err(CommandError::ExchangeUnderWay));
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhel");
    let Event::Response(head) = client.event() else { panic!() };
    assert_eq!((head.status(), head.reason(), head.content_length()), (200, &b"OK"[..], Some(5)));
    assert_eq!(format!("{head:#}"), "HTTP/1.1 200 OK\nContent-Length: 5\nX-A: b");
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"hel")));
    client.no_event();
    client.feed("lo");
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"lo")));
    assert_eq!(client.event(), Event::End(Trailers::default()));
    assert!(client.machine.is_ready());
    client.machine.send_request(&GET, Length::Known(0)).unwrap();
}

#[test]
fn rfc9110_8_6_content_length_where_the_method_anticipates_content() {
    let sent = |method, length| written(&PlainRequest::new(method, "/", HOST), length).unwrap();
    assert_eq!(sent("GET", Length::Known(0)), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(sent("POST", Length::Known(0)), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(sent("GET", Length::Known(3)), "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(sent("PUT", Length::Unknown), "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

#[test]
fn content_and_trailers_are_sent_as_chunks() {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("POST", "/", HOST), Length::Unknown).unwrap();
    client.sent();
    client.machine.send_content(Bytes::from_static(b"hello")).unwrap();
    client.machine.finish(Some(&Fields::new([("X-Sum", "1")]).unwrap())).unwrap();
    assert_eq!(client.sent(), "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.machine.state(), State::Waiting);
}

#[test]
fn rfc9110_7_2_host_comes_first_and_must_be_known() {
    let fields = [("X", "1"), ("host", "h:80"), ("Y", "2")];
    let sent = written(&PlainRequest::new("GET", "/", &fields), Length::Known(0)).unwrap();
    assert_eq!(sent, "GET / HTTP/1.1\r\nHost: h:80\r\nX: 1\r\nY: 2\r\n\r\n");
    let sent = written(&PlainRequest::new("GET", "http://h/p", &[]), Length::Known(0)).unwrap();
    assert_eq!(sent, "GET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n");
    let sent = written(&PlainRequest::new("CONNECT", "h:443", &[]), Length::Known(0)).unwrap();
    assert_eq!(sent, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    for fields in [&[][..], &[("Host", "a"), ("Host", "a")], &[("Host", "a b")]] {
        let refused = written(&PlainRequest::new("GET", "/", fields), Length::Known(0));
        assert_eq!(refused, Err(CommandError::InvalidHost));
    }
}

#[test]
fn what_would_smuggle_is_refused() {
    for (method, target, fields, expected) in [
        ("GET /x", "/", HOST, CommandError::InvalidMethod),
        ("", "/", HOST, CommandError::InvalidMethod),
        ("GET", "/ HTTP/1.1\r\nX: y", HOST, CommandError::InvalidTarget),
        ("GET", "", HOST, CommandError::InvalidTarget),
        ("GET", "*", HOST, CommandError::InvalidTarget),
        ("GET", "/#f", HOST, CommandError::InvalidTarget),
        ("GET", "/100%", HOST, CommandError::InvalidTarget),
        ("CONNECT", "/", HOST, CommandError::InvalidTarget),
        ("GET", "/", &[("Host", "a"), ("X", "a\r\nY: b")], CommandError::InvalidFieldValue),
        ("GET", "/", &[("Host", "a"), ("X: y\r\nZ", "a")], CommandError::InvalidFieldName),
        ("POST", "/", &[("Host", "a"), ("Content-Length", "7")], CommandError::ConflictingFraming),
        ("POST", "/", &[("Host", "a"), ("Transfer-Encoding", "chunked")], CommandError::ConflictingFraming),
        ("CONNECT", "h:1", HOST, CommandError::ContentNotAllowed),
    ] {
        let length = Length::Known(if method == "CONNECT" && target != "/" { 1 } else { 3 });
        assert_eq!(written(&PlainRequest::new(method, target, fields), length), Err(expected), "{method} {target}");
    }
}

#[test]
fn rfc9110_7_8_upgrade_and_te_are_connection_options() {
    let fields = [("Host", "a"), ("Upgrade", "websocket"), ("TE", "trailers"), ("Connection", "Upgrade, X-Hop")];
    let sent = written(&PlainRequest::new("GET", "/", &fields), Length::Known(0)).unwrap();
    assert!(sent.ends_with("\r\nConnection: Upgrade, TE, X-Hop\r\n\r\n"), "{sent}");
}

#[test]
fn rfc9112_3_2_2_a_proxy_is_asked_in_absolute_form() {
    struct Absolute;
    impl RequestParts for Absolute {
        fn method(&self) -> &'static str {
            "GET"
        }
        fn target(&self) -> std::borrow::Cow<'_, str> {
            "/p".into()
        }
        fn absolute_target(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some("http://h/p".into())
        }
        fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
            std::iter::empty()
        }
    }
    let config = Config { absolute_form: true, ..Config::default() };
    let mut client = client_with(config.clone());
    client.machine.send_request(&Absolute, Length::Known(0)).unwrap();
    assert_eq!(client.sent(), "GET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut client = client_with(config);
    assert_eq!(client.machine.send_request(&GET, Length::Known(0)), Err(CommandError::InvalidTarget));
    client.machine.send_request(&PlainRequest::new("OPTIONS", "*", HOST), Length::Known(0)).unwrap();
}

#[test]
fn rfc9112_6_3_responses_without_content_end_with_their_head() {
    for (method, response) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        let mut client = asking(method, HOST);
        client.feed(response);
        head(&mut client);
        assert!(!client.machine.is_ready(), "the end is still to be told");
        assert_eq!(client.event(), Event::End(Trailers::default()), "{response}");
        assert!(client.machine.is_ready(), "{response}");
    }
}

#[test]
fn rfc9112_6_3_without_a_length_content_ends_with_the_connection() {
    let mut client = asking("GET", HOST);
    client.feed("HTTP/1.1 200 OK\r\n\r\nhello");
    head(&mut client);
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"hello")));
    client.no_event();
    client.feed_end();
    assert_eq!(client.event(), Event::End(Trailers::default()));
    assert_eq!(client.close(), Some(Close::Both));
    assert_eq!(client.machine.send_request(&GET, Length::Known(0)), Err(CommandError::Closed));
}

#[test]
fn rfc9112_7_1_chunked_responses_with_trailers() {
    let mut client = asking("GET", HOST);
    client.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\nAge: 3\r\n\r\n");
    head(&mut client);
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"abc")));
    assert_eq!(client.event(), Event::End(Fields::new([("X-Sum", "1")]).unwrap()));
    assert!(client.machine.is_ready());
}

#[test]
fn rfc9112_9_3_persistence_of_responses() {
    for (response, persists) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
    ] {
        let mut client = asking("GET", HOST);
        client.feed(response).feed("later");
        head(&mut client);
        client.event();
        assert_eq!(client.machine.is_ready(), persists, "{response}");
        if !persists {
            assert_eq!(client.event(), Event::Closed);
            client.no_event();
            assert_eq!(&client.recv[..], b"later", "law 7");
            assert_eq!(client.close(), Some(Close::Both));
        }
    }
    let mut client = asking("GET", &[("Host", "a"), ("Connection", "close")]);
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head(&mut client);
    client.event();
    assert_eq!(client.close(), Some(Close::Both));
}

#[test]
fn rfc9110_15_2_informational_responses_precede_the_final_one() {
    let mut client = asking("GET", HOST);
    client.feed(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    );
    for status in [100, 103] {
        let Event::Informational(head) = client.event() else { panic!() };
        assert_eq!(head.status(), status);
    }
    assert_eq!(head(&mut client), 204);
    client.event();

    let mut client = asking("GET", HOST);
    client.feed("HTTP/1.1 102 Processing\r\n\r\n".repeat(17));
    assert_eq!(client.error(), Error::TooManyInformational);
}

#[test]
fn an_upload_goes_on_while_informational_responses_arrive() {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("PUT", "/", HOST), Length::Unknown).unwrap();
    for status in [102, 103] {
        client.machine.send_content(Bytes::from_static(b"x")).unwrap();
        client.feed(format!("HTTP/1.1 {status} \r\n\r\n"));
        assert!(matches!(client.event(), Event::Informational(head) if head.status() == status));
        assert_eq!(client.machine.state(), State::Sending);
    }
    client.machine.finish(None).unwrap();
    assert!(client.sent().ends_with("\r\n\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n"));
    client.feed("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(head(&mut client), 204);
}

#[test]
fn rfc9110_7_8_an_upgrade_leaves_what_follows_in_place() {
    let mut client = asking("GET", &[("Host", "a"), ("Upgrade", "websocket")]);
    client.feed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nframes");
    assert_eq!(head(&mut client), 101);
    assert!(client.machine.is_upgraded());
    client.no_event();
    assert_eq!(&client.recv[..], b"frames", "law 7");
    assert!(client.machine.into_transmit().is_empty());
}

#[test]
fn rfc9110_15_2_2_an_upgrade_that_was_not_offered_is_an_error() {
    let mut client = asking("GET", HOST);
    assert_eq!(client.feed("HTTP/1.1 101 Switching Protocols\r\n\r\n").error(), Error::UnexpectedUpgrade);
    let mut client = common::client();
    let fields = [("Host", "a"), ("Upgrade", "x")];
    client.machine.send_request(&PlainRequest::new("POST", "/", &fields), Length::Known(9)).unwrap();
    assert_eq!(client.feed("HTTP/1.1 101 Switching Protocols\r\n\r\n").error(), Error::UnexpectedUpgrade);
}

#[test]
fn rfc9110_9_3_6_a_tunnel_follows_2xx_to_connect() {
    let mut client = asking("CONNECT", &[]);
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\ntunnel");
    assert_eq!(head(&mut client), 200);
    assert!(client.machine.is_upgraded());
    assert_eq!(&client.recv[..], b"tunnel");

    let mut client = asking("CONNECT", &[]);
    client.feed("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!(head(&mut client), 407);
    assert!(!client.machine.is_upgraded());
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"no")));
}

#[test]
fn an_early_response_arrives_while_the_request_is_being_sent() {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("POST", "/", HOST), Length::Known(10)).unwrap();
    client.machine.send_content(Bytes::from_static(b"01234")).unwrap();
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    head(&mut client);
    client.event();
    client.event();
    assert_eq!(client.machine.state(), State::Answered);
    client.machine.send_content(Bytes::from_static(b"56789")).unwrap();
    client.machine.finish(None).unwrap();
    assert!(client.machine.is_ready());

    // Behind the last response nobody reads the rest of the request.
    let mut client = common::client();
    client.machine.send_request(&PlainRequest::new("POST", "/", HOST), Length::Known(10)).unwrap();
    client.feed("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(head(&mut client), 413);
    client.event();
    assert_eq!(client.machine.send_content(Bytes::from_static(b"0")), Err(CommandError::Closed));
    assert_eq!(client.close(), Some(Close::Both));
}

#[test]
fn rfc9112_9_5_a_close_instead_of_a_response_is_told_apart() {
    let mut client = asking("GET", HOST);
    assert_eq!(client.feed_end().error(), Error::NoResponse);
    for part in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"] {
        let mut client = asking("GET", HOST);
        assert_eq!(client.feed(part).feed_end().error(), Error::UnexpectedEnd, "{part}");
        assert_eq!(client.poll(), Err(Error::UnexpectedEnd));
        assert_eq!(client.machine.finish(None), Err(CommandError::Failed(Error::UnexpectedEnd)));
        assert_eq!(client.close(), Some(Close::Both));
    }
}

/// TLS that ends without close_notify: what its own framing ends is whole, what the close ends is not.
#[test]
fn rfc9112_9_8_content_until_an_incomplete_close_is_not_whole() {
    for (head_and_content, is_whole) in [
        ("HTTP/1.1 200 OK\r\n\r\nhi", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true),
    ] {
        let mut client = asking("GET", HOST);
        client.feed(head_and_content);
        client.recv.finish_truncated();
        assert_eq!(head(&mut client), 200);
        assert_eq!(client.event(), Event::Content(Bytes::from_static(b"hi")));
        if is_whole {
            assert!(matches!(client.event(), Event::End(_)));
        } else {
            assert_eq!(client.error(), Error::UnexpectedEnd);
        }
    }
}

#[test]
fn rfc9112_9_2_an_unrequested_response_is_an_error() {
    let mut client = client();
    assert_eq!(client.feed("HTTP/1.1 408 Request Timeout\r\n\r\n").error(), Error::UnrequestedResponse);
}

#[test]
fn the_server_may_close_between_exchanges() {
    let mut client = client();
    assert_eq!(client.feed_end().event(), Event::Closed);
    client.no_event();
    assert_eq!(client.close(), Some(Close::Both));
    assert!(!client.machine.is_ready());
    assert_eq!(client.machine.send_request(&GET, Length::Known(0)), Err(CommandError::Closed));
}

/// Whatever ends the connection in order; an error or a switch of protocols says so itself.
#[test]
fn the_end_of_the_connection_is_told_once() {
    const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let ends: [fn() -> Client; 5] = [
        || {
            let mut idle = client();
            idle.feed_end();
            idle
        },
        || {
            let mut answered = asking("GET", HOST);
            answered.feed(LAST);
            head(&mut answered);
            assert!(matches!(answered.event(), Event::End(_)));
            answered
        },
        || {
            let mut idle = client_with(Config { idle_timeout: Some(Duration::from_secs(1)), ..Config::default() });
            idle.expire();
            idle
        },
        || {
            let mut idle = client();
            idle.machine.shutdown();
            idle
        },
        || {
            let mut given_up = client();
            given_up.machine.abort();
            given_up
        },
    ];
    for end in ends {
        let mut client = end();
        assert_eq!(client.event(), Event::Closed);
        client.no_event();
        client.feed_end().no_event();
    }

    let mut client = asking("GET", HOST);
    client.feed_end();
    assert_eq!(client.error(), Error::NoResponse);
    let mut client = asking("GET", &[("Host", "a"), ("Upgrade", "x")]);
    client.feed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").event();
    client.feed_end().no_event();
}

#[test]
fn shutdown_waits_for_the_response() {
    let mut client = asking("GET", HOST);
    client.machine.shutdown();
    assert_eq!(client.close(), None);
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head(&mut client);
    client.event();
    assert_eq!(client.close(), Some(Close::Both));

    let mut client = common::client();
    client.machine.shutdown();
    assert_eq!(client.close(), Some(Close::Both));

    let mut client = asking("GET", HOST);
    client.machine.abort();
    assert_eq!(client.close(), Some(Close::Abort));
}

#[test]
fn limits_hold_for_responses() {
    let config = Config { max_head: 64, max_fields: 2, max_content: 10, ..Config::default() };
    for (response, error) in [
        (format!("HTTP/1.1 200 {}", "x".repeat(60)), Error::HeadTooLarge),
        ("HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\n".to_owned(), Error::TooManyFields),
        ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n".to_owned(), Error::ContentTooLarge),
    ] {
        let mut client = client_with(config.clone());
        client.machine.send_request(&GET, Length::Known(0)).unwrap();
        client.machine.finish(None).unwrap();
        assert_eq!(client.feed(&response).error(), error, "{response}");
    }
}

#[test]
fn rfc9110_9_3_6_a_tunnel_may_begin_before_the_end_of_connect_was_told() {
    let mut client = client();
    client.machine.send_request(&PlainRequest::new("CONNECT", "h:443", &[]), Length::Known(0)).unwrap();
    client.feed("HTTP/1.1 200 OK\r\n\r\ntunnel");
    assert_eq!(head(&mut client), 200);
    assert!(client.machine.is_upgraded());
    assert_eq!(&client.recv[..], b"tunnel");
    assert_eq!(client.machine.finish(None), Err(CommandError::Closed));
}

#[test]
fn dropped_trailers_are_counted() {
    let mut client = asking("GET", HOST);
    client.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\nX: y\r\nSet-Cookie: c\r\n\r\n");
    head(&mut client);
    assert_eq!(client.event(), Event::End(Fields::new([("X", "y")]).unwrap()));
    assert_eq!(client.machine.dropped_trailers(), 2);
}
