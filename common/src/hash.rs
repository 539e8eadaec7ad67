//! The hash functions of the packet path.
//!
//! [`Hasher`] chains a multiplication per word under a secret start and mixes once at the end: two nanoseconds a word in
//! BPF, where siphash-1-3 costs nine for one. It is not a MAC: it keeps a remote sender, who sees neither key nor result,
//! from aiming at one bucket, and nothing here relies on more.

/// A bijective mixer of 64 bits.
#[inline(always)]
pub const fn mix(mut value: u64) -> u64 {
    value ^= value >> 32;
    value = value.wrapping_mul(FACTOR);
    value ^= value >> 32;
    value = value.wrapping_mul(FACTOR);
    value ^ (value >> 32)
}

/// A keyed hash over words.
#[derive(Clone, Copy, Debug)]
pub struct Hasher(u64);

impl Hasher {
    /// Starts with a key.
    #[inline(always)]
    pub const fn new(key: u64) -> Self {
        Self(key)
    }

    /// Takes in one word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, word: u64) -> Self {
        let value = self.0 ^ word;
        Self((value ^ (value >> 32)).wrapping_mul(FACTOR))
    }

    /// The hash of words none of which stands alone, without mixing once more: all bits reach the upper half, which is in
    /// the lower half too.
    #[inline(always)]
    pub const fn folded(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    /// The hash.
    #[inline(always)]
    pub const fn finish(self) -> u64 {
        let value = (self.0 ^ (self.0 >> 32)).wrapping_mul(FACTOR);
        value ^ (value >> 32)
    }
}

/// Maps a hash evenly onto `0..count` without dividing; 0 if `count` is 0.
#[inline(always)]
pub const fn reduce(hash: u32, count: u32) -> u32 {
    ((hash as u64 * count as u64) >> 32) as u32
}

/// An odd constant whose multiples differ in many bits.
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_bit_reaches_about_half_of_the_output() {
        for bit in 0..64 {
            let changed: u32 = (0..256u64)
                .map(|seed| {
                    let value = mix(seed + 1);
                    let base = Hasher::new(1).word(value).finish();
                    let flipped = Hasher::new(1).word(value ^ (1 << bit)).finish();
                    (base ^ flipped).count_ones()
                })
                .sum();
            let mean = f64::from(changed) / 256.0;
            assert!((28.0..36.0).contains(&mean), "bit {bit}: {mean}");
        }
    }

    #[test]
    fn every_input_bit_reaches_about_half_of_the_upper_half_without_mixing_once_more() {
        let hash = |first, second| Hasher::new(1).word(first).word(second).folded() >> 32;
        for bit in 0..64 {
            let (mut of_first, mut of_second) = (0, 0);
            for seed in 0..256u64 {
                let (first, second) = (mix(seed + 1), mix(!seed));
                let base = hash(first, second);
                of_first += (base ^ hash(first ^ (1 << bit), second)).count_ones();
                of_second += (base ^ hash(first, second ^ (1 << bit))).count_ones();
            }
            for changed in [of_first, of_second] {
                let mean = f64::from(changed) / 256.0;
                assert!((13.0..19.0).contains(&mean), "bit {bit}: {mean}");
            }
        }
    }

    #[test]
    fn order_and_key_of_words_count() {
        let of = |key, a, b| Hasher::new(key).word(a).word(b).finish();
        assert_ne!(of(1, 2, 3), of(1, 3, 2));
        assert_ne!(of(1, 2, 3), of(2, 2, 3));
    }

    #[test]
    fn reduction_stays_in_range_and_spreads() {
        let mut seen = [0u32; 7];
        for value in 0..70_000u64 {
            let index = reduce(mix(value) as u32, 7);
            seen[index as usize] += 1;
        }
        assert!(seen.iter().all(|n| (9_500..10_500).contains(n)), "{seen:?}");
        assert_eq!(reduce(u32::MAX, 7), 6);
        assert_eq!(reduce(u32::MAX, 0), 0);
    }
}
