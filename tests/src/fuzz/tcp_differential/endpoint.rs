//! The two endpoints behind one interface: TCP segments as bytes in and out, and the calls of an application.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use drywire::tcp::ip::{Ecn, Header as IpHeader, Packet, Protocol};
use drywire::tcp::{Config, Connection, Segment, SeqNumber, State};
use drywire::{Bytes, BytesMut, Instant};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

use super::script::Setup;
use crate::card::Card;

pub(super) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
pub(super) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 49152);

/// Both buffers of both endpoints. Below 64 KiB there is no window scale.
pub(super) const CAPACITY: usize = 6000;

/// What smoltcp fixes; drywire is configured to the same.
const TIME_WAIT: Duration = Duration::from_secs(10);

/// One TCP under test.
pub(super) trait Endpoint {
    fn name(&self) -> &'static str;
    fn state(&self) -> State;
    /// How many bytes the application could take.
    fn readable(&mut self) -> usize;
    /// How many bytes the application could queue.
    fn room(&mut self) -> usize;
    /// How many queued bytes are not acknowledged.
    fn unacknowledged(&mut self) -> usize;
    /// Takes `n` of the readable bytes.
    fn read(&mut self, n: usize) -> Vec<u8>;
    /// Queues `bytes`, for which there is room.
    fn write(&mut self, bytes: &[u8]);
    fn shutdown(&mut self);
    fn abort(&mut self);
    fn handle(&mut self, now: Instant, segment: &[u8]);
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant>;
    /// Handles what is due, and gives all segments that are to be sent.
    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>>;
}

pub(super) struct Drywire(pub(super) Connection);

impl Drywire {
    pub(super) fn new(setup: &Setup, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            recv_capacity: CAPACITY,
            send_capacity: CAPACITY,
            timestamps: setup.timestamps,
            time_wait: TIME_WAIT,
            // Everything leaves as soon as it can, and nobody gives up: that smoltcp does not do.
            no_delay: true,
            delayed_ack: Duration::ZERO,
            initial_window: u8::MAX,
            syn_retries: u8::MAX,
            syn_ack_retries: u8::MAX,
            data_retries: u8::MAX,
            ..Config::default()
        };
        change(&mut config);
        let isn = SeqNumber::new(setup.isn);
        Self(if setup.passive {
            Connection::listen(LOCAL, isn, config)
        } else {
            Connection::connect(Instant::ORIGIN, LOCAL, PEER, isn, config)
        })
    }
}

impl Endpoint for Drywire {
    fn name(&self) -> &'static str {
        "drywire"
    }

    fn state(&self) -> State {
        self.0.state()
    }

    fn readable(&mut self) -> usize {
        self.0.recv().len()
    }

    fn room(&mut self) -> usize {
        self.0.send_room()
    }

    fn unacknowledged(&mut self) -> usize {
        self.0.unacknowledged()
    }

    fn read(&mut self, n: usize) -> Vec<u8> {
        self.0.recv().take(n).to_vec()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.send(Bytes::copy_from_slice(bytes)).expect("there is room");
    }

    fn shutdown(&mut self) {
        self.0.shutdown();
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn handle(&mut self, now: Instant, segment: &[u8]) {
        if let Ok(segment) = Segment::parse(segment, PEER.ip(), LOCAL.ip()) {
            self.0.handle_segment(now, PEER.ip(), &segment);
        }
    }

    fn poll_timeout(&mut self, _: Instant) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.0.handle_timeout(now);
        let mut out = BytesMut::new();
        let mut segments = vec![];
        while self.0.poll_transmit(now, &mut out).is_some() {
            segments.push(out.split().to_vec());
            assert!(segments.len() < 1000, "drywire: segments without end");
        }
        segments
    }
}

pub(super) struct Smoltcp {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

fn instant(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

impl Smoltcp {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut card = Card::default();
        let mut settings = iface::Config::new(HardwareAddress::Ip);
        settings.random_seed = u64::from(setup.isn);
        let mut interface = Interface::new(settings, &mut card, instant(Instant::ORIGIN));
        let address = IpCidr::new(IpAddress::from(LOCAL.ip()), 24);
        interface.update_ip_addrs(|list| list.push(address).expect("there is room for one address"));
        let buffer = || tcp::SocketBuffer::new(vec![0; CAPACITY]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        if setup.timestamps {
            socket.set_tsval_generator(Some(|| 1));
        }
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
        if setup.passive {
            socket.listen(LOCAL.port()).expect("a port that can be listened on");
        } else {
            let remote = IpEndpoint::new(IpAddress::from(PEER.ip()), PEER.port());
            socket.connect(interface.context(), remote, LOCAL.port()).expect("an address that can be connected to");
        }
        Self { card, interface, sockets, handle }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

impl Endpoint for Smoltcp {
    fn name(&self) -> &'static str {
        "smoltcp"
    }

    fn state(&self) -> State {
        match self.sockets.get::<tcp::Socket<'_>>(self.handle).state() {
            tcp::State::Closed => State::Closed,
            tcp::State::Listen => State::Listen,
            tcp::State::SynSent => State::SynSent,
            tcp::State::SynReceived => State::SynReceived,
            tcp::State::Established => State::Established,
            tcp::State::FinWait1 => State::FinWait1,
            tcp::State::FinWait2 => State::FinWait2,
            tcp::State::CloseWait => State::CloseWait,
            tcp::State::Closing => State::Closing,
            tcp::State::LastAck => State::LastAck,
            tcp::State::TimeWait => State::TimeWait,
        }
    }

    fn readable(&mut self) -> usize {
        self.socket().recv_queue()
    }

    fn room(&mut self) -> usize {
        CAPACITY - self.socket().send_queue()
    }

    fn unacknowledged(&mut self) -> usize {
        self.socket().send_queue()
    }

    fn read(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        let read = self.socket().recv_slice(&mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    fn write(&mut self, bytes: &[u8]) {
        assert_eq!(self.socket().send_slice(bytes), Ok(bytes.len()));
    }

    fn shutdown(&mut self) {
        self.socket().close();
    }

    fn abort(&mut self) {
        self.socket().abort();
    }

    fn handle(&mut self, _: Instant, segment: &[u8]) {
        let header = IpHeader {
            source: PEER.ip(),
            destination: LOCAL.ip(),
            protocol: Protocol::TCP,
            hop_limit: 64,
            ecn: Ecn::NotEct,
        };
        let mut packet = BytesMut::new();
        header.emit(segment, &mut packet);
        self.card.incoming.push_back(packet.to_vec());
    }

    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(instant(now), &self.sockets)?;
        Some(Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0)).max(now))
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut segments = vec![];
        // A poll may leave one packet behind that the next one sends.
        loop {
            self.interface.poll(instant(now), &mut self.card, &mut self.sockets);
            if self.card.outgoing.is_empty() {
                return segments;
            }
            for packet in self.card.outgoing.drain(..) {
                let packet = Packet::parse(&packet).expect("smoltcp sends IP packets");
                segments.push(packet.payload.to_vec());
            }
            assert!(segments.len() < 1000, "smoltcp: segments without end");
        }
    }
}
