//! One end of a connection, driven by hand.

#![allow(dead_code, unreachable_pub, reason = "each test binary includes it and uses its part")]

use drywire_core::{Buf, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_ws::{Config, Connection, Error, Event, FrameHeader, Message, Opcode, Role, mask};

pub mod inflate;

pub const NOW: Instant = Instant::from_secs(1);
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// First bytes of frames with FIN.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CONTINUATION: u8 = 0x80;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

/// A machine with its receive buffer.
pub struct End {
    pub machine: Connection,
    pub recv: RecvBuf,
}

impl End {
    pub fn new(role: Role) -> Self {
        Self::with(role, Config::default(), 64 * 1024)
    }

    pub fn with(role: Role, config: Config, high_water: usize) -> Self {
        let machine = Connection::new(NOW, role, config, &Seed::from(6455), SendQueue::new(high_water));
        Self { machine, recv: RecvBuf::new() }
    }

    pub fn server() -> Self {
        Self::new(Role::Server)
    }

    pub fn client() -> Self {
        Self::new(Role::Client)
    }

    /// All events that the bytes give.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Error> {
        self.recv.extend_from_slice(bytes);
        self.poll()
    }

    pub fn poll(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        while let Some(event) = self.machine.poll_event(NOW, &mut self.recv)? {
            events.push(event);
        }
        Ok(events)
    }

    pub fn end(&mut self) -> Result<Vec<Event>, Error> {
        self.recv.finish();
        self.poll()
    }

    /// Everything queued, as bytes.
    pub fn sent(&mut self) -> Vec<u8> {
        let queue = self.machine.transmit();
        let n = queue.len();
        queue.copy_to_bytes(n).to_vec()
    }

    /// Everything queued, as frames.
    pub fn sent_frames(&mut self) -> Vec<Frame> {
        frames(&self.sent())
    }
}

/// A frame with its payload unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: Opcode,
    pub fin: bool,
    pub masked: bool,
    pub payload: Vec<u8>,
}

/// Cuts whole frames.
pub fn frames(mut wire: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let (header, len) = FrameHeader::parse(wire).unwrap().expect("a whole header");
        let (payload, rest) = wire[len..].split_at(usize::try_from(header.payload_len).unwrap());
        let mut payload = payload.to_vec();
        if let Some(key) = header.mask {
            mask(key, 0, &mut payload);
        }
        frames.push(Frame { opcode: header.opcode, fin: header.fin, masked: header.mask.is_some(), payload });
        wire = rest;
    }
    frames
}

/// Builds a frame from the RFC's picture, independently of the crate.
pub fn frame(first: u8, key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        n @ 0..=125 => bytes.push(mask_bit | n as u8),
        n @ 126..=0xffff => {
            bytes.push(mask_bit | 0x7e);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(mask_bit | 0x7f);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    match key {
        Some(key) => {
            bytes.extend(key);
            bytes.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
        }
        None => bytes.extend(payload),
    }
    bytes
}

/// A frame as a client sends it.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, Some(KEY), payload)
}

/// A frame as a server sends it.
pub fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, None, payload)
}

pub fn text(text: &str) -> Event {
    Event::Message(Message::text(text))
}

pub fn binary(bytes: &[u8]) -> Event {
    Event::Message(Message::binary(bytes.to_vec()))
}

/// The payload of a Close frame.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

/// The code of the Close frame that is the last thing sent.
pub fn farewell(end: &mut End) -> Option<u16> {
    let frames = end.sent_frames();
    let last = frames.last().filter(|frame| frame.opcode == Opcode::Close)?;
    Some(u16::from_be_bytes([last.payload[0], last.payload[1]]))
}
