//! A stream machine on a TCP connection.

use std::net::{IpAddr, SocketAddr};

use drywire_core::{Bytes, BytesMut, Instant, RecvBuf, StreamMachine};
use drywire_tcp::ip::Ecn;
use drywire_tcp::{CloseReason, Config, Connection, Event, Segment, SeqNumber, State, Transmit};

use crate::Input;
use crate::pump::{Pump, Transport};

/// A [`StreamMachine`] on top of a [`Connection`]: the pump that runs a machine on a socket, with TCP in its place.
///
/// Received bytes stay in the connection's buffer until the machine takes them, so a machine that does not read
/// closes the peer's window. What the machine has ready moves into the connection, without a copy, as far as there is
/// room. [`Close::WriteHalf`](drywire_core::Close) becomes a FIN; `Both` a FIN behind which everything that still
/// arrives is dropped; `Abort` a RST.
///
/// It has the four method families of [`Connection`], with segments at the lower edge and the machine's events at the
/// upper one. A [`World`](crate::World) runs several of them on a network.
#[derive(Debug)]
pub struct TcpHost<M> {
    pump: Pump<M>,
    socket: Socket,
    starts: Instant,
}

#[derive(Debug)]
struct Socket {
    connection: Connection,
    established: bool,
    closed: Option<CloseReason>,
    discarding: bool,
}

impl<M: StreamMachine> TcpHost<M> {
    /// Opens a connection to `remote` at `now`. In a [`World`](crate::World), `now` may lie in the future: the host
    /// stays silent until then.
    pub fn connect(
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
        isn: SeqNumber,
        config: Config,
        machine: M,
    ) -> Self {
        Self::new(Connection::connect(now, local, remote, isn, config), now, machine)
    }

    /// Waits for one connection at `local`.
    ///
    /// The machine's deadlines do not count before the connection is there, but a machine may well measure from its
    /// own creation. Where that matters, replace it at [`Input::Connected`].
    pub fn listen(local: SocketAddr, isn: SeqNumber, config: Config, machine: M) -> Self {
        Self::new(Connection::listen(local, isn, config), Instant::ORIGIN, machine)
    }

    fn new(connection: Connection, starts: Instant, machine: M) -> Self {
        let socket = Socket { connection, established: false, closed: None, discarding: false };
        Self { pump: Pump::new(machine), socket, starts }
    }

    /// The machine, for its commands.
    pub fn machine(&mut self) -> &mut M {
        &mut self.pump.machine
    }

    /// The connection below.
    pub fn connection(&self) -> &Connection {
        &self.socket.connection
    }

    /// The connection's state.
    pub fn state(&self) -> State {
        self.socket.connection.state()
    }

    /// Whether the handshake was completed; stays so after the end.
    pub fn is_connected(&self) -> bool {
        self.socket.established
    }

    /// Whether [`Input::Closed`] was given.
    pub fn is_closed(&self) -> bool {
        self.pump.is_closed()
    }

    /// When the host starts: before that it sends nothing.
    pub(crate) fn starts(&self) -> Instant {
        self.starts
    }

    /// Drops the connection with a RST.
    pub fn abort(&mut self) {
        self.socket.connection.abort();
    }

    /// Handles a segment that came from `source`.
    pub fn handle_segment(&mut self, now: Instant, source: IpAddr, segment: &Segment<'_>) {
        self.handle_marked_segment(now, source, Ecn::NotEct, segment);
    }

    /// The same with what its IP header says about congestion notification.
    pub fn handle_marked_segment(&mut self, now: Instant, source: IpAddr, ecn: Ecn, segment: &Segment<'_>) {
        self.socket.connection.handle_marked_segment(now, source, ecn, segment);
    }

    /// Appends the next segment to `out`. Call it until `None`, each time after [`poll_input`](Self::poll_input).
    pub fn poll_transmit(&mut self, now: Instant, out: &mut BytesMut) -> Option<Transmit> {
        self.socket.connection.poll_transmit(now, out)
    }

    /// Moves bytes between the machine and the connection, and gives what there is to tell. Call it until `None`
    /// after every other call.
    pub fn poll_input(&mut self, now: Instant) -> Option<Input<M::Event, M::Error>> {
        while let Some(event) = self.socket.connection.poll_event() {
            match event {
                Event::Established => self.socket.established = true,
                Event::Closed(reason) => self.socket.closed = Some(reason),
                // The end of the stream stands in the receive buffer.
                _ => {}
            }
        }
        if self.socket.discarding {
            // Taken, so that the window stays open for a peer who has yet to finish.
            let recv = self.socket.connection.recv();
            recv.skip(recv.len());
        }
        self.pump.poll(now, &mut self.socket)
    }

    /// The next deadline: the connection's or the machine's.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.socket.connection.poll_timeout(), self.machine_timeout()].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.socket.connection.handle_timeout(now);
        if self.machine_timeout().is_some_and(|at| at <= now) {
            self.pump.machine.handle_timeout(now);
        }
    }

    fn machine_timeout(&self) -> Option<Instant> {
        let runs = self.socket.established && !self.pump.is_closed() && !self.socket.discarding;
        if runs { self.pump.machine.poll_timeout() } else { None }
    }

    /// Why the connection is not closed, for a human.
    pub(crate) fn waits_for(&mut self) -> String {
        let state = self.state();
        let queued = self.pump.machine.transmit().len();
        let unread = self.socket.connection.recv().len();
        let reads = if self.pump.wants_read() { "reads" } else { "does not read" };
        let ended = if self.socket.connection.recv().is_end_of_stream() { " and the end of the stream" } else { "" };
        format!("is in {state} and {reads}, with {queued} bytes to send and {unread} bytes{ended} received")
    }
}

impl Transport for Socket {
    fn is_connected(&self) -> bool {
        self.established
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.closed
    }

    fn recv(&mut self) -> &mut RecvBuf {
        self.connection.recv()
    }

    fn send_room(&self) -> usize {
        if self.closed.is_some() { 0 } else { self.connection.send_room() }
    }

    fn send(&mut self, bytes: Bytes) {
        // It fits, for there is room; and where the connection is gone, so is the one who would read it.
        self.connection.send(bytes).ok();
    }

    fn shutdown(&mut self) {
        self.connection.shutdown();
    }

    fn discard(&mut self) {
        self.discarding = true;
    }

    fn abort(&mut self) {
        self.connection.abort();
    }
}
