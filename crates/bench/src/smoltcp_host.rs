//! smoltcp's side.

use drywire_core::Instant;
use smoltcp::iface::{self, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, Device, DeviceCapabilities, Medium};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as Micros;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use bytes::BytesMut;

use crate::host::{Host, Sink, Source};
use crate::wire::Wire;

pub(crate) struct SmoltcpHost {
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) handle: Option<SocketHandle>,
}

pub(crate) const CLIENT: IpAddress = IpAddress::v4(10, 0, 0, 1);
pub(crate) const SERVER: IpAddress = IpAddress::v4(10, 0, 0, 2);
pub(crate) const PORT: u16 = 80;

fn micros(now: Instant) -> Micros {
    Micros::from_micros(now.as_micros().cast_signed())
}

pub(crate) fn socket(buffer: usize) -> tcp::Socket<'static> {
    let buffers = || tcp::SocketBuffer::new(vec![0; buffer]);
    let mut socket = tcp::Socket::new(buffers(), buffers());
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    socket
}

impl SmoltcpHost {
    pub(crate) fn new(address: IpAddress) -> Self {
        let (mut inbox, mut outbox) = (Wire::default(), Wire::default());
        let mut link = Link { inbox: &mut inbox, outbox: &mut outbox };
        let config = iface::Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut link, Micros::ZERO);
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(address, 24)).expect("it is the first"));
        Self { interface, sockets: SocketSet::new(Vec::new()), handle: None }
    }

    pub(crate) fn listen(&mut self, buffer: usize) -> SocketHandle {
        let mut socket = socket(buffer);
        socket.listen(PORT).expect("the socket is new");
        self.sockets.add(socket)
    }

    pub(crate) fn connect(&mut self, port: u16, buffer: usize) -> SocketHandle {
        let mut socket = socket(buffer);
        socket.connect(self.interface.context(), (SERVER, PORT), port).expect("the socket is new");
        self.sockets.add(socket)
    }
}

impl Host for SmoltcpHost {
    fn pair(buffer: usize) -> (Self, Self) {
        let (mut client, mut server) = (Self::new(CLIENT), Self::new(SERVER));
        server.handle = Some(server.listen(buffer));
        client.handle = Some(client.connect(49152, buffer));
        (client, server)
    }

    fn ingress(&mut self, now: Instant, inbox: &mut Wire, outbox: &mut Wire) {
        let Self { interface, sockets, .. } = self;
        let mut link = Link { inbox, outbox };
        while interface.poll_ingress_single(micros(now), &mut link, sockets) != PollIngressSingleResult::None {}
    }

    fn egress(&mut self, now: Instant, outbox: &mut Wire) {
        let Self { interface, sockets, .. } = self;
        let mut link = Link { inbox: &mut Wire::default(), outbox };
        while interface.poll_egress(micros(now), &mut link, sockets) != PollResult::None {}
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(micros(now), &self.sockets)?;
        Some(Instant::from_micros(at.total_micros().max(0) as u64))
    }

    fn send(&mut self, source: &mut Source) {
        let Some(handle) = self.handle else { return };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        while socket.can_send() {
            let bytes = source.next(usize::MAX);
            match socket.send_slice(&bytes) {
                Ok(0) | Err(_) => return,
                Ok(n) => source.advance(n),
            }
        }
    }

    fn recv(&mut self, sink: &mut Sink) {
        let Some(handle) = self.handle else { return };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        while socket.can_recv() {
            // In place, in at most two pieces of the ring.
            let taken = socket.recv(|bytes| {
                sink.take(bytes);
                (bytes.len(), ())
            });
            if taken.is_err() {
                return;
            }
        }
    }
}

/// A link layer over two wires. Packets are written and read in place.
struct Link<'a> {
    inbox: &'a mut Wire,
    outbox: &'a mut Wire,
}

impl Device for Link<'_> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Slot<'a>
    where
        Self: 'a;

    fn receive(&mut self, _now: Micros) -> Option<(Received<'_>, Slot<'_>)> {
        let packet = self.inbox.pop()?.bytes;
        Some((Received { packet, inbox: self.inbox }, Slot(self.outbox)))
    }

    fn transmit(&mut self, _now: Micros) -> Option<Slot<'_>> {
        Some(Slot(self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        // Checksums are computed and checked by default.
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = 1500;
        capabilities.medium = Medium::Ip;
        capabilities
    }
}

struct Received<'a> {
    packet: BytesMut,
    inbox: &'a mut Wire,
}

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.packet);
        self.inbox.recycle(self.packet);
        result
    }
}

struct Slot<'a>(&'a mut Wire);

impl phy::TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.0.buffer();
        // Only what the last packet in this buffer did not have is zeroed.
        packet.resize(len, 0);
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}
