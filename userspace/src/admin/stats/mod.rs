//! The statistics page and its machine-readable forms (manual §4.2 `stats …`, management.txt §9.1).
//!
//! In: a request that the HTTP session found to begin with `stats uri`, and the running configuration. Out: a whole
//! response. Who may come in (`stats auth`) is decided here; `stats admin` conditions are evaluated by the session, which
//! sees the request, and handed in.

mod format;
mod output;
mod page;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use output::{Filter, csv, json, typed};

use crate::model::{StatsPage, UriAuth};
use crate::state::Running;

/// A request for the page.
pub struct Request<'a> {
    /// The page's settings.
    pub page: &'a StatsPage,
    /// Path and query as the client sent them.
    pub uri: &'a str,
    /// The `Authorization` field.
    pub authorization: Option<&'a [u8]>,
    /// Whether a `stats admin` line let this client change servers.
    pub admin: bool,
    /// The kernel part's own section, already HTML.
    pub kernel: &'a str,
}

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// Further fields.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Whether a request is for the page: its URI begins with `stats uri`, and goes on with nothing or with an option.
pub fn concerns(page: &StatsPage, uri: &str) -> bool {
    uri.strip_prefix(&*page.uri).is_some_and(|rest| {
        rest.is_empty() || rest.starts_with([';', '?', '/', '&']) || page.uri.ends_with('/')
    })
}

/// Answers a GET or HEAD.
pub fn respond(running: &Running, request: &Request<'_>) -> Response {
    let page = request.page;
    if !page.auth.is_empty() && !is_authorised(&page.auth, request.authorization) {
        return unauthorised(page);
    }
    let options = Options::of(request.uri.strip_prefix(&*page.uri).unwrap_or_default());
    let filter = Filter {
        proxies: match options.scope {
            Some(scope) => vec![scope],
            None => page.scope.clone(),
        },
        only_up: options.only_up,
        ..Filter::default()
    };
    let (content_type, body) = match options.form {
        Form::Csv => ("text/plain", csv(running, &filter)),
        Form::Typed => ("text/plain", typed(running, &filter)),
        Form::Json => ("application/json", json(running, &filter)),
        Form::Html => {
            let view = page::View {
                page,
                filter: &filter,
                refreshing: options.refreshing,
                admin: request.admin,
                message: None,
                kernel: request.kernel,
            };
            ("text/html; charset=utf-8", page::render(running, &view))
        }
    };
    let fields = vec![("Cache-Control", "no-cache".to_owned())];
    Response {
        status: 200,
        content_type,
        fields,
        body,
    }
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
    refreshing: bool,
    scope: Option<String>,
}

impl Options {
    fn of(rest: &str) -> Self {
        let mut options = Self {
            form: Form::Html,
            only_up: false,
            refreshing: true,
            scope: None,
        };
        for word in rest.split([';', '&', '?', '/']) {
            match word {
                "csv" => options.form = Form::Csv,
                "typed" => options.form = Form::Typed,
                "json" => options.form = Form::Json,
                "up" => options.only_up = true,
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

/// Compares credentials without telling by the time it takes how much of them was right.
fn is_authorised(known: &[UriAuth], field: Option<&[u8]>) -> bool {
    let Some(given) = field.and_then(credentials) else {
        return false;
    };
    let given = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &given);
    let mut found = false;
    for auth in known {
        let wanted = format!("{}:{}", auth.user, auth.password);
        let wanted = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, wanted.as_bytes());
        found |= aws_lc_rs::constant_time::verify_slices_are_equal(given.as_ref(), wanted.as_ref())
            .is_ok();
    }
    found
}

/// `user:password` of a Basic `Authorization` field (RFC 7617).
fn credentials(field: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = field.split_at_checked("Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    STANDARD.decode(rest.trim_ascii()).ok()
}

fn unauthorised(page: &StatsPage) -> Response {
    let realm = page.realm.replace(['"', '\\', '\r', '\n'], "");
    Response {
        status: 401,
        content_type: "text/html; charset=utf-8",
        fields: vec![
            ("Cache-Control", "no-cache".to_owned()),
            ("WWW-Authenticate", format!("Basic realm=\"{realm}\"")),
        ],
        body: "<html><body><h1>401 Unauthorized</h1>\nYou need a valid user and password to access this content.\n</body></html>\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Model, Proxy, ProxyKind};
    use crate::types::ProxyId;

    fn page(uri: &str) -> StatsPage {
        StatsPage {
            uri: uri.into(),
            realm: "Strictly Private".into(),
            auth: vec![UriAuth {
                user: "A_Username".into(),
                password: "YourPassword".into(),
            }],
            scope: Vec::new(),
            refresh: None,
            hide_version: false,
            show_legends: false,
            show_modules: false,
            show_description: None,
            show_node: None,
            admin: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn ask(uri: &str, authorization: Option<&[u8]>) -> Response {
        let mut model = Model::default();
        model
            .proxies
            .push(Proxy::new(ProxyId(0), "<web>", ProxyKind::Listen));
        let running = Running::new(Arc::new(model), None);
        let page = page("/haproxy?stats");
        respond(
            &running,
            &Request {
                page: &page,
                uri,
                authorization,
                admin: false,
                kernel: "",
            },
        )
    }

    const GOOD: &[u8] = b"Basic QV9Vc2VybmFtZTpZb3VyUGFzc3dvcmQ=";

    #[test]
    fn the_page_needs_the_password() {
        let refused = ask("/haproxy?stats", None);
        assert_eq!(refused.status, 401);
        assert!(refused.fields.contains(&(
            "WWW-Authenticate",
            "Basic realm=\"Strictly Private\"".into()
        )));
        assert_eq!(ask("/haproxy?stats", Some(b"Basic QTpC")).status, 401);
        assert_eq!(ask("/haproxy?stats", Some(GOOD)).status, 200);
    }

    #[test]
    fn options_follow_the_uri() {
        assert!(
            ask("/haproxy?stats;csv", Some(GOOD))
                .body
                .starts_with("# pxname,svname,")
        );
        assert!(
            ask("/haproxy?stats;json", Some(GOOD))
                .body
                .starts_with("[[")
        );
        let html = ask("/haproxy?stats;up;norefresh", Some(GOOD)).body;
        assert!(html.contains("&lt;web&gt;") && !html.contains("<web>"));
    }

    #[test]
    fn only_the_uri_itself_and_its_options_concern_it() {
        let page = page("/haproxy?stats");
        for (uri, wanted) in [
            ("/haproxy?stats", true),
            ("/haproxy?stats;csv", true),
            ("/haproxy?stats2", false),
            ("/haproxy", false),
        ] {
            assert_eq!(concerns(&page, uri), wanted, "{uri}");
        }
    }
}
