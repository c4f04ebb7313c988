//! `drywire ws`.

use std::io::{self, BufRead as _, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use drywire::http::ResponseHead;
use drywire::ws::client::{Client, Config, Error, Event as ClientEvent};
use drywire::ws::deflate::Parameters;
use drywire::ws::handshake::Offer;
use drywire::ws::{CloseCode, CloseFrame, Event, Message, SendError, Utf8Bytes};
use drywire::{Demand, Instant, RecvBuf, SendQueue, StreamMachine};

use super::{Application, Destination, Field, USER_AGENT, run};
use crate::args::Ws;
use crate::{Failure, seed};

/// How many lines are read ahead of the network.
const LINES_AHEAD: usize = 64;

pub(crate) fn run(args: &Ws) -> Result<(), Failure> {
    let destination = Destination::of(&args.url, "ws")?;
    let fields = args.fields.iter().map(|field| Field::of(field)).collect::<Result<Vec<_>, _>>()?;
    let authorization = args.access.authorization()?;
    let mut defaults = vec![("User-Agent", USER_AGENT)];
    defaults.extend(authorization.as_deref().map(|value| ("Authorization", value)));
    let offer = Offer {
        protocols: args.protocols.clone(),
        origin: args.origin.clone(),
        deflate: Some(Parameters::default()),
        fields: Field::over(&defaults, &fields),
        ..Offer::new(&*destination.authority, &*destination.target)
    };
    let machine = Client::new(Instant::ORIGIN, offer, Config::default(), &seed()?)
        .map_err(|error| Failure::usage(format_args!("the request cannot be sent: {error}")))?;
    run::run(args, &destination, Conversation { client: machine, close_at: None }, Talk::default())
}

/// A client that closes once the answers to what it sent have come: when nothing has arrived for a while.
struct Conversation {
    client: Client,
    /// When to close; set at the end of the input, and put off by everything that arrives.
    close_at: Option<Instant>,
}

impl Conversation {
    /// How long nothing must have arrived.
    const QUIET: Duration = Duration::from_millis(500);

    fn finish(&mut self, now: Instant) {
        self.close_at = Some(now + Self::QUIET);
    }
}

impl StreamMachine for Conversation {
    type Event = ClientEvent;
    type Error = Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<ClientEvent>, Error> {
        let event = self.client.poll_event(now, recv)?;
        if event.is_some() && self.close_at.is_some() {
            self.finish(now);
        }
        Ok(event)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.client.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.close_at, self.client.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        if self.close_at.is_some_and(|close_at| close_at <= now) {
            self.close_at = None;
            if let Some(connection) = self.client.connection_mut() {
                // Where the connection is closing already, the peer was faster.
                let _ = connection.close(now, Some(CloseFrame::new(CloseCode::NORMAL, "")));
            }
        }
    }

    fn demand(&self) -> Demand {
        self.client.demand()
    }
}

/// Sends lines and prints messages.
#[derive(Default)]
struct Talk {
    waker: Option<Waker>,
    input: Input,
    /// The line that the send queue had no room for.
    held: Option<Utf8Bytes>,
}

/// Standard input.
#[derive(Default)]
enum Input {
    /// Not touched before the connection is open.
    #[default]
    Waiting,
    Reading(Receiver<io::Result<String>>),
    Ended,
}

impl Talk {
    /// Reads lines on a thread of its own: standard input cannot be waited for together with a socket.
    fn read_lines(&mut self) -> Result<(), Failure> {
        let Some(waker) = self.waker.take() else { return Ok(()) };
        let (sender, receiver) = sync_channel(LINES_AHEAD);
        let read = move || send_lines(sender, &waker);
        thread::Builder::new().name("standard input".into()).spawn(read).map_err(Failure::failed)?;
        self.input = Input::Reading(receiver);
        Ok(())
    }

    /// Sends as many lines as there are and as there is room for.
    fn send(&mut self, now: Instant, conversation: &mut Conversation) -> Result<(), Failure> {
        loop {
            let (Input::Reading(lines), Some(connection)) = (&self.input, conversation.client.connection_mut()) else {
                return Ok(());
            };
            let line = match self.held.take() {
                Some(line) => line,
                None => match lines.try_recv() {
                    Ok(Ok(line)) => Utf8Bytes::from(line),
                    Ok(Err(error)) => return Err(Failure::failed(format_args!("standard input: {error}"))),
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => {
                        self.input = Input::Ended;
                        conversation.finish(now);
                        return Ok(());
                    }
                },
            };
            match connection.send_text(line) {
                Ok(()) => {}
                Err(SendError::Full(line)) => {
                    self.held = Some(line);
                    return Ok(());
                }
                // The peer has closed: what else is typed has nowhere to go.
                Err(SendError::Misuse(_)) => self.input = Input::Ended,
            }
        }
    }

    fn connection_event(event: Event) -> Result<(), Failure> {
        match event {
            Event::Message(Message::Text(text)) => print(text.as_bytes(), b"\n"),
            Event::Message(Message::Binary(bytes)) => print(&bytes, b""),
            // Without a code is as good as 1000; 1001 is a server or a page that goes away in order.
            Event::Close(Some(frame)) if ![CloseCode::NORMAL, CloseCode::GOING_AWAY].contains(&frame.code) => {
                let reason = format!(" {}", frame.reason.as_str());
                Err(Failure::failed(format_args!("the server closed with {}{}", frame.code, reason.trim_end())))
            }
            _ => Ok(()),
        }
    }
}

impl Application<Conversation> for Talk {
    fn start(&mut self, waker: Waker) {
        self.waker = Some(waker);
    }

    fn turn(&mut self, now: Instant, machine: &mut Conversation) -> Result<(), Failure> {
        self.send(now, machine)
    }

    fn event(&mut self, _: Instant, _: &mut Conversation, event: ClientEvent) -> Result<ControlFlow<()>, Failure> {
        match event {
            ClientEvent::Open { .. } => self.read_lines()?,
            ClientEvent::Refused(head) => return Err(refused(&head)),
            ClientEvent::Connection(event) => Self::connection_event(event)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn refused(head: &ResponseHead) -> Failure {
    let reason = String::from_utf8_lossy(head.reason());
    Failure::failed(format_args!("the server refused the WebSocket: {} {}", head.status(), reason.escape_debug()))
}

fn send_lines(sender: SyncSender<io::Result<String>>, waker: &Waker) {
    for line in io::stdin().lock().lines() {
        let failed = line.is_err();
        if sender.send(line).is_err() || failed {
            break;
        }
        waker.wake_by_ref();
    }
    // The end is told by the sender's end, so that comes before the wake.
    drop(sender);
    waker.wake_by_ref();
}

fn print(bytes: &[u8], end: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.write_all(end)).and_then(|()| out.flush());
    written.map_err(|error| Failure::failed(format_args!("standard output: {error}")))
}
