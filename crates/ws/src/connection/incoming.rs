//! The receive path: frames out of the receive buffer, and messages out of frames.

use alloc::string::String;
use core::fmt;

use bytes::{Bytes, BytesMut};
use drywire_core::RecvBuf;

use super::Event;
use crate::frame::{FrameHeader, Opcode};
use crate::utf8::Utf8Check;
use crate::{CapacityError, CloseFrame, Config, Error, Message, ProtocolError, Role, Utf8Bytes, mask};

#[derive(Default)]
pub(super) struct Incoming {
    /// The data frame whose payload is arriving.
    frame: Option<Payload>,
    /// The message that is not complete.
    message: Option<Assembly>,
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

/// A message that arrives in more than one piece.
struct Assembly {
    content: Content,
    fragments: u32,
}

enum Content {
    Text { text: String, check: Utf8Check },
    Binary(BytesMut),
}

impl Incoming {
    /// Takes frames from `recv` until one gives an event or more bytes are needed.
    #[inline]
    pub(super) fn poll(&mut self, role: Role, config: &Config, recv: &mut RecvBuf) -> Result<Option<Event>, Error> {
        loop {
            if let Some(frame) = &mut self.frame {
                if let Some(message) = &mut self.message {
                    message.receive(frame, recv)?;
                }
                if frame.remaining > 0 {
                    return Ok(None);
                }
                let fin = frame.fin;
                self.frame = None;
                if fin && let Some(message) = self.message.take() {
                    return Ok(Some(Event::Message(message.finish()?)));
                }
            }

            let Some((header, len)) = FrameHeader::parse(recv)? else { return Ok(None) };
            self.admit(role, config, &header)?;
            let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            let whole = payload_len <= recv.len() - len;
            if header.opcode.is_control() {
                // At most 139 bytes, so waiting for all of them costs little.
                if !whole {
                    return Ok(None);
                }
                recv.skip(len);
                let payload = take_payload(recv, payload_len, header.mask);
                return Ok(Some(control(header.opcode, payload)?));
            }
            recv.skip(len);
            if whole && header.fin && self.message.is_none() {
                let payload = take_payload(recv, payload_len, header.mask);
                return Ok(Some(Event::Message(single(header.opcode, payload)?)));
            }
            self.begin(&header);
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
        if header.opcode.is_control() {
            return Ok(());
        }
        // 5.4: between the first and the last fragment of a message come only its continuations.
        match (&self.message, header.opcode) {
            (None, Opcode::Continuation) => return Err(ProtocolError::UnexpectedContinuation.into()),
            (Some(_), Opcode::Text | Opcode::Binary) => return Err(ProtocolError::ExpectedContinuation.into()),
            _ => {}
        }
        // 10.4: limits on the size of a frame, and of a message after reassembly.
        if header.payload_len > config.max_frame_size {
            return Err(CapacityError::FrameTooLarge { limit: config.max_frame_size }.into());
        }
        let (len, fragments) = self.message.as_ref().map_or((0, 0), |message| (message.len(), message.fragments));
        if header.payload_len > config.max_message_size.saturating_sub(len) as u64 {
            return Err(CapacityError::MessageTooLarge { limit: config.max_message_size }.into());
        }
        if fragments >= config.max_fragments {
            return Err(CapacityError::TooManyFragments { limit: config.max_fragments }.into());
        }
        Ok(())
    }

    /// Starts to take a data frame in pieces.
    fn begin(&mut self, header: &FrameHeader) {
        let message = self.message.get_or_insert_with(|| Assembly {
            content: match header.opcode {
                Opcode::Text => Content::Text { text: String::new(), check: Utf8Check::default() },
                _ => Content::Binary(BytesMut::new()),
            },
            fragments: 0,
        });
        message.fragments = message.fragments.saturating_add(1);
        let (fin, key, remaining) = (header.fin, header.mask, header.payload_len);
        self.frame = Some(Payload { fin, key, taken: 0, remaining });
    }
}

impl Assembly {
    /// The length so far, in bytes.
    fn len(&self) -> usize {
        match &self.content {
            Content::Text { text, check } => text.len() + check.pending(),
            Content::Binary(bytes) => bytes.len(),
        }
    }

    /// Takes what is there of the frame's payload.
    fn receive(&mut self, frame: &mut Payload, recv: &mut RecvBuf) -> Result<(), ProtocolError> {
        if recv.is_empty() {
            return Ok(());
        }
        let n = usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(recv.len());
        let phase = (frame.taken % 4) as usize;
        frame.taken += n as u64;
        frame.remaining -= n as u64;
        match &mut self.content {
            Content::Text { text, check } => {
                let mut piece = recv.take_mut(n);
                if let Some(key) = frame.key {
                    mask(key, phase, &mut piece);
                }
                check.push(&piece, |valid| text.push_str(valid)).map_err(|_| ProtocolError::TextNotUtf8)
            }
            Content::Binary(bytes) => {
                let start = bytes.len();
                bytes.extend_from_slice(&recv[..n]);
                recv.skip(n);
                if let Some(key) = frame.key {
                    mask(key, phase, &mut bytes[start..]);
                }
                Ok(())
            }
        }
    }

    /// The message, which must not end inside a character.
    fn finish(self) -> Result<Message, ProtocolError> {
        match self.content {
            Content::Text { text, check } if check.pending() == 0 => Ok(Message::Text(text.into())),
            Content::Text { .. } => Err(ProtocolError::TextNotUtf8),
            Content::Binary(bytes) => Ok(Message::Binary(bytes.freeze())),
        }
    }
}

/// Takes a payload that is wholly there, unmasked in place and without a copy.
#[inline]
fn take_payload(recv: &mut RecvBuf, len: usize, key: Option<[u8; 4]>) -> Bytes {
    match key {
        Some(key) => {
            let mut payload = recv.take_mut(len);
            mask(key, 0, &mut payload);
            payload.freeze()
        }
        None => recv.take(len),
    }
}

/// The message that is one frame.
#[inline]
fn single(opcode: Opcode, payload: Bytes) -> Result<Message, ProtocolError> {
    if opcode == Opcode::Text {
        // 8.1: text that is not UTF-8 fails the connection.
        Utf8Bytes::received(payload).map(Message::Text).map_err(|_| ProtocolError::TextNotUtf8)
    } else {
        Ok(Message::Binary(payload))
    }
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
            .field("message_len", &self.message.as_ref().map(Assembly::len))
            .finish()
    }
}
