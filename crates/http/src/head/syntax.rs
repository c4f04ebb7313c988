//! The character classes and small grammars of RFC 9110, section 5.6.

use crate::CommandError;

/// Bits of [`CLASS`].
const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
const HOST: u8 = 8;
const PLAIN_HOST: u8 = 16;

/// What each byte may be part of.
const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        // RFC 9110, 5.6.2: tchar.
        if alphanumeric
            || matches!(
                b,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            class[byte] |= TOKEN;
        }
        // RFC 9112, 3.2: no white space; RFC 9110, 7.1: no fragment. Visible ASCII that RFC 3986 would have encoded
        // is let through, because clients send it.
        if b.is_ascii_graphic() && b != b'#' {
            class[byte] |= TARGET;
        }
        // RFC 9110, 5.5: VCHAR, obs-text, SP and HTAB.
        if b.is_ascii_graphic() || b >= 0x80 || b == b' ' || b == b'\t' {
            class[byte] |= VALUE;
        }
        // RFC 3986, 3.2.2: reg-name is unreserved, pct-encoded and sub-delims.
        if alphanumeric
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            )
        {
            class[byte] |= HOST;
        }
        if alphanumeric || matches!(b, b'-' | b'.') {
            class[byte] |= PLAIN_HOST;
        }
        byte += 1;
    }
    class
}

const fn is(b: u8, class: u8) -> bool {
    CLASS[b as usize] & class != 0
}

pub(crate) const fn is_token(b: u8) -> bool {
    is(b, TOKEN)
}

pub(crate) const fn is_target(b: u8) -> bool {
    is(b, TARGET)
}

pub(crate) const fn is_value(b: u8) -> bool {
    is(b, VALUE)
}

/// Anything but what could end a line or a string.
pub(crate) const fn is_value_or_control(b: u8) -> bool {
    !matches!(b, 0 | b'\r' | b'\n')
}

pub(crate) const fn is_host(b: u8) -> bool {
    is(b, HOST)
}

/// How many bytes at the front are of a token.
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    // Letters and hyphens, of which field names are made, go on; everything else is looked up.
    run(bytes, is_token, |word| {
        let folded = word | (LOW * 0x20);
        let ascii = folded & !HIGH;
        // The high bits of bytes from `a` on, and of those behind `z`.
        let (from_a, behind_z) = (ascii + LOW * (0x80 - u64::from(b'a')), ascii + LOW * (0x7f - u64::from(b'z')));
        let hyphen = word ^ (LOW * u64::from(b'-'));
        let not_hyphen = ((hyphen & !HIGH) + !HIGH) | hyphen;
        ((!from_a | behind_z) & not_hyphen | word) & HIGH
    })
}

/// How many bytes at the front a field value may hold.
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    // A tab stops the run, since it lies among the controls.
    run(bytes, is_value, |word| below(word, 0x20) | equal(word, 0x7f))
}

/// How many bytes at the front a request target may hold.
pub(crate) fn target_len(bytes: &[u8]) -> usize {
    run(bytes, is_target, |word| below(word, 0x21) | equal(word, 0x7f) | equal(word, b'#') | (word & HIGH))
}

/// How many bytes at the front are letters, digits, hyphens and dots, as in most names of hosts.
pub(crate) fn host_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !is(*b, PLAIN_HOST)).unwrap_or(bytes.len())
}

const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// The high bit of the bytes that are below `limit`, which is at most 128, among them the first such byte, and no byte
/// in front of that.
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(LOW * u64::from(limit)) & !word & HIGH
}

/// The same for the bytes that equal `byte`.
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (LOW * u64::from(byte)), 1)
}

/// The length of the run of `class` at the front, eight bytes at a time. `stops` marks with its high bit each byte that
/// may end the run; `class` has the last word.
fn run(bytes: &[u8], class: fn(u8) -> bool, stops: impl Fn(u64) -> u64) -> usize {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let stops = stops(u64::from_le_bytes(*word));
        if stops == 0 {
            at += 8;
            continue;
        }
        at += (stops.trailing_zeros() / 8) as usize;
        if !bytes.get(at).is_some_and(|b| class(*b)) {
            return at;
        }
        at += 1;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !class(*b)).unwrap_or(rest.len())
}

/// Optional white space (RFC 9110, 5.6.3).
pub(crate) const fn is_ows(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

pub(crate) fn trim_ows(mut value: &[u8]) -> &[u8] {
    while let [b, rest @ ..] = value
        && is_ows(*b)
    {
        value = rest;
    }
    while let [rest @ .., b] = value
        && is_ows(*b)
    {
        value = rest;
    }
    value
}

/// The non-empty elements of a comma-separated list (RFC 9110, 5.6.1.2).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim_ows).filter(|element| !element.is_empty())
}

/// Refuses what would let a caller's data write a field line, a head or a message of its own.
pub(crate) fn check_field(name: &[u8], value: &[u8]) -> Result<(), CommandError> {
    if name.is_empty() || token_len(name) != name.len() {
        return Err(CommandError::InvalidFieldName);
    }
    if value_len(value) != value.len() {
        return Err(CommandError::InvalidFieldValue);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Every byte, at every place of some words, between bytes that go on.
    #[test]
    fn runs_of_eight_bytes_end_where_single_bytes_do() {
        for byte in 0..=255 {
            for at in 0..75 {
                for fill in [b'a', b'!', 0x7e] {
                    let mut bytes: Vec<u8> = [fill; 75].into();
                    bytes[at] = byte;
                    let end = |class: fn(u8) -> bool| bytes.iter().position(|b| !class(*b)).unwrap_or(75);
                    assert_eq!(value_len(&bytes), end(is_value), "{byte} at {at}");
                    assert_eq!(target_len(&bytes), end(is_target), "{byte} at {at}");
                    assert_eq!(token_len(&bytes), end(is_token), "{byte} at {at}");
                }
            }
        }
        assert_eq!(value_len(b"a\tb\xff c\t\t\x80\r"), 9);
    }
}
