//! The dynamic connection limit of a server (manual §5.2 `minconn`, `slowstart`, §4.2 `fullconn`).

/// What the limit depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// `maxconn` in force; 0 = no limit.
    pub(super) maxconn: u32,
    /// `minconn`; 0 = the limit is not dynamic.
    pub(super) minconn: u32,
    /// The backend's `fullconn`.
    pub(super) fullconn: u32,
    /// Percentage of the limit during `slowstart`; 100 outside.
    pub(super) percent: u8,
}

impl Limits {
    /// The limit while the backend carries `load` sessions; 0 = none. It grows with the load from `minconn` up to
    /// `maxconn`, which is reached at `fullconn`.
    pub(super) fn at(self, load: u32) -> u32 {
        let maxconn = if self.maxconn == 0 {
            self.minconn
        } else {
            self.maxconn
        };
        if maxconn == 0 {
            return 0;
        }
        let dynamic = if self.minconn == 0 || self.minconn >= maxconn || load >= self.fullconn {
            maxconn
        } else {
            let share = u64::from(load) * u64::from(maxconn) / u64::from(self.fullconn.max(1));
            (share as u32).clamp(self.minconn, maxconn)
        };
        let throttled = u64::from(dynamic) * u64::from(self.percent) / 100;
        (throttled as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_follows_the_load_between_minconn_and_maxconn() {
        let limits = Limits {
            maxconn: 1000,
            minconn: 100,
            fullconn: 10_000,
            percent: 100,
        };
        let at = [0, 500, 2_000, 5_000, 10_000, 20_000].map(|load| limits.at(load));
        assert_eq!(at, [100, 100, 200, 500, 1000, 1000]);
    }

    #[test]
    fn slow_start_scales_the_limit_but_lets_one_through() {
        let limits = Limits {
            maxconn: 50,
            minconn: 0,
            fullconn: 0,
            percent: 10,
        };
        assert_eq!(limits.at(0), 5);
        assert_eq!(
            Limits {
                percent: 1,
                ..limits
            }
            .at(0),
            1
        );
    }

    #[test]
    fn no_limit_stays_no_limit() {
        assert_eq!(
            Limits {
                maxconn: 0,
                minconn: 0,
                fullconn: 10,
                percent: 3
            }
            .at(99),
            0
        );
    }
}
