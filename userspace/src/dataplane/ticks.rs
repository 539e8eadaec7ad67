//! The kernel's tick counter, as seen from userspace.
//!
//! The program stamps its records with the kernel's ticks (jiffies), which no system call tells. They run in step with
//! the coarse monotonic clock, so it is enough to ask the kernel once how far the two are apart. A tick told here is never
//! ahead of the kernel's, and hardly behind.

use rustix::time::{ClockId, clock_getres, clock_gettime};
use tidegate_common::tick::Tick;

/// Converts between time and the kernel's ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    per_second: u32,
    offset: u32,
}

impl Ticks {
    /// Sets the two clocks side by side; `ask` tells the kernel's tick now.
    pub(super) fn calibrate<E>(ask: impl FnOnce() -> Result<Tick, E>) -> Result<Self, E> {
        let uncalibrated = Self {
            per_second: per_second(),
            offset: 0,
        };
        let kernel = ask()?;
        // Read later, so whatever time passed in between makes ours the earlier one; and one less, because either clock
        // may be in the middle of its tick.
        Ok(Self {
            offset: kernel.since(uncalibrated.now()).wrapping_sub(1),
            ..uncalibrated
        })
    }

    /// The tick now.
    pub(super) fn now(self) -> Tick {
        let time = clock_gettime(ClockId::MonotonicCoarse);
        let whole = (time.tv_sec as u64).wrapping_mul(u64::from(self.per_second));
        let part = time.tv_nsec as u64 * u64::from(self.per_second) / 1_000_000_000;
        Tick((whole.wrapping_add(part) as u32).wrapping_add(self.offset))
    }

    /// Ticks a second (`CONFIG_HZ`).
    pub(super) fn per_second(self) -> u32 {
        self.per_second
    }

    /// A span in ticks, rounded up, at least one.
    pub(super) fn span(self, milliseconds: u64) -> u32 {
        tidegate_common::tick::from_millis(milliseconds, self.per_second)
    }
}

fn per_second() -> u32 {
    let resolution = clock_getres(ClockId::MonotonicCoarse);
    let nanoseconds = (resolution.tv_sec as u64 * 1_000_000_000 + resolution.tv_nsec as u64).max(1);
    (1_000_000_000 + nanoseconds / 2)
        .checked_div(nanoseconds)
        .map_or(1, |hz| hz.max(1) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_kernels_and_never_lead() {
        let kernel = Tick(u32::MAX - 2);
        let ticks = Ticks::calibrate(|| Ok::<_, ()>(kernel)).unwrap();
        let behind = kernel.since(ticks.now());
        assert!(behind <= 2 || behind > u32::MAX - 1000, "{behind}");
        assert!(
            (24..=10_000).contains(&ticks.per_second()),
            "{}",
            ticks.per_second()
        );
        assert_eq!(ticks.span(1000), ticks.per_second());
    }
}
