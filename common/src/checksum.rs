//! Internet checksums: of what came with a packet, updated for what was changed (RFC 1624) and never computed anew; of
//! headers that are put in front of it, summed up.
//!
//! A packet that came with a wrong checksum therefore leaves with a wrong one, and the server drops it as it should.

/// The sum of what a rewrite takes out of a packet and puts into it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    /// Nothing changed.
    pub const NONE: Self = Self(0);

    /// Two bytes at an even offset were replaced.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: [u8; 2], new: [u8; 2]) -> Self {
        Self(self.0 + !u16::from_ne_bytes(old) as u64 + u16::from_ne_bytes(new) as u64)
    }

    /// Four bytes at an even offset were replaced.
    #[inline(always)]
    #[must_use]
    pub const fn double(self, old: [u8; 4], new: [u8; 4]) -> Self {
        Self(self.0 + !u32::from_ne_bytes(old) as u64 + u32::from_ne_bytes(new) as u64)
    }

    /// Sixteen bytes at an even offset were replaced.
    #[inline(always)]
    #[must_use]
    pub const fn long(self, old: [u64; 2], new: [u64; 2]) -> Self {
        self.quad(old[0], new[0]).quad(old[1], new[1])
    }

    #[inline(always)]
    const fn quad(self, old: u64, new: u64) -> Self {
        let old = !old;
        Self(self.0 + (old & LOW) + (old >> 32) + (new & LOW) + (new >> 32))
    }

    /// Both changes.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum after the changes.
    #[inline(always)]
    pub const fn apply(self, checksum: [u8; 2]) -> [u8; 2] {
        let sum = self.0 + !u16::from_ne_bytes(checksum) as u64;
        (!fold(sum)).to_ne_bytes()
    }

    /// The checksum of an ICMP message after the changes. One of zeros only has all bits set, which updating alone cannot
    /// tell from none; for any other message both are right.
    #[inline(always)]
    pub const fn apply_message(self, checksum: [u8; 2]) -> [u8; 2] {
        match self.apply(checksum) {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }

    /// The checksum of a UDP datagram after the changes: none stays none, and a sum of zero is sent as its complement.
    #[inline(always)]
    pub const fn apply_udp(self, checksum: [u8; 2]) -> [u8; 2] {
        if u16::from_ne_bytes(checksum) == 0 {
            return checksum;
        }
        let checksum = self.apply(checksum);
        if u16::from_ne_bytes(checksum) == 0 {
            return [0xff, 0xff];
        }
        checksum
    }
}

/// The sum over words of a header that is written here, in any order. Not for headers that came with a packet: see above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Of nothing.
    pub const ZERO: Self = Self(0);

    /// One that was folded before.
    #[inline(always)]
    pub const fn of(folded: u16) -> Self {
        Self(folded as u64)
    }

    /// With two bytes at an even offset.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, bytes: [u8; 2]) -> Self {
        Self(self.0 + u16::from_ne_bytes(bytes) as u64)
    }

    /// With eight bytes at an even offset, as they stand in memory.
    #[inline(always)]
    #[must_use]
    pub const fn quad(self, bytes: u64) -> Self {
        Self(self.0 + (bytes & LOW) + (bytes >> 32))
    }

    /// With four bytes at an even offset.
    #[inline(always)]
    #[must_use]
    pub const fn double(self, bytes: [u8; 4]) -> Self {
        Self(self.0 + u32::from_ne_bytes(bytes) as u64)
    }

    /// With what sums up to the complement of `other`: a segment whose checksum over a pseudo header with that sum is right.
    #[inline(always)]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 + (!fold(other.0)) as u64)
    }

    /// As sixteen bits.
    #[inline(always)]
    pub const fn folded(self) -> u16 {
        fold(self.0)
    }

    /// The checksum field.
    #[inline(always)]
    pub const fn checksum(self) -> [u8; 2] {
        (!fold(self.0)).to_ne_bytes()
    }

    /// The checksum field of a UDP datagram, where zero would mean none.
    #[inline(always)]
    pub const fn udp_checksum(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }
}

#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & LOW) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

const LOW: u64 = 0xffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compute(data: &[u8]) -> [u8; 2] {
        let sum = data
            .chunks(2)
            .map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]])))
            .sum();
        (!fold(sum)).to_ne_bytes()
    }

    proptest! {
        #[test]
        fn an_updated_checksum_is_the_one_computed_anew(
            mut data: [u8; 60],
            double: [u8; 4],
            word: [u8; 2],
            long: [u8; 16],
        ) {
            // A header that is all zero has no checksum worth the name.
            data[0] = 0x45;
            let halves = |bytes: [u8; 16]| {
                let (a, b) = bytes.split_at(8);
                [a, b].map(|half| u64::from_ne_bytes(half.try_into().unwrap()))
            };
            let before = compute(&data);
            let delta = Delta::NONE
                .double(data[4..8].try_into().unwrap(), double)
                .word(data[10..12].try_into().unwrap(), word)
                .and(Delta::NONE.long(halves(data[16..32].try_into().unwrap()), halves(long)));
            data[4..8].copy_from_slice(&double);
            data[10..12].copy_from_slice(&word);
            data[16..32].copy_from_slice(&long);
            prop_assert_eq!(delta.apply(before), compute(&data));
        }

        #[test]
        fn a_wrong_checksum_stays_wrong(right: [u8; 2], wrong: [u8; 2], old: [u8; 4], new: [u8; 4]) {
            // 0000 and ffff are the same sum.
            let same = |a: [u8; 2], b: [u8; 2]| {
                u32::from(u16::from_ne_bytes(a)) % 0xffff == u32::from(u16::from_ne_bytes(b)) % 0xffff
            };
            let delta = Delta::NONE.double(old, new);
            prop_assert_eq!(same(right, wrong), same(delta.apply(right), delta.apply(wrong)));
        }
    }

    #[test]
    fn udp_without_a_checksum_stays_without_and_zero_is_never_sent() {
        let delta = Delta::NONE.word([1, 2], [3, 4]);
        assert_eq!(delta.apply_udp([0, 0]), [0, 0]);
        // Taking the whole rest out leaves a sum of ffff, whose complement is zero.
        let delta = Delta::NONE.word([0, 0], [0x12, 0x34]);
        assert_eq!(delta.apply([0x12, 0x34]), [0, 0]);
        assert_eq!(delta.apply_udp([0x12, 0x34]), [0xff, 0xff]);
    }
}
