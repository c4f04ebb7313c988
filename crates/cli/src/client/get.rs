//! `drywire get`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;

use drywire::http::client::{Config, Connection, Event};
use drywire::http::{Length, PlainRequest, ResponseHead};
use drywire::{Buf as _, Bytes, Instant, StreamMachine as _};

use super::{Application, Destination, Field, USER_AGENT, run};
use crate::Failure;
use crate::args::Get;

pub(crate) fn run(args: Get) -> Result<(), Failure> {
    let destination = Destination::of(&args.url, "http")?;
    let content = args.data.as_deref().map(content).transpose()?;
    let method = args.method.unwrap_or_else(|| if content.is_some() { "POST" } else { "GET" }.to_owned());

    let mut defaults = vec![("Host", &*destination.authority), ("User-Agent", USER_AGENT), ("Accept", "*/*")];
    if content.is_some() {
        defaults.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    let fields = args.fields.iter().map(|field| Field::of(field)).collect::<Result<Vec<_>, _>>()?;
    let fields = Field::over(&defaults, &fields);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();

    // The request is queued before there is a connection, so what cannot be sent is told at once.
    let mut machine = Connection::new(Instant::ORIGIN, Config::default());
    let request = PlainRequest::new(&method, &destination.target, &fields);
    machine
        .send_request(&request, Length::Known(content.as_ref().map_or(0, Bytes::len) as u64))
        .map_err(|error| Failure::usage(format_args!("the request cannot be sent: {error}")))?;
    if args.verbose {
        let queue = machine.transmit();
        show('>', &String::from_utf8_lossy(queue.chunk()));
    }
    if let Some(content) = content.filter(|content| !content.is_empty()) {
        machine.send_content(content).map_err(Failure::failed)?;
    }
    machine.finish(None).map_err(Failure::failed)?;

    let out: Box<dyn Write> = match &args.output {
        Some(path) => {
            Box::new(File::create(path).map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    run::run(args.runtime, &args.link, &destination, machine, Fetch { out, verbose: args.verbose })
}

/// What `-d` names, as curl sends it: a file without its line breaks and NULs.
fn content(data: &str) -> Result<Bytes, Failure> {
    let Some(path) = data.strip_prefix('@') else { return Ok(Bytes::copy_from_slice(data.as_bytes())) };
    let read = if path == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    let mut bytes = read.map_err(|error| Failure::usage(format_args!("{path}: {error}")))?;
    bytes.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    Ok(bytes.into())
}

struct Fetch {
    out: Box<dyn Write>,
    verbose: bool,
}

impl Fetch {
    fn head(&self, head: &ResponseHead) {
        if self.verbose {
            show('<', &format!("{head:#}"));
        }
    }
}

impl Application<Connection> for Fetch {
    fn event(&mut self, _: Instant, _: &mut Connection, event: Event) -> Result<ControlFlow<()>, Failure> {
        match event {
            Event::Informational(head) | Event::Response(head) => self.head(&head),
            Event::Content(content) => self.out.write_all(&content).map_err(cannot_write)?,
            Event::End(trailers) => {
                self.out.flush().map_err(cannot_write)?;
                if self.verbose && !trailers.is_empty() {
                    show('<', &trailers.to_string());
                }
                return Ok(ControlFlow::Break(()));
            }
            // The response has ended before.
            Event::Closed => return Ok(ControlFlow::Break(())),
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
fn cannot_write(error: io::Error) -> Failure {
    Failure::failed(format_args!("cannot write the content: {error}"))
}

/// Shows a head or a trailer section on standard error, each line behind a mark.
fn show(mark: char, head: &str) {
    let mut err = io::stderr().lock();
    for line in head.trim_end().lines().chain([""]) {
        let _ = writeln!(err, "{mark} {}", line.trim_end());
    }
}
