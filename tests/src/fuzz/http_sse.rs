//! Event streams and newline-delimited records: cuts do not show, limits hold, errors are final, and what is encoded is
//! decoded.
//!
//! The input is a [`Splits`].

use drywire::Bytes;
use drywire::http::{ndjson, sse};

use super::Splits;

/// Small, so that a short input reaches them.
const LIMITS: sse::Limits = sse::Limits { max_line: 60, max_data: 100 };

/// Reads the input as a stream, and sends it as an event.
pub fn run(data: &[u8]) {
    let splits = Splits::new(data);
    let whole = messages([splits.payload]);
    assert_eq!(messages(splits.pieces()), whole, "law 1");
    assert_eq!(messages(splits.payload.chunks(1)), whole, "law 1");

    let whole = records([splits.payload]);
    assert_eq!(records(splits.pieces()), whole, "law 1");
    assert_eq!(records(splits.payload.chunks(1)), whole, "law 1");

    round_trip(&String::from_utf8_lossy(splits.payload));
}

/// The messages, the last id, the waiting time and the error.
type Stream = (Vec<sse::Message>, String, Option<core::time::Duration>, Option<sse::Error>);

fn messages<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Stream {
    let mut decoder = sse::Decoder::new(LIMITS);
    let (mut messages, mut failed) = (Vec::new(), None);
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => {
                    assert!(message.data.len() <= LIMITS.max_data, "law 3");
                    messages.push(message);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(failed.is_none_or(|earlier| earlier == error), "law 8");
                    failed = Some(error);
                    break;
                }
            }
        }
    }
    assert_eq!(decoder.decode(&mut Bytes::new()).err(), failed, "law 8");
    (messages, decoder.last_event_id().to_owned(), decoder.retry(), failed)
}

/// The records, the rest, and whether a line was too long.
fn records<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<Bytes>, bool) {
    let mut decoder = ndjson::Decoder::new(LIMITS.max_line);
    let (mut records, mut failed) = (Vec::new(), false);
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(ndjson::LineTooLong) => {
                    failed = true;
                    break;
                }
            }
        }
    }
    (records, decoder.finish(), failed)
}

/// One event made of the text: before the first and the second `|` its type and its id.
fn round_trip(text: &str) {
    let mut parts = text.splitn(3, '|');
    let (event, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let data = parts.next().unwrap_or_default();
    let encoded = sse::Event::new(data).event(event).id(id).encode();
    let valid = !event.contains(['\r', '\n']) && !id.contains(['\r', '\n', '\0']);
    assert_eq!(encoded.is_ok(), valid);
    let Ok(mut encoded) = encoded else { return };
    let mut decoder = sse::Decoder::new(sse::Limits { max_line: usize::MAX, max_data: usize::MAX });
    let message = decoder.decode(&mut encoded).unwrap().expect("a whole event");
    assert!(encoded.is_empty(), "nothing of it is another event");
    assert_eq!(message.event, if event.is_empty() { "message" } else { event });
    assert_eq!(message.id, id);
    assert_eq!(message.data, data.replace("\r\n", "\n").replace('\r', "\n"));
}
