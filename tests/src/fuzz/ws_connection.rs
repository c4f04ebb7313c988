//! A WebSocket connection, in either role, against bytes and cuts of the input's choosing.

use std::time::Duration;

use drywire::ws::{CloseCode, CloseFrame, Config, Connection, Error, Event, Role, SendError};
use drywire::{Buf, Close, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use super::Splits;

const HIGH_WATER: usize = 1500;
const MAX_MESSAGE: usize = 4000;

/// The first byte chooses the role (bit 0), whether messages are echoed (bit 1), whether our end closes first (bit 2)
/// and whether the peer takes what is sent (bit 3).
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
        ..Config::default()
    };
    let mut now = Instant::from_secs(1);
    let mut machine = Connection::new(now, role, config, &Seed::from(6455), SendQueue::new(HIGH_WATER));
    let mut recv = RecvBuf::new();
    let mut trace = Trace { events: Vec::new(), failure: None, sent: Vec::new(), left: Vec::new() };
    if mode & 4 != 0 {
        machine.close(now, Some(CloseFrame::new(CloseCode::GOING_AWAY, "fuzz"))).unwrap();
    }
    for piece in pieces {
        recv.extend_from_slice(piece);
        poll(&mut machine, mode, now, &mut recv, &mut trace);
    }
    recv.finish();
    poll(&mut machine, mode, now, &mut recv, &mut trace);
    poll(&mut machine, mode, now, &mut recv, &mut trace);

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
        understood(peer_role, &trace.sent);
    }
    trace
}

fn poll(machine: &mut Connection, mode: u8, now: Instant, recv: &mut RecvBuf, trace: &mut Trace) {
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
                return;
            }
        };
        assert!(!matches!(trace.events.last(), Some(Event::Close(_))), "nothing follows a Close frame");
        if let Event::Message(message) = &event {
            assert!(message.len() <= MAX_MESSAGE);
            if mode & 2 != 0
                && let Err(SendError::Full(back)) = machine.send(message.clone())
            {
                assert_eq!(&back, message);
            }
        }
        trace.events.push(event);
        // The mark, what crossed it, a Close frame and the Pong that waited.
        assert!(machine.transmit().len() < HIGH_WATER + MAX_MESSAGE + 3 * 139);
        if mode & 8 != 0 {
            take(machine, &mut trace.sent);
        }
    }
}

fn take(machine: &mut Connection, sent: &mut Vec<u8>) {
    let queue = machine.transmit();
    sent.extend_from_slice(&queue.copy_to_bytes(queue.remaining()));
}

/// Whatever is provoked, a peer of our own finds no fault in what is sent.
fn understood(role: Role, sent: &[u8]) {
    let now = Instant::ORIGIN;
    let mut machine = Connection::new(now, role, Config::default(), &Seed::from(0), SendQueue::new(HIGH_WATER));
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(sent);
    while machine.poll_event(now, &mut recv).expect("only legal frames are sent").is_some() {}
}
