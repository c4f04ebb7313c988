//! Scripts that prove the rules of TCP, one rule a script.
//!
//! The language is that of [packetdrill](https://github.com/google/packetdrill): packets that arrive (`<`), packets
//! that must leave (`>`), system calls and assertions, each with its time. Here they run against
//! [`Connection`](drywire::tcp::Connection) and then against a [`Stack`](drywire::tcp::Stack), in virtual time: without
//! sockets, without privileges, and exact to the nanosecond. `docs/design/scripts.md` describes the subset.
//!
//! ```
//! use drywire_tests::script::{Isns, Script, run};
//!
//! let script: Script = "
//!     0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
//!     +0  fcntl(3, F_SETFL, O_NONBLOCK) = 0
//!     +0  connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
//!     +0  > S 0:0(0) <...>
//!     +.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
//!     +0  > . 1:1(0) ack 1
//! "
//! .parse()?;
//! run(&script, Isns::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assertion;
mod ast;
mod flow;
mod host;
mod info;
mod ip;
mod lexer;
mod parser;
mod runner;
mod settings;
mod socket;
mod translation;
mod wire;

use std::error::Error;
use std::fmt;

pub use ast::Script;
pub use runner::{Isns, run, run_with};

/// A mistake in the text of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    line: u32,
    message: String,
}

impl ParseError {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    /// The line that it was found in, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    fn moved_by(self, lines: u32) -> Self {
        Self { line: self.line + lines, ..self }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl Error for ParseError {}

/// What happened otherwise than a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    line: u32,
    message: String,
    /// The last packets, the latest at the end.
    packets: Vec<String>,
}

impl Failure {
    /// The line of the event that failed, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)?;
        if !self.packets.is_empty() {
            f.write_str("\nthe last packets:")?;
        }
        self.packets.iter().try_for_each(|packet| write!(f, "\n{packet}"))
    }
}

impl Error for Failure {}
