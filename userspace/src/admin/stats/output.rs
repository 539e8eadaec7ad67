//! The statistics for programs: CSV, typed and JSON (management.txt §9.1, §9.3 `show stat`).

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::state::fields::{FIELDS, Kind, Object, Row, Tags, Value, rows};
use crate::state::{Admin, Running};

/// Which objects are shown (`show stat [<proxy>] <type> <sid>`).
#[derive(Clone, Debug)]
pub struct Filter {
    /// Names of proxies; empty = all.
    pub proxies: Vec<String>,
    /// Kinds as a sum: 1 frontends, 2 backends, 4 servers, listeners with frontends; −1 = all.
    pub kinds: i32,
    /// A server's number, or −1 for all.
    pub number: i64,
    /// Only servers that are up or not checked.
    pub only_up: bool,
    /// No servers in maintenance.
    pub no_maintenance: bool,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            proxies: Vec::new(),
            kinds: -1,
            number: -1,
            only_up: false,
            no_maintenance: false,
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
            && (!self.only_up || is_up(row))
            && !(self.no_maintenance && is_in_maintenance(row))
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

/// `show stat typed`: one line a value, `F.<iid>.<sid>.<position>.<name>.1:<tags>:<type>:<value>`, and what it tells when
/// `described`.
pub fn typed(running: &Running, filter: &Filter, described: bool) -> String {
    let mut text = String::new();
    for row in rows(running).filter(|row| filter.admits(row)) {
        let (letter, proxy, number) = (row.kind().letter(), row.proxy().number, row.number());
        for (position, field) in FIELDS.iter().enumerate() {
            let value = field.value(&row);
            if value.is_none() {
                continue;
            }
            let (name, tags, kind) = (field.name, field.tags.0, value.kind());
            let persistence = field.tags.persistence();
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{letter}.{proxy}.{number}.{position}.{name}.1:{tags}{persistence}:{kind}:{value}"
            );
            if described {
                let _ = write!(text, ":\"{}\"", field.doc);
            }
            text.push('\n');
        }
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
        if value.is_none() {
            return None;
        }
        let mut object = json_value(position, field.name, field.tags, &value);
        object["objType"] = json!(row.kind().word());
        object["proxyId"] = json!(row.proxy().number);
        object["id"] = json!(row.number());
        Some(object)
    });
    Json::Array(values.collect())
}

/// One value of `show stat json` or `show info json`.
pub fn json_value(position: usize, name: &str, tags: Tags, value: &Value<'_>) -> Json {
    let plain = match value {
        Value::None => Json::Null,
        Value::U32(number) => json!(number),
        Value::S32(number) => json!(number),
        Value::U64(number) => json!(number),
        Value::Text(text) => json!(text),
    };
    let [origin, nature, scope] = tags.words();
    json!({
        "field": { "pos": position, "name": name },
        "processNum": 1,
        "tags": { "origin": origin, "nature": nature, "scope": scope },
        "value": { "type": value.kind(), "value": plain },
    })
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
    match row.object {
        Object::Server(server) => row.running.state.server(server.id).accepts_persistent(),
        _ => true,
    }
}

fn is_in_maintenance(row: &Row<'_>) -> bool {
    match row.object {
        Object::Server(server) => row
            .running
            .state
            .server(server.id)
            .admin()
            .has(Admin::MAINT),
        _ => false,
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
