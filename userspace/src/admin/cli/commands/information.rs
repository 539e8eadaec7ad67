//! Commands that show the process and the statistics.

use super::{Answer, Call, Command};
use crate::admin::stats::{self, Filter};
use crate::log::notice;
use crate::model::Level;
use crate::state::fields::{INFO, InfoRow, Tags};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "info"],
        usage: "show info [desc|json|typed]*",
        doc: "report information about the running process",
        level: Level::User,
        run: info,
    },
    Command {
        words: &["show", "stat"],
        usage: "show stat [desc|json|no-maint|typed|up]*",
        doc: "report counters for each proxy and server",
        level: Level::User,
        run: stat,
    },
    Command {
        words: &["show", "schema", "json"],
        usage: "show schema json",
        doc: "report schema used for stats",
        level: Level::User,
        run: |_| Answer::Output(SCHEMA.to_owned()),
    },
    Command {
        words: &["show", "version"],
        usage: "show version",
        doc: "show version of the current process",
        level: Level::User,
        run: |call| Answer::info(call.world.version),
    },
    Command {
        words: &["show", "env"],
        usage: "show env [var]",
        doc: "dump environment variables known to the process",
        level: Level::Operator,
        run: environment,
    },
    Command {
        words: &["show", "startup-logs"],
        usage: "show startup-logs",
        doc: "report logs emitted during startup",
        level: Level::User,
        run: |_| Answer::Output(notice::startup_logs()),
    },
];

fn info(call: &mut Call<'_>) -> Answer {
    let (mut form, mut described) = (Form::Plain, false);
    for word in call.words {
        match word.as_str() {
            "typed" => form = Form::Typed,
            "json" => form = Form::Json,
            "desc" => described = true,
            // Every number here is whole.
            "float" => {}
            _ => {}
        }
    }
    let row = InfoRow {
        running: call.running(),
        version: call.world.version,
        now: call.now,
    };
    let fields = INFO.iter().map(|field| (field, (field.read)(&row)));
    let present = fields.filter(|(_, value)| !value.is_none());
    if matches!(form, Form::Json) {
        let values: Vec<_> = present
            .map(|(field, value)| {
                stats::json_value(usize::from(field.position), field.name, field.tags, &value)
            })
            .collect();
        return Answer::Output(serde_json::Value::Array(values).to_string());
    }
    let lines = present.map(|(field, value)| {
        let doc = if described {
            format!(":\"{}\"", field.doc)
        } else {
            String::new()
        };
        match form {
            Form::Typed => {
                let Tags(tags) = field.tags;
                let (position, name, kind) = (field.position, field.name, value.kind());
                format!("{position}.{name}.1:{tags}V:{kind}:{value}{doc}\n")
            }
            Form::Plain | Form::Json => format!("{}: {value}{doc}\n", field.name),
        }
    });
    Answer::Output(lines.collect())
}

enum Form {
    Plain,
    Typed,
    Json,
}

fn stat(call: &mut Call<'_>) -> Answer {
    let mut words = call.words.iter().map(String::as_str).peekable();
    if words.peek() == Some(&"domain") {
        words.next();
        match words.next() {
            Some("proxy") => {}
            _ => return Answer::error("Invalid statistics domain."),
        }
    }
    let rest: Vec<&str> = words.collect();
    let (filter, options) = match selection(call, &rest) {
        Ok(selection) => selection,
        Err(reason) => return Answer::error(reason),
    };
    let mut filter = filter;
    let (mut form, mut described) = (Form::Plain, false);
    for word in options {
        match *word {
            "typed" => form = Form::Typed,
            "json" => form = Form::Json,
            "desc" => described = true,
            "up" => filter.only_up = true,
            "no-maint" => filter.no_maintenance = true,
            _ => {}
        }
    }
    let running = call.running();
    Answer::Output(match form {
        Form::Plain => stats::csv(running, &filter),
        Form::Typed => stats::typed(running, &filter, described),
        Form::Json => stats::json(running, &filter),
    })
}

/// `[{<iid>|<proxy>} <type> <sid>]`, and the words behind it.
fn selection<'a, 'w>(
    call: &Call<'_>,
    words: &'a [&'w str],
) -> Result<(Filter, &'a [&'w str]), String> {
    let nothing = Ok((Filter::default(), words));
    let [proxy, kinds, number, others @ ..] = words else {
        return nothing;
    };
    let (Ok(kinds), Ok(number)) = (kinds.parse(), number.parse()) else {
        return nothing;
    };
    let proxies = match proxy.parse::<i64>() {
        Ok(id) if id < 0 => Vec::new(),
        id => {
            let known = &call.running().model.proxies;
            if id.is_err() && !known.iter().any(|known| known.name == *proxy) {
                return Err("No such proxy.".to_owned());
            }
            vec![(*proxy).to_owned()]
        }
    };
    Ok((
        Filter {
            proxies,
            kinds,
            number,
            ..Filter::default()
        },
        others,
    ))
}

fn environment(call: &mut Call<'_>) -> Answer {
    let line = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        format!("{}={}\n", name.to_string_lossy(), value.to_string_lossy())
    };
    match call.words.first() {
        None => Answer::Output(std::env::vars_os().map(line).collect()),
        Some(name) => match std::env::vars_os().find(|(known, _)| known == name.as_str()) {
            Some(variable) => Answer::Output(line(variable)),
            None => Answer::error("Variable not found"),
        },
    }
}

/// JSON Schema of `show info json` and `show stat json`.
const SCHEMA: &str = include_str!("schema.json");
