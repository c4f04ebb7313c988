//! The send path: frames into the send queue.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, mem};

use bytes::{Bytes, BytesMut};
use drywire_core::{Rng, Seed, SendQueue};

use crate::deflate::Deflater;
use crate::frame::{FrameHeader, Opcode};
use crate::mask::mask_to;
use crate::utf8::Utf8Check;
use crate::{CloseFrame, MessageKind, Misuse, PreparedMessage, Role, mask};

pub(super) struct Outgoing {
    frames: Frames,
    /// Where permessage-deflate was agreed on.
    deflater: Option<Box<Deflater>>,
    /// Whether the messages that begin are compressed.
    compressing: bool,
    /// The message that is sent in fragments, or as a frame in pieces.
    message: Option<Box<OpenMessage>>,
    /// The payload of the newest Ping that has to wait for room, or for the end of a frame.
    ping: Option<Bytes>,
}

/// The queue and the masking of what goes into it.
struct Frames {
    queue: SendQueue,
    /// The source of masking keys: only a client has one.
    keys: Option<Box<Rng>>,
}

/// A message of which the last piece has not been sent.
struct OpenMessage {
    /// The opcode of its next frame.
    opcode: Opcode,
    /// What a text message must keep.
    text: Option<Utf8Check>,
    compressed: bool,
    /// The frame whose header has been sent, where the length was known.
    frame: Option<OpenFrame>,
}

struct OpenFrame {
    key: Option<[u8; 4]>,
    sent: u64,
    remaining: u64,
}

impl Outgoing {
    pub(super) fn new(role: Role, seed: &Seed, queue: SendQueue) -> Self {
        let keys = (role == Role::Client).then(|| Box::new(Rng::new(seed)));
        Self { frames: Frames { queue, keys }, deflater: None, compressing: true, message: None, ping: None }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn use_deflate(&mut self, deflater: Deflater) {
        self.deflater = Some(Box::new(deflater));
    }

    pub(super) fn set_compressing(&mut self, compressing: bool) {
        self.compressing = compressing;
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.queue.is_full()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.frames.queue.is_empty()
    }

    /// Whether no other message can be sent now, and why.
    pub(super) fn is_message_under_way(&self) -> Option<Misuse> {
        self.message.as_ref().map(|message| match message.frame {
            Some(_) => Misuse::FrameUnderWay,
            None => Misuse::MessageUnderWay,
        })
    }

    /// Whether the last frame has been sent in part, so that no other can follow yet.
    pub(super) fn is_frame_under_way(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.frame.is_some())
    }

    /// The queue, with the Pong that had to wait if there is room for it by now.
    pub(super) fn transmit(&mut self) -> &mut SendQueue {
        if self.ping.is_some()
            && !self.frames.queue.is_full()
            && !self.is_frame_under_way()
            && let Some(payload) = self.ping.take()
        {
            self.push_control(Opcode::Pong, payload);
        }
        &mut self.frames.queue
    }

    /// Drops what is queued.
    pub(super) fn clear(&mut self) {
        self.frames.queue.clear();
    }

    /// Queues a message as one frame.
    #[inline]
    pub(super) fn push_message(&mut self, opcode: Opcode, payload: Bytes) {
        match &mut self.deflater {
            Some(deflater) if self.compressing && deflater.wants(payload.len()) => {
                deflater.compress(&payload, true, |data| self.frames.push_compressed(opcode, true, true, data));
            }
            _ => self.frames.push(opcode, true, payload),
        }
    }

    /// Queues a message that has been encoded before.
    pub(super) fn push_prepared(&mut self, message: &PreparedMessage) {
        let compressed = match &mut self.deflater {
            Some(deflater) if self.compressing => message.compressed(deflater.window()).inspect(|_| deflater.forget()),
            _ => None,
        };
        let (header, frame, payload) = match compressed {
            Some(compressed) => compressed,
            None => message.plain(),
        };
        if self.frames.keys.is_none() {
            self.frames.queue.push(frame.clone());
        } else {
            self.frames.push_frame(header, payload);
        }
    }

    pub(super) fn push_control(&mut self, opcode: Opcode, payload: Bytes) {
        self.frames.push(opcode, true, payload);
    }

    pub(super) fn start_message(&mut self, kind: MessageKind) {
        let compressed = self.compressing && self.deflater.is_some();
        self.message = Some(Box::new(OpenMessage::new(kind, compressed)));
    }

    /// Queues the header of a frame that is a message, and whose payload follows in pieces.
    pub(super) fn start_frame(&mut self, kind: MessageKind, len: u64) {
        let header = self.frames.header(kind.opcode(), true, false, len);
        self.frames.queue.extend_from_slice(&header.encode());
        let frame = OpenFrame { key: header.mask, sent: 0, remaining: len };
        self.message = Some(Box::new(OpenMessage { frame: Some(frame), ..OpenMessage::new(kind, false) }));
    }

    /// Queues the next piece of the message under way. A refused one leaves the message as it was.
    pub(super) fn push_fragment(&mut self, payload: Bytes, last: bool) -> Result<(), Misuse> {
        let Some(message) = &mut self.message else { return Err(Misuse::NoMessageUnderWay) };
        let len = payload.len() as u64;
        if let Some(frame) = &message.frame
            && (len > frame.remaining || last != (len == frame.remaining))
        {
            return Err(Misuse::WrongLength);
        }
        if let Some(text) = &mut message.text {
            let mut checked = text.clone();
            checked.push(&payload, |_| {}).map_err(|_| Misuse::FragmentNotUtf8)?;
            if last && checked.pending() > 0 {
                return Err(Misuse::FragmentNotUtf8);
            }
            *text = checked;
        }
        if let Some(frame) = &mut message.frame {
            self.frames.push_masked(frame.key, frame.sent, payload);
            frame.sent += len;
            frame.remaining -= len;
        } else {
            // 5.4: the first fragment has the message's opcode, the others that of a continuation.
            let opcode = mem::replace(&mut message.opcode, Opcode::Continuation);
            match &mut self.deflater {
                Some(deflater) if message.compressed => {
                    // RFC 7692, 6.1: RSV1 stands in the first frame of a message only.
                    let rsv1 = opcode != Opcode::Continuation;
                    let frames = &mut self.frames;
                    deflater.compress(&payload, last, |data| frames.push_compressed(opcode, last, rsv1, data));
                }
                _ => self.frames.push(opcode, last, payload),
            }
        }
        if last {
            self.message = None;
        }
        Ok(())
    }

    /// Queues a Close frame, the last but for Pongs.
    pub(super) fn push_close(&mut self, frame: Option<&CloseFrame>) {
        let mut payload = BytesMut::new();
        if let Some(frame) = frame {
            payload.extend_from_slice(&frame.code.0.to_be_bytes());
            payload.extend_from_slice(frame.reason.as_bytes());
        }
        self.message = None;
        self.push_control(Opcode::Close, payload.freeze());
    }

    /// Queues a Pong for a Ping. While it cannot go, only the newest Ping is remembered, as 5.5.3 allows, so that a
    /// peer that sends Pings and reads nothing cannot make the queue grow.
    pub(super) fn answer_ping(&mut self, payload: &Bytes) {
        if self.frames.queue.is_full() || self.is_frame_under_way() {
            self.ping = Some(payload.clone());
        } else {
            self.ping = None;
            self.push_control(Opcode::Pong, payload.clone());
        }
    }

    /// Drops the Ping that waits for its answer.
    pub(super) fn forget_ping(&mut self) {
        self.ping = None;
    }
}

impl OpenMessage {
    fn new(kind: MessageKind, compressed: bool) -> Self {
        let text = (kind == MessageKind::Text).then(Utf8Check::default);
        Self { opcode: kind.opcode(), text, compressed, frame: None }
    }
}

impl Frames {
    /// Up to this length a payload that is masked is copied into the queue's own buffer, whoever else holds it.
    const COPIED: usize = 4 * 1024;

    /// A header with a key of its own.
    #[inline]
    fn header(&mut self, opcode: Opcode, fin: bool, compressed: bool, payload_len: u64) -> FrameHeader {
        // 5.3: "The masking key is a 32-bit value chosen at random by the client", a fresh one for every frame.
        let mask = self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes());
        FrameHeader { fin, compressed, opcode, mask, payload_len }
    }

    #[inline]
    fn push(&mut self, opcode: Opcode, fin: bool, payload: Bytes) {
        let header = self.header(opcode, fin, false, payload.len() as u64);
        match (header.encode_short(), header.mask) {
            (Some(short), Some(key)) => self.push_short(short, key, &payload),
            (Some([first, second, ..]), None) => {
                // A length that the compiler knows makes stores of the copy.
                self.queue.extend_from_slice(&[first, second]);
                self.queue.push(payload);
            }
            (None, _) => {
                self.queue.extend_from_slice(&header.encode());
                self.push_masked(header.mask, 0, payload);
            }
        }
    }

    /// Queues a frame with a short header and a payload of at most 125 bytes, which is masked on the way.
    #[inline]
    fn push_short(&mut self, header: [u8; 6], key: [u8; 4], payload: &[u8]) {
        let mut frame = [0; 8 + 128];
        let (front, body) = frame.split_at_mut(8);
        front[2..].copy_from_slice(&header);
        mask_to(key, payload, body);
        self.queue.extend_from_slice(&frame[2..8 + payload.len()]);
    }

    /// Queues a frame whose header is known but for the mask.
    fn push_frame(&mut self, header: &FrameHeader, payload: Bytes) {
        let header = self.header(header.opcode, header.fin, header.compressed, header.payload_len);
        self.queue.extend_from_slice(&header.encode());
        self.push_masked(header.mask, 0, payload);
    }

    /// Queues what a compressor gave: a copy of what is short, all else without one.
    fn push_compressed(&mut self, opcode: Opcode, fin: bool, rsv1: bool, data: &mut Vec<u8>) {
        let header = self.header(opcode, fin, rsv1, data.len() as u64);
        self.queue.extend_from_slice(&header.encode());
        if data.len() < SendQueue::BY_REFERENCE {
            let data = self.queue.extend_from_slice(data);
            if let Some(key) = header.mask {
                mask(key, 0, data);
            }
        } else {
            self.push_masked(header.mask, 0, Bytes::from(mem::take(data)));
        }
    }

    /// Queues payload that begins `offset` bytes into its frame.
    #[inline]
    fn push_masked(&mut self, key: Option<[u8; 4]>, offset: u64, payload: Bytes) {
        let Some(key) = key else {
            self.queue.push(payload);
            return;
        };
        let phase = (offset % 4) as usize;
        if payload.len() <= Self::COPIED {
            mask(key, phase, self.queue.extend_from_slice(&payload));
            return;
        }
        // Masked in place if nobody else holds it.
        let mut payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        mask(key, phase, &mut payload);
        self.queue.push(payload.freeze());
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("queue", &self.frames.queue)
            .field("message_under_way", &self.message.is_some())
            .field("deflate", &self.deflater.is_some())
            .finish_non_exhaustive()
    }
}
