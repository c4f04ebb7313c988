//! The TCP segment codec over raw bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use drywire::tcp::{Header, ParseError, Segment};

/// The first byte chooses the addresses and whether the checksum is made right; the rest is the segment.
pub fn run(data: &[u8]) {
    let Some((&mode, segment)) = data.split_first() else { return };
    let (source, destination): (IpAddr, IpAddr) = if mode & 1 == 0 {
        (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into())
    } else {
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
    };
    let mut bytes = segment.to_vec();
    if mode & 2 == 0
        && let Some(field) = bytes.get_mut(16..18)
    {
        field.fill(0);
        let sum = checksum(source, destination, &bytes);
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    }

    let parsed = Segment::parse(&bytes, source, destination);
    match parsed {
        // The plain sum agrees with the fast one.
        Err(ParseError::Checksum) => assert_ne!(checksum(source, destination, &bytes), 0),
        Err(ParseError::Truncated(len)) => assert!(len == bytes.len() && len < Header::MIN_LEN),
        Err(_) => {}
        Ok(segment) => {
            assert_eq!(checksum(source, destination, &bytes), 0);
            assert!(bytes.ends_with(segment.payload));
            // What was understood can be said, and is then understood in the same way.
            let mut out = BytesMut::new();
            segment.emit(source, destination, &mut out);
            assert!(out.len() <= Header::MAX_LEN + segment.payload.len());
            assert_eq!(Segment::parse(&out, source, destination), Ok(segment));
            assert!(!segment.to_string().contains('\n'));
        }
    }
}

/// RFC 1071 as it is written, two bytes at a time.
fn checksum(source: IpAddr, destination: IpAddr, segment: &[u8]) -> u16 {
    let mut bytes = vec![];
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend((segment.len() as u32).to_be_bytes());
    bytes.extend([0, 6]);
    bytes.extend(segment);
    let sum = bytes.chunks(2).fold(0u32, |sum, pair| {
        let sum = sum + u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        (sum & 0xffff) + (sum >> 16)
    });
    !(sum as u16)
}
