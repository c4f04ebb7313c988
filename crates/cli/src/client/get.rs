//! `drywire get`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;

use drywire::client::{Config, Request, Seen, Trace};
use drywire::http::client::{self, Connection, Event};
use drywire::http::{Length, PlainRequest, ResponseHead, Trailers};
use drywire::{Buf as _, Bytes, Instant, StreamMachine as _};

use super::{Application, Destination, Field, USER_AGENT, access, run};
use crate::args::{Get, Runtime};
use crate::{Failure, link};

pub(crate) fn run(args: &Get) -> Result<(), Failure> {
    let destination = Destination::of(&args.url, "http")?;
    let content = args.data.as_deref().map(content).transpose()?;
    let fields = fields(args, content.is_some())?;
    match args.runtime {
        Runtime::Std | Runtime::Tokio => through_the_kernel(args, &destination, &fields, content.unwrap_or_default()),
        Runtime::Poll => Err(run::for_servers()),
        Runtime::Tun => past_the_kernel(args, &destination, &fields, content.unwrap_or_default()),
    }
}

fn method(args: &Get) -> &str {
    args.method.as_deref().unwrap_or(if args.data.is_some() { "POST" } else { "GET" })
}

/// The field lines, without `Host`.
fn fields(args: &Get, has_content: bool) -> Result<Vec<(String, String)>, Failure> {
    let authorization = args.access.authorization()?;
    let mut defaults = vec![("User-Agent", USER_AGENT), ("Accept", "*/*")];
    if has_content {
        defaults.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    if let Some(authorization) = &authorization {
        defaults.push(("Authorization", authorization));
    }
    let given = args.fields.iter().map(|field| Field::of(field)).collect::<Result<Vec<_>, _>>()?;
    Ok(Field::over(&defaults, &given))
}

/// With the client of the library: redirects, proxies, several addresses.
fn through_the_kernel(
    args: &Get,
    destination: &Destination,
    fields: &[(String, String)],
    content: Bytes,
) -> Result<(), Failure> {
    if args.link.is_given() {
        return Err(link::without_tun());
    }
    let config = config(args)?;
    let tls = args.access.tls(destination)?;
    let method =
        method(args).parse().map_err(|_| Failure::usage("the request cannot be sent: its method is not a token"))?;
    let mut request = Request::new(method, &args.url).map_err(Failure::usage)?;
    for (name, value) in fields {
        request = request.field(name, value).map_err(Failure::usage)?;
    }
    let request = request.with_content(content);
    let mut out = output(args)?;
    let (hsts, trailers) = if args.runtime == Runtime::Std {
        let client = access::std_client(config.clone(), tls);
        let mut response = client.send(request).map_err(access::failure)?;
        while let Some(piece) = response.chunk().map_err(access::failure)? {
            out.write_all(&piece).map_err(cannot_write)?;
        }
        (client.hsts(), response.trailers().clone())
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
        runtime.block_on(async {
            let client = access::tokio_client(config.clone(), tls);
            let mut response = client.send(request).await.map_err(access::failure)?;
            while let Some(piece) = response.chunk().await.map_err(access::failure)? {
                out.write_all(&piece).map_err(cannot_write)?;
            }
            Ok((client.hsts(), response.trailers().clone()))
        })?
    };
    out.flush().map_err(cannot_write)?;
    show_trailers(args.verbose, &trailers);
    args.access.keep(&config, &hsts)
}

fn config(args: &Get) -> Result<Config, Failure> {
    let mut config = args.access.config()?;
    config.redirects.limit = if args.location { args.max_redirects } else { 0 };
    config.timeout = args.max_time;
    // They are all among the request's own.
    config.fields.clear();
    if args.verbose {
        config.trace = Some(Trace::new(|seen| match seen {
            Seen::Request(head) => show('>', &String::from_utf8_lossy(head)),
            Seen::Response(head) => show('<', &format!("{head:#}")),
            _ => {}
        }));
    }
    Ok(config)
}

fn output(args: &Get) -> Result<Box<dyn Write>, Failure> {
    Ok(match &args.output {
        Some(path) => {
            Box::new(File::create(path).map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?)
        }
        None => Box::new(io::stdout().lock()),
    })
}

/// With our own TCP: one exchange with the server itself.
fn past_the_kernel(
    args: &Get,
    destination: &Destination,
    fields: &[(String, String)],
    content: Bytes,
) -> Result<(), Failure> {
    args.access.check_without_kernel(destination)?;
    if args.location || args.max_time.is_some() {
        return Err(Failure::usage("--location and --max-time are not for --runtime tun"));
    }
    let given = fields.iter().map(|(name, value)| (&**name, &**value));
    let has_host = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = (!has_host).then_some(("Host", &*destination.authority));
    let fields: Vec<_> = host.into_iter().chain(given).collect();
    // The request is queued before there is a connection, so what cannot be sent is told at once.
    let mut machine = Connection::new(Instant::ORIGIN, client::Config::default());
    let request = PlainRequest::new(method(args), &destination.target, &fields);
    machine
        .send_request(&request, Length::Known(content.len() as u64))
        .map_err(|error| Failure::usage(format_args!("the request cannot be sent: {error}")))?;
    if args.verbose {
        let queue = machine.transmit();
        show('>', &String::from_utf8_lossy(queue.chunk()));
    }
    if !content.is_empty() {
        machine.send_content(content).map_err(Failure::failed)?;
    }
    machine.finish(None).map_err(Failure::failed)?;
    let fetch = Fetch { out: output(args)?, verbose: args.verbose };
    run::past_the_kernel(&args.link, destination, machine, fetch)
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
                show_trailers(self.verbose, &trailers);
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

fn show_trailers(verbose: bool, trailers: &Trailers) {
    if verbose && !trailers.is_empty() {
        show('<', &trailers.to_string());
    }
}

/// Shows a head or a trailer section on standard error, each line behind a mark.
fn show(mark: char, head: &str) {
    let mut err = io::stderr().lock();
    for line in head.trim_end().lines().chain([""]) {
        let _ = writeln!(err, "{mark} {}", line.trim_end());
    }
}
