//! The few lines that run a [`StreamMachine`] on a transport, whatever the transport is.

use drywire_core::{Bytes, Close, Instant, RecvBuf, StreamMachine};
use drywire_tcp::CloseReason;

use crate::Input;

/// What carries the bytes of a machine: one end of a pipe, or a TCP connection.
pub(crate) trait Transport {
    fn is_connected(&self) -> bool;
    fn close_reason(&self) -> Option<CloseReason>;
    fn recv(&mut self) -> &mut RecvBuf;
    /// How many bytes [`send`](Self::send) takes now.
    fn send_room(&self) -> usize;
    fn send(&mut self, bytes: Bytes);
    /// Ends the sending direction, behind what was sent.
    fn shutdown(&mut self);
    /// The machine takes nothing more: from now on drops whatever arrives.
    fn discard(&mut self);
    fn abort(&mut self);
}

/// A machine, and how far its transport has come.
#[derive(Debug)]
pub(crate) struct Pump<M> {
    pub(crate) machine: M,
    connected: bool,
    failed: bool,
    shut: bool,
    discarding: bool,
    closed: bool,
    /// Queued bytes have left since the application was last told.
    drained: bool,
}

impl<M: StreamMachine> Pump<M> {
    pub(crate) fn new(machine: M) -> Self {
        Self { machine, connected: false, failed: false, shut: false, discarding: false, closed: false, drained: false }
    }

    /// Whether the application has been told of the end.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the sending direction has ended.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether more input is wanted.
    pub(crate) fn wants_read(&self) -> bool {
        !self.closed && (self.discarding || self.machine.demand().read)
    }

    /// Moves bytes and obeys demands until there is something to tell. `None`: the transport has to move first.
    pub(crate) fn poll(&mut self, now: Instant, transport: &mut impl Transport) -> Option<Input<M::Event, M::Error>> {
        if self.closed {
            return None;
        }
        if !self.connected && transport.is_connected() {
            self.connected = true;
            return Some(Input::Connected);
        }
        if self.connected {
            loop {
                if let Some(input) = self.parse(now, transport) {
                    return Some(input);
                }
                if !self.flush(transport) {
                    break;
                }
            }
            if core::mem::take(&mut self.drained) {
                return Some(Input::Writable);
            }
            self.obey(transport);
        }
        let reason = transport.close_reason()?;
        // What arrived before an orderly end is still the machine's to take, when it likes.
        if reason == CloseReason::Normal && !self.discarding && !transport.recv().is_empty() {
            return None;
        }
        self.closed = true;
        Some(Input::Closed(reason))
    }

    fn parse(&mut self, now: Instant, transport: &mut impl Transport) -> Option<Input<M::Event, M::Error>> {
        if self.discarding || self.failed {
            return None;
        }
        match self.machine.poll_event(now, transport.recv()) {
            Ok(event) => event.map(Input::Event),
            Err(error) => {
                self.failed = true;
                Some(Input::Failed(error))
            }
        }
    }

    /// Whether anything moved: a machine that waited for room in its queue may then go on.
    fn flush(&mut self, transport: &mut impl Transport) -> bool {
        if self.shut {
            return false;
        }
        let queue = self.machine.transmit();
        let was_full = queue.is_full();
        let mut moved = false;
        while !queue.is_empty() {
            let bytes = queue.pop(transport.send_room());
            if bytes.is_empty() {
                break;
            }
            transport.send(bytes);
            moved = true;
        }
        self.drained |= moved && (queue.is_empty() || was_full && !queue.is_full());
        moved
    }

    fn obey(&mut self, transport: &mut impl Transport) {
        let flushed = self.machine.transmit().is_empty();
        let close = match self.machine.demand().close {
            // The error was told, and the farewell has left: nothing can follow.
            None if self.failed && flushed => Some(Close::Both),
            close => close,
        };
        match close {
            None => {}
            Some(Close::Abort) => transport.abort(),
            Some(_) if !flushed => {}
            Some(how) => {
                if !self.shut {
                    self.shut = true;
                    transport.shutdown();
                }
                if how == Close::Both && !self.discarding {
                    self.discarding = true;
                    transport.discard();
                }
            }
        }
    }
}
