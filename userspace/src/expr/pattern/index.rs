//! The index each matching method searches.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use memchr::memmem::Finder;
use regex::bytes::Regex;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::integer::{Integers, Operator, parse_range, parse_version_range};
use super::network;
use super::networks::Networks;
use super::{Case, Entry, IntRange, Match, PatternError, compile_regex};
use crate::expr::raw;
use crate::proto::http::Method;

/// Patterns of one kind, ready to be searched. Lookups answer the place of the entry in its list.
pub(super) enum Index {
    Nothing,
    Exact(Case, FxHashMap<Box<[u8]>, usize>),
    Prefixes(Case, Affixes),
    Suffixes(Case, Affixes),
    Substrings(Case, Vec<Finder<'static>>),
    /// Parts between delimiters.
    Parts(Case, &'static [u8], Vec<Finder<'static>>),
    Regexes(Vec<Regex>),
    Integers(Integers),
    Networks(Networks),
    Methods(Case, Vec<Box<[u8]>>),
}

/// What separates the parts of a string for `dir`.
const PATH_DELIMITERS: &[u8] = b"/?";
/// The same for `dom`.
const DOMAIN_DELIMITERS: &[u8] = b"/?.:";

impl Index {
    pub(super) fn new(
        matching: Match,
        case: Case,
        entries: &[Arc<Entry>],
    ) -> Result<Self, PatternError> {
        let fold = |entry: &Arc<Entry>| case.fold(&raw::bytes(&entry.pattern)).into_owned();
        let finders = |trim: &'static [u8]| {
            entries
                .iter()
                .map(|entry| Finder::new(trim_delimiters(&fold(entry), trim)).into_owned())
                .collect()
        };
        Ok(match matching {
            Match::Found | Match::Bool | Match::Group => Self::Nothing,
            Match::Str => Self::Exact(case, exact(entries.iter().map(fold))),
            Match::Bin => Self::Exact(
                Case::Sensitive,
                exact(parse_all(entries, parse_hex)?.into_iter()),
            ),
            Match::Beg => Self::Prefixes(case, Affixes::new(entries.iter().map(fold))),
            Match::End => {
                let reversed = |entry| {
                    let mut text: Vec<u8> = fold(entry);
                    text.reverse();
                    text
                };
                Self::Suffixes(case, Affixes::new(entries.iter().map(reversed)))
            }
            Match::Sub => Self::Substrings(case, finders(b"")),
            Match::Dir => Self::Parts(case, PATH_DELIMITERS, finders(PATH_DELIMITERS)),
            Match::Dom => Self::Parts(case, DOMAIN_DELIMITERS, finders(DOMAIN_DELIMITERS)),
            Match::Reg => Self::Regexes(parse_all(entries, |text| compile_regex(text, case))?),
            Match::Int | Match::Len => {
                let ranges = parse_all(entries, |text| comparison(text, parse_range))?;
                Self::Integers(ranges.into_iter().collect())
            }
            Match::Version => {
                let ranges = parse_all(entries, |text| comparison(text, parse_version_range))?;
                Self::Integers(ranges.into_iter().collect())
            }
            Match::Ip => Self::Networks(Networks::new(&parse_all(entries, parse_network)?)),
            Match::Method => Self::Methods(
                case,
                entries
                    .iter()
                    .map(|entry| entry.pattern.as_bytes().into())
                    .collect(),
            ),
        })
    }

    pub(super) fn text(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(case, patterns) => patterns.get(&*case.fold(text)).copied(),
            // The finest match of a tree, but the first one of a list (manual, `map`).
            Self::Prefixes(case, patterns) => {
                let text = case.fold(text);
                patterns.around(|| text.iter()).next()
            }
            Self::Suffixes(case, patterns) => {
                let text = case.fold(text);
                patterns.around(|| text.iter().rev()).min()
            }
            Self::Substrings(case, patterns) => {
                let text = case.fold(text);
                patterns
                    .iter()
                    .position(|pattern| pattern.find(&text).is_some())
            }
            Self::Parts(case, delimiters, patterns) => {
                let text = case.fold(text);
                patterns
                    .iter()
                    .position(|pattern| has_part(&text, pattern, delimiters))
            }
            Self::Regexes(patterns) => patterns.iter().position(|pattern| pattern.is_match(text)),
            Self::Methods(case, patterns) => patterns
                .iter()
                .position(|pattern| same_method(text, pattern, *case)),
            Self::Nothing | Self::Integers(_) | Self::Networks(_) => None,
        }
    }

    pub(super) fn int(&self, value: i64) -> Option<usize> {
        match self {
            Self::Integers(patterns) => patterns.find(value),
            _ => None,
        }
    }

    pub(super) fn address(&self, address: IpAddr) -> Option<usize> {
        match self {
            Self::Networks(patterns) => patterns.find(address),
            _ => None,
        }
    }

    /// The regex of an entry.
    pub(super) fn regex(&self, at: usize) -> Option<Regex> {
        match self {
            Self::Regexes(patterns) => patterns.get(at).cloned(),
            _ => None,
        }
    }

    pub(super) fn networks(&self) -> Option<&Networks> {
        match self {
            Self::Networks(patterns) => Some(patterns),
            _ => None,
        }
    }

    /// The index after a small change, where that is faster than a new one: `added` come last, `removed` are the places of
    /// those that go. `None` where it is not.
    pub(super) fn changed(
        &self,
        added: &[Arc<Entry>],
        removed: &[usize],
    ) -> Result<Option<Self>, PatternError> {
        let Self::Networks(networks) = self else {
            return Ok(None);
        };
        let added = parse_all(added, parse_network)?;
        Ok(networks.changed(&added, removed).map(Self::Networks))
    }

    pub(super) fn ranges(&self) -> Option<Vec<IntRange>> {
        match self {
            Self::Integers(patterns) => Some(patterns.all().to_vec()),
            _ => None,
        }
    }
}

/// Patterns for one end of the text, in sorted order, each linked to the longest other one that stands at its own end.
#[derive(Debug, Default)]
pub(super) struct Affixes {
    sorted: Vec<Affix>,
}

#[derive(Debug)]
struct Affix {
    /// For suffixes, written backwards.
    text: Box<[u8]>,
    /// The place of the entry in its list.
    at: usize,
    parent: Option<usize>,
}

impl Affixes {
    fn new(patterns: impl Iterator<Item = Vec<u8>>) -> Self {
        let mut all: Vec<_> = patterns.enumerate().map(|(at, text)| (text, at)).collect();
        all.sort();
        all.dedup_by(|next, kept| next.0 == kept.0);
        let mut sorted: Vec<Affix> = Vec::with_capacity(all.len());
        for (text, at) in all {
            let mut parent = sorted.len().checked_sub(1);
            while let Some(candidate) =
                parent.filter(|candidate| !text.starts_with(&sorted[*candidate].text))
            {
                parent = sorted[candidate].parent;
            }
            sorted.push(Affix {
                text: text.into(),
                at,
                parent,
            });
        }
        Self { sorted }
    }

    /// The patterns at the beginning of a text, the longest first. `text` reads it from that end as often as needed.
    fn around<'a, T>(&'a self, text: impl Fn() -> T + 'a) -> impl Iterator<Item = usize> + 'a
    where
        T: Iterator<Item = &'a u8>,
    {
        let before = self
            .sorted
            .partition_point(|affix| affix.text.iter().le(text()))
            .checked_sub(1);
        std::iter::successors(before, |at| self.sorted[*at].parent)
            .map(|at| &self.sorted[at])
            .filter(move |affix| affix.text.iter().eq(text().take(affix.text.len())))
            .map(|affix| affix.at)
    }
}

fn exact(patterns: impl Iterator<Item = Vec<u8>>) -> FxHashMap<Box<[u8]>, usize> {
    let mut map = FxHashMap::with_capacity_and_hasher(patterns.size_hint().0, FxBuildHasher);
    for (at, pattern) in patterns.enumerate() {
        map.entry(pattern.into()).or_insert(at);
    }
    map
}

/// Whether the pattern stands in the text between delimiters or ends (manual §7.1.3, `dir` and `dom`).
fn has_part(text: &[u8], pattern: &Finder<'_>, delimiters: &[u8]) -> bool {
    let length = pattern.needle().len();
    if length == 0 {
        return false;
    }
    let is_border = |byte: Option<&u8>| byte.is_none_or(|byte| delimiters.contains(byte));
    let mut from = 0;
    while let Some(found) = pattern.find(&text[from..]) {
        let at = from + found;
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        if is_border(before) && is_border(text.get(at + length)) {
            return true;
        }
        from = at + 1;
    }
    false
}

fn trim_delimiters<'a>(mut text: &'a [u8], delimiters: &[u8]) -> &'a [u8] {
    while let [first, rest @ ..] = text
        && delimiters.contains(first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && delimiters.contains(last)
    {
        text = rest;
    }
    text
}

/// Known methods are compared exactly, others as the case flag says.
fn same_method(method: &[u8], pattern: &[u8], case: Case) -> bool {
    let unknown = |name: &[u8]| Method::parse(name) == Method::Other;
    method == pattern
        || (case == Case::Ignored
            && unknown(method)
            && unknown(pattern)
            && method.eq_ignore_ascii_case(pattern))
}

/// Parses every entry, or says which one cannot be.
fn parse_all<T>(
    entries: &[Arc<Entry>],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, PatternError> {
    let parse = |(place, entry): (usize, &Arc<Entry>)| {
        parse(&entry.pattern).map_err(|message| PatternError::new(place, entry, message))
    };
    entries.iter().enumerate().map(parse).collect()
}

fn parse_network(text: &str) -> Result<network::Network, String> {
    network::parse(text).ok_or_else(|| format!("'{text}' is not a valid IPv4 or IPv6 address"))
}

/// Bytes written as pairs of hexadecimal digits.
pub(in crate::expr) fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .map(|digit| digit as u8)
            .ok_or_else(|| format!("an hex digit is expected (found '{}')", byte as char))
    };
    if !text.len().is_multiple_of(2) {
        return Err("an even number of hex digit is expected".into());
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect()
}

/// An integer pattern with the operator that stood before it, as in `gt 100`.
fn comparison(
    text: &str,
    parse: impl Fn(&str) -> Result<IntRange, String>,
) -> Result<IntRange, String> {
    let (operator, number) = match text.split_once(' ') {
        Some((word, number)) => (Operator::parse(word), number.trim_start()),
        None => (Some(Operator::Eq), text),
    };
    let operator =
        operator.ok_or_else(|| format!("'{text}' is neither a number nor a supported operator"))?;
    // A comparison no number satisfies keeps its place as an empty range.
    let never = IntRange { low: 1, high: 0 };
    Ok(operator.apply(parse(number)?).unwrap_or(never))
}

impl Case {
    /// The text in the form in which it is compared.
    pub(super) fn fold(self, text: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Ignored if text.iter().any(u8::is_ascii_uppercase) => {
                Cow::Owned(text.to_ascii_lowercase())
            }
            _ => Cow::Borrowed(text),
        }
    }
}
