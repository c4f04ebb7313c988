//! What names a connection: two addresses and two ports (RFC 9293 3.3.1).

use core::net::{IpAddr, SocketAddr};

/// Both sockets of a connection. Flow labels and scopes of IPv6 socket addresses play no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FourTuple {
    local_ip: IpAddr,
    remote_ip: IpAddr,
    local_port: u16,
    remote_port: u16,
}

impl FourTuple {
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local_ip: local.ip(), remote_ip: remote.ip(), local_port: local.port(), remote_port: remote.port() }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        SocketAddr::new(self.local_ip, self.local_port)
    }

    pub(crate) fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_ip, self.remote_port)
    }

    /// The input of the keyed hashes.
    pub(crate) fn to_bytes(self) -> TupleBytes {
        let mut bytes = TupleBytes::default();
        bytes.push(&self.local_port.to_be_bytes());
        bytes.push(&self.remote_port.to_be_bytes());
        bytes.push_ip(self.local_ip);
        bytes.push_ip(self.remote_ip);
        bytes
    }
}

/// Up to 64 bytes of hash input, on the stack. What does not fit is left out.
#[derive(Clone, Copy)]
pub(crate) struct TupleBytes {
    bytes: [u8; 64],
    len: usize,
}

impl Default for TupleBytes {
    fn default() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }
}

impl TupleBytes {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + piece.len()) {
            room.copy_from_slice(piece);
            self.len += piece.len();
        }
    }

    pub(crate) fn push_ip(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.push(&address.octets()),
            IpAddr::V6(address) => self.push(&address.octets()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
