//! How the fuzz bodies read choices off their input.

/// What is left of an input. It never ends: where there are no more bytes, there are zeros.
#[derive(Clone, Debug)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether only zeros are left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    /// The next `n` bytes, or what is left of them.
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(n.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// The next `n` bytes as a number.
    pub fn big_endian(&mut self, n: usize) -> u64 {
        self.bytes(n).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A number below 32,768; small ones are as likely as large ones.
    pub fn number(&mut self) -> usize {
        let byte = self.byte();
        if byte < 128 { usize::from(byte) } else { usize::from(byte & 127) << 8 | usize::from(self.byte()) }
    }

    /// A distance in sequence space, mostly a short one; negative ones wrap.
    pub fn signed(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..=200 => i32::from(byte % 8) - 3,
            byte @ 201..=240 => (i32::from(byte) - 220) * 400,
            byte => i32::from(byte - 240) << 27,
        }
        .cast_unsigned()
    }
}
