//! permessage-deflate: compressed bytes of the input's choosing in any cut, and messages of its choosing there and back.

use drywire::ws::deflate::{Compression, Parameters, Pool, WindowBits};
use drywire::ws::{Config, Connection, Delivery, Error, Event, Message, MessageKind, Role, SendError};
use drywire::{Buf, Instant, RecvBuf, Seed, SendQueue, StreamMachine};

use super::Splits;

const NOW: Instant = Instant::from_secs(1);
const MAX_MESSAGE: u64 = 40_000;

/// The first byte chooses between a received stream (bit 0 clear) and a round trip (set), then who takes its context over
/// (bits 1 and 2), the level (bits 3 to 5), and for a round trip who sends (bit 6) and whether in chunks (bit 7). The
/// second one holds the two window sizes.
pub fn run(data: &[u8]) {
    let Some((&[mode, windows], rest)) = data.split_first_chunk() else { return };
    let mut parameters = Parameters::default();
    parameters.server_no_context_takeover = mode & 2 != 0;
    parameters.client_no_context_takeover = mode & 4 != 0;
    parameters.server_max_window_bits = WindowBits::new(8 + (windows & 7)).expect("8 to 15");
    parameters.client_max_window_bits = WindowBits::new(8 + (windows >> 4 & 7)).expect("8 to 15");
    let compression = Compression { level: mode >> 3 & 7, threshold: 0 };
    if mode & 1 == 1 {
        let delivery = if mode & 0x80 == 0 { Delivery::Messages } else { Delivery::Chunks };
        let roles = if mode & 0x40 == 0 { [Role::Client, Role::Server] } else { [Role::Server, Role::Client] };
        return there_and_back(roles, parameters, &Config { compression, delivery, ..Config::default() }, rest);
    }
    let splits = Splits::new(rest);
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config { delivery, max_message_size: MAX_MESSAGE, max_fragments: 20, ..Config::default() };
        let receive = |pieces: &mut dyn Iterator<Item = &[u8]>| receive(config.clone(), parameters, pieces);
        let whole = receive(&mut std::iter::once(splits.payload));
        // Law 1.
        assert_eq!(receive(&mut splits.pieces()), whole);
        assert_eq!(receive(&mut splits.payload.chunks(1)), whole);
    }
}

/// What a client makes of a stream: its events with chunks joined, how it failed, and what it sent.
type Trace = (Vec<Event>, Option<Error>, Vec<u8>);

fn receive(config: Config, parameters: Parameters, pieces: &mut dyn Iterator<Item = &[u8]>) -> Trace {
    let queue = SendQueue::new(1500);
    let mut client = Connection::new(NOW, Role::Client, config, &Seed::from(7692), queue)
        .with_deflate(Some(parameters), &Pool::new(1));
    let mut recv = RecvBuf::new();
    let (mut events, mut chunks, mut failure) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        recv.extend_from_slice(piece);
        loop {
            match client.poll_event(NOW, &mut recv) {
                Ok(Some(Event::MessageChunk(chunk))) => {
                    assert!(!chunk.is_empty());
                    chunks.extend_from_slice(chunk.as_bytes());
                    assert!(chunks.len() as u64 <= MAX_MESSAGE);
                }
                Ok(Some(event)) => {
                    // Where a message is cut says nothing, but what came before what does.
                    if let Event::Message(message) = &event {
                        assert!(message.len() as u64 <= MAX_MESSAGE);
                    }
                    if event == Event::MessageEnd {
                        events.push(Event::Message(Message::binary(std::mem::take(&mut chunks))));
                    }
                    events.push(event);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(failure.is_none_or(|earlier| earlier == error), "an error is final");
                    failure = Some(error);
                    break;
                }
            }
        }
    }
    events.push(Event::Message(Message::binary(chunks)));
    let queue = client.transmit();
    let sent = queue.copy_to_bytes(queue.remaining()).to_vec();
    (events, failure, sent)
}

/// Messages that the input describes: a byte for the number of fragments and the times that its unit is repeated, one for the
/// length of the unit, and the unit.
fn there_and_back([from, to]: [Role; 2], parameters: Parameters, config: &Config, mut data: &[u8]) {
    let pool = Pool::new(1);
    let connect = |role| {
        let queue = SendQueue::new(64 * 1024);
        Connection::new(NOW, role, config.clone(), &Seed::from(1951), queue).with_deflate(Some(parameters), &pool)
    };
    let (mut sender, mut receiver, mut recv) = (connect(from), connect(to), RecvBuf::new());
    while let Some((&[shape, len], rest)) = data.split_first_chunk() {
        let (unit, behind) = rest.split_at(usize::from(len).min(rest.len()));
        data = behind;
        let message = unit.repeat(1 + usize::from(shape >> 2));
        let fragments = usize::from(shape & 3);
        let mut received = Vec::new();
        let mut take = |sender: &mut Connection| {
            let queue = sender.transmit();
            recv.push(queue.copy_to_bytes(queue.remaining()));
            while let Some(event) = receiver.poll_event(NOW, &mut recv).expect("what we send is legal") {
                if let Event::Message(message) | Event::MessageChunk(message) = event {
                    received.extend_from_slice(message.as_bytes());
                }
            }
        };
        if fragments == 0 {
            sender.send_binary(message.clone()).expect("there is room");
        } else {
            sender.start_message(MessageKind::Binary).expect("none is under way");
            for i in 0..fragments {
                let piece = message[message.len() * i / fragments..message.len() * (i + 1) / fragments].to_vec();
                let sent: Result<(), SendError<_>> = sender.send_fragment(piece, i + 1 == fragments);
                sent.expect("there is room");
                take(&mut sender);
            }
        }
        take(&mut sender);
        assert!(received == message, "{} bytes came back as {}", message.len(), received.len());
    }
}
