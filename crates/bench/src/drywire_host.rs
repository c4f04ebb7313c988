//! drywire's side.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use drywire_core::{Instant, Seed};
use drywire_tcp::{Config, ConnectionHandle, ListenerConfig, ListenerHandle, Stack, StackConfig};

use crate::host::{Host, Sink, Source};
use crate::wire::Wire;

pub(crate) struct DrywireHost {
    pub(crate) stack: Stack,
    pub(crate) connection: Option<ConnectionHandle>,
    listener: Option<ListenerHandle>,
    /// How many packets it hands over at a time.
    batch: usize,
}

pub(crate) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
pub(crate) const PORT: u16 = 80;

pub(crate) fn config(buffer: usize) -> Config {
    Config { recv_capacity: buffer, send_capacity: buffer, ..Config::default() }
}

impl DrywireHost {
    pub(crate) fn new(address: IpAddr, seed: u64) -> Self {
        let mut stack = Stack::new(StackConfig::default(), &Seed::from(seed));
        stack.add_address(address);
        Self { stack, connection: None, listener: None, batch: 1 }
    }

    /// A pair that hands over up to `batch` packets at a time.
    pub(crate) fn batching(buffer: usize, batch: usize) -> (Self, Self) {
        let (client, server) = Self::pair(buffer);
        (Self { batch, ..client }, Self { batch, ..server })
    }

    pub(crate) fn listen(&mut self, config: ListenerConfig) -> ListenerHandle {
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
        let listener = self.stack.listen(any, config).expect("the port is free");
        self.listener = Some(listener);
        listener
    }
}

impl Host for DrywireHost {
    fn pair(buffer: usize) -> (Self, Self) {
        let (mut client, mut server) = (Self::new(CLIENT, 1), Self::new(SERVER, 2));
        server.listen(ListenerConfig { connection: config(buffer), ..ListenerConfig::default() });
        let to = SocketAddr::new(SERVER, PORT);
        client.connection = client.stack.connect(Instant::ORIGIN, to, config(buffer)).ok();
        (client, server)
    }

    fn ingress(&mut self, now: Instant, inbox: &mut Wire, _outbox: &mut Wire) {
        while let Some(train) = inbox.pop() {
            self.stack.handle_packets(now, train.packets());
            inbox.recycle(train.bytes);
        }
        if self.stack.poll_timeout().is_some_and(|at| at <= now) {
            self.stack.handle_timeout(now);
        }
        while self.stack.poll_event().is_some() {}
        if let (None, Some(listener)) = (self.connection, self.listener) {
            self.connection = self.stack.accept(listener);
        }
    }

    fn egress(&mut self, now: Instant, outbox: &mut Wire) {
        let mut buffer = outbox.buffer();
        buffer.clear();
        while let Some(batch) = self.stack.poll_transmit_batch(now, self.batch, &mut buffer) {
            outbox.push_train(buffer, batch.first.len);
            buffer = outbox.buffer();
            buffer.clear();
        }
        outbox.recycle(buffer);
    }

    fn poll_timeout(&mut self, _now: Instant) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    fn send(&mut self, source: &mut Source) {
        let Some(connection) = self.connection.and_then(|it| self.stack.connection_mut(it)) else { return };
        loop {
            let bytes = source.next(connection.send_room());
            let len = bytes.len();
            if len == 0 || connection.send(bytes).is_err() {
                return;
            }
            source.advance(len);
        }
    }

    fn recv(&mut self, sink: &mut Sink) {
        let Some(connection) = self.connection.and_then(|it| self.stack.connection_mut(it)) else { return };
        let recv = connection.recv();
        sink.take(recv);
        recv.skip(recv.len());
    }
}
