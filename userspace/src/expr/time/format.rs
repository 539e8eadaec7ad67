//! Calendar fields, and the formats made of them.

use std::io::Write;

/// A moment taken apart into calendar fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    pub micros: u32,
    /// 0 is Sunday.
    pub weekday: u32,
    /// 0 to 365.
    pub day_of_year: u32,
    /// Seconds east of UTC.
    pub offset: i32,
    /// Seconds since 1970, UTC.
    pub epoch: i64,
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Civil {
    /// The calendar at `epoch` seconds after 1970 in a zone `offset` seconds east of UTC.
    #[must_use]
    pub fn new(epoch: i64, micros: u32, offset: i32) -> Self {
        // Keeps the arithmetic below inside 64 bits; no calendar reaches further.
        let local = epoch.clamp(-LIMIT, LIMIT) + i64::from(offset);
        let days = local.div_euclid(86_400);
        let seconds = local.rem_euclid(86_400) as u32;
        let (year, month, day) = civil_from_days(days);
        Self {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            micros,
            weekday: (days + 4).rem_euclid(7) as u32,
            day_of_year: (days - days_from_civil(year, 1, 1)) as u32,
            offset,
            epoch,
        }
    }

    /// The three letters of the month.
    #[must_use]
    pub fn month_name(&self) -> &'static str {
        &MONTHS[self.month as usize - 1][..3]
    }

    /// Writes the moment in a `strftime` format. `%N` is the fraction of the second in nanoseconds, and a digit before `N`
    /// cuts it (`%3N`: milliseconds). Unknown sequences are copied.
    pub fn strftime(&self, format: &str, out: &mut Vec<u8>) {
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            match chars.next() {
                Some(field) if self.field(field, out) => {}
                Some(digits @ '1'..='9') if chars.as_str().starts_with('N') => {
                    chars.next();
                    let text = format!("{:06}000", self.micros);
                    out.extend_from_slice(&text.as_bytes()[..digits as usize - '0' as usize]);
                }
                Some('E' | 'O') => {
                    // Locale variants are the plain fields.
                    if let Some(field) = chars.next() {
                        self.field(field, out);
                    }
                }
                Some(other) => {
                    out.push(b'%');
                    out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => out.push(b'%'),
            }
        }
    }

    /// Writes one field; `false` where the letter means nothing.
    fn field(&self, field: char, out: &mut Vec<u8>) -> bool {
        let day = DAYS[self.weekday as usize];
        let month = MONTHS[self.month as usize - 1];
        let hour12 = (self.hour + 11) % 12 + 1;
        // Writing to a vector cannot fail.
        let _ = match field {
            'a' => write!(out, "{}", &day[..3]),
            'A' => write!(out, "{day}"),
            'b' | 'h' => write!(out, "{}", &month[..3]),
            'B' => write!(out, "{month}"),
            'c' => {
                self.strftime("%a %b %e %H:%M:%S %Y", out);
                Ok(())
            }
            'C' => write!(out, "{:02}", self.year.div_euclid(100)),
            'd' => write!(out, "{:02}", self.day),
            'D' | 'x' => write!(
                out,
                "{:02}/{:02}/{:02}",
                self.month,
                self.day,
                self.year.rem_euclid(100)
            ),
            'e' => write!(out, "{:2}", self.day),
            'F' => write!(out, "{}-{:02}-{:02}", self.year, self.month, self.day),
            'g' => write!(out, "{:02}", self.iso_week().0.rem_euclid(100)),
            'G' => write!(out, "{}", self.iso_week().0),
            'H' => write!(out, "{:02}", self.hour),
            'I' => write!(out, "{hour12:02}"),
            'j' => write!(out, "{:03}", self.day_of_year + 1),
            'k' => write!(out, "{:2}", self.hour),
            'l' => write!(out, "{hour12:2}"),
            'm' => write!(out, "{:02}", self.month),
            'M' => write!(out, "{:02}", self.minute),
            'n' => writeln!(out),
            'N' => write!(out, "{:06}000", self.micros),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'P' => write!(out, "{}", if self.hour < 12 { "am" } else { "pm" }),
            'r' => {
                self.strftime("%I:%M:%S %p", out);
                Ok(())
            }
            'R' => write!(out, "{:02}:{:02}", self.hour, self.minute),
            's' => write!(out, "{}", self.epoch),
            'S' => write!(out, "{:02}", self.second),
            't' => write!(out, "\t"),
            'T' | 'X' => write!(
                out,
                "{:02}:{:02}:{:02}",
                self.hour, self.minute, self.second
            ),
            'u' => write!(out, "{}", (self.weekday + 6) % 7 + 1),
            'U' => write!(out, "{:02}", (self.day_of_year + 7 - self.weekday) / 7),
            'V' => write!(out, "{:02}", self.iso_week().1),
            'w' => write!(out, "{}", self.weekday),
            'W' => write!(
                out,
                "{:02}",
                (self.day_of_year + 7 - (self.weekday + 6) % 7) / 7
            ),
            'y' => write!(out, "{:02}", self.year.rem_euclid(100)),
            'Y' => write!(out, "{}", self.year),
            'z' => {
                let minutes = self.offset.unsigned_abs() / 60;
                let sign = if self.offset < 0 { '-' } else { '+' };
                write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
            }
            'Z' if self.offset == 0 => write!(out, "UTC"),
            '%' => write!(out, "%"),
            _ => return false,
        };
        true
    }

    /// ISO 8601's year and week.
    fn iso_week(&self) -> (i64, u32) {
        let monday_based = (self.weekday + 6) % 7;
        let week = (self.day_of_year + 10 - (monday_based + 1)) / 7;
        let weeks_in = |year: i64| {
            let january_first = (days_from_civil(year, 1, 1) + 4).rem_euclid(7);
            if january_first == 4 || (january_first == 3 && is_leap(year)) {
                53
            } else {
                52
            }
        };
        match week {
            0 => (self.year - 1, weeks_in(self.year - 1)),
            53 if weeks_in(self.year) < 53 => (self.year + 1, 1),
            _ => (self.year, week),
        }
    }
}

/// A date as HTTP headers have it: `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(epoch: i64) -> String {
    let date = Civil::new(epoch, 0, 0);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        &DAYS[date.weekday as usize][..3],
        date.day,
        date.month_name(),
        date.year,
        date.hour,
        date.minute,
        date.second
    )
}

/// Reads an IMF, RFC 850 or asctime date (RFC 9110 §5.6.7) as seconds since 1970.
#[must_use]
pub fn parse_http_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Seconds; about 29,000 years either way.
const LIMIT: i64 = 1 << 40;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years are counted from March so that the leap day comes last.
pub(super) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The date `days` after 1970-01-01, as (year, month, day).
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = (if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    }) as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(epoch: i64, offset: i32, format: &str) -> String {
        let mut out = Vec::new();
        Civil::new(epoch, 123_456, offset).strftime(format, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_dates_come_out_right() {
        let cases = [
            (0, 0, "%F %T %a %j %u %w", "1970-01-01 00:00:00 Thu 001 4 4"),
            (
                784_111_777,
                0,
                "%a, %d %b %Y %H:%M:%S",
                "Sun, 06 Nov 1994 08:49:37",
            ),
            (
                951_782_400,
                0,
                "%d/%b/%Y:%H:%M:%S %z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                951_782_400,
                -16_200,
                "%d/%b/%Y:%H:%M:%S %z",
                "28/Feb/2000:19:30:00 -0430",
            ),
            (1_104_537_600, 0, "%G-W%V %U %W %y", "2004-W53 00 00 05"),
            (1_230_681_600, 0, "%G-W%V", "2009-W01"),
            (0, 0, "%3N %6N %N %% %Q", "123 123456 123456000 % %Q"),
            (-1, 0, "%F %T", "1969-12-31 23:59:59"),
            (46_800, 0, "%I %p %l %k %e", "01 PM  1 13  1"),
        ];
        for (epoch, offset, format, expected) in cases {
            assert_eq!(
                formatted(epoch, offset, format),
                expected,
                "{epoch} {format}"
            );
        }
    }

    #[test]
    fn http_dates_are_written_and_read_back() {
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(
                parse_http_date(text.as_bytes()),
                Some(784_111_777),
                "{text}"
            );
        }
        assert_eq!(parse_http_date(b"yesterday"), None);
    }

    proptest::proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -1_000_000i64..1_000_000) {
            let (year, month, day) = civil_from_days(days);
            proptest::prop_assert_eq!(days_from_civil(year, month, day), days);
            proptest::prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }

        #[test]
        fn no_format_and_no_time_panics(epoch: i64, format in ".{0,20}") {
            formatted(epoch, 3600, &format);
        }
    }
}
