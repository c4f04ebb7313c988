//! The one scanner for request heads, response heads and trailer sections.
//!
//! It looks at every byte once and keeps its place between calls, so a head that drips in costs what a whole one does
//! (law 2), and it raises an error at the first byte that breaks a rule, so how the input was cut does not show (law 1)
//! and garbage is answered without waiting for a line end.

use alloc::vec::Vec;

use drywire_core::RecvBuf;

use super::request::RequestLine;
use super::response::StatusLine;
use super::spans::COPIED;
use super::{Fields, Known, Span, Spans, TargetForm, Version, syntax, target};
use crate::{Error, Lenient};

/// No section is larger, whatever is configured, so that offsets fit 32 bits.
pub(crate) const MAX_SECTION: usize = 1 << 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Trailers,
}

/// Limits on one section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of the start line without its line end.
    pub(crate) line: usize,
    /// Bytes of one field line without its line end.
    pub(crate) field_line: usize,
    /// Bytes of the whole section.
    pub(crate) section: usize,
    /// Field lines.
    pub(crate) fields: usize,
    pub(crate) lenient: Lenient,
}

/// What the next byte is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Method,
    Target,
    /// The byte at this index of `HTTP/d.d`.
    Version(u8),
    /// The space behind the version of a response.
    StatusSpace,
    /// The digit at this index of the status.
    Status(u8),
    /// The space in front of the reason, or the line end.
    ReasonSpace,
    Reason,
    /// The CR of the request line.
    LineCr,
    /// The LF of the start line.
    LineLf,
    /// The first byte of a field line or of the empty line.
    LineStart,
    Name,
    /// White space behind a name, where that is overlooked.
    NameEnd,
    /// White space in front of a value.
    ValueStart,
    Value,
    ValueLf,
    /// The LF of the empty line.
    EndLf,
    /// A CR stood where no line may end: with an LF behind it this is the error, else the CR was bare.
    WrongEnd(Error),
    Done,
}

impl At {
    fn first(kind: Kind) -> Self {
        match kind {
            Kind::Request => Self::Method,
            Kind::Response => Self::Version(0),
            Kind::Trailers => Self::LineStart,
        }
    }

    /// Whether a CR came right before.
    fn is_behind_cr(self) -> bool {
        matches!(self, Self::LineLf | Self::ValueLf | Self::EndLf | Self::WrongEnd(_))
    }
}

/// An incremental scanner over the front of a receive buffer.
#[derive(Debug)]
pub(crate) struct Scanner {
    kind: Kind,
    at: At,
    /// The next byte to look at; everything before it has been judged.
    pos: usize,
    /// Bytes looked at so far, those that were looked at twice included.
    #[cfg(test)]
    pub(crate) work: usize,
    /// Where the part that is being scanned began.
    mark: usize,
    /// Where the field line began.
    line_start: usize,
    /// Where this line's share of a value began: behind `mark` in a folded value.
    line_mark: usize,
    /// Bytes that may be looked at in this part.
    limit: usize,
    /// Behind the value's last byte that is not white space.
    value_end: usize,
    name: (usize, usize),
    target: (usize, usize),
    method_len: usize,
    form: Option<TargetForm>,
    major: u8,
    version: Version,
    status: u16,
    reason_len: usize,
    spans: Spans,
    /// Line ends inside folded values, to be overwritten with spaces.
    folds: Vec<(usize, usize)>,
}

/// Offsets are below [`MAX_SECTION`].
fn offset(n: usize) -> u32 {
    n as u32
}

/// The error for a byte that does not belong where it stands.
fn wrong(byte: u8, otherwise: Error) -> Error {
    match byte {
        b'\n' => Error::BareLf,
        0 => Error::Nul,
        _ => otherwise,
    }
}

impl Scanner {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: At::first(kind),
            pos: 0,
            #[cfg(test)]
            work: 0,
            mark: 0,
            line_start: 0,
            line_mark: 0,
            limit: 0,
            value_end: 0,
            name: (0, 0),
            target: (0, 0),
            method_len: 0,
            form: None,
            major: 0,
            version: Version::Http11,
            status: 0,
            reason_len: 0,
            spans: Spans::default(),
            folds: Vec::new(),
        }
    }

    /// Takes what is new of a value that does not end yet, as nearly all of a head that drips in is. `false` where
    /// there is more to it, which [`scan`](Self::scan) then goes on with.
    #[inline]
    pub(crate) fn value_goes_on(&mut self, bytes: &[u8]) -> bool {
        let Some(new) = bytes.get(self.pos..) else { return false };
        if self.at != At::Value || bytes.len() >= self.limit {
            return false;
        }
        let run = match new {
            [byte] => usize::from(syntax::is_value(*byte)),
            _ => syntax::value_len(new),
        };
        self.count(run + 1);
        self.pos += run;
        run == new.len()
    }

    /// Goes on over `bytes`, which begin where they began in the call before. `true` once the section is complete.
    pub(crate) fn scan(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Error> {
        while self.at != At::Done {
            if self.at == At::Method && self.pos == 0 {
                self.whole_request_line(bytes, limits);
            }
            if self.at == At::LineStart {
                self.whole_lines(bytes, limits);
                if self.at == At::Done {
                    break;
                }
            }
            let (limit, error) = self.limit(limits);
            self.limit = limit;
            let open = bytes.get(..limit).unwrap_or(bytes);
            let rest = open.get(self.pos..).unwrap_or_default();
            let run = match self.at {
                At::Method | At::Name => syntax::token_len(rest),
                At::Target => syntax::target_len(rest),
                At::Value if limits.lenient.allows(Lenient::CONTROLS_IN_VALUES) => {
                    rest.iter().take_while(|b| syntax::is_value_or_control(**b)).count()
                }
                At::Reason | At::Value => syntax::value_len(rest),
                At::NameEnd | At::ValueStart => rest.iter().take_while(|b| syntax::is_ows(**b)).count(),
                _ => 0,
            };
            self.count(run + 1);
            self.pos += run;
            let Some(&byte) = open.get(self.pos) else {
                return if bytes.len() > limit { Err(error) } else { Ok(false) };
            };
            if self.at == At::ValueStart {
                (self.mark, self.line_mark, self.value_end) = (self.pos, self.pos, self.pos);
                self.at = At::Value;
                continue;
            }
            if byte == b'\n' && limits.lenient.allows(Lenient::BARE_LF) && !self.at.is_behind_cr() {
                self.at = self.next(bytes, b'\r', limits)?;
            }
            self.at = self.next(bytes, byte, limits)?;
            self.pos += 1;
        }
        Ok(true)
    }

    pub(crate) fn request_line(&self) -> RequestLine {
        RequestLine {
            method_len: offset(self.method_len),
            target: offset(self.target.0),
            target_len: offset(self.target.1 - self.target.0),
            // Set for every request line that passed.
            form: self.form.unwrap_or(TargetForm::Origin),
            version: self.version,
        }
    }

    pub(crate) fn status_line(&self) -> StatusLine {
        StatusLine { version: self.version, status: self.status, reason_len: offset(self.reason_len) }
    }

    /// The section's fields as a piece of their own; makes ready for the next section.
    pub(crate) fn take(&mut self, recv: &mut RecvBuf) -> Fields {
        let len = core::mem::take(&mut self.pos);
        // Assigned in one place each, so that nothing is moved.
        let fields;
        if !self.folds.is_empty() {
            let mut bytes = recv.take_mut(len);
            for fold in core::mem::take(&mut self.folds) {
                // RFC 9112, 5.2: each fold is replaced with spaces.
                if let Some(line_end) = bytes.get_mut(fold.0..fold.1) {
                    line_end.fill(b' ');
                }
            }
            fields = self.spans.of(bytes.freeze());
        } else if len <= COPIED {
            fields = self.spans.of_copy(recv.get(..len).unwrap_or_default());
            recv.skip(len);
        } else {
            fields = self.spans.of(recv.take(len));
        }
        self.spans.clear();
        self.at = At::first(self.kind);
        (self.form, self.status, self.reason_len) = (None, 0, 0);
        fields
    }

    /// Bytes that may be looked at in this part, and the error behind them.
    fn limit(&self, limits: &Limits) -> (usize, Error) {
        let section = limits.section.min(MAX_SECTION);
        match (self.kind, self.at) {
            (Kind::Trailers, _) => (section, Error::TrailersTooLarge),
            // The CR behind the version may stand one further.
            (Kind::Request, At::Method | At::Target | At::Version(_)) if limits.line < section => {
                (limits.line, Error::RequestLineTooLong)
            }
            (_, At::Name | At::NameEnd | At::ValueStart | At::Value)
                if self.line_start.saturating_add(limits.field_line) < section =>
            {
                // One more for the CR.
                (self.line_start + limits.field_line + 1, Error::FieldLineTooLong)
            }
            _ => (section, Error::HeadTooLarge),
        }
    }

    /// Takes note of bytes that were looked at.
    #[cfg(test)]
    fn count(&mut self, bytes: usize) {
        self.work += bytes;
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "only tests count")]
    const fn count(&self, _bytes: usize) {}

    /// Takes a request line that is here in whole and breaks no rule. With any other one it does nothing, and byte by
    /// byte its fault is found.
    fn whole_request_line(&mut self, bytes: &[u8], limits: &Limits) {
        // Nearly all requests, told apart without a loop.
        let method_len = match bytes {
            [b'G', b'E', b'T', b' ', ..] => 3,
            [b'P', b'O', b'S', b'T', b' ', ..] => 4,
            _ => syntax::token_len(bytes),
        };
        let target_start = method_len + 1;
        let Some(rest) = bytes.get(target_start..) else { return };
        let target_end = target_start + syntax::target_len(rest);
        self.count(target_end + 11);
        let version = match bytes.get(target_end..target_end + 11) {
            Some(b" HTTP/1.1\r\n") => Version::Http11,
            Some(b" HTTP/1.0\r\n") => Version::Http10,
            _ => return,
        };
        let fits = target_end + 9 <= limits.line && target_end + 11 <= limits.section.min(MAX_SECTION);
        if method_len == 0 || target_end == target_start || bytes.get(method_len) != Some(&b' ') || !fits {
            return;
        }
        (self.method_len, self.target) = (method_len, (target_start, target_end));
        self.count(target_end);
        if let Ok(form @ Some(_)) = self.target_form(bytes, limits.lenient) {
            (self.form, self.version) = (form, version);
            (self.pos, self.at) = (target_end + 11, At::LineStart);
        }
    }

    /// Takes the field lines that are here in whole and break no rule, and the empty line behind the last one.
    fn whole_lines(&mut self, bytes: &[u8], limits: &Limits) {
        let open = bytes.get(..limits.section.min(MAX_SECTION)).unwrap_or(bytes);
        while let Some(line) = open.get(self.pos..) {
            if let [b'\r', b'\n', ..] = line {
                self.pos += 2;
                self.at = At::Done;
                return;
            }
            let name_len = syntax::token_len(line);
            let Some((name, [b':', behind @ ..])) = line.split_at_checked(name_len) else { return };
            let space = match behind {
                [b' ', first, ..] if !syntax::is_ows(*first) => 1,
                _ => behind.iter().take_while(|b| syntax::is_ows(**b)).count(),
            };
            let text = behind.get(space..).unwrap_or_default();
            let text_len = syntax::value_len(text);
            self.count(name_len + 1 + space + text_len + 2);
            let Some((value, [b'\r', b'\n', ..])) = text.split_at_checked(text_len) else { return };
            let start = name_len + 1 + space;
            let end = start + text_len;
            if name.is_empty() || end > limits.field_line || self.spans.len() >= limits.fields {
                return;
            }
            let value_len = value.iter().rposition(|b| !syntax::is_ows(*b)).map_or(0, |last| last + 1);
            self.count(text_len - value_len + 1);
            self.push(name, self.pos, self.pos + start, value_len);
            self.pos += end + 2;
        }
    }

    /// Judges one byte behind a run, or one that stands alone.
    fn next(&mut self, bytes: &[u8], byte: u8, limits: &Limits) -> Result<At, Error> {
        Ok(match (self.at, byte) {
            // RFC 9112, 3: one space each, since more would be read differently by different recipients.
            (At::Method, b' ') if self.pos > 0 => {
                self.method_len = self.pos;
                self.mark = self.pos + 1;
                At::Target
            }
            (At::Method, b'\r') => At::WrongEnd(Error::InvalidMethod),
            (At::Method, _) => return Err(wrong(byte, Error::InvalidMethod)),

            (At::Target, b' ') if self.pos > self.mark => {
                self.target = (self.mark, self.pos);
                self.count(self.pos);
                self.form = self.target_form(bytes, limits.lenient)?;
                At::Version(0)
            }
            (At::Target, b'\r') => At::WrongEnd(Error::MissingVersion),
            (At::Target, _) => return Err(wrong(byte, Error::InvalidTarget)),

            (At::Version(index), b'\r') if index < 8 => At::WrongEnd(Error::InvalidVersion),
            (At::Version(index), _) => self.version(index, byte)?,

            (At::StatusSpace, b' ') => At::Status(0),
            (At::StatusSpace, b'\r') => At::WrongEnd(Error::InvalidStatus),
            (At::StatusSpace, _) => return Err(wrong(byte, Error::InvalidVersion)),
            // RFC 9112, 4: three digits; RFC 9110, 15: the first of them gives the class.
            (At::Status(0), b'1'..=b'9') | (At::Status(1 | 2), b'0'..=b'9') => {
                self.status = self.status * 10 + u16::from(byte - b'0');
                match self.at {
                    At::Status(index @ (0 | 1)) => At::Status(index + 1),
                    _ => At::ReasonSpace,
                }
            }
            (At::Status(_), b'\r') => At::WrongEnd(Error::InvalidStatus),
            (At::Status(_), _) => return Err(wrong(byte, Error::InvalidStatus)),
            // The space in front of an empty reason is often left out, and nothing else can be meant.
            (At::ReasonSpace, b'\r') => At::LineLf,
            (At::ReasonSpace, b' ') => {
                self.mark = self.pos + 1;
                At::Reason
            }
            (At::ReasonSpace, _) => return Err(wrong(byte, Error::InvalidStatus)),
            (At::Reason, b'\r') => {
                self.reason_len = self.pos - self.mark;
                At::LineLf
            }
            (At::Reason, _) => return Err(wrong(byte, Error::InvalidReason)),

            (At::LineCr, b'\r') => At::LineLf,
            (At::LineCr, _) => return Err(wrong(byte, Error::InvalidVersion)),
            (At::LineLf, b'\n') => At::LineStart,

            (At::LineStart, b'\r') => At::EndLf,
            (At::LineStart, b' ' | b'\t') => self.fold(bytes, limits.lenient)?,
            (At::LineStart, b':') => return Err(Error::EmptyFieldName),
            (At::LineStart, _) if !syntax::is_token(byte) => return Err(wrong(byte, Error::InvalidFieldName)),
            (At::LineStart, _) if self.spans.len() >= limits.fields => {
                return Err(match self.kind {
                    Kind::Trailers => Error::TrailersTooLarge,
                    Kind::Request | Kind::Response => Error::TooManyFields,
                });
            }
            (At::LineStart, _) => {
                self.mark = self.pos;
                self.line_start = self.pos;
                At::Name
            }

            (At::Name, b':') => {
                self.name = (self.mark, self.pos);
                At::ValueStart
            }
            (At::Name, b' ' | b'\t') if limits.lenient.allows(Lenient::SPACE_BEFORE_COLON) => {
                self.name = (self.mark, self.pos);
                At::NameEnd
            }
            (At::NameEnd, b':') => At::ValueStart,
            (At::NameEnd, _) => return Err(Error::WhitespaceBeforeColon),
            // RFC 9112, 5.1: in the past, this has led to request smuggling.
            (At::Name, b' ' | b'\t') => return Err(Error::WhitespaceBeforeColon),
            (At::Name, b'\r') => At::WrongEnd(Error::MissingColon),
            (At::Name, _) => return Err(wrong(byte, Error::InvalidFieldName)),

            (At::Value, b'\r') => {
                let line = bytes.get(self.line_mark..self.pos).unwrap_or_default();
                let last = line.iter().rposition(|b| !syntax::is_ows(*b));
                self.count(line.len() - last.unwrap_or(0));
                if let Some(last) = last {
                    self.value_end = self.line_mark + last + 1;
                }
                At::ValueLf
            }
            (At::Value, _) => return Err(wrong(byte, Error::InvalidFieldValue)),
            (At::ValueLf, b'\n') => {
                let name = bytes.get(self.name.0..self.name.1).unwrap_or_default();
                self.push(name, self.name.0, self.mark, self.value_end - self.mark);
                At::LineStart
            }

            (At::EndLf, b'\n') => At::Done,
            (At::WrongEnd(error), b'\n') => return Err(error),
            // RFC 9112, 2.2: a bare CR in protocol elements is invalid.
            (At::LineLf | At::ValueLf | At::EndLf | At::WrongEnd(_), _) => return Err(Error::BareCr),
            // The byte behind the white space is judged as the value's.
            (At::ValueStart, _) => At::Value,
            (At::Done, _) => At::Done,
        })
    }

    /// `None` for the target of HTTP/2's preface, whose version will tell.
    fn target_form(&self, bytes: &[u8], lenient: Lenient) -> Result<Option<TargetForm>, Error> {
        let method = bytes.get(..self.method_len).unwrap_or_default();
        let target = bytes.get(self.target.0..self.target.1).unwrap_or_default();
        if !lenient.allows(Lenient::STRAY_PERCENT) && !target::is_percent_encoded(target) {
            return Err(Error::InvalidPercentEncoding);
        }
        match TargetForm::of(method, target) {
            Some(form) => Ok(Some(form)),
            None if method == b"PRI" && target == b"*" => Ok(None),
            None => Err(Error::TargetForm),
        }
    }

    /// RFC 9112, 2.3: the name is case-sensitive, the version two digits.
    fn version(&mut self, index: u8, byte: u8) -> Result<At, Error> {
        match (index, byte) {
            (5, b'0'..=b'9') => self.major = byte,
            (7, b'0'..=b'9') => {
                let preface = self.kind == Kind::Request && self.form.is_none();
                return match (self.major, byte) {
                    (b'2', b'0') if preface => Err(Error::Http2Preface),
                    (b'1', _) if preface => Err(Error::TargetForm),
                    (b'1', _) => {
                        // RFC 9110, 2.5: a higher minor version is to be treated as the highest one known.
                        self.version = if byte == b'0' { Version::Http10 } else { Version::Http11 };
                        Ok(if self.kind == Kind::Request { At::LineCr } else { At::StatusSpace })
                    }
                    _ => Err(Error::UnsupportedVersion),
                };
            }
            (0..5, _) if b"HTTP/".get(usize::from(index)) == Some(&byte) => {}
            (6, b'.') => {}
            _ => return Err(wrong(byte, Error::InvalidVersion)),
        }
        Ok(At::Version(index + 1))
    }

    /// White space at the start of a line: continues the value of the line before (RFC 9112, 5.2).
    fn fold(&mut self, bytes: &[u8], lenient: Lenient) -> Result<At, Error> {
        let Some(span) = self.spans.pop() else { return Err(Error::WhitespaceBeforeFirstField) };
        if self.kind != Kind::Response && !lenient.allows(Lenient::OBS_FOLD) {
            return Err(Error::ObsFold);
        }
        self.line_start = self.pos;
        let line_end = bytes.get(..self.pos).unwrap_or_default();
        let len = if line_end.ends_with(b"\r\n") { 2 } else { 1 };
        self.folds.push((self.pos - len, self.pos));
        self.name = (span.name as usize, (span.name + span.name_len) as usize);
        if span.value_len == 0 {
            return Ok(At::ValueStart);
        }
        self.mark = span.value as usize;
        self.value_end = (span.value + span.value_len) as usize;
        self.line_mark = self.pos;
        Ok(At::Value)
    }

    fn push(&mut self, name: &[u8], name_at: usize, value_at: usize, value_len: usize) {
        // `Known::of` looks at three letters, and compares names that are no longer than the longest known one.
        self.count(if name.len() > 24 { 3 } else { name.len() });
        self.spans.push(Span {
            name: offset(name_at),
            name_len: offset(name.len()),
            value: offset(value_at),
            value_len: offset(value_len),
            known: Known::of(name),
        });
    }
}
