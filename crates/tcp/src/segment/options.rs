//! Header options (RFC 9293 3.2, RFC 7323, RFC 2018).

use core::fmt;

use super::ParseError;
use super::emit::Words;
use crate::SeqNumber;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// The timestamps option (RFC 7323 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the receiver's clock, echoed.
    pub echo: u32,
}

/// The blocks of a SACK option (RFC 2018 3): up to four ranges of sequence numbers, each from its first up to, but not
/// including, its second.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SackBlocks {
    blocks: [(SeqNumber, SeqNumber); Self::MAX],
    len: u8,
}

impl SackBlocks {
    /// How many blocks fit into a header.
    pub const MAX: usize = 4;

    /// No block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a block; returns whether there was room.
    pub fn push(&mut self, left: SeqNumber, right: SeqNumber) -> bool {
        let Some(slot) = self.blocks.get_mut(usize::from(self.len)) else { return false };
        *slot = (left, right);
        self.len += 1;
        true
    }

    /// Orders the blocks by their distance from `start`.
    pub(crate) fn sort_from(&mut self, start: SeqNumber) {
        if let Some(blocks) = self.blocks.get_mut(..usize::from(self.len)) {
            blocks.sort_unstable_by_key(|(left, _)| left.since(start));
        }
    }

    /// The blocks, in the order of the option.
    pub fn as_slice(&self) -> &[(SeqNumber, SeqNumber)] {
        self.blocks.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether there is no block.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Debug for SackBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The options of a header that this crate knows. All others are skipped when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// Maximum segment size, in bytes (RFC 9293 3.7.1). Counts only on a SYN.
    pub mss: Option<u16>,
    /// Window scale: by how many bits the windows of the sender are shifted (RFC 7323 2). Counts only on a SYN.
    pub window_scale: Option<u8>,
    /// SACK-permitted (RFC 2018 2). Counts only on a SYN.
    pub sack_permitted: bool,
    /// Selective acknowledgments (RFC 2018 3).
    pub sack: SackBlocks,
    /// Timestamps (RFC 7323 3).
    pub timestamps: Option<Timestamps>,
}

impl Options {
    /// The space for options in a header, in bytes.
    const MAX_LEN: usize = 40;

    /// Reads the option part of a header. Of an option that comes twice, the last counts.
    pub(super) fn parse(mut rest: &[u8]) -> Result<Self, ParseError> {
        let mut options = Self::default();
        if let Some((timestamps, behind)) = split_timestamps(rest) {
            options.timestamps = Some(timestamps);
            rest = behind;
        }
        while let Some((&kind, behind)) = rest.split_first() {
            match kind {
                END => break,
                NO_OPERATION => {
                    rest = behind;
                    continue;
                }
                _ => {}
            }
            let len = behind.first().copied().unwrap_or(0);
            let malformed = ParseError::OptionLength { kind, len };
            let (Some(value), Some(next)) = (rest.get(2..usize::from(len)), rest.get(usize::from(len)..)) else {
                return Err(malformed);
            };
            match (kind, value) {
                (MSS, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
                (WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift),
                (SACK_PERMITTED, &[]) => options.sack_permitted = true,
                (SACK, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                    options.sack = SackBlocks::new();
                    for block in blocks.as_chunks().0 {
                        let (left, right) = two_words(*block);
                        // 40 bytes hold no more than four blocks.
                        options.sack.push(left.into(), right.into());
                    }
                }
                (TIMESTAMPS, value) if value.len() == 8 => {
                    options.timestamps = value.first_chunk().map(|words| {
                        let (value, echo) = two_words(*words);
                        Timestamps { value, echo }
                    });
                }
                (MSS | WINDOW_SCALE | SACK_PERMITTED | SACK | TIMESTAMPS, _) => return Err(malformed),
                // MUST-6: an option that we do not know is skipped by its length.
                _ => {}
            }
            rest = next;
        }
        Ok(options)
    }

    /// Whether there is nothing but, perhaps, timestamps.
    pub(super) fn are_only_timestamps(&self) -> bool {
        self.sack.is_empty() && self.mss.is_none() && self.window_scale.is_none() && !self.sack_permitted
    }

    /// The length of everything but the SACK blocks, padding included.
    fn len_without_sack(&self) -> usize {
        let mss = if self.mss.is_some() { 4 } else { 0 };
        // SACK-permitted takes the place of the padding before timestamps.
        let timestamps = match (self.timestamps, self.sack_permitted) {
            (Some(_), _) => 12,
            (None, true) => 4,
            (None, false) => 0,
        };
        let scale = if self.window_scale.is_some() { 4 } else { 0 };
        mss + timestamps + scale
    }

    /// The SACK blocks that fit beside the other options: the first ones, which matter most (RFC 2018 4).
    fn fitting_sack(&self) -> &[(SeqNumber, SeqNumber)] {
        let room = (Self::MAX_LEN - self.len_without_sack()).saturating_sub(4) / 8;
        let blocks = self.sack.as_slice();
        &blocks[..room.min(blocks.len())]
    }

    /// The length on the wire, which is a whole number of words.
    pub(super) fn padded_len(&self) -> usize {
        let blocks = self.fitting_sack().len();
        self.len_without_sack() + if blocks == 0 { 0 } else { 4 + 8 * blocks }
    }

    /// Appends the options, each on a word boundary and padded in front by no-operations.
    ///
    /// This is Linux's order, which every middlebox has seen: MSS, SACK-permitted, timestamps, window scale, SACK.
    pub(super) fn put(&self, words: &mut Words) {
        if let Some(mss) = self.mss {
            words.push_halves(u16::from_be_bytes([MSS, 4]), mss);
        }
        if let Some(timestamps) = self.timestamps {
            let before = if self.sack_permitted { [SACK_PERMITTED, 2] } else { [NO_OPERATION, NO_OPERATION] };
            words.push(u32::from_be_bytes([before[0], before[1], TIMESTAMPS, 10]));
            words.push(timestamps.value);
            words.push(timestamps.echo);
        } else if self.sack_permitted {
            words.push(u32::from_be_bytes([NO_OPERATION, NO_OPERATION, SACK_PERMITTED, 2]));
        }
        if let Some(shift) = self.window_scale {
            words.push(u32::from_be_bytes([NO_OPERATION, WINDOW_SCALE, 3, shift]));
        }
        let blocks = self.fitting_sack();
        if !blocks.is_empty() {
            words.push(u32::from_be_bytes([NO_OPERATION, NO_OPERATION, SACK, (2 + 8 * blocks.len()) as u8]));
            for (left, right) in blocks {
                words.push(left.value());
                words.push(right.value());
            }
        }
    }
}

/// Takes timestamps off the front, as RFC 7323 appendix A lays them out, and nearly every segment has them.
#[inline]
pub(super) fn split_timestamps(bytes: &[u8]) -> Option<(Timestamps, &[u8])> {
    match bytes.split_first_chunk::<12>()? {
        (&[NO_OPERATION, NO_OPERATION, TIMESTAMPS, 10, ref words @ ..], behind) => {
            let (value, echo) = two_words(*words);
            Some((Timestamps { value, echo }, behind))
        }
        _ => None,
    }
}

fn two_words(bytes: [u8; 8]) -> (u32, u32) {
    let both = u64::from_be_bytes(bytes);
    ((both >> 32) as u32, both as u32)
}

impl fmt::Display for Options {
    /// The options joined by commas, such as `mss 1460,ws 7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(mss) = self.mss {
            write!(f, "mss {mss}")?;
            separator = ",";
        }
        if self.sack_permitted {
            write!(f, "{separator}sackOK")?;
            separator = ",";
        }
        if let Some(timestamps) = self.timestamps {
            write!(f, "{separator}ts {}:{}", timestamps.value, timestamps.echo)?;
            separator = ",";
        }
        if let Some(shift) = self.window_scale {
            write!(f, "{separator}ws {shift}")?;
            separator = ",";
        }
        if !self.sack.is_empty() {
            write!(f, "{separator}sack")?;
        }
        self.sack.as_slice().iter().try_for_each(|(left, right)| write!(f, " {left}-{right}"))
    }
}
