//! `drywire serve`.

mod poll;
mod secure;
mod tasks;
mod threads;
#[cfg(target_os = "linux")]
mod tun;

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use drywire::driver::{Served, ServerConfig, Turn, TurnResult};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::secure::Secure;
use crate::Failure;
use crate::args::{Runtime, Serve};
use crate::link;
use crate::site::{Event, Session, Site};

pub(crate) fn run(args: &Serve) -> Result<(), Failure> {
    let log = Log { quiet: args.quiet };
    let listen = args.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
    let mut site = Site::new();
    // Routers forget connections that are silent for minutes, and a peer that is gone says nothing either.
    site.ws.ping_interval = Some(Duration::from_secs(45));
    if !args.allowed_origins.is_empty() {
        site.allow(args.allowed_origins.clone());
    }
    let secure = Secure::of(&args.security, listen)?;
    match args.runtime {
        Runtime::Tun if secure.is_some() => Err(Failure::usage("--runtime tun speaks no TLS")),
        Runtime::Tokio | Runtime::Std | Runtime::Poll if args.link.is_given() => Err(link::without_tun()),
        Runtime::Tokio => tasks::run(listen, limits(args), site, secure, log),
        Runtime::Std => threads::run(listen, limits(args), site, secure, log),
        Runtime::Poll => poll::run(listen, limits(args), &site, secure.as_ref(), log),
        #[cfg(target_os = "linux")]
        Runtime::Tun => tun::run(args, &site, log),
        #[cfg(not(target_os = "linux"))]
        Runtime::Tun => Err(link::without_linux()),
    }
}

fn limits(args: &Serve) -> ServerConfig {
    let mut limits = ServerConfig::default();
    limits.max_connections = args.max_connections;
    limits
}

/// Tells what happens on standard error.
#[derive(Clone, Copy)]
struct Log {
    quiet: bool,
}

impl Log {
    fn event(self, peer: SocketAddr, event: &Event) {
        match event {
            Event::Request(_) => {}
            Event::Answered { method, target, status } => {
                self.line(peer, format_args!("{method} {} {status}", target.escape_debug()));
            }
            Event::Closed(Some(frame)) => self.line(peer, format_args!("WebSocket closed with {}", frame.code)),
            Event::Closed(None) => self.line(peer, format_args!("WebSocket closed")),
        }
    }

    fn failed(self, peer: SocketAddr, error: &dyn std::fmt::Display) {
        self.line(peer, format_args!("{error}"));
    }

    fn line(self, peer: SocketAddr, what: std::fmt::Arguments<'_>) {
        if !self.quiet {
            // A log that nobody reads any more must not end the server.
            let _ = writeln!(std::io::stderr().lock(), "{peer} {what}");
        }
    }
}

/// What a server with all connections on one thread does behind every turn.
fn on_turn(served: &mut Served<'_, Session>, turn: TurnResult<Session>, log: Log) {
    if served.is_shutting_down() {
        let now = served.now();
        served.machine_mut().shutdown(now);
    }
    match turn {
        Ok(Turn::Event(event)) => log.event(served.peer(), &event),
        // News for the session, or room: the next turn polls it.
        Ok(_) => {}
        Err(error) => log.failed(served.peer(), &error),
    }
}

/// The first line of standard output.
fn announce(address: SocketAddr, is_secure: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let scheme = if is_secure { "https" } else { "http" };
    writeln!(out, "listening on {scheme}://{address}").and_then(|()| out.flush()).map_err(Failure::failed)
}

fn cannot_listen(address: SocketAddr, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format_args!("cannot listen on {address}: {error}"))
}

/// Calls `stop` at the first SIGINT or SIGTERM; the second one ends the program as it would by default.
fn at_signal(stop: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Failure::failed)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut signals = signals.forever();
            signals.next();
            stop();
            if let Some(signal) = signals.next() {
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })
        .map(drop)
        .map_err(Failure::failed)
}
