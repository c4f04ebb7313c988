//! The character classes and small grammars of RFC 9110, section 5.6.

use crate::CommandError;

/// Bits of [`CLASS`].
const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
const HOST: u8 = 8;

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
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return Err(CommandError::InvalidFieldName);
    }
    if !value.iter().all(|b| is_value(*b)) {
        return Err(CommandError::InvalidFieldValue);
    }
    Ok(())
}
