//! What a server on any driver writes: the answers to all frames of one read leave in one write.

use std::io::{self, IoSlice};
use std::task::Poll;

use drywire::driver::{Config, Engine, Parts, Wire};
use drywire::ws::{self, Connection, Event, FrameHeader, Opcode, Role, mask};
use drywire::{Instant, RecvBuf, Seed, SendQueue};

/// A peer that has sent everything already and takes all that is written.
struct Peer {
    input: Vec<u8>,
    reads: usize,
    writes: Vec<Vec<u8>>,
}

impl Wire for Peer {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.input.is_empty() {
            return Poll::Pending;
        }
        let n = self.input.len().min(room.len());
        room[..n].copy_from_slice(&self.input[..n]);
        self.input.drain(..n);
        self.reads += 1;
        Poll::Ready(Ok(n))
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        let mut room = vec![0; max];
        self.read(&mut room).map_ok(|n| {
            recv.extend_from_slice(&room[..n]);
            n
        })
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        let n = written.len();
        self.writes.push(written);
        Poll::Ready(Ok(n))
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}

    fn now(&self) -> Instant {
        Instant::ORIGIN
    }
}

fn frame(opcode: Opcode, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let payload_len = payload.len() as u64;
    let header = FrameHeader { fin: true, compressed: false, opcode, mask: key, payload_len };
    let mut frame = [&header.encode()[..], payload].concat();
    if let Some(key) = key {
        let start = frame.len() - payload.len();
        mask(key, 0, &mut frame[start..]);
    }
    frame
}

/// Short messages, messages that are queued by reference, and Pings: 300 frames, in one read.
#[test]
fn frames_answered_within_one_read_leave_in_one_write() {
    let key = Some([1, 2, 3, 4]);
    let (mut input, mut answers) = (Vec::new(), Vec::new());
    for n in 0..100_u8 {
        input.extend(frame(Opcode::Binary, key, &[n; 20]));
        answers.extend(frame(Opcode::Binary, None, &[n; 20]));
        input.extend(frame(Opcode::Ping, key, &[n]));
        answers.extend(frame(Opcode::Pong, None, &[n]));
    }
    for n in 0..10 {
        input.extend(frame(Opcode::Text, key, &[b'a' + n; 2000]));
        answers.extend(frame(Opcode::Text, None, &[b'a' + n; 2000]));
    }
    let ws = Connection::new(
        Instant::ORIGIN,
        Role::Server,
        ws::Config::default(),
        &Seed::from(0),
        SendQueue::new(64 * 1024),
    );
    let mut config = Config::default();
    config.read_size = 64 * 1024;
    let (mut engine, mut peer) = Engine::from_parts(Parts {
        machine: ws,
        transport: Peer { input, reads: 0, writes: Vec::new() },
        recv: RecvBuf::new(),
        config,
    });
    let mut messages = 0;
    while let Poll::Ready(event) = engine.poll_next(&mut peer) {
        if let Some(Event::Message(message)) = event.expect("nothing is wrong") {
            engine.machine_mut().send(message).expect("there is room");
            messages += 1;
        }
    }
    assert_eq!((messages, peer.reads), (110, 1));
    assert_eq!(peer.writes.len(), 1);
    assert_eq!(peer.writes.concat(), answers);
}
