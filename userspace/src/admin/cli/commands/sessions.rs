//! Commands about running sessions.

use super::{Answer, Call, Command};
use crate::admin::lookup;
use crate::model::{Level, Model};
use crate::state::{CutReason, Session};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "sess"],
        usage: "show sess [<id>|all] [<filter>]*",
        doc: "report the list of current sessions or this exact session",
        level: Level::Operator,
        run: list,
    },
    Command {
        words: &["shutdown", "session"],
        usage: "shutdown session [id]",
        doc: "kill a specific session",
        level: Level::Admin,
        run: shut_down,
    },
    Command {
        words: &["shutdown", "sessions", "server"],
        usage: "shutdown sessions server <bk>/<srv>",
        doc: "kill sessions on a server",
        level: Level::Admin,
        run: shut_down_server,
    },
];

fn list(call: &mut Call<'_>) -> Answer {
    let (model, state) = (&call.running().model, &call.running().state);
    let filter = match Filter::of(call.words, model) {
        Ok(filter) => filter,
        Err(reason) => return Answer::error(reason),
    };
    let mut sessions = state.sessions.list();
    sessions.sort_by_key(|session| session.id);
    let lines = sessions
        .iter()
        .filter(|session| session.generation == state.generation)
        .filter(|session| filter.admits(session, call.now.since(session.started) / 1000))
        .map(|session| line(model, session, call.now.since(session.started) / 1000));
    Answer::Output(lines.collect())
}

/// Which sessions are shown.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    frontend: Option<crate::types::ProxyId>,
    backend: Option<crate::types::ProxyId>,
    server: Option<crate::types::ServerId>,
    older: u64,
}

impl Filter {
    fn of(words: &[String], model: &Model) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut argument = || words.next().unwrap_or_default();
            match word {
                "all" => {}
                "frontend" => filter.frontend = Some(lookup::frontend(model, argument())?.id),
                "backend" => {
                    let backend = lookup::backend_of(model, argument());
                    filter.backend = Some(backend.ok_or("No such backend.")?.id);
                }
                "server" => filter.server = Some(lookup::server(model, argument())?.id),
                "older" => {
                    filter.older = argument().parse().map_err(|_| "Invalid age.".to_owned())?;
                }
                id => {
                    let id = pointer(id).ok_or_else(|| {
                        "Expects a session id, 'all', or a filter: backend <b>, frontend <f>, older <age>, server <b/s>.".to_owned()
                    })?;
                    filter.id = Some(id);
                }
            }
        }
        Ok(filter)
    }

    fn admits(&self, session: &Session, age: u64) -> bool {
        self.id.is_none_or(|id| id == session.id)
            && self.frontend.is_none_or(|id| id == session.frontend)
            && self.backend.is_none_or(|id| session.backend() == Some(id))
            && self.server.is_none_or(|id| session.server() == Some(id))
            && age >= self.older
    }
}

fn line(model: &Model, session: &Session, age: u64) -> String {
    let source = session
        .client
        .map_or_else(|| "unix".to_owned(), |client| client.to_string());
    let protocol = match session.client {
        Some(client) if client.is_ipv4() => "tcpv4",
        Some(_) => "tcpv6",
        None => "unix_stream",
    };
    let backend = session
        .backend()
        .map_or("<NONE>", |id| &model.proxy(id).name);
    let server = session
        .server()
        .map_or("<none>", |id| &model.server(id).name);
    format!(
        "0x{:x}: proto={protocol} src={source} fe={} be={backend} srv={server} age={}\n",
        session.id,
        model.proxy(session.frontend).name,
        age_words(age),
    )
}

fn age_words(seconds: u64) -> String {
    match (
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
    ) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, ..) => format!("{days}d{hours:02}h"),
    }
}

fn shut_down(call: &mut Call<'_>) -> Answer {
    if call.word(0).is_empty() {
        return Answer::error("Session pointer expected (use 'show sess').");
    }
    let found = pointer(call.word(0))
        .is_some_and(|id| call.running().state.sessions.cut(id, CutReason::Killed));
    match found {
        true => Answer::Done,
        false => Answer::error("No such session (use 'show sess')."),
    }
}

fn shut_down_server(call: &mut Call<'_>) -> Answer {
    Answer::of(
        lookup::server(&call.running().model, call.word(0)).map(|server| {
            let state = &call.running().state;
            state
                .sessions
                .cut_server(state.generation, server.id, CutReason::Killed);
        }),
    )
}

/// A session's number as `show sess` writes it.
fn pointer(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}
