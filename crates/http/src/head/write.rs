//! Writes heads: the caller's fields as they are, the framing fields by the machine.

use drywire_core::SendQueue;

use super::syntax::{self, check_field};
use super::{Known, target};
use crate::CommandError;

type Line<'a> = (&'a [u8], &'a [u8]);

/// What a caller's fields ask for, once they have been found harmless.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// `Connection: close`.
    pub(crate) close: bool,
    /// `Upgrade` is among the fields.
    pub(crate) upgrade: bool,
    /// `Host` is among the fields.
    pub(crate) host: bool,
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    /// `Expect: 100-continue`.
    pub(crate) expects_continue: bool,
    te: bool,
    /// There is a field that the machine writes itself.
    owned: bool,
    /// There is a `Connection` with options of the caller's own.
    options: bool,
    /// Bytes of the field lines.
    pub(crate) len: usize,
}

impl Checked {
    /// Refuses header injection and what cannot be meant, before anything is written.
    pub(crate) fn new<'a>(fields: impl Iterator<Item = Line<'a>>) -> Result<Self, CommandError> {
        let mut checked = Self::default();
        for (name, value) in fields {
            check_field(name, value)?;
            checked.len = checked.len.saturating_add(name.len() + value.len() + 4);
            let known = Known::of(name);
            checked.owned |= is_owned(known);
            match known {
                Known::Host if checked.host || !target::is_host_and_port(value) => {
                    return Err(CommandError::InvalidHost);
                }
                Known::Host => checked.host = true,
                Known::ContentLength => {
                    let length = core::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
                    let length = length.and_then(|text| text.parse().ok()).ok_or(CommandError::ConflictingFraming)?;
                    if checked.content_length.is_some_and(|other| other != length) {
                        return Err(CommandError::ConflictingFraming);
                    }
                    checked.content_length = Some(length);
                }
                Known::TransferEncoding if !value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(CommandError::ConflictingFraming);
                }
                Known::TransferEncoding => checked.chunked = true,
                Known::Connection => {
                    checked.close |= syntax::elements(value).any(|option| option.eq_ignore_ascii_case(b"close"));
                    checked.options |= syntax::elements(value).any(|option| !is_ours(option));
                }
                Known::Upgrade => checked.upgrade = true,
                Known::Te => checked.te = true,
                Known::Expect => {
                    checked.expects_continue |=
                        syntax::elements(value).any(|element| element.eq_ignore_ascii_case(b"100-continue"));
                }
                _ => {}
            }
        }
        Ok(checked)
    }

    /// Whether nothing of the caller's fields has to be said in `Connection`.
    pub(crate) fn is_plain(&self) -> bool {
        !(self.close || self.upgrade || self.te || self.options)
    }

    /// Refuses fields that contradict what the machine is going to write.
    pub(crate) fn agrees_with(&self, framing: FramingField) -> Result<(), CommandError> {
        let length = self.content_length.is_none_or(|length| framing == FramingField::ContentLength(length));
        let chunked = !self.chunked || framing == FramingField::Chunked;
        if length && chunked { Ok(()) } else { Err(CommandError::ConflictingFraming) }
    }
}

/// Fields that the machine writes itself.
fn is_owned(known: Known) -> bool {
    matches!(known, Known::Host | Known::ContentLength | Known::TransferEncoding | Known::Connection)
}

/// Connection options that the machine writes itself where they apply.
fn is_ours(option: &[u8]) -> bool {
    [&b"close"[..], b"keep-alive", b"upgrade", b"te"].iter().any(|ours| option.eq_ignore_ascii_case(ours))
}

/// The field that frames the content, if one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingField {
    Absent,
    ContentLength(u64),
    Chunked,
}

/// What `Connection` says about the connection behind this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// As the version has it by default.
    Default,
    Close,
    KeepAlive,
}

/// What a start line and the machine's own fields need beside the caller's.
pub(crate) const MARGIN: usize = 160;

pub(crate) fn field(queue: &mut SendQueue, name: &[u8], value: &[u8]) {
    queue.extend_from_slice(name);
    queue.extend_from_slice(b": ");
    queue.extend_from_slice(value);
    queue.extend_from_slice(b"\r\n");
}

/// Writes the caller's fields, then framing and `Connection`, then the empty line.
pub(crate) fn section<'a, I: Iterator<Item = Line<'a>>>(
    queue: &mut SendQueue,
    fields: impl Fn() -> I,
    checked: &Checked,
    framing: FramingField,
    persistence: Persistence,
) {
    lines(queue, fields(), checked, framing);
    let persistence = match persistence {
        Persistence::Default => None,
        Persistence::Close => Some("close"),
        Persistence::KeepAlive => Some("keep-alive"),
    };
    if persistence.is_none() && checked.is_plain() {
        queue.extend_from_slice(b"\r\n");
        return;
    }
    // RFC 9110, 7.8 and 10.1.4: a sender of Upgrade or TE lists it as a connection option.
    let ours = [persistence, checked.upgrade.then_some("Upgrade"), checked.te.then_some("TE")];
    let mut separator: &[u8] = b"Connection: ";
    let mut option = |option: &[u8]| {
        queue.extend_from_slice(separator);
        queue.extend_from_slice(option);
        separator = b", ";
    };
    ours.iter().flatten().for_each(|ours| option(ours.as_bytes()));
    if checked.options {
        fields()
            .filter(|(name, _)| Known::of(name) == Known::Connection)
            .flat_map(|(_, value)| syntax::elements(value))
            .filter(|theirs| !is_ours(theirs))
            .for_each(&mut option);
    }
    let any = separator == b", ";
    queue.extend_from_slice(if any { b"\r\n\r\n" } else { b"\r\n" });
}

/// Writes the caller's fields but for those that are the machine's to write, then framing.
pub(crate) fn lines<'a>(
    queue: &mut SendQueue,
    fields: impl Iterator<Item = Line<'a>>,
    checked: &Checked,
    framing: FramingField,
) {
    for (name, value) in fields {
        if !checked.owned || !is_owned(Known::of(name)) {
            field(queue, name, value);
        }
    }
    match framing {
        FramingField::Absent => {}
        FramingField::ContentLength(length) => {
            field(queue, b"Content-Length", itoa::Buffer::new().format(length).as_bytes());
        }
        FramingField::Chunked => field(queue, b"Transfer-Encoding", b"chunked"),
    }
}

/// Writes `HTTP/1.1 status reason`, with room for `len` bytes of fields behind it.
pub(crate) fn status_line(queue: &mut SendQueue, status: u16, reason: &str, len: usize) {
    queue.reserve(reason.len() + len + MARGIN);
    queue.extend_from_slice(b"HTTP/1.1 ");
    queue.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    queue.extend_from_slice(b" ");
    queue.extend_from_slice(reason.as_bytes());
    queue.extend_from_slice(b"\r\n");
}

pub(crate) fn check_reason(reason: &str) -> Result<(), CommandError> {
    if syntax::value_len(reason.as_bytes()) == reason.len() { Ok(()) } else { Err(CommandError::InvalidReason) }
}
