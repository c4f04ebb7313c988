//! The program `drywire`: a server and clients on three runtimes, and a tour through the machines without any.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the program is what reads the clock, starts threads and asks the system for randomness"
)]

mod args;
mod client;
mod link;
mod pem;
mod pulse;
mod serve;
mod site;
mod tour;

use std::fmt::Display;
use std::process::ExitCode;

use clap::Parser;
use drywire::Seed;

use crate::args::{Args, Command};

/// Why the program ends without success: one line for the user, and the exit status.
#[derive(Debug)]
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// The user asked for something that cannot be done: status 2.
    fn usage(message: impl Display) -> Self {
        Self { status: 2, message: message.to_string() }
    }

    /// What the user asked for was tried and failed: status 1.
    fn failed(message: impl Display) -> Self {
        Self { status: 1, message: message.to_string() }
    }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return report(&Failure::usage(one_line(&error))),
        // Help and version.
        Err(error) => error.exit(),
    };
    let result = match args.command {
        Command::Serve(args) => serve::run(&args),
        Command::Get(args) => client::get::run(&args),
        Command::Ws(args) => client::ws::run(&args),
        Command::Tour(args) => tour::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &Failure) -> ExitCode {
    eprintln!("drywire: {}", failure.message);
    ExitCode::from(failure.status)
}

/// A seed from the operating system.
fn seed() -> Result<Seed, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed(format_args!("no randomness: {error}")))?;
    Ok(Seed::from_bytes(bytes))
}

/// clap's message without its usage block.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\nUsage:").next().unwrap_or(&text);
    let message = message.split("\n\nFor more").next().unwrap_or(message).trim_start_matches("error: ");
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }

    #[test]
    fn wrong_arguments_take_one_line() {
        for arguments in [
            &["drywire"][..],
            &["drywire", "serve", "--runtime", "other"],
            &["drywire", "serve", "--listen", "nowhere"],
            &["drywire", "serve", "--tun-address", "10.0.0.1/33"],
            &["drywire", "serve", "--tls", "unknown"],
            &["drywire", "serve", "--cert", "a.pem"],
            &["drywire", "serve", "--tls", "self-signed", "--cert", "a.pem", "--key", "a.pem"],
            &["drywire", "get"],
            &["drywire", "get", "https://a", "--cacert", "a.pem", "--insecure"],
            &["drywire", "get", "https://a", "--cert", "a.pem"],
            &["drywire", "ws", "wss://a", "--key", "a.pem"],
            &["drywire", "tour", "--loss", "99"],
        ] {
            let line = one_line(&Args::try_parse_from(arguments).unwrap_err());
            assert!(!line.contains('\n') && !line.contains("Usage") && line.len() > 10, "{line}");
        }
    }
}
