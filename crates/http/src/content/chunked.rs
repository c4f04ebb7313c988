//! The chunked transfer coding, decoded (RFC 9112, 7.1).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use drywire_core::RecvBuf;

use super::decode::{COPIED, Limits, Step, take};
use crate::head::scan::{self, Kind, Scanner};
use crate::head::{Known, syntax};
use crate::{Error, Lenient};

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The first digit of a size.
    Size,
    /// A further digit, white space, an extension or the line end.
    MoreSize,
    /// White space behind a size: only an extension may follow.
    BeforeExtension,
    /// The first byte of an extension's name, behind the semicolon.
    NameStart,
    Name,
    /// White space behind a name.
    BehindName,
    /// The first byte of an extension's value, behind the equals sign.
    ValueStart,
    Token,
    Quoted,
    /// The byte behind a backslash.
    QuotedPair,
    /// Behind the closing quote.
    Unquoted,
    /// White space behind a value: only a further extension may follow.
    BehindValue,
    /// Text that is not looked into.
    Any,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
}

/// A decoder that looks at every byte once.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    /// The size that is being read, then the bytes of data that are missing.
    size: u64,
    /// Bytes of the chunk line so far.
    line: usize,
    /// Bytes in all chunk lines so far that say nothing about a size: extensions, white space, leading zeros.
    padding: u64,
    /// Bytes that all sizes so far announced.
    announced: u64,
    /// For a trailer section that is not empty.
    trailers: Option<Box<Scanner>>,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { at: At::Size, size: 0, line: 0, padding: 0, announced: 0, trailers: None }
    }
}

impl Chunked {
    pub(crate) fn decode(&mut self, recv: &mut RecvBuf, limits: &Limits) -> Result<Step, Error> {
        if self.at == At::Size
            && let Some(content) = self.whole_chunks(recv, limits)
        {
            return Ok(Step::Content(content));
        }
        let mut used = 0;
        let mut judged = Ok(());
        while !matches!(self.at, At::Data | At::Trailers)
            && let Some(&byte) = recv.get(used)
        {
            judged = self.step(byte, limits);
            if judged.is_err() {
                break;
            }
            used += 1;
            if self.at == At::Size {
                // Behind a chunk that came in pieces, whole ones may follow.
                recv.skip(core::mem::take(&mut used));
                if let Some(content) = self.whole_chunks(recv, limits) {
                    return Ok(Step::Content(content));
                }
            }
        }
        recv.skip(used);
        judged?;
        match self.at {
            At::Data => {
                let step = take(&mut self.size, recv).map_or(Step::Blocked, Step::Content);
                if self.size == 0 {
                    self.at = At::DataCr;
                }
                Ok(step)
            }
            At::Trailers if self.trailers.is_none() && limits.trailers >= 2 && recv.starts_with(b"\r\n") => {
                recv.skip(2);
                Ok(Step::end())
            }
            At::Trailers => {
                let bounds = scan::Limits {
                    line: 0,
                    field_line: limits.trailers,
                    section: limits.trailers,
                    fields: limits.trailer_fields,
                    lenient: limits.lenient,
                };
                let scanner = self.trailers.get_or_insert_with(|| Box::new(Scanner::new(Kind::Trailers)));
                if !scanner.scan(recv, &bounds)? {
                    return Ok(Step::Blocked);
                }
                let mut trailers = scanner.take(recv);
                let dropped = trailers.drop_known(Known::is_forbidden_in_trailers);
                Ok(Step::End { trailers, dropped })
            }
            _ => Ok(Step::Blocked),
        }
    }

    /// Takes the small chunks that are here in whole, as long as there is nothing special about them, as one piece of
    /// memory of its own. All others are left to be taken byte by byte.
    fn whole_chunks(&mut self, recv: &mut RecvBuf, limits: &Limits) -> Option<Bytes> {
        let (mut len, mut rest) = (0, &recv[..]);
        while let Some((data, behind)) = small_chunk(rest, limits.chunk_line)
            && self.announced.saturating_add(data.len() as u64) <= limits.content
        {
            self.announced += data.len() as u64;
            len += data.len();
            rest = behind;
        }
        if len == 0 {
            return None;
        }
        let used = recv.len() - rest.len();
        // Measured first, so that not a byte more is allocated than is handed out.
        let (mut joined, mut chunks) = (Vec::with_capacity(len), &recv[..used]);
        while let Some((data, behind)) = small_chunk(chunks, limits.chunk_line) {
            joined.extend_from_slice(data);
            chunks = behind;
        }
        recv.skip(used);
        Some(joined.into())
    }

    /// Judges one byte of the framing around the data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<(), Error> {
        let behind_data = matches!(self.at, At::DataCr | At::DataLf);
        if !behind_data {
            self.line += 1;
            if self.line > limits.chunk_line {
                return Err(Error::ChunkExtensionsTooLong);
            }
        }
        if byte == b'\n' && limits.lenient.allows(Lenient::BARE_LF) && !matches!(self.at, At::SizeLf | At::DataLf) {
            self.at = self.next(b'\r', limits)?;
        }
        self.at = self.next(byte, limits)?;
        Ok(())
    }

    fn next(&mut self, byte: u8, limits: &Limits) -> Result<At, Error> {
        let lenient = limits.lenient;
        Ok(match (self.at, byte) {
            (At::Size | At::MoreSize, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if self.at == At::MoreSize && self.size == 0 {
                    self.pad(limits)?;
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // RFC 9112, 7.1: "Recipients MUST anticipate potentially large hexadecimal numerals".
                self.size = self.size.checked_mul(16).ok_or(Error::ChunkSizeOverflow)? | u64::from(digit);
                At::MoreSize
            }
            (At::MoreSize | At::Name | At::Token | At::Unquoted | At::Any, b'\r') => self.end_size(limits)?,
            (At::BeforeExtension | At::BehindName | At::BehindValue, b'\r')
                if lenient.allows(Lenient::SPACE_AFTER_CHUNK_SIZE) =>
            {
                self.end_size(limits)?
            }
            (At::Size | At::MoreSize, b'\n') => return Err(Error::BareLf),
            (At::MoreSize, b' ' | b'\t' | b';') => self.extension(byte, limits)?,
            (At::Size | At::MoreSize, _) => return Err(Error::InvalidChunkSize),
            (At::SizeLf, b'\n') => {
                self.line = 0;
                if self.size == 0 { At::Trailers } else { At::Data }
            }
            (At::SizeLf, _) => return Err(Error::BareCr),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::DataCr | At::DataLf, _) => return Err(Error::MissingChunkEnd),
            (At::Data | At::Trailers, _) => self.at,
            _ => self.extension(byte, limits)?,
        })
    }

    /// RFC 9112, 7.1.1: `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`. What extensions
    /// say is ignored, but they are bounded, and have to be ones.
    fn extension(&mut self, byte: u8, limits: &Limits) -> Result<At, Error> {
        self.pad(limits)?;
        let any = limits.lenient.allows(Lenient::ANY_CHUNK_EXTENSION);
        Ok(match (self.at, byte) {
            (_, b'\n') => return Err(Error::BareLf),
            // White space before the semicolon is bad, but has to be parsed.
            (At::MoreSize | At::BeforeExtension, b' ' | b'\t') => At::BeforeExtension,
            (At::MoreSize | At::BeforeExtension, b';') if any => At::Any,
            (At::Any, _) if syntax::is_value(byte) => At::Any,
            (At::MoreSize | At::BeforeExtension, b';') => At::NameStart,
            (At::BeforeExtension, _) => return Err(Error::InvalidChunkSize),
            (At::Name | At::BehindName | At::Token | At::Unquoted | At::BehindValue, b';') => At::NameStart,
            (At::Token | At::Unquoted | At::BehindValue, b' ' | b'\t') => At::BehindValue,
            (At::NameStart, b' ' | b'\t') => At::NameStart,
            (At::NameStart | At::Name, _) if syntax::is_token(byte) => At::Name,
            (At::Name | At::BehindName, b' ' | b'\t') => At::BehindName,
            (At::Name | At::BehindName, b'=') => At::ValueStart,
            (At::ValueStart, b' ' | b'\t') => At::ValueStart,
            (At::ValueStart, b'"') => At::Quoted,
            (At::ValueStart | At::Token, _) if syntax::is_token(byte) => At::Token,
            // RFC 9110, 5.6.4.
            (At::Quoted, b'"') => At::Unquoted,
            (At::Quoted, b'\\') => At::QuotedPair,
            (At::Quoted | At::QuotedPair, _) if syntax::is_value(byte) => At::Quoted,
            _ => return Err(Error::InvalidChunkExtension),
        })
    }

    /// Counts a byte that says nothing about a size.
    fn pad(&mut self, limits: &Limits) -> Result<(), Error> {
        self.padding += 1;
        let earned = (self.announced / 1024).saturating_mul(limits.chunk_extension_rate);
        if self.padding > limits.chunk_extensions.saturating_add(earned) {
            return Err(Error::ChunkExtensionsTooLong);
        }
        Ok(())
    }

    fn end_size(&mut self, limits: &Limits) -> Result<At, Error> {
        self.announced = self.announced.saturating_add(self.size);
        if self.announced > limits.content {
            return Err(Error::ContentTooLarge);
        }
        Ok(At::SizeLf)
    }
}

/// The data of a whole chunk of 1 to [`COPIED`] bytes, whose size has neither leading zeros nor extensions behind it and
/// whose line is no longer than `max_line`; and what follows the chunk.
fn small_chunk(bytes: &[u8], max_line: usize) -> Option<(&[u8], &[u8])> {
    let (mut size, mut len) = (0, 0);
    loop {
        let digit = match *bytes.get(len)? {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ (b'a'..=b'f' | b'A'..=b'F') => (digit | 0x20) - b'a' + 10,
            _ => break,
        };
        size = size << 4 | usize::from(digit);
        if size == 0 || size > COPIED {
            return None;
        }
        len += 1;
    }
    let behind_line = bytes.get(len..)?.strip_prefix(b"\r\n")?;
    let (data, [b'\r', b'\n', behind @ ..]) = behind_line.split_at_checked(size)? else { return None };
    (len > 0 && len + 2 <= max_line).then_some((data, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(input: &[u8], max: u64) -> (Vec<Bytes>, Result<(), Error>) {
        let limits = Limits {
            content: max,
            chunk_line: 16,
            chunk_extensions: 16,
            chunk_extension_rate: 0,
            trailers: 64,
            trailer_fields: 4,
            lenient: Lenient::NONE,
        };
        let (mut recv, mut decoder, mut pieces) = (RecvBuf::new(), Chunked::default(), Vec::new());
        recv.extend_from_slice(input);
        loop {
            match decoder.decode(&mut recv, &limits) {
                Ok(Step::Content(piece)) => pieces.push(piece),
                Ok(Step::End { .. } | Step::Blocked) => return (pieces, Ok(())),
                Err(error) => return (pieces, Err(error)),
            }
        }
    }

    #[test]
    fn small_chunks_come_as_one_piece_and_others_by_reference() {
        let (pieces, judged) =
            content(b"1\r\na\r\nB\r\n0123456789x\r\n02\r\nbc\r\n3;x\r\ndef\r\n2\r\ngh\r\n0\r\n\r\n", 99);
        assert_eq!(pieces, ["a0123456789x", "bc", "def", "gh"]);
        assert_eq!(judged, Ok(()));
    }

    #[test]
    fn what_is_right_in_front_of_a_fault_comes_first() {
        for (input, error) in [
            (&b"2\r\nab\r\n1\r\nc\r\n3\r\ndef\r\n"[..], Error::ContentTooLarge),
            (b"2\r\nab\r\n1\r\nc\r\nx", Error::InvalidChunkSize),
            (b"2\r\nab\r\n1\r\nc\r\n1\n", Error::BareLf),
            (b"2\r\nab\r\n1\r\nc\r\n00000000000000001\r\n", Error::ChunkExtensionsTooLong),
        ] {
            let (pieces, judged) = content(input, 5);
            assert_eq!((pieces.concat(), judged), (b"abc".to_vec(), Err(error)));
        }
        // The data is not followed by a line end.
        assert_eq!(content(b"2\r\nab\r\n1\r\ncd\r\n", 5).1, Err(Error::MissingChunkEnd));
    }
}
