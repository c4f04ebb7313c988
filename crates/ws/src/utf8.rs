//! UTF-8 that arrives in pieces.

use core::str;

/// From this length on the vectorised check is the faster one.
pub(crate) const LONG: usize = 64;

/// The bytes can be no part of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotUtf8;

/// Checks a whole string.
pub(crate) fn check(bytes: &[u8]) -> Result<&str, NotUtf8> {
    if bytes.len() < LONG {
        str::from_utf8(bytes).map_err(|_| NotUtf8)
    } else {
        simdutf8::basic::from_utf8(bytes).map_err(|_| NotUtf8)
    }
}

/// Checks a string piece by piece, and keeps the start of a character whose rest has yet to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf8Check {
    /// The start of a character: a valid prefix, never a whole one.
    partial: [u8; 4],
    /// How many bytes of `partial` there are: 0 to 3.
    len: usize,
}

impl Utf8Check {
    /// Takes the next piece and hands what is complete to `sink`, also what stands before a bad byte. Fails at the first byte after which nothing could
    /// make the string valid (RFC 6455, 8.1), which is as early as a peer can be told.
    pub(crate) fn push(&mut self, mut piece: &[u8], mut sink: impl FnMut(&str)) -> Result<(), NotUtf8> {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.partial[self.len] = byte;
            self.len += 1;
            match str::from_utf8(&self.partial[..self.len]) {
                Ok(character) => {
                    sink(character);
                    self.len = 0;
                }
                // No character has more than four bytes, so a valid prefix has at most three.
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(NotUtf8),
            }
        }
        let (whole, tail) = piece.split_at(piece.len() - open_tail(piece));
        match check(whole) {
            Ok("") => {}
            Ok(whole) => sink(whole),
            Err(NotUtf8) => {
                // What stands before the bad byte came before it, however the string is cut.
                let valid = whole.utf8_chunks().next().map_or("", |chunk| chunk.valid());
                if !valid.is_empty() {
                    sink(valid);
                }
                return Err(NotUtf8);
            }
        }
        if let Err(error) = str::from_utf8(tail) {
            if error.error_len().is_some() {
                return Err(NotUtf8);
            }
            self.partial[..tail.len()].copy_from_slice(tail);
            self.len = tail.len();
        }
        Ok(())
    }

    /// How many bytes of an unfinished character are kept.
    pub(crate) fn pending(&self) -> usize {
        self.len
    }
}

/// The length of what may be an unfinished character at the end of `bytes`: 0 to 3.
fn open_tail(bytes: &[u8]) -> usize {
    for (at, &byte) in bytes.iter().rev().take(3).enumerate() {
        let needs = match byte {
            0x00..=0x7f => return 0,
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        return if needs > at + 1 { at + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// The number of bytes after which the string is known to be bad, by the standard library alone.
    fn first_bad(bytes: &[u8]) -> Option<usize> {
        (1..=bytes.len()).find(|&n| str::from_utf8(&bytes[..n]).is_err_and(|error| error.error_len().is_some()))
    }

    fn run(pieces: &[&[u8]]) -> Result<(String, usize), NotUtf8> {
        let (mut check, mut text) = (Utf8Check::default(), String::new());
        for piece in pieces {
            check.push(piece, |s| text.push_str(s))?;
        }
        Ok((text, check.pending()))
    }

    fn agrees_with_the_standard_library(bytes: &[u8]) {
        let bad = first_bad(bytes);
        for split in 0..=bytes.len() {
            let (front, back) = bytes.split_at(split);
            let valid = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            match run(&[front, back]) {
                Ok((text, pending)) => {
                    assert_eq!(bad, None);
                    assert_eq!(text.as_bytes(), &bytes[..valid]);
                    assert_eq!(pending, bytes.len() - valid);
                }
                Err(NotUtf8) => assert!(bad.is_some()),
            }
            // The piece that holds the first bad byte is the one that fails.
            assert_eq!(run(&[front]).is_err(), bad.is_some_and(|bad| split >= bad));
        }
    }

    /// Every kind of boundary: ASCII, two, three and four byte characters, overlong forms, surrogates, the top of
    /// Unicode, stray continuations, and bytes that UTF-8 never has.
    fn unit() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            6 => any::<char>().prop_map(|c| String::from(c).into_bytes()),
            2 => "[a-z]{0,9}".prop_map(String::into_bytes),
            1 => prop::sample::select(vec![
                &[0x80][..], &[0xbf], &[0xc0, 0x80], &[0xc1, 0xbf], &[0xe0, 0x80, 0x80], &[0xe0, 0x9f], &[0xed, 0xa0],
                &[0xed, 0xbf, 0xbf], &[0xf0, 0x80], &[0xf0, 0x8f, 0xbf], &[0xf4, 0x90], &[0xf4, 0x8f, 0xbf], &[0xf5],
                &[0xff], &[0xfe], &[0xe2, 0x82], &[0xf0, 0x9f, 0x92], &[0xc3],
            ]).prop_map(Vec::from),
        ]
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(units in prop::collection::vec(unit(), 0..40)) {
            agrees_with_the_standard_library(&units.concat());
        }
    }

    #[test]
    fn every_sequence_of_two_bytes_agrees_and_of_four_at_the_edges() {
        for a in 0..=255 {
            for b in 0..=255 {
                agrees_with_the_standard_library(&[a, b]);
            }
        }
        let edges = [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
        for lead in 0xe0..=0xff {
            for second in edges {
                for third in edges {
                    for fourth in edges {
                        agrees_with_the_standard_library(&[lead, second, third, fourth]);
                    }
                }
            }
        }
    }
}
