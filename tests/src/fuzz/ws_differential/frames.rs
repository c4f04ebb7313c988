//! Frames by plan: mostly good ones, so that what comes behind them is looked at too.

use drywire::ws::{Role, mask};

use super::super::input::Input;

const TEXTS: [&[u8]; 8] = [
    b"plain",
    "κόσμε".as_bytes(),
    "日本語 € 𐍈".as_bytes(),
    "\u{10ffff}\u{d7ff}\u{e000}".as_bytes(),
    // Each wrong in its own way: a surrogate, an overlong form, a stray byte, beyond the last character.
    b"ok \xed\xa0\x80",
    b"\xc0\xaf",
    b"\xce\xba\x80\xe1",
    b"\xf4\x90\x80\x80",
];

const CODES: [u16; 16] =
    [1000, 1001, 1003, 1007, 1012, 1014, 3000, 4999, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000];

/// The bytes of frames for a reader of this role, until the input is used up.
pub fn frames(input: &mut Input<'_>, reader: Role) -> Vec<u8> {
    let mut wire = Vec::new();
    while !input.is_empty() {
        let kind = input.byte();
        let first = match kind & 15 {
            0 | 1 => 0x81,
            2 => 0x82,
            3 | 4 => 0x01,
            5 => 0x02,
            6 | 7 => 0x00,
            8 | 9 => 0x80,
            10 => 0x89,
            11 => 0x8a,
            12 => 0x88,
            13 => 0x82,
            14 => input.byte(),
            _ => 0x81 ^ 1 << (input.byte() & 7),
        };
        let payload = payload(input, first == 0x88);
        frame(&mut wire, first, kind >> 4, &payload, input, reader);
    }
    wire
}

fn frame(wire: &mut Vec<u8>, first: u8, form: u8, payload: &[u8], input: &mut Input<'_>, reader: Role) {
    let masked = (reader == Role::Server) ^ (form == 14);
    let mask_bit = u8::from(masked) << 7;
    let len = payload.len();
    wire.push(first);
    match (form, len) {
        (15, _) => {
            // Announced and not sent: whatever follows is its payload.
            wire.push(mask_bit | 0x7f);
            wire.extend_from_slice(&input.big_endian(8).to_be_bytes());
        }
        (13, _) | (_, 0x1_0000..) => {
            wire.push(mask_bit | 0x7f);
            wire.extend_from_slice(&(len as u64).to_be_bytes());
        }
        (12, _) | (_, 126..) => {
            wire.push(mask_bit | 0x7e);
            wire.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => wire.push(mask_bit | len as u8),
    }
    let key = [0x37, 0xfa, 0x21, len as u8];
    if masked {
        wire.extend_from_slice(&key);
    }
    let start = wire.len();
    wire.extend_from_slice(payload);
    if masked {
        mask(key, 0, &mut wire[start..]);
    }
}

fn payload(input: &mut Input<'_>, close: bool) -> Vec<u8> {
    let choice = if close { 7 } else { input.byte() };
    let text = |input: &mut Input<'_>| TEXTS[usize::from(input.byte() % 8)];
    match choice % 8 {
        0 => Vec::new(),
        1 => {
            let len = usize::from(input.byte() % 130);
            input.bytes(len).to_vec()
        }
        2 => text(input).to_vec(),
        // The two parts of a character come in different frames, or only one of them does.
        3 => {
            let text = text(input);
            text[..usize::from(input.byte()) % (text.len() + 1)].to_vec()
        }
        4 => {
            let text = text(input);
            text[usize::from(input.byte()) % (text.len() + 1)..].to_vec()
        }
        5 => vec![b'x'; input.number() % 3500],
        6 => [TEXTS[usize::from(input.byte() % 4)], b"x"].concat().repeat(usize::from(input.byte() % 40)),
        _ => match input.byte() {
            0 => Vec::new(),
            1 => vec![3],
            byte @ 2..=127 => {
                let code = CODES[usize::from(byte % 16)].to_be_bytes();
                [&code[..], TEXTS[usize::from(byte / 16 % 8)]].concat()
            }
            byte @ 128..=250 => CODES[usize::from(byte % 16)].to_be_bytes().to_vec(),
            _ => input.bytes(2).to_vec(),
        },
    }
}
