//! Virtual time, and what must happen in it.

use std::collections::VecDeque;
use std::time::Duration;

use drywire::Instant;
use drywire::tcp::Config;

use super::Failure;
use super::ast::{Action, Call, Event, Packet, Script, TcpPacket, Time};
use super::host::{Engine, Sent};
use super::info;
use super::settings::Settings;
use super::socket::{Outcome, Sockets, Wait};

/// How many packets a failure shows.
const SHOWN: usize = 12;
/// How long `*` waits at most.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);
/// More packets at one instant than any script asks for.
const BURST: usize = 10_000;

/// Where the sequence numbers of a run begin. Scripts count from there, so every choice gives the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isns {
    /// Our initial sequence number.
    pub local: u32,
    /// What is added to the peer's sequence numbers.
    pub remote: u32,
}

impl Default for Isns {
    fn default() -> Self {
        Self { local: 1_000_000, remote: 3_000_000 }
    }
}

/// Runs a script to its end, or to the first thing that happens otherwise than it says: first on connections that stand
/// alone, then on a stack, unless it is meant for one of the two.
pub fn run(script: &Script, isns: Isns) -> Result<(), Failure> {
    run_with(&Config::default(), script, isns)
}

/// Runs a script as [`run`] does, on connections with these settings where the script has none of its own.
pub fn run_with(config: &Config, script: &Script, isns: Isns) -> Result<(), Failure> {
    let mut settings = Settings::new(config);
    for setting in &script.settings {
        settings.apply(setting).map_err(|message| Failure { line: setting.line, message, packets: vec![] })?;
    }
    for engine in [Engine::Connection, Engine::Stack] {
        if settings.engine.is_none_or(|only| only == engine) {
            run_on(engine, script, &settings, isns)?;
        }
    }
    Ok(())
}

fn run_on(engine: Engine, script: &Script, settings: &Settings, isns: Isns) -> Result<(), Failure> {
    let mut runner = Runner {
        now: Instant::ORIGIN,
        before: Instant::ORIGIN,
        tolerance: settings.tolerance,
        sockets: Sockets::new(settings.clone(), engine, isns.local, isns.remote),
        sent: VecDeque::new(),
        waiting: vec![],
        log: VecDeque::new(),
    };
    let mut line = 0;
    let mut result = Ok(());
    for event in &script.events {
        line = event.line;
        result = runner.play(event);
        if result.is_err() {
            break;
        }
    }
    result.and_then(|()| runner.finish()).map_err(|failure| Failure {
        line: failure.line.unwrap_or(line),
        message: match engine {
            Engine::Connection => failure.message,
            Engine::Stack => format!("on a stack, {}", failure.message),
        },
        packets: runner.log.into(),
    })
}

struct Runner {
    now: Instant,
    /// The time of the event before.
    before: Instant,
    tolerance: Duration,
    sockets: Sockets,
    /// What has left and was not yet expected.
    sent: VecDeque<Sent>,
    waiting: Vec<Waiting>,
    log: VecDeque<String>,
}

/// A call that blocks.
struct Waiting {
    line: u32,
    wait: Wait,
    end: Instant,
    call: Call,
}

/// A message, with its line where that is not the one of the event.
struct Trouble {
    line: Option<u32>,
    message: String,
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self { line: None, message }
    }
}

impl Runner {
    fn play(&mut self, event: &Event) -> Result<(), Trouble> {
        if let Action::Expect(packet) = &event.action {
            return self.expect(event.time, packet);
        }
        let at = match event.time {
            Time::Absolute(since) => Instant::ORIGIN + since,
            Time::Relative(since) => self.before + since,
            Time::Range { .. } | Time::Any => return Err("this happens at one time".to_owned().into()),
        };
        self.advance(at)?;
        match &event.action {
            Action::Inject(Packet::Tcp(packet)) => self.inject(packet)?,
            Action::Inject(Packet::Icmp(packet)) => {
                self.note('<', self.now, &packet.to_string());
                self.sockets.host.inject_icmp(self.now, packet)?;
            }
            Action::Call(call) => self.call(event, call)?,
            Action::Assert(assertions) => {
                for assertion in assertions {
                    let outcome = assertion.check(&|name| info::value(&self.sockets.host, name));
                    outcome.map_err(|message| Trouble { line: Some(assertion.line), message })?;
                }
            }
            Action::Expect(_) => {}
        }
        self.before = at;
        self.poll()
    }

    fn inject(&mut self, packet: &TcpPacket) -> Result<(), Trouble> {
        self.note('<', self.now, &packet.to_string());
        self.sockets.inject(self.now, packet).map_err(Trouble::from)
    }

    fn call(&mut self, event: &Event, call: &Call) -> Result<(), Trouble> {
        let end = call.end.map(|end| match event.time {
            Time::Relative(_) => self.before + end,
            _ => Instant::ORIGIN + end,
        });
        match self.sockets.call(self.now, call)? {
            Outcome::Blocked(wait) => match end {
                Some(end) => {
                    let call = call.clone();
                    self.waiting.push(Waiting { line: event.line, wait, end, call });
                    Ok(())
                }
                None => Err(format!("{} blocks", call.name).into()),
            },
            outcome => {
                if end.is_some_and(|end| end > self.now + self.tolerance) {
                    return Err(format!("{} returns at once: {outcome:?}", call.name).into());
                }
                check_result(call, &outcome).map_err(Trouble::from)
            }
        }
    }

    /// Waits for a packet and compares it.
    fn expect(&mut self, time: Time, expected: &Packet) -> Result<(), Trouble> {
        let Packet::Tcp(expected) = expected else { return Err("no ICMP message leaves".to_owned().into()) };
        let (from, to, exact) = match time {
            Time::Absolute(since) => (Instant::ORIGIN + since, Instant::ORIGIN + since, true),
            Time::Relative(since) => (self.before + since, self.before + since, true),
            Time::Range { from, to, relative: true } => (self.before + from, self.before + to, false),
            Time::Range { from, to, relative: false } => (Instant::ORIGIN + from, Instant::ORIGIN + to, false),
            Time::Any => (Instant::ORIGIN, self.now + PATIENCE, false),
        };
        self.wait_for_packet(to + self.tolerance)?;
        let Some(sent) = self.sent.pop_front() else {
            let message = format!("no packet leaves until {}, expected\n{}", seconds(to), line('>', to, expected));
            return Err(message.into());
        };
        let actual = self.sockets.host.read(&sent, Some(expected))?;
        self.note('>', sent.at, &actual.to_string());
        let mut differences = compare(expected, &actual);
        if sent.at < from - self.tolerance || sent.at > to + self.tolerance {
            differences.push("time");
        }
        if differences.is_empty() {
            self.before = if exact { from } else { sent.at };
            return Ok(());
        }
        let (expected, actual) = (line('>', from, expected), line('>', sent.at, &actual));
        Err(format!("the packet differs in {}\nexpected\n{expected}\nactual\n{actual}", differences.join(", ")).into())
    }

    /// Lets time pass until a packet has left, or until `limit`.
    fn wait_for_packet(&mut self, limit: Instant) -> Result<(), Trouble> {
        while self.sent.is_empty() && self.step(limit)? {}
        if self.sent.is_empty() {
            self.now = self.now.max(limit);
        }
        Ok(())
    }

    /// Lets time pass until `to`, in which no packet may leave that is not expected before.
    fn advance(&mut self, to: Instant) -> Result<(), Trouble> {
        if to + self.tolerance < self.now {
            return Err(format!("it is {} already", seconds(self.now)).into());
        }
        loop {
            self.nothing_unexpected(to)?;
            if !self.step(to)? {
                self.now = self.now.max(to);
                return Ok(());
            }
        }
    }

    fn nothing_unexpected(&mut self, now: Instant) -> Result<(), Trouble> {
        let Some(sent) = self.sent.front().filter(|sent| sent.at + self.tolerance < now) else { return Ok(()) };
        let actual = self.sockets.host.read(sent, None)?;
        Err(format!("a packet leaves that is not expected\n{}", line('>', sent.at, &actual)).into())
    }

    /// Moves to the next deadline, if it is not later than `limit`; returns whether there was one.
    fn step(&mut self, limit: Instant) -> Result<bool, Trouble> {
        let Some(at) = self.sockets.host.poll_timeout().filter(|at| *at <= limit) else { return Ok(false) };
        self.now = self.now.max(at);
        self.sockets.host.handle_timeout(self.now);
        if self.sockets.host.poll_timeout().is_some_and(|next| next <= self.now) {
            return Err(format!("a deadline stands still at {}", seconds(self.now)).into());
        }
        self.poll()?;
        Ok(true)
    }

    /// Takes in everything that the connections have to say at this instant.
    fn poll(&mut self) -> Result<(), Trouble> {
        loop {
            self.transmit()?;
            self.sockets.settle();
            if !self.retry()? {
                return Ok(());
            }
        }
    }

    fn transmit(&mut self) -> Result<(), Trouble> {
        while let Some(sent) = self.sockets.host.transmit(self.now)? {
            self.sent.push_back(sent);
            if self.sent.len() > BURST {
                return Err("packets leave without end".to_owned().into());
            }
        }
        Ok(())
    }

    /// Tries the calls that block; returns whether one went on.
    fn retry(&mut self) -> Result<bool, Trouble> {
        let mut progress = false;
        for mut waiting in std::mem::take(&mut self.waiting) {
            let in_line = |message| Trouble { line: Some(waiting.line), message };
            match self.sockets.retry(&waiting.wait).map_err(in_line)? {
                Outcome::Blocked(wait) => {
                    progress |= wait != waiting.wait;
                    waiting.wait = wait;
                    self.waiting.push(waiting);
                }
                outcome => {
                    progress = true;
                    check_result(&waiting.call, &outcome).map_err(in_line)?;
                    if self.now + self.tolerance < waiting.end || self.now > waiting.end + self.tolerance {
                        let (now, end) = (seconds(self.now), seconds(waiting.end));
                        return Err(in_line(format!("{} returns at {now}, expected at {end}", waiting.call.name)));
                    }
                }
            }
        }
        Ok(progress)
    }

    fn finish(&mut self) -> Result<(), Trouble> {
        while let Some(end) = self.waiting.iter().map(|waiting| waiting.end).max() {
            self.advance(end.max(self.now))?;
            if let Some(late) = self.waiting.iter().find(|waiting| waiting.end <= self.now) {
                let message = format!("{} has not returned at {}", late.call.name, seconds(late.end));
                return Err(Trouble { line: Some(late.line), message });
            }
        }
        self.nothing_unexpected(Instant::MAX)
    }

    fn note(&mut self, direction: char, at: Instant, packet: &str) {
        if self.log.len() == SHOWN {
            self.log.pop_front();
        }
        self.log.push_back(line(direction, at, packet));
    }
}

/// The names of the fields that differ.
fn compare(expected: &TcpPacket, actual: &TcpPacket) -> Vec<&'static str> {
    let mut differences = vec![];
    let mut field = |name, same: bool| {
        if !same {
            differences.push(name);
        }
    };
    field("flags", expected.flags == actual.flags);
    field("sequence number", expected.seq == actual.seq);
    field("length", expected.len == actual.len);
    field("acknowledgment", expected.ack == actual.ack);
    field("window", expected.window.is_none() || expected.window == actual.window);
    field("urgent pointer", expected.urgent == actual.urgent);
    field("options", expected.options.is_none() || expected.options == actual.options);
    field("ECN", expected.ecn.is_none() || expected.ecn == actual.ecn);
    differences
}

fn check_result(call: &Call, outcome: &Outcome) -> Result<(), String> {
    let same = match (call.result, outcome) {
        (None, _) => true,
        (Some(expected), Outcome::Done(actual)) => expected == *actual && call.errno.is_none(),
        (Some(-1), Outcome::Failed(actual)) => call.errno.as_deref().is_none_or(|expected| expected == *actual),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let expected = call.result.map_or("...".to_owned(), |result| result.to_string());
    let expected = [Some(expected), call.errno.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Err(match outcome {
        Outcome::Done(actual) => format!("{} returns {actual}, expected {expected}", call.name),
        Outcome::Failed(error) => format!("{} returns -1 {error}, expected {expected}", call.name),
        Outcome::Blocked(_) => format!("{} blocks, expected {expected}", call.name),
    })
}

fn line(direction: char, at: Instant, packet: impl std::fmt::Display) -> String {
    format!("  {} {direction} {packet}", seconds(at))
}

/// As scripts write it.
fn seconds(at: Instant) -> String {
    let text = format!("{}.{:09}", at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
