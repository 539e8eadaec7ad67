//! Calendar time in the machine's time zone: the one place that asks the C library for it.
//!
//! Log lines and HAProxy's log formats show local time. The zone is read by the C library on the first call, so a daemon
//! that calls `chroot` asks once before.
#![expect(
    unsafe_code,
    reason = "localtime_r(3) is the only door to the machine's time zone rules"
)]

use std::time::Duration;

/// A date and time of day in the machine's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// As written: 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
    /// Days since Sunday, 0 to 6.
    pub weekday: u8,
    /// Seconds east of UTC.
    pub offset: i32,
}

impl LocalTime {
    /// The local time of a moment given as the time since 1970-01-01 00:00 UTC.
    pub fn of(wall: Duration) -> Self {
        let seconds = libc::time_t::try_from(wall.as_secs()).unwrap_or(libc::time_t::MAX);
        // SAFETY: `tm` is plain data for which all zeros are valid; localtime_r fills it and keeps no pointer.
        let broken_down = unsafe {
            let mut broken_down: libc::tm = std::mem::zeroed();
            libc::localtime_r(&raw const seconds, &raw mut broken_down);
            broken_down
        };
        Self {
            year: broken_down.tm_year + 1900,
            month: (broken_down.tm_mon + 1) as u8,
            day: broken_down.tm_mday as u8,
            hour: broken_down.tm_hour as u8,
            minute: broken_down.tm_min as u8,
            second: broken_down.tm_sec as u8,
            weekday: broken_down.tm_wday as u8,
            offset: broken_down.tm_gmtoff as i32,
        }
    }

    /// The English abbreviation of the month, as syslog and HAProxy write it.
    pub const fn month_name(&self) -> &'static str {
        MONTHS[(self.month as usize + 11) % 12]
    }

    /// The zone as `+0100`.
    pub fn zone(&self) -> String {
        let minutes = self.offset / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Days since 1970 of a date, by counting.
    fn days(year: i32, month: u8, day: u8) -> i64 {
        let leap = |year: i32| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let whole: i64 = (1970..year)
            .map(|year| if leap(year) { 366 } else { 365 })
            .sum();
        let lengths = [
            31,
            if leap(year) { 29 } else { 28 },
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
        ];
        whole + lengths[..usize::from(month) - 1].iter().sum::<i64>() + i64::from(day) - 1
    }

    #[test]
    fn local_time_and_its_offset_give_back_the_moment() {
        for seconds in [0, 951_782_400, 1_795_343_561, 4_102_444_799] {
            let local = LocalTime::of(Duration::from_secs(seconds));
            let of_day = i64::from(local.hour) * 3600
                + i64::from(local.minute) * 60
                + i64::from(local.second);
            let total = days(local.year, local.month, local.day) * 86_400 + of_day;
            assert_eq!(total - i64::from(local.offset), seconds as i64);
        }
    }

    #[test]
    fn a_zone_is_written_with_its_sign() {
        let local = LocalTime::of(Duration::ZERO);
        assert_eq!(
            LocalTime {
                offset: 5 * 3600 + 1800,
                ..local
            }
            .zone(),
            "+0530"
        );
        assert_eq!(
            LocalTime {
                offset: -3 * 3600,
                ..local
            }
            .zone(),
            "-0300"
        );
    }
}
