//! The statistics for programs: CSV, typed and JSON (management.txt §9.1, §9.3 `show stat`).

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::state::Running;
use crate::state::fields::{FIELDS, Kind, Row, Value, rows};

/// Which objects are shown (`show stat [<proxy>] <type> <sid>`).
#[derive(Clone, Debug)]
pub struct Filter {
    /// Names of proxies; empty = all.
    pub proxies: Vec<String>,
    /// Kinds as a sum: 1 frontends, 2 backends, 4 servers, listeners with frontends; −1 = all.
    pub kinds: i32,
    /// A server's number, or −1 for all.
    pub number: i64,
    /// Only servers that are up.
    pub only_up: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            proxies: Vec::new(),
            kinds: -1,
            number: -1,
            only_up: false,
        }
    }
}

impl Filter {
    /// Whether an object is shown.
    pub fn admits(&self, row: &Row<'_>) -> bool {
        let kind = match row.kind() {
            Kind::Frontend | Kind::Listener => 1,
            Kind::Backend => 2,
            Kind::Server => 4,
        };
        let proxy = row.proxy();
        let number = i64::from(row.number());
        self.kinds & kind != 0
            && (self.number < 0 || row.kind() != Kind::Server || number == self.number)
            && (self.proxies.is_empty()
                || self
                    .proxies
                    .iter()
                    .any(|name| *name == proxy.name || is_number(name, proxy.number)))
            && !(self.only_up && row.kind() == Kind::Server && !is_up(row))
    }
}

/// `show stat`: one line an object, a header before, an empty line after.
pub fn csv(running: &Running, filter: &Filter) -> String {
    let mut text = String::from("# ");
    for field in FIELDS {
        text.push_str(field.name);
        text.push(',');
    }
    text.push('\n');
    for row in rows(running).filter(|row| filter.admits(row)) {
        for field in FIELDS {
            push_csv(&mut text, &field.value(&row));
            text.push(',');
        }
        text.push('\n');
    }
    text
}

/// `show stat typed`: one line a value, `F.<iid>.<sid>.<position>.<name>.1:<tags>:<type>:<value>`.
pub fn typed(running: &Running, filter: &Filter) -> String {
    let mut text = String::new();
    for row in rows(running).filter(|row| filter.admits(row)) {
        let (letter, proxy, number) = (row.kind().letter(), row.proxy().number, row.number());
        for (position, field) in FIELDS.iter().enumerate() {
            let value = field.value(&row);
            if value.is_none() {
                continue;
            }
            let (name, tags, kind) = (field.name, field.tags.0, value.kind());
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{letter}.{proxy}.{number}.{position}.{name}.1:{tags}:{kind}:{value}"
            );
        }
        text.push('\n');
    }
    text
}

/// `show stat json`: an array of objects, each an array of values.
pub fn json(running: &Running, filter: &Filter) -> String {
    let objects: Vec<Json> = rows(running)
        .filter(|row| filter.admits(row))
        .map(|row| json_object(&row))
        .collect();
    Json::Array(objects).to_string()
}

fn json_object(row: &Row<'_>) -> Json {
    let values = FIELDS.iter().enumerate().filter_map(|(position, field)| {
        let value = field.value(row);
        let (kind, plain) = match &value {
            Value::None => return None,
            Value::U32(number) => ("u32", json!(number)),
            Value::S32(number) => ("s32", json!(number)),
            Value::U64(number) => ("u64", json!(number)),
            Value::Text(text) => ("str", json!(text)),
        };
        let [origin, nature, scope] = field.tags.words();
        Some(json!({
            "objType": row.kind().word(),
            "proxyId": row.proxy().number,
            "id": row.number(),
            "field": { "pos": position, "name": field.name },
            "processNum": 1,
            "tags": { "origin": origin, "nature": nature, "scope": scope },
            "value": { "type": kind, "value": plain },
        }))
    });
    Json::Array(values.collect())
}

/// Text with a comma, a quote or a line end is quoted, quotes doubled (RFC 4180).
fn push_csv(text: &mut String, value: &Value<'_>) {
    let start = text.len();
    let _ = write!(text, "{value}");
    if text[start..].contains([',', '"', '\n', '\r']) {
        let quoted = text[start..].replace('"', "\"\"");
        text.truncate(start);
        let _ = write!(text, "\"{quoted}\"");
    }
}

fn is_number(name: &str, number: u32) -> bool {
    name.parse() == Ok(number) || name == "-1"
}

fn is_up(row: &Row<'_>) -> bool {
    use crate::state::fields::Object;
    match row.object {
        Object::Server(server) => row.running.state.server(server.id).is_usable(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn awkward_text_is_quoted() {
        let mut text = String::new();
        push_csv(&mut text, &Value::Text("say \"a, b\"".into()));
        assert_eq!(text, "\"say \"\"a, b\"\"\"");
    }
}
