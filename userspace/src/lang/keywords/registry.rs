//! What a keyword is, and how the right one is found for a statement.
//!
//! Every keyword of a section is one [`Keyword`] constant in a file of its family; dispatch, allowed sections,
//! suggestions, `-dKall` and the reference derive from it.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::args::{Args, Parsed};
use super::cache::CacheDraft;
use super::catalogue::State;
use super::context::Context;
use super::crt_store::StoreDraft;
use super::draft::ProxyDraft;
use super::peers::PeersDraft;
use super::unsupported::{NO_OPS, REFUSED, Row};
use super::userlist::UserlistDraft;
use crate::lang::ast::{Line, SectionKind, Word};
use crate::model::{HttpErrors, LogProfile, Proxy, Resolvers};

/// One keyword of a section.
pub(crate) struct Keyword {
    /// Its words, with one space between them.
    pub name: &'static str,
    /// Where it may stand.
    pub sections: Sections,
    /// Its arguments, in the manual's notation.
    pub args: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    pub(in crate::lang) effect: Effect,
}

impl Keyword {
    /// One of the `global` section.
    pub(super) const fn global(
        name: &'static str,
        args: &'static str,
        doc: &'static str,
        parse: fn(&mut Args<'_>, &mut Context<'_>) -> Parsed,
    ) -> Self {
        Self {
            name,
            sections: Sections::GLOBAL,
            args,
            doc,
            effect: Effect::Global(parse),
        }
    }
}

/// What happens when a keyword is read.
pub(in crate::lang) enum Effect {
    /// Changes the `global` section's settings.
    Global(fn(&mut Args<'_>, &mut Context<'_>) -> Parsed),
    /// Changes the proxy being read.
    Proxy(fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed),
    /// Switches something of a proxy on; `no` in front switches it off. No arguments.
    Flag(fn(&mut Proxy) -> &mut bool),
    /// As [`Self::Proxy`], and `no` in front calls the second function.
    Switch(
        fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
        fn(&mut ProxyDraft),
    ),
    /// Adds to a userlist.
    Userlist(fn(&mut Args<'_>, &mut UserlistDraft) -> Parsed),
    /// Adds to an `http-errors` section.
    HttpErrors(fn(&mut Args<'_>, &mut HttpErrors, &mut Context<'_>) -> Parsed),
    /// Adds to a `cache` section.
    Cache(fn(&mut Args<'_>, &mut CacheDraft) -> Parsed),
    /// Adds to a `log-profile` section.
    LogProfile(fn(&mut Args<'_>, &mut LogProfile, &mut Context<'_>) -> Parsed),
    /// Adds to a `crt-store` section.
    CrtStore(fn(&mut Args<'_>, &mut StoreDraft, &mut Context<'_>) -> Parsed),
    /// Adds to a `peers` section.
    Peers(fn(&mut Args<'_>, &mut PeersDraft, &mut Context<'_>) -> Parsed),
    /// Adds to a `resolvers` section.
    Resolvers(fn(&mut Args<'_>, &mut Resolvers, &mut Context<'_>) -> Parsed),
    /// Accepted without effect, for the reason given: what it tunes does not exist here.
    NoOp(&'static str),
    /// Known, but this version cannot do it; what to do instead.
    Refused(&'static str),
}

/// A set of section kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sections(u16);

impl Sections {
    /// `global`
    pub(crate) const GLOBAL: Self = Self(1);
    /// `defaults`
    pub(crate) const DEFAULTS: Self = Self(2);
    /// `frontend`
    pub(crate) const FRONTEND: Self = Self(4);
    /// `listen`
    pub(crate) const LISTEN: Self = Self(8);
    /// `backend`
    pub(crate) const BACKEND: Self = Self(16);
    /// `userlist`
    pub(crate) const USERLIST: Self = Self(32);
    /// `http-errors`
    pub(crate) const HTTP_ERRORS: Self = Self(64);
    /// `cache`
    pub(crate) const CACHE: Self = Self(128);
    /// `log-profile`
    pub(crate) const LOG_PROFILE: Self = Self(256);
    /// `resolvers`
    pub(crate) const RESOLVERS: Self = Self(512);
    /// `ring`
    pub(crate) const RING: Self = Self(1024);
    /// `log-forward`
    pub(crate) const LOG_FORWARD: Self = Self(2048);
    /// `crt-store`
    pub(crate) const CRT_STORE: Self = Self(4096);
    /// `healthcheck`
    pub(crate) const HEALTHCHECK: Self = Self(8192);
    /// `peers`
    pub(crate) const PEERS: Self = Self(16_384);
    /// Everything with a client side, and `defaults`.
    pub(crate) const FRONT: Self = Self::DEFAULTS.or(Self::FRONTEND).or(Self::LISTEN);
    /// Everything with servers, and `defaults`.
    pub(crate) const BACK: Self = Self::DEFAULTS.or(Self::LISTEN).or(Self::BACKEND);
    /// Every proxy, and `defaults`.
    pub(crate) const ANY_PROXY: Self = Self::FRONT.or(Self::BACK);
    /// Every proxy, but not `defaults`.
    pub(crate) const PROXY_ONLY: Self = Self::FRONTEND.or(Self::LISTEN).or(Self::BACKEND);

    /// Both sets.
    #[must_use]
    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set of one section kind.
    pub(crate) const fn of(kind: SectionKind) -> Self {
        match kind {
            SectionKind::Global => Self::GLOBAL,
            SectionKind::Defaults => Self::DEFAULTS,
            SectionKind::Frontend => Self::FRONTEND,
            SectionKind::Backend => Self::BACKEND,
            SectionKind::Listen => Self::LISTEN,
            SectionKind::Userlist => Self::USERLIST,
            SectionKind::HttpErrors => Self::HTTP_ERRORS,
            SectionKind::Cache => Self::CACHE,
            SectionKind::LogProfile => Self::LOG_PROFILE,
            SectionKind::Resolvers => Self::RESOLVERS,
            SectionKind::Ring => Self::RING,
            SectionKind::LogForward => Self::LOG_FORWARD,
            SectionKind::CrtStore => Self::CRT_STORE,
            SectionKind::Healthcheck => Self::HEALTHCHECK,
            SectionKind::Peers => Self::PEERS,
            SectionKind::Unsupported(_) => Self(0),
        }
    }

    /// Whether the two sets share a section.
    pub(crate) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a search for a statement's keyword found.
pub(in crate::lang) enum Found {
    /// The keyword, allowed here.
    Keyword(&'static Keyword),
    /// The keyword exists, but not in this section.
    Elsewhere(&'static Keyword),
    /// The first words are right: these could have followed.
    Partly(Vec<&'static str>),
    /// Nothing.
    Unknown,
}

/// Every keyword of every section, in the order of the families.
pub(in crate::lang) fn all() -> impl Iterator<Item = &'static Keyword> {
    static ROWS: LazyLock<Vec<Keyword>> = LazyLock::new(|| {
        let no_ops = NO_OPS
            .iter()
            .map(|row| Keyword::from_row(row, "Accepted without effect.", Effect::NoOp(row.2)));
        let refused = REFUSED
            .iter()
            .map(|row| Keyword::from_row(row, "Not in this version.", Effect::Refused(row.2)));
        no_ops.chain(refused).collect()
    });
    super::FAMILIES.iter().copied().flatten().chain(ROWS.iter())
}

/// A keyword with its name cut into words.
struct Candidate {
    words: Vec<&'static str>,
    keyword: &'static Keyword,
}

/// All keywords by their first word.
fn by_first_word(word: &str) -> &'static [Candidate] {
    static INDEX: LazyLock<HashMap<&'static str, Vec<Candidate>>> = LazyLock::new(|| {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for keyword in all() {
            let words: Vec<_> = keyword.name.split(' ').collect();
            index
                .entry(words[0])
                .or_default()
                .push(Candidate { words, keyword });
        }
        index
    });
    INDEX.get(word).map_or(&[], Vec::as_slice)
}

/// Finds the keyword with the most words a statement begins with. Some have parentheses behind their last word
/// (`http-check set-var(x)`), which are not part of the name.
pub(in crate::lang) fn find(words: &[Word], section: Sections) -> Found {
    let Some(first) = words.first() else {
        return Found::Unknown;
    };
    let candidates = by_first_word(&first.text);
    let longest = |is_allowed: &dyn Fn(&Keyword) -> bool| {
        let fitting = candidates
            .iter()
            .filter(|candidate| is_allowed(candidate.keyword) && candidate.begins(words));
        // Of equal ones a proxy's: who writes it in the wrong proxy section means that one.
        fitting
            .max_by_key(|candidate| {
                let of_proxies = candidate.keyword.sections.meets(Sections::ANY_PROXY);
                (candidate.words.len(), of_proxies)
            })
            .map(|candidate| candidate.keyword)
    };
    if let Some(keyword) = longest(&|keyword| keyword.sections.meets(section)) {
        return Found::Keyword(keyword);
    }
    if let Some(keyword) = longest(&|_| true) {
        return Found::Elsewhere(keyword);
    }
    let here = candidates
        .iter()
        .filter(|candidate| candidate.keyword.sections.meets(section));
    let following: Vec<_> = here.map(|candidate| candidate.keyword.name).collect();
    if following.is_empty() {
        Found::Unknown
    } else {
        Found::Partly(following)
    }
}

impl Candidate {
    /// Whether a statement begins with this keyword.
    fn begins(&self, words: &[Word]) -> bool {
        let same = |(name, word): (&&str, &Word)| {
            let rest = word.text.strip_prefix(*name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
        };
        self.words.len() <= words.len() && self.words.iter().zip(words).all(same)
    }
}

/// The keywords of a section, for suggestions.
pub(in crate::lang) fn names(section: Sections) -> impl Iterator<Item = &'static str> {
    all()
        .filter(move |keyword| keyword.sections.meets(section))
        .map(|keyword| keyword.name)
}

impl Keyword {
    /// How many words its name has.
    pub(crate) fn word_count(&self) -> usize {
        self.name.split(' ').count()
    }

    /// What becomes of it.
    pub(in crate::lang) fn state(&self) -> State {
        match self.effect {
            Effect::NoOp(why) => State::NoEffect(why),
            Effect::Refused(instead) => State::Refused(instead),
            _ => State::Works,
        }
    }

    /// Whether it does anything: neither refused nor without effect.
    pub(crate) fn works(&self) -> bool {
        self.state() == State::Works
    }

    fn from_row(row: &Row, doc: &'static str, effect: Effect) -> Self {
        Self {
            name: row.0,
            sections: row.1,
            args: "",
            doc,
            effect,
        }
    }

    /// The arguments of a statement of this keyword.
    pub(in crate::lang) fn args<'a>(&self, line: &'a Line) -> Args<'a> {
        Args::new(line, self.word_count())
    }
}
