//! The field `Strict-Transport-Security` (RFC 6797, 6.1).

use super::{LONGEST, Policy};

/// Reads a value. `None` for one that does not conform, which is ignored (RFC 6797, 8.1).
pub(super) fn parse(value: &[u8]) -> Option<Policy> {
    let (mut max_age, mut include_subdomains) = (None, false);
    let mut seen: Vec<String> = Vec::new();
    let mut rest = std::str::from_utf8(value).ok()?;
    loop {
        let (directive, behind) = split_directive(rest)?;
        if let Some((name, value)) = directive {
            // RFC 6797, 6.1: a directive appears once, and its name is a token in any case of letters.
            let name = name.to_ascii_lowercase();
            if !is_token(&name) || seen.contains(&name) {
                return None;
            }
            match (&*name, value) {
                ("max-age", Some(value)) => max_age = Some(seconds(&value)?),
                ("includesubdomains", None) => include_subdomains = true,
                ("max-age" | "includesubdomains", _) => return None,
                // Unknown directives are ignored.
                _ => {}
            }
            seen.push(name);
        }
        match behind {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    Some(Policy { max_age: max_age?, include_subdomains })
}

/// A name and, behind `=`, a value.
type Directive<'a> = (&'a str, Option<String>);

/// Takes the text up to the next `;` apart, and gives what is behind that. The directive may be empty.
fn split_directive(text: &str) -> Option<(Option<Directive<'_>>, Option<&str>)> {
    let end = text.find(['=', ';']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let name = name.trim_matches([' ', '\t']);
    let Some(value) = rest.strip_prefix('=') else {
        let directive = (!name.is_empty()).then_some((name, None));
        return Some((directive, rest.strip_prefix(';')));
    };
    let value = value.trim_start_matches([' ', '\t']);
    let (value, rest) = if let Some(quoted) = value.strip_prefix('"') {
        unquote(quoted)?
    } else {
        let (value, rest) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
        let value = value.trim_end_matches([' ', '\t']);
        (Some(value).filter(|value| is_token(value))?.to_owned(), rest)
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    match rest.strip_prefix(';') {
        Some(rest) => Some((Some((name, Some(value))), Some(rest))),
        None => rest.is_empty().then_some((Some((name, Some(value))), None)),
    }
}

/// The content of a quoted string (RFC 9110, 5.6.4) whose opening quote is gone, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            _ => value.push(char),
        }
    }
    None
}

/// Digits alone. More than what fits, or than a thousand years, is a thousand years.
fn seconds(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX).min(LONGEST.as_secs()))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_age: u64, include_subdomains: bool) -> Policy {
        Policy { max_age, include_subdomains }
    }

    #[test]
    fn rfc6797_6_2_examples() {
        assert_eq!(parse(b"max-age=31536000"), Some(policy(31_536_000, false)));
        assert_eq!(parse(b"max-age=15768000 ; includeSubDomains"), Some(policy(15_768_000, true)));
        assert_eq!(parse(b"max-age=\"31536000\""), Some(policy(31_536_000, false)));
        assert_eq!(parse(b"max-age=0"), Some(policy(0, false)));
        assert_eq!(parse(b"max-age=0; includeSubDomains"), Some(policy(0, true)));
    }

    #[test]
    fn rfc6797_6_1_directives_come_in_any_order_and_case_and_unknown_ones_are_ignored() {
        assert_eq!(parse(b"INCLUDESUBDOMAINS;MAX-AGE=1"), Some(policy(1, true)));
        assert_eq!(parse(b" ; max-age = 1;; preload; x=\"a;\\\"b\" ;y=z;"), Some(policy(1, false)));
        assert_eq!(parse(b"max-age=99999999999999999999"), Some(policy(LONGEST.as_secs(), false)));
    }

    #[test]
    fn rfc6797_8_1_what_does_not_conform_is_ignored() {
        for value in [
            "",
            "includeSubDomains",
            "max-age",
            "max-age=",
            "max-age=-1",
            "max-age=1s",
            "max-age=\"1",
            "max-age=1; max-age=2",
            "max-age=1; includeSubDomains; includesubdomains",
            "max-age=1; includeSubDomains=yes",
            "max-age=1, includeSubDomains",
            "max-age=1 includeSubDomains",
            "max-age=\"1\" x",
            "max-age=1; a b",
            "max-age=1; =x",
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
        assert_eq!(parse(b"max-age=1; \xff"), None);
    }
}
