//! RFC 6455, 4: the opening handshake, both halves, on the HTTP machines.

mod common;

use core::time::Duration;

use common::*;
use drywire_core::{Buf, Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_http::{Fields, Length, RequestHead, ResponseParts, server};
use drywire_ws::client::{self, Client};
use drywire_ws::deflate::{Parameters, Pool};
use drywire_ws::handshake::{
    self, ClientHandshake, HandshakeError, Offer, OfferError, OriginPolicy, Policy, Rejection, StreamHandshake,
    accept_stream,
};
use drywire_ws::{Config, Connection, Event, Role};

/// RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const NONCE: &[u8; 16] = b"the sample nonce";

/// The request of RFC 6455, 1.2, line by line.
const REQUEST: &[&str] = &[
    "GET /chat HTTP/1.1",
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Origin: http://server.example.com",
    "Sec-WebSocket-Protocol: chat, superchat",
    "Sec-WebSocket-Version: 13",
];

/// The head that a server machine reads from these lines.
fn request(lines: &[&str]) -> RequestHead {
    let mut http = server::Connection::new(NOW, server::Config::default());
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    match http.poll_event(NOW, &mut recv) {
        Ok(Some(server::Event::Request(head))) => head,
        other => panic!("{other:?}"),
    }
}

/// The request with the line that starts with `name` replaced by `lines`.
fn with(name: &str, lines: &[&str]) -> RequestHead {
    let mut request_lines: Vec<&str> = REQUEST.iter().copied().filter(|line| !line.starts_with(name)).collect();
    assert!(request_lines.len() < REQUEST.len());
    request_lines.extend(lines);
    if name == "GET" {
        request_lines.rotate_right(lines.len());
    }
    request(&request_lines)
}

fn fields(parts: &impl ResponseParts) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    parts.fields().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

fn policy(protocols: &[&str]) -> Policy {
    Policy { protocols: protocols.iter().map(ToString::to_string).collect(), ..Policy::default() }
}

#[test]
fn rfc6455_1_3_the_example_is_accepted() {
    let acceptance = handshake::accept(&request(REQUEST), &policy(&["chat"])).unwrap();
    assert_eq!(acceptance.protocol(), Some("chat"));
    assert_eq!(acceptance.status(), 101);
    let accept = format!("Sec-WebSocket-Accept: {ACCEPT}");
    assert_eq!(
        fields(&acceptance),
        ["Upgrade: websocket", "Connection: Upgrade", &accept, "Sec-WebSocket-Protocol: chat"]
    );
}

#[track_caller]
fn rejected(request: &RequestHead, reason: Rejection, status: u16) {
    assert_eq!(handshake::accept(request, &Policy::default()), Err(reason));
    assert_eq!(reason.status(), status);
}

#[test]
fn rfc6455_4_2_1_1_the_method_is_get() {
    let post = with("GET", &["POST /chat HTTP/1.1"]);
    rejected(&post, Rejection::Method, 405);
    assert_eq!(fields(&Rejection::Method), ["Allow: GET"]);
    // Methods are case-sensitive.
    rejected(&with("GET", &["get /chat HTTP/1.1"]), Rejection::Method, 405);
}

#[test]
fn rfc6455_4_2_1_1_the_version_is_http_1_1_or_higher() {
    rejected(&with("GET", &["GET /chat HTTP/1.0"]), Rejection::HttpVersion, 400);
}

#[test]
fn rfc6455_4_2_1_3_upgrade_holds_websocket_in_any_case_and_among_others() {
    rejected(&with("Upgrade", &[]), Rejection::Upgrade, 426);
    rejected(&with("Upgrade", &["Upgrade: h2c"]), Rejection::Upgrade, 426);
    rejected(&with("Upgrade", &["Upgrade: websockets"]), Rejection::Upgrade, 426);
    // RFC 9110, 15.5.22: 426 says to what.
    assert_eq!(fields(&Rejection::Upgrade), ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]);
    for line in ["Upgrade: WebSocket", "upgrade: h2c, WEBSOCKET", "Upgrade:websocket,"] {
        assert!(handshake::accept(&with("Upgrade", &[line]), &Policy::default()).is_ok(), "{line}");
    }
    assert!(handshake::accept(&with("Upgrade", &["Upgrade: h2c", "Upgrade: websocket"]), &Policy::default()).is_ok());
}

#[test]
fn rfc6455_4_2_1_4_connection_holds_upgrade_in_any_case_and_among_others() {
    rejected(&with("Connection", &[]), Rejection::Connection, 426);
    rejected(&with("Connection", &["Connection: keep-alive"]), Rejection::Connection, 426);
    for line in ["Connection: keep-alive, Upgrade", "connection: UPGRADE", "Connection: , upgrade ,keep-alive"] {
        assert!(handshake::accept(&with("Connection", &[line]), &Policy::default()).is_ok(), "{line}");
    }
}

#[test]
fn rfc6455_4_2_1_5_the_key_is_16_bytes_in_base64() {
    let name = "Sec-WebSocket-Key";
    rejected(&with(name, &[]), Rejection::Key, 400);
    let long = "A".repeat(4000);
    for key in [
        "",
        "c2hvcnQ=",
        "SGVsbG8sIHdvcmxkIQ==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZSEh",
        "dGhlIHNhbXBsZSBub25j*Q==",
        "dGhlIHNhbXBs ZSBub25jZQ==",
        &long,
    ] {
        rejected(&with(name, &[&format!("{name}: {key}")]), Rejection::Key, 400);
    }
    // 11.3.1: once.
    let line = format!("{name}: {KEY}");
    rejected(&with(name, &[&line, &line]), Rejection::Key, 400);
}

#[test]
fn rfc6455_4_4_the_version_is_13_and_another_is_told_so() {
    let name = "Sec-WebSocket-Version";
    rejected(&with(name, &[]), Rejection::NoVersion, 400);
    rejected(&with(name, &["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"]), Rejection::NoVersion, 400);
    for version in ["8", "14", "013", "13, 8", ""] {
        rejected(&with(name, &[&format!("{name}: {version}")]), Rejection::Version, 426);
    }
    assert_eq!(fields(&Rejection::Version), ["Upgrade: websocket", "Sec-WebSocket-Version: 13"]);
}

#[test]
fn rfc6455_4_2_2_the_server_chooses_the_sub_protocol_that_it_prefers() {
    for (spoken, chosen) in [
        (&["superchat", "chat"][..], Some("superchat")),
        (&["mqtt", "chat", "superchat"], Some("chat")),
        (&["mqtt"], None),
        // Sub-protocol names are case-sensitive (11.5).
        (&["Chat"], None),
        (&[], None),
    ] {
        let acceptance = handshake::accept(&request(REQUEST), &policy(spoken)).unwrap();
        assert_eq!(acceptance.protocol(), chosen);
        let sent = fields(&acceptance).iter().any(|line| line.starts_with("Sec-WebSocket-Protocol"));
        assert_eq!(sent, chosen.is_some());
    }
    // 11.3.4: the list may be spread over lines.
    let lines = ["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b, c"];
    let spread = with("Sec-WebSocket-Protocol", &lines);
    assert_eq!(handshake::accept(&spread, &policy(&["c"])).unwrap().protocol(), Some("c"));
    let none = with("Sec-WebSocket-Protocol", &[]);
    assert_eq!(handshake::accept(&none, &policy(&["c"])).unwrap().protocol(), None);
}

#[test]
fn rfc6455_4_1_10_offered_sub_protocols_are_different_tokens() {
    let many = (0..101).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    for list in ["chat, chat", "ch at", "chat;q=1", "\"chat\"", &many] {
        let line = format!("Sec-WebSocket-Protocol: {list}");
        rejected(&with("Sec-WebSocket-Protocol", &[&line]), Rejection::Protocol, 400);
    }
}

#[test]
fn rfc6455_10_2_pages_from_elsewhere_are_refused_by_default() {
    let foreign = with("Origin", &["Origin: https://evil.example"]);
    rejected(&foreign, Rejection::Origin, 403);
    rejected(&with("Origin", &["Origin: null"]), Rejection::Origin, 403);
    rejected(&with("Origin", &["Origin: http://server.example.com:8080"]), Rejection::Origin, 403);
    let twice = with("Origin", &["Origin: http://server.example.com", "Origin: http://server.example.com"]);
    rejected(&twice, Rejection::Origin, 403);
    // What is no browser sends none.
    assert!(handshake::accept(&with("Origin", &[]), &Policy::default()).is_ok());

    let any = Policy { origin: OriginPolicy::Any, ..Policy::default() };
    assert!(handshake::accept(&foreign, &any).is_ok());
    let list = Policy { origin: OriginPolicy::List(vec!["https://evil.example".into()]), ..Policy::default() };
    assert!(handshake::accept(&foreign, &list).is_ok());
    assert_eq!(handshake::accept(&request(REQUEST), &list), Err(Rejection::Origin));
}

#[test]
fn an_acceptance_may_carry_further_fields() {
    let mut acceptance = handshake::accept(&request(REQUEST), &Policy::default()).unwrap();
    acceptance.add_field("Set-Cookie", "a=b");
    assert_eq!(fields(&acceptance).last().unwrap(), "Set-Cookie: a=b");
}

#[test]
fn rfc6455_4_1_the_request_has_all_that_it_must_have() {
    let offer = Offer {
        protocols: vec!["chat".into(), "superchat".into()],
        origin: Some("http://example.com".into()),
        fields: vec![("Cookie".into(), "a=b".into())],
        ..Offer::new("server.example.com:8080", "/chat?x=1")
    };
    let mut client = Client::new(NOW, offer, client::Config::default(), &Seed::from(1)).unwrap();
    let queue = client.transmit();
    let mut recv = RecvBuf::new();
    recv.push(queue.copy_to_bytes(queue.len()));
    let mut http = server::Connection::new(NOW, server::Config::default());
    let Some(server::Event::Request(head)) = http.poll_event(NOW, &mut recv).unwrap() else { panic!("a request") };
    assert_eq!(head.to_string(), "GET /chat?x=1 HTTP/1.1");
    let value = |name| head.field(name).map(|value| String::from_utf8(value.to_vec()).unwrap());
    assert_eq!(value("host").unwrap(), "server.example.com:8080");
    assert_eq!(value("upgrade").unwrap(), "websocket");
    assert_eq!(value("connection").unwrap().to_lowercase(), "upgrade");
    assert_eq!(value("sec-websocket-version").unwrap(), "13");
    assert_eq!(value("sec-websocket-key").unwrap().len(), 24);
    assert_eq!(value("sec-websocket-protocol").unwrap(), "chat, superchat");
    assert_eq!(value("origin").unwrap(), "http://example.com");
    assert_eq!(value("cookie").unwrap(), "a=b");
    assert_eq!(value("content-length"), None);
    for name in ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"] {
        assert_eq!(head.field_section().field_values(name).count(), 1, "{name}");
    }
}

#[test]
fn rfc6455_4_1_7_every_seed_has_its_own_nonce() {
    let key = |seed| {
        let offer = Offer::new("h", "/");
        let mut client = Client::new(NOW, offer, client::Config::default(), &Seed::from(seed)).unwrap();
        client.transmit().pop(1000)
    };
    assert_ne!(key(1), key(2));
    assert_eq!(key(1), key(1));
}

#[test]
fn an_offer_that_breaks_a_rule_is_not_made() {
    let offer = |protocols: &[&str], fields: &[(&str, &str)]| Offer {
        protocols: protocols.iter().map(ToString::to_string).collect(),
        fields: fields.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        ..Offer::new("example.com", "/")
    };
    let result = |offer| Client::new(NOW, offer, client::Config::default(), &Seed::from(1)).map(drop);
    assert_eq!(result(offer(&["a", "a"], &[])), Err(OfferError::RepeatedProtocol("a".into())));
    for name in ["", "a b", "a,b", "ü"] {
        assert_eq!(result(offer(&[name], &[])), Err(OfferError::InvalidProtocol(name.into())));
    }
    for name in ["Host", "sec-websocket-key", "Sec-WebSocket-Extensions", "CONNECTION"] {
        assert_eq!(result(offer(&[], &[(name, "x")])), Err(OfferError::ReservedField(name.into())));
    }
    assert!(matches!(result(offer(&[], &[("X", "a\r\nb")])), Err(OfferError::Http(_))));
    assert!(matches!(result(Offer::new("example.com", "no slash")), Err(OfferError::Http(_))));
    assert!(matches!(result(Offer::new("bad host", "/")), Err(OfferError::Http(_))));
}

/// A client that has sent its request with the sample nonce, and a server's answer of these lines.
fn answered(lines: &[&str]) -> Result<Option<String>, HandshakeError> {
    use drywire_http::client as http;
    let offer = Offer { protocols: vec!["chat".into(), "superchat".into()], ..Offer::new("example.com", "/") };
    let handshake = ClientHandshake::new(*NONCE, offer).unwrap();
    let mut http = http::Connection::new(NOW, http::Config::default());
    http.send_request(&handshake, Length::Known(0)).unwrap();
    http.finish(None).unwrap();
    http.transmit().clear();
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    match http.poll_event(NOW, &mut recv) {
        Ok(Some(http::Event::Response(head))) => handshake.verify(&head).map(|agreed| agreed.protocol),
        other => panic!("{other:?}"),
    }
}

const STATUS: &str = "HTTP/1.1 101 Switching Protocols";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION_UPGRADE: &str = "Connection: Upgrade";
const PROOF: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[test]
fn rfc6455_4_1_a_good_answer_opens() {
    assert_eq!(answered(&[STATUS, UPGRADE, CONNECTION_UPGRADE, PROOF]), Ok(None));
    let chosen = "Sec-WebSocket-Protocol: superchat";
    assert_eq!(answered(&[STATUS, UPGRADE, CONNECTION_UPGRADE, PROOF, chosen]), Ok(Some("superchat".into())));
    let loose = [STATUS, "UPGRADE: WebSocket", "connection: keep-alive, upgrade", PROOF, "X-Other: y"];
    assert_eq!(answered(&loose), Ok(None));
}

#[test]
fn rfc6455_4_1_the_status_is_101() {
    let ok = "HTTP/1.1 200 OK";
    assert_eq!(answered(&[ok, UPGRADE, CONNECTION_UPGRADE, PROOF]), Err(HandshakeError::Status(200)));
}

#[test]
fn rfc6455_4_1_the_answer_upgrades_to_websocket() {
    for lines in [
        &[STATUS, CONNECTION_UPGRADE, PROOF][..],
        &[STATUS, "Upgrade: h2c", CONNECTION_UPGRADE, PROOF],
        &[STATUS, UPGRADE, UPGRADE, CONNECTION_UPGRADE, PROOF],
    ] {
        assert_eq!(answered(lines), Err(HandshakeError::Upgrade));
    }
}

#[test]
fn rfc6455_4_1_the_answer_holds_the_connection_token() {
    for lines in [&[STATUS, UPGRADE, PROOF][..], &[STATUS, UPGRADE, "Connection: upgraded", PROOF]] {
        assert_eq!(answered(lines), Err(HandshakeError::Connection));
    }
}

#[test]
fn rfc6455_4_1_the_answer_proves_that_it_read_the_key() {
    for proof in [
        &[][..],
        &["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO="],
        &["Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO="],
        &["Sec-WebSocket-Accept:"],
        &[PROOF, PROOF],
    ] {
        let lines = [&[STATUS, UPGRADE, CONNECTION_UPGRADE][..], proof].concat();
        assert_eq!(answered(&lines), Err(HandshakeError::Accept));
    }
}

#[test]
fn rfc6455_4_1_the_answer_uses_no_extension_that_was_not_offered() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate";
    let lines = [STATUS, UPGRADE, CONNECTION_UPGRADE, PROOF, extension];
    assert_eq!(answered(&lines), Err(HandshakeError::UnofferedExtension));
}

#[test]
fn rfc6455_4_1_the_answer_chooses_an_offered_sub_protocol_or_none() {
    for choice in [
        &["Sec-WebSocket-Protocol: mqtt"][..],
        &["Sec-WebSocket-Protocol: Chat"],
        &["Sec-WebSocket-Protocol: chat, superchat"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat"],
        &["Sec-WebSocket-Protocol:"],
    ] {
        let lines = [&[STATUS, UPGRADE, CONNECTION_UPGRADE, PROOF][..], choice].concat();
        assert_eq!(answered(&lines), Err(HandshakeError::UnofferedProtocol));
    }
}

fn new_client() -> Client {
    let offer = Offer { protocols: vec!["chat".into()], ..Offer::new("example.com", "/") };
    Client::new(NOW, offer, client::Config::default(), &Seed::from(3)).unwrap()
}

/// The server's answer to what `client` has sent, and the server's connection.
fn serve(client: &mut Client) -> Connection {
    let queue = client.transmit();
    let mut recv = RecvBuf::new();
    recv.push(queue.copy_to_bytes(queue.len()));
    let mut http = server::Connection::new(NOW, server::Config::default());
    let mut acceptance = None;
    while let Some(event) = http.poll_event(NOW, &mut recv).unwrap() {
        if let server::Event::Request(request) = event {
            acceptance = Some(handshake::accept(&request, &policy(&["chat"])).unwrap());
        }
    }
    http.upgrade(&acceptance.unwrap()).unwrap();
    Connection::new(NOW, Role::Server, Config::default(), &Seed::from(0), http.into_transmit())
}

fn poll(client: &mut Client, recv: &mut RecvBuf) -> Result<Vec<client::Event>, client::Error> {
    let mut events = Vec::new();
    while let Some(event) = client.poll_event(NOW, recv)? {
        events.push(event);
    }
    Ok(events)
}

#[test]
fn a_client_opens_on_our_server_and_loses_nothing_behind_the_answer() {
    let mut client = new_client();
    assert!(client.connection().is_none());
    let mut server = serve(&mut client);
    server.send_text("first").unwrap();
    let queue = server.transmit();
    let wire = queue.copy_to_bytes(queue.len());
    for split in 0..=wire.len() {
        let mut client = new_client();
        client.transmit().clear();
        let mut recv = RecvBuf::new();
        let mut events = Vec::new();
        for piece in [&wire[..split], &wire[split..]] {
            recv.extend_from_slice(piece);
            events.extend(poll(&mut client, &mut recv).unwrap());
        }
        let [client::Event::Open { protocol, response, .. }, client::Event::Connection(first)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((protocol.as_deref(), response.status(), first), (Some("chat"), 101, &text("first")));
        assert_eq!(client.poll_timeout(), None);

        // Now it is the connection.
        client.connection_mut().unwrap().send_text("answer").unwrap();
        let queue = client.transmit();
        let answer = frames(&queue.copy_to_bytes(queue.len()));
        assert_eq!((answer[0].masked, &answer[0].payload[..]), (true, &b"answer"[..]));
        recv.extend_from_slice(&plain(CLOSE, b""));
        assert_eq!(poll(&mut client, &mut recv).unwrap().len(), 1);
        recv.finish();
        assert_eq!(poll(&mut client, &mut recv).unwrap().len(), 0);
        client.transmit().clear();
        assert_eq!(client.demand(), Demand { read: false, close: Some(Close::Both) });
        assert!(client.into_connection().is_some());
    }
}

#[test]
fn a_refusal_is_told_as_a_whole_response() {
    let mut client = new_client();
    client.transmit().clear();
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n\r\n");
    recv.extend_from_slice(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nlogin");
    let events = poll(&mut client, &mut recv).unwrap();
    let [client::Event::Refused(response), client::Event::Content(content), client::Event::End] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((response.status(), response.field("www-authenticate")), (401, Some(&b"Basic"[..])));
    assert_eq!(content, "login");
    assert_eq!(client.demand(), Demand { read: false, close: Some(Close::Both) });
    assert_eq!(client.poll_timeout(), None);
    assert!(client.connection_mut().is_none());
}

/// 4.1: "If the status code received from the server is not 101, the client handles the response per HTTP procedures": it might
/// have to authenticate, or be redirected. The head and all content are told, however the content is framed.
#[test]
fn rfc6455_4_1_a_redirect_and_an_offer_of_other_versions_are_told_as_responses() {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: wss://b.example/chat\r\nTransfer-Encoding: chunked\r\n\r\n\
                     4\r\nmove\r\n1\r\nd\r\n0\r\n\r\n";
    let versions = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8, 7\r\nConnection: close\r\n\r\nmoved";
    for (wire, status, field, value) in [
        (&redirect[..], 302, "location", &b"wss://b.example/chat"[..]),
        (versions, 426, "sec-websocket-version", b"8, 7"),
    ] {
        for step in [1, wire.len()] {
            let mut client = new_client();
            client.transmit().clear();
            let mut recv = RecvBuf::new();
            let mut events = Vec::new();
            for piece in wire.chunks(step) {
                recv.extend_from_slice(piece);
                events.extend(poll(&mut client, &mut recv).unwrap());
            }
            recv.finish();
            events.extend(poll(&mut client, &mut recv).unwrap());
            let Some(client::Event::Refused(response)) = events.first() else { panic!("{events:?}") };
            assert_eq!((response.status(), response.field(field)), (status, Some(value)));
            let content = events.iter().filter_map(|event| match event {
                client::Event::Content(piece) => Some(&piece[..]),
                _ => None,
            });
            assert_eq!(content.collect::<Vec<_>>().concat(), b"moved");
            assert_eq!(events.last(), Some(&client::Event::End));
            assert!(client.connection_mut().is_none());
        }
    }
}

/// The check for repetitions compares each with each, so their number is limited.
#[test]
fn more_than_100_sub_protocols_are_refused() {
    let offer = |count: usize| {
        let list: Vec<_> = (0..count).map(|n| format!("p{n}")).collect();
        with("Sec-WebSocket-Protocol", &[&format!("Sec-WebSocket-Protocol: {}", list.join(", "))])
    };
    let policy = Policy { protocols: vec!["p99".into()], ..Policy::default() };
    assert_eq!(handshake::accept(&offer(100), &policy).unwrap().protocol(), Some("p99"));
    rejected(&offer(101), Rejection::Protocol, 400);
}

#[test]
fn a_wrong_answer_is_final_and_closes_without_a_close_frame() {
    let mut client = new_client();
    client.transmit().clear();
    let mut recv = RecvBuf::new();
    let lines = [STATUS, UPGRADE, CONNECTION_UPGRADE, PROOF];
    recv.extend_from_slice(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    let failure = Err(client::Error::Handshake(HandshakeError::Accept));
    assert_eq!(poll(&mut client, &mut recv), failure);
    assert_eq!(poll(&mut client, &mut recv), failure);
    assert!(client.transmit().is_empty());
    assert_eq!(client.demand(), Demand { read: false, close: Some(Close::Both) });
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_server_that_ends_or_babbles_is_an_http_error() {
    for wire in [&b""[..], b"HTTP/1.1 101 Swi", b"SSH-2.0-OpenSSH_9.6\r\n"] {
        let mut client = new_client();
        client.transmit().clear();
        let mut recv = RecvBuf::new();
        recv.extend_from_slice(wire);
        recv.finish();
        assert!(matches!(poll(&mut client, &mut recv), Err(client::Error::Http(_))));
        assert_eq!(client.demand().close, Some(Close::Both));
    }
}

#[test]
fn a_handshake_has_a_deadline_that_interim_answers_do_not_move() {
    let mut client = new_client();
    let deadline = NOW + client::Config::default().handshake_timeout;
    assert_eq!(client.poll_timeout(), Some(deadline));
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(b"HTTP/1.1 102 Processing\r\n\r\n");
    let later: Instant = NOW + Duration::from_secs(1);
    assert_eq!(client.poll_event(later, &mut recv), Ok(None));
    assert_eq!(client.poll_timeout(), Some(deadline));
    client.handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(client.poll_timeout(), Some(deadline));
    client.handle_timeout(deadline);
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(client.poll_event(deadline, &mut recv), Err(client::Error::HandshakeTimeout));
    assert_eq!(client.demand().close, Some(Close::Both));
}

/// Both ends of a stream that some HTTP/2 carries: fields one way, fields back, and a compressed message.
#[test]
fn rfc8441_5_a_stream_of_http_2_is_opened_by_its_fields() {
    let mut offer = Offer::new("server.example.com", "/chat");
    offer.protocols = vec!["chat".into()];
    offer.origin = Some("https://server.example.com".into());
    offer.deflate = Some(Parameters::no_context_takeover());
    let client = StreamHandshake::new(offer).unwrap();
    let fields = Fields::new(client.fields()).unwrap();
    for absent in ["host", "upgrade", "connection", "sec-websocket-key"] {
        assert_eq!(fields.field(absent), None);
    }
    let policy = Policy { protocols: vec!["chat".into()], deflate: Some(Parameters::default()), ..Policy::default() };
    let acceptance = accept_stream("server.example.com", &fields, &policy).unwrap();
    assert_eq!(acceptance.status(), 200);
    let answer = Fields::new(acceptance.fields()).unwrap();
    assert!(answer.iter().all(|(name, _)| name.starts_with(b"Sec-WebSocket-")), "{answer}");
    let agreement = client.verify(200, &answer).unwrap();
    assert_eq!(agreement.protocol.as_deref(), Some("chat"));
    assert_eq!(agreement.deflate, acceptance.deflate());
    assert_eq!(agreement.deflate, Some(Parameters::no_context_takeover()));

    let pool = Pool::default();
    let [mut client_end, mut server_end] = [Role::Client, Role::Server].map(|role| {
        let queue = SendQueue::new(1024);
        Connection::new(NOW, role, drywire_ws::Config::default(), &Seed::from(1), queue)
            .with_deflate(agreement.deflate, &pool)
    });
    client_end.send_text("over HTTP/2 ".repeat(20)).unwrap();
    let mut recv = RecvBuf::new();
    recv.push(client_end.transmit().pop(usize::MAX));
    assert!(recv.len() < 60);
    let Ok(Some(Event::Message(message))) = server_end.poll_event(NOW, &mut recv) else { panic!("a message") };
    assert_eq!(message.len(), 240);

    // What fails: the status, the version, the origin.
    assert_eq!(client.verify(403, &answer), Err(HandshakeError::Status(403)));
    assert!(client.verify(204, &answer).is_ok());
    let refused =
        |fields: &[(&str, &str)]| accept_stream("a.example", &Fields::new(fields.iter().copied()).unwrap(), &policy);
    assert_eq!(refused(&[]), Err(Rejection::NoVersion));
    assert_eq!(refused(&[("sec-websocket-version", "8")]), Err(Rejection::Version));
    let from_elsewhere = [("sec-websocket-version", "13"), ("origin", "https://b.example")];
    assert_eq!(refused(&from_elsewhere), Err(Rejection::Origin));
}

#[test]
fn a_malformed_list_of_extensions_is_refused_by_both_ends() {
    let policy = Policy { deflate: Some(Parameters::default()), ..Policy::default() };
    for malformed in
        ["permessage-deflate;", "permessage-deflate foo", "=", "permessage-deflate; server_max_window_bits="]
    {
        let fields = Fields::new([("sec-websocket-version", "13"), ("sec-websocket-extensions", malformed)]).unwrap();
        assert_eq!(accept_stream("a.example", &fields, &policy), Err(Rejection::Extensions), "{malformed}");
        let mut offer = Offer::new("a.example", "/");
        offer.deflate = Some(Parameters::default());
        let answer = Fields::new([("sec-websocket-extensions", malformed)]).unwrap();
        assert_eq!(StreamHandshake::new(offer).unwrap().verify(200, &answer), Err(HandshakeError::Extension));
    }
    // One answer to one offer.
    let mut offer = Offer::new("a.example", "/");
    offer.deflate = Some(Parameters::default());
    let twice = Fields::new([("sec-websocket-extensions", "permessage-deflate, permessage-deflate")]).unwrap();
    assert_eq!(StreamHandshake::new(offer).unwrap().verify(200, &twice), Err(HandshakeError::Extension));
    let once = Fields::new([("sec-websocket-extensions", "permessage-deflate")]).unwrap();
    let unoffered = StreamHandshake::new(Offer::new("a.example", "/")).unwrap().verify(200, &once);
    assert_eq!(unoffered, Err(HandshakeError::UnofferedExtension));
}

#[test]
fn compression_is_agreed_on_by_client_and_server() {
    let policy = Policy { deflate: Some(Parameters::default()), ..Policy::default() };
    for (offered, agreed) in [(None, None), (Some(Parameters::default()), Some(Parameters::default()))] {
        let mut offer = Offer::new("a.example", "/");
        offer.deflate = offered;
        let mut client = Client::new(NOW, offer, client::Config::default(), &Seed::from(1)).unwrap();
        let mut to_server = RecvBuf::new();
        to_server.push(client.transmit().pop(usize::MAX));
        let mut http = server::Connection::new(NOW, server::Config::default());
        let Ok(Some(server::Event::Request(request))) = http.poll_event(NOW, &mut to_server) else { panic!() };
        while http.poll_event(NOW, &mut to_server).unwrap().is_some() {}
        let acceptance = handshake::accept(&request, &policy).unwrap();
        assert_eq!(acceptance.deflate(), agreed);
        http.upgrade(&acceptance).unwrap();
        let mut to_client = RecvBuf::new();
        to_client.push(http.transmit().pop(usize::MAX));
        let Ok(Some(client::Event::Open { deflate, .. })) = client.poll_event(NOW, &mut to_client) else { panic!() };
        assert_eq!(deflate, agreed);
        client.connection_mut().unwrap().send_text("x".repeat(500)).unwrap();
        assert_eq!(client.transmit().len() < 50, agreed.is_some());
    }
}
