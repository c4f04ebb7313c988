//! The datagram sockets of a stack (RFC 768).

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::SocketAddr;

use bytes::Bytes;
use drywire_core::Instant;

use super::{OpenError, Stack, StackEvent, find_bound};
use crate::ip::Protocol;
use crate::slab::Key;
use crate::udp::{Datagram, HEADER_LEN};
use crate::{IcmpErrorKind, Transmit};

/// Names a datagram socket of a [`Stack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpHandle(Key);

impl UdpHandle {
    pub(super) const fn of(key: Key) -> Self {
        Self(key)
    }

    pub(super) const fn key(self) -> Key {
        self.0
    }
}

/// The settings of a datagram socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    /// How many bytes may wait to be received, counting 64 for each datagram besides its payload. What does not fit is
    /// dropped. Default 256 KiB.
    pub recv_capacity: usize,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self { recv_capacity: 256 * 1024 }
    }
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedDatagram {
    /// Who sent it.
    pub source: SocketAddr,
    /// To which of our addresses.
    pub destination: SocketAddr,
    /// Its bytes.
    pub payload: Bytes,
}

/// What the network reports about a datagram that was sent. Anybody could have made it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramError {
    /// To whom it was sent.
    pub destination: SocketAddr,
    /// What is wrong.
    pub kind: IcmpErrorKind,
}

/// Why a datagram was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UdpSendError {
    /// There is no such socket.
    #[error("no such socket")]
    Closed,
    /// None of our addresses is of the receiver's family, or the receiver has no address or port.
    #[error("the destination cannot be reached")]
    Unreachable,
    /// It does not fit into one packet; datagrams are not fragmented.
    #[error("the datagram is longer than a packet")]
    TooLong,
    /// [`StackConfig::max_datagrams`](super::StackConfig::max_datagrams) wait already.
    #[error("too many datagrams wait to leave")]
    Full,
}

#[derive(Debug)]
pub(super) struct UdpSocket {
    local: SocketAddr,
    config: UdpConfig,
    queue: VecDeque<ReceivedDatagram>,
    /// Of `queue`, as [`UdpConfig::recv_capacity`] counts.
    held: usize,
    error: Option<DatagramError>,
    pub(super) news: bool,
}

/// What a datagram counts for besides its payload.
const OVERHEAD: usize = 64;

impl Stack {
    /// Opens a datagram socket at `local`: an unspecified address stands for all of ours of its family, port zero for
    /// an ephemeral port.
    pub fn bind_udp(&mut self, local: SocketAddr, config: UdpConfig) -> Result<UdpHandle, OpenError> {
        if !local.ip().is_unspecified() && !self.addresses.contains(&local.ip()) {
            return Err(OpenError::NoAddress);
        }
        let port = match local.port() {
            0 => {
                let nobody = SocketAddr::new(local.ip(), 0);
                let bound = &self.bound;
                let free = |port| find_bound(bound, SocketAddr::new(local.ip(), port)).is_none();
                self.ports.choose(local.ip(), nobody, free).ok_or(OpenError::NoPort)?
            }
            port => port,
        };
        let local = SocketAddr::new(local.ip(), port);
        if self.bound.contains_key(&local) {
            return Err(OpenError::InUse);
        }
        let socket = UdpSocket { local, config, queue: VecDeque::new(), held: 0, error: None, news: false };
        let key = self.udp_sockets.insert(Box::new(socket));
        self.bound.insert(local, key);
        Ok(UdpHandle(key))
    }

    /// The address and port of a datagram socket.
    pub fn udp_local(&self, handle: UdpHandle) -> Option<SocketAddr> {
        self.udp_sockets.get(handle.0).map(|socket| socket.local)
    }

    /// Closes a datagram socket.
    pub fn close_udp(&mut self, handle: UdpHandle) {
        if let Some(socket) = self.udp_sockets.remove(handle.0) {
            self.bound.remove(&socket.local);
        }
    }

    /// Queues a datagram to `to`.
    pub fn send_datagram(
        &mut self,
        now: Instant,
        handle: UdpHandle,
        to: SocketAddr,
        payload: &[u8],
    ) -> Result<(), UdpSendError> {
        self.advance_clock(now);
        let local = self.udp_local(handle).ok_or(UdpSendError::Closed)?;
        let source = self.source_address(local.ip(), to.ip()).map_err(|_| UdpSendError::Unreachable)?;
        if to.port() == 0 || to.ip().is_unspecified() {
            return Err(UdpSendError::Unreachable);
        }
        let header = self.header(source, to.ip(), Protocol::UDP);
        if header.wire_len() + HEADER_LEN + payload.len() > usize::from(self.config.mtu) {
            return Err(UdpSendError::TooLong);
        }
        let datagram = Datagram { source_port: local.port(), destination_port: to.port(), payload };
        let queued = self.datagrams.push_packet(&header, |out| {
            datagram.emit(source, to.ip(), out);
            let source = SocketAddr::new(source, local.port());
            Transmit::whole(source, to, 0)
        });
        if queued { Ok(()) } else { Err(UdpSendError::Full) }
    }

    /// Takes the datagram that has waited longest.
    pub fn recv_datagram(&mut self, handle: UdpHandle) -> Option<ReceivedDatagram> {
        let socket = self.udp_sockets.get_mut(handle.0)?;
        let datagram = socket.queue.pop_front()?;
        socket.held -= datagram.payload.len() + OVERHEAD;
        if socket.queue.is_empty() {
            // Law 3: an idle socket holds no buffers.
            socket.queue = VecDeque::new();
        }
        Some(datagram)
    }

    /// Takes the last ICMP error about a datagram of this socket (RFC 1122 4.1.3.3). Earlier ones that were not taken are
    /// forgotten.
    pub fn take_datagram_error(&mut self, handle: UdpHandle) -> Option<DatagramError> {
        self.udp_sockets.get_mut(handle.0)?.error.take()
    }

    pub(super) fn report_datagram_error(&mut self, key: Key, error: DatagramError) {
        let Some(socket) = self.udp_sockets.get_mut(key) else { return };
        socket.error = Some(error);
        self.mark_datagram_news(key);
    }

    fn mark_datagram_news(&mut self, key: Key) {
        if let Some(socket) = self.udp_sockets.get_mut(key)
            && !core::mem::replace(&mut socket.news, true)
        {
            self.news.push_back(StackEvent::Datagram(UdpHandle(key)));
        }
    }

    pub(super) fn deliver_datagram(&mut self, key: Key, source: SocketAddr, destination: SocketAddr, payload: &[u8]) {
        let Some(socket) = self.udp_sockets.get_mut(key) else { return };
        let held = socket.held + payload.len() + OVERHEAD;
        if held > socket.config.recv_capacity {
            self.statistics.datagram_queue_full += 1;
            return;
        }
        self.statistics.datagrams += 1;
        socket.held = held;
        socket.queue.push_back(ReceivedDatagram { source, destination, payload: Bytes::copy_from_slice(payload) });
        self.mark_datagram_news(key);
    }
}
