//! The statistics for Prometheus (`http-request use-service prometheus-exporter`).
//!
//! In: the running configuration and what stands behind `?` in the request. Out: the text format, version 0.0.4, with the
//! names HAProxy's exporter gives. Values come from the field tables; what is only text there is left out, states become a
//! label with 1 for the state in force.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use super::output::Filter;
use crate::state::Running;
use crate::state::fields::{FIELDS, Field, INFO, InfoRow, Kind, Row, Tags, Value, rows};
use crate::{clock, model};

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Query {
    scopes: HashSet<&'static str>,
    /// `no-maint`
    no_maintenance: bool,
    /// `desc-labels`
    descriptions: bool,
    /// `metrics=`: names that are wanted, and names that are not.
    wanted: HashSet<String>,
    unwanted: HashSet<String>,
}

impl Query {
    /// Reads the part of a URI behind `?`; `None` when it makes no sense.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let mut parsed = Self {
            scopes: SCOPES.into_iter().collect(),
            no_maintenance: false,
            descriptions: false,
            wanted: HashSet::new(),
            unwanted: HashSet::new(),
        };
        let mut chosen = false;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (parameter, None),
            };
            match (name, value) {
                ("scope", Some(value)) => {
                    if !std::mem::replace(&mut chosen, true) {
                        parsed.scopes.clear();
                    }
                    parsed.choose(value)?;
                }
                ("metrics", Some(value)) => {
                    for metric in value.split(',').filter(|metric| !metric.is_empty()) {
                        match metric.strip_prefix('-') {
                            Some(metric) => parsed.unwanted.insert(metric.to_owned()),
                            None => parsed.wanted.insert(metric.to_owned()),
                        };
                    }
                }
                ("scope" | "metrics", None) => return None,
                ("no-maint", _) => parsed.no_maintenance = true,
                ("desc-labels", _) => parsed.descriptions = true,
                _ => {}
            }
        }
        Some(parsed)
    }

    fn choose(&mut self, scope: &str) -> Option<()> {
        match scope {
            "" => self.scopes.clear(),
            "*" => self.scopes.extend(SCOPES),
            _ => {
                let known = SCOPES.into_iter().find(|known| *known == scope)?;
                self.scopes.insert(known);
            }
        }
        Some(())
    }

    fn wants(&self, metric: &str) -> bool {
        !self.unwanted.contains(metric) && (self.wanted.is_empty() || self.wanted.contains(metric))
    }
}

/// Everything that was asked for.
pub(crate) fn render(running: &Running, query: &Query, version: &str) -> String {
    let mut page = Page {
        text: String::new(),
        query,
    };
    if query.scopes.contains("global") {
        page.process(running, version);
    }
    let filter = Filter {
        no_maintenance: query.no_maintenance,
        ..Filter::default()
    };
    let shown: Vec<Row<'_>> = rows(running).filter(|row| filter.admits(row)).collect();
    for kind in [Kind::Frontend, Kind::Listener, Kind::Backend, Kind::Server] {
        if query.scopes.contains(scope_of(kind)) {
            let of_kind: Vec<&Row<'_>> = shown.iter().filter(|row| row.kind() == kind).collect();
            page.objects(kind, &of_kind, &shown);
        }
    }
    if query.scopes.contains("sticktable") {
        page.tables(running);
    }
    if query.scopes.contains("resolver") {
        // Families without a sample: there is no section whose name servers are counted.
        for (name, doc) in RESOLVER {
            page.family(&format!("haproxy_resolver_{name}"), Tags("MCP"), doc);
        }
    }
    page.text
}

struct Page<'q> {
    text: String,
    query: &'q Query,
}

impl Page<'_> {
    fn process(&mut self, running: &Running, version: &str) {
        let row = InfoRow {
            running,
            version,
            now: clock::now(),
        };
        for field in INFO.iter().filter(|field| !field.metric.is_empty()) {
            let metric = format!("haproxy_process_{}", field.metric);
            if !self.family(&metric, field.tags, field.doc) {
                continue;
            }
            let value = (field.read)(&row);
            match (field.metric, &value) {
                ("build_info", Value::Text(text)) => self.labelled(&metric, "version", text),
                ("node", Value::Text(text)) => self.labelled(&metric, "node", text),
                ("description", Value::Text(text)) => self.labelled(&metric, "desc", text),
                _ => self.sample(&metric, &[], &value, 1),
            }
        }
    }

    /// A sample of 1 that says something in its label.
    fn labelled(&mut self, metric: &str, label: &'static str, text: &str) {
        self.sample(metric, &[(label, text)], &Value::U32(1), 1);
    }

    fn objects(&mut self, kind: Kind, rows: &[&Row<'_>], all: &[Row<'_>]) {
        if rows.is_empty() {
            return;
        }
        let scope = scope_of(kind);
        let mut responses = false;
        for field in FIELDS.iter().filter(|field| is_shown(field, kind)) {
            if let Some(code) = field.name.strip_prefix("hrsp_") {
                let metric = format!("haproxy_{scope}_http_responses_total");
                let first = !std::mem::replace(&mut responses, true);
                if !self.query.wants(&metric) {
                    continue;
                }
                if first {
                    self.family(&metric, field.tags, "Responses by class of their status");
                }
                self.each(&metric, field, rows, &[("code", code)]);
                continue;
            }
            let metric = format!("haproxy_{scope}_{}", field.metric);
            if !self.family(&metric, field.tags, field.doc) {
                continue;
            }
            match field.name {
                "status" | "check_status" | "agent_status" => self.states(&metric, field, rows),
                "agg_server_status" | "agg_server_check_status" => {
                    self.totals(&metric, ("status", states_of(Kind::Server)), rows, all);
                }
                "agg_check_status" => {
                    self.totals(&metric, ("check_status", CHECK_STATES), rows, all)
                }
                _ => self.each(&metric, field, rows, &[]),
            }
        }
    }

    /// One sample per object.
    fn each(&mut self, metric: &str, field: &Field, rows: &[&Row<'_>], more: &[(&str, &str)]) {
        // Times are kept in milliseconds and named in seconds.
        let divisor = match field.metric.ends_with("_seconds") && IN_MILLIS.contains(&field.name) {
            true => 1000,
            false => 1,
        };
        for row in rows {
            let name = field_text(row, "svname");
            let labels = self.labels(row, &name, more);
            self.sample(metric, &labels, &field.value(row), divisor);
        }
    }

    /// One sample per object and state: 1 for the one in force.
    fn states(&mut self, metric: &str, field: &Field, rows: &[&Row<'_>]) {
        for row in rows {
            let text = field.value(row);
            if text.is_none() {
                continue;
            }
            let now = current_state(row, field.name);
            let known = match field.name {
                "status" => states_of(row.kind()),
                _ => CHECK_STATES,
            };
            let name = field_text(row, "svname");
            for state in known {
                let labels = self.labels(row, &name, &[("state", state)]);
                self.sample(metric, &labels, &Value::U32((now == *state).into()), 1);
            }
        }
    }

    /// One sample per backend and state: how many of its servers are in it.
    fn totals(
        &mut self,
        metric: &str,
        (column, states): (&str, &[&str]),
        rows: &[&Row<'_>],
        all: &[Row<'_>],
    ) {
        for row in rows {
            let servers = all.iter().filter(|other| {
                other.kind() == Kind::Server && std::ptr::eq(other.proxy(), row.proxy())
            });
            let now: Vec<String> = servers
                .map(|server| current_state(server, column))
                .collect();
            for state in states {
                let count = now.iter().filter(|now| now == state).count();
                let labels = self.labels(row, "", &[("state", state)]);
                self.sample(metric, &labels, &Value::U64(count as u64), 1);
            }
        }
    }

    fn labels<'l>(
        &self,
        row: &'l Row<'_>,
        name: &'l str,
        more: &[(&'l str, &'l str)],
    ) -> Vec<(&'l str, &'l str)> {
        let proxy: &'l model::Proxy = row.proxy();
        let mut labels = vec![("proxy", proxy.name.as_str())];
        match row.kind() {
            Kind::Server => labels.push(("server", name)),
            Kind::Listener => labels.push(("listener", name)),
            Kind::Frontend | Kind::Backend => {}
        }
        if let Some(description) = proxy
            .description
            .as_deref()
            .filter(|_| self.query.descriptions)
        {
            labels.push(("desc", description));
        }
        labels.extend(more);
        labels
    }

    fn tables(&mut self, running: &Running) {
        let gauge = Tags("MGP");
        type Read = fn(&crate::state::StickTable) -> u32;
        let metrics: [(&str, &str, Read); 2] = [
            (
                "haproxy_sticktable_size",
                "Most entries of the table",
                |table| table.size(),
            ),
            (
                "haproxy_sticktable_used",
                "Entries of the table now",
                |table| table.used(),
            ),
        ];
        for (metric, doc, read) in metrics {
            if running.model.tables.is_empty() || !self.family(metric, gauge, doc) {
                continue;
            }
            for table in &running.model.tables {
                let kind = table_type(&table.key);
                let labels = [("name", table.name.as_str()), ("type", kind)];
                let value = Value::U32(read(running.state.table(table.id)));
                self.sample(metric, &labels, &value, 1);
            }
        }
    }

    /// Begins a family; false when it is not wanted.
    fn family(&mut self, metric: &str, tags: Tags, doc: &str) -> bool {
        if !self.query.wants(metric) {
            return false;
        }
        let kind = match tags.0.as_bytes() {
            [b'M', b'C', ..] => "counter",
            _ => "gauge",
        };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {metric} {doc}\n# TYPE {metric} {kind}");
        true
    }

    fn sample(&mut self, metric: &str, labels: &[(&str, &str)], value: &Value<'_>, divisor: u64) {
        self.text.push_str(metric);
        for (at, (name, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{}\"", Escaped(value));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            Value::None | Value::Text(_) => writeln!(self.text, " NaN"),
            Value::U32(number) if divisor > 1 => {
                writeln!(self.text, " {:.3}", f64::from(*number) / divisor as f64)
            }
            Value::U64(number) if divisor > 1 => {
                writeln!(self.text, " {:.3}", *number as f64 / divisor as f64)
            }
            number => writeln!(self.text, " {number}"),
        };
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => formatter.write_str("\\\\")?,
                '"' => formatter.write_str("\\\"")?,
                '\n' => formatter.write_str("\\n")?,
                other => formatter.write_char(other)?,
            }
        }
        Ok(())
    }
}

const fn scope_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Frontend => "frontend",
        Kind::Backend => "backend",
        Kind::Server => "server",
        Kind::Listener => "listener",
    }
}

/// Whether a field is a metric of a kind of object.
fn is_shown(field: &Field, kind: Kind) -> bool {
    field.objects.has(kind) && !NO_METRICS.contains(&field.name)
}

fn field_text(row: &Row<'_>, name: &str) -> String {
    let field = FIELDS.iter().find(|field| field.name == name);
    field.map_or_else(String::new, |field| field.value(row).to_string())
}

/// The state that a column says an object is in.
fn current_state(row: &Row<'_>, column: &str) -> String {
    let text = field_text(row, column);
    match column {
        "status" => state_of(row, &text),
        _ => text.trim_start_matches("* ").to_owned(),
    }
}

/// The word for a `status` column.
fn state_of(row: &Row<'_>, status: &str) -> String {
    let word = status.split(' ').next().unwrap_or_default();
    let word = match (row.kind(), word) {
        (Kind::Frontend, "OPEN") => "UP",
        (Kind::Frontend, _) => "DOWN",
        // A server without checks is up.
        (Kind::Server, "no") => "UP",
        _ => word,
    };
    word.to_owned()
}

const fn states_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Frontend | Kind::Backend => &["DOWN", "UP"],
        Kind::Listener => &["WAITING", "OPEN", "FULL"],
        Kind::Server => &["DOWN", "UP", "MAINT", "DRAIN", "NOLB"],
    }
}

const fn table_type(key: &model::TableKeyType) -> &'static str {
    match key {
        model::TableKeyType::Ip => "ip",
        model::TableKeyType::Ipv6 => "ipv6",
        model::TableKeyType::Integer => "integer",
        model::TableKeyType::String(_) => "string",
        model::TableKeyType::Binary(_) => "binary",
    }
}

const SCOPES: [&str; 7] = [
    "global",
    "frontend",
    "listener",
    "backend",
    "server",
    "sticktable",
    "resolver",
];

/// What is known of name servers.
const RESOLVER: [(&str, &str); 3] = [
    ("sent", "Requests sent"),
    ("send_error", "Requests that could not be sent"),
    ("valid", "Valid answers"),
];

const CHECK_STATES: &[&str] = &[
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// Fields that are kept in milliseconds.
const IN_MILLIS: &[&str] = &[
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "check_duration",
    "agent_duration",
];

/// Fields that name or describe an object and measure nothing.
const NO_METRICS: &[&str] = &[
    "pxname",
    "svname",
    "pid",
    "iid",
    "sid",
    "tracked",
    "type",
    "last_chk",
    "last_agt",
    "check_desc",
    "agent_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "addr",
    "cookie",
    "mode",
    "algo",
    "proto",
    "hanafail",
];

#[cfg(test)]
mod tests;
