//! The segment codec: RFC 9293 3.1 and 3.2, RFC 7323, RFC 2018.

use std::net::IpAddr;

use bytes::BytesMut;
use drywire_tcp::{Flags, Header, Options, ParseError, SackBlocks, Segment, SeqNumber, Timestamps};
use proptest::prelude::*;

fn addresses(ipv6: bool) -> [IpAddr; 2] {
    let texts = if ipv6 { ["2001:db8::1", "2001:db8::2"] } else { ["192.0.2.1", "198.51.100.2"] };
    texts.map(|text| text.parse().unwrap())
}

/// The checksum as RFC 1071 writes it down, two bytes at a time.
fn plain_checksum([source, destination]: [IpAddr; 2], segment: &[u8]) -> u16 {
    let mut bytes = vec![];
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => bytes.extend(address.octets()),
            IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    bytes.extend([0, 6]);
    bytes.extend((segment.len() as u32).to_be_bytes());
    bytes.extend(segment);
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A segment whose option part is `options`, with a right checksum.
fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    bytes.extend(options);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes[12] = (bytes.len() as u8 / 4) << 4;
    with_checksum(bytes)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[16..18].fill(0);
    let sum = plain_checksum(addresses(false), &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Segment<'_>, ParseError> {
    let [source, destination] = addresses(false);
    Segment::parse(bytes, source, destination)
}

fn options() -> impl Strategy<Value = Options> {
    let sack = prop::collection::vec((any::<u32>(), any::<u32>()), 0..=4);
    let timestamps = prop::option::of((any::<u32>(), any::<u32>()));
    (any::<Option<u16>>(), any::<Option<u8>>(), any::<bool>(), sack, timestamps).prop_map(
        |(mss, window_scale, sack_permitted, blocks, timestamps)| {
            let mut sack = SackBlocks::new();
            // Beside the options of a SYN there is room for one block, beside timestamps for three.
            let room = if mss.is_some() || window_scale.is_some() || sack_permitted { 1 } else { 3 };
            for (left, right) in blocks.into_iter().take(if timestamps.is_some() { room } else { room + 1 }) {
                assert!(sack.push(left.into(), right.into()));
            }
            let timestamps = timestamps.map(|(value, echo)| Timestamps { value, echo });
            Options { mss, window_scale, sack_permitted, sack, timestamps }
        },
    )
}

fn header() -> impl Strategy<Value = Header> {
    let ports = (any::<u16>(), any::<u16>());
    let numbers = (any::<u32>(), any::<u32>(), any::<u8>(), any::<u16>(), any::<u16>());
    (ports, numbers, options()).prop_map(
        |((source_port, destination_port), (seq, ack, flags, window, urgent), options)| {
            let flags = Flags::from_bits(flags);
            Header { source_port, destination_port, seq: seq.into(), ack: ack.into(), flags, window, urgent, options }
        },
    )
}

proptest! {
    #[test]
    fn rfc_9293_3_1_what_is_emitted_is_parsed(
        header in header(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
        before in prop::collection::vec(any::<u8>(), 0..9),
        ipv6 in any::<bool>(),
    ) {
        let [source, destination] = addresses(ipv6);
        let segment = Segment { header, payload: &payload };
        let mut out = BytesMut::from(&before[..]);
        segment.emit(source, destination, &mut out);
        let wire = &out[before.len()..];
        prop_assert_eq!(wire.len(), header.wire_len() + payload.len());
        prop_assert!(wire.len() - payload.len() <= Header::MAX_LEN);
        prop_assert_eq!(plain_checksum([source, destination], wire), 0);
        prop_assert_eq!(Segment::parse(wire, source, destination), Ok(segment));
        prop_assert!(!segment.to_string().contains('\n'));
    }

    #[test]
    fn law_5_no_bytes_make_parse_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..80), words in 0..16u8) {
        let _ = parse(&bytes);
        if bytes.len() >= 20 {
            bytes[12] = words << 4;
            if let Ok(segment) = parse(&with_checksum(bytes)) {
                // What was understood can be said again.
                let [source, destination] = addresses(false);
                let mut out = BytesMut::new();
                segment.emit(source, destination, &mut out);
                let _ = segment.to_string();
                prop_assert_eq!(parse(&out), Ok(segment));
            }
        }
    }

    #[test]
    fn rfc_9293_3_1_any_flipped_bit_breaks_the_checksum(header in header(), bit in any::<prop::sample::Index>()) {
        let [source, destination] = addresses(false);
        let mut out = BytesMut::new();
        Segment { header, payload: b"payload" }.emit(source, destination, &mut out);
        let bit = bit.index(out.len() * 8);
        out[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(matches!(parse(&out), Err(ParseError::Checksum | ParseError::DataOffset(_))));
    }
}

#[test]
fn rfc_9293_3_1_the_addresses_are_part_of_the_checksum() {
    let [source, destination] = addresses(false);
    let mut out = BytesMut::new();
    Segment { header: Header::default(), payload: b"" }.emit(source, destination, &mut out);
    let stranger = "192.0.2.77".parse().unwrap();
    assert_eq!(Segment::parse(&out, stranger, destination), Err(ParseError::Checksum));
    assert_eq!(Segment::parse(&out, source, addresses(true)[0]), Err(ParseError::AddressFamilies));
}

#[test]
fn rfc_9293_3_1_short_segments_and_wrong_offsets_are_refused() {
    for len in 0..20 {
        assert_eq!(parse(&vec![0; len]), Err(ParseError::Truncated(len)));
    }
    for words in [0, 4, 6, 15] {
        let mut bytes = vec![0; 20];
        bytes[12] = words << 4;
        assert_eq!(parse(&with_checksum(bytes)), Err(ParseError::DataOffset(words)));
    }
}

#[test]
fn rfc_9293_3_1_reserved_bits_are_ignored() {
    let mut bytes = with_options(&[]);
    bytes[12] |= 0x0f;
    assert!(parse(&with_checksum(bytes)).is_ok());
}

#[test]
fn rfc_9293_3_2_unknown_options_are_skipped_by_their_length() {
    let bytes = with_options(&[1, 254, 6, 0xaa, 0xbb, 0xcc, 0xdd, 1, 2, 4, 0x05, 0xb4]);
    assert_eq!(parse(&bytes).unwrap().header.options, Options { mss: Some(1460), ..Options::default() });
}

#[test]
fn rfc_9293_3_2_nothing_behind_the_end_of_the_list_counts() {
    let bytes = with_options(&[0, 2, 4, 0x05, 0xb4]);
    assert_eq!(parse(&bytes).unwrap().header.options, Options::default());
}

#[test]
fn rfc_9293_3_2_illegal_option_lengths_are_refused() {
    for (bytes, kind, len) in [
        (&[254, 0, 0, 0][..], 254, 0),
        (&[254, 1, 0, 0], 254, 1),
        (&[254, 5, 0, 0], 254, 5),
        (&[1, 1, 1, 254], 254, 0),
        (&[2, 3, 0, 0], 2, 3),
        (&[3, 4, 0, 0], 3, 4),
        (&[4, 3, 0, 0], 4, 3),
        (&[5, 2, 0, 0], 5, 2),
        (&[5, 4, 0, 0], 5, 4),
        (&[8, 4, 0, 0], 8, 4),
    ] {
        assert_eq!(parse(&with_options(bytes)), Err(ParseError::OptionLength { kind, len }));
    }
}

#[test]
fn rfc_2018_3_blocks_that_do_not_fit_are_left_out_from_the_end() {
    let mut sack = SackBlocks::new();
    for n in 0..4 {
        assert!(sack.push(SeqNumber::new(n * 10), SeqNumber::new(n * 10 + 5)));
    }
    assert!(!sack.push(SeqNumber::new(50), SeqNumber::new(55)));
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let header = Header { options: Options { sack, timestamps, ..Options::default() }, ..Header::default() };
    assert_eq!(header.wire_len(), 20 + 12 + 28);
    let [source, destination] = addresses(false);
    let mut out = BytesMut::new();
    Segment { header, payload: b"" }.emit(source, destination, &mut out);
    assert_eq!(parse(&out).unwrap().header.options.sack.as_slice(), &sack.as_slice()[..3]);
}

#[test]
fn display_is_one_readable_line() {
    let mut sack = SackBlocks::new();
    sack.push(SeqNumber::new(10), SeqNumber::new(20));
    sack.push(SeqNumber::new(30), SeqNumber::new(40));
    let header = Header {
        seq: SeqNumber::new(7),
        ack: SeqNumber::new(8),
        flags: Flags::ACK | Flags::URG,
        window: 9,
        urgent: 1,
        options: Options { sack, sack_permitted: true, ..Options::default() },
        ..Header::default()
    };
    let line = Segment { header, payload: b"abc" }.to_string();
    assert_eq!(line, "ACK,URG seq=7 ack=8 win=9 len=3 urg=1 <sackOK,sack 10-20 30-40>");
    let nothing = Segment { header: Header::default(), payload: b"" };
    assert_eq!(nothing.to_string(), "- seq=0 win=0 len=0");
}

#[test]
fn options_stand_in_linux_order_each_on_a_word_boundary() {
    let timestamps = Some(Timestamps { value: 1, echo: 2 });
    let full =
        Options { mss: Some(1460), window_scale: Some(7), sack_permitted: true, timestamps, ..Options::default() };
    let wire = |options: Options| {
        let [source, destination] = addresses(false);
        let mut out = BytesMut::new();
        let header = Header { flags: Flags::SYN, options, ..Header::default() };
        Segment { header, payload: b"" }.emit(source, destination, &mut out);
        out[20..].to_vec()
    };
    assert_eq!(wire(full), [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7]);
    assert_eq!(wire(Options { timestamps: None, ..full }), [2, 4, 5, 180, 1, 1, 4, 2, 1, 3, 3, 7]);
    let bare = Options { mss: None, window_scale: None, sack_permitted: false, ..full };
    assert_eq!(wire(bare), [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    let mut sack = SackBlocks::new();
    sack.push(SeqNumber::new(3), SeqNumber::new(4));
    let selective = Options { sack, timestamps: None, ..bare };
    assert_eq!(wire(selective), [1, 1, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4]);
}
