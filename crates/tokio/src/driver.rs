//! An engine on a transport, and the wakes of the task that waits for it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use drywire_core::{Instant, RecvBuf, StreamMachine};
use drywire_driver::{Engine, SHORT_READ, Wire};
use tokio::io::{AsyncReadExt as _, ReadBuf};
use tokio::time::Sleep;

use crate::{Clock, Config, EventResult, Parts, Transport, TurnResult};

/// Runs a machine on a transport.
///
/// The states of a connection, and what the driver promises, stand at [`drywire_driver::Engine`], of which this is
/// the form that is polled.
#[derive(Debug)]
pub struct Driver<M: StreamMachine, T> {
    engine: Engine<M>,
    transport: T,
    clock: Clock,
    /// Only wakes. Whether a deadline has come is asked of the clock.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<M: StreamMachine, T: Transport> Driver<M, T> {
    /// A driver with the default limits.
    pub fn new(machine: M, transport: T) -> Self {
        Self::with_config(machine, transport, Config::default())
    }

    /// A driver with limits of its own.
    pub fn with_config(machine: M, transport: T, config: Config) -> Self {
        Self::from_parts(Parts { machine, transport, recv: RecvBuf::new(), config })
    }

    /// A driver whose machine starts at the transport's time.
    #[cfg(any(feature = "http", feature = "ws"))]
    pub(crate) fn start<E>(
        transport: T,
        config: Config,
        machine: impl FnOnce(Instant) -> Result<M, E>,
    ) -> Result<Self, E> {
        let clock = transport.clock();
        let parts = Parts { machine: machine(clock.now())?, transport, recv: RecvBuf::new(), config };
        let (engine, transport) = Engine::from_parts(parts);
        Ok(Self { engine, transport, clock, sleep: None })
    }

    /// A driver for an open connection that has already received something.
    pub fn from_parts(parts: Parts<M, T>) -> Self {
        let (engine, transport) = Engine::from_parts(parts);
        Self { engine, clock: transport.clock(), transport, sleep: None }
    }

    /// Takes the driver apart. What the machine has queued and the transport has not taken is still in the machine.
    pub fn into_parts(self) -> Parts<M, T> {
        self.engine.into_parts(self.transport)
    }

    /// Lets another protocol take over the connection, with the bytes that the first one left over.
    ///
    /// What the old machine has queued is lost unless `next` hands it on to the new one.
    pub fn map_machine<N: StreamMachine>(self, next: impl FnOnce(M) -> N) -> Driver<N, T> {
        let Self { engine, transport, clock, sleep } = self;
        Driver { engine: engine.map_machine(next), transport, clock, sleep }
    }

    /// The same connection on a transport that `next` makes of this one, such as a boxed one.
    pub fn map_transport<U: Transport>(self, next: impl FnOnce(T) -> U) -> Driver<M, U> {
        let Self { engine, transport, clock, sleep } = self;
        Driver { engine, transport: next(transport), clock, sleep }
    }

    /// The protocol.
    pub fn machine(&self) -> &M {
        self.engine.machine()
    }

    /// The protocol, for commands. What they queue leaves with the next turn.
    pub fn machine_mut(&mut self) -> &mut M {
        self.engine.machine_mut()
    }

    /// The connection.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// The time, for commands that take it.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Waits for the machine's next event.
    ///
    /// `Ok(None)` means that the connection is closed in order.
    ///
    /// Cancel-safe: what was read and written is in the driver, and an event is either returned or still to come.
    pub async fn next_event(&mut self) -> EventResult<M> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits until there is something to do for the caller.
    ///
    /// A handler that streams content queues it until the machine is full and goes on at [`Turn::Flushed`](crate::Turn::Flushed).
    ///
    /// Cancel-safe: what was read and written is in the driver, and a turn is either returned or still to come.
    pub async fn next_turn(&mut self) -> TurnResult<M> {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    /// [`next_event`](Self::next_event) for a `poll_fn` that waits for more than one thing.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<EventResult<M>> {
        self.poll_with(cx, |engine, wire| engine.poll_next(wire))
    }

    /// [`next_turn`](Self::next_turn) for a `poll_fn` that waits for more than one thing: does everything that is
    /// possible without waiting.
    ///
    /// `Pending` means that `cx` is woken by everything that brings the connection forward, except a command: poll
    /// again after one.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::task::Poll;
    /// use drywire_core::StreamMachine;
    /// use drywire_tokio::{Driver, ShutdownHandle, Transport, TurnResult};
    ///
    /// /// Waits for the next turn, or `None` for the shutdown: one waiting place, nothing lost.
    /// async fn turn_or_shutdown<M: StreamMachine, T: Transport>(
    ///     driver: &mut Driver<M, T>,
    ///     shutdown: &mut ShutdownHandle,
    /// ) -> Option<TurnResult<M>> {
    ///     poll_fn(|cx| {
    ///         if shutdown.poll_requested(cx).is_ready() {
    ///             return Poll::Ready(None);
    ///         }
    ///         driver.poll_turn(cx).map(Some)
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<TurnResult<M>> {
        self.poll_with(cx, |engine, wire| engine.poll_turn(wire))
    }

    /// Polls the engine by `poll`, again whenever a deadline has come.
    pub(crate) fn poll_with<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Engine<M>, &mut AsWire<'_, '_, T>) -> Poll<R>,
    ) -> Poll<R> {
        loop {
            let mut wire = AsWire::new(&mut self.transport, &mut *cx, self.clock);
            if let Poll::Ready(result) = poll(&mut self.engine, &mut wire) {
                if self.engine.is_closed() {
                    self.sleep = None;
                }
                return Poll::Ready(result);
            }
            ready!(self.poll_deadline(cx));
        }
    }

    /// The machine with what is around it.
    #[cfg(feature = "ws")]
    pub(crate) fn engine_mut(&mut self) -> &mut Engine<M> {
        &mut self.engine
    }

    /// Registers the wake for the deadline, next to those that reading and writing have registered. Ready when it
    /// has come already.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.engine.deadline() else {
            self.sleep = None;
            return Poll::Pending;
        };
        let Some(deadline) = self.clock.to_tokio(due) else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // Deadlines mostly move away: a sleep that ends too early costs one turn then, and nothing each time.
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if due <= self.clock.now() {
                self.sleep = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// A transport, for the length of one poll: whatever is pending has registered the task's waker.
pub(crate) struct AsWire<'a, 'b, T> {
    transport: &'a mut T,
    cx: &'a mut Context<'b>,
    clock: Clock,
    /// The time, once it has been asked for.
    now: Cell<Option<Instant>>,
    has_read: bool,
}

impl<'a, 'b, T> AsWire<'a, 'b, T> {
    pub(crate) fn new(transport: &'a mut T, cx: &'a mut Context<'b>, clock: Clock) -> Self {
        Self { transport, cx, clock, now: Cell::new(None), has_read: false }
    }

    /// No time has passed at the first read, since nothing waits. A peer that goes on sending could make it pass.
    fn before_read(&mut self) {
        if self.has_read {
            self.now.set(None);
        }
        self.has_read = true;
    }
}

impl<T: Transport> Wire for AsWire<'_, '_, T> {
    fn read(&mut self, room: &mut [u8]) -> Poll<io::Result<usize>> {
        self.before_read();
        let mut room = ReadBuf::new(room);
        Pin::new(&mut *self.transport).poll_read(self.cx, &mut room).map_ok(|()| room.filled().len())
    }

    fn read_buf(&mut self, recv: &mut RecvBuf, max: usize) -> Poll<io::Result<usize>> {
        self.before_read();
        if max > SHORT_READ {
            let mut room = recv.spare(max);
            // A future of one poll: it keeps nothing.
            return pin!(self.transport.read_buf(&mut room)).poll(self.cx);
        }
        // What is short costs less to copy than the room for it to allocate.
        let mut room = [const { MaybeUninit::uninit() }; SHORT_READ];
        let mut room = ReadBuf::uninit(&mut room[..max]);
        ready!(Pin::new(&mut *self.transport).poll_read(self.cx, &mut room))?;
        recv.extend_from_slice(room.filled());
        Poll::Ready(Ok(room.filled().len()))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let transport = Pin::new(&mut *self.transport);
        // The kernel takes one piece faster where it is not in a list.
        match pieces {
            [piece] => transport.poll_write(self.cx, piece),
            _ => transport.poll_write_vectored(self.cx, pieces),
        }
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.transport).poll_flush(self.cx)
    }

    fn shutdown_write(&mut self) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.transport).poll_shutdown(self.cx)
    }

    fn abort(&mut self) {
        self.transport.abort();
    }

    fn now(&self) -> Instant {
        let now = self.now.get().unwrap_or_else(|| self.clock.now());
        self.now.set(Some(now));
        now
    }
}
