//! Frames the content that leaves.

use bytes::Bytes;
use drywire_core::SendQueue;

use crate::{CommandError, Trailers};

/// The content of the message that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// No message is under way.
    Idle,
    /// So many bytes of the announced length are missing.
    Length(u64),
    Chunked,
    /// Ended by the close of the connection.
    UntilClose,
    /// In answer to HEAD: content is taken and dropped, so that one handler serves GET and HEAD.
    Dropped,
    /// No content is allowed.
    Nothing,
}

impl Encoder {
    /// Queues a piece; a large one by reference.
    pub(crate) fn send(&mut self, content: Bytes, queue: &mut SendQueue) -> Result<(), CommandError> {
        let len = content.len() as u64;
        match self {
            Self::Idle => return Err(CommandError::NoMessageUnderWay),
            // An empty chunk would end the message.
            _ if content.is_empty() => return Ok(()),
            Self::Dropped => return Ok(()),
            Self::Nothing => return Err(CommandError::ContentNotAllowed),
            Self::Length(remaining) if len > *remaining => {
                return Err(CommandError::TooMuchContent { remaining: *remaining });
            }
            _ if queue.is_full() => return Err(CommandError::Full(content)),
            Self::Length(remaining) => {
                *remaining -= len;
                queue.push(content);
            }
            Self::UntilClose => queue.push(content),
            Self::Chunked => {
                // RFC 9112, 7.1.
                let mut size = [0; 18];
                queue.extend_from_slice(chunk_line(&mut size, len));
                queue.push(content);
                queue.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    /// Whether [`finish`](Self::finish) would succeed.
    pub(crate) fn check_finish(self, trailers: Option<&Trailers>) -> Result<(), CommandError> {
        match self {
            Self::Idle => return Err(CommandError::NoMessageUnderWay),
            Self::Length(missing @ 1..) => return Err(CommandError::TooLittleContent { missing }),
            _ => {}
        }
        let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else { return Ok(()) };
        // RFC 9110, 6.5.1: only a message that is chunked has room for them. Where content is dropped, so are they.
        let room = matches!(self, Self::Chunked | Self::Dropped);
        if !room || trailers.known().any(|(known, _)| known.is_forbidden_in_trailers()) {
            return Err(CommandError::TrailersNotAllowed);
        }
        Ok(())
    }

    /// Writes the end of the message.
    pub(crate) fn finish(&mut self, trailers: Option<&Trailers>, queue: &mut SendQueue) -> Result<(), CommandError> {
        self.check_finish(trailers)?;
        if *self == Self::Chunked {
            queue.extend_from_slice(b"0\r\n");
            for (name, value) in trailers.into_iter().flatten() {
                queue.extend_from_slice(name);
                queue.extend_from_slice(b": ");
                queue.extend_from_slice(value);
                queue.extend_from_slice(b"\r\n");
            }
            queue.extend_from_slice(b"\r\n");
        }
        *self = Self::Idle;
        Ok(())
    }
}

/// `size` in hexadecimal and CRLF, written at the back of `room`.
fn chunk_line(room: &mut [u8; 18], size: u64) -> &[u8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 16;
    let mut rest = size;
    [room[16], room[17]] = *b"\r\n";
    loop {
        at -= 1;
        room[at] = DIGITS[(rest & 15) as usize];
        rest >>= 4;
        if rest == 0 {
            return &room[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9112_7_1_chunk_sizes_are_hexadecimal() {
        for (size, line) in [(1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (u64::MAX, "ffffffffffffffff\r\n")] {
            assert_eq!(chunk_line(&mut [0; 18], size), line.as_bytes());
        }
    }

    #[test]
    fn large_content_is_queued_by_reference() {
        let mut queue = SendQueue::new(usize::MAX);
        let content = Bytes::from(alloc::vec![7; 100_000]);
        Encoder::Chunked.send(content.clone(), &mut queue).unwrap();
        assert_eq!(queue.pop(usize::MAX), "186a0\r\n");
        assert_eq!(queue.pop(usize::MAX).as_ptr(), content.as_ptr());
        assert_eq!(queue.pop(usize::MAX), "\r\n");
    }
}
