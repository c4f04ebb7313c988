//! SipHash (Aumasson and Bernstein, 2012): a short keyed hash that nobody can steer who does not know the key.

use core::fmt;

use drywire_core::Rng;

/// A secret of 128 bits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SipKey(u64, u64);

impl SipKey {
    /// The next key of `rng`.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self(rng.next_u64(), rng.next_u64())
    }

    /// SipHash-2-4, where the result itself is seen by others.
    pub(crate) fn strong(&self, bytes: &[u8]) -> u64 {
        self.hash::<2, 4>(bytes)
    }

    /// SipHash-1-3, which is enough for a table whose hashes nobody sees.
    pub(crate) fn fast(&self, bytes: &[u8]) -> u64 {
        self.hash::<1, 3>(bytes)
    }

    fn hash<const COMPRESSION: usize, const FINAL: usize>(&self, bytes: &[u8]) -> u64 {
        let Self(k0, k1) = *self;
        let mut state = State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb::<COMPRESSION>(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        state.absorb::<COMPRESSION>(u64::from_le_bytes(last));
        state.0[2] ^= 0xff;
        for _ in 0..FINAL {
            state.round();
        }
        state.0.iter().fold(0, |sum, word| sum ^ word)
    }
}

impl fmt::Debug for SipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipKey(..)")
    }
}

struct State([u64; 4]);

impl State {
    fn absorb<const ROUNDS: usize>(&mut self, word: u64) {
        self.0[3] ^= word;
        for _ in 0..ROUNDS {
            self.round();
        }
        self.0[0] ^= word;
    }

    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.0;
        v0 = v0.wrapping_add(v1);
        v2 = v2.wrapping_add(v3);
        v1 = v1.rotate_left(13) ^ v0;
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v1);
        v0 = v0.wrapping_add(v3);
        v1 = v1.rotate_left(17) ^ v2;
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.rotate_left(32);
        self.0 = [v0, v1, v2, v3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key 00 01 .. 0f of the paper's appendix A.
    const KEY: SipKey = SipKey(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);

    #[test]
    fn the_papers_vector() {
        let input: [u8; 15] = core::array::from_fn(|at| at as u8);
        assert_eq!(KEY.strong(&input), 0xa129_ca61_49be_45e5);
        assert_eq!(KEY.strong(&[]), 0x726f_db47_dd0e_0e31);
    }

    #[test]
    fn rounds_and_length_count() {
        assert_ne!(KEY.strong(b"abc"), KEY.fast(b"abc"));
        assert_ne!(KEY.fast(b"abc"), KEY.fast(b"abc\0"));
    }
}
