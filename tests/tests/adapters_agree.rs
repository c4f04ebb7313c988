//! One scenario, four drivers: the files in `tests/adapters` run on threads, on a readiness loop, on tokio and in the simulator,
//! and each tells the same events and leaves the same bytes.
//!
//! A scenario is one line a step, and `\r`, `\n`, `\\` and `\xHH` stand for bytes:
//!
//! ```text
//! # the rule, or what is shown
//! machine http               or ws, from behind the opening handshake
//! idle 50                    the machine gives up after so many milliseconds of silence.
//!
//! send GET / HTTP/1.1\r\n    what the peer sends,
//! pause 5                    how long it waits (milliseconds of the machine's clock),
//! await hello                what it waits for,
//! end                        and when it ends its direction.
//!
//! on request /bye: shutdown  commands of the application at the next such event: answer, shutdown, send, ping or close.
//!
//! event request /bye         what the application is told, in order
//! output HTTP/1.1 200        what the peer hears, in order
//! outcome closed             how it ends: `closed`, or the machine's error.
//! ```

#![allow(clippy::disallowed_methods, reason = "servers run on threads of their own")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drywire::driver::{DriveError, With};
use drywire::http::{Length, PlainResponse, server};
use drywire::sim::{Input, StreamPair};
use drywire::ws::{CloseCode, CloseFrame, Message, Role};
use drywire::{Bytes, Close, Demand, Either, Instant, RecvBuf, Seed, SendQueue, StreamMachine, ws};

#[derive(Clone, Debug, Default)]
struct Scenario {
    is_ws: bool,
    idle: Option<Duration>,
    peer: Vec<Step>,
    /// Events, and the commands that they bring about: each once, in this order.
    commands: Vec<(String, String)>,
    expected: Record,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Bytes),
    Pause(Duration),
    Await(Bytes),
    End,
}

/// What a run shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    events: Vec<String>,
    output: String,
    outcome: String,
}

impl Scenario {
    fn read(path: &Path) -> Self {
        let mut scenario = Self::default();
        for line in fs::read_to_string(path).unwrap().lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let millis = || Duration::from_millis(rest.parse().unwrap());
            match word {
                "#" | "" => {}
                "machine" => scenario.is_ws = rest == "ws",
                "idle" => scenario.idle = Some(millis()),
                "send" => scenario.peer.push(Step::Send(unescape(rest))),
                "pause" => scenario.peer.push(Step::Pause(millis())),
                "await" => scenario.peer.push(Step::Await(unescape(rest))),
                "end" => scenario.peer.push(Step::End),
                "on" => {
                    let (event, command) = rest.split_once(": ").unwrap();
                    scenario.commands.push((event.to_owned(), command.to_owned()));
                }
                "event" => scenario.expected.events.push(rest.to_owned()),
                "output" => scenario.expected.output += &unescape(rest).escape_ascii().to_string(),
                "outcome" => rest.clone_into(&mut scenario.expected.outcome),
                _ => panic!("{}: what is '{word}'?", path.display()),
            }
        }
        scenario
    }

    fn machine(&self, now: Instant) -> Subject {
        if self.is_ws {
            let config = ws::Config { ping_interval: None, idle_timeout: self.idle, ..ws::Config::default() };
            let queue = SendQueue::new(65_536);
            Either::Second(Box::new(ws::Connection::new(now, Role::Server, config, &Seed::from(1), queue)))
        } else {
            let config = server::Config { idle_timeout: self.idle, ..server::Config::default() };
            Either::First(Box::new(server::Connection::new(now, config)))
        }
    }

    fn application(self: &Arc<Self>) -> Application {
        Application { scenario: Arc::clone(self), record: Arc::default(), next_command: Arc::default() }
    }

    fn peer(&self) -> Peer {
        Peer {
            steps: self.peer.clone().into(),
            heard: Vec::new(),
            send: SendQueue::new(usize::MAX),
            until: None,
            ends: false,
            ended: false,
        }
    }
}

/// `\r\n` and the like as bytes.
fn unescape(text: &str) -> Bytes {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        bytes.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('\\') => b'\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("what is '\\{other:?}'?"),
        });
    }
    bytes.into()
}

type Subject = Either<Box<server::Connection>, Box<ws::Connection>>;
type SubjectEvent = <Subject as StreamMachine>::Event;
type SubjectError = <Subject as StreamMachine>::Error;

/// The application of the machine under test. There is nothing of any runtime in here.
#[derive(Clone)]
struct Application {
    scenario: Arc<Scenario>,
    record: Arc<Mutex<Record>>,
    next_command: Arc<Mutex<usize>>,
}

impl Application {
    fn event(&self, now: Instant, machine: &mut Subject, event: SubjectEvent) {
        let told = match event {
            Either::First(server::Event::Request(head)) => format!("request {}", head.target()),
            Either::First(server::Event::Content(content)) => format!("content {}", content.escape_ascii()),
            Either::First(server::Event::End(_)) => "end".to_owned(),
            Either::First(event) => format!("{event:?}"),
            Either::Second(ws::Event::Message(Message::Text(text))) => format!("text {}", text.as_str()),
            Either::Second(ws::Event::Message(Message::Binary(bytes))) => format!("binary {}", bytes.escape_ascii()),
            Either::Second(ws::Event::Ping(payload)) => format!("ping {}", payload.escape_ascii()),
            Either::Second(ws::Event::Close(frame)) => {
                let frame = frame.map(|frame| format!("close {} {}", frame.code, frame.reason.as_str()));
                frame.unwrap_or_else(|| "close".to_owned()).trim_end().to_owned()
            }
            Either::Second(event) => format!("{event:?}"),
        };
        {
            let events = &mut self.record.lock().unwrap().events;
            match (events.last_mut(), told.strip_prefix("content ")) {
                // Where content is cut says nothing.
                (Some(last), Some(more)) if last.starts_with("content ") => last.push_str(more),
                _ => events.push(told.clone()),
            }
        }
        let next = &mut *self.next_command.lock().unwrap();
        if let Some((event, commands)) = self.scenario.commands.get(*next)
            && *event == told
        {
            commands.split("; ").for_each(|command| Self::command(now, machine, command));
            *next += 1;
        }
    }

    fn command(now: Instant, machine: &mut Subject, command: &str) {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match (machine, word) {
            (Either::First(http), "answer") => {
                http.respond(&PlainResponse::new(200, &[]), Length::Known(rest.len() as u64)).unwrap();
                http.send_content(Bytes::copy_from_slice(rest.as_bytes())).unwrap();
                http.finish(None).unwrap();
            }
            (Either::First(http), "shutdown") => http.shutdown(),
            (Either::Second(ws), "send") => ws.send_text(rest).unwrap(),
            (Either::Second(ws), "ping") => ws.ping(Bytes::copy_from_slice(rest.as_bytes())).unwrap(),
            (Either::Second(ws), "close") => ws.close(now, Some(CloseFrame::new(CloseCode::NORMAL, rest))).unwrap(),
            _ => panic!("what is '{command}'?"),
        }
    }

    fn closed(&self) {
        "closed".clone_into(&mut self.record.lock().unwrap().outcome);
    }

    fn failed(&self, error: &SubjectError) {
        self.record.lock().unwrap().outcome = format!("{error:?}");
    }

    /// How a driver of real sockets ended.
    fn ended(&self, result: Result<(), DriveError<SubjectError>>) {
        match result {
            Ok(()) => self.closed(),
            Err(DriveError::Protocol(error)) => self.failed(&error),
            Err(DriveError::Io(error)) => self.record.lock().unwrap().outcome = error.to_string(),
        }
    }

    fn record(&self, peer: &Peer) -> Record {
        let output = peer.heard.escape_ascii().to_string();
        Record { output, ..self.record.lock().unwrap().clone() }
    }
}

/// The other end, a machine too: pauses are deadlines of its, so that nobody sleeps.
struct Peer {
    steps: VecDeque<Step>,
    heard: Vec<u8>,
    send: SendQueue,
    until: Option<Instant>,
    ends: bool,
    ended: bool,
}

impl Peer {
    fn go_on(&mut self, now: Instant) {
        while self.until.is_none()
            && let Some(step) = self.steps.pop_front()
        {
            match step {
                Step::Send(bytes) => self.send.push(bytes),
                Step::Pause(pause) => self.until = Some(now + pause),
                Step::Await(wanted) => {
                    if !self.heard.windows(wanted.len()).any(|heard| heard == wanted) && !self.ended {
                        return self.steps.push_front(Step::Await(wanted));
                    }
                }
                Step::End => self.ends = true,
            }
        }
    }
}

impl StreamMachine for Peer {
    type Event = Infallible;
    type Error = Infallible;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Infallible>, Infallible> {
        self.heard.extend_from_slice(&recv.take(recv.len()));
        self.ended |= recv.is_finished();
        self.go_on(now);
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.go_on(now);
        }
    }

    fn demand(&self) -> Demand {
        let close = match () {
            () if !self.send.is_empty() => None,
            () if self.ended => Some(Close::Both),
            () => self.ends.then_some(Close::WriteHalf),
        };
        Demand { read: !self.ended, close }
    }
}

/// The peer of a server on real sockets, until both have closed.
fn talk(scenario: &Scenario, address: SocketAddr) -> Peer {
    let mut driver = drywire::std::connect(address, |_| scenario.peer()).unwrap();
    // A server that resets the connection has said everything before.
    let _ = driver.next_event();
    driver.into_parts().machine
}

fn on_threads(scenario: &Arc<Scenario>) -> Record {
    use drywire::std::{Driver, Server, TcpTransport};

    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let application = scenario.application();
    let handler = {
        let application = application.clone();
        move |transport: TcpTransport, _| {
            let now = transport.now();
            let mut driver = Driver::new(application.scenario.machine(now), transport);
            application.ended(loop {
                match driver.next_event() {
                    Ok(Some(event)) => {
                        let now = driver.now();
                        application.event(now, driver.machine_mut(), event);
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            });
        }
    };
    let running = std::thread::spawn(move || server.run(handler));
    let peer = talk(scenario, address);
    shutdown.shutdown();
    running.join().unwrap().unwrap();
    application.record(&peer)
}

fn on_a_readiness_loop(scenario: &Arc<Scenario>) -> Record {
    use drywire::std::{Turn, poll::Server};

    let server = Server::bind("127.0.0.1:0").unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let application = scenario.application();
    let running = std::thread::spawn({
        let application = application.clone();
        move || {
            server.run(
                |incoming| With { machine: application.scenario.machine(incoming.now), state: application.clone() },
                |served, turn| {
                    let now = served.now();
                    let With { machine, state: application } = served.machine_mut();
                    match turn {
                        Ok(Turn::Event(event)) => application.event(now, machine, event),
                        Ok(Turn::Closed) => application.closed(),
                        Ok(_) => {}
                        Err(error) => application.ended(Err(error)),
                    }
                },
            )
        }
    });
    let peer = talk(scenario, address);
    shutdown.shutdown();
    running.join().unwrap().unwrap();
    application.record(&peer)
}

fn on_tokio(scenario: &Arc<Scenario>) -> Record {
    use drywire::tokio::{Driver, Server, TcpTransport};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
    let (address, shutdown) = (server.local_addr(), server.shutdown_handle());
    let application = scenario.application();
    let handler = {
        let application = application.clone();
        move |transport: TcpTransport, _, _| {
            let application = application.clone();
            async move {
                let now = transport.now();
                let mut driver = Driver::new(application.scenario.machine(now), transport);
                application.ended(loop {
                    match driver.next_event().await {
                        Ok(Some(event)) => {
                            let now = driver.now();
                            application.event(now, driver.machine_mut(), event);
                        }
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                });
            }
        }
    };
    let running = std::thread::spawn(move || runtime.block_on(server.run(handler)).map(drop));
    let peer = talk(scenario, address);
    shutdown.shutdown();
    running.join().unwrap().unwrap();
    application.record(&peer)
}

/// The seed decides where the stream is cut, and how long each piece takes.
fn in_the_simulator(scenario: &Arc<Scenario>, seed: u64) -> Record {
    let application = scenario.application();
    let mut pair = StreamPair::new(seed, scenario.peer(), scenario.machine(Instant::ORIGIN));
    pair.run(
        |_, _| {},
        |cx, input| match input {
            Input::Event(event) => application.event(cx.now(), cx.machine(), event),
            Input::Failed(error) => application.failed(&error),
            Input::Closed(_) if application.record.lock().unwrap().outcome.is_empty() => application.closed(),
            _ => {}
        },
    )
    .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    application.record(pair.a())
}

#[test]
fn the_same_scenario_gives_the_same_on_every_driver() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} scenarios", paths.len());
    for path in paths {
        let scenario = Arc::new(Scenario::read(&path));
        let name = path.file_stem().unwrap().display();
        for seed in 0..20 {
            assert_eq!(in_the_simulator(&scenario, seed), scenario.expected, "{name} in the simulator, seed {seed}");
        }
        assert_eq!(on_threads(&scenario), scenario.expected, "{name} on threads");
        assert_eq!(on_a_readiness_loop(&scenario), scenario.expected, "{name} on a readiness loop");
        assert_eq!(on_tokio(&scenario), scenario.expected, "{name} on tokio");
    }
}
