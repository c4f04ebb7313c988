//! Several exchanges under way on one connection (RFC 9112, 9.3.2).

mod common;

use bytes::Bytes;
use common::{Client, client_with, server};
use drywire_core::{Close, StreamMachine};
use drywire_http::client::{Config, Event, State};
use drywire_http::{CommandError, Error, Length, PlainRequest, PlainResponse, server as server_side};

const HOST: &[(&str, &str)] = &[("Host", "a")];
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

fn pipelining(depth: usize) -> Client {
    client_with(Config { max_pipeline: depth, ..Config::default() })
}

fn ask(client: &mut Client, method: &str, fields: &[(&str, &str)]) -> Result<(), CommandError> {
    let target = if method == "CONNECT" { "h:443" } else { "/" };
    client.machine.send_request(&PlainRequest::new(method, target, fields), Length::Known(0))?;
    client.machine.finish(None)
}

#[track_caller]
fn head(client: &mut Client) -> u16 {
    match client.event() {
        Event::Response(head) => head.status(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rfc9112_9_3_2_responses_belong_to_requests_in_order() {
    let mut client = pipelining(3);
    for method in ["GET", "HEAD", "GET"] {
        ask(&mut client, method, HOST).unwrap();
    }
    assert!(!client.machine.is_ready());
    assert_eq!(ask(&mut client, "GET", HOST), Err(CommandError::ExchangeUnderWay), "three at most");
    assert_eq!(client.sent().matches(" / HTTP/1.1\r\n").count(), 3);

    // The second one's length frames nothing, since it answers HEAD.
    client.feed(OK).feed("11").feed(OK).feed(OK).feed("33");
    assert_eq!((head(&mut client), client.machine.state()), (200, State::Receiving));
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"11")));
    assert!(matches!(client.event(), Event::End(_)));
    assert_eq!((client.machine.state(), client.machine.outstanding()), (State::Waiting, 2));
    assert_eq!(head(&mut client), 200);
    assert!(matches!(client.event(), Event::End(_)));
    assert_eq!(head(&mut client), 200);
    assert_eq!(client.event(), Event::Content(Bytes::from_static(b"33")));
    assert!(matches!(client.event(), Event::End(_)));
    assert_eq!((client.machine.state(), client.machine.outstanding()), (State::Idle, 0));
    assert!(client.machine.is_ready());
}

#[test]
fn a_request_is_sent_while_the_one_before_is_answered() {
    let mut client = pipelining(2);
    ask(&mut client, "GET", HOST).unwrap();
    client.feed(OK);
    head(&mut client);
    let post = PlainRequest::new("POST", "/", HOST);
    client.machine.send_request(&post, Length::Known(4)).unwrap();
    assert_eq!(client.machine.state(), State::Duplex);
    client.machine.send_content(Bytes::from_static(b"ab")).unwrap();
    client.feed("hi");
    client.event();
    assert!(matches!(client.event(), Event::End(_)));
    assert_eq!(client.machine.state(), State::Sending, "the newest is still being sent");
    client.machine.send_content(Bytes::from_static(b"cd")).unwrap();
    client.machine.finish(None).unwrap();
    assert_eq!(client.machine.state(), State::Waiting);
    client.feed(OK).feed("ok");
    assert_eq!(head(&mut client), 200);
}

#[test]
fn a_failure_tells_which_requests_were_unanswered() {
    let asked = || {
        let mut client = pipelining(8);
        for _ in 0..4 {
            ask(&mut client, "GET", HOST).unwrap();
        }
        client.feed(OK).feed("11");
        head(&mut client);
        client.event();
        client.event();
        client
    };
    // In mid-response: one has begun, two have not.
    let mut client = asked();
    assert_eq!(client.feed(OK).feed("2").feed_end().error(), Error::UnexpectedEnd);
    assert_eq!((client.machine.outstanding(), client.machine.unanswered()), (3, 2));
    // Between two responses.
    let mut client = asked();
    assert_eq!(client.feed_end().error(), Error::NoResponse);
    assert_eq!((client.machine.outstanding(), client.machine.unanswered()), (3, 3));
    // A broken one.
    let mut client = asked();
    assert_eq!(client.feed("HTTP/1.1 200 OK\nX").error(), Error::BareLf);
    assert_eq!(client.machine.unanswered(), 3);
}

#[test]
fn rfc9112_9_6_requests_behind_the_last_response_are_not_answered() {
    for close in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut client = pipelining(4);
        for _ in 0..3 {
            ask(&mut client, "GET", HOST).unwrap();
        }
        client.feed(close).feed(OK);
        assert_eq!(head(&mut client), 200);
        assert_eq!(ask(&mut client, "GET", HOST), Err(CommandError::Closed), "no request behind a close");
        assert!(matches!(client.event(), Event::End(_)), "the last response is whole");
        assert_eq!(client.poll(), Err(Error::NoResponse));
        assert_eq!(client.machine.unanswered(), 2);
        assert_eq!(client.close(), Some(Close::Both));
        assert_eq!(&client.recv[..], OK.as_bytes(), "law 7");
    }
    // What ends with the connection is the last one too.
    let mut client = pipelining(4);
    for _ in 0..2 {
        ask(&mut client, "GET", HOST).unwrap();
    }
    client.feed("HTTP/1.1 200 OK\r\n\r\nall").feed_end();
    assert_eq!(client.error(), Error::NoResponse);
    assert_eq!(client.machine.unanswered(), 1);
}

#[test]
fn nothing_follows_an_offer_to_switch_or_a_close() {
    let upgrade = [("Host", "a"), ("Upgrade", "x")];
    let close = [("Host", "a"), ("Connection", "close")];
    for (method, fields, refused) in [
        ("GET", &upgrade[..], CommandError::ExchangeUnderWay),
        ("CONNECT", &[], CommandError::ExchangeUnderWay),
        ("GET", &close, CommandError::Closed),
    ] {
        let mut client = pipelining(4);
        ask(&mut client, "GET", HOST).unwrap();
        ask(&mut client, method, fields).unwrap();
        assert_eq!(ask(&mut client, "GET", HOST), Err(refused), "{method}");
    }
    // The switch comes in its turn, and leaves what follows alone.
    let mut client = pipelining(4);
    ask(&mut client, "GET", HOST).unwrap();
    ask(&mut client, "GET", &upgrade).unwrap();
    client.feed(OK).feed("hi").feed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nframes");
    assert_eq!(head(&mut client), 200);
    client.event();
    client.event();
    assert_eq!(head(&mut client), 101);
    assert!(client.machine.is_upgraded());
    assert_eq!(&client.recv[..], b"frames");
    // An answer to the first may not switch.
    let mut client = pipelining(4);
    ask(&mut client, "GET", HOST).unwrap();
    ask(&mut client, "GET", &upgrade).unwrap();
    assert_eq!(client.feed("HTTP/1.1 101 Switching Protocols\r\n\r\n").error(), Error::UnexpectedUpgrade);
}

#[test]
fn shutdown_waits_for_the_whole_pipeline() {
    let mut client = pipelining(2);
    ask(&mut client, "GET", HOST).unwrap();
    ask(&mut client, "GET", HOST).unwrap();
    client.sent();
    client.machine.shutdown();
    assert_eq!(ask(&mut client, "GET", HOST), Err(CommandError::Closed));
    for _ in 0..2 {
        assert_eq!(client.close(), None);
        client.feed(OK).feed("hi");
        head(&mut client);
        client.event();
        client.event();
    }
    assert_eq!(client.event(), Event::Closed);
    client.no_event();
    assert_eq!(client.close(), Some(Close::Both));
}

/// Ten requests in one write; the answers in one read.
#[test]
fn a_pipeline_between_the_two_machines() {
    for step in [1, 50, 100_000] {
        let (mut client, mut server) = (pipelining(10), server());
        for n in 0..10 {
            let target = format!("/{n}");
            client.machine.send_request(&PlainRequest::new("GET", &target, HOST), Length::Known(0)).unwrap();
            client.machine.finish(None).unwrap();
        }
        let mut answers = Vec::new();
        while client.machine.outstanding() > 0 {
            server.feed(client.machine.transmit().pop(step));
            while let Some(event) = server.poll().unwrap() {
                if let server_side::Event::Request(head) = event {
                    let content = Bytes::copy_from_slice(head.target().as_bytes());
                    server.machine.respond(&PlainResponse::new(200, &[]), Length::Known(2)).unwrap();
                    server.machine.send_content(content).unwrap();
                    server.machine.finish(None).unwrap();
                }
            }
            client.feed(server.machine.transmit().pop(step));
            while let Some(event) = client.poll().unwrap() {
                match event {
                    Event::Response(_) => answers.push(Vec::new()),
                    Event::Content(content) => answers.last_mut().unwrap().extend_from_slice(&content),
                    _ => {}
                }
            }
        }
        let expected: Vec<_> = (0..10).map(|n| format!("/{n}").into_bytes()).collect();
        assert_eq!(answers, expected);
    }
}

/// While a response is prepared the server reads on, so that it notices the client's end, but no more than it may hold.
#[test]
fn a_server_reads_on_while_it_answers_up_to_its_mark() {
    let mut server = common::server_with(server_side::Config { receive_high_water: 100, ..Default::default() });
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    server.feed(get);
    server.event();
    server.event();
    server.no_event();
    assert!(server.reads());
    server.feed(get.repeat(5)).no_event();
    assert!(!server.reads(), "the mark is reached");
    server.machine.respond(&PlainResponse::new(200, &[]), Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    assert!(matches!(server.event(), server_side::Event::Request(_)), "no new input is needed");
}
