//! The three readers, each with the same limit and a transport that always has the next bytes.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, Read, Write};

use drywire::ws::{CloseCode, CloseFrame, Config, Connection, Error, Event, FrameHeader, Message, Opcode, Role, mask};
use drywire::{Buf, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{End, Seen, Sent};

/// The largest frame and the largest message, in bytes.
pub const MAX: usize = 3000;

/// How the frames are read.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The reader's.
    pub role: Role,
    /// How many bytes a read gives at most.
    pub step: usize,
    /// Whether the reader sends a Close frame first.
    pub closes: bool,
}

/// What a reader made of the frames.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Up to the peer's Close frame or the failure.
    pub seen: Vec<Seen>,
    /// How it ended.
    pub end: End,
    /// Up to the same point.
    pub sent: Vec<Sent>,
    /// In the reader's own words.
    pub why: String,
}

const NOW: Instant = Instant::ORIGIN;

/// drywire's reading, its error, and how many bytes it has left.
pub fn drywire(setup: Setup, wire: &[u8]) -> (Reading, Option<Error>, usize) {
    let config = Config {
        max_frame_size: MAX as u64,
        max_message_size: MAX as u64,
        max_control_frames: u32::MAX,
        ..Config::default()
    };
    let mut reader = Connection::new(NOW, setup.role, config, &Seed::from(6455), SendQueue::new(usize::MAX));
    if setup.closes {
        reader.close(NOW, Some(CloseFrame::new(CloseCode::NORMAL, ""))).expect("the first");
    }
    let mut recv = RecvBuf::new();
    let (mut seen, mut failure) = (Vec::new(), None);
    let mut poll = |reader: &mut Connection, recv: &mut RecvBuf| loop {
        match reader.poll_event(NOW, recv) {
            Ok(Some(Event::Message(Message::Text(text)))) => seen.push(Seen::Text(text.as_bytes().to_vec())),
            Ok(Some(Event::Message(Message::Binary(bytes)))) => seen.push(Seen::Binary(bytes.to_vec())),
            Ok(Some(Event::Ping(payload))) => seen.push(Seen::Ping(payload.to_vec())),
            Ok(Some(Event::Pong(payload))) => seen.push(Seen::Pong(payload.to_vec())),
            Ok(Some(Event::Close(frame))) => {
                seen.push(Seen::Close(frame.map(|frame| (frame.code.0, frame.reason.as_str().to_owned()))));
            }
            Ok(Some(event)) => unreachable!("not delivered in chunks: {event:?}"),
            Ok(None) => return,
            Err(error) => {
                failure = Some(error);
                return;
            }
        }
    };
    for piece in wire.chunks(setup.step) {
        recv.extend_from_slice(piece);
        poll(&mut reader, &mut recv);
    }
    recv.finish();
    poll(&mut reader, &mut recv);
    let queue = reader.transmit();
    let sent = sent(&queue.copy_to_bytes(queue.remaining()));
    let end = match failure {
        None => End::Closed,
        Some(Error::EndOfStream) => End::EndOfStream,
        Some(_) => End::Failed,
    };
    (Reading { seen, end, sent, why: format!("{failure:?}") }, failure, recv.len())
}

/// tungstenite's reading.
pub fn tungstenite(setup: Setup, wire: &[u8]) -> Reading {
    use tungstenite::error::{Error, ProtocolError};
    use tungstenite::protocol::frame::coding::CloseCode;
    use tungstenite::protocol::{CloseFrame, Message, Role as Its, WebSocket, WebSocketConfig};
    let role = if setup.role == Role::Server { Its::Server } else { Its::Client };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(MAX))
        .max_message_size(Some(MAX));
    let mut reader = WebSocket::from_raw_socket(Memory::new(wire, setup.step), role, Some(config));
    if setup.closes {
        reader.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).expect("the first");
    }
    let mut seen = Vec::new();
    let (end, why) = loop {
        match reader.read() {
            Ok(Message::Text(text)) => seen.push(Seen::Text(text.as_bytes().to_vec())),
            Ok(Message::Binary(bytes)) => seen.push(Seen::Binary(bytes.to_vec())),
            Ok(Message::Ping(payload)) => seen.push(Seen::Ping(payload.to_vec())),
            Ok(Message::Pong(payload)) => seen.push(Seen::Pong(payload.to_vec())),
            Ok(Message::Close(frame)) => {
                seen.push(Seen::Close(frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()))));
                // What comes behind is of no interest, so that it is not read.
                break (End::Closed, String::new());
            }
            Ok(message) => unreachable!("not given by a read: {message}"),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => break (End::EndOfStream, String::new()),
            Err(error) => break (End::Failed, error.to_string()),
        }
    };
    // A server that has closed says so by an error.
    let _ = reader.flush();
    Reading { seen, end, sent: sent(&reader.get_ref().written), why }
}

/// tokio-websockets' reading.
pub fn tokio_websockets(setup: Setup, wire: &[u8]) -> Reading {
    use tokio_websockets::{ClientBuilder, CloseCode, Error, Limits, Message, ServerBuilder};
    let limits = Limits::default().max_payload_len(Some(MAX));
    let memory = Memory::new(wire, setup.step);
    let mut reader = match setup.role {
        Role::Server => ServerBuilder::new().limits(limits).serve(memory),
        Role::Client => ClientBuilder::new().limits(limits).take_over(memory),
    };
    let mut cx = Context::from_waker(Waker::noop());
    if setup.closes {
        reader.start_send_unpin(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).expect("the first");
    }
    let mut seen = Vec::new();
    let (end, why) = loop {
        match reader.poll_next_unpin(&mut cx) {
            Poll::Pending => unreachable!("the transport is always ready"),
            Poll::Ready(None) => break (End::EndOfStream, String::new()),
            Poll::Ready(Some(Err(Error::Io(_)))) => break (End::EndOfStream, "inside a frame".into()),
            Poll::Ready(Some(Err(error))) => break (End::Failed, error.to_string()),
            Poll::Ready(Some(Ok(message))) => {
                if let Some((code, reason)) = message.as_close() {
                    let empty = message.as_payload().is_empty();
                    seen.push(Seen::Close((!empty).then(|| (code.into(), reason.to_owned()))));
                    break (End::Closed, String::new());
                }
                let (text, binary, ping) = (message.is_text(), message.is_binary(), message.is_ping());
                let payload = message.into_payload().to_vec();
                seen.push(match (text, binary, ping) {
                    (true, ..) => Seen::Text(payload),
                    (_, true, _) => Seen::Binary(payload),
                    (.., true) => Seen::Ping(payload),
                    _ => Seen::Pong(payload),
                });
            }
        }
    };
    assert!(matches!(reader.poll_flush_unpin(&mut cx), Poll::Ready(Ok(()))), "the transport is always ready");
    Reading { seen, end, sent: sent(&reader.get_ref().written), why }
}

/// The frames that a reader has sent, whatever its role.
fn sent(mut wire: &[u8]) -> Vec<Sent> {
    let mut sent = Vec::new();
    while let Some((header, len)) = FrameHeader::parse(wire).expect("what leaves is well formed") {
        let end = len + header.payload_len as usize;
        let mut payload = wire[len..end].to_vec();
        if let Some(key) = header.mask {
            mask(key, 0, &mut payload);
        }
        wire = &wire[end..];
        sent.push(match header.opcode {
            Opcode::Pong => Sent::Pong(payload),
            Opcode::Close => Sent::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            opcode => panic!("a reader sent {opcode:?}"),
        });
    }
    assert!(wire.is_empty(), "half a frame was sent");
    sent
}

/// A transport that gives the input and its end, and keeps all output.
pub(super) struct Memory<'a> {
    input: &'a [u8],
    step: usize,
    pub(super) written: Vec<u8>,
}

impl<'a> Memory<'a> {
    pub(super) fn new(input: &'a [u8], step: usize) -> Self {
        Self { input, step, written: Vec::new() }
    }

    fn next(&mut self, max: usize) -> &'a [u8] {
        let (piece, rest) = self.input.split_at(max.min(self.step).min(self.input.len()));
        self.input = rest;
        piece
    }
}

impl Read for Memory<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let piece = self.next(room.len());
        room[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = self.next(room.remaining());
        room.put_slice(piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
