//! Commands about stick tables.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::table_entries::Shared;
use super::{Answer, Call, Command};
use crate::clock::Moment;
use crate::expr::{Sample, StickKey, StickType};
use crate::model::Level;
use crate::state::StickTable;
use crate::state::stick::{Entry, Kind};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "table"],
        usage: "show table <table> [<filter>]*",
        doc: "report table usage stats or dump this table's contents (filter: data/key)",
        level: Level::User,
        run: |call| show(call).unwrap_or_else(Answer::error),
    },
    Command {
        words: &["set", "table"],
        usage: "set table <table> key <k> [data.* <v>]*",
        doc: "update or create a table entry's data",
        level: Level::Admin,
        run: |call| Answer::of(set(call)),
    },
    Command {
        words: &["clear", "table"],
        usage: "clear table <table> [<filter>]*",
        doc: "remove an entry from a table (filter: data/key)",
        level: Level::Admin,
        run: |call| clear(call).unwrap_or_else(Answer::error),
    },
];

fn show(call: &Call<'_>) -> Result<Answer, String> {
    let state = &call.running().state;
    if call.words.is_empty() {
        let tables = call
            .running()
            .model
            .tables
            .iter()
            .map(|table| Shared::of(call, state.table(table.id)));
        return Ok(Answer::Output(
            tables.map(|table| headline(&table, call.now)).collect(),
        ));
    }
    let table = find(call)?;
    let shared = Shared::of(call, table);
    let chosen = Chosen::of(call, table)?;
    let mut text = headline(&shared, call.now);
    for entry in chosen.entries(&shared, call.now) {
        push_entry(&mut text, table, &entry, call.now);
    }
    Ok(Answer::Output(text))
}

fn clear(call: &Call<'_>) -> Result<Answer, String> {
    if call.words.is_empty() {
        return Err(
            "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>"
                .to_owned(),
        );
    }
    let table = find(call)?;
    let shared = Shared::of(call, table);
    let chosen = Chosen::of(call, table)?;
    let one = matches!(chosen, Chosen::Key(_) | Chosen::Number(_));
    let mut kept = 0;
    for entry in chosen.entries(&shared, call.now) {
        kept += usize::from(!shared.remove(&entry.key));
    }
    match one && kept > 0 {
        true => Err("Entry currently in use, cannot remove".to_owned()),
        false => Ok(Answer::Done),
    }
}

fn set(call: &Call<'_>) -> Result<(), String> {
    const USAGE: &str = "Required arguments: <table> key <key> [data.<store_data_type> <value>]*";
    if call.words.is_empty() {
        return Err(USAGE.to_owned());
    }
    let table = find(call)?;
    let shared = Shared::of(call, table);
    let changes = changes(call, table)?;
    let key = match call.word(1) {
        "key" => key_of(table, call.words.get(2), KeyUse::Insert)?,
        "ptr" => {
            let number = call.words.get(2).and_then(|word| pointer(word));
            let entries = shared.entries();
            let found = entries
                .into_iter()
                .find(|entry| Some(entry.number) == number);
            found.ok_or("Entry can not be found!")?.key.clone()
        }
        _ => return Err(USAGE.to_owned()),
    };
    let entry = table
        .entry(&key, call.now)
        .ok_or("Unable to allocate a new entry")?;
    shared.set(&entry, &changes);
    entry.touch(call.now);
    Ok(())
}

/// The `data.TYPE VALUE` pairs; all of them are read before any is applied.
fn changes(call: &Call<'_>, table: &StickTable) -> Result<Vec<(Kind, u8, u64)>, String> {
    let pairs = call.words.get(3..).unwrap_or_default().chunks(2);
    pairs
        .map(|pair| {
            let Some(name) = pair[0].strip_prefix("data.") else {
                return Err("\"data.<type>\" followed by a value expected".to_owned());
            };
            let datum = Datum::of(name, table)?;
            let value = pair.get(1).and_then(|value| value.parse().ok());
            let value = value.ok_or("Require a valid integer value to store")?;
            Ok((datum.kind, datum.index, value))
        })
        .collect()
}

fn find<'a>(call: &Call<'a>) -> Result<&'a Arc<StickTable>, String> {
    let table = call.running().state.table_named(call.word(0));
    table.ok_or_else(|| "No such table".to_owned())
}

/// Which entries a command is about.
enum Chosen {
    All,
    Key(StickKey),
    Number(u64),
    Data(Vec<Comparison>),
}

impl Chosen {
    fn of(call: &Call<'_>, table: &StickTable) -> Result<Self, String> {
        match call.word(1) {
            "" => Ok(Self::All),
            "key" => Ok(Self::Key(key_of(table, call.words.get(2), KeyUse::Find)?)),
            "ptr" => {
                let number = call.words.get(2).and_then(|word| pointer(word));
                Ok(Self::Number(number.ok_or("Pointer expected (0xffff notation)")?))
            }
            word if word.starts_with("data.") => {
                let filters = call.words[1..].chunks(3);
                if filters.len() > MOST_FILTERS {
                    return Err(format!("At most {MOST_FILTERS} filters are supported"));
                }
                let filters = filters.enumerate();
                let compared = filters.map(|(at, words)| Comparison::of(at, words, table));
                Ok(Self::Data(compared.collect::<Result<_, _>>()?))
            }
            _ => Err(
                "Optional argument only supports \"data.<store_data_type>\" <operator> <value> or key <key> or ptr <ptr>"
                    .to_owned(),
            ),
        }
    }

    fn entries(&self, table: &Shared<'_>, now: Moment) -> Vec<Arc<Entry>> {
        if let Self::Key(key) = self {
            return table.lookup(key).into_iter().collect();
        }
        let mut entries = table.entries();
        entries.retain(|entry| match self {
            Self::All | Self::Key(_) => true,
            Self::Number(number) => entry.number == *number,
            Self::Data(filters) => filters.iter().all(|filter| filter.holds(entry, now)),
        });
        entries.sort_by(|one, other| one.key.cmp(&other.key));
        entries
    }
}

/// `data.TYPE OPERATOR VALUE`.
struct Comparison {
    datum: Datum,
    operator: fn(&u64, &u64) -> bool,
    value: u64,
}

impl Comparison {
    fn of(at: usize, words: &[String], table: &StickTable) -> Result<Self, String> {
        let wrong = |text: &str| format!("Filter entry #{}: {text}", at + 1);
        let name = words[0]
            .strip_prefix("data.")
            .ok_or_else(|| wrong("Unknown data type"))?;
        let datum = Datum::of(name, table).map_err(|text| wrong(&text))?;
        let operator = match words.get(1).map(String::as_str) {
            Some("eq") => u64::eq,
            Some("ne") => u64::ne,
            Some("le") => u64::le,
            Some("ge") => u64::ge,
            Some("lt") => u64::lt,
            Some("gt") => u64::gt,
            _ => {
                return Err(wrong(
                    "Require and operator among \"eq\", \"ne\", \"le\", \"ge\", \"lt\", \"gt\"",
                ));
            }
        };
        let value = words.get(2).and_then(|value| value.parse().ok());
        let value =
            value.ok_or_else(|| wrong("Require a valid integer value to compare against"))?;
        Ok(Self {
            datum,
            operator,
            value,
        })
    }

    fn holds(&self, entry: &Entry, now: Moment) -> bool {
        let value = entry.value(self.datum.kind, self.datum.index, now);
        value.is_some_and(|value| (self.operator)(&value, &self.value))
    }
}

/// A datum by name: `gpc0`, or `gpc[3]` for an element of an array.
struct Datum {
    kind: Kind,
    index: u8,
}

impl Datum {
    fn of(name: &str, table: &StickTable) -> Result<Self, String> {
        let (name, index) = match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
            Some((name, index)) => (name, Some(index)),
            None => (name, None),
        };
        let kind = Kind::named(name).ok_or("Unknown data type")?;
        let index = match index {
            Some(_) if !kind.is_array() => return Err("Unknown data type".to_owned()),
            Some(index) => index.parse::<u8>().map_err(|_| "Invalid array index")?,
            None => 0,
        };
        let slot = table
            .layout()
            .slot(kind)
            .ok_or("Data type not stored in this table")?;
        match index < slot.length {
            true => Ok(Self { kind, index }),
            false => Err("Data type not stored in this table".to_owned()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyUse {
    Find,
    Insert,
}

fn key_of(table: &StickTable, word: Option<&String>, purpose: KeyUse) -> Result<StickKey, String> {
    let word = word.ok_or("Key value expected")?;
    if matches!(table.key, StickType::Bin(_)) {
        return Err(match purpose {
            KeyUse::Find => "Showing keys from tables of type other than ip, ipv6, string and integer is not supported",
            KeyUse::Insert => "Inserting keys into tables of type other than ip, ipv6, string and integer is not supported",
        }
        .to_owned());
    }
    // Typed by hand, an address must be of the table's own family; fetches convert.
    let fits = match table.key {
        StickType::Ipv4 => word.parse::<Ipv4Addr>().is_ok(),
        StickType::Ipv6 => word.parse::<Ipv6Addr>().is_ok(),
        StickType::Integer | StickType::Str(_) | StickType::Bin(_) => true,
    };
    let key = table.key_of(&Sample::str(word.as_str())).filter(|_| fits);
    key.ok_or_else(|| "Invalid key".to_owned())
}

fn headline(shared: &Shared<'_>, now: Moment) -> String {
    let table = shared.table;
    table.purge_expired(now);
    format!(
        "# table: {}, type: {}, size:{}, used:{}\n",
        table.name,
        table.key.name(),
        table.size(),
        shared.used()
    )
}

fn push_entry(text: &mut String, table: &StickTable, entry: &Entry, now: Moment) {
    let expires = table
        .lifetime()
        .map_or(0, |lifetime| entry.remaining(lifetime, now));
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "0x{:x}: key={} use={} exp={expires} shard=0",
        entry.number,
        key_text(table, &entry.key),
        entry.trackers()
    );
    for slot in table.layout().slots() {
        for index in 0..slot.length {
            let name = column(slot.kind, index);
            let _ = match slot.kind {
                Kind::ServerKey => write!(text, " {name}={}", server_name(entry)),
                kind => {
                    let value = entry.value(kind, index, now).unwrap_or(0);
                    match slot.period {
                        0 => write!(text, " {name}={value}"),
                        period => write!(text, " {name}({period})={value}"),
                    }
                }
            };
        }
    }
    if table.layout().slot(Kind::ServerKey).is_none() && entry.server().is_some() {
        let _ = write!(text, " server_key={}", server_name(entry));
    }
    text.push('\n');
}

/// The name of a datum; elements of arrays are numbered.
fn column(kind: Kind, index: u8) -> String {
    match kind {
        Kind::GptArray | Kind::GpcArray => format!("{}{index}", kind.name()),
        Kind::GpcRateArray => format!("gpc{index}_rate"),
        kind => kind.name().to_owned(),
    }
}

fn server_name(entry: &Entry) -> String {
    let name = entry.server().and_then(|(_, name)| name);
    name.map_or_else(|| "-".to_owned(), |name| name.to_string())
}

/// The key as HAProxy prints it: binary keys in hexadecimal, awkward characters of strings behind a backslash.
fn key_text(table: &StickTable, key: &StickKey) -> String {
    match key {
        StickKey::Ipv4(address) => address.to_string(),
        StickKey::Ipv6(address) => address.to_string(),
        StickKey::Integer(number) => number.to_string(),
        StickKey::Bytes(bytes) if matches!(table.key, StickType::Bin(_)) => {
            bytes.iter().map(|byte| format!("{byte:02X}")).collect()
        }
        StickKey::Bytes(bytes) => bytes.iter().map(|byte| escaped(*byte)).collect(),
    }
}

fn escaped(byte: u8) -> String {
    match byte {
        b'\t' => "\\t".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        0x1b => "\\e".to_owned(),
        b'\\' | b' ' | b'=' => format!("\\{}", char::from(byte)),
        b'!'..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    }
}

/// An entry's number as `show table` writes it.
fn pointer(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// Filters on data in one command (management.txt, `show table`).
const MOST_FILTERS: usize = 4;
