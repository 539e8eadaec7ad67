//! Integer patterns: values, ranges and operators (manual §7.1.2).

use rustc_hash::FxHashMap;

/// The numbers from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntRange {
    pub low: i64,
    pub high: i64,
}

impl IntRange {
    #[must_use]
    pub fn contains(self, value: i64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The comparison written before values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::expr) enum Operator {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Operator {
    pub(in crate::expr) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Self::Eq,
            "ge" => Self::Ge,
            "gt" => Self::Gt,
            "le" => Self::Le,
            "lt" => Self::Lt,
            _ => return None,
        })
    }

    /// What the operator makes of a value or range; `None` where no number satisfies it.
    pub(in crate::expr) fn apply(self, range: IntRange) -> Option<IntRange> {
        let IntRange { low, high } = range;
        Some(match self {
            Self::Eq => range,
            Self::Ge => IntRange {
                low,
                high: i64::MAX,
            },
            Self::Gt => IntRange {
                low: high.checked_add(1)?,
                high: i64::MAX,
            },
            Self::Le => IntRange {
                low: i64::MIN,
                high,
            },
            Self::Lt => IntRange {
                low: i64::MIN,
                high: low.checked_sub(1)?,
            },
        })
    }
}

/// A number, or a range with either bound left out: `80`, `1024:`, `:1023`, `3:5`.
pub(in crate::expr) fn parse_range(word: &str) -> Result<IntRange, String> {
    bounds(word, |text| text.parse().ok())
}

/// The same with numbers of two parts joined by a dot; `3.1` is 3·2¹⁶+1.
pub(in crate::expr) fn parse_version_range(word: &str) -> Result<IntRange, String> {
    let version = |text: &str| {
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        let part = |text: &str| text.parse::<u16>().ok().map(i64::from);
        Some((part(major)? << 16) + part(minor)?)
    };
    bounds(word, version)
}

fn bounds(word: &str, number: impl Fn(&str) -> Option<i64>) -> Result<IntRange, String> {
    let wrong = || format!("'{word}' is not a valid number range");
    let (low, high) = match word.split_once(':') {
        None => {
            let value = number(word)
                .ok_or_else(|| format!("'{word}' is neither a number nor a supported operator"))?;
            return Ok(IntRange {
                low: value,
                high: value,
            });
        }
        Some(("", "")) => return Err(wrong()),
        Some((low, "")) => (number(low).ok_or_else(wrong)?, i64::MAX),
        Some(("", high)) => (i64::MIN, number(high).ok_or_else(wrong)?),
        Some((low, high)) => (
            number(low).ok_or_else(wrong)?,
            number(high).ok_or_else(wrong)?,
        ),
    };
    if low > high {
        return Err(wrong());
    }
    Ok(IntRange { low, high })
}

/// An index over ranges: single values hashed, the others in a list.
#[derive(Debug, Default)]
pub(super) struct Integers {
    single: FxHashMap<i64, usize>,
    ranges: Vec<(IntRange, usize)>,
    all: Vec<IntRange>,
}

impl FromIterator<IntRange> for Integers {
    fn from_iter<I: IntoIterator<Item = IntRange>>(ranges: I) -> Self {
        let mut built = Self::default();
        for (at, range) in ranges.into_iter().enumerate() {
            built.all.push(range);
            if range.low == range.high {
                built.single.entry(range.low).or_insert(at);
            } else {
                built.ranges.push((range, at));
            }
        }
        built
    }
}

impl Integers {
    /// The first entry the value satisfies.
    pub(super) fn find(&self, value: i64) -> Option<usize> {
        let single = self.single.get(&value).copied();
        let range = self
            .ranges
            .iter()
            .find(|(range, _)| range.contains(value))
            .map(|(_, at)| *at);
        match (single, range) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    pub(super) fn all(&self) -> &[IntRange] {
        &self.all
    }
}
