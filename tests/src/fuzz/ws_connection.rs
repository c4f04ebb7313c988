//! A WebSocket connection, in either role, against bytes and cuts of the input's choosing.

use std::time::Duration;

use drywire::ws::deflate::{Compression, Parameters, Pool};
use drywire::ws::{
    CloseCode, CloseFrame, Config, Connection, Delivery, Error, Event, Message, MessageKind, PreparedMessage, Role,
    SendError,
};
use drywire::{Buf, Bytes, Close, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use super::Splits;

const HIGH_WATER: usize = 1500;
const MAX_MESSAGE: usize = 4000;

const COMPRESSION: Compression = Compression { level: 1, threshold: 16 };

/// The first byte chooses the role (bit 0), whether messages are echoed (bit 1), whether our end closes first (bit 2),
/// whether the peer takes what is sent (bit 3), whether messages are told in chunks (bit 4), whether they are echoed in every
/// way that there is to send (bit 5), and whether both ends compress (bit 6), without context takeover (bit 7).
pub fn run(data: &[u8]) {
    let (&mode, rest) = data.split_first().unwrap_or((&0, &[]));
    let splits = Splits::new(rest);
    let whole = connect(mode, std::iter::once(splits.payload));
    // Law 1.
    assert_eq!(connect(mode, splits.pieces()), whole);
    assert_eq!(connect(mode, splits.payload.chunks(1)), whole);
}

/// What a run shows to the outside.
#[derive(Debug, PartialEq)]
struct Trace {
    events: Vec<Event>,
    failure: Option<Error>,
    sent: Vec<u8>,
    /// What stayed in the receive buffer of a connection that did not fail.
    left: Vec<u8>,
}

fn connect<'a>(mode: u8, pieces: impl Iterator<Item = &'a [u8]>) -> Trace {
    let (role, peer_role) = if mode & 1 == 0 { (Role::Server, Role::Client) } else { (Role::Client, Role::Server) };
    let config = Config {
        max_frame_size: 3000,
        max_message_size: MAX_MESSAGE as u64,
        max_fragments: 20,
        close_timeout: Duration::from_secs(1),
        delivery: if mode & 16 == 0 { Delivery::Messages } else { Delivery::Chunks },
        compression: COMPRESSION,
        ..Config::default()
    };
    let mut now = Instant::from_secs(1);
    let mut machine = Connection::new(now, role, config, &Seed::from(6455), SendQueue::new(HIGH_WATER))
        .with_deflate(agreed(mode), &Pool::new(1));
    let mut recv = RecvBuf::new();
    let mut trace = Trace { events: Vec::new(), failure: None, sent: Vec::new(), left: Vec::new() };
    let mut echo = Echo::default();
    if mode & 4 != 0 {
        machine.close(now, Some(CloseFrame::new(CloseCode::GOING_AWAY, "fuzz"))).unwrap();
    }
    for piece in pieces {
        recv.extend_from_slice(piece);
        poll(&mut machine, mode, now, &mut recv, &mut echo, &mut trace);
    }
    recv.finish();
    poll(&mut machine, mode, now, &mut recv, &mut echo, &mut trace);
    poll(&mut machine, mode, now, &mut recv, &mut echo, &mut trace);

    // Law 6, until nothing is due any more.
    let mut timeouts = 0;
    let patient = mode & 8 != 0;
    if patient {
        take(&mut machine, &mut trace.sent);
    }
    while let Some(deadline) = machine.poll_timeout() {
        now = now.max(deadline);
        machine.handle_timeout(now);
        assert!(machine.poll_timeout().is_none_or(|next| next > now));
        timeouts += 1;
        assert!(timeouts < 5);
    }
    // The stream is over, so the connection is, and the transport is to be closed.
    let expected = if patient { Close::Both } else { machine.demand().close.expect("an end") };
    assert_eq!(machine.demand().close, Some(expected));
    if expected == Close::Both {
        assert!(machine.transmit().is_empty());
    }
    take(&mut machine, &mut trace.sent);
    if trace.failure.is_none() {
        trace.left = recv.to_vec();
    }
    if patient {
        understood(peer_role, agreed(mode), &trace.sent);
    }
    trace
}

fn agreed(mode: u8) -> Option<Parameters> {
    let mut parameters = Parameters::default();
    parameters.server_no_context_takeover = mode & 128 != 0;
    parameters.client_no_context_takeover = mode & 128 != 0;
    (mode & 64 != 0).then_some(parameters)
}

fn poll(machine: &mut Connection, mode: u8, now: Instant, recv: &mut RecvBuf, echo: &mut Echo, trace: &mut Trace) {
    loop {
        let event = match machine.poll_event(now, recv) {
            Ok(Some(event)) => event,
            Ok(None) => {
                assert_eq!(trace.failure, None, "an error is final");
                return;
            }
            Err(failure) => {
                assert!(trace.failure.is_none_or(|earlier| earlier == failure), "an error is final");
                trace.failure = Some(failure);
                trace.end_chunk(echo);
                return;
            }
        };
        assert!(!matches!(trace.events.last(), Some(Event::Close(_))), "nothing follows a Close frame");
        if let Event::MessageChunk(chunk) = &event {
            // Where a message is cut says nothing, so nothing is done here either.
            assert!(!chunk.is_empty());
            echo.chunk.extend_from_slice(chunk.as_bytes());
            continue;
        }
        trace.end_chunk(echo);
        echo.go_on(machine);
        let whole = match &event {
            Event::Message(message) => Some(message.clone()),
            Event::MessageStart(kind) => {
                echo.kind = Some(*kind);
                None
            }
            Event::MessageEnd => Some(echo.end()),
            _ => None,
        };
        if let Some(message) = whole {
            assert!(message.len() <= MAX_MESSAGE);
            if mode & 2 != 0 {
                echo.send(machine, message, mode & 32 != 0);
            }
        }
        trace.events.push(event);
        // The mark, what crossed it, a Close frame and the Pong that waited; and what does not get shorter by compression.
        assert!(machine.transmit().len() < HIGH_WATER + MAX_MESSAGE + 3 * 139 + 100);
        if mode & 8 != 0 {
            take(machine, &mut trace.sent);
        }
    }
}

impl Trace {
    /// Notes what was told of a message since the last other event.
    fn end_chunk(&mut self, echo: &mut Echo) {
        if !echo.chunk.is_empty() {
            self.events.push(Event::MessageChunk(Message::binary(echo.chunk.clone())));
            echo.message.append(&mut echo.chunk);
            assert!(echo.message.len() <= MAX_MESSAGE);
        }
    }
}

/// Sends messages back.
#[derive(Default)]
struct Echo {
    /// The message that is told in chunks: its kind, what came before the last other event, and what came behind it.
    kind: Option<MessageKind>,
    message: Vec<u8>,
    chunk: Vec<u8>,
    /// How many messages there were.
    count: usize,
    /// The rest of the message that is being sent, due at the next event.
    rest: Option<Bytes>,
}

impl Echo {
    /// The message that was told in chunks.
    fn end(&mut self) -> Message {
        let message = std::mem::take(&mut self.message);
        match self.kind.take().expect("it began") {
            MessageKind::Text => Message::text(String::from_utf8(message).expect("text is UTF-8")),
            MessageKind::Binary => Message::binary(message),
        }
    }

    fn go_on(&mut self, machine: &mut Connection) {
        if let Some(rest) = self.rest.take()
            && let Err(SendError::Full(rest)) = machine.send_fragment(rest, true)
        {
            self.rest = Some(rest);
        }
    }

    /// Sends a message whole, or in turn prepared, in two fragments and in two pieces of a frame.
    fn send(&mut self, machine: &mut Connection, message: Message, in_every_way: bool) {
        self.count += 1;
        let way = if in_every_way { self.count % 4 } else { 0 };
        let (kind, half, len) = (message.kind(), message.len() / 2, message.len() as u64);
        let started = match way {
            0 => {
                if let Err(SendError::Full(back)) = machine.send(message.clone()) {
                    assert_eq!(back, message);
                }
                return;
            }
            1 => {
                let _ = machine.send_prepared(&PreparedMessage::deflated(message, COMPRESSION));
                return;
            }
            2 => machine.start_message(kind).is_ok(),
            _ => len > 1 && machine.start_frame(kind, len).is_ok(),
        };
        if started {
            let payload = message.into_bytes();
            self.rest = Some(match machine.send_fragment(payload.slice(..half), false) {
                Ok(()) => payload.slice(half..),
                Err(_) => payload,
            });
        }
    }
}

fn take(machine: &mut Connection, sent: &mut Vec<u8>) {
    let queue = machine.transmit();
    sent.extend_from_slice(&queue.copy_to_bytes(queue.remaining()));
}

/// Whatever is provoked, a peer of our own finds no fault in what is sent.
fn understood(role: Role, agreed: Option<Parameters>, sent: &[u8]) {
    let now = Instant::ORIGIN;
    let mut machine = Connection::new(now, role, Config::default(), &Seed::from(0), SendQueue::new(HIGH_WATER))
        .with_deflate(agreed, &Pool::new(1));
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(sent);
    while machine.poll_event(now, &mut recv).expect("only legal frames are sent").is_some() {}
}
