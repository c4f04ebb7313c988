//! The field `Sec-WebSocket-Extensions` (RFC 6455, 9.1) and what permessage-deflate says in it (RFC 7692, 7.1).

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::{fmt, str};

use super::{Parameters, WindowBits};
use crate::handshake::{is_tchar, is_token};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The field is not of the form that RFC 6455, 9.1 gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One element of the field: an extension with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Extension<'a> {
    name: &'a [u8],
    parameters: Vec<Parameter<'a>>,
}

/// A name, often with a value.
type Parameter<'a> = (&'a [u8], Option<Cow<'a, [u8]>>);

/// Reads one field value: `1#( token *( ";" token [ "=" ( token / quoted-string ) ] ) )`.
pub(crate) fn parse(value: &[u8]) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut rest = Scanner(value);
    let mut extensions = Vec::new();
    loop {
        // RFC 9110, 5.6.1.2: a recipient takes empty elements.
        rest.skip_space();
        if rest.0.is_empty() {
            return Ok(extensions);
        }
        if rest.take(b',') {
            continue;
        }
        let mut extension = Extension { name: rest.token()?, parameters: Vec::new() };
        while rest.take(b';') {
            let name = rest.token()?;
            let value = if rest.take(b'=') { Some(rest.value()?) } else { None };
            extension.parameters.push((name, value));
        }
        extensions.push(extension);
        if !rest.0.is_empty() && !rest.take(b',') {
            return Err(Malformed);
        }
    }
}

/// What is left to read.
struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes `byte` and the space around it.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let Some(rest) = self.0.strip_prefix(&[byte]) else { return false };
        self.0 = rest;
        self.skip_space();
        true
    }

    fn token(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.0.iter().position(|&byte| !is_tchar(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// "When using the quoted-string syntax variant, the value after quoted-string unescaping MUST conform to the
    /// 'token' ABNF."
    fn value(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let Some(mut quoted) = self.0.strip_prefix(b"\"") else { return self.token().map(Cow::Borrowed) };
        let mut value = Vec::new();
        loop {
            match quoted {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return if is_token(&value) { Ok(Cow::Owned(value)) } else { Err(Malformed) };
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    value.push(*byte);
                    quoted = rest;
                }
                [] => return Err(Malformed),
            }
        }
    }
}

/// One occurrence of permessage-deflate, in a request or in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stated {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// In a request it may stand without a value, which is as good as 15.
    client_max_window_bits: Option<WindowBits>,
}

/// What makes an occurrence unacceptable (7.1): a parameter that is not defined for it, that comes twice, or whose
/// value is not valid.
struct Unacceptable;

impl Stated {
    fn read(extension: &Extension<'_>, in_offer: bool) -> Result<Self, Unacceptable> {
        let mut stated = Self::default();
        let flag = |flag: &mut bool, value: Option<&[u8]>| {
            if value.is_some() || core::mem::replace(flag, true) { Err(Unacceptable) } else { Ok(()) }
        };
        let window = |bits: &mut Option<WindowBits>, value: Option<&[u8]>, without: Option<WindowBits>| {
            let value = match value {
                Some(value) => window_bits(value),
                None => without,
            };
            if bits.replace(value.ok_or(Unacceptable)?).is_some() { Err(Unacceptable) } else { Ok(()) }
        };
        for (name, value) in &extension.parameters {
            let value = value.as_deref();
            match str::from_utf8(name).unwrap_or_default() {
                SERVER_NO_CONTEXT_TAKEOVER => flag(&mut stated.server_no_context_takeover, value)?,
                CLIENT_NO_CONTEXT_TAKEOVER => flag(&mut stated.client_no_context_takeover, value)?,
                SERVER_MAX_WINDOW_BITS => window(&mut stated.server_max_window_bits, value, None)?,
                CLIENT_MAX_WINDOW_BITS => {
                    // 7.1.2.2: only "in an extension negotiation offer" may it be without a value.
                    window(&mut stated.client_max_window_bits, value, in_offer.then_some(WindowBits::MAX))?;
                }
                _ => return Err(Unacceptable),
            }
        }
        Ok(stated)
    }
}

/// 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &[u8]) -> Option<WindowBits> {
    match value {
        [digit @ b'8'..=b'9'] => WindowBits::new(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => WindowBits::new(10 + digit - b'0'),
        _ => None,
    }
}

/// The server's part: the first acceptable one of a client's offers under the server's `wishes`, with the answer that
/// accepts it.
pub(crate) fn accept(offers: &[Extension<'_>], wishes: Parameters) -> Option<(Parameters, Answer)> {
    offers.iter().filter(|offer| offer.name == NAME.as_bytes()).find_map(|offer| {
        let offer = Stated::read(offer, true).ok()?;
        let mut agreed = wishes;
        // 7.1.1.1: who is asked to do without it does, and says so.
        agreed.server_no_context_takeover |= offer.server_no_context_takeover;
        // 7.1.1.2: a client that says it will do without it is taken at its word.
        agreed.client_no_context_takeover |= offer.client_no_context_takeover;
        // 7.1.2.1: "with the same or smaller value as the offer".
        agreed.server_max_window_bits =
            agreed.server_max_window_bits.min(offer.server_max_window_bits.unwrap_or(WindowBits::MAX));
        // 7.1.2.2: without it in the offer the answer must not have it, and the client may use all 15.
        agreed.client_max_window_bits =
            offer.client_max_window_bits.map_or(WindowBits::MAX, |bits| bits.min(agreed.client_max_window_bits));
        let answer = Answer { parameters: agreed, server_max_window_bits: offer.server_max_window_bits.is_some() };
        Some((agreed, answer))
    })
}

/// What a server answers.
pub(crate) struct Answer {
    parameters: Parameters,
    /// Whether to name the server's window even if it is the largest: an offer that names it wants that.
    server_max_window_bits: bool,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parameters(f, self.parameters, self.server_max_window_bits)
    }
}

/// What a client offers: it always says that it can limit its window.
pub(crate) struct OfferedParameters(pub(crate) Parameters);

impl fmt::Display for OfferedParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parameters(f, self.0, false)?;
        if self.0.client_max_window_bits == WindowBits::MAX {
            write!(f, "; {CLIENT_MAX_WINDOW_BITS}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Parameters {
    /// As in `Sec-WebSocket-Extensions`, without what applies anyway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_parameters(f, *self, false)
    }
}

fn write_parameters(f: &mut fmt::Formatter<'_>, parameters: Parameters, server_window: bool) -> fmt::Result {
    f.write_str(NAME)?;
    if parameters.server_no_context_takeover {
        write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
    }
    if parameters.client_no_context_takeover {
        write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
    }
    if server_window || parameters.server_max_window_bits < WindowBits::MAX {
        write!(f, "; {SERVER_MAX_WINDOW_BITS}={}", parameters.server_max_window_bits)?;
    }
    if parameters.client_max_window_bits < WindowBits::MAX {
        write!(f, "; {CLIENT_MAX_WINDOW_BITS}={}", parameters.client_max_window_bits)?;
    }
    Ok(())
}

/// The client's part: what the server's answer to `offered` agrees on; `None` for an answer that does not fit it.
pub(crate) fn confirm(answer: &Extension<'_>, offered: Parameters) -> Option<Parameters> {
    if answer.name != NAME.as_bytes() {
        return None;
    }
    let answer = Stated::read(answer, false).ok()?;
    // 7.1.1.1: an offer with it is accepted only with it.
    if offered.server_no_context_takeover && !answer.server_no_context_takeover {
        return None;
    }
    // 7.1.2.1: likewise, and with the same value or a smaller one.
    let server_max_window_bits = answer.server_max_window_bits.unwrap_or(WindowBits::MAX);
    // 7.1.2.2: a limit that was offered may only be lowered.
    let client_max_window_bits = answer.client_max_window_bits.unwrap_or(offered.client_max_window_bits);
    if server_max_window_bits > offered.server_max_window_bits
        || client_max_window_bits > offered.client_max_window_bits
    {
        return None;
    }
    let mut agreed = offered;
    agreed.server_no_context_takeover = answer.server_no_context_takeover;
    // What was offered is kept without an answer to it, as 7.1.1.2 lets the client decide.
    agreed.client_no_context_takeover |= answer.client_no_context_takeover;
    agreed.server_max_window_bits = server_max_window_bits;
    agreed.client_max_window_bits = client_max_window_bits;
    Some(agreed)
}

#[cfg(all(test, feature = "deflate"))]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;

    fn accepted(offers: &str, wishes: Parameters) -> Option<String> {
        accept(&parse(offers.as_bytes()).expect("well formed"), wishes).map(|(_, answer)| answer.to_string())
    }

    #[track_caller]
    fn answers(offers: &str, expected: Option<&str>) {
        assert_eq!(accepted(offers, Parameters::default()).as_deref(), expected, "{offers}");
    }

    #[test]
    fn rfc6455_9_1_the_field_is_a_list_of_extensions_with_parameters() {
        let parsed = parse(b" , a ; b=c;d=\"e\\f\" ;g,, h").unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].name, b"a");
        let parameters: Vec<_> = parsed[0].parameters.iter().map(|(name, value)| (*name, value.as_deref())).collect();
        assert_eq!(parameters, [(&b"b"[..], Some(&b"c"[..])), (b"d", Some(b"ef")), (b"g", None)]);
        assert_eq!((parsed[1].name, parsed[1].parameters.len()), (&b"h"[..], 0));
        assert_eq!(parse(b""), Ok(Vec::new()));
        for malformed in [
            "a b",
            "a;",
            ";",
            "a;=1",
            "a;b=",
            "a;b=\"",
            "a;b=\"c",
            "a;b=\"\"",
            "a;b=\"c d\"",
            "a;b=\"c\"d",
            "a=b",
            "(",
            "a;b=\"\\",
            "a;b=c d",
        ] {
            assert_eq!(parse(malformed.as_bytes()), Err(Malformed), "{malformed}");
        }
    }

    #[test]
    fn rfc7692_7_1_offers_with_what_is_not_defined_are_declined() {
        answers("permessage-deflate", Some("permessage-deflate"));
        for parameters in [
            "unknown",
            "server_no_context_takeover=1",
            "client_no_context_takeover=true",
            "server_no_context_takeover; server_no_context_takeover",
            "client_no_context_takeover; client_no_context_takeover",
            "server_max_window_bits",
            "server_max_window_bits=10; server_max_window_bits=10",
            "client_max_window_bits; client_max_window_bits",
            "SERVER_NO_CONTEXT_TAKEOVER",
        ] {
            answers(&alloc::format!("permessage-deflate; {parameters}"), None);
        }
        answers("permessage-bzip2, x-webkit-deflate-frame", None);
        answers("", None);
    }

    #[test]
    fn rfc7692_7_1_2_window_bits_are_8_to_15_without_a_leading_zero() {
        for bits in ["8", "9", "10", "15", "\"12\""] {
            let expected = alloc::format!("permessage-deflate; server_max_window_bits={}", bits.trim_matches('"'));
            answers(&alloc::format!("permessage-deflate; server_max_window_bits={bits}"), Some(&expected));
        }
        for bits in ["0", "7", "16", "08", "015", "1", "+9", "9.0", "a", "100", "18446744073709551624"] {
            answers(&alloc::format!("permessage-deflate; server_max_window_bits={bits}"), None);
            answers(&alloc::format!("permessage-deflate; client_max_window_bits={bits}"), None);
        }
    }

    #[test]
    fn rfc7692_5_1_the_first_acceptable_offer_wins() {
        answers(
            "x, permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9, \
             permessage-deflate",
            Some("permessage-deflate; server_max_window_bits=9"),
        );
    }

    #[test]
    fn rfc7692_7_1_1_takeover_is_given_up_by_either_end() {
        answers(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        );
        let answer = accepted("permessage-deflate", Parameters::no_context_takeover());
        let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(answer.as_deref(), Some(expected));
    }

    #[test]
    fn rfc7692_7_1_2_2_the_clients_window_is_limited_only_if_it_offers_so() {
        let wishes = Parameters { client_max_window_bits: WindowBits(10), ..Parameters::default() };
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10"),
            ("permessage-deflate; client_max_window_bits=12", "permessage-deflate; client_max_window_bits=10"),
            ("permessage-deflate; client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9"),
        ] {
            assert_eq!(accepted(offer, wishes).as_deref(), Some(expected), "{offer}");
        }
    }

    #[test]
    fn rfc7692_7_1_an_answer_must_fit_the_offer() {
        let confirmed = |answer: &str, offered: Parameters| {
            confirm(&parse(answer.as_bytes()).expect("well formed")[0], offered).map(|agreed| agreed.to_string())
        };
        let mut narrow = Parameters::no_context_takeover();
        (narrow.server_max_window_bits, narrow.client_max_window_bits) = (WindowBits(10), WindowBits(11));
        for (offered, answer, agreed) in [
            (Parameters::default(), "permessage-deflate", Some("permessage-deflate")),
            (
                Parameters::default(),
                "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
                Some("permessage-deflate; server_max_window_bits=9; client_max_window_bits=8"),
            ),
            (Parameters::default(), "permessage-deflate; client_max_window_bits", None),
            (Parameters::default(), "permessage-deflate; unknown", None),
            (Parameters::default(), "permessage-bzip2", None),
            (narrow, "permessage-deflate", None),
            (narrow, "permessage-deflate; server_no_context_takeover", None),
            (narrow, "permessage-deflate; server_max_window_bits=10", None),
            (narrow, "permessage-deflate; server_no_context_takeover; server_max_window_bits=11", None),
            (
                narrow,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=12",
                None,
            ),
            (
                narrow,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
                Some(
                    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                     server_max_window_bits=10; client_max_window_bits=11",
                ),
            ),
        ] {
            assert_eq!(confirmed(answer, offered).as_deref(), agreed, "{answer} to {offered}");
        }
    }

    #[test]
    fn an_offer_says_that_the_client_can_limit_its_window() {
        let offer = |parameters| OfferedParameters(parameters).to_string();
        assert_eq!(offer(Parameters::default()), "permessage-deflate; client_max_window_bits");
        let mut narrow = Parameters::no_context_takeover();
        narrow.client_max_window_bits = WindowBits(9);
        assert_eq!(
            offer(narrow),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9"
        );
    }
}
