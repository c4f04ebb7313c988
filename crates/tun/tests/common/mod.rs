//! A link in memory, in virtual time, with another stack as the peer.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use drywire_core::{Bytes, BytesMut, Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_tcp::{Stack, StackConfig, Transmit};
use drywire_tun::{Device, Received};

/// Echoes what arrives; the end is answered with the end. It gives up after ten seconds, or when it is told to stop.
#[derive(Debug)]
pub(crate) struct Echo {
    pub(crate) send: SendQueue,
    pub(crate) ended: bool,
    pub(crate) due: Option<Instant>,
}

impl Echo {
    pub(crate) fn new(now: Instant) -> Self {
        Self { send: SendQueue::new(65_536), ended: false, due: Some(now + Duration::from_secs(10)) }
    }
}

impl StreamMachine for Echo {
    type Event = usize;
    type Error = Infallible;

    fn poll_event(&mut self, _: Instant, recv: &mut RecvBuf) -> Result<Option<usize>, Infallible> {
        self.ended |= recv.is_finished();
        if recv.is_empty() || self.send.is_full() {
            return Ok(None);
        }
        let bytes = recv.take(recv.len());
        let len = bytes.len();
        self.send.push(bytes);
        Ok(Some(len))
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            (self.due, self.ended) = (None, true);
        }
    }

    fn demand(&self) -> Demand {
        let close = (self.ended && self.send.is_empty()).then_some(Close::Both);
        Demand { read: !self.send.is_full(), close }
    }
}

/// What the peer's application does.
pub(crate) type Script = Box<dyn FnMut(&mut Stack, Instant)>;

/// It has the other end of the link and is run by our waits.
pub(crate) struct Peer {
    pub(crate) stack: Stack,
    pub(crate) now: Instant,
    /// Towards us.
    packets: VecDeque<Bytes>,
    /// Called before every wait.
    pub(crate) script: Script,
}

/// A link with a delay of a millisecond, on which every `lose`th packet to us is lost.
pub(crate) struct Memory {
    peer: Rc<RefCell<Peer>>,
    lose: usize,
    count: usize,
}

impl Device for Memory {
    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> io::Result<bool> {
        let Some(packet) = self.peer.borrow_mut().packets.pop_front() else { return Ok(false) };
        self.count += 1;
        if !self.count.is_multiple_of(self.lose) {
            handle(Received { packet: &packet, verified: false });
        }
        Ok(true)
    }

    fn send(&mut self, packet: &[u8], _: &Transmit) -> io::Result<()> {
        let peer = &mut *self.peer.borrow_mut();
        peer.stack.handle_packet(peer.now, packet);
        Ok(())
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let peer = &mut *self.peer.borrow_mut();
        let step = Duration::from_millis(1);
        let next = [deadline, peer.stack.poll_timeout()].into_iter().flatten().min();
        // Nothing under way: straight to what is due.
        peer.now = next
            .map_or(peer.now, |next| next.max(peer.now))
            .min(peer.now + Duration::from_secs(1))
            .max(peer.now + step);
        if peer.stack.poll_timeout().is_some_and(|due| due <= peer.now) {
            peer.stack.handle_timeout(peer.now);
        }
        (peer.script)(&mut peer.stack, peer.now);
        let mut packet = BytesMut::new();
        while peer.stack.poll_transmit(peer.now, &mut packet).is_some() {
            peer.packets.push_back(packet.split().freeze());
        }
        assert!(peer.now < Instant::ORIGIN + Duration::from_secs(600), "it takes too long");
        Ok(())
    }

    fn now(&self) -> Instant {
        self.peer.borrow().now
    }

    fn waker(&self) -> Waker {
        Waker::noop().clone()
    }
}

pub(crate) const OURS: &str = "192.0.2.2";
pub(crate) const PEERS: &str = "192.0.2.1";

/// A device, the stack for it, and the peer at the other end, which does nothing yet.
pub(crate) fn link(lose: usize) -> (Memory, Stack, Rc<RefCell<Peer>>) {
    let [peer, own] = [(1, PEERS), (2, OURS)].map(|(seed, address)| {
        let mut stack = Stack::new(StackConfig::default(), &Seed::from(seed));
        assert!(stack.add_address(address.parse().unwrap()));
        stack
    });
    let peer = Peer { stack: peer, now: Instant::ORIGIN, packets: VecDeque::new(), script: Box::new(|_, _| {}) };
    let peer = Rc::new(RefCell::new(peer));
    (Memory { peer: Rc::clone(&peer), lose, count: 0 }, own, peer)
}
