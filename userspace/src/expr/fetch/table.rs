//! Stick tables: tracked counters (`sc…`), the client address's entry (`src_…`) and whole tables.

use super::{
    Address, Arg, Arguments, Fetch, Needs, Parsing, Read, Sample, SampleType, StickAnswer,
    TableNumber, View,
};
use crate::expr::StickOperation as Op;
use crate::expr::args::ArgKind;

/// What is asked of a stick-table entry.
#[derive(Clone, Copy)]
pub(in crate::expr) enum Stick {
    /// A plain operation.
    Ask(Op),
    /// The same, in units of 1024.
    Kilo(Op),
    /// Whether there is an entry.
    Flag(Op),
    /// An operation on the array element that is the first argument.
    Indexed(fn(u8) -> Op),
    /// An operation that fails without an entry, unless a default is given after the table.
    OrDefault(Op),
    /// The tracked key.
    Key,
}

impl Stick {
    /// The operation, and the arguments that follow an index.
    fn resolve(self, args: &[Arg]) -> Option<(Op, &[Arg])> {
        match self {
            Self::Ask(operation)
            | Self::Kilo(operation)
            | Self::Flag(operation)
            | Self::OrDefault(operation) => Some((operation, args)),
            Self::Indexed(operation) => {
                let (index, rest) = args.split_first()?;
                Some((operation(u8::try_from(index.int()?).ok()?), rest))
            }
            Self::Key => None,
        }
    }

    /// A converter's lookup of `key`.
    pub(in crate::expr) fn table<'a>(
        self,
        view: &dyn View,
        key: &Sample<'_>,
        args: &[Arg],
    ) -> Option<Sample<'a>> {
        let (operation, args) = self.resolve(args)?;
        let default = args.get(1).and_then(Arg::int);
        self.answer(view.table(table_of(args), key, operation), default)
    }

    /// The entry of the client's address.
    pub(super) fn source<'a>(self, view: &dyn View, args: &[Arg]) -> Option<Sample<'a>> {
        let key = Sample::Ip(view.address(Address::Source)?.ip().to_canonical());
        let (operation, args) = self.resolve(args)?;
        self.answer(view.table(table_of(args), &key, operation), None)
    }

    /// The entry tracked by a counter: the given one, or the one that is the next argument.
    pub(super) fn tracked<'a>(
        self,
        view: &'a dyn View,
        counter: Option<u8>,
        args: &[Arg],
    ) -> Option<Sample<'a>> {
        if let Self::Key = self {
            return view.tracked_key(counter.or_else(|| counter_of(args))?);
        }
        let (operation, args) = self.resolve(args)?;
        let (counter, args) = match counter {
            Some(counter) => (counter, args),
            None => (counter_of(args)?, &args[1..]),
        };
        self.answer(view.tracked(counter, table_of(args), operation), None)
    }

    fn answer<'a>(self, answer: StickAnswer, default: Option<i64>) -> Option<Sample<'a>> {
        let value = match (self, answer) {
            (Self::Flag(_), answer) => {
                return Some(Sample::Bool(
                    matches!(answer, StickAnswer::Value(value) if value != 0),
                ));
            }
            (_, StickAnswer::NotStored) => return None,
            (Self::OrDefault(_), StickAnswer::NoEntry) => default?,
            (_, StickAnswer::NoEntry) => 0,
            (Self::Kilo(_), StickAnswer::Value(bytes)) => bytes >> 10,
            (_, StickAnswer::Value(value)) => value,
        };
        Some(Sample::Int(value))
    }
}

fn table_of(args: &[Arg]) -> Option<&str> {
    args.first().and_then(Arg::text)
}

fn counter_of(args: &[Arg]) -> Option<u8> {
    u8::try_from(args.first()?.int()?).ok()
}

/// Array indexes go from 0 to 99.
pub(in crate::expr) fn check_index(
    args: Vec<Arg>,
    _: &mut Parsing<'_>,
) -> Result<Vec<Arg>, String> {
    match args.first().and_then(Arg::int) {
        Some(0..=99) => Ok(args),
        _ => Err("the index must be between 0 and 99".into()),
    }
}

fn check_counter(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let counter = args
        .iter()
        .take_while(|arg| arg.int().is_some())
        .last()
        .and_then(Arg::int);
    match counter {
        Some(0..MAX_COUNTERS) => Ok(args),
        _ => Err("invalid stick counter number".into()),
    }
}

fn check_index_and_counter(args: Vec<Arg>, parsing: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    check_counter(check_index(args, parsing)?, parsing)
}

/// The most stick counters `tune.stick-counters` may ask for here.
const MAX_COUNTERS: i64 = 32;

/// One row makes `sc0_x`, `sc1_x`, `sc2_x` and `sc_x`, and `src_x` where that exists.
struct Row {
    name: &'static str,
    stick: Stick,
    output: SampleType,
    forms: Forms,
    doc: &'static str,
}

/// Which fetches a row makes.
#[derive(Clone, Copy, PartialEq)]
enum Forms {
    Both,
    /// `sc…` only.
    Tracked,
    /// `src_…` only.
    Source,
}

const fn row(name: &'static str, operation: Op, doc: &'static str) -> Row {
    Row {
        name,
        stick: Stick::Ask(operation),
        output: SampleType::Int,
        forms: Forms::Both,
        doc,
    }
}

/// Plain data, by name.
const ROWS: [Row; 30] = [
    row(
        "bytes_in_rate",
        Op::BytesInRate,
        "the average client-to-server bytes rate",
    ),
    row(
        "bytes_out_rate",
        Op::BytesOutRate,
        "the average server-to-client bytes rate",
    ),
    row("clr_gpc0", Op::ClearGpc0, "clears gpc0; its former value"),
    row("clr_gpc1", Op::ClearGpc1, "clears gpc1; its former value"),
    row("conn_cnt", Op::ConnCnt, "the number of connections"),
    row(
        "conn_cur",
        Op::ConnCur,
        "the number of concurrent connections",
    ),
    row("conn_rate", Op::ConnRate, "the average connection rate"),
    row("get_gpc0", Op::Gpc0, "the counter gpc0"),
    row("get_gpc1", Op::Gpc1, "the counter gpc1"),
    row("get_gpt0", Op::Gpt0, "the tag gpt0"),
    row("glitch_cnt", Op::GlitchCnt, "the number of glitches"),
    row(
        "glitch_rate",
        Op::GlitchRate,
        "the average rate of glitches",
    ),
    row(
        "gpc0_rate",
        Op::Gpc0Rate,
        "the average increment rate of gpc0",
    ),
    row(
        "gpc1_rate",
        Op::Gpc1Rate,
        "the average increment rate of gpc1",
    ),
    row("http_err_cnt", Op::HttpErrCnt, "the number of HTTP errors"),
    row(
        "http_err_rate",
        Op::HttpErrRate,
        "the average rate of HTTP errors",
    ),
    row(
        "http_fail_cnt",
        Op::HttpFailCnt,
        "the number of HTTP response failures",
    ),
    row(
        "http_fail_rate",
        Op::HttpFailRate,
        "the average rate of HTTP response failures",
    ),
    row(
        "http_req_cnt",
        Op::HttpReqCnt,
        "the number of HTTP requests",
    ),
    row(
        "http_req_rate",
        Op::HttpReqRate,
        "the average rate of HTTP requests",
    ),
    row(
        "inc_gpc0",
        Op::IncrementGpc0,
        "increments gpc0; its new value",
    ),
    row(
        "inc_gpc1",
        Op::IncrementGpc1,
        "increments gpc1; its new value",
    ),
    Row {
        stick: Stick::Kilo(Op::BytesIn),
        ..row(
            "kbytes_in",
            Op::BytesIn,
            "the kilobytes received from clients",
        )
    },
    Row {
        stick: Stick::Kilo(Op::BytesOut),
        ..row("kbytes_out", Op::BytesOut, "the kilobytes sent to clients")
    },
    row("sess_cnt", Op::SessCnt, "the number of sessions"),
    row("sess_rate", Op::SessRate, "the average session rate"),
    Row {
        forms: Forms::Tracked,
        ..row("trackers", Op::Trackers, "how many streams track the entry")
    },
    Row {
        stick: Stick::Flag(Op::Exists),
        output: SampleType::Bool,
        forms: Forms::Tracked,
        ..row("tracked", Op::Exists, "whether the counter tracks an entry")
    },
    Row {
        stick: Stick::Key,
        output: SampleType::Any,
        forms: Forms::Tracked,
        ..row("key", Op::Exists, "the tracked key")
    },
    Row {
        forms: Forms::Source,
        ..row(
            "updt_conn_cnt",
            Op::UpdateConnCnt,
            "counts a connection; the new count",
        )
    },
];

/// A name, its operation, and what it does.
type ArrayRow = (&'static str, fn(u8) -> Op, &'static str);

/// Array data, whose first argument is an index; only as `sc_x` and `src_x`.
const ARRAYS: [ArrayRow; 5] = [
    (
        "clr_gpc",
        Op::ClearGpc,
        "clears a counter of the gpc array; its former value",
    ),
    ("get_gpc", Op::Gpc, "a counter of the gpc array"),
    ("get_gpt", Op::Gpt, "a tag of the gpt array"),
    (
        "gpc_rate",
        Op::GpcRate,
        "the average increment rate of a counter of the gpc array",
    ),
    (
        "inc_gpc",
        Op::IncrementGpc,
        "increments a counter of the gpc array; its new value",
    ),
];

/// All fetches of the family. Their names are made once and live as long as the process.
pub(super) fn fetches() -> Vec<Fetch> {
    let mut all = TABLES.to_vec();
    for row in &ROWS {
        all.extend(plain(row));
    }
    for (name, operation, doc) in ARRAYS {
        let stick = Stick::Indexed(operation);
        all.push(Fetch {
            name: format!("sc_{name}").leak(),
            args: Arguments::some(2, &[ArgKind::Int, ArgKind::Int, ArgKind::Table]),
            doc: format!("Of a tracked entry: {doc}.").leak(),
            needs: Needs::CLIENT,
            read: Read::TrackedBy(stick),
            compile: Some(check_index_and_counter),
            ..Fetch::BASE
        });
        all.push(Fetch {
            name: format!("src_{name}").leak(),
            args: Arguments::some(1, &[ArgKind::Int, ArgKind::Table]),
            doc: format!("Of the client address's entry: {doc}.").leak(),
            needs: Needs::CLIENT,
            read: Read::Source(stick),
            compile: Some(check_index),
            ..Fetch::BASE
        });
    }
    all
}

fn plain(row: &Row) -> Vec<Fetch> {
    let base = Fetch {
        output: row.output,
        needs: Needs::CLIENT,
        ..Fetch::BASE
    };
    let takes_table = !matches!(row.stick, Stick::Key);
    let mut all = Vec::new();
    if row.forms != Forms::Source {
        all.extend((0..3).map(|counter| Fetch {
            name: format!("sc{counter}_{}", row.name).leak(),
            args: if takes_table { TABLE } else { Arguments::NONE },
            doc: format!("Of the entry tracked by counter {counter}: {}.", row.doc).leak(),
            read: Read::Tracked(counter, row.stick),
            ..base
        }));
        all.push(Fetch {
            name: format!("sc_{}", row.name).leak(),
            args: if takes_table {
                COUNTER_AND_TABLE
            } else {
                COUNTER
            },
            doc: format!("Of a tracked entry: {}.", row.doc).leak(),
            read: Read::TrackedBy(row.stick),
            compile: Some(check_counter),
            ..base
        });
    }
    if row.forms != Forms::Tracked {
        all.push(Fetch {
            name: format!("src_{}", row.name).leak(),
            args: TABLE,
            doc: format!("Of the client address's entry: {}.", row.doc).leak(),
            read: Read::Source(row.stick),
            ..base
        });
    }
    all
}

const TABLE: Arguments = Arguments::some(0, &[ArgKind::Table]);
const COUNTER: Arguments = Arguments::all(&[ArgKind::Int]);
const COUNTER_AND_TABLE: Arguments = Arguments::some(1, &[ArgKind::Int, ArgKind::Table]);

/// Whole tables.
const TABLES: [Fetch; 2] = [
    Fetch {
        name: "table_avl",
        args: TABLE,
        doc: "How many entries the table has room for.",
        read: Read::Table(TableNumber::Available),
        ..Fetch::BASE
    },
    Fetch {
        name: "table_cnt",
        args: TABLE,
        doc: "How many entries the table has.",
        read: Read::Table(TableNumber::Used),
        ..Fetch::BASE
    },
];
