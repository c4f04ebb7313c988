//! A protocol: each side says its bytes, ends its direction, and hears the other's.

use std::convert::Infallible;

use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// How much of it is queued at a time.
const HIGH_WATER: usize = 3000;

#[derive(Debug)]
pub struct Exchange {
    send: SendQueue,
    to_say: Bytes,
    pub heard: Vec<u8>,
    /// Whether the peer's end was its word, once it has come.
    pub ended: Option<bool>,
    /// Listens only once everything is said.
    is_deaf: bool,
}

impl Exchange {
    pub fn new(to_say: &[u8]) -> Self {
        let to_say = Bytes::copy_from_slice(to_say);
        Self { send: SendQueue::new(HIGH_WATER), to_say, heard: Vec::new(), ended: None, is_deaf: false }
    }

    #[must_use]
    pub fn deaf_at_first(mut self) -> Self {
        self.is_deaf = true;
        self
    }
}

impl StreamMachine for Exchange {
    type Event = Infallible;
    type Error = Infallible;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<Infallible>, Infallible> {
        self.heard.extend_from_slice(&recv.take(recv.len()));
        if recv.is_finished() {
            self.ended = Some(!recv.is_truncated());
        }
        while !self.to_say.is_empty() && !self.send.is_full() {
            // In pieces of different lengths, from a byte to more than a record.
            let n = (self.to_say.len() % 1777 + 1).pow(2) % 20_000 + 1;
            self.send.push(self.to_say.split_to(n.min(self.to_say.len())));
        }
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn demand(&self) -> Demand {
        let all_said = self.to_say.is_empty() && self.send.is_empty();
        let close = if self.ended.is_some() { Close::Both } else { Close::WriteHalf };
        Demand { read: all_said || !self.is_deaf, close: all_said.then_some(close) }
    }
}
