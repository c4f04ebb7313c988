//! Heads that are checked and encoded once and sent often.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use drywire_core::{Buf as _, SendQueue};

use crate::client::send::Plan;
use crate::content::encode::Encoder;
use crate::head::syntax;
use crate::head::write::{self, Checked};
use crate::server::send::{check_final, framing, status_and_reason};
use crate::{CommandError, Fields, Length, RequestParts, ResponseParts, Version};

/// Bytes of a date as RFC 9110, 5.6.7 has it: `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_LEN: usize = 29;

/// The head of a response, encoded once, for
/// [`respond_prepared`](crate::server::Connection::respond_prepared).
///
/// What differs from one exchange to the next is left out: `Date` is given with each response, and `Connection` is the
/// machine's. A request that needs another form of the head (HEAD, HTTP/1.0, the last one on its connection) gets it, as
/// from [`respond`](crate::server::Connection::respond).
#[derive(Clone, Debug)]
pub struct PreparedResponse {
    pub(crate) status: u16,
    reason: Box<str>,
    fields: Fields,
    pub(crate) length: Length,
    /// The head for a GET in HTTP/1.1, with blanks for a date.
    encoded: Box<[u8]>,
    /// Where its `Date` begins, which is the last field.
    date_at: usize,
    pub(crate) encoder: Encoder,
    /// `Connection` has nothing to say.
    pub(crate) is_plain: bool,
}

impl PreparedResponse {
    /// Checks and encodes a head for content of this length.
    pub fn new(parts: &impl ResponseParts, length: Length) -> Result<Self, CommandError> {
        let (status, reason) = status_and_reason(parts)?;
        check_final(status)?;
        let checked = Checked::new(parts.fields())?;
        let (encoder, framing) = framing(status, length, &checked, Version::Http11, false)?;
        let mut queue = SendQueue::new(usize::MAX);
        write::status_line(&mut queue, status, reason, checked.len);
        write::lines(&mut queue, parts.fields(), &checked, framing);
        let date_at = queue.len();
        write::field(&mut queue, b"Date", &[b' '; DATE_LEN]);
        queue.extend_from_slice(b"\r\n");
        Ok(Self {
            status,
            reason: reason.into(),
            fields: Fields::new(parts.fields())?,
            length,
            encoded: Vec::from(queue.copy_to_bytes(queue.len())).into(),
            date_at,
            encoder,
            is_plain: checked.is_plain(),
        })
    }
}

impl PreparedResponse {
    /// Queues the head, with `date` in its place. `false` where that is none, and nothing is queued.
    pub(crate) fn queue(&self, date: Option<&str>, queue: &mut SendQueue) -> bool {
        let Some(date) = date else {
            queue.reserve(self.encoded.len());
            queue.extend_from_slice(self.encoded.get(..self.date_at).unwrap_or_default());
            queue.extend_from_slice(b"\r\n");
            return true;
        };
        if date.len() != DATE_LEN || syntax::value_len(date.as_bytes()) != DATE_LEN {
            return false;
        }
        let value_at = self.date_at + b"Date: ".len();
        // With room for content that is going to be copied behind it.
        queue.reserve(self.encoded.len() + SendQueue::BY_REFERENCE);
        let head = queue.extend_from_slice(&self.encoded);
        if let Some(value) = head.get_mut(value_at..value_at + DATE_LEN) {
            value.copy_from_slice(date.as_bytes());
        }
        true
    }
}

impl ResponseParts for PreparedResponse {
    fn status(&self) -> u16 {
        self.status
    }

    fn reason(&self) -> Option<&str> {
        Some(&self.reason)
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter()
    }
}

/// A prepared head with its date.
pub(crate) struct Dated<'a> {
    pub(crate) head: &'a PreparedResponse,
    pub(crate) date: Option<&'a str>,
}

impl ResponseParts for Dated<'_> {
    fn status(&self) -> u16 {
        self.head.status
    }

    fn reason(&self) -> Option<&str> {
        self.head.reason()
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let date = self.date.map(|date| (&b"Date"[..], date.as_bytes()));
        self.head.fields.iter().chain(date)
    }
}

/// The head of a request, encoded once, for [`send_prepared`](crate::client::Connection::send_prepared).
#[derive(Clone, Debug)]
pub struct PreparedRequest {
    /// The whole head, with its empty line.
    pub(crate) encoded: Bytes,
    pub(crate) plan: Plan,
    /// The target is a path.
    pub(crate) is_origin_form: bool,
}

impl PreparedRequest {
    /// Checks and encodes a head for content of this length, with the target as `parts` has it: for a proxy
    /// ([`absolute_form`](crate::client::Config::absolute_form)) that has to be in absolute form.
    pub fn new(parts: &impl RequestParts, length: Length) -> Result<Self, CommandError> {
        let mut queue = SendQueue::new(usize::MAX);
        let target = parts.target();
        let plan = Plan::new(parts, &target, length)?;
        plan.write(parts, &target, &mut queue)?;
        Ok(Self { encoded: queue.copy_to_bytes(queue.len()), plan, is_origin_form: target.starts_with('/') })
    }
}
