//! Cross-origin requests, by the Fetch standard, 3.3.

use std::time::Duration;

use drywire_core::{Instant, RecvBuf, StreamMachine as _};
use drywire_http::cors::{Cors, RequestFields};
use drywire_http::origin::OriginPolicy;
use drywire_http::{RequestHead, ResponseParts as _, server};

fn request(method: &str, fields: &str) -> RequestHead {
    let mut server = server::Connection::new(Instant::ORIGIN, server::Config::default());
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(format!("{method} / HTTP/1.1\r\nHost: api.example\r\n{fields}\r\n").as_bytes());
    match server.poll_event(Instant::ORIGIN, &mut recv) {
        Ok(Some(server::Event::Request(head))) => head,
        other => panic!("{other:?}"),
    }
}

fn preflight(fields: &str) -> RequestHead {
    request("OPTIONS", &format!("Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n{fields}"))
}

fn listed() -> Cors {
    Cors {
        origins: OriginPolicy::List(vec!["https://app.example".into()]),
        methods: vec!["PUT".into(), "DELETE".into()],
        request_fields: RequestFields::List(vec!["X-Token".into()]),
        exposed_fields: vec!["X-Total".into()],
        credentials: true,
        max_age: Some(Duration::from_secs(600)),
    }
}

/// The answer as lines.
fn answer(cors: &Cors, request: &RequestHead) -> Option<(u16, Vec<String>)> {
    let answer = cors.preflight(request)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let fields = answer.fields().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect();
    assert_eq!(answer.is_granted(), answer.status() == 204);
    Some((answer.status(), fields))
}

fn fields(cors: &Cors, request: &RequestHead) -> Vec<String> {
    cors.fields(request).iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn fetch_3_3_2_a_preflight_is_options_with_origin_and_method() {
    let cors = listed();
    assert!(cors.preflight(&preflight("")).is_some());
    assert!(cors.preflight(&request("OPTIONS", "")).is_none());
    assert!(cors.preflight(&request("OPTIONS", "Origin: https://app.example\r\n")).is_none());
    assert!(cors.preflight(&request("OPTIONS", "Access-Control-Request-Method: PUT\r\n")).is_none());
    let other = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n";
    assert!(cors.preflight(&request("GET", other)).is_none());
}

#[test]
fn fetch_3_3_3_a_listed_origin_learns_what_is_allowed() {
    let (status, fields) = answer(&listed(), &preflight("Access-Control-Request-Headers: x-token\r\n")).unwrap();
    assert_eq!(status, 204);
    assert_eq!(
        fields,
        [
            "Access-Control-Allow-Origin: https://app.example",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Methods: PUT, DELETE",
            "Access-Control-Allow-Headers: X-Token",
            "Access-Control-Max-Age: 600",
            "Vary: Origin",
        ]
    );
}

#[test]
fn fetch_3_3_3_another_origin_learns_nothing() {
    for origin in
        ["https://evil.example", "http://app.example", "https://app.example:444", "null", "https://app.example.evil"]
    {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n");
        assert_eq!(
            answer(&listed(), &request("OPTIONS", &fields)),
            Some((403, vec!["Vary: Origin".into()])),
            "{origin}"
        );
        assert_eq!(self::fields(&listed(), &request("GET", &fields)), ["Vary: Origin"], "{origin}");
    }
    let two = "Origin: https://app.example\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: PUT\r\n";
    assert_eq!(answer(&listed(), &request("OPTIONS", two)).unwrap().0, 403);
}

#[test]
fn fetch_3_3_5_the_star_is_without_credentials() {
    let open = Cors { origins: OriginPolicy::Any, ..Cors::default() };
    let from = request("GET", "Origin: https://x.example\r\n");
    assert_eq!(fields(&open, &from), ["Access-Control-Allow-Origin: *"]);
    let credentials = Cors { credentials: true, ..open };
    assert_eq!(
        fields(&credentials, &from),
        ["Access-Control-Allow-Origin: https://x.example", "Access-Control-Allow-Credentials: true", "Vary: Origin"]
    );
    // Without an origin there is nothing to allow, but caches have to know that there could be.
    assert_eq!(fields(&credentials, &request("GET", "")), ["Vary: Origin"]);
}

#[test]
fn fetch_3_3_4_exposed_fields_are_told_with_the_response() {
    let from = request("GET", "Origin: https://app.example\r\n");
    assert!(fields(&listed(), &from).contains(&"Access-Control-Expose-Headers: X-Total".to_owned()));
}

#[test]
fn any_request_field_echoes_tokens_alone() {
    let cors = Cors { origins: OriginPolicy::Any, request_fields: RequestFields::Any, ..Cors::default() };
    let asked = preflight("Access-Control-Request-Headers: authorization, x-a,, b c, \u{e4}, x-z\r\n");
    let (_, fields) = answer(&cors, &asked).unwrap();
    assert!(fields.contains(&"Access-Control-Allow-Headers: authorization, x-a, x-z".to_owned()), "{fields:?}");
    assert!(fields.contains(&"Vary: Origin, Access-Control-Request-Headers".to_owned()));
}

#[test]
fn by_default_nothing_is_allowed_and_nothing_said() {
    let cors = Cors::default();
    assert_eq!(answer(&cors, &preflight("")).unwrap().0, 403);
    assert!(cors.fields(&request("GET", "Origin: https://api.example\r\n")).is_empty());
    assert!(cors.fields(&request("GET", "Origin: https://app.example\r\n")).is_empty());
}

#[test]
fn requests_without_an_origin_are_admitted() {
    for policy in [OriginPolicy::SameOrigin, OriginPolicy::Any, OriginPolicy::List(Vec::new())] {
        assert!(policy.admits(&request("POST", "")));
        assert_eq!(
            policy.admits(&request("POST", "Origin: http://api.example\r\n")),
            policy != OriginPolicy::List(Vec::new())
        );
        assert_eq!(policy.admits(&request("POST", "Origin: \r\n")), policy == OriginPolicy::Any);
        assert!(!policy.admits(&request("POST", "Origin: http://api.example\r\nOrigin: http://api.example\r\n")));
    }
}
