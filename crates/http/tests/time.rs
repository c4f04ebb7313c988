//! Deadlines: what each state waits for, and what happens when it does not come.

mod common;

use core::time::Duration;

use bytes::Bytes;
use common::{client_with, server, server_with, status};
use drywire_core::{Close, Instant, StreamMachine};
use drywire_http::server::{Config, Event, State};
use drywire_http::{Error, Length, PlainRequest, PlainResponse, client, server as server_side};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: PlainResponse<'_> = PlainResponse::new(200, &[]);

#[test]
fn an_idle_connection_closes_without_a_word() {
    let mut server = server();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(60)));
    server.no_event();
    server.expire();
    assert_eq!(server.sent(), "");
    assert_eq!(server.close(), Some(Close::WriteHalf));
    server.no_event();
    server.expire();
    assert_eq!(server.close(), Some(Close::Both));
    assert_eq!(server.machine.poll_timeout(), None);
}

#[test]
fn rfc9110_15_5_9_a_slow_head_is_answered_with_408() {
    let mut server = server();
    server.now = Instant::from_secs(10);
    server.feed("G").no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(40)));
    // Dripping on does not help.
    server.now = Instant::from_secs(39);
    server.feed("ET").no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(40)));
    server.expire();
    assert_eq!(status(&server.sent()), 408);
    assert_eq!(server.error(), Error::HeadTimeout);
    assert_eq!(server.close(), Some(Close::WriteHalf));
}

#[test]
fn content_has_to_make_progress() {
    let mut server = server_with(Config { min_content_rate: 0, ..Config::default() });
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    server.event();
    assert_eq!(server.machine.poll_timeout(), None, "the caller has the event");
    server.now = Instant::from_secs(100);
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(130)));
    server.now = Instant::from_secs(120);
    server.feed("h");
    assert_eq!(server.event(), Event::Content(Bytes::from_static(b"h")));
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(150)));
    server.expire();
    assert_eq!(status(&server.sent()), 408);
    assert_eq!(server.error(), Error::ContentTimeout);
}

#[test]
fn a_slow_application_has_all_the_time_it_wants() {
    let mut server = server();
    server.feed(GET);
    server.event();
    server.event();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), None);
    server.now = Instant::from_secs(3600);
    server.machine.handle_timeout(server.now);
    server.machine.respond(&OK, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    server.sent();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(3660)), "idle from now on");
}

#[test]
fn lingering_ends() {
    let mut server = server();
    server.feed("\0");
    server.error();
    server.sent();
    server.error();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(5)));
    server.expire();
    assert_eq!(server.close(), Some(Close::Both));
    assert_eq!(server.error(), Error::Nul);
}

#[test]
fn a_peer_that_takes_its_response_slowly_is_waited_for_and_a_dead_one_is_not() {
    let mut server = server();
    server.feed(GET);
    server.event();
    server.machine.respond(&OK, Length::Known(50_000)).unwrap();
    server.machine.send_content(Bytes::from(vec![0; 50_000])).unwrap();
    server.machine.finish(None).unwrap();
    server.event();
    server.no_event();
    for _ in 0..3 {
        server.machine.transmit().pop(100);
        server.expire();
        assert_eq!(server.machine.state(), State::Idle);
        server.no_event();
    }
    server.expire();
    assert_eq!(server.error(), Error::SendTimeout);
    assert_eq!(server.close(), Some(Close::Abort));
}

#[test]
fn timeouts_can_be_switched_off() {
    let config =
        Config { idle_timeout: None, head_timeout: None, content_timeout: None, ..server_side::Config::default() };
    let mut server = server_with(config);
    for input in ["", "POST / HTTP/1.1\r\nHost: a\r\n", "Content-Length: 5\r\n\r\n"] {
        server.feed(input);
        while server.poll().unwrap().is_some() {}
        assert_eq!(server.machine.poll_timeout(), None);
    }
}

#[test]
fn time_that_goes_backwards_is_clamped() {
    let mut server = server();
    server.now = Instant::from_secs(50);
    server.no_event();
    server.now = Instant::ORIGIN;
    server.feed("G").no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(80)));
}

#[test]
fn a_deadline_at_the_end_of_time_is_none() {
    let mut server = server();
    server.now = Instant::MAX;
    server.feed("G").no_event();
    assert_eq!(server.machine.poll_timeout(), None);
    let config = Config { linger_timeout: Duration::ZERO, ..Config::default() };
    let mut server = server_with(config);
    server.machine.shutdown();
    server.no_event();
    server.expire();
    assert_eq!(server.close(), Some(Close::Both));
}

fn asking(config: client::Config) -> common::Client {
    let mut client = client_with(config);
    client.machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    client
}

#[test]
fn a_client_waits_for_its_response_as_long_as_configured() {
    let config = client::Config { response_timeout: Some(Duration::from_secs(3)), ..client::Config::default() };
    let mut client = asking(config);
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_secs(3)));
    client.now = Instant::from_secs(2);
    client.feed("HTTP/1.1 102 Processing\r\n\r\n").event();
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_secs(5)), "102 is a sign of life");
    client.expire();
    assert_eq!(client.error(), Error::ResponseTimeout);
    assert_eq!(client.close(), Some(Close::Both));

    let mut client = asking(client::Config::default());
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn a_client_waits_for_content_and_between_requests_as_long_as_configured() {
    let config = client::Config {
        content_timeout: Some(Duration::from_secs(3)),
        idle_timeout: Some(Duration::from_secs(7)),
        ..client::Config::default()
    };
    let mut client = asking(config.clone());
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n").event();
    client.no_event();
    client.expire();
    assert_eq!(client.error(), Error::ContentTimeout);

    let mut client = asking(config);
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").event();
    client.event();
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_secs(7)));
    client.expire();
    assert_eq!(client.close(), Some(Close::Both));
    assert_eq!(client.event(), client::Event::Closed);
    client.no_event();
}

#[test]
fn content_has_to_come_at_a_minimum_rate() {
    let config = Config { min_content_rate: 10, content_timeout: Some(Duration::from_secs(20)), ..Config::default() };
    let mut server = server_with(config);
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n");
    server.event();
    server.no_event();
    // Twenty seconds of grace, and one more for each ten bytes. The peer never pauses for longer than it may.
    let mut spent = 0;
    for (seconds, bytes) in [(8, 1), (8, 30), (6, 1)] {
        spent += seconds;
        server.now = Instant::from_secs(spent);
        server.feed("x".repeat(bytes));
        server.event();
        server.no_event();
    }
    // 22 s waited for 32 bytes: one second is left.
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(23)));
    server.expire();
    assert_eq!(status(&server.sent()), 408);
    assert_eq!(server.error(), Error::ContentTimeout);
}

#[test]
fn the_rate_counts_only_the_time_in_which_content_is_waited_for() {
    let config = Config { min_content_rate: 1000, content_timeout: Some(Duration::from_secs(20)), ..Config::default() };
    let mut server = server_with(config);
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n");
    server.event();
    server.no_event();
    // The application holds each event for a minute; the peer took one second.
    for turn in 1..5 {
        server.now = Instant::from_secs(61 * turn - 60);
        server.feed("x");
        server.event();
        server.now = Instant::from_secs(61 * turn);
        server.no_event();
    }
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(61 * 4 + 16)));
    // Once the response has begun it is a conversation, and only a pause ends it.
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.sent();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(61 * 4 + 20)));
}

#[test]
fn a_response_that_nobody_takes_is_given_up() {
    let config = Config { send_timeout: Some(Duration::from_secs(9)), ..Config::default() };
    let mut server = server_with(config);
    server.feed(GET);
    server.event();
    server.event();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), None, "nothing is queued");
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.machine.send_content(Bytes::from(vec![0; 5000])).unwrap();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(9)));
    // One byte is progress, whatever is queued behind it.
    server.now = Instant::from_secs(8);
    server.machine.transmit().pop(1);
    server.machine.send_content(Bytes::from(vec![0; 5000])).unwrap();
    server.expire();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(18)));
    server.expire();
    assert_eq!(server.error(), Error::SendTimeout);
    assert_eq!(server.close(), Some(Close::Abort));
    assert_eq!(server.sent(), "");
    assert_eq!(server.machine.poll_timeout(), None);

    // All taken: there is nothing to wait for.
    let mut server = server_side_with_response();
    server.sent();
    assert_eq!(server.machine.poll_timeout(), None);
}

/// A server in the middle of a response.
fn server_side_with_response() -> common::Server {
    let mut server = server();
    server.feed(GET);
    server.event();
    server.event();
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.no_event();
    assert!(server.machine.poll_timeout().is_some());
    server
}

/// An echo whose client sends and does not read: it is not the content that is late.
#[test]
fn a_client_that_does_not_read_is_not_taken_for_one_that_does_not_write() {
    let config = Config { send_high_water: 10, content_timeout: Some(Duration::from_secs(1)), ..Config::default() };
    let mut server = server_with(config);
    server.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n");
    server.event();
    server.machine.respond(&OK, Length::Unknown).unwrap();
    server.no_event();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(60)));
    server.machine.transmit().pop(5);
    server.expire();
    assert_eq!(server.machine.poll_timeout(), Some(Instant::from_secs(120)));
    server.sent();
    server.no_event();
    server.expire();
    assert_eq!(server.error(), Error::ContentTimeout, "now it is");
}

#[test]
fn a_request_that_nobody_takes_is_given_up() {
    let config = client::Config { send_timeout: Some(Duration::from_secs(9)), ..client::Config::default() };
    let mut client = asking(config);
    client.no_event();
    assert_eq!(client.machine.poll_timeout(), Some(Instant::from_secs(9)));
    client.expire();
    assert_eq!(client.error(), Error::SendTimeout);
    assert_eq!(client.close(), Some(Close::Abort));
    assert_eq!(client.machine.unanswered(), 1);
}
