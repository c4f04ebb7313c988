//! The limits on what is held and sent, at them and one beyond. Those on what arrives are in `corpus/limits.txt`.

mod common;

use bytes::Bytes;
use common::{client_with, server_with};
use drywire_core::Close;
use drywire_http::{CommandError, Length, PlainRequest, PlainResponse, client, server};

const HOST: &[(&str, &str)] = &[("Host", "a")];
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: PlainResponse<'_> = PlainResponse::new(200, &[]);

#[test]
fn a_queue_is_full_from_its_mark_on() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".len();
    for (high_water, full) in [(head, true), (head + 1, false)] {
        let mut server = server_with(server::Config { send_high_water: high_water, ..server::Config::default() });
        server.feed(GET).event();
        server.machine.respond(&OK, Length::Unknown).unwrap();
        let content = Bytes::from_static(b"x");
        let sent = server.machine.send_content(content.clone());
        assert_eq!(sent, if full { Err(CommandError::Full(content)) } else { Ok(()) });
    }
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".len();
    for (high_water, full) in [(head, true), (head + 1, false)] {
        let mut client = client_with(client::Config { send_high_water: high_water, ..client::Config::default() });
        client.machine.send_request(&PlainRequest::new("POST", "/", HOST), Length::Unknown).unwrap();
        let content = Bytes::from_static(b"x");
        let sent = client.machine.send_content(content.clone());
        assert_eq!(sent, if full { Err(CommandError::Full(content)) } else { Ok(()) });
    }
}

#[test]
fn nothing_is_read_from_the_receive_mark_on() {
    let mut server = server_with(server::Config { receive_high_water: 50, ..server::Config::default() });
    server.feed(GET).event();
    server.event();
    // The next request waits for the answer to this one.
    server.feed([b'x'; 49]).no_event();
    assert!(server.reads());
    server.feed("x").no_event();
    assert!(!server.reads());

    let mut client = client_with(client::Config { receive_high_water: 50, ..client::Config::default() });
    client.machine.send_request(&PlainRequest::new("POST", "/", HOST), Length::Unknown).unwrap();
    client.feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").event();
    client.event();
    // The response is over before its request.
    client.feed([b'x'; 49]).no_event();
    assert!(client.reads());
    client.feed("x").no_event();
    assert!(!client.reads());
}

#[test]
fn as_many_requests_are_under_way_as_the_pipeline_is_deep() {
    for depth in [1, 2, 10] {
        let mut client = client_with(client::Config { max_pipeline: depth, ..client::Config::default() });
        let get = PlainRequest::new("GET", "/", HOST);
        for _ in 0..depth {
            client.machine.send_request(&get, Length::Known(0)).unwrap();
            client.machine.finish(None).unwrap();
        }
        assert_eq!(client.machine.send_request(&get, Length::Known(0)), Err(CommandError::ExchangeUnderWay));
    }
}

#[test]
fn lingering_drops_as_much_as_its_limit() {
    let mut server = server_with(server::Config { linger_limit: 10, ..server::Config::default() });
    server.feed("\0").error();
    server.sent();
    server.feed([b'x'; 9]).error();
    assert_eq!(server.close(), Some(Close::WriteHalf));
    server.feed("x").error();
    assert_eq!(server.close(), Some(Close::Both));
}
