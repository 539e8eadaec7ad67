//! Commands about ACLs and maps: showing, changing and replacing their entries.
//!
//! A list is named by its file or by `#<id>`, an entry by its key or by the `#<reference>` that `show` prints. A payload
//! holds one entry a line, in the form of the files. Every change is checked against all uses of the list first.

use super::{Answer, Call, Command};
use crate::dataplane::Chain;
use crate::expr::{
    Case, Draft, ListKind, MapOutput, Match, PatternList, PatternSet, Sample, split_line,
};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "acl"],
        usage: "show acl [@<ver>] [<acl>]",
        doc: "report available acls or dump an acl's contents",
        level: Level::User,
        run: |call| Answer::from(show(call, ListKind::Acl)),
    },
    Command {
        words: &["show", "map"],
        usage: "show map [@<ver>] [<map>]",
        doc: "report available maps or dump a map's contents",
        level: Level::User,
        run: |call| Answer::from(show(call, ListKind::Map)),
    },
    Command {
        words: &["get", "acl"],
        usage: "get acl <acl> <value>",
        doc: "report the patterns matching a sample for an ACL",
        level: Level::User,
        run: |call| Answer::from(get(call, ListKind::Acl)),
    },
    Command {
        words: &["get", "map"],
        usage: "get map <map> <value>",
        doc: "report the keys and values matching a sample for a map",
        level: Level::User,
        run: |call| Answer::from(get(call, ListKind::Map)),
    },
    Command {
        words: &["add", "acl"],
        usage: "add acl [@<ver>] <acl> <pattern>",
        doc: "add an acl entry",
        level: Level::Operator,
        run: |call| change(call, |call| add(call, ListKind::Acl)),
    },
    Command {
        words: &["add", "map"],
        usage: "add map [@<ver>] <map> <key> <val>",
        doc: "add a map entry (payload supported instead of key/val)",
        level: Level::Operator,
        run: |call| change(call, |call| add(call, ListKind::Map)),
    },
    Command {
        words: &["set", "map"],
        usage: "set map <map> [<key>|#<ref>] <value>",
        doc: "modify a map entry",
        level: Level::Operator,
        run: |call| change(call, set),
    },
    Command {
        words: &["del", "acl"],
        usage: "del acl <acl> [<key>|#<ref>]",
        doc: "delete acl entries matching <key>",
        level: Level::Operator,
        run: |call| change(call, |call| delete(call, ListKind::Acl)),
    },
    Command {
        words: &["del", "map"],
        usage: "del map <map> [<key>|#<ref>]",
        doc: "delete map entries matching <key>",
        level: Level::Operator,
        run: |call| change(call, |call| delete(call, ListKind::Map)),
    },
    Command {
        words: &["clear", "acl"],
        usage: "clear acl [@<ver>] <acl>",
        doc: "clear the contents of this acl",
        level: Level::Operator,
        run: |call| change(call, |call| clear(call, ListKind::Acl)),
    },
    Command {
        words: &["clear", "map"],
        usage: "clear map [@<ver>] <map>",
        doc: "clear the contents of this map",
        level: Level::Operator,
        run: |call| change(call, |call| clear(call, ListKind::Map)),
    },
    Command {
        words: &["prepare", "acl"],
        usage: "prepare acl <acl>",
        doc: "prepare a new version for atomic ACL replacement",
        level: Level::Operator,
        run: |call| prepare(call, ListKind::Acl),
    },
    Command {
        words: &["prepare", "map"],
        usage: "prepare map <map>",
        doc: "prepare a new version for atomic map replacement",
        level: Level::Operator,
        run: |call| prepare(call, ListKind::Map),
    },
    Command {
        words: &["commit", "acl"],
        usage: "commit acl @<ver> <acl>",
        doc: "commit the ACL at this version",
        level: Level::Operator,
        run: |call| change(call, |call| commit(call, ListKind::Acl)),
    },
    Command {
        words: &["commit", "map"],
        usage: "commit map @<ver> <map>",
        doc: "commit the map at this version",
        level: Level::Operator,
        run: |call| change(call, |call| commit(call, ListKind::Map)),
    },
];

impl From<Result<String, String>> for Answer {
    fn from(result: Result<String, String>) -> Self {
        result.map_or_else(Self::error, Self::Output)
    }
}

/// Runs a command that may change a list, and lets the kernel follow before it is answered: until then what the list said
/// before is in force there, so that no source passes that both refuse.
fn change(call: &Call<'_>, run: impl FnOnce(&Call<'_>) -> Result<(), String>) -> Answer {
    if let Err(reason) = run(call) {
        return Answer::error(reason);
    }
    let kernel = call.world.kernel.as_ref();
    match kernel.map(|kernel| kernel.follow_lists()) {
        Some(Err(error)) => Answer::error(format!(
            "The list is changed in userspace but not in the kernel: {}",
            Chain(&error)
        )),
        Some(Ok(())) | None => Answer::Done,
    }
}

/// The words behind the command: the version asked for, the list, and the rest.
struct Subject<'a> {
    version: Option<u32>,
    list: &'a PatternList,
    rest: &'a [String],
}

fn subject<'a>(call: &Call<'a>, kind: ListKind) -> Result<Subject<'a>, String> {
    let mut words = call.words;
    let version = match words.first().and_then(|word| word.strip_prefix('@')) {
        Some(digits) => {
            words = &words[1..];
            Some(digits.parse().map_err(|_| "Invalid version number.")?)
        }
        None => None,
    };
    let Some((name, rest)) = words.split_first() else {
        return Err(format!("Missing {} identifier.", title(kind)));
    };
    let patterns = &call.running().model.patterns;
    let list = match name.strip_prefix('#') {
        Some(digits) => digits.parse().ok().and_then(|id| patterns.by_id(id)),
        None => patterns.by_name(name),
    };
    // An ACL's commands also reach the lists of maps, as far as they do not need values; not the other way round.
    let list = list.filter(|list| kind == ListKind::Acl || list.kind() == ListKind::Map);
    let unknown = format!(
        "Unknown {} identifier. Please use #<id> or <file>.",
        title(kind)
    );
    Ok(Subject {
        version,
        list: list.ok_or(unknown)?,
        rest,
    })
}

fn show(call: &Call<'_>, kind: ListKind) -> Result<String, String> {
    if call.words.is_empty() {
        let lists = call.running().model.patterns.lists().iter();
        let lines = lists
            .filter(|list| list.kind() == kind)
            .map(|list| headline(list));
        return Ok("# id (file) description\n".to_owned() + &lines.collect::<String>());
    }
    let subject = subject(call, kind)?;
    let (current, _) = subject.list.versions();
    if let Some(version) = subject.version.filter(|version| *version != current) {
        let entries = subject.list.drafted(version).into_iter().enumerate();
        let lines =
            entries.map(|(at, (pattern, value))| line(at as u64 + 1, &pattern, value.as_deref()));
        return Ok(lines.collect());
    }
    let entries = subject.list.entries();
    let lines = entries
        .iter()
        .map(|entry| line(entry.id, &entry.pattern, entry.value.as_deref()));
    Ok(lines.collect())
}

fn headline(list: &PatternList) -> String {
    let name = list.name().unwrap_or_default();
    let what = match list.kind() {
        ListKind::Acl => "acl",
        ListKind::Map => "map",
    };
    let description = match name {
        "" => format!("{what} of the configuration"),
        name if name.starts_with("virt@") => format!("virtual {what} '{name}'"),
        name => format!("pattern loaded from file '{name}' used by {what}"),
    };
    let (current, next) = list.versions();
    let (id, count) = (list.id(), list.entries().len());
    format!("{id} ({name}) {description}. curr_ver={current} next_ver={next} entry_cnt={count}\n")
}

fn line(reference: u64, pattern: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{reference:#x} {pattern} {value}\n"),
        None => format!("{reference:#x} {pattern}\n"),
    }
}

fn get(call: &Call<'_>, kind: ListKind) -> Result<String, String> {
    if call.words.len() < 2 {
        return Err(format!("Missing {} identifier and/or key.", title(kind)));
    }
    let subject = subject(call, kind)?;
    let sample = Sample::str(call.word(1));
    let users = subject.list.users();
    Ok(users.iter().map(|set| verdict(set, &sample)).collect())
}

fn verdict(set: &PatternSet, sample: &Sample<'_>) -> String {
    let case = match set.case() {
        Case::Sensitive => "sensitive",
        Case::Ignored => "insensitive",
    };
    let is_map = set.output() != MapOutput::None;
    let (found, key) = if is_map {
        ("found", "key")
    } else {
        ("match", "pattern")
    };
    let mut text = format!("type={}, case={case}, {found}=", set.matching().name());
    match set.entry(sample) {
        None => text.push_str("no"),
        Some(entry) => {
            let index = match (set.matching(), set.case()) {
                (Match::Ip, _) | (Match::Str | Match::Beg, Case::Sensitive) => "tree",
                _ => "list",
            };
            text.push_str(&format!("yes, idx={index}, {key}=\"{}\"", entry.pattern));
            if let Some(value) = entry.value.as_ref().filter(|_| is_map) {
                let kind = match set.output() {
                    MapOutput::Int => "sint",
                    MapOutput::Ip => "ip",
                    _ => "str",
                };
                text.push_str(&format!(", value=\"{value}\", type=\"{kind}\""));
            }
        }
    }
    text.push('\n');
    text
}

fn add(call: &Call<'_>, kind: ListKind) -> Result<(), String> {
    let usage = match kind {
        ListKind::Acl => "'add acl' expects two parameters: ACL identifier and pattern.",
        ListKind::Map => {
            "'add map' expects three parameters (map identifier, key and value) or one parameter (map identifier) and a payload"
        }
    };
    let subject = subject(call, kind).map_err(|error| match call.words.is_empty() {
        true => usage.to_owned(),
        false => error,
    })?;
    if kind == ListKind::Acl && subject.list.kind() == ListKind::Map {
        return Err("This ACL is shared with a map containing samples. You must use the command 'add map' to add values.".to_owned());
    }
    let entries: Vec<(&str, Option<&str>)> = match (call.payload, subject.rest, kind) {
        (Some(payload), [], _) => payload
            .lines()
            .filter_map(|line| split_line(line, kind))
            .collect(),
        (None, [pattern], ListKind::Acl) => vec![(pattern, None)],
        (None, [key, value, ..], ListKind::Map) => vec![(key, Some(value))],
        _ => return Err(usage.to_owned()),
    };
    let (current, _) = subject.list.versions();
    match subject.version.filter(|version| *version != current) {
        None => subject.list.extend(entries),
        Some(version) => {
            let entries: Vec<Draft> = entries
                .into_iter()
                .map(|(pattern, value)| (pattern.into(), value.map(Into::into)))
                .collect();
            subject
                .list
                .draft(version, entries)
                .map_err(|error| error.to_string())
        }
    }
}

fn set(call: &Call<'_>) -> Result<(), String> {
    if call.words.len() < 3 {
        return Err(
            "'set map' expects three parameters: map identifier, key and value.".to_owned(),
        );
    }
    let subject = subject(call, ListKind::Map)?;
    let chosen = Chosen::of(call.word(1))?;
    match subject
        .list
        .set_where(|entry| chosen.is(entry.id, &entry.pattern), call.word(2))?
    {
        0 => Err("entry not found.".to_owned()),
        _ => Ok(()),
    }
}

fn delete(call: &Call<'_>, kind: ListKind) -> Result<(), String> {
    if call.words.len() < 2 {
        return Err(format!(
            "This command expects two parameters: {} identifier and key.",
            title(kind)
        ));
    }
    let subject = subject(call, kind)?;
    let chosen = Chosen::of(call.word(1))?;
    match subject
        .list
        .remove(|entry| chosen.is(entry.id, &entry.pattern))
    {
        0 => Err("Key not found.".to_owned()),
        _ => Ok(()),
    }
}

fn clear(call: &Call<'_>, kind: ListKind) -> Result<(), String> {
    let subject = subject(call, kind)?;
    let (current, _) = subject.list.versions();
    match subject.version.filter(|version| *version != current) {
        None => {
            subject.list.remove(|_| true);
        }
        Some(version) => subject.list.clear_draft(version),
    }
    Ok(())
}

fn prepare(call: &Call<'_>, kind: ListKind) -> Answer {
    match subject(call, kind) {
        Ok(subject) => Answer::info(format!("New version created: {}", subject.list.prepare())),
        Err(error) => Answer::error(error),
    }
}

fn commit(call: &Call<'_>, kind: ListKind) -> Result<(), String> {
    let subject = subject(call, kind)?;
    let version = subject.version.ok_or("Version number is missing.")?;
    subject.list.commit(version)
}

/// Which entries of a list are meant.
enum Chosen<'a> {
    Reference(u64),
    Key(&'a str),
}

impl<'a> Chosen<'a> {
    fn of(word: &'a str) -> Result<Self, String> {
        match word.strip_prefix('#') {
            None => Ok(Self::Key(word)),
            Some(reference) => {
                let digits = reference.strip_prefix("0x").unwrap_or_default();
                u64::from_str_radix(digits, 16)
                    .map(Self::Reference)
                    .map_err(|_| "Malformed identifier. Please use #<id> or <file>.".to_owned())
            }
        }
    }

    fn is(&self, reference: u64, pattern: &str) -> bool {
        match self {
            Self::Reference(wanted) => *wanted == reference,
            Self::Key(wanted) => *wanted == pattern,
        }
    }
}

fn title(kind: ListKind) -> &'static str {
    match kind {
        ListKind::Acl => "ACL",
        ListKind::Map => "map",
    }
}

#[cfg(test)]
mod tests;
