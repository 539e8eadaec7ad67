//! The statistics for people: one HTML page.
//!
//! Every cell is a [`Field`](crate::state::fields::Field) looked up by its CSV name, so that the page shows the very
//! numbers of `show stat`. Style is in `page.css`, embedded; there is no script.

use std::fmt::{self, Write as _};

use super::format::{Escaped, bytes_text, duration, grouped};
use super::output::Filter;
use crate::clock;
use crate::model::{Proxy, StatsPage};
use crate::state::Running;
use crate::state::fields::{FIELDS, Kind, Row, Value, rows};

/// What varies between two requests for the page.
pub(super) struct View<'a> {
    /// The page's settings.
    pub(super) page: &'a StatsPage,
    /// What is shown.
    pub(super) filter: &'a Filter,
    /// Whether the page reloads itself.
    pub(super) refreshing: bool,
    /// Whether its buttons work for this client.
    pub(super) admin: bool,
    /// What a button just did.
    pub(super) message: Option<&'static str>,
    /// The kernel part's own section, already HTML; empty without one.
    pub(super) kernel: &'a str,
}

/// Renders the page.
pub(super) fn render(running: &Running, view: &View<'_>) -> String {
    let mut html = String::with_capacity(32 * 1024);
    head(&mut html, running, view);
    facts(&mut html, running);
    html.push_str(view.kernel);
    let all: Vec<Row<'_>> = rows(running)
        .filter(|row| view.filter.admits(row))
        .collect();
    let mut start = 0;
    while start < all.len() {
        let proxy = all[start].proxy();
        let count = all[start..]
            .iter()
            .take_while(|row| row.proxy().id == proxy.id)
            .count();
        section(&mut html, proxy, &all[start..start + count], view);
        start += count;
    }
    html.push_str("</main></body></html>\n");
    html
}

fn head(html: &mut String, running: &Running, view: &View<'_>) {
    let global = &running.model.global;
    let version = if view.page.hide_version {
        ""
    } else {
        concat!(" ", env!("CARGO_PKG_VERSION"))
    };
    let uri = Escaped(&view.page.uri);
    html.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    if let Some(refresh) = view.page.refresh.filter(|_| view.refreshing) {
        write(
            html,
            format_args!(
                "<meta http-equiv=\"refresh\" content=\"{}\">",
                refresh.0.div_ceil(1000)
            ),
        );
    }
    write(
        html,
        format_args!(
            "<title>Statistics of tidegate</title><style>{}</style></head><body><main><header><h1>tidegate{version}</h1>",
            include_str!("page.css")
        ),
    );
    let node = view.page.show_node.as_deref().map(|own| {
        if own.is_empty() {
            global.node.as_deref().unwrap_or("")
        } else {
            own
        }
    });
    let description = view.page.show_description.as_deref().map(|own| {
        if own.is_empty() {
            global.description.as_deref().unwrap_or("")
        } else {
            own
        }
    });
    for text in [node, description]
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
    {
        write(
            html,
            format_args!("<span class=\"quiet\">{}</span>", Escaped(text)),
        );
    }
    html.push_str("<nav>");
    write(
        html,
        format_args!("<a href=\"{uri}\">all</a><a href=\"{uri};up\">hide down servers</a>"),
    );
    if view.page.refresh.is_some() {
        let (suffix, word) = if view.refreshing {
            (";norefresh", "stop refreshing")
        } else {
            ("", "refresh")
        };
        write(html, format_args!("<a href=\"{uri}{suffix}\">{word}</a>"));
    }
    write(
        html,
        format_args!("<a href=\"{uri};csv\">CSV</a><a href=\"{uri};json\">JSON</a></nav></header>"),
    );
    if let Some(message) = view.message {
        write(
            html,
            format_args!("<p><span class=\"state warn\">{message}</span></p>"),
        );
    }
}

fn facts(html: &mut String, running: &Running) {
    let (process, now) = (&running.state.process, clock::now());
    let uptime = now.since(process.started) / 1000;
    let facts: [(&str, String); 7] = [
        ("process id", std::process::id().to_string()),
        ("uptime", duration(uptime)),
        ("threads", running.state.threads().to_string()),
        (
            "connections",
            format!("{} of {}", process.connections.current(), process.maxconn()),
        ),
        (
            "TLS connections",
            process.tls_connections.current().to_string(),
        ),
        (
            "connections per s",
            process.connection_rate.read(now).to_string(),
        ),
        ("sessions per s", process.session_rate.read(now).to_string()),
    ];
    html.push_str("<div class=\"facts\">");
    for (name, value) in facts {
        write(
            html,
            format_args!("<div><span>{name}</span><b>{value}</b></div>"),
        );
    }
    html.push_str("</div>");
}

fn section(html: &mut String, proxy: &Proxy, rows: &[Row<'_>], view: &View<'_>) {
    let has_servers = rows.iter().any(|row| row.kind() == Kind::Server);
    let buttons = view.admin && has_servers;
    write(
        html,
        format_args!(
            "<section id=\"{0}\"><h2>{0}<small>{1}{2}</small></h2>",
            Escaped(&proxy.name),
            text(&rows[0], "mode"),
            proxy
                .description
                .as_deref()
                .map_or_else(String::new, |words| format!(" · {}", Escaped(words))),
        ),
    );
    if buttons {
        write(
            html,
            format_args!(
                "<form method=\"post\" action=\"{}\">",
                Escaped(&view.page.uri)
            ),
        );
    }
    html.push_str("<table><thead><tr><th></th><th></th>");
    for group in GROUPS {
        write(
            html,
            format_args!(
                "<th class=\"group\" colspan=\"{}\">{}</th>",
                group.cells.len(),
                group.name
            ),
        );
    }
    html.push_str("</tr><tr><th>name</th><th class=\"text\">status</th>");
    for group in GROUPS {
        for (index, (title, _, _)) in group.cells.iter().enumerate() {
            let class = if index == 0 { " class=\"first\"" } else { "" };
            write(html, format_args!("<th{class}>{title}</th>"));
        }
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        line(html, row, buttons, view.page.show_legends);
    }
    html.push_str("</tbody></table>");
    if buttons {
        write(
            html,
            format_args!(
                "<input type=\"hidden\" name=\"b\" value=\"{}\"><select name=\"action\">\
                 <option value=\"\">choose</option>",
                Escaped(&proxy.name)
            ),
        );
        for (action, words) in ACTIONS {
            write(
                html,
                format_args!("<option value=\"{action}\">{words}</option>"),
            );
        }
        html.push_str("</select> <button>Apply to selected</button></form>");
    }
    html.push_str("</section>");
}

fn line(html: &mut String, row: &Row<'_>, buttons: bool, legends: bool) {
    let (name, status) = (text(row, "svname"), text(row, "status"));
    let side = matches!(row.kind(), Kind::Frontend | Kind::Backend);
    html.push_str(if side {
        "<tr class=\"side\"><td>"
    } else {
        "<tr><td>"
    });
    if buttons && row.kind() == Kind::Server {
        write(
            html,
            format_args!(
                "<input type=\"checkbox\" name=\"s\" value=\"{}\"> ",
                Escaped(&name)
            ),
        );
    }
    let shown = match row.kind() {
        Kind::Frontend => "frontend",
        Kind::Backend => "backend",
        _ => &name,
    };
    let title = if legends { legend(row) } else { String::new() };
    write(
        html,
        format_args!(
            "<span title=\"{}\">{}</span></td><td class=\"text\"><span class=\"state {}\">{}</span></td>",
            Escaped(&title),
            Escaped(shown),
            colour(&status),
            Escaped(&status)
        ),
    );
    for group in GROUPS {
        for (index, (_, column, unit)) in group.cells.iter().enumerate() {
            cell(html, row, column, *unit, index == 0);
        }
    }
    html.push_str("</tr>");
}

/// What `stats show-legends` adds to a name: nothing that everybody should see.
fn legend(row: &Row<'_>) -> String {
    let id = if matches!(row.kind(), Kind::Frontend | Kind::Backend) {
        "iid"
    } else {
        "sid"
    };
    let parts = [
        ("mode", "mode"),
        ("id", id),
        ("address", "addr"),
        ("cookie", "cookie"),
    ];
    let shown: Vec<String> = parts
        .iter()
        .map(|(name, column)| (name, text(row, column)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    shown.join(", ")
}

fn cell(html: &mut String, row: &Row<'_>, column: &str, unit: Unit, first: bool) {
    let value = field(row, column);
    let number = match value {
        Value::U32(number) => Some(u64::from(number)),
        Value::U64(number) => Some(number),
        Value::S32(number) => u64::try_from(number).ok(),
        Value::Text(_) | Value::None => None,
    };
    let shown = match (unit, number) {
        (Unit::Bytes, Some(bytes)) => bytes_text(bytes),
        (Unit::Seconds, Some(seconds)) => duration(seconds),
        (Unit::Check, _) => check_text(row),
        (Unit::Plain, Some(number)) => grouped(number),
        (_, None) => value.to_string(),
    };
    let mut class = String::new();
    if first {
        class.push_str("first ");
    }
    if number == Some(0) {
        class.push_str("zero ");
    }
    if matches!(unit, Unit::Check) {
        class.push_str("text");
    }
    write(
        html,
        format_args!(
            "<td class=\"{}\">{}</td>",
            class.trim_end(),
            Escaped(&shown)
        ),
    );
}

fn check_text(row: &Row<'_>) -> String {
    let status = text(row, "check_status");
    if status.is_empty() {
        return status;
    }
    let code = text(row, "check_code");
    let slash = if code.is_empty() { "" } else { "/" };
    format!(
        "{status}{slash}{code} in {} ms",
        text(row, "check_duration")
    )
}

fn field<'a>(row: &Row<'a>, column: &str) -> Value<'a> {
    FIELDS
        .iter()
        .find(|field| field.name == column)
        .map_or(Value::None, |field| field.value(row))
}

fn text(row: &Row<'_>, column: &str) -> String {
    field(row, column).to_string()
}

fn colour(status: &str) -> &'static str {
    match status {
        "UP" | "OPEN" => "up",
        "DOWN" | "DOWN (agent)" | "STOP" => "down",
        "no check" => "",
        other if other.starts_with("UP") || other.starts_with("DOWN") => "warn",
        "DRAIN" | "NOLB" => "warn",
        _ => "",
    }
}

fn write(html: &mut String, arguments: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = html.write_fmt(arguments);
}

/// What the buttons can do: HAProxy's word in the form, and ours on the page.
const ACTIONS: &[(&str, &str)] = &[
    ("ready", "ready"),
    ("drain", "drain"),
    ("maint", "maintenance"),
    ("dhlth", "disable health checks"),
    ("ehlth", "enable health checks"),
    ("hrunn", "force health up"),
    ("hnolb", "force health stopping"),
    ("hdown", "force health down"),
    ("dagent", "disable agent"),
    ("eagent", "enable agent"),
    ("arunn", "force agent up"),
    ("adown", "force agent down"),
    ("shutdown", "cut its sessions"),
];

/// How a cell's number is shown.
#[derive(Clone, Copy)]
enum Unit {
    Plain,
    Bytes,
    Seconds,
    Check,
}

/// Columns that belong together.
struct Group {
    name: &'static str,
    /// Title, CSV column, unit.
    cells: &'static [(&'static str, &'static str, Unit)],
}

const GROUPS: &[Group] = &[
    Group {
        name: "queue",
        cells: &[("cur", "qcur", Unit::Plain), ("max", "qmax", Unit::Plain)],
    },
    Group {
        name: "sessions per s",
        cells: &[
            ("cur", "rate", Unit::Plain),
            ("max", "rate_max", Unit::Plain),
        ],
    },
    Group {
        name: "sessions",
        cells: &[
            ("cur", "scur", Unit::Plain),
            ("max", "smax", Unit::Plain),
            ("limit", "slim", Unit::Plain),
            ("total", "stot", Unit::Plain),
            ("chosen", "lbtot", Unit::Plain),
        ],
    },
    Group {
        name: "bytes",
        cells: &[("in", "bin", Unit::Bytes), ("out", "bout", Unit::Bytes)],
    },
    Group {
        name: "denied",
        cells: &[
            ("conn", "dcon", Unit::Plain),
            ("req", "dreq", Unit::Plain),
            ("resp", "dresp", Unit::Plain),
        ],
    },
    Group {
        name: "errors",
        cells: &[
            ("req", "ereq", Unit::Plain),
            ("conn", "econ", Unit::Plain),
            ("resp", "eresp", Unit::Plain),
        ],
    },
    Group {
        name: "warnings",
        cells: &[
            ("retry", "wretr", Unit::Plain),
            ("redisp", "wredis", Unit::Plain),
        ],
    },
    Group {
        name: "responses",
        cells: &[
            ("2xx", "hrsp_2xx", Unit::Plain),
            ("3xx", "hrsp_3xx", Unit::Plain),
            ("4xx", "hrsp_4xx", Unit::Plain),
            ("5xx", "hrsp_5xx", Unit::Plain),
        ],
    },
    Group {
        name: "servers",
        cells: &[
            ("weight", "weight", Unit::Plain),
            ("act", "act", Unit::Plain),
            ("bck", "bck", Unit::Plain),
            ("last check", "check_status", Unit::Check),
            ("fails", "chkfail", Unit::Plain),
            ("downs", "chkdown", Unit::Plain),
            ("downtime", "downtime", Unit::Seconds),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_a_known_statistic() {
        for (_, column, _) in GROUPS.iter().flat_map(|group| group.cells) {
            assert!(FIELDS.iter().any(|field| field.name == *column), "{column}");
        }
    }
}
