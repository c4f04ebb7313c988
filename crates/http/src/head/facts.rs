//! What the fields of a head say about framing and persistence (RFC 9112, 6 and 9.3).

use super::request::RequestFacts;
use super::response::ResponseFacts;
use super::{Fields, Known, Version, syntax, target};
use crate::{Error, Lenient};

/// How the end of a message's content is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What all fields together say.
#[derive(Default)]
struct Gathered {
    hosts: u32,
    content_length: Option<u64>,
    transfer_encoding: Option<Codings>,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade: bool,
    expects_continue: bool,
    trailers: bool,
}

/// The transfer codings of all lines, in order.
#[derive(Clone, Copy, Default)]
struct Codings {
    chunked: u32,
    last_is_chunked: bool,
    others: u32,
}

impl Gathered {
    fn new(fields: &Fields) -> Result<Self, Error> {
        let mut gathered = Self::default();
        for (known, value) in fields.known() {
            match known {
                Known::Host => {
                    gathered.hosts += 1;
                    if !target::is_host_and_port(value) {
                        return Err(Error::InvalidHost);
                    }
                }
                Known::ContentLength => gathered.content_length = Some(content_length(gathered.content_length, value)?),
                Known::TransferEncoding => {
                    let codings = gathered.transfer_encoding.get_or_insert_default();
                    codings.add(value)?;
                }
                Known::Connection => {
                    for option in syntax::elements(value) {
                        gathered.close |= option.eq_ignore_ascii_case(b"close");
                        gathered.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                        gathered.upgrade_option |= option.eq_ignore_ascii_case(b"upgrade");
                    }
                }
                Known::Upgrade => gathered.upgrade |= syntax::elements(value).next().is_some(),
                Known::Expect => {
                    gathered.expects_continue |=
                        syntax::elements(value).any(|element| element.eq_ignore_ascii_case(b"100-continue"));
                }
                Known::Te => {
                    gathered.trailers |=
                        syntax::elements(value).any(|element| element.eq_ignore_ascii_case(b"trailers"));
                }
                _ => {}
            }
        }
        if let Some(codings) = gathered.transfer_encoding
            && codings.chunked + codings.others == 0
        {
            return Err(Error::InvalidTransferEncoding);
        }
        Ok(gathered)
    }

    /// RFC 9112, 9.3: `close` wins; 1.1 persists by default, 1.0 if asked to.
    fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether the content is chunked; the rules that requests and responses share.
    fn is_chunked(&self, version: Version) -> Result<bool, Error> {
        let Some(codings) = self.transfer_encoding else { return Ok(false) };
        // RFC 9112, 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header
        // field MUST treat the message as if the framing is faulty".
        if version == Version::Http10 {
            return Err(Error::TransferEncodingInHttp10);
        }
        codings.judge()?;
        Ok(true)
    }
}

impl Codings {
    fn add(&mut self, value: &[u8]) -> Result<(), Error> {
        for coding in syntax::elements(value) {
            // RFC 9112, 7: `chunked` has no parameters, and no other coding is known here, so none needs parsing.
            let name = coding.split(|b| matches!(b, b';' | b' ' | b'\t')).next().unwrap_or_default();
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            if name.is_empty() || !name.iter().all(|b| syntax::is_token(*b)) || (is_chunked && name != coding) {
                return Err(Error::InvalidTransferEncoding);
            }
            self.last_is_chunked = is_chunked;
            if is_chunked {
                self.chunked += 1;
            } else {
                self.others += 1;
            }
        }
        Ok(())
    }

    fn judge(self) -> Result<(), Error> {
        // RFC 9112, 6.1: chunked is the final coding and applied once; 6.3: a request whose final coding is another
        // one has no reliable length. A response could end with the close, but nothing here asks for such codings.
        if self.chunked != 1 || !self.last_is_chunked {
            return Err(Error::ChunkedNotFinal);
        }
        // RFC 9112, 6.1: "A server that receives a request message with a transfer coding it does not understand
        // SHOULD respond with 501".
        if self.others > 0 {
            return Err(Error::UnknownTransferCoding);
        }
        Ok(())
    }
}

/// RFC 9110, 8.6: digits; the same number repeated, in one line or several, may be taken as one.
fn content_length(mut known: Option<u64>, value: &[u8]) -> Result<u64, Error> {
    for element in value.split(|b| *b == b',').map(syntax::trim_ows) {
        let mut length = 0u64;
        for digit in element {
            if !digit.is_ascii_digit() {
                return Err(Error::InvalidContentLength);
            }
            length = length
                .checked_mul(10)
                .and_then(|length| length.checked_add(u64::from(digit - b'0')))
                .ok_or(Error::InvalidContentLength)?;
        }
        if element.is_empty() {
            return Err(Error::InvalidContentLength);
        }
        if known.is_some_and(|known| known != length) {
            return Err(Error::ConflictingContentLength);
        }
        known = Some(length);
    }
    known.ok_or(Error::InvalidContentLength)
}

pub(crate) fn of_request(
    fields: &Fields,
    version: Version,
    lenient: Lenient,
) -> Result<(RequestFacts, Framing), Error> {
    let gathered = Gathered::new(fields)?;
    let mut keep_alive = gathered.persists(version);
    // RFC 9112, 3.2: 400 to any 1.1 request without Host and to any request with more than one.
    match gathered.hosts {
        0 if version == Version::Http11 && !lenient.allows(Lenient::MISSING_HOST) => return Err(Error::MissingHost),
        0 | 1 => {}
        _ => return Err(Error::DuplicateHost),
    }
    let framing = match (gathered.is_chunked(version)?, gathered.content_length) {
        // RFC 9112, 6.3: such a message "might indicate an attempt to perform request smuggling"; a server that
        // processes it "MUST close the connection after responding".
        (true, Some(_)) if lenient.allows(Lenient::BOTH_FRAMINGS) => {
            keep_alive = false;
            Framing::Chunked
        }
        (true, Some(_)) => return Err(Error::TransferEncodingWithContentLength),
        (true, None) => Framing::Chunked,
        // RFC 9112, 6.3: a request without either has no content.
        (false, length) => Framing::Length(length.unwrap_or(0)),
    };
    let facts = RequestFacts {
        keep_alive,
        // RFC 9110, 10.1.4: trailers reach a client for certain only where it says that it keeps them.
        accepts_trailers: gathered.trailers && version == Version::Http11,
        // RFC 9110, 10.1.1: ignored in HTTP/1.0, and moot without content.
        expects_continue: gathered.expects_continue && version == Version::Http11 && framing != Framing::Length(0),
        // RFC 9110, 7.8: ignored in HTTP/1.0 and without the connection option.
        offers_upgrade: gathered.upgrade && gathered.upgrade_option && version == Version::Http11,
        content_length: gathered.content_length,
    };
    Ok((facts, framing))
}

/// For a response whose request and status allow content.
pub(crate) fn of_response(fields: &Fields, version: Version) -> Result<(ResponseFacts, Framing), Error> {
    let gathered = Gathered::new(fields)?;
    let mut keep_alive = gathered.persists(version);
    let framing = match (gathered.is_chunked(version)?, gathered.content_length) {
        (true, length) => {
            // RFC 9112, 6.3: chunked overrides the length; the connection is not to be trusted behind it.
            keep_alive &= length.is_none();
            Framing::Chunked
        }
        (false, Some(length)) => Framing::Length(length),
        (false, None) => Framing::UntilClose,
    };
    Ok((ResponseFacts { keep_alive, content_length: gathered.content_length }, framing))
}
