//! The datagram codec (RFC 768).

use core::net::{IpAddr, SocketAddr};

use bytes::{BufMut, BytesMut};

use crate::ip::Protocol;
use crate::segment::{Checksum, checksum};

pub(crate) const HEADER_LEN: usize = 8;

/// A datagram: its ports and the payload behind them, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram<'a> {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a datagram; `None` if it is cut off or its checksum is wrong.
    pub(crate) fn parse(bytes: &'a [u8], source: IpAddr, destination: IpAddr, checksum: Checksum) -> Option<Self> {
        let [s0, s1, d0, d1, l0, l1, c0, c1] = *bytes.first_chunk()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let bytes = bytes.get(..len)?;
        let payload = bytes.get(HEADER_LEN..)?;
        // RFC 768: zero means none. RFC 8200 8.1: with IPv6 there must be one.
        let is_right = match (c0, c1) {
            _ if checksum == Checksum::Verified => true,
            (0, 0) => source.is_ipv4(),
            _ => checksum::transport(source, destination, Protocol::UDP, bytes) == 0,
        };
        if !is_right {
            return None;
        }
        let (source_port, destination_port) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        Some(Self { source_port, destination_port, payload })
    }

    /// Appends the datagram.
    pub(crate) fn emit(&self, source: IpAddr, destination: IpAddr, out: &mut BytesMut) {
        let start = out.len();
        out.put_u16(self.source_port);
        out.put_u16(self.destination_port);
        out.put_u16((HEADER_LEN + self.payload.len()) as u16);
        out.put_u16(0);
        out.put_slice(self.payload);
        let sum = checksum::transport(source, destination, Protocol::UDP, &out[start..]);
        // RFC 768: a sum of zero is sent as its other form.
        let sum = if sum == 0 { 0xffff } else { sum };
        out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Both sockets of a datagram.
pub(crate) fn sockets(datagram: &Datagram<'_>, source: IpAddr, destination: IpAddr) -> (SocketAddr, SocketAddr) {
    (SocketAddr::new(source, datagram.source_port), SocketAddr::new(destination, datagram.destination_port))
}
