//! Runs a machine over the pieces of an input and writes down what is seen.
//!
//! A `server` answers each request with an empty 200 once it has arrived in full. Words behind the role change that:
//!
//! - `continue`: sends 100 (Continue) where it is awaited, which is not written down
//! - `early`: answers at the head
//! - `upgrade`: grants every upgrade
//!
//! A `client` has one request for each word, and asks it as soon as the machine takes it: a method, `UPGRADE` (GET with
//! an offer), or `UNFINISHED` (POST whose content is never finished).

use drywire_core::{Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_http::{
    CommandError, Error, Fields, Length, Lenient, PlainRequest, PlainResponse, RequestHead, ResponseHead, client,
    server,
};

use crate::case::{Case, Step, escape};

/// The outcome of a case whose input comes in these pieces, the end of the stream behind them.
pub(crate) fn outcome(case: &Case, pieces: &[&[u8]]) -> Vec<String> {
    let mut words = case.role.split(' ');
    match words.next() {
        Some("server") => of_server(case, pieces, &words.collect::<Vec<_>>()),
        Some("client") => of_client(case, pieces, words.collect()),
        _ => panic!("{}: no role: {}", case.name, case.role),
    }
}

/// What is seen, one line each.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    /// Content, until something else is seen.
    content: Vec<u8>,
}

impl Lines {
    fn push(&mut self, line: String) {
        let content = std::mem::take(&mut self.content);
        if !content.is_empty() {
            self.lines.push(format!("content {}", escape(&content)));
        }
        self.lines.push(line);
    }

    fn fields(&mut self, fields: &Fields) {
        for (name, value) in fields {
            self.push(format!("    {}: {}", escape(name), escape(value)).trim_end().to_owned());
        }
    }

    /// The status of every response that leaves, but for 100: whether that is sent shows how the input was cut, since it
    /// is moot where content has come.
    fn statuses(&mut self, queue: &mut SendQueue) {
        let sent = take(queue).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        for (at, _) in sent.match_indices("HTTP/1.1 ") {
            self.push(format!("sent {}", &sent[at + 9..at + 12]));
        }
    }
}

fn take(queue: &mut SendQueue) -> String {
    let mut bytes = Vec::new();
    while !queue.is_empty() {
        bytes.extend_from_slice(&queue.pop(usize::MAX));
    }
    String::from_utf8(bytes).expect("responses are text")
}

/// Feeds the pieces, polling behind each until nothing more comes.
fn drive<M: StreamMachine<Error = Error>>(
    machine: &mut M,
    case: &Case,
    pieces: &[&[u8]],
    mut turn: impl FnMut(&mut M, Option<M::Event>, &mut Lines),
) -> Lines {
    let mut recv = RecvBuf::new();
    let mut lines = Lines::default();
    turn(machine, None, &mut lines);
    let mut now = Instant::ORIGIN;
    for step in pieces.iter().map(|piece| Step::Piece(piece)).chain(case.steps()) {
        match step {
            Step::Piece(piece) => recv.extend_from_slice(piece),
            Step::End => recv.finish(),
            Step::Wait => {
                now = machine.poll_timeout().expect("a deadline");
                machine.handle_timeout(now);
            }
        }
        loop {
            match machine.poll_event(now, &mut recv) {
                Ok(event @ Some(_)) => turn(machine, event, &mut lines),
                Ok(None) => break,
                Err(error) => {
                    turn(machine, None, &mut lines);
                    if lines.lines.last().is_none_or(|last| !last.starts_with("error ")) {
                        lines.push(format!("error {error:?}"));
                    }
                    break;
                }
            }
        }
        turn(machine, None, &mut lines);
    }
    // Behind an error it says nothing.
    if !recv.is_empty() && !lines.lines.iter().any(|line| line.starts_with("error ")) {
        lines.push(format!("left {}", escape(&recv)));
    }
    lines
}

fn of_server(case: &Case, pieces: &[&[u8]], words: &[&str]) -> Vec<String> {
    let mut config = server::Config { linger_limit: u64::MAX, lenient: lenient(case), ..server::Config::default() };
    for (name, value) in &case.limits {
        match &name[..] {
            "max_request_line" => config.max_request_line = size(*value),
            "max_head" => config.max_head = size(*value),
            "max_field_line" => config.max_field_line = size(*value),
            "max_fields" => config.max_fields = size(*value),
            "max_empty_lines" => config.max_empty_lines = size(*value),
            "max_trailer_fields" => config.max_trailer_fields = size(*value),
            "max_content" => config.max_content = *value,
            "max_chunk_line" => config.max_chunk_line = size(*value),
            "max_chunk_extensions" => config.max_chunk_extensions = *value,
            "chunk_extension_rate" => config.chunk_extension_rate = *value,
            "max_trailers" => config.max_trailers = size(*value),
            "drain_limit" => config.drain_limit = *value,
            _ => panic!("{}: no limit: {name}", case.name),
        }
    }
    let mut machine = server::Connection::new(Instant::ORIGIN, config);
    let ok = PlainResponse::new(200, &[]);
    let mut lines = drive(&mut machine, case, pieces, |machine, event, lines| {
        match event {
            Some(server::Event::Request(head)) => {
                lines.push(format!("request {} {} {}{}", head.method(), head.target(), head.version(), facts(&head)));
                lines.fields(head.field_section());
                if words.contains(&"continue") && head.expects_continue() {
                    machine.send_continue().unwrap();
                }
                if words.contains(&"early") {
                    machine.respond(&ok, Length::Known(0)).unwrap();
                    machine.finish(None).unwrap();
                }
            }
            Some(server::Event::Content(content)) => lines.content.extend_from_slice(&content),
            Some(server::Event::End(trailers)) => {
                lines.push("end".to_owned());
                lines.fields(&trailers);
                let switch = PlainResponse::new(101, &[("Upgrade", "x")]);
                if !(words.contains(&"upgrade") && machine.upgrade(&switch).is_ok()) {
                    match machine.respond(&ok, Length::Known(0)) {
                        Ok(()) if machine.is_upgraded() => {}
                        Ok(()) => machine.finish(None).unwrap(),
                        Err(CommandError::AlreadyAnswered | CommandError::NoRequest | CommandError::Closed) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Some(server::Event::PeerEnded) => lines.push("peer ended".to_owned()),
            Some(server::Event::Ready) => lines.push("ready".to_owned()),
            None => {}
        }
        lines.statuses(machine.transmit());
    });
    lines.push(standing(machine.is_upgraded(), machine.demand().close.is_some()));
    lines.lines
}

/// What the head says that the machine acts on.
fn facts(head: &RequestHead) -> String {
    let mut facts = Vec::new();
    if !head.keep_alive() {
        facts.push("last".to_owned());
    }
    if head.expects_continue() {
        facts.push("expects 100".to_owned());
    }
    facts.extend(head.upgrade_protocols().map(|protocol| format!("offers {}", escape(protocol))));
    if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) }
}

fn of_client(case: &Case, pieces: &[&[u8]], mut asks: Vec<&str>) -> Vec<String> {
    let mut config = client::Config { lenient: lenient(case), ..client::Config::default() };
    for (name, value) in &case.limits {
        match &name[..] {
            "max_head" => config.max_head = size(*value),
            "max_field_line" => config.max_field_line = size(*value),
            "max_fields" => config.max_fields = size(*value),
            "max_trailer_fields" => config.max_trailer_fields = size(*value),
            "chunk_extension_rate" => config.chunk_extension_rate = *value,
            "max_informational" => config.max_informational = size(*value),
            "max_content" => config.max_content = *value,
            "max_chunk_line" => config.max_chunk_line = size(*value),
            "max_chunk_extensions" => config.max_chunk_extensions = *value,
            "max_trailers" => config.max_trailers = size(*value),
            _ => panic!("{}: no limit: {name}", case.name),
        }
    }
    let mut machine = client::Connection::new(Instant::ORIGIN, config);
    asks.reverse();
    let mut lines = drive(&mut machine, case, pieces, |machine, event, lines| {
        match event {
            Some(client::Event::Informational(head)) => show(lines, "informational", &head),
            Some(client::Event::Response(head)) => show(lines, "response", &head),
            Some(client::Event::Content(content)) => lines.content.extend_from_slice(&content),
            Some(client::Event::End(trailers)) => {
                lines.push("end".to_owned());
                lines.fields(&trailers);
            }
            Some(client::Event::Closed) => lines.push("closed".to_owned()),
            None => {}
        }
        if machine.is_ready()
            && let Some(request) = asks.pop()
        {
            ask(machine, request);
        }
        take(machine.transmit());
    });
    lines.push(standing(machine.is_upgraded(), machine.demand().close.is_some()));
    lines.lines
}

fn show(lines: &mut Lines, kind: &str, head: &ResponseHead) {
    let last = if head.keep_alive() { "" } else { " (last)" };
    let line = format!("{kind} {} {} {}", head.version(), head.status(), escape(head.reason()));
    lines.push(format!("{}{last}", line.trim_end()));
    lines.fields(head.field_section());
}

fn ask(machine: &mut client::Connection, request: &str) {
    let offer: &[_] = &[("Host", "a"), ("Upgrade", "x")];
    let (method, target, fields, length) = match request {
        "CONNECT" => ("CONNECT", "a:1", &offer[..1], Length::Known(0)),
        "UPGRADE" => ("GET", "/", offer, Length::Known(0)),
        "UNFINISHED" => ("POST", "/", &offer[..1], Length::Unknown),
        method => (method, "/", &offer[..1], Length::Known(0)),
    };
    machine.send_request(&PlainRequest::new(method, target, fields), length).unwrap();
    if request != "UNFINISHED" {
        machine.finish(None).unwrap();
    }
}

fn lenient(case: &Case) -> Lenient {
    case.lenient.iter().fold(Lenient::NONE, |all, name| {
        all | match &name[..] {
            "BARE_LF" => Lenient::BARE_LF,
            "OBS_FOLD" => Lenient::OBS_FOLD,
            "SPACE_BEFORE_COLON" => Lenient::SPACE_BEFORE_COLON,
            "CONTROLS_IN_VALUES" => Lenient::CONTROLS_IN_VALUES,
            "STRAY_PERCENT" => Lenient::STRAY_PERCENT,
            "MISSING_HOST" => Lenient::MISSING_HOST,
            "BOTH_FRAMINGS" => Lenient::BOTH_FRAMINGS,
            "SPACE_AFTER_CHUNK_SIZE" => Lenient::SPACE_AFTER_CHUNK_SIZE,
            "ANY_CHUNK_EXTENSION" => Lenient::ANY_CHUNK_EXTENSION,
            _ => panic!("{}: no switch: {name}", case.name),
        }
    })
}

/// How the connection stands at the end.
fn standing(upgraded: bool, closes: bool) -> String {
    match (upgraded, closes) {
        (true, _) => "switched",
        (false, true) => "closes",
        (false, false) => "open",
    }
    .to_owned()
}

fn size(value: u64) -> usize {
    usize::try_from(value).expect("a size")
}
