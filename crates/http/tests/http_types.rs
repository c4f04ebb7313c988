//! The types of the `http` crate, both ways.
#![cfg(feature = "http")]

mod common;

use common::{client, client_with, server};
use drywire_http::{Fields, Length, client as client_side, server as server_side};

#[test]
fn a_request_crosses_in_http_types() {
    let request = http::Request::post("http://user@example.org:81/p?q=1")
        .header("x-a", "1")
        .header("x-a", "2")
        .body("any")
        .unwrap();
    let mut client = client();
    client.machine.send_request(&request, Length::Known(0)).unwrap();
    client.machine.finish(None).unwrap();
    let sent = client.sent();
    assert_eq!(sent, "POST /p?q=1 HTTP/1.1\r\nHost: example.org:81\r\nx-a: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n");

    let mut server = server();
    let server_side::Event::Request(head) = server.feed(sent).event() else { panic!() };
    let received = http::Request::<()>::try_from(head).unwrap();
    assert_eq!(received.method(), http::Method::POST);
    assert_eq!(received.uri(), "/p?q=1");
    assert_eq!(received.version(), http::Version::HTTP_11);
    assert_eq!(received.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(received.headers()["host"], "example.org:81");

    let response = http::Response::builder().status(404).header("content-type", "text/plain").body(()).unwrap();
    server.machine.respond(&response, Length::Known(0)).unwrap();
    server.machine.finish(None).unwrap();
    let client_side::Event::Response(head) = client.feed(server.sent()).event() else { panic!() };
    let received = head.into_response().unwrap();
    assert_eq!(received.status(), http::StatusCode::NOT_FOUND);
    assert_eq!(received.headers()["content-type"], "text/plain");
}

#[test]
fn a_map_is_used_again_without_its_entries() {
    let mut old = http::HeaderMap::with_capacity(40);
    old.insert("x-old", http::HeaderValue::from_static("1"));
    let capacity = old.capacity();
    let mut server = server();
    let fields = "Host: a\r\nACCEPT: b\r\nX-Own: c\r\naccept: d\r\n";
    let server_side::Event::Request(head) = server.feed(format!("GET / HTTP/1.1\r\n{fields}\r\n")).event() else {
        panic!()
    };
    let received = head.clone().into_request_with(old).unwrap();
    assert_eq!(received.headers(), head.into_request().unwrap().headers());
    assert_eq!(received.headers().len(), 4);
    assert_eq!(received.headers().get_all("accept").iter().collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!((&received.headers()["x-own"], received.headers().capacity()), (&"c".parse().unwrap(), capacity));
}

#[test]
fn rfc9112_3_2_uris_become_targets_of_each_form() {
    let proxy = client_side::Config { absolute_form: true, ..client_side::Config::default() };
    for (config, method, uri, line) in [
        (client_side::Config::default(), "GET", "http://h", "GET / HTTP/1.1"),
        (client_side::Config::default(), "OPTIONS", "*", "OPTIONS * HTTP/1.1"),
        (client_side::Config::default(), "CONNECT", "h:443", "CONNECT h:443 HTTP/1.1"),
        (proxy, "GET", "http://h/p?q", "GET http://h/p?q HTTP/1.1"),
    ] {
        let mut request = http::Request::builder().method(method).uri(uri);
        if uri == "*" {
            request = request.header("host", "h");
        }
        let mut client = client_with(config);
        client.machine.send_request(&request.body(()).unwrap(), Length::Known(0)).unwrap();
        assert_eq!(client.sent().lines().next(), Some(line));
    }
}

#[test]
fn a_field_section_becomes_a_map() {
    let map = Fields::new([("A", "1"), ("b", "2"), ("a", "3")]).unwrap().to_header_map().unwrap();
    assert_eq!(map.len(), 3);
    assert_eq!(map.get_all("a").iter().collect::<Vec<_>>(), ["1", "3"]);
}
