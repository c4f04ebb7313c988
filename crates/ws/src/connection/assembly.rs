//! A message that arrives in more than one piece.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::BytesMut;

use super::Event;
use crate::utf8::Utf8Check;
use crate::{Delivery, Message, MessageKind, ProtocolError};

pub(super) struct Assembly {
    content: Content,
    compressed: bool,
    /// The length so far, in bytes, after decompression.
    len: u64,
    fragments: u32,
    /// Compressed payload that has been unmasked, and gives more chunks than have been told.
    pub(super) staged: BytesMut,
    /// Whether the last chunk ended at a bad byte: what stood before it was told first.
    broken: bool,
}

/// What is kept of it: all, or where it is told in chunks only the start of a character.
enum Content {
    Text { text: String, check: Utf8Check },
    Binary(Vec<u8>),
}

impl Assembly {
    /// A message of which the first frame begins.
    pub(super) fn new(kind: MessageKind, compressed: bool) -> Self {
        let content = match kind {
            MessageKind::Text => Content::Text { text: String::new(), check: Utf8Check::default() },
            MessageKind::Binary => Content::Binary(Vec::new()),
        };
        Self { content, compressed, len: 0, fragments: 1, staged: BytesMut::new(), broken: false }
    }

    pub(super) fn kind(&self) -> MessageKind {
        match self.content {
            Content::Text { .. } => MessageKind::Text,
            Content::Binary(_) => MessageKind::Binary,
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn fragments(&self) -> u32 {
        self.fragments
    }

    /// Its next frame begins.
    pub(super) fn add_fragment(&mut self) {
        self.fragments = self.fragments.saturating_add(1);
    }

    /// Fails if the last chunk ended at a bad byte.
    pub(super) fn check(&self) -> Result<(), ProtocolError> {
        if self.broken { Err(ProtocolError::TextNotUtf8) } else { Ok(()) }
    }

    /// Makes room for the next `here` bytes, of `announced` to come in this frame: for no more than have arrived, this
    /// message's and these, since what was only announced costs its sender nothing.
    pub(super) fn reserve(&mut self, here: usize, announced: u64) {
        let (len, capacity) = match &self.content {
            Content::Text { text, .. } => (text.len(), text.capacity()),
            Content::Binary(bytes) => (bytes.len(), bytes.capacity()),
        };
        if capacity - len < here {
            let announced = usize::try_from(announced).unwrap_or(usize::MAX);
            let room = announced.min(len + here).max(here);
            match &mut self.content {
                Content::Text { text, .. } => text.reserve_exact(room),
                Content::Binary(bytes) => bytes.reserve_exact(room),
            }
        }
    }

    /// Takes the next piece of its payload.
    pub(super) fn append(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        self.len += piece.len() as u64;
        match &mut self.content {
            Content::Text { text, check } => {
                // 8.1: text that is not UTF-8 fails the connection, here at its first bad byte.
                check.push(piece, |valid| text.push_str(valid)).map_err(|_| ProtocolError::TextNotUtf8)
            }
            Content::Binary(bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
        }
    }

    /// Takes the next piece of its payload and gives it as a chunk.
    pub(super) fn take_in(&mut self, piece: BytesMut) -> Result<Option<Event>, ProtocolError> {
        self.len += piece.len() as u64;
        let chunk = match &mut self.content {
            Content::Binary(_) => Message::Binary(piece.freeze()),
            Content::Text { check, .. } => {
                let mut text = String::new();
                self.broken = check.push(&piece, |valid| text.push_str(valid)).is_err();
                if self.broken && text.is_empty() {
                    return Err(ProtocolError::TextNotUtf8);
                }
                Message::Text(text.into())
            }
        };
        // A piece may be no more than the start of a character.
        Ok((!chunk.is_empty()).then_some(Event::MessageChunk(chunk)))
    }

    /// Takes the next piece that came out of decompression, and gives it as a chunk if that is how it is delivered.
    pub(super) fn take_in_slice(&mut self, delivery: Delivery, piece: &[u8]) -> Result<Option<Event>, ProtocolError> {
        match delivery {
            Delivery::Messages => self.append(piece).map(|()| None),
            Delivery::Chunks => self.take_in(BytesMut::from(piece)),
        }
    }

    /// The end of the message, which must not be inside a character. All of it, where it was not given in chunks.
    pub(super) fn finish(self) -> Result<Message, ProtocolError> {
        match self.content {
            Content::Text { text, check } if check.pending() == 0 => Ok(Message::text(text)),
            Content::Text { .. } => Err(ProtocolError::TextNotUtf8),
            Content::Binary(bytes) => Ok(Message::binary(bytes)),
        }
    }
}
