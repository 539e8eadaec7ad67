//! Sample fetches: one item per keyword, one file per family (manual §7.3.2–§7.3.6).
//!
//! An item says how the keyword is called, which arguments it takes, what it needs and yields, and how it is read from a
//! [`View`]. Lookup, "did you mean" and `-dKall` derive from the items. A fetch never fails loudly: what is not there is
//! absent.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::proto::http::Head;

use super::args::{Arg, Arguments};
use super::pattern::Match;
use super::suggest;
use super::{
    Address, BackendNumber, Buffer, Certificate, Data, Direction, Fetched, FrontendNumber, Needs,
    Number, Parsing, Sample, SampleType, ServerNumber, Side, Stage, StickAnswer, TableNumber, Text,
    TlsNumber, TlsText, View,
};
use certificate::{Certified, Part};
use header::Header;
use layer6::Raw;
use message::BodyPart;

mod certificate;
mod client_hello;
mod constants;
mod cookie;
mod header;
mod internal;
mod layer4;
mod layer6;
mod message;
mod rdp;
mod table;
mod timers;
mod tls;
mod transfer;
mod url;

pub(super) use internal::process_id;
pub(super) use table::{Stick, check_index};

/// One fetch keyword.
#[derive(Clone, Copy)]
pub(super) struct Fetch {
    pub(super) name: &'static str,
    /// Other names for the same.
    pub(super) aliases: &'static [&'static str],
    pub(super) args: Arguments,
    pub(super) output: SampleType,
    pub(super) needs: Needs,
    /// One line for the reference.
    pub(super) doc: &'static str,
    /// Keywords that exist in ACLs only, with the matching method each implies.
    pub(super) derivatives: Derivatives,
    /// The value may change while content inspection goes on, so a mismatch is not final.
    pub(super) unsettled: bool,
    pub(super) read: Read,
    pub(super) compile: Option<Compile>,
}

impl Fetch {
    /// What the items start from.
    const BASE: Self = Self {
        name: "",
        aliases: &[],
        args: Arguments::NONE,
        output: SampleType::Int,
        needs: Needs::INTERNAL,
        doc: "",
        derivatives: Derivatives::None,
        unsettled: false,
        read: Read::One(|_, _| Fetched::Absent),
        compile: None,
    };
}

/// Checks and rewrites the arguments once, when the configuration is read.
pub(super) type Compile = fn(Vec<Arg>, &mut Parsing<'_>) -> Result<Vec<Arg>, String>;

type ReadOne = for<'a> fn(&'a dyn View, &'a [Arg]) -> Fetched<Sample<'a>>;
type ReadNext = for<'a> fn(&'a dyn View, &'a [Arg], &mut Cursor) -> Fetched<Sample<'a>>;

/// ACL keywords derived from a fetch (manual §7.3, "ACL derivatives").
#[derive(Clone, Copy, Debug)]
pub(super) enum Derivatives {
    None,
    /// `<word>_beg`, `_dir`, `_dom`, `_end`, `_len`, `_reg`, `_sub`, and `<word>` itself for an exact match.
    Strings(&'static str),
    /// These.
    List(&'static [(&'static str, Match)]),
}

/// How a fetch is read.
#[derive(Clone, Copy)]
pub(super) enum Read {
    One(ReadOne),
    /// A part of the request's head.
    Request(fn(&Head) -> Option<Sample<'_>>),
    /// A fetch with several values: the one an expression takes, and a walk over all of them for ACLs.
    Many(ReadOne, ReadNext),
    Address(Address),
    Port(Address),
    Number(Number),
    Flag(Number),
    Text(Text),
    Binary(Text),
    Frontend(FrontendNumber),
    Backend(BackendNumber),
    Server(ServerNumber),
    ServerFlag(ServerNumber),
    Table(TableNumber),
    /// `sc0_…`: a tracked counter's entry; the table is the first argument.
    Tracked(u8, Stick),
    /// `sc_…`: the counter is an argument.
    TrackedBy(Stick),
    /// `src_…`: the client address's entry.
    Source(Stick),
    Header(Direction, Header),
    Body(Direction, BodyPart),
    Capture(Direction),
    Raw(Direction, Raw),
    Encrypted(Side),
    Certificate(Certified, Part),
    TlsText(Side, TlsText),
    TlsBinary(Side, TlsText),
    TlsNumber(Side, TlsNumber),
    TlsFlag(Side, TlsNumber),
}

impl Read {
    /// The value an expression takes.
    pub(super) fn one<'a>(&self, view: &'a dyn View, args: &'a [Arg]) -> Fetched<Sample<'a>> {
        let name = || args.first().and_then(Arg::text);
        match self {
            Self::One(read) | Self::Many(read, _) => read(view, args),
            Self::Address(which) => view
                .address(*which)
                .map(|address| Sample::Ip(address.ip().to_canonical()))
                .into(),
            Self::Port(which) => int(view.address(*which).map(|address| address.port().into())),
            Self::Number(which) => int(view.number(*which)),
            Self::Flag(which) => truth(view.number(*which)),
            Self::Text(which) => view.text(*which).map(Sample::Str).into(),
            Self::Binary(which) => view.text(*which).map(Sample::Bin).into(),
            Self::Frontend(which) => int(view.frontend_number(name(), *which)),
            Self::Backend(which) => int(view.backend_number(name(), *which)),
            Self::Server(which) => int(server(view, args, *which)),
            Self::ServerFlag(which) => truth(server(view, args, *which)),
            Self::Table(which) => int(view.table_number(name(), *which)),
            Self::Tracked(counter, stick) => stick.tracked(view, Some(*counter), args).into(),
            Self::TrackedBy(stick) => stick.tracked(view, None, args).into(),
            Self::Source(stick) => stick.source(view, args).into(),
            Self::Request(read) => view
                .head(Direction::Request)
                .and_then(|head| read(head).into()),
            Self::Header(direction, header) => header.one(*direction, view, args),
            Self::Body(direction, part) => part.read(*direction, view).into(),
            Self::Capture(direction) => {
                let slot = args
                    .first()
                    .and_then(Arg::int)
                    .and_then(|slot| usize::try_from(slot).ok());
                slot.and_then(|slot| view.capture(*direction, slot))
                    .map(Sample::Str)
                    .into()
            }
            Self::Raw(direction, raw) => raw.read(*direction, view, args),
            Self::Encrypted(side) => Fetched::Value(Sample::Bool(view.tls(*side).is_some())),
            Self::Certificate(certified, part) => part.read(*certified, view, args).into(),
            Self::TlsText(side, which) => tls_text(view, *side, *which).map(Sample::Str).into(),
            Self::TlsBinary(side, which) => tls_text(view, *side, *which).map(Sample::Bin).into(),
            Self::TlsNumber(side, which) => int(view.tls(*side).and_then(|tls| tls.number(*which))),
            Self::TlsFlag(side, which) => truth(view.tls(*side).and_then(|tls| tls.number(*which))),
        }
    }

    /// The next value of a walk over all of them.
    pub(super) fn next<'a>(
        &self,
        view: &'a dyn View,
        args: &'a [Arg],
        cursor: &mut Cursor,
    ) -> Fetched<Sample<'a>> {
        if cursor.finished {
            return Fetched::Absent;
        }
        match self {
            Self::Many(_, next) => next(view, args, cursor),
            Self::Header(direction, header) => header.next(*direction, view, args, cursor),
            _ => {
                cursor.finished = true;
                self.one(view, args)
            }
        }
    }
}

/// How far a walk over several values has come.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    /// Index of the field being looked at.
    pub(super) field: usize,
    /// Byte offset inside its value.
    pub(super) offset: usize,
    /// There is nothing after what was shown last.
    pub(super) finished: bool,
}

impl Cursor {
    fn next_field(&mut self) {
        self.field += 1;
        self.offset = 0;
    }
}

fn int<'a>(value: Option<i64>) -> Fetched<Sample<'a>> {
    value.map(Sample::Int).into()
}

fn truth<'a>(value: Option<i64>) -> Fetched<Sample<'a>> {
    value.map(|value| Sample::Bool(value != 0)).into()
}

/// An item that is one number of the view.
const fn number(name: &'static str, needs: Needs, which: Number, doc: &'static str) -> Fetch {
    Fetch {
        name,
        needs,
        doc,
        read: Read::Number(which),
        ..Fetch::BASE
    }
}

/// An item that is one truth value of the view.
const fn flag(name: &'static str, needs: Needs, which: Number, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output: SampleType::Bool,
        needs,
        doc,
        read: Read::Flag(which),
        ..Fetch::BASE
    }
}

/// An item that is one string of the view.
const fn text(name: &'static str, needs: Needs, which: Text, doc: &'static str) -> Fetch {
    Fetch {
        name,
        output: SampleType::Str,
        needs,
        doc,
        read: Read::Text(which),
        ..Fetch::BASE
    }
}

fn server(view: &dyn View, args: &[Arg], which: ServerNumber) -> Option<i64> {
    match args.first()? {
        Arg::Server { backend, server } => view.server_number(backend.as_deref(), server, which),
        _ => None,
    }
}

fn tls_text(view: &dyn View, side: Side, which: TlsText) -> Option<Data<'_>> {
    view.tls(side)?.text(which)
}

/// Every fetch, in the order of the files.
pub(super) fn all() -> &'static [Fetch] {
    static ALL: LazyLock<Vec<Fetch>> = LazyLock::new(|| {
        let mut all = Vec::new();
        all.extend(constants::FETCHES);
        all.extend(internal::FETCHES);
        all.extend(layer4::FETCHES);
        all.extend(transfer::FETCHES);
        all.extend(timers::FETCHES);
        all.extend(table::fetches());
        all.extend(tls::fetches());
        all.extend(layer6::FETCHES);
        all.extend(header::FETCHES);
        all.extend(url::FETCHES);
        all.extend(message::FETCHES);
        all
    });
    &ALL
}

/// Names with two meanings, and the fetches they stand for.
pub(super) const DIRECTIONAL: [(&str, &str, &str); 4] = [
    ("hdr", "req.hdr", "res.hdr"),
    ("cookie", "req.cook", "res.cook"),
    ("payload", "req.payload", "res.payload"),
    ("payload_lv", "req.payload_lv", "res.payload_lv"),
];

/// The fetch a word means at this stage: some names stand for the request's or the response's fetch.
pub(super) fn find_at(name: &str, stage: Stage) -> Option<&'static Fetch> {
    let Some((_, request, response)) = DIRECTIONAL.iter().find(|(known, _, _)| *known == name)
    else {
        return find(name);
    };
    find(if Needs::RESPONSE.meets(stage.offers()) {
        response
    } else {
        request
    })
}

/// The fetch of that name or alias.
pub(super) fn find(name: &str) -> Option<&'static Fetch> {
    static INDEX: LazyLock<FxHashMap<&'static str, &'static Fetch>> = LazyLock::new(|| {
        let names = |fetch: &'static Fetch| {
            std::iter::once(fetch.name).chain(fetch.aliases.iter().copied())
        };
        all()
            .iter()
            .flat_map(|fetch| names(fetch).map(move |name| (name, fetch)))
            .collect()
    });
    INDEX.get(name).copied()
}

/// "did you mean".
pub(super) fn suggestion(name: &str) -> Option<String> {
    suggest::closest(name, all().iter().map(|fetch| fetch.name))
}

/// The fetch and matching method an ACL-only keyword stands for (manual §7.3, "ACL derivatives").
pub(super) fn derivative(name: &str) -> Option<(&'static Fetch, Match)> {
    static INDEX: LazyLock<FxHashMap<String, (&'static Fetch, Match)>> = LazyLock::new(|| {
        all()
            .iter()
            .flat_map(|fetch| {
                derivatives(fetch).map(move |(name, matching)| (name, (fetch, matching)))
            })
            .collect()
    });
    INDEX.get(name).copied()
}

/// The ACL-only keywords of a fetch.
pub(super) fn derivatives(fetch: &'static Fetch) -> impl Iterator<Item = (String, Match)> {
    const SUFFIXES: [(&str, Match); 8] = [
        ("", Match::Str),
        ("_beg", Match::Beg),
        ("_dir", Match::Dir),
        ("_dom", Match::Dom),
        ("_end", Match::End),
        ("_len", Match::Len),
        ("_reg", Match::Reg),
        ("_sub", Match::Sub),
    ];
    let names: Vec<(String, Match)> = match fetch.derivatives {
        Derivatives::None => Vec::new(),
        Derivatives::Strings(word) => SUFFIXES
            .iter()
            .map(|(suffix, matching)| (format!("{word}{suffix}"), *matching))
            .collect(),
        Derivatives::List(list) => list
            .iter()
            .map(|(name, matching)| ((*name).to_owned(), *matching))
            .collect(),
    };
    names.into_iter()
}

/// "did you mean", ACL-only keywords included.
pub(super) fn acl_suggestion(name: &str) -> Option<String> {
    let derived: Vec<String> = all()
        .iter()
        .flat_map(|fetch| derivatives(fetch).map(|(name, _)| name))
        .collect();
    suggest::closest(
        name,
        all()
            .iter()
            .map(|fetch| fetch.name)
            .chain(derived.iter().map(String::as_str)),
    )
}

#[cfg(test)]
pub(super) use client_hello::tests::client_hello;

#[cfg(test)]
mod tests;
