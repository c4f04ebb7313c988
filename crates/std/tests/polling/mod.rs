//! A poller in memory, with virtual time, whose connections are scripted wires.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use drywire_core::Instant;
use drywire_std::Config;
use drywire_std::poll::{Poller, Readiness, Source, Stream};

use crate::shared::{LINGER, READ_SIZE, READ_SIZE_MAX, START, Wire};

/// What the next attempt to accept gives.
pub enum Arrival {
    /// A connection, not before this instant.
    Connection(Instant, Wire),
    Error(ErrorKind),
}

/// Clones are the same: the loop has one and the test the other.
///
/// With `SHORT`, a read or a write that is short has an edge before the next one, as with epoll.
#[derive(Clone)]
pub struct Virtual<const SHORT: bool>(pub Rc<RefCell<World>>);

pub struct World {
    pub now: Instant,
    pub arrivals: VecDeque<Arrival>,
    /// When somebody tried to accept.
    pub attempts: Vec<Instant>,
    /// Whether the listener has told of the next arrival, or is closed.
    told: bool,
    watched: BTreeMap<u32, Wire>,
    woken: Arc<Woken>,
    /// How attempts to connect end, and after how long.
    pub attempts_to_connect: VecDeque<(Duration, Result<Wire, ErrorKind>)>,
    /// When those under way end, until that is told.
    connecting: BTreeMap<u32, Instant>,
    /// Calls of the system on all connections.
    pub reads: usize,
    pub writes: usize,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Where connections come from. Nobody hears of them once it is dropped.
pub struct Port(Rc<RefCell<World>>);

impl Drop for Port {
    fn drop(&mut self) {
        self.0.borrow_mut().told = true;
    }
}

/// One connection of the loop.
pub struct Scripted<const SHORT: bool> {
    wire: Option<Wire>,
    /// How the attempt to connect ends, and when.
    connects: Option<(Instant, Result<Wire, ErrorKind>)>,
    number: Option<u32>,
    world: Rc<RefCell<World>>,
}

impl<const SHORT: bool> Virtual<SHORT> {
    pub fn new(arrivals: impl IntoIterator<Item = Arrival>) -> Self {
        Self(Rc::new(RefCell::new(World {
            now: START,
            arrivals: arrivals.into_iter().collect(),
            attempts: Vec::new(),
            told: false,
            watched: BTreeMap::new(),
            woken: Arc::default(),
            attempts_to_connect: VecDeque::new(),
            connecting: BTreeMap::new(),
            reads: 0,
            writes: 0,
        })))
    }

    pub fn port(&self) -> Port {
        Port(Rc::clone(&self.0))
    }

    /// A poller to which all of them connect at once.
    pub fn with_connections<'a>(wires: impl IntoIterator<Item = &'a Wire>) -> Self {
        Self::new(wires.into_iter().map(|wire| Arrival::Connection(START, wire.clone())))
    }
}

impl World {
    fn watch(&mut self, number: u32, wire: &Wire) {
        wire.set_now(self.now);
        wire.arm_read();
        self.watched.insert(number, wire.clone());
    }

    /// When the listener has something.
    fn arrival(&self) -> Option<Instant> {
        self.arrivals.front().filter(|_| !self.told).map(|next| match next {
            Arrival::Connection(at, _) => (*at).max(self.now),
            Arrival::Error(_) => self.now,
        })
    }
}

impl<const SHORT: bool> Poller for Virtual<SHORT> {
    type Stream = Scripted<SHORT>;
    type Listener = Port;

    fn park(&mut self, until: Option<Instant>, ready: &mut dyn FnMut(Source, Readiness)) -> io::Result<()> {
        let world = &mut *self.0.borrow_mut();
        let glance = until.is_some_and(|until| until <= world.now) || world.woken.0.swap(false, Ordering::SeqCst);
        if !glance {
            let edges = world.watched.values().filter_map(|wire| wire.wait_for_edges(until));
            let connected = world.connecting.values().copied();
            let next = edges.chain(connected).chain(world.arrival()).chain(until).min();
            world.now = next.expect("it waits for ever").max(world.now);
        }
        if world.arrival().is_some_and(|at| at <= world.now) {
            world.told = true;
            ready(Source::Listener(0), Readiness { read: true, ..Readiness::default() });
        }
        let now = world.now;
        world.connecting.retain(|number, at| {
            if *at <= now {
                ready(Source::Stream(*number), Readiness { write: true, ..Readiness::default() });
            }
            now < *at
        });
        for (number, wire) in &world.watched {
            wire.set_now(world.now);
            let (read, write, ended) = wire.take_edges();
            if read || write {
                ready(Source::Stream(*number), Readiness { read, write, ended });
            }
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        self.0.borrow().now
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0.borrow().woken))
    }

    fn watch_listener(&mut self, _: &mut Port, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn watch(&mut self, stream: &mut Self::Stream, number: u32) -> io::Result<()> {
        stream.number = Some(number);
        let world = &mut *self.0.borrow_mut();
        match (&stream.wire, &stream.connects) {
            (Some(wire), _) => world.watch(number, wire),
            (None, Some((at, _))) => drop(world.connecting.insert(number, *at)),
            (None, None) => unreachable!(),
        }
        Ok(())
    }

    fn accept(&mut self, _: &Port) -> io::Result<(Self::Stream, SocketAddr)> {
        let world = &mut *self.0.borrow_mut();
        world.attempts.push(world.now);
        match world.arrivals.pop_front() {
            Some(Arrival::Connection(at, wire)) if at <= world.now => {
                let stream = Scripted { wire: Some(wire), connects: None, number: None, world: Rc::clone(&self.0) };
                Ok((stream, ([192, 0, 2, 1], 9).into()))
            }
            Some(Arrival::Error(kind)) => Err(kind.into()),
            later => {
                world.arrivals.extend(later);
                world.told = false;
                Err(ErrorKind::WouldBlock.into())
            }
        }
    }

    fn connect(&mut self, _: SocketAddr) -> io::Result<Self::Stream> {
        let (pause, end) = self.0.borrow_mut().attempts_to_connect.pop_front().expect("nobody is to connect");
        Ok(Scripted { wire: None, connects: Some((self.now() + pause, end)), number: None, world: Rc::clone(&self.0) })
    }

    fn local_addr(&self, _: &Port) -> io::Result<SocketAddr> {
        Ok(([192, 0, 2, 2], 80).into())
    }
}

impl<const SHORT: bool> Stream for Scripted<SHORT> {
    const SHORT_IS_BLOCKED: bool = SHORT;

    fn is_connected(&mut self) -> io::Result<bool> {
        let world = &mut *self.world.borrow_mut();
        match self.connects.take_if(|(at, _)| *at <= world.now) {
            Some((_, Ok(wire))) => {
                world.watch(self.number.expect("it is watched"), &wire);
                self.wire = Some(wire);
                Ok(true)
            }
            Some((_, Err(kind))) => Err(kind.into()),
            None => Ok(self.wire.is_some()),
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let wire = self.wire.as_ref().expect("it is connected");
        self.world.borrow_mut().reads += 1;
        let n = wire.read(room)?;
        if SHORT && n < room.len() {
            wire.arm_read();
        }
        Ok(n)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let wire = self.wire.as_ref().expect("it is connected");
        self.world.borrow_mut().writes += 1;
        let n = wire.write_vectored(pieces)?;
        wire.flush()?;
        if SHORT && n < pieces.iter().map(|piece| piece.len()).sum() {
            wire.arm_write();
        }
        Ok(n)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.wire.as_ref().expect("it is connected").shutdown_write()
    }

    fn abort(&mut self) {
        if let Some(wire) = &self.wire {
            wire.abort();
        }
    }
}

impl<const SHORT: bool> Drop for Scripted<SHORT> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let world = &mut *self.world.borrow_mut();
            world.watched.remove(&number);
            world.connecting.remove(&number);
        }
    }
}

/// Small limits, so that scripts reach them.
pub fn limits() -> Config {
    let mut config = Config::default();
    config.read_size = READ_SIZE;
    config.read_size_max = READ_SIZE_MAX;
    config.linger = LINGER;
    config
}
