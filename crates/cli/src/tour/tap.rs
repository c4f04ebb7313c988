//! Shows the WebSocket frames that a machine is given, without taking them.

use drywire::ws::{CloseCode, FrameHeader, Opcode, mask};
use drywire::{Demand, Instant, RecvBuf, SendQueue, StreamMachine};

/// A machine, and the frames among its input.
pub(super) struct Tapped<M> {
    pub(super) machine: M,
    /// How much of the receive buffer has been looked at.
    seen: usize,
    /// The begin of a frame that has not arrived in full; `None` while the connection speaks HTTP.
    frames: Option<Vec<u8>>,
}

/// What a tapped machine tells.
pub(super) enum Tap<E> {
    /// A frame arrived; this is how it reads. What the machine makes of it follows.
    Frame(String),
    /// The machine's own event.
    Event(E),
}

impl<M> Tapped<M> {
    /// A machine that speaks something else yet.
    pub(super) fn new(machine: M) -> Self {
        Self { machine, seen: 0, frames: None }
    }

    /// A machine that speaks WebSocket.
    pub(super) fn with_frames(machine: M) -> Self {
        Self { machine, seen: 0, frames: Some(Vec::new()) }
    }

    /// From here on the input is frames.
    pub(super) fn start(&mut self) {
        self.seen = 0;
        self.frames = Some(Vec::new());
    }
}

impl<M: StreamMachine> StreamMachine for Tapped<M> {
    type Event = Tap<M::Event>;
    type Error = M::Error;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Self::Event>, M::Error> {
        if let Some(frames) = &mut self.frames {
            frames.extend_from_slice(recv.get(self.seen..).unwrap_or_default());
            self.seen = recv.len();
            if let Some(frame) = take_frame(frames) {
                return Ok(Some(Tap::Frame(frame)));
            }
        }
        let event = self.machine.poll_event(now, recv);
        self.seen = recv.len();
        event.map(|event| event.map(Tap::Event))
    }

    fn transmit(&mut self) -> &mut SendQueue {
        self.machine.transmit()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }

    fn demand(&self) -> Demand {
        self.machine.demand()
    }
}

/// Takes a whole frame off the front and tells how it reads.
fn take_frame(bytes: &mut Vec<u8>) -> Option<String> {
    let (header, start) = FrameHeader::parse(bytes).ok()??;
    let end = start.checked_add(usize::try_from(header.payload_len).ok()?)?;
    let mut payload = bytes.get(start..end)?.to_vec();
    bytes.drain(..end);
    if let Some(key) = header.mask {
        mask(key, 0, &mut payload);
    }
    let what = match header.opcode {
        Opcode::Close => match payload.split_first_chunk::<2>() {
            Some((code, reason)) => {
                let code = CloseCode::from(u16::from_be_bytes(*code));
                format!("{code} {:?}", String::from_utf8_lossy(reason))
            }
            None => "without a code".to_owned(),
        },
        Opcode::Binary => format!("{} bytes", payload.len()),
        _ => format!("{:?}", String::from_utf8_lossy(&payload)),
    };
    let opcode = format!("{:?}", header.opcode).to_uppercase();
    let fin = if header.fin { ",FIN" } else { "" };
    let masked = if header.mask.is_some() { " masked" } else { "" };
    Some(format!("{opcode}{fin}{masked} {what}"))
}
