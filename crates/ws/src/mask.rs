//! Masking (RFC 6455, 5.3).

/// Combines `bytes` with the masking `key` by exclusive or, which both masks and unmasks (RFC 6455, 5.3).
///
/// `offset` is the position of `bytes` in the payload of its frame: the key starts anew with each frame and goes on
/// across the pieces in which a payload arrives. Only `offset` modulo 4 counts.
///
/// ```
/// use drywire_ws::mask;
///
/// // RFC 6455, 5.7: a masked "Hello".
/// let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (front, back) = payload.split_at_mut(3);
/// mask([0x37, 0xfa, 0x21, 0x3d], 0, front);
/// mask([0x37, 0xfa, 0x21, 0x3d], 3, back);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn mask(key: [u8; 4], offset: usize, bytes: &mut [u8]) {
    // Byte i of the payload goes with byte i modulo 4 of the key.
    let key = rotated(key, offset);
    if bytes.len() < ALIGNED_FROM {
        mask_words(key, bytes);
    } else {
        // Vectors that cross from one line of the cache into the next take up to four times as long.
        let (head, body) = bytes.split_at_mut(bytes.as_ptr().align_offset(CACHE_LINE).min(bytes.len()));
        mask_words(key, head);
        mask_words(rotated(key, head.len()), body);
    }
}

/// Writes `from`, masked from the front of a payload on, to the front of `to`, which is no shorter.
#[inline]
pub(crate) fn mask_to(key: [u8; 4], from: &[u8], to: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    let word = u64::from(half) | u64::from(half) << 32;
    let (words, rest) = from.as_chunks();
    for (to, from) in to.as_chunks_mut().0.iter_mut().zip(words) {
        *to = (u64::from_ne_bytes(*from) ^ word).to_ne_bytes();
    }
    let to = to.iter_mut().skip(from.len() - rest.len());
    for ((to, from), key) in to.zip(rest).zip(word.to_ne_bytes()) {
        *to = from ^ key;
    }
}

const CACHE_LINE: usize = 64;
/// Below this length the detour costs more than it saves.
const ALIGNED_FROM: usize = 1024;

/// The key as it applies from `offset` on.
#[inline]
fn rotated(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (offset as u32 % 4)).to_le_bytes()
}

#[inline]
fn mask_words(key: [u8; 4], bytes: &mut [u8]) {
    let half = u32::from_ne_bytes(key);
    // The compiler makes vectors of each chunk of 32 bytes.
    let (chunks, rest) = bytes.as_chunks_mut::<32>();
    for chunk in chunks {
        for bytes in chunk.as_chunks_mut().0 {
            *bytes = (u32::from_ne_bytes(*bytes) ^ half).to_ne_bytes();
        }
    }
    let word = u64::from(half) | u64::from(half) << 32;
    let (words, rest) = rest.as_chunks_mut();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut();
    for bytes in halves {
        *bytes = (u32::from_ne_bytes(*bytes) ^ half).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_formula_of_the_rfc_at_every_split(
            payload in prop::collection::vec(any::<u8>(), 0..3000),
            key: [u8; 4],
            split in 0..3000usize,
        ) {
            // RFC 6455, 5.3: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
            let expected: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect();
            let mut masked = payload;
            let split = split.min(masked.len());
            let (front, back) = masked.split_at_mut(split);
            mask(key, 0, front);
            mask(key, split, back);
            prop_assert_eq!(masked, expected);
        }
    }

    #[test]
    fn only_the_offset_modulo_4_counts() {
        let mut bytes = *b"drywire";
        mask([1, 2, 3, 4], usize::MAX, &mut bytes);
        mask([1, 2, 3, 4], 3, &mut bytes);
        assert_eq!(&bytes, b"drywire");
    }
}
