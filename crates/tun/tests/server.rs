//! The server on a link in memory, in virtual time: another stack is the peer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use drywire_core::{Bytes, BytesMut, Close, Demand, Instant, RecvBuf, Seed, SendQueue, StreamMachine};
use drywire_tcp::{Config, ConnectionHandle, ListenerConfig, Stack, StackConfig, Transmit};
use drywire_tun::{Device, Received, Server, ShutdownHandle, Turn};

const SERVER: &str = "192.0.2.2:7";

/// Echoes what arrives; the end is answered with the end. It gives up after ten seconds, or when it is told to stop.
struct Echo {
    send: SendQueue,
    ended: bool,
    due: Option<Instant>,
}

impl Echo {
    fn new(now: Instant) -> Self {
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
type Script = Box<dyn FnMut(&mut Stack, Instant)>;

/// It has the other end of the link and is run by the server's waits.
struct Peer {
    stack: Stack,
    now: Instant,
    /// Towards the server.
    packets: VecDeque<Bytes>,
    /// Called before every wait.
    script: Script,
}

/// A link with a delay of a millisecond, on which every `lose`th packet to the server is lost.
struct Memory {
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

/// Runs an echo server until the script stops it. Returns how many connections were aborted, and how many bytes came.
fn run(lose: usize, script: impl FnOnce(&mut Stack, ShutdownHandle) -> Script) -> (usize, usize) {
    let mut stacks = [1, 2].map(|seed| Stack::new(StackConfig::default(), &Seed::from(seed)));
    for (stack, address) in stacks.iter_mut().zip(["192.0.2.1", "192.0.2.2"]) {
        stack.add_address(address.parse().unwrap());
    }
    let [client, server] = stacks;
    let script_of_nobody: Script = Box::new(|_, _| {});
    let peer = Peer { stack: client, now: Instant::ORIGIN, packets: VecDeque::new(), script: script_of_nobody };
    let peer = Rc::new(RefCell::new(peer));
    let mut server = Server::new(Memory { peer: Rc::clone(&peer), lose, count: 0 }, server);
    server.listen(SERVER.parse().unwrap(), ListenerConfig::default()).unwrap();
    let script = script(&mut peer.borrow_mut().stack, server.shutdown_handle());
    peer.borrow_mut().script = script;
    let mut bytes = 0;
    let stopped = server
        .run(
            |incoming| Echo::new(incoming.now),
            |served, turn| match turn {
                Ok(Turn::Event(n)) => bytes += n,
                Ok(Turn::Woken) if served.is_shutting_down() => served.machine_mut().ended = true,
                Ok(_) | Err(_) => {}
            },
        )
        .unwrap();
    (stopped.aborted, bytes)
}

fn connect(stack: &mut Stack) -> ConnectionHandle {
    stack.connect(Instant::ORIGIN, SERVER.parse().unwrap(), Config::default()).unwrap()
}

#[test]
fn what_is_sent_comes_back_and_both_close_in_order_also_under_loss() {
    for lose in [usize::MAX, 20] {
        let data: Bytes = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let length = data.len();
        let (aborted, bytes) = run(lose, |stack, shutdown| {
            let mut clients: Vec<_> = (0..3).map(|_| (connect(stack), data.clone(), BytesMut::new())).collect();
            Box::new(move |stack, _| {
                clients.retain_mut(|(handle, left, back)| {
                    let connection = stack.connection_mut(*handle).unwrap();
                    if left.is_empty() {
                        connection.shutdown();
                    } else {
                        let room = connection.send_room().min(left.len());
                        connection.send(left.split_to(room)).unwrap();
                    }
                    let recv = connection.recv();
                    back.extend_from_slice(&recv.take(recv.len()));
                    if !recv.is_finished() {
                        return true;
                    }
                    assert!(*back == data, "other bytes came back");
                    stack.release(*handle);
                    false
                });
                if clients.is_empty() {
                    shutdown.shutdown();
                }
            })
        });
        assert_eq!((aborted, bytes), (0, 3 * length));
    }
}

#[test]
fn a_machines_deadline_closes_an_idle_connection() {
    let (aborted, _) = run(usize::MAX, |stack, shutdown| {
        let client = connect(stack);
        Box::new(move |stack, now| {
            if stack.connection_mut(client).is_some_and(|connection| connection.recv().is_finished()) {
                assert!(now >= Instant::ORIGIN + Duration::from_secs(10));
                stack.release(client);
                shutdown.shutdown();
            }
        })
    });
    assert_eq!(aborted, 0);
}

#[test]
fn a_shutdown_wakes_every_connection() {
    let (aborted, _) = run(usize::MAX, |stack, shutdown| {
        let client = connect(stack);
        Box::new(move |stack, now| {
            if now >= Instant::ORIGIN + Duration::from_secs(2) {
                shutdown.shutdown();
                if stack.connection_mut(client).is_some_and(|connection| connection.recv().is_finished()) {
                    stack.release(client);
                }
            }
        })
    });
    assert_eq!(aborted, 0);
}
