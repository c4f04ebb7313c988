//! RFC 6455, 5.2 to 5.7: the frame header, masking, and the examples of the RFC.

mod common;

use common::*;
use drywire_ws::{Error, Event, FrameHeader, Opcode, ProtocolError, mask};

fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
    FrameHeader::parse(bytes)
}

/// A server refuses `frame` for `rule`, at the last of the bytes and at none before, and says so with 1002.
#[track_caller]
fn refused(frame: &[u8], rule: ProtocolError) {
    let mut server = End::server();
    assert_eq!(server.receive(frame), Err(Error::Protocol(rule)));
    assert_eq!(farewell(&mut server), Some(1002));
    for n in 0..frame.len() {
        let mut server = End::server();
        let early = server.receive(&frame[..n]);
        assert!(early == Ok(vec![]) || early == Err(Error::Protocol(rule)), "{n} bytes: {early:?}");
    }
}

#[test]
fn rfc6455_5_7_single_unmasked_text() {
    let wire = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(End::client().receive(&wire).unwrap(), [text("Hello")]);
    let mut server = End::server();
    server.machine.send_text("Hello").unwrap();
    assert_eq!(server.sent(), wire);
}

#[test]
fn rfc6455_5_7_single_masked_text() {
    let wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(End::server().receive(&wire).unwrap(), [text("Hello")]);
}

#[test]
fn rfc6455_5_7_fragmented_unmasked_text() {
    let wire = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(End::client().receive(&wire).unwrap(), [text("Hello")]);
}

#[test]
fn rfc6455_5_7_ping_and_its_masked_pong() {
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    let mut client = End::client();
    assert_eq!(client.receive(&ping).unwrap(), [Event::Ping("Hello".into())]);
    let sent = client.sent_frames();
    assert_eq!((sent[0].opcode, sent[0].masked, &sent[0].payload[..]), (Opcode::Pong, true, &b"Hello"[..]));
    assert_eq!(End::server().receive(&pong).unwrap(), [Event::Pong("Hello".into())]);
}

#[test]
fn rfc6455_5_7_binary_of_256_bytes_and_of_64_kib() {
    for (len, head) in [(256, &[0x82, 0x7e, 0x01, 0x00][..]), (65_536, &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0])] {
        let payload = vec![0x5a; len];
        let wire = [head, &payload].concat();
        assert_eq!(End::client().receive(&wire).unwrap(), [binary(&payload)]);
        let mut server = End::server();
        server.machine.send_binary(payload).unwrap();
        assert_eq!(server.sent(), wire);
    }
}

#[test]
fn rfc6455_5_2_every_length_takes_its_shortest_form() {
    for (len, size) in
        [(0, 2), (1, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), ((1 << 63) - 1, 10), (1 << 32, 10)]
    {
        for key in [None, Some(KEY)] {
            let header =
                FrameHeader { fin: true, compressed: false, opcode: Opcode::Binary, mask: key, payload_len: len };
            let wire = header.encode();
            let size = size + if key.is_some() { 4 } else { 0 };
            assert_eq!(wire.len(), size);
            assert_eq!(parse(&wire), Ok(Some((header, size))));
            // Bytes behind the header do not matter, and bytes that are missing do.
            assert_eq!(parse(&[&wire[..], &[0xff; 8]].concat()), Ok(Some((header, size))));
            for n in 0..size {
                assert_eq!(parse(&wire[..n]), Ok(None));
            }
        }
    }
}

#[test]
fn rfc6455_5_2_a_length_in_a_longer_form_is_refused() {
    for short in [0u16, 1, 125] {
        refused(&[&[BINARY, 0xfe][..], &short.to_be_bytes()].concat(), ProtocolError::LengthNotMinimal);
    }
    for medium in [0u64, 125, 126, 65_535] {
        refused(&[&[BINARY, 0xff][..], &medium.to_be_bytes()].concat(), ProtocolError::LengthNotMinimal);
    }
}

#[test]
fn rfc6455_5_2_the_most_significant_bit_of_a_64_bit_length_must_be_0() {
    refused(&[&[BINARY, 0xff][..], &(1u64 << 63).to_be_bytes()].concat(), ProtocolError::LengthOverflow);
    refused(&[&[BINARY, 0xff][..], &u64::MAX.to_be_bytes()].concat(), ProtocolError::LengthOverflow);
}

#[test]
fn rfc6455_5_2_reserved_bits_must_be_0() {
    for bits in 1..8u8 {
        refused(&masked(TEXT | bits << 4, b"x"), ProtocolError::ReservedBits);
    }
}

#[test]
fn rfc6455_5_2_reserved_opcodes_are_refused() {
    for bits in (0x3..=0x7).chain(0xb..=0xf) {
        refused(&masked(0x80 | bits, b""), ProtocolError::ReservedOpcode(bits));
    }
}

#[test]
fn rfc6455_5_5_control_frames_must_not_be_fragmented() {
    for opcode in [0x8, 0x9, 0xa] {
        refused(&masked(opcode, b""), ProtocolError::FragmentedControl);
    }
}

#[test]
fn rfc6455_5_5_control_frames_have_at_most_125_bytes() {
    for opcode in [CLOSE, PING, PONG] {
        refused(&masked(opcode, &[b'x'; 126]), ProtocolError::ControlTooLong);
    }
    assert_eq!(End::server().receive(&masked(PING, &[b'x'; 125])).unwrap().len(), 1);
}

#[test]
fn rfc6455_5_1_a_server_refuses_a_frame_without_a_mask() {
    for first in [TEXT, BINARY, PING, PONG, CLOSE] {
        refused(&plain(first, b""), ProtocolError::NotMasked);
    }
}

#[test]
fn rfc6455_5_1_a_client_refuses_a_frame_with_a_mask() {
    for first in [TEXT, BINARY, PING, PONG, CLOSE] {
        let mut client = End::client();
        assert_eq!(client.receive(&masked(first, b"")), Err(Error::Protocol(ProtocolError::Masked)));
        assert_eq!(farewell(&mut client), Some(1002));
    }
}

#[test]
fn rfc6455_5_3_every_frame_of_a_client_has_a_fresh_key() {
    let mut client = End::client();
    let mut keys = Vec::new();
    for _ in 0..100 {
        client.machine.send_binary(vec![0; 4]).unwrap();
        // Masked zeros are the key.
        keys.push(client.sent()[6..].to_vec());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 100);
}

#[test]
fn rfc6455_5_3_masking_twice_gives_the_payload_back() {
    for len in 0..100 {
        let payload: Vec<u8> = (0..len).collect();
        let mut bytes = payload.clone();
        mask(KEY, 2, &mut bytes);
        mask(KEY, 2, &mut bytes);
        assert_eq!(bytes, payload);
    }
}

#[test]
fn headers_print_as_one_line() {
    let header =
        FrameHeader { fin: false, compressed: false, opcode: Opcode::Continuation, mask: None, payload_len: 70_000 };
    assert_eq!(header.to_string(), "CONTINUATION len=70000");
    let header = FrameHeader { fin: true, compressed: false, opcode: Opcode::Ping, mask: Some(KEY), payload_len: 0 };
    assert_eq!(header.to_string(), "PING FIN masked len=0");
}
