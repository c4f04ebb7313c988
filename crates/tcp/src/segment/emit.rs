//! How segments are written.

use core::net::IpAddr;

use bytes::{BufMut, BytesMut};

use super::checksum::Sum;
use super::{Flags, Header};
use crate::SeqNumber;
use crate::ip::Protocol;

/// A header, word by word: what varies from one segment to the next is replaced in it, and in its sum.
#[derive(Clone, Debug, Default)]
pub(super) struct Words {
    words: [u32; Self::MAX],
    len: usize,
}

impl Words {
    const MAX: usize = Header::MAX_LEN / 4;

    /// Appends a word. What is beyond the longest header is left out.
    pub(super) fn push(&mut self, word: u32) {
        if let Some(room) = self.words.get_mut(self.len) {
            *room = word;
            self.len += 1;
        }
    }

    pub(super) fn push_halves(&mut self, high: u16, low: u16) {
        self.push(u32::from(high) << 16 | u32::from(low));
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for word in &self.words[..self.len] {
            sum.add_number(*word);
        }
        sum
    }

    fn put(&self, out: &mut BytesMut) {
        let mut bytes = [0; Header::MAX_LEN];
        for (room, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.words) {
            *room = word.to_be_bytes();
        }
        out.put_slice(&bytes[..4 * self.len]);
    }
}

/// Writes the headers of segments that follow one another and differ in little.
#[derive(Clone, Debug)]
pub(crate) struct Emitter {
    words: Words,
    /// Of the header and its pseudo-header, but for the length and the checksum.
    sum: Sum,
    /// Of the pseudo-header alone, if the rest is left to others.
    partial: Option<Sum>,
}

impl Emitter {
    const SEQ: usize = 1;
    const FLAGS: usize = 3;
    const CHECKSUM: usize = 4;

    /// With `partial`, the checksum is that of the pseudo-header alone, not complemented: whoever sends the segment adds
    /// the rest.
    pub(crate) fn new(header: &Header, source: IpAddr, destination: IpAddr, partial: bool) -> Self {
        let words = header.words();
        let pseudo_header = Sum::pseudo_header(source, destination, Protocol::TCP);
        let mut sum = words.sum();
        sum.add_sum(pseudo_header);
        Self { words, sum, partial: partial.then_some(pseudo_header) }
    }

    /// Moves on to the text behind.
    pub(crate) fn advance(&mut self, len: u32) {
        let seq = SeqNumber::new(self.words.words[Self::SEQ]) + len;
        self.replace(Self::SEQ, seq.value());
    }

    /// The flags of the segments from here on.
    pub(crate) fn set_flags(&mut self, flags: Flags) {
        let word = self.words.words[Self::FLAGS] & !(0xff << 16) | u32::from(flags.bits()) << 16;
        self.replace(Self::FLAGS, word);
    }

    fn replace(&mut self, at: usize, word: u32) {
        let before = core::mem::replace(&mut self.words.words[at], word);
        self.sum.replace_number(before, word);
    }

    /// Appends the header of a segment with `len` bytes of text that add up to `text`.
    pub(crate) fn put_header(&mut self, len: usize, text: Sum, out: &mut BytesMut) {
        let segment_len = (4 * self.words.len + len) as u32;
        let mut sum = self.partial.unwrap_or(self.sum);
        sum.add_number(segment_len);
        let checksum = if self.partial.is_some() {
            !sum.finish()
        } else {
            sum.add_sum(text);
            sum.finish()
        };
        let urgent = self.words.words[Self::CHECKSUM] & 0xffff;
        self.words.words[Self::CHECKSUM] = u32::from(checksum) << 16 | urgent;
        self.words.put(out);
    }
}
