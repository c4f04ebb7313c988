//! The receive path: frames out of the receive buffer, and messages out of frames.

use alloc::boxed::Box;
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use drywire_core::{Instant, RecvBuf};

use super::Event;
use super::assembly::Assembly;
use crate::deflate::Inflater;
use crate::frame::{CONTROL_MAX, FrameHeader, Opcode};
use crate::{CapacityError, CloseFrame, Config, Delivery, Error, Message, MessageKind, ProtocolError, Role, mask};

#[derive(Default)]
pub(super) struct Incoming {
    /// Messages of fewer bytes than this may take the short way. Zero where none may.
    short: usize,
    /// The data frame whose payload is arriving.
    frame: Option<Payload>,
    /// The message that is not complete.
    message: Option<Box<Assembly>>,
    /// Where permessage-deflate was agreed on.
    inflater: Option<Box<Inflater>>,
    controls: ControlRate,
}

/// The rest of a data frame whose header has been taken.
#[derive(Clone, Copy)]
struct Payload {
    fin: bool,
    key: Option<[u8; 4]>,
    /// How many bytes of it have been taken: the phase of the mask.
    taken: u64,
    remaining: u64,
}

/// Control frames in the second that began with the first of them.
#[derive(Default)]
struct ControlRate {
    began: Option<Instant>,
    count: u32,
}

impl ControlRate {
    fn count(&mut self, now: Instant, limit: u32) -> Result<(), CapacityError> {
        if self.began.is_none_or(|began| now - began >= Duration::from_secs(1)) {
            *self = Self { began: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count > limit { Err(CapacityError::TooManyControlFrames { limit }) } else { Ok(()) }
    }
}

impl Incoming {
    pub(super) fn new(config: &Config) -> Self {
        let limit = config.max_frame_size.min(config.max_message_size).min(CONTROL_MAX as u64);
        let any = config.delivery == Delivery::Messages && config.only.is_none() && config.max_fragments > 0;
        Self { short: if any { limit as usize + 1 } else { 0 }, ..Self::default() }
    }

    #[cfg(feature = "deflate")]
    pub(super) fn use_deflate(&mut self, inflater: Inflater) {
        self.inflater = Some(Box::new(inflater));
    }

    /// Whether a message has begun and not ended.
    #[inline]
    pub(super) fn is_message_under_way(&self) -> bool {
        self.message.is_some()
    }

    /// Whether a frame has begun and not ended: nothing else can come before its end.
    pub(super) fn is_frame_under_way(&self) -> bool {
        self.frame.is_some()
    }

    /// Finds the short message that is one frame and wholly there, which is what most messages are, and unmasks it.
    /// `None`: whatever is there takes the long way, which comes to the same.
    #[inline]
    pub(super) fn find_short(&self, role: Role, recv: &mut RecvBuf) -> Option<(MessageKind, Range<usize>)> {
        let &[first, second, ref rest @ ..] = &recv[..] else { return None };
        let kind = match first {
            0x81 => MessageKind::Text,
            0x82 => MessageKind::Binary,
            _ => return None,
        };
        // Where the mask bit is not as it must be, the length comes out too long for this.
        let (key, len) = match role {
            Role::Server => (rest.first_chunk().copied(), second ^ 0x80),
            Role::Client => (None, second),
        };
        let start = if role == Role::Server { 6 } else { 2 };
        let end = start + usize::from(len);
        if usize::from(len) >= self.short || self.frame.is_some() || self.message.is_some() {
            return None;
        }
        let payload = recv.get_mut(start..end)?;
        if let Some(key) = key {
            mask(key, 0, payload);
        }
        Some((kind, start..end))
    }

    /// Takes frames from `recv` until one gives an event or more bytes are needed.
    #[inline]
    pub(super) fn poll(
        &mut self,
        now: Instant,
        role: Role,
        config: &Config,
        recv: &mut RecvBuf,
    ) -> Result<Option<Event>, Error> {
        loop {
            if self.frame.is_some() {
                if let Some(event) = self.receive(config, recv)? {
                    return Ok(Some(event));
                }
                if self.frame.is_some() {
                    return Ok(None);
                }
            }
            let Some((header, len)) = FrameHeader::parse_with(recv, self.inflater.is_some())? else {
                return Ok(None);
            };
            self.admit(role, config, &header)?;
            let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            let whole = payload_len <= recv.len() - len;
            if header.opcode.is_control() {
                // At most 139 bytes, so waiting for all of them costs little.
                if !whole {
                    return Ok(None);
                }
                self.controls.count(now, config.max_control_frames)?;
                recv.skip(len);
                let payload = take_payload(recv, payload_len, header.mask);
                return Ok(Some(control(header.opcode, payload)?));
            }
            recv.skip(len);
            let at_once = whole && header.fin && !header.compressed && config.delivery == Delivery::Messages;
            if at_once && self.message.is_none() {
                return Ok(Some(Event::Message(single(header.opcode, recv, payload_len, header.mask)?)));
            }
            if let Some(event) = self.begin(config, &header) {
                return Ok(Some(event));
            }
        }
    }

    /// Checks what the header alone does not show. Changes nothing: a header may be seen more than once while the
    /// rest of a control frame arrives.
    #[inline]
    fn admit(&self, role: Role, config: &Config, header: &FrameHeader) -> Result<(), Error> {
        // 5.1: a client masks all frames, a server none, and the other end fails the connection otherwise.
        match (role, header.mask) {
            (Role::Server, None) => return Err(ProtocolError::NotMasked.into()),
            (Role::Client, Some(_)) => return Err(ProtocolError::Masked.into()),
            _ => {}
        }
        let (kind, len, fragments) = match (header.opcode, &self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            // 5.4: between the first and the last fragment of a message come only its continuations.
            (Opcode::Continuation, None) => return Err(ProtocolError::UnexpectedContinuation.into()),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(ProtocolError::ExpectedContinuation.into()),
            (Opcode::Text, None) => (MessageKind::Text, 0, 0),
            (Opcode::Binary, None) => (MessageKind::Binary, 0, 0),
            (Opcode::Continuation, Some(message)) => (message.kind(), message.len(), message.fragments()),
        };
        if config.only.is_some_and(|only| only != kind) {
            return Err(CapacityError::KindNotAccepted(kind).into());
        }
        // 10.4: limits on the size of a frame, and of a message after reassembly.
        if header.payload_len > config.max_frame_size {
            return Err(CapacityError::FrameTooLarge { limit: config.max_frame_size }.into());
        }
        // What is compressed shows its length only when it is decompressed.
        let compressed = header.compressed || self.message.as_ref().is_some_and(|message| message.is_compressed());
        if !compressed && header.payload_len > config.max_message_size.saturating_sub(len) {
            return Err(CapacityError::MessageTooLarge { limit: config.max_message_size }.into());
        }
        if fragments >= config.max_fragments {
            return Err(CapacityError::TooManyFragments { limit: config.max_fragments }.into());
        }
        Ok(())
    }

    /// Starts to take a data frame in pieces.
    fn begin(&mut self, config: &Config, header: &FrameHeader) -> Option<Event> {
        self.frame = Some(Payload { fin: header.fin, key: header.mask, taken: 0, remaining: header.payload_len });
        if let Some(message) = &mut self.message {
            message.add_fragment();
            return None;
        }
        let kind = if header.opcode == Opcode::Text { MessageKind::Text } else { MessageKind::Binary };
        self.message = Some(Box::new(Assembly::new(kind, header.compressed)));
        (config.delivery == Delivery::Chunks).then_some(Event::MessageStart(kind))
    }

    /// Takes what is there of the frame's payload, up to the next event.
    fn receive(&mut self, config: &Config, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        let (Some(frame), Some(message)) = (&mut self.frame, &mut self.message) else { return Ok(None) };
        message.check()?;
        let chunk = match &mut self.inflater {
            Some(inflater) if message.is_compressed() => loop {
                if message.staged.is_empty() {
                    message.staged = frame.take(recv);
                }
                let mut input = &message.staged[..];
                let room = config.max_message_size.saturating_sub(message.len());
                // Where there is no room, one byte shows that the limit is exceeded.
                let output = inflater.step(&mut input, usize::try_from(room).unwrap_or(usize::MAX).max(1));
                let Some(output) = output.map_err(|_| ProtocolError::Deflate)? else {
                    message.staged = BytesMut::new();
                    break None;
                };
                if room == 0 {
                    return Err(CapacityError::MessageTooLarge { limit: config.max_message_size }.into());
                }
                let taken = message.staged.len() - input.len();
                message.staged.advance(taken);
                let chunk = message.take_in_slice(config.delivery, output)?;
                if chunk.is_some() {
                    break chunk;
                }
            },
            _ if config.delivery == Delivery::Messages => {
                frame.pass(recv, message)?;
                None
            }
            _ => message.take_in(frame.take(recv))?,
        };
        if chunk.is_some() || frame.remaining > 0 {
            return Ok(chunk);
        }
        let fin = frame.fin;
        self.frame = None;
        let Some(message) = self.message.take_if(|_| fin) else { return Ok(None) };
        if let Some(inflater) = self.inflater.as_mut().filter(|_| message.is_compressed()) {
            inflater.finish().map_err(|_| ProtocolError::Deflate)?;
        }
        let message = message.finish()?;
        Ok(Some(match config.delivery {
            Delivery::Messages => Event::Message(message),
            Delivery::Chunks => Event::MessageEnd,
        }))
    }
}

impl Payload {
    /// Takes what is there of it, unmasked.
    fn take(&mut self, recv: &mut RecvBuf) -> BytesMut {
        let n = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(recv.len());
        if n == 0 {
            return BytesMut::new();
        }
        let mut piece = recv.take_mut(n);
        if let Some(key) = self.key {
            mask(key, (self.taken % 4) as usize, &mut piece);
        }
        self.taken += n as u64;
        self.remaining -= n as u64;
        piece
    }

    /// Lets what is there of it pass into `message`.
    fn pass(&mut self, recv: &mut RecvBuf, message: &mut Assembly) -> Result<(), ProtocolError> {
        let n = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(recv.len());
        message.reserve(n, self.remaining);
        let mut passed = Ok(());
        for block in recv[..n].chunks_mut(BLOCK) {
            if let Some(key) = self.key {
                mask(key, (self.taken % 4) as usize, block);
            }
            self.taken += block.len() as u64;
            passed = message.append(block);
            if passed.is_err() {
                break;
            }
        }
        self.remaining -= n as u64;
        recv.skip(n);
        passed
    }
}

/// A payload passes in blocks of so many bytes through what is done to it, and so only once through the first-level
/// cache.
const BLOCK: usize = 16 * 1024;

/// Payloads of up to so many bytes are copied out of the receive buffer. That costs less than the two atomic operations of
/// a part of it, and a message that is kept does not keep the buffer.
const COPIED: usize = 512;

/// Takes a payload that is wholly there.
fn take_payload(recv: &mut RecvBuf, len: usize, key: Option<[u8; 4]>) -> Bytes {
    if let Some(key) = key {
        mask(key, 0, &mut recv[..len]);
    }
    if len <= COPIED { recv.take_copied(len) } else { recv.take(len) }
}

/// The message that is one frame and wholly there.
fn single(opcode: Opcode, recv: &mut RecvBuf, len: usize, key: Option<[u8; 4]>) -> Result<Message, ProtocolError> {
    if opcode != Opcode::Text {
        return Ok(Message::Binary(take_payload(recv, len, key)));
    }
    let mut text = Assembly::new(MessageKind::Text, false);
    Payload { fin: true, key, taken: 0, remaining: len as u64 }.pass(recv, &mut text)?;
    text.finish()
}

fn control(opcode: Opcode, payload: Bytes) -> Result<Event, ProtocolError> {
    Ok(match opcode {
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        _ => Event::Close(CloseFrame::parse(&payload)?),
    })
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("frame_remaining", &self.frame.map(|frame| frame.remaining))
            .field("message_len", &self.message.as_ref().map(|message| message.len()))
            .field("deflate", &self.inflater.is_some())
            .finish_non_exhaustive()
    }
}
