//! Patterns: what ACLs and maps compare samples with (manual §7.1).
//!
//! A [`PatternList`] holds the entries as text, under a name or an id, and may change at run time; a [`PatternSet`] is one use
//! of a list: a matching method, with an index built for it. Lookups take no lock and touch no shared cache line; a change
//! builds new indexes beside the old ones and swaps them.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use regex::bytes::Regex;

use super::{Data, Sample, SampleType, raw};

mod draft;
mod index;
mod integer;
mod list;
mod network;
mod networks;
mod regex_syntax;

pub use draft::Draft;
use index::Index;
pub(super) use index::parse_hex;
pub use integer::IntRange;
pub(super) use integer::Operator;
pub use list::{Entry, ListKind, PatternList, Patterns, split_line};
pub(super) use network::is_network;
pub use network::parse_network;
pub use networks::Networks;
pub use regex_syntax::{Case, compile_regex};

/// The matching methods (manual §7.1, flag `-m`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Match {
    Found,
    Bool,
    Int,
    /// Two numbers joined by a dot (`req.ssl_ver 3:3.1`).
    Version,
    Ip,
    Bin,
    Len,
    Str,
    Sub,
    Beg,
    End,
    Dir,
    Dom,
    Reg,
    /// HTTP methods.
    Method,
    /// Groups of the authenticated user (`http_auth_group`).
    Group,
}

impl Match {
    /// The method for a word after `-m`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, method)| *method)
    }

    /// The word after `-m`; the methods only keywords imply have none.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, method)| *method == self);
        named.map_or("", |(name, _)| name)
    }

    /// What `-m` takes.
    pub const NAMES: [(&'static str, Self); 13] = [
        ("found", Self::Found),
        ("bool", Self::Bool),
        ("int", Self::Int),
        ("ip", Self::Ip),
        ("bin", Self::Bin),
        ("len", Self::Len),
        ("str", Self::Str),
        ("sub", Self::Sub),
        ("beg", Self::Beg),
        ("end", Self::End),
        ("dir", Self::Dir),
        ("dom", Self::Dom),
        ("reg", Self::Reg),
    ];

    /// The method used without `-m`; none for binary samples and those whose type is not known.
    #[must_use]
    pub fn default_for(kind: SampleType) -> Option<Self> {
        match kind {
            SampleType::Bool => Some(Self::Bool),
            SampleType::Int => Some(Self::Int),
            SampleType::Address | SampleType::Ipv4 | SampleType::Ipv6 => Some(Self::Ip),
            SampleType::Str => Some(Self::Str),
            SampleType::Any | SampleType::Bin | SampleType::Method => None,
        }
    }

    /// The type a sample is cast to before it is compared.
    #[must_use]
    pub fn sample_type(self) -> SampleType {
        match self {
            Self::Found => SampleType::Any,
            Self::Bool => SampleType::Bool,
            Self::Int | Self::Version => SampleType::Int,
            Self::Ip => SampleType::Address,
            Self::Bin => SampleType::Bin,
            Self::Method => SampleType::Method,
            _ => SampleType::Str,
        }
    }

    /// Whether patterns are compared at all.
    #[must_use]
    pub fn takes_patterns(self) -> bool {
        !matches!(self, Self::Found | Self::Bool)
    }
}

/// The type of a map's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapOutput {
    /// An ACL: no values.
    None,
    Str,
    Int,
    Ip,
    /// The matched key itself.
    Key,
}

/// One use of a pattern list with a matching method.
pub struct PatternSet {
    matching: Match,
    case: Case,
    output: MapOutput,
    list: Arc<PatternList>,
    index: ArcSwap<Compiled>,
}

/// An entry that is no pattern of the kind asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// The entry's place in its list.
    pub place: usize,
    pub message: String,
}

impl PatternError {
    /// Adds the line of an entry that was read from a file.
    fn new(place: usize, entry: &Entry, message: String) -> Self {
        let message = match entry.line {
            0 => message,
            line => format!("{message} at line {line}"),
        };
        Self { place, message }
    }
}

/// The entries of a list, ready to be matched.
struct Compiled {
    index: Index,
    /// One per entry of the list, where the set is a map.
    values: Vec<Sample<'static>>,
    /// The patterns' text.
    entries: Arc<[Arc<Entry>]>,
    /// That of those added since; their places count on.
    later: Vec<Arc<Entry>>,
}

/// What a map lookup found.
#[derive(Debug)]
pub struct Hit {
    pub value: Sample<'static>,
    /// The expression that matched, for maps of regexes.
    pub regex: Option<Regex>,
}

impl PatternSet {
    /// Compiles the entries of `list`.
    ///
    /// # Errors
    /// The first entry that is no pattern of this kind.
    pub fn new(
        matching: Match,
        case: Case,
        output: MapOutput,
        list: &Arc<PatternList>,
    ) -> Result<Arc<Self>, PatternError> {
        list.attach(|entries| {
            Ok(Self {
                matching,
                case,
                output,
                list: Arc::clone(list),
                index: ArcSwap::from_pointee(Compiled::new(matching, case, output, entries)?),
            })
        })
    }

    /// Whether some pattern matches.
    #[must_use]
    pub fn matches(&self, sample: &Sample<'_>) -> bool {
        self.find(&self.index.load(), sample).is_some()
    }

    /// The value of the entry that matches.
    #[must_use]
    pub fn lookup(&self, sample: &Sample<'_>) -> Option<Hit> {
        let compiled = self.index.load();
        let at = self.find(&compiled, sample)?;
        Some(Hit {
            value: compiled.values.get(at)?.clone(),
            regex: compiled.index.regex(at),
        })
    }

    /// The patterns as they are written, in order.
    pub fn texts(&self, mut show: impl FnMut(&str) -> bool) -> bool {
        let compiled = self.index.load();
        let mut entries = compiled.entries.iter().chain(&compiled.later);
        entries.any(|entry| show(&entry.pattern))
    }

    fn find(&self, compiled: &Compiled, sample: &Sample<'_>) -> Option<usize> {
        match self.matching {
            Match::Found => Some(0),
            Match::Bool => match cast(sample, SampleType::Bool)? {
                Sample::Bool(true) => Some(0),
                _ => None,
            },
            Match::Int | Match::Version => match cast(sample, SampleType::Int)? {
                Sample::Int(value) => compiled.index.int(value),
                _ => None,
            },
            Match::Ip => match cast(sample, SampleType::Address)? {
                Sample::Ip(address) => compiled.index.address(address),
                _ => None,
            },
            Match::Len => compiled
                .index
                .int(text(sample, SampleType::Str)?.len() as i64),
            Match::Bin => compiled.index.text(&text(sample, SampleType::Bin)?),
            Match::Method => compiled.index.text(&text(sample, SampleType::Method)?),
            _ => compiled.index.text(&text(sample, SampleType::Str)?),
        }
    }

    /// Compiles other entries in the same way.
    fn compile(&self, entries: &[Arc<Entry>]) -> Result<Compiled, PatternError> {
        Compiled::new(self.matching, self.case, self.output, entries)
    }

    /// Compiles what the entries have become: `added` are new at their end, those with the numbers `removed` are gone. A
    /// small change of a large set of networks does not read the others again.
    fn follow(
        &self,
        entries: &[Arc<Entry>],
        added: &[Arc<Entry>],
        removed: &[u64],
    ) -> Result<Compiled, PatternError> {
        let changed = match self.output {
            MapOutput::None => self.index.load().changed(added, removed)?,
            _ => None,
        };
        changed.map_or_else(|| self.compile(entries), Ok)
    }

    /// Replaces the entries for every lookup from now on.
    fn publish(&self, compiled: Compiled) {
        self.index.store(Arc::new(compiled));
    }
}

/// What the offload compiler and the runtime API ask.
impl PatternSet {
    #[must_use]
    pub fn matching(&self) -> Match {
        self.matching
    }

    #[must_use]
    pub fn case(&self) -> Case {
        self.case
    }

    /// The type of the values, where the set is a map.
    #[must_use]
    pub fn output(&self) -> MapOutput {
        self.output
    }

    /// The entry that matches.
    #[must_use]
    pub fn entry(&self, sample: &Sample<'_>) -> Option<Arc<Entry>> {
        let compiled = self.index.load();
        let at = self.find(&compiled, sample)?;
        compiled.entry(at).cloned()
    }

    /// The list the patterns come from.
    #[must_use]
    pub fn list(&self) -> &Arc<PatternList> {
        &self.list
    }

    /// The networks of a set of addresses as they are now. `None` where the set is of another kind.
    #[must_use]
    pub fn networks(&self) -> Option<Networks> {
        self.index.load().index.networks().cloned()
    }

    /// The ranges of a set of integers or lengths. `None` where the set is of another kind.
    #[must_use]
    pub fn ranges(&self) -> Option<Vec<IntRange>> {
        self.index.load().index.ranges()
    }
}

impl fmt::Debug for PatternSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?} {:?} of {:?}",
            self.matching, self.case, self.list
        )
    }
}

impl Compiled {
    fn new(
        matching: Match,
        case: Case,
        output: MapOutput,
        entries: &[Arc<Entry>],
    ) -> Result<Self, PatternError> {
        let value = |(place, entry): (usize, &Arc<Entry>)| {
            value(output, entry).map_err(|message| PatternError::new(place, entry, message))
        };
        let values = match output {
            MapOutput::None => Vec::new(),
            _ => entries
                .iter()
                .enumerate()
                .map(value)
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            index: Index::new(matching, case, entries)?,
            values,
            entries: entries.into(),
            later: Vec::new(),
        })
    }

    /// The same after a small change, where the index has a shorter way than to begin anew.
    fn changed(&self, added: &[Arc<Entry>], removed: &[u64]) -> Result<Option<Self>, PatternError> {
        if added.len() + removed.len() > networks::BESIDE {
            return Ok(None);
        }
        let first = self.entries.len();
        let place = |id: &u64| {
            let in_base = self.entries.binary_search_by_key(id, |entry| entry.id);
            let later = || self.later.iter().position(|entry| entry.id == *id);
            in_base.ok().or_else(|| later().map(|at| first + at))
        };
        let places: Vec<usize> = removed.iter().filter_map(place).collect();
        let index = self.index.changed(added, &places)?;
        let kept = self
            .later
            .iter()
            .filter(|entry| !removed.contains(&entry.id));
        Ok(index.map(|index| Self {
            index,
            values: Vec::new(),
            entries: Arc::clone(&self.entries),
            later: kept.chain(added).cloned().collect(),
        }))
    }

    fn entry(&self, at: usize) -> Option<&Arc<Entry>> {
        let later = at.checked_sub(self.entries.len());
        later.map_or_else(|| self.entries.get(at), |at| self.later.get(at))
    }
}

/// The value of a map's entry in the type the map yields.
fn value(output: MapOutput, entry: &Entry) -> Result<Sample<'static>, String> {
    let text = match output {
        MapOutput::Key => &entry.pattern,
        _ => entry.value.as_ref().unwrap_or(&entry.pattern),
    };
    let wrong = |what| format!("'{text}' is not {what}");
    Ok(match output {
        MapOutput::Int => Sample::Int(text.parse().map_err(|_| wrong("a valid integer"))?),
        MapOutput::Ip => Sample::Ip(
            text.parse::<IpAddr>()
                .map_err(|_| wrong("a valid IP address"))?,
        ),
        _ => Sample::str(raw::bytes(text).into_owned()).into_shared(),
    })
}

fn cast<'a>(sample: &'a Sample<'_>, target: SampleType) -> Option<Sample<'a>> {
    sample.reborrow().cast(target)
}

/// The sample as the bytes a string or binary pattern is compared with.
fn text<'a>(sample: &'a Sample<'_>, target: SampleType) -> Option<Cow<'a, [u8]>> {
    match cast(sample, target)? {
        Sample::Str(data) | Sample::Bin(data) | Sample::Method(data) => Some(match data {
            Data::Borrowed(bytes) => Cow::Borrowed(bytes),
            other => Cow::Owned(other.into_vec()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
