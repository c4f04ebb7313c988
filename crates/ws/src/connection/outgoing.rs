//! The send path: frames into the send queue.

use alloc::boxed::Box;
use core::fmt;

use bytes::{Bytes, BytesMut};
use drywire_core::{Rng, Seed, SendQueue};

use super::MessageKind;
use crate::frame::{FrameHeader, Opcode};
use crate::utf8::Utf8Check;
use crate::{CloseFrame, Misuse, Role, mask};

pub(super) struct Outgoing {
    queue: SendQueue,
    /// The source of masking keys: only a client has one.
    keys: Option<Box<Rng>>,
    /// The message that is sent in fragments.
    message: Option<OpenMessage>,
    /// The payload of the newest Ping that has to wait for room.
    ping: Option<Bytes>,
}

/// A message of which the last fragment has not been sent.
struct OpenMessage {
    /// The opcode of its next frame.
    opcode: Opcode,
    /// What a text message must keep.
    text: Option<Utf8Check>,
}

impl Outgoing {
    pub(super) fn new(role: Role, seed: &Seed, queue: SendQueue) -> Self {
        let keys = (role == Role::Client).then(|| Box::new(Rng::new(seed)));
        Self { queue, keys, message: None, ping: None }
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn is_message_under_way(&self) -> bool {
        self.message.is_some()
    }

    /// The queue, with the Pong that had to wait if there is room for it by now.
    pub(super) fn transmit(&mut self) -> &mut SendQueue {
        if !self.queue.is_full()
            && let Some(payload) = self.ping.take()
        {
            self.push(Opcode::Pong, true, payload);
        }
        &mut self.queue
    }

    /// Queues a frame.
    pub(super) fn push(&mut self, opcode: Opcode, fin: bool, payload: Bytes) {
        // 5.3: "The masking key is a 32-bit value chosen at random by the client", a fresh one for every frame.
        let key = self.keys.as_mut().map(|keys| keys.next_u32().to_ne_bytes());
        let header = FrameHeader { fin, opcode, mask: key, payload_len: payload.len() as u64 };
        self.queue.extend_from_slice(&header.encode());
        let Some(key) = key else {
            self.queue.push(payload);
            return;
        };
        if payload.len() < SendQueue::BY_REFERENCE {
            mask(key, 0, self.queue.extend_from_slice(&payload));
        } else {
            // Masked in place if nobody else holds the payload.
            let mut payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            mask(key, 0, &mut payload);
            self.queue.push(payload.freeze());
        }
    }

    pub(super) fn start_message(&mut self, kind: MessageKind) {
        self.message = Some(match kind {
            MessageKind::Text => OpenMessage { opcode: Opcode::Text, text: Some(Utf8Check::default()) },
            MessageKind::Binary => OpenMessage { opcode: Opcode::Binary, text: None },
        });
    }

    /// Queues the next fragment. A refused one leaves the message as it was.
    pub(super) fn push_fragment(&mut self, payload: Bytes, last: bool) -> Result<(), Misuse> {
        let Some(message) = &mut self.message else { return Err(Misuse::NoMessageUnderWay) };
        if let Some(text) = &mut message.text {
            let mut checked = text.clone();
            checked.push(&payload, |_| {}).map_err(|_| Misuse::FragmentNotUtf8)?;
            if last && checked.pending() > 0 {
                return Err(Misuse::FragmentNotUtf8);
            }
            *text = checked;
        }
        // 5.4: the first fragment has the message's opcode, the others that of a continuation.
        let opcode = core::mem::replace(&mut message.opcode, Opcode::Continuation);
        if last {
            self.message = None;
        }
        self.push(opcode, last, payload);
        Ok(())
    }

    /// Queues a Close frame, the last but for Pongs.
    pub(super) fn push_close(&mut self, frame: Option<CloseFrame>) {
        let mut payload = BytesMut::new();
        if let Some(frame) = frame {
            payload.extend_from_slice(&frame.code.0.to_be_bytes());
            payload.extend_from_slice(frame.reason.as_bytes());
        }
        self.message = None;
        self.push(Opcode::Close, true, payload.freeze());
    }

    /// Queues a Pong for a Ping. While the queue is full only the newest Ping is remembered, as 5.5.3 allows, so that
    /// a peer that sends Pings and reads nothing cannot make the queue grow.
    pub(super) fn answer_ping(&mut self, payload: &Bytes) {
        if self.queue.is_full() {
            // A copy: the answer may not keep a whole read buffer alive for as long as it waits.
            self.ping = Some(Bytes::copy_from_slice(payload));
        } else {
            self.ping = None;
            self.push(Opcode::Pong, true, payload.clone());
        }
    }

    /// Drops the Ping that waits for its answer.
    pub(super) fn forget_ping(&mut self) {
        self.ping = None;
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("queue", &self.queue)
            .field("message_under_way", &self.message.is_some())
            .finish_non_exhaustive()
    }
}
