//! Heads as drywire reads them beside httparse: what both take they take for the same, and where one takes what the other
//! refuses the difference is known.
//!
//! The first byte chooses between request and response, the rest is the head with whatever follows it.

use drywire::http::{Error, FieldIter, Length, PlainRequest, client, server};
use drywire::{Instant, RecvBuf, StreamMachine as _};
use httparse::Status;

/// A head, in the form in which both can be compared.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Method and target, or the status.
    start: Vec<Vec<u8>>,
    /// The minor version.
    minor: u8,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the input that were the head.
    len: usize,
}

/// What became of an input.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<E> {
    Head(Head),
    Incomplete,
    Refused(E),
}

/// Reads the input with both.
pub fn run(data: &[u8]) {
    let Some((&kind, input)) = data.split_first() else { return };
    let (ours, theirs) = if kind & 1 == 0 {
        (our_request(input), their_request(input))
    } else {
        (our_response(input), their_response(input))
    };
    match (&ours, &theirs) {
        (Verdict::Head(one), Verdict::Head(other)) => assert_eq!(one, other),
        (Verdict::Incomplete, Verdict::Incomplete) | (Verdict::Refused(_), Verdict::Refused(_)) => {}
        // An error is raised at the byte that breaks a rule, so here it comes first.
        (Verdict::Refused(_), Verdict::Incomplete) => {}
        (Verdict::Refused(error), Verdict::Head(_)) => assert!(is_stricter(*error), "{ours:?} but {theirs:?}"),
        // Where a CR must not stand, the byte behind it says what is wrong.
        (Verdict::Incomplete, Verdict::Refused(_)) if input.ends_with(b"\r") => {}
        (Verdict::Head(_) | Verdict::Incomplete, Verdict::Refused(error)) => {
            assert!(is_more_lenient(input, *error), "{ours:?} but {theirs:?}");
        }
        _ => panic!("{ours:?} but {theirs:?}"),
    }
}

/// What httparse takes and drywire does not.
fn is_stricter(error: Error) -> bool {
    match error {
        // RFC 9112, 2.2, lets a recipient take LF for a line end; httparse does.
        Error::BareLf => true,
        // httparse skips any number of empty lines in front of a request.
        Error::EmptyLines => true,
        // ... and in front of a response, where RFC 9112 has none.
        Error::InvalidVersion | Error::BareCr => true,
        // httparse does not look into targets, and lets bytes above 0x7f through.
        Error::InvalidTarget | Error::TargetForm | Error::InvalidPercentEncoding => true,
        // RFC 9110, 15: the first digit is 1 or more.
        Error::InvalidStatus => true,
        // httparse knows no limits but that of the number of fields.
        Error::RequestLineTooLong | Error::FieldLineTooLong | Error::HeadTooLarge => true,
        // What fields mean is not httparse's business.
        Error::MissingHost
        | Error::DuplicateHost
        | Error::InvalidHost
        | Error::InvalidContentLength
        | Error::ConflictingContentLength
        | Error::TransferEncodingWithContentLength
        | Error::TransferEncodingInHttp10
        | Error::InvalidTransferEncoding
        | Error::ChunkedNotFinal
        | Error::UnknownTransferCoding
        | Error::UnexpectedUpgrade => true,
        _ => false,
    }
}

/// What drywire takes, or has not refused yet, and httparse refuses.
fn is_more_lenient(input: &[u8], error: httparse::Error) -> bool {
    // RFC 9110, 2.5: a higher minor version is treated as 1.1. And a version is judged when both its digits are there.
    let higher = |window: &[u8]| window.starts_with(b"HTTP/1.") && matches!(window[7], b'2'..=b'9');
    let unfinished = input.windows(5).rposition(|window| window == b"HTTP/").is_some_and(|at| input.len() - at < 8);
    error == httparse::Error::Version && (unfinished || input.windows(8).any(higher))
}

fn pairs(fields: FieldIter<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn minor(version: drywire::http::Version) -> u8 {
    u8::from(version == drywire::http::Version::Http11)
}

fn our_request(input: &[u8]) -> Verdict<Error> {
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(input);
    let mut machine = server::Connection::new(Instant::ORIGIN, server::Config::default());
    match machine.poll_event(Instant::ORIGIN, &mut recv) {
        Ok(Some(server::Event::Request(head))) => Verdict::Head(Head {
            start: vec![head.method().into(), head.target().into()],
            minor: minor(head.version()),
            fields: pairs(head.fields()),
            len: input.len() - recv.len(),
        }),
        Ok(event) => {
            assert_eq!(event, None);
            Verdict::Incomplete
        }
        Err(error) => Verdict::Refused(error),
    }
}

fn our_response(input: &[u8]) -> Verdict<Error> {
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(input);
    let mut machine = client::Connection::new(Instant::ORIGIN, client::Config::default());
    machine.send_request(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0)).expect("a request");
    machine.finish(None).expect("its end");
    match machine.poll_event(Instant::ORIGIN, &mut recv) {
        Ok(Some(client::Event::Response(head) | client::Event::Informational(head))) => Verdict::Head(Head {
            start: vec![head.status().to_string().into()],
            minor: minor(head.version()),
            fields: pairs(head.fields()),
            len: input.len() - recv.len(),
        }),
        Ok(event) => {
            assert_eq!(event, None);
            Verdict::Incomplete
        }
        Err(error) => Verdict::Refused(error),
    }
}

fn their_fields(fields: &[httparse::Header<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |field: &httparse::Header<'_>| {
        // A fold is left in the value, and RFC 9112, 5.2, has it replaced by spaces.
        let value = field.value.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte });
        (field.name.into(), value.collect())
    };
    fields.iter().map(pair).collect()
}

fn their_request(input: &[u8]) -> Verdict<httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(input) {
        Ok(Status::Complete(len)) => Verdict::Head(Head {
            start: [request.method, request.path].map(|part| part.expect("in a whole head").into()).into(),
            minor: request.version.expect("in a whole head"),
            fields: their_fields(request.headers),
            len,
        }),
        Ok(Status::Partial) => Verdict::Incomplete,
        Err(error) => Verdict::Refused(error),
    }
}

fn their_response(input: &[u8]) -> Verdict<httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut fields);
    let mut config = httparse::ParserConfig::default();
    config.allow_obsolete_multiline_headers_in_responses(true);
    match config.parse_response(&mut response, input) {
        Ok(Status::Complete(len)) => Verdict::Head(Head {
            start: vec![response.code.expect("in a whole head").to_string().into()],
            minor: response.version.expect("in a whole head"),
            fields: their_fields(response.headers),
            len,
        }),
        Ok(Status::Partial) => Verdict::Incomplete,
        Err(error) => Verdict::Refused(error),
    }
}
