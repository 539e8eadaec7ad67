//! The statistics page and its machine-readable forms (manual §4.2 `stats …`, management.txt §9.1).
//!
//! In: a request that the HTTP session found to begin with `stats uri`, and the running configuration. Out: a body.
//! Who may come in (`stats auth`, `stats http-request`) was decided by the session before; changes of servers are
//! [`super::applets`]' business.

mod format;
pub(super) mod kernel;
mod output;
mod page;
pub(super) mod prometheus;

pub use output::{Filter, csv, json, json_value, typed};

use crate::model::StatsPage;
use crate::state::Running;

/// A request for the page.
pub struct Request<'a> {
    /// The page's settings.
    pub page: &'a StatsPage,
    /// Path and query as the client sent them.
    pub uri: &'a str,
    /// Whether a `stats admin` line lets this client change servers.
    pub admin: bool,
    /// What a button just did.
    pub message: Option<&'static str>,
    /// The kernel part's own section, already HTML.
    pub kernel: &'a str,
}

/// What the client gets, with status 200.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Answers a GET or HEAD.
pub fn respond(running: &Running, request: &Request<'_>) -> Response {
    let page = request.page;
    let options = Options::of(request.uri.strip_prefix(&*page.uri).unwrap_or_default());
    let filter = Filter {
        proxies: match options.scope {
            Some(scope) => vec![scope],
            None => page.scope.clone(),
        },
        only_up: options.only_up,
        no_maintenance: options.no_maintenance,
        ..Filter::default()
    };
    let (content_type, body) = match options.form {
        Form::Csv => ("text/plain", csv(running, &filter)),
        Form::Typed => ("text/plain", typed(running, &filter, false)),
        Form::Json => ("application/json", json(running, &filter)),
        Form::Html => {
            let view = page::View {
                page,
                filter: &filter,
                refreshing: options.refreshing,
                admin: request.admin,
                message: request.message,
                kernel: request.kernel,
            };
            ("text/html; charset=utf-8", page::render(running, &view))
        }
    };
    Response { content_type, body }
}

enum Form {
    Html,
    Csv,
    Typed,
    Json,
}

/// What stands after `stats uri`: `;csv`, `;up`, `;norefresh`, `;scope=NAME`, ….
struct Options {
    form: Form,
    only_up: bool,
    no_maintenance: bool,
    refreshing: bool,
    scope: Option<String>,
}

impl Options {
    fn of(rest: &str) -> Self {
        let mut options = Self {
            form: Form::Html,
            only_up: false,
            no_maintenance: false,
            refreshing: true,
            scope: None,
        };
        for word in rest.split([';', '&', '?', '/']) {
            match word {
                "csv" => options.form = Form::Csv,
                "typed" => options.form = Form::Typed,
                "json" => options.form = Form::Json,
                "up" => options.only_up = true,
                "no-maint" => options.no_maintenance = true,
                "norefresh" => options.refreshing = false,
                other => {
                    if let Some(name) = other.strip_prefix("scope=").filter(|name| !name.is_empty())
                    {
                        options.scope = Some(name.to_owned());
                    }
                }
            }
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Model, Proxy, ProxyKind};
    use crate::types::ProxyId;

    fn ask(uri: &str) -> Response {
        let mut model = Model::default();
        model
            .proxies
            .push(Proxy::new(ProxyId(0), "<web>", ProxyKind::Listen));
        let running = Running::new(Arc::new(model), None);
        let page = StatsPage {
            uri: "/haproxy?stats".into(),
            realm: "Strictly Private".into(),
            auth: Vec::new(),
            scope: Vec::new(),
            refresh: None,
            hide_version: false,
            show_legends: false,
            show_description: None,
            show_node: None,
            admin: Vec::new(),
            rules: Vec::new(),
        };
        let request = Request {
            page: &page,
            uri,
            admin: false,
            message: None,
            kernel: "",
        };
        respond(&running, &request)
    }

    #[test]
    fn options_follow_the_uri() {
        assert!(
            ask("/haproxy?stats;csv")
                .body
                .starts_with("# pxname,svname,")
        );
        assert!(ask("/haproxy?stats;json").body.starts_with("[["));
        assert!(ask("/haproxy?stats;csv;scope=other").body.ends_with(",\n"));
    }

    #[test]
    fn names_are_escaped() {
        let html = ask("/haproxy?stats;up;norefresh").body;
        assert!(html.contains("&lt;web&gt;") && !html.contains("<web>"));
    }
}
