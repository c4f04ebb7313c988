//! What the tests share.

#![allow(dead_code, reason = "each test file uses its part")]

use drywire_client::{Origin, Route, Url};
use drywire_core::{Instant, RecvBuf, StreamMachine as _};
use drywire_http::client::{Config, Connection, Event};
use drywire_http::{Length, PlainRequest, ResponseHead};

pub(crate) const NOW: Instant = Instant::from_secs(1000);

/// The head of a response with these fields, as the machine reads it.
pub(crate) fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut http = Connection::new(NOW, Config::default());
    http.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    http.finish(None).unwrap();
    let fields = fields.iter().fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(format!("HTTP/1.1 {status} \r\n{fields}\r\n").as_bytes());
    match http.poll_event(NOW, &mut recv) {
        Ok(Some(Event::Response(head))) => head,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn route(url: &str) -> Route {
    Route::Direct(Origin::of(&Url::parse(url).unwrap()).unwrap())
}
