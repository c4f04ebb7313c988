//! The IP headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use drywire_tcp::ip::{Ecn, Header, Packet, ParseError, Protocol};
use proptest::prelude::*;

const V4: Header = Header {
    source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    protocol: Protocol::TCP,
    hop_limit: 64,
    ecn: Ecn::Ect0,
};

const V6: Header = Header {
    source: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    destination: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)),
    ..V4
};

fn emitted(header: &Header, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    header.emit(payload, &mut out);
    out.to_vec()
}

/// An IPv4 packet with these options, its length and checksum made right.
fn with_options(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = emitted(&V4, &[options, payload].concat());
    bytes[0] = 0x40 | (5 + options.len() / 4) as u8;
    fix_checksum(&mut bytes);
    bytes
}

fn fix_checksum(bytes: &mut [u8]) {
    let len = usize::from(bytes[0] & 15) * 4;
    bytes[10..12].fill(0);
    let sum: u32 = bytes[..len].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    bytes[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// An IPv6 packet whose payload begins with extension headers, the first of kind `next`.
fn extended(next: u8, payload: &[u8]) -> Vec<u8> {
    emitted(&Header { protocol: Protocol(next), ..V6 }, payload)
}

proptest! {
    #[test]
    fn what_is_emitted_is_parsed(
        ipv6: bool, hop_limit: u8, ecn in 0..4u8, protocol in prop::sample::select(vec![6u8, 17, 1, 58, 50, 255]),
        payload in prop::collection::vec(any::<u8>(), 0..2000), padding in 0..20usize,
    ) {
        let family = if ipv6 { V6 } else { V4 };
        let header = Header { hop_limit, ecn: Ecn::from_bits(ecn), protocol: Protocol(protocol), ..family };
        let mut wire = emitted(&header, &payload);
        prop_assert_eq!(wire.len(), header.wire_len() + payload.len());
        // RFC 894: an Ethernet frame may be longer than the packet in it.
        wire.resize(wire.len() + padding, 0xaa);
        prop_assert_eq!(Packet::parse(&wire), Ok(Packet { header, payload: &payload }));
        let short = wire.len() - padding - 1;
        prop_assert!(Packet::parse(&wire[..short]).is_err());
    }

    #[test]
    fn law_5_no_bytes_make_parse_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), version in 3..8u8, fix: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | (*first & 15);
        }
        if fix && version == 4 && bytes.len() >= 60 && bytes[0] & 15 >= 5 {
            bytes[2..4].copy_from_slice(&[0, 60]);
            bytes[6..8].fill(0);
            fix_checksum(&mut bytes);
        }
        let _ = Packet::parse(&bytes);
    }

    #[test]
    fn rfc_1122_3_2_1_2_any_flipped_bit_of_an_ipv4_header_is_noticed(bit in 0..160usize) {
        let mut wire = emitted(&V4, b"payload");
        wire[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Packet::parse(&wire).is_err());
    }
}

#[test]
fn rfc_791_3_1_options_are_skipped_and_source_routes_refused() {
    let timestamp = [7, 7, 4, 0, 0, 0, 0, 0];
    let packet = with_options(&timestamp, b"payload");
    assert_eq!(Packet::parse(&packet).unwrap().payload, b"payload");
    // No operation, then the end of the list, behind which nothing counts.
    assert!(Packet::parse(&with_options(&[1, 1, 0, 131], b"")).is_ok());
    for refused in [[131, 4, 4, 0], [1, 137, 3, 0], [7, 1, 0, 0], [7, 0, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7]] {
        assert_eq!(Packet::parse(&with_options(&refused, b"")), Err(ParseError::Options), "{refused:?}");
    }
}

#[test]
fn rfc_791_3_2_fragments_are_refused() {
    for (bytes, is_fragment) in
        [([0x40, 0], false), ([0, 0], false), ([0x20, 0], true), ([0, 1], true), ([0x1f, 0xff], true)]
    {
        let mut wire = emitted(&V4, b"payload");
        wire[6..8].copy_from_slice(&bytes);
        fix_checksum(&mut wire);
        assert_eq!(Packet::parse(&wire) == Err(ParseError::Fragment), is_fragment);
    }
}

#[test]
fn rfc_791_3_1_lengths_are_checked() {
    let mut wire = emitted(&V4, b"payload");
    wire[0] = 0x44;
    assert_eq!(Packet::parse(&wire), Err(ParseError::HeaderLength));
    // A total length that ends within the header.
    let mut wire = emitted(&V4, b"payload");
    wire[2..4].copy_from_slice(&[0, 19]);
    assert_eq!(Packet::parse(&wire), Err(ParseError::HeaderLength));
    assert_eq!(Packet::parse(&[]), Err(ParseError::Truncated));
    assert_eq!(Packet::parse(&[0x50; 60]), Err(ParseError::Version(5)));
}

#[test]
fn rfc_1122_3_2_1_3_a_source_is_neither_multicast_nor_broadcast() {
    for source in [Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::BROADCAST] {
        let wire = emitted(&Header { source: source.into(), ..V4 }, b"");
        assert_eq!(Packet::parse(&wire), Err(ParseError::Source));
    }
    let source = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into();
    assert_eq!(Packet::parse(&emitted(&Header { source, ..V6 }, b"")), Err(ParseError::Source));
}

#[test]
fn rfc_8200_4_extension_headers_are_skipped() {
    // Hop-by-hop with padding, destination options with one that may be skipped, a whole packet in a fragment header.
    let chain = [[60, 0, 1, 4, 0, 0, 0, 0], [44, 0, 0x1e, 4, 9, 9, 9, 9], [6, 0, 0, 0, 1, 2, 3, 4]].concat();
    let wire = extended(0, &[&chain[..], b"payload"].concat());
    let packet = Packet::parse(&wire).unwrap();
    assert_eq!((packet.header.protocol, packet.payload), (Protocol::TCP, &b"payload"[..]));
    // A route that has been travelled to its end.
    assert!(Packet::parse(&extended(43, &[6, 0, 4, 0, 0, 0, 0, 0])).is_ok());
}

#[test]
fn rfc_8200_4_what_must_not_be_skipped_is_refused() {
    let cases: [(u8, &[u8], ParseError); 7] = [
        (43, &[6, 0, 0, 1, 0, 0, 0, 0], ParseError::Options),
        (60, &[6, 0, 0xc2, 4, 0, 0, 0, 0], ParseError::Options),
        (60, &[6, 0, 0x1e, 5, 0, 0, 0, 0], ParseError::Options),
        (44, &[6, 0, 0, 1, 0, 0, 0, 0], ParseError::Fragment),
        (44, &[6, 0, 0, 8, 0, 0, 0, 0], ParseError::Fragment),
        (0, &[6, 1, 1, 4, 0, 0, 0, 0], ParseError::Truncated),
        (0, &[6], ParseError::Truncated),
    ];
    for (next, payload, error) in cases {
        assert_eq!(Packet::parse(&extended(next, payload)), Err(error), "{next} {payload:?}");
    }
    // A chain without end.
    assert_eq!(Packet::parse(&extended(0, &[0; 200])), Err(ParseError::Options));
}

#[test]
fn rfc_3168_5_the_codepoint_is_carried() {
    for bits in 0..4 {
        for family in [V4, V6] {
            let header = Header { ecn: Ecn::from_bits(bits), ..family };
            let wire = emitted(&header, b"");
            assert_eq!(Packet::parse(&wire).unwrap().header.ecn.bits(), bits);
        }
    }
}
