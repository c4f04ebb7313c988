//! Values by number: each distinct value is kept once.

use core::hash::{Hash, Hasher};

/// Distinct values, numbered in the order in which they came. Values are compared whole; the hash only finds them.
pub(super) struct Interner<T> {
    values: Vec<T>,
    /// Open addressing with linear probing: the number of a value plus one, or zero.
    slots: Vec<u32>,
}

impl<T: Eq + Hash> Interner<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), slots: vec![0; 1024] }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values.iter()
    }

    /// The number of `value`, if it has one.
    pub(super) fn find(&self, value: &T) -> Option<u32> {
        self.slots[self.slot_of(value)].checked_sub(1)
    }

    /// The number of `value`, and whether it is new.
    pub(super) fn intern(&mut self, value: T) -> (u32, bool) {
        let slot = self.slot_of(&value);
        if let Some(number) = self.slots[slot].checked_sub(1) {
            return (number, false);
        }
        self.values.push(value);
        // Four thousand million values do not fit into memory.
        let number = self.values.len() as u32;
        self.slots[slot] = number;
        if self.values.len() * 2 > self.slots.len() {
            self.grow();
        }
        (number - 1, true)
    }

    /// Where `value` is, or belongs.
    fn slot_of(&self, value: &T) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = fingerprint(value) as usize & mask;
        while let Some(number) = self.slots[slot].checked_sub(1)
            && self.values[number as usize] != *value
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots = vec![0; mask + 1];
        for (value, number) in self.values.iter().zip(1..) {
            let mut slot = fingerprint(value) as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }

    /// How many bytes the table and the values themselves take, without what they own elsewhere.
    pub(super) fn memory(&self) -> usize {
        self.values.capacity() * size_of::<T>() + self.slots.len() * size_of::<u32>()
    }
}

/// A number that differs for different values, but for an accident in some 2^64.
pub(super) fn fingerprint<T: Hash>(value: &T) -> u64 {
    let mut hasher = Mix(0);
    value.hash(&mut hasher);
    hasher.finish()
}

/// A fast hash without a key: it has no adversary, and collisions only cost time.
struct Mix(u64);

impl Mix {
    fn word(&mut self, word: u64) {
        // The fractional part of the golden ratio spreads neighbouring values.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let high = self.0 ^ (self.0 >> 32);
        let mixed = high.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for &byte in rest {
            self.word(u64::from(byte));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.word(u64::from(n));
    }

    fn write_u16(&mut self, n: u16) {
        self.word(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.word(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.word(n);
    }

    fn write_usize(&mut self, n: usize) {
        self.word(n as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_number() {
        let mut interner = Interner::new();
        for round in 0..2 {
            for n in 0..5000u32 {
                assert_eq!(interner.intern(n.wrapping_mul(977)), (n, round == 0));
            }
        }
        assert_eq!((interner.len(), interner.find(&977), interner.find(&1)), (5000, Some(1), None));
    }
}
