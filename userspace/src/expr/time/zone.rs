//! The system's time zone: `$TZ` or `/etc/localtime`, in the format of RFC 9636.
//!
//! Read once, then pure arithmetic. Where the zone cannot be read, local time is UTC.

use std::sync::LazyLock;

use super::format::days_from_civil;

/// Seconds east of UTC at `epoch` seconds after 1970, in the system's zone.
#[must_use]
pub fn local_offset(epoch: i64) -> i32 {
    static ZONE: LazyLock<Zone> = LazyLock::new(Zone::of_system);
    ZONE.offset(epoch)
}

/// A zone's rules.
#[derive(Debug, Default)]
struct Zone {
    /// When the offset changes, and to what; ascending.
    transitions: Vec<(i64, i32)>,
    /// Before the first transition.
    first: i32,
    /// After the last one.
    rule: Option<Rule>,
}

/// A POSIX `TZ` rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summer {
    offset: i32,
    begins: Change,
    ends: Change,
}

/// When a rule changes the offset: a day, and a time of day in seconds of the local time before the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    day: Day,
    time: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// 1 to 365, February 29 never counted.
    Julian(u32),
    /// 0 to 365.
    OfYear(u32),
    /// A weekday (0 = Sunday) in week 1 to 5 (the last) of a month.
    OfMonth { month: u32, week: u32, weekday: u32 },
}

impl Zone {
    fn of_system() -> Self {
        let zone = match std::env::var("TZ") {
            Ok(name) if !name.is_empty() => Self::named(name.strip_prefix(':').unwrap_or(&name)),
            _ => std::fs::read("/etc/localtime")
                .ok()
                .and_then(|file| Self::parse(&file)),
        };
        zone.unwrap_or_default()
    }

    /// A zone by the value of `$TZ`: a file's name or a rule.
    fn named(name: &str) -> Option<Self> {
        let path = match name.starts_with('/') {
            true => name.to_owned(),
            false => format!("/usr/share/zoneinfo/{name}"),
        };
        let from_file = (!name.contains(".."))
            .then(|| std::fs::read(path).ok())
            .flatten();
        match from_file {
            Some(file) => Self::parse(&file),
            None => Some(Self {
                rule: Some(Rule::parse(name)?),
                ..Self::default()
            }),
        }
    }

    /// Reads a zone file, version 2 or later; the 32-bit data of version 1 are skipped.
    fn parse(file: &[u8]) -> Option<Self> {
        let (header, rest) = Header::parse(file)?;
        if header.version < b'2' {
            return None;
        }
        let (header, data) = Header::parse(rest.get(header.size(4)..)?)?;
        let times = data.get(..header.times * 8)?;
        let kinds = data.get(header.times * 8..header.times * 9)?;
        let types = data.get(header.times * 9..header.times * 9 + header.types * 6)?;
        let offset = |kind: usize| {
            let bytes = types.get(kind * 6..kind * 6 + 4)?;
            Some(i32::from_be_bytes(bytes.try_into().ok()?))
        };
        let transitions = times
            .chunks_exact(8)
            .zip(kinds)
            .map(|(time, kind)| {
                Some((
                    i64::from_be_bytes(time.try_into().ok()?),
                    offset((*kind).into())?,
                ))
            })
            .collect::<Option<Vec<_>>>()?;
        let footer = data.get(header.size(8)..).unwrap_or_default();
        let footer = std::str::from_utf8(footer)
            .unwrap_or_default()
            .trim_matches('\n');
        Some(Self {
            transitions,
            first: offset(0)?,
            rule: Rule::parse(footer),
        })
    }

    fn offset(&self, epoch: i64) -> i32 {
        let after = self.transitions.partition_point(|(time, _)| *time <= epoch);
        match (after.checked_sub(1), self.rule) {
            (_, Some(rule)) if after == self.transitions.len() => rule.offset(epoch),
            (Some(last), _) => self.transitions[last].1,
            (None, _) => self.first,
        }
    }
}

/// The counts at the beginning of each data block.
struct Header {
    version: u8,
    times: usize,
    types: usize,
    chars: usize,
    leaps: usize,
    standard: usize,
    universal: usize,
}

impl Header {
    fn parse(file: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = file.split_at_checked(44)?;
        let count = |at: usize| {
            let bytes: [u8; 4] = head.get(at..at + 4)?.try_into().ok()?;
            // No zone has more; a damaged file must not make the sums below overflow.
            usize::try_from(u32::from_be_bytes(bytes))
                .ok()
                .filter(|count| *count < 1 << 20)
        };
        let header = Self {
            version: head[4],
            universal: count(20)?,
            standard: count(24)?,
            leaps: count(28)?,
            times: count(32)?,
            types: count(36)?,
            chars: count(40)?,
        };
        head.starts_with(b"TZif").then_some((header, rest))
    }

    /// The length of the data after the header, where a time takes `width` bytes.
    fn size(&self, width: usize) -> usize {
        self.times * (width + 1)
            + self.types * 6
            + self.chars
            + self.leaps * (width + 4)
            + self.standard
            + self.universal
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let text = skip_name(text)?;
        let (standard, text) = clock(text)?;
        let standard = -standard;
        if text.is_empty() {
            return Some(Self {
                standard,
                summer: None,
            });
        }
        let text = skip_name(text)?;
        let (offset, text) = match clock(text) {
            Some((offset, rest)) => (-offset, rest),
            None => (standard + 3600, text),
        };
        let mut changes = text.strip_prefix(',')?.split(',');
        let begins = Change::parse(changes.next()?)?;
        let ends = Change::parse(changes.next()?)?;
        Some(Self {
            standard,
            summer: Some(Summer {
                offset,
                begins,
                ends,
            }),
        })
    }

    fn offset(self, epoch: i64) -> i32 {
        let Some(summer) = self.summer else {
            return self.standard;
        };
        let year = super::Civil::new(epoch, 0, self.standard).year;
        let begins = summer.begins.in_year(year) - i64::from(self.standard);
        let ends = summer.ends.in_year(year) - i64::from(summer.offset);
        let is_summer = if begins < ends {
            (begins..ends).contains(&epoch)
        } else {
            !(ends..begins).contains(&epoch)
        };
        if is_summer {
            summer.offset
        } else {
            self.standard
        }
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = match text.split_once('/') {
            Some((day, time)) => (day, clock(time)?.0),
            None => (text, 7200),
        };
        let day = if let Some(rest) = day.strip_prefix('M') {
            let mut parts = rest.split('.').map(str::parse);
            let mut part = || parts.next()?.ok();
            let (month, week, weekday) = (part()?, part()?, part()?);
            let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7;
            valid.then_some(Day::OfMonth {
                month,
                week,
                weekday,
            })?
        } else if let Some(rest) = day.strip_prefix('J') {
            Day::Julian(rest.parse().ok().filter(|day| (1..=365).contains(day))?)
        } else {
            Day::OfYear(day.parse().ok().filter(|day| *day <= 365)?)
        };
        Some(Self { day, time })
    }

    /// The change in local seconds since 1970.
    fn in_year(self, year: i64) -> i64 {
        let january_first = days_from_civil(year, 1, 1);
        let days = match self.day {
            Day::OfYear(day) => january_first + i64::from(day),
            Day::Julian(day) => {
                let leap = days_from_civil(year, 3, 1) - january_first == 60;
                january_first + i64::from(day) - 1 + i64::from(leap && day > 59)
            }
            Day::OfMonth {
                month,
                week,
                weekday,
            } => {
                let first = days_from_civil(year, month, 1);
                let next_month = match month {
                    12 => days_from_civil(year + 1, 1, 1),
                    _ => days_from_civil(year, month + 1, 1),
                };
                let first_weekday = (first + 4).rem_euclid(7);
                let mut day = first
                    + (i64::from(weekday) - first_weekday).rem_euclid(7)
                    + 7 * i64::from(week - 1);
                while day >= next_month {
                    day -= 7;
                }
                day
            }
        };
        days * 86_400 + i64::from(self.time)
    }
}

/// Skips a zone's abbreviation: letters, or anything between angle brackets.
fn skip_name(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (rest.len() < text.len()).then_some(rest)
}

/// `[+-]hh[:mm[:ss]]` at the beginning of a text, in seconds.
fn clock(text: &str) -> Option<(i32, &str)> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0;
    for unit in [3600, 60, 1] {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value: i32 = rest[..digits].parse().ok().filter(|value| *value <= 167)?;
        seconds += value * unit;
        rest = &rest[digits..];
        match rest.strip_prefix(':') {
            Some(more) if unit > 1 => rest = more,
            _ => break,
        }
    }
    Some((sign * seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_knows_summer_and_winter() {
        let berlin = Rule::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
        assert_eq!(berlin.offset(1_774_745_999), 3600);
        assert_eq!(berlin.offset(1_774_746_000), 7200);
        assert_eq!(berlin.offset(1_792_889_999), 7200);
        assert_eq!(berlin.offset(1_792_890_000), 3600);
        // The southern hemisphere's summer spans the new year.
        let sydney = Rule::parse("AEST-10AEDT,M10.1.0,M4.1.0/3").unwrap();
        assert_eq!(sydney.offset(1_767_225_600), 39_600);
        assert_eq!(sydney.offset(1_782_864_000), 36_000);
        assert_eq!(Rule::parse("<-03>3").unwrap().offset(0), -10_800);
        assert_eq!(Rule::parse("nonsense"), None);
    }

    #[test]
    fn a_damaged_file_is_no_zone() {
        assert!(Zone::parse(b"").is_none());
        let mut file = b"TZif2".to_vec();
        file.extend([0xff; 60]);
        assert!(Zone::parse(&file).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_and_no_rule_panic(mut bytes: Vec<u8>, rule in "[A-Z<>0-9,./:MJ+-]{0,30}", epoch: i64) {
            bytes.splice(0..0, *b"TZif2");
            if let Some(zone) = Zone::parse(&bytes) {
                zone.offset(epoch);
            }
            if let Some(rule) = Rule::parse(&rule) {
                rule.offset(epoch);
            }
        }
    }
}
