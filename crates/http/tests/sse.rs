//! Server-Sent Events by the HTML standard, 9.2, and newline-delimited records.

use std::time::Duration;

use bytes::Bytes;
use drywire_core::{Instant, RecvBuf, StreamMachine as _};
use drywire_http::sse::{Decoder, Error, Event, Limits, Message, Refused, Source, comment};
use drywire_http::{Length, PlainRequest, ResponseHead, client, ndjson};
use proptest::prelude::*;

/// The messages of a stream that comes in these pieces, as type, data and id; with the decoder at the end.
fn decoded<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(String, String, String)>, Decoder) {
    let mut decoder = Decoder::new(Limits::default());
    let mut messages = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(Message { event, data, id }) = decoder.decode(&mut input).unwrap() {
            messages.push((event, data, id));
        }
        assert!(input.is_empty());
    }
    (messages, decoder)
}

/// The data of all messages, the same for every way to cut the stream in two.
#[track_caller]
fn data(stream: &str) -> Vec<String> {
    let stream = stream.as_bytes();
    let (whole, _) = decoded([stream]);
    for at in 0..stream.len() {
        assert_eq!(decoded([&stream[..at], &stream[at..]]).0, whole, "cut at {at}");
    }
    assert_eq!(decoded(stream.chunks(1)).0, whole, "byte by byte");
    whole.into_iter().map(|(_, data, _)| data).collect()
}

#[test]
fn html_9_2_6_the_examples_of_the_standard() {
    assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    let (messages, decoder) = decoded([stream.as_bytes()]);
    let seen: Vec<_> = messages.iter().map(|(_, data, id)| (&data[..], &id[..])).collect();
    assert_eq!(seen, [("first event", "1"), ("second event", ""), (" third event", "")]);
    assert_eq!(decoder.last_event_id(), "");
    // The first has no data behind its colon, the second two empty lines, the third is not finished.
    assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn html_9_2_5_lines_end_with_cr_lf_or_both() {
    for stream in ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"] {
        assert_eq!(data(stream), ["a", "b"], "{stream:?}");
    }
    assert_eq!(data("data: a\r\ndata: b\rdata: c\n\r\n"), ["a\nb\nc"]);
    assert_eq!(data("data: a\n\rdata: b\n\n"), ["a", "b"], "LF CR is two line ends");
}

#[test]
fn html_9_2_5_one_byte_order_mark_is_skipped() {
    assert_eq!(data("\u{feff}data: a\n\n"), ["a"]);
    assert_eq!(data("\u{feff}\u{feff}data: a\n\ndata: b\n\n"), ["b"], "the second is part of a name");
    assert_eq!(data("data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    assert_eq!(data("\n\u{feff}data: a\n\n"), [""; 0]);
    assert_eq!(data("\u{feff}\n\u{feff}data: a\n\n"), [""; 0]);
}

#[test]
fn html_9_2_6_a_colon_a_space_and_the_rest() {
    assert_eq!(
        data("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\ndata: a:b: c\n\n"),
        ["a", "a", " a", "\ta", "a:b: c"]
    );
    assert_eq!(data("data a\n\n Data: b\ndata : c\n\nDATA: d\n\n"), [""; 0], "names are exact");
    assert_eq!(data(":data: a\n\n: \n:\n\nunknown: b\nfoo\n\n"), [""; 0]);
}

#[test]
fn html_9_2_6_the_type_is_of_one_event() {
    let (messages, _) =
        decoded([&b"event: x\ndata: a\n\ndata: b\n\nevent: y\nevent:\ndata: c\n\nevent: z\n\ndata: d\n\n"[..]]);
    let seen: Vec<_> = messages.iter().map(|(event, data, _)| (&event[..], &data[..])).collect();
    assert_eq!(seen, [("x", "a"), ("message", "b"), ("message", "c"), ("message", "d")]);
}

#[test]
fn html_9_2_6_an_id_lasts_and_one_with_nul_is_ignored() {
    let (messages, decoder) =
        decoded([&b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid: 3\n\nid: 4\ndata: d"[..]]);
    assert!(messages.iter().all(|(_, _, id)| id == "1"));
    assert_eq!(messages.len(), 3);
    assert_eq!(decoder.last_event_id(), "3", "an id without an event counts, one of an unfinished block does not");
}

#[test]
fn html_9_2_6_retry_is_digits() {
    let retry = |value: &str| decoded([format!("retry:{value}\n").as_bytes()]).1.retry();
    assert_eq!(retry("1500"), Some(Duration::from_millis(1500)));
    assert_eq!(retry(" 0010"), Some(Duration::from_millis(10)));
    assert_eq!(retry("99999999999999999999999"), Some(Duration::from_millis(u64::MAX)));
    for value in ["", " ", "+1", "-1", "1.5", "1s", "0x10", "  1", "1 ", "\u{661}"] {
        assert_eq!(retry(value), None, "{value:?}");
    }
}

#[test]
fn html_9_2_5_invalid_utf_8_is_replaced() {
    for (bytes, text) in [
        (&b"data: a\xffb\n\n"[..], "a\u{fffd}b"),
        (b"data: \xe2\x82\n\n", "\u{fffd}"),
        (b"data: \xe2\x82\xac\n\n", "\u{20ac}"),
    ] {
        assert_eq!(decoded([bytes]).0[0].1, text);
        assert_eq!(decoded(bytes.chunks(1)).0[0].1, text);
    }
}

#[test]
fn law_3_lines_and_events_are_bounded() {
    let limits = Limits { max_line: 100, max_data: 300 };
    let fill = |piece: &'static str| {
        let mut decoder = Decoder::new(limits);
        for _ in 0..1000 {
            if let Err(error) = decoder.decode(&mut piece.into()) {
                assert_eq!(decoder.decode(&mut "\n\ndata: x\n\n".into()), Err(error), "errors are final");
                return error;
            }
        }
        panic!("not bounded: {piece:?}");
    };
    assert_eq!(fill("x"), Error::LineTooLong);
    assert_eq!(fill(":"), Error::LineTooLong);
    assert_eq!(fill("data: x\n"), Error::EventTooLarge);
    assert_eq!(fill("data\n"), Error::EventTooLarge);
    let mut decoder = Decoder::new(limits);
    for _ in 0..1000 {
        assert_eq!(decoder.decode(&mut "event: x\nid: y\n: z\n".into()), Ok(None));
    }
    // A restart begins anew.
    let mut decoder = Decoder::new(limits);
    decoder.decode(&mut Bytes::from(vec![b'x'; 101])).unwrap_err();
    decoder.restart();
    assert!(decoder.decode(&mut "data: x\n\n".into()).unwrap().is_some());
}

#[test]
fn law_2_a_long_stream_byte_by_byte() {
    let stream = format!("data: {}\n\n", "x".repeat(50_000)).repeat(20);
    assert_eq!(decoded(stream.as_bytes().chunks(1)).0.len(), 20);
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec!["\r", "\n", "\r\n", ":", " ", "\0", "\u{feff}", "data: ", "id", "ä", "x"]),
        0..8,
    )
    .prop_map(|parts| parts.concat())
}

fn cut<'a>(bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    std::iter::from_fn(move || {
        let (piece, behind) = rest.split_at((*lengths.next()?).min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        events in prop::collection::vec((text(), text(), text(), any::<Option<u32>>()), 0..4),
        lengths in prop::collection::vec(1..20usize, 1..4),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let (mut id, mut retry) = (String::new(), None);
        for (event, data, new_id, new_retry) in &events {
            stream.extend_from_slice(&comment(data));
            let mut sent = Event::new(data).event(event).id(new_id);
            if let Some(millis) = new_retry {
                sent = sent.retry(Duration::from_millis(u64::from(*millis)));
            }
            let Ok(block) = sent.encode() else {
                prop_assert!((event.clone() + new_id).contains(['\r', '\n', '\0']));
                continue;
            };
            stream.extend_from_slice(&block);
            id.clone_from(new_id);
            retry = new_retry.map(|millis| Duration::from_millis(u64::from(millis))).or(retry);
            let event = if event.is_empty() { "message" } else { event };
            expected.push((event.to_owned(), data.replace("\r\n", "\n").replace('\r', "\n"), id.clone()));
        }
        let (messages, decoder) = decoded(cut(&stream, &lengths));
        prop_assert_eq!(messages, expected);
        prop_assert_eq!(decoder.last_event_id(), id);
        prop_assert_eq!(decoder.retry(), retry);
    }

    #[test]
    fn law_1_cuts_do_not_show(parts in prop::collection::vec(text(), 0..8), lengths in prop::collection::vec(1..9usize, 1..4)) {
        let stream = parts.concat().into_bytes();
        let (whole, end) = decoded([&stream[..]]);
        let (cut, cut_end) = decoded(cut(&stream, &lengths));
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(end.last_event_id(), cut_end.last_event_id());
    }
}

fn head(response: &str) -> ResponseHead {
    let mut client = client::Connection::new(Instant::ORIGIN, client::Config::default());
    client.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).unwrap();
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(response.as_bytes());
    match client.poll_event(Instant::ORIGIN, &mut recv) {
        Ok(Some(client::Event::Response(head))) => head,
        other => panic!("{other:?}"),
    }
}

fn stream() -> ResponseHead {
    head("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n")
}

#[test]
fn html_9_2_3_a_source_connects_again() {
    let mut now = Instant::ORIGIN;
    let mut source = Source::new(Limits::default());
    assert!(source.is_due() && source.last_event_id().is_none() && source.poll_timeout().is_none());
    source.opened(&stream()).unwrap();
    assert!(!source.is_due());
    assert!(source.decode(&mut "id: 7\ndata: x\n\nid: 8\ndata: cut o".into()).unwrap().is_some());
    source.lost(now);
    assert_eq!(source.poll_timeout(), Some(now + Source::DELAY));
    source.handle_timeout(now);
    assert!(!source.is_due());
    now += Source::DELAY;
    source.handle_timeout(now);
    assert!(source.is_due() && source.poll_timeout().is_none());
    assert_eq!(source.last_event_id(), Some("7"));
    // An event without an id keeps the last one, also over connections.
    source.opened(&stream()).unwrap();
    assert_eq!(source.decode(&mut "data: y\n\n".into()).unwrap().unwrap().id, "7");
    assert_eq!(source.last_event_id(), Some("7"));
    source.decode(&mut "id\n\nretry: 10\n".into()).unwrap();
    source.lost(now);
    assert_eq!(source.poll_timeout(), Some(now + Duration::from_millis(10)));
    assert_eq!(source.last_event_id(), None);
}

#[test]
fn html_9_2_3_failures_in_a_row_wait_longer() {
    let mut now = Instant::ORIGIN;
    let mut source = Source::new(Limits::default());
    let mut waits = Vec::new();
    for _ in 0..40 {
        source.lost(now);
        let due = source.poll_timeout().unwrap();
        waits.push((due - now).as_secs());
        now = due;
        source.handle_timeout(now);
    }
    assert_eq!(waits[..7], [3, 6, 12, 24, 48, 60, 60]);
    assert_eq!(waits[39], 60);
    source.opened(&stream()).unwrap();
    source.lost(now);
    assert_eq!(source.poll_timeout(), Some(now + Source::DELAY), "a success begins anew");
}

#[test]
fn html_9_2_2_what_is_no_event_stream_ends_the_source() {
    for (response, refused) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", Refused::Status(204)),
        ("HTTP/1.1 500 x\r\nContent-Type: text/event-stream\r\n\r\n", Refused::Status(500)),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", Refused::ContentType),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\n", Refused::ContentType),
        ("HTTP/1.1 200 OK\r\n\r\n", Refused::ContentType),
    ] {
        let mut source = Source::new(Limits::default());
        assert_eq!(source.opened(&head(response)), Err(refused));
        source.lost(Instant::ORIGIN);
        assert!(source.is_closed() && source.poll_timeout().is_none() && !source.is_due());
    }
    let mut source = Source::new(Limits { max_line: 3, max_data: 3 });
    source.opened(&stream()).unwrap();
    assert_eq!(source.decode(&mut "long".into()), Err(Error::LineTooLong));
    assert!(source.is_closed());
}

fn records(pieces: &[&[u8]], max_line: usize) -> (Vec<Bytes>, Result<Option<Bytes>, ndjson::LineTooLong>) {
    let mut decoder = ndjson::Decoder::new(max_line);
    let mut records = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut "x\n".into()), Err(error), "errors are final");
                    return (records, Err(error));
                }
            }
        }
    }
    (records, Ok(decoder.finish()))
}

#[test]
fn ndjson_records_are_lines_however_they_are_cut() {
    let stream = b"{\"a\":1}\n\n{\"b\":\"\xc3\xa4\"}\r\n\r\nlast\r";
    let expected: Vec<Bytes> = vec!["{\"a\":1}".into(), "{\"b\":\"\u{e4}\"}".into()];
    for at in 0..stream.len() {
        let (front, back) = stream.split_at(at);
        assert_eq!(records(&[front, back], 20), (expected.clone(), Ok(Some("last".into()))), "cut at {at}");
    }
    assert_eq!(records(&[b"a\n"], 2).1, Ok(None));
}

#[test]
fn ndjson_lines_are_bounded() {
    assert_eq!(records(&[b"12345\n123456\n"], 6), (vec!["12345".into()], Err(ndjson::LineTooLong)));
    let (mut decoder, mut fed) = (ndjson::Decoder::new(1000), 0);
    while decoder.decode(&mut "x".into()).is_ok() {
        fed += 1;
        assert!(fed <= 1000);
    }
    assert_eq!(ndjson::line("a\nb"), None);
    assert_eq!(ndjson::line("a\rb"), None);
}
