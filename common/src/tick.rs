//! Time in the packet path: the kernel's tick counter (jiffies), cut to 32 bits.
//!
//! Reading it costs a nanosecond where the nanosecond clock costs 37. How long a tick lasts is in
//! [`crate::config::Config`]. The count wraps after 49 days at 1000 Hz (198 at 250 Hz): ages are computed modulo 2³², so
//! an entry nobody touched for a whole period may once look fresh, which no table here minds.

/// A moment, in ticks since an arbitrary start, modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick(pub u32);

impl Tick {
    /// Ticks from `earlier` until this moment.
    #[inline(always)]
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The moment `ticks` after this one.
    #[inline(always)]
    pub const fn after(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }
}

/// Ticks in `milliseconds` at `per_second` ticks a second, rounded up and at least one; saturates at the longest span
/// that can be told from the past (2³¹ − 1 ticks).
pub const fn from_millis(milliseconds: u64, per_second: u32) -> u32 {
    let ticks = milliseconds
        .saturating_mul(per_second as u64)
        .div_ceil(1000);
    if ticks > LONGEST as u64 {
        LONGEST
    } else if ticks == 0 {
        1
    } else {
        ticks as u32
    }
}

/// The longest span used in a record.
pub const LONGEST: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_survive_the_wrap_of_the_counter() {
        assert_eq!(Tick(5).since(Tick(u32::MAX - 4)), 10);
        assert_eq!(Tick(7).since(Tick(7)), 0);
    }

    #[test]
    fn spans_are_rounded_up_and_bounded() {
        assert_eq!(from_millis(0, 250), 1);
        assert_eq!(from_millis(1, 250), 1);
        assert_eq!(from_millis(10_000, 250), 2500);
        assert_eq!(from_millis(10_001, 250), 2501);
        assert_eq!(from_millis(u64::MAX, 1000), LONGEST);
    }
}
