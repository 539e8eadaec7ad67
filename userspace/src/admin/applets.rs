//! What this room answers to HTTP clients: the statistics page with its buttons.
//!
//! The session found the request to be for the page and its client to be let in; here the page is rendered or a button's
//! order carried out. An order's answer is a redirect to the page, so that reloading does not repeat it.

use std::sync::Arc;

use super::lookup;
use super::stats::{self, Request, prometheus};
use crate::clock;
use crate::dataplane::Dataplane;
use crate::health::{Cause, Life, Mode};
use crate::model::{Server, Service, StatsPage};
use crate::proto::http::Method;
use crate::session::generation::Generation;
use crate::session::http::applet::{AppletAnswer, AppletRequest, Applets};
use crate::state::{CheckState, CutReason, Operational};

/// The applets of this program.
#[derive(Debug, Default)]
pub struct Statistics {
    /// The kernel tier, where there is one.
    pub kernel: Option<Arc<Dataplane>>,
}

impl Applets for Statistics {
    fn statistics(&self, request: &AppletRequest<'_>, page: &StatsPage) -> AppletAnswer {
        let admin = page.admin.iter().any(|admin| {
            admin
                .condition
                .as_ref()
                .is_none_or(|condition| condition.matches(request.view))
        });
        if request.head.method() == Method::Post {
            return redirect(page, carry_out(request.generation, request.body, admin));
        }
        let target = String::from_utf8_lossy(request.head.target());
        let kernel = self
            .kernel
            .as_deref()
            .map_or_else(String::new, stats::kernel::section);
        let response = stats::respond(
            request.generation.running(),
            &Request {
                page,
                uri: &target,
                admin,
                message: message(&target),
                kernel: &kernel,
            },
        );
        AppletAnswer {
            status: 200,
            fields: vec![
                ("Cache-Control", "no-cache".to_owned()),
                ("Content-Type", response.content_type.to_owned()),
            ],
            body: response.body.into_bytes(),
        }
    }

    fn service(&self, request: &AppletRequest<'_>, service: Service) -> AppletAnswer {
        match service {
            Service::PrometheusExporter => exported(request),
        }
    }
}

/// The statistics for Prometheus.
fn exported(request: &AppletRequest<'_>) -> AppletAnswer {
    let target = String::from_utf8_lossy(request.head.target());
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let query = match request.head.method() {
        Method::Get | Method::Head => prometheus::Query::parse(query).ok_or(400),
        _ => Err(405),
    };
    match query {
        Ok(query) => {
            let version = env!("CARGO_PKG_VERSION");
            let text = prometheus::render(request.generation.running(), &query, version);
            AppletAnswer {
                status: 200,
                fields: vec![
                    ("Cache-Control", "no-cache".to_owned()),
                    ("Content-Type", "text/plain; version=0.0.4".to_owned()),
                ],
                body: text.into_bytes(),
            }
        }
        Err(status) => AppletAnswer {
            status,
            ..AppletAnswer::default()
        },
    }
}

/// What became of an order; the letters stand after `;st=` in the page's URI, as HAProxy writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Partly,
    Nothing,
    Unknown,
    Denied,
}

impl Outcome {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Done, "DONE", "The order was carried out."),
        (
            Self::Partly,
            "PART",
            "The order was carried out for some of the servers.",
        ),
        (
            Self::Nothing,
            "NONE",
            "Nothing was selected, so nothing was changed.",
        ),
        (
            Self::Unknown,
            "UNKN",
            "The order was not understood; nothing was changed.",
        ),
        (
            Self::Denied,
            "DENY",
            "Changing servers is not allowed here; nothing was changed.",
        ),
    ];

    fn letters(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|row| row.0 == self)
            .map_or("UNKN", |row| row.1)
    }
}

/// The message for the letters in a URI, if there are any.
fn message(uri: &str) -> Option<&'static str> {
    let letters = uri
        .split([';', '&'])
        .find_map(|word| word.strip_prefix("st="))?;
    Outcome::ALL
        .iter()
        .find(|row| row.1 == letters)
        .map(|row| row.2)
}

fn redirect(page: &StatsPage, outcome: Outcome) -> AppletAnswer {
    AppletAnswer {
        status: 303,
        fields: vec![
            ("Cache-Control", "no-cache".to_owned()),
            ("Location", format!("{};st={}", page.uri, outcome.letters())),
        ],
        body: Vec::new(),
    }
}

/// Carries out the order of a form: `b=BACKEND&action=ACTION&s=SERVER&s=SERVER…`; a backend may be named by `#` and its
/// number.
fn carry_out(generation: &Generation, body: &[u8], admin: bool) -> Outcome {
    if !admin {
        return Outcome::Denied;
    }
    let model = &generation.running().model;
    let (mut backend, mut order, mut servers) = (None, None, Vec::new());
    for pair in body.split(|byte| *byte == b'&') {
        let end = pair
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(pair.len());
        let (name, value) = pair.split_at(end);
        let value = decoded(value.get(1..).unwrap_or_default());
        match name {
            b"b" => backend = lookup::backend_of(model, &value),
            b"s" => servers.push(value),
            b"action" => order = Order::named(&value),
            _ => {}
        }
    }
    let (Some(backend), Some(order)) = (backend, order) else {
        return Outcome::Unknown;
    };
    let of_backend = || backend.servers.iter().map(|id| model.server(id));
    let known: Vec<_> = servers
        .iter()
        .filter_map(|name| of_backend().find(|server| server.name == *name))
        .collect();
    let done = known
        .iter()
        .filter(|server| order.carry_out(generation, server))
        .count();
    match (servers.len(), known.len(), done) {
        (0, ..) => Outcome::Nothing,
        (_, 0, _) => Outcome::Unknown,
        (_, _, 0) => Outcome::Nothing,
        (asked, _, done) if asked == done => Outcome::Done,
        _ => Outcome::Partly,
    }
}

/// What a form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Mode(Mode),
    Checks { enabled: bool },
    Health(Operational),
    Agent { enabled: bool },
    AgentSays(Operational),
    CutSessions,
}

impl Order {
    /// The order behind an action; `enable` and `disable` are the old words for two of them.
    fn named(action: &str) -> Option<Self> {
        Some(match action {
            "ready" | "enable" => Self::Mode(Mode::Ready),
            "drain" => Self::Mode(Mode::Drain),
            "maint" | "disable" => Self::Mode(Mode::Maintenance),
            "ehlth" => Self::Checks { enabled: true },
            "dhlth" => Self::Checks { enabled: false },
            "hrunn" => Self::Health(Operational::Running),
            "hnolb" => Self::Health(Operational::Stopping),
            "hdown" => Self::Health(Operational::Stopped),
            "eagent" => Self::Agent { enabled: true },
            "dagent" => Self::Agent { enabled: false },
            "arunn" => Self::AgentSays(Operational::Running),
            "adown" => Self::AgentSays(Operational::Stopped),
            "shutdown" => Self::CutSessions,
            _ => return None,
        })
    }

    /// Does it to one server; false where it does not apply.
    fn carry_out(self, generation: &Generation, server: &Server) -> bool {
        let life = Life::new(generation.running(), generation.logs());
        let (state, now) = (&generation.running().state, clock::now());
        let live = state.server(server.id);
        match self {
            Self::Mode(mode) => life.set_mode(server.id, mode, now),
            Self::Checks { .. } if server.check.is_none() => return false,
            Self::Checks { enabled } => {
                life.set_checks(server.id, enabled, &Cause::StatsPage, now);
            }
            Self::Health(_) if server.track.is_some() => return false,
            Self::Health(side) => life.force_health(server.id, side, &Cause::StatsPage, now),
            Self::Agent { .. } | Self::AgentSays(_) if server.agent.is_none() => return false,
            Self::Agent { enabled } => live.agent.set(CheckState::ENABLED, enabled),
            Self::AgentSays(side) => life.force_agent(server.id, side, &Cause::StatsPage, now),
            Self::CutSessions => {
                state
                    .sessions
                    .cut_server(state.generation, server.id, CutReason::Killed);
            }
        }
        true
    }
}

/// A form's value (URL standard, `application/x-www-form-urlencoded`).
fn decoded(value: &[u8]) -> String {
    let spaced: Vec<u8> = value
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_encoding::percent_decode(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_the_uri_become_a_message() {
        assert_eq!(message("/stats;st=DENY"), Some(Outcome::ALL[4].2));
        assert_eq!(message("/stats;up;st=<script>"), None);
        assert_eq!(message("/stats"), None);
    }

    #[test]
    fn form_values_are_decoded() {
        assert_eq!(decoded(b"a+b%2Fc%"), "a b/c%");
    }
}
