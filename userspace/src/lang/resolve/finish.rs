//! Drafts to model: ids and numbers are given, what depends on the whole proxy is decided, names of servers are looked up.

use std::collections::HashMap;
use std::sync::Arc;

use super::{checks, foundry};
use crate::expr::{LogFormat, Purpose, Stage};
use crate::lang::ast::Word;
use crate::lang::keywords::args::Complaint;
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::{FormatSource, FormatText, ProxyDraft};
use crate::lang::keywords::expressions::Rules;
use crate::lang::keywords::server_state::states;
use crate::lang::source::Span;
use crate::model::{BalanceKind, Mode, Model, Server, ServerTarget, Table, UseServer};
use crate::types::{BindId, ProxyId, ServerId};

/// Makes the model of all proxies, in the order of the file.
/// `tables` are those that belong to no proxy.
pub(super) fn model(
    mut drafts: Vec<ProxyDraft>,
    tables: Vec<Table>,
    context: &mut Context<'_>,
) -> Model {
    number_proxies(&mut drafts, context);
    for draft in &mut drafts {
        finish_proxy(draft, context);
    }
    checks::proxies(&drafts, context);
    let mut model = Model {
        global: std::mem::take(&mut context.global),
        tables,
        ..Model::default()
    };
    let mut tracked = Vec::new();
    for draft in drafts {
        add(draft, &mut model, &mut tracked, context);
    }
    model.tables.sort_by_key(|table| table.id);
    resolve_tracks(&mut model, &tracked, context);
    model.userlists = std::mem::take(&mut context.userlists);
    model.http_errors = std::mem::take(&mut context.http_errors);
    model.caches = std::mem::take(&mut context.caches);
    let certificates = context.certificates.iter();
    model.certificates = certificates.map(|(one, _)| one.clone()).collect();
    model.rings = std::mem::take(&mut context.rings);
    model.log_profiles = std::mem::take(&mut context.log_profiles);
    model.patterns = std::mem::take(&mut context.patterns);
    model
}

/// Decides what needs the whole section.
fn finish_proxy(draft: &mut ProxyDraft, context: &mut Context<'_>) {
    if draft.log_global {
        draft
            .proxy
            .logs
            .splice(0..0, context.global.logs.iter().cloned());
    }
    if draft.proxy.log_tag.is_none() {
        draft.proxy.log_tag.clone_from(&context.global.log_tag);
    }
    draft.proxy.stats = draft.stats.take().map(Arc::new);
    if let Some(cookie) = &mut draft.proxy.cookie
        && cookie.dynamic_key.is_some()
    {
        match &draft.dynamic_cookie_key {
            Some(key) => cookie.dynamic_key = Some(key.clone()),
            None => {
                let message = "'cookie' : 'dynamic' needs a secret (use 'dynamic-cookie-key')";
                context.alert(draft.place_of("cookie"), message);
            }
        }
    }
    let longest = context.global.tune.http_cookielen;
    if let Some((_, length)) = &mut draft.proxy.capture_cookie {
        *length = (*length).min(longest);
    }
    let is_chosen = draft.written.contains_key("balance");
    if draft.proxy.mode == Mode::L4 && !is_chosen {
        draft.proxy.balance.kind = BalanceKind::Maglev;
    }
    let formats = [
        (draft.log_format.clone(), Purpose::Log, "log-format"),
        (
            draft.error_log_format.clone(),
            Purpose::Log,
            "error-log-format",
        ),
        (
            draft.log_format_sd.clone(),
            Purpose::StructuredData,
            "log-format-sd",
        ),
        (
            draft.unique_id_format.clone(),
            Purpose::UniqueId,
            "unique-id-format",
        ),
    ];
    let [log, error, structured, unique] =
        formats.map(|(text, purpose, keyword)| format(text?, purpose, keyword, draft, context));
    draft.proxy.log_format = log;
    draft.proxy.error_log_format = error;
    draft.proxy.log_format_sd = structured;
    draft.proxy.unique_id_format = unique;
}

/// Compiles a format; an HTTP format in a TCP proxy is replaced by the TCP one.
fn format(
    text: FormatText,
    purpose: Purpose,
    keyword: &str,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
) -> Option<Arc<LogFormat>> {
    use crate::expr::logformat::formats;
    let stage = if purpose == Purpose::UniqueId {
        Stage::Request
    } else {
        Stage::Log
    };
    let is_http = draft.proxy.mode == Mode::Http || switches_to_http(draft);
    let mut rules = Rules::new(context, &draft.acls, stage);
    let result = match (&text.source, is_http) {
        (FormatSource::Written(word), _) => rules.log_format_for(word, purpose),
        (FormatSource::Tcp, _) => rules.built_in_format(formats::TCP, text.span),
        (FormatSource::TcpClf, _) => rules.built_in_format(formats::TCP_CLF, text.span),
        (FormatSource::Http, true) => rules.built_in_format(formats::HTTP, text.span),
        (FormatSource::HttpClf, true) => rules.built_in_format(formats::HTTP_CLF, text.span),
        (FormatSource::Https, true) => rules.built_in_format(formats::HTTPS, text.span),
        (FormatSource::HttpClf, false) => rules.built_in_format(formats::TCP_CLF, text.span),
        (FormatSource::Http | FormatSource::Https, false) => {
            rules.built_in_format(formats::TCP, text.span)
        }
    };
    let falls_back = matches!(
        text.source,
        FormatSource::Http | FormatSource::HttpClf | FormatSource::Https
    );
    if falls_back && !is_http && draft.proxy.kind.has_frontend() {
        let option = if matches!(text.source, FormatSource::Https) {
            "httpslog"
        } else {
            "httplog"
        };
        let message = format!(
            "'option {option}' needs 'mode http', which {} '{}' is not in: 'option tcplog' is used instead.",
            draft.section.keyword(),
            draft.proxy.name
        );
        context.warn(text.span, message);
    }
    match result {
        Ok(format) => Some(Arc::new(format)),
        Err(complaint) => {
            let complaint: Complaint = complaint.about(&format!("'{keyword}'"));
            let place = complaint.span;
            context.diagnostics.push(complaint.into_diagnostic(place));
            None
        }
    }
}

/// Whether a TCP frontend may turn a connection into HTTP: its HTTP settings then have a meaning.
pub(super) fn switches_to_http(draft: &ProxyDraft) -> bool {
    use crate::model::TcpAction;
    draft
        .proxy
        .tcp_request_content
        .iter()
        .any(|rule| matches!(rule.action, TcpAction::SwitchModeHttp))
}

/// Moves a draft into the model.
fn add(
    draft: ProxyDraft,
    model: &mut Model,
    tracked: &mut Vec<(ServerId, Word)>,
    context: &mut Context<'_>,
) {
    let mut proxy = draft.proxy.clone();
    let next = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    if let Some(table) = &draft.table {
        proxy.table = Some(table.id);
        model.tables.push(table.clone());
    }
    let numbers = numbers(
        draft
            .binds
            .iter()
            .map(|bind| Some(bind.number).filter(|number| *number > 0)),
        1,
    );
    for (bind, number) in draft.binds.iter().zip(numbers) {
        let id = BindId(next(model.binds.len()));
        model.binds.push(crate::model::Bind {
            id,
            proxy: proxy.id,
            number,
            ..bind.clone()
        });
        proxy.binds.push(id);
    }
    let states = states(&draft, context);
    for mut server in servers(
        &draft,
        proxy.id,
        next(model.servers.len()),
        tracked,
        context,
    ) {
        let key = (proxy.name.clone(), server.name.clone());
        server.fixed =
            server.resolution.is_some() || context.names.mentions(&proxy.name, &server.name);
        server.saved = states.get(&key).cloned();
        proxy.servers.push(server.id);
        model.servers.push(server);
    }
    for (word, format, condition) in &draft.use_servers {
        let target = match format {
            Some(format) => ServerTarget::Dynamic(format.clone()),
            None => {
                let id = proxy
                    .servers
                    .iter()
                    .find(|id| model.servers[id.index()].name == word.text);
                let Some(id) = id else {
                    let names = proxy
                        .servers
                        .iter()
                        .map(|id| model.servers[id.index()].name.as_str());
                    let near = Complaint::unknown(word, "server", names);
                    let message = format!(
                        "unable to find server '{}' referenced in a 'use-server' rule.",
                        word.text
                    );
                    let complaint = Complaint { message, ..near };
                    context
                        .diagnostics
                        .push(complaint.into_diagnostic(word.span));
                    continue;
                };
                model.servers[id.index()].fixed = true;
                ServerTarget::Fixed(id)
            }
        };
        proxy.use_servers.push(UseServer {
            target,
            condition: condition.clone(),
        });
    }
    if proxy.kind.has_backend() {
        context.backends.push((proxy.id, foundry::mould(draft)));
    }
    model.proxies.push(proxy);
}

/// The servers of a backend; those with the same dialogue share its steps.
fn servers(
    draft: &ProxyDraft,
    proxy: ProxyId,
    first: u32,
    tracked: &mut Vec<(ServerId, Word)>,
    context: &mut Context<'_>,
) -> Vec<Server> {
    let steps = draft.check.steps();
    let explicit: Vec<_> = draft
        .servers
        .iter()
        .map(|server| server.options.number)
        .collect();
    let mut seen: HashMap<u32, &str> = HashMap::new();
    for (server, number) in draft.servers.iter().zip(&explicit) {
        if let Some(number) = number
            && let Some(other) = seen.insert(*number, &server.name)
        {
            let message = format!(
                "'server {}' : custom id {number} already used by server '{other}'",
                server.name
            );
            context.alert(server.span, message);
        }
    }
    let numbers = numbers(explicit.into_iter(), 1);
    let mut servers = Vec::with_capacity(draft.servers.len());
    for ((server, number), id) in draft.servers.iter().zip(numbers).zip(first..) {
        let id = ServerId(id);
        if let Some(word) = &server.options.track {
            tracked.push((id, word.clone()));
        }
        servers.push(server.finish(id, proxy, number, draft, &steps, context));
    }
    servers
}

/// Looks up the servers that others follow. Nobody may follow somebody who follows him.
fn resolve_tracks(model: &mut Model, tracked: &[(ServerId, Word)], context: &mut Context<'_>) {
    if tracked.is_empty() {
        return;
    }
    let key = |server: &Server| ((server.proxy, server.name.clone()), server.id);
    let by_name: HashMap<(ProxyId, String), ServerId> = model.servers.iter().map(key).collect();
    let mut followed: HashMap<ServerId, (ServerId, Span)> = HashMap::new();
    for (id, word) in tracked {
        let (backend, name) = match word.text.split_once('/') {
            Some((backend, name)) => (context.names.backend(backend), name),
            None => (Some(model.servers[id.index()].proxy), word.text.as_str()),
        };
        let target = backend.map(|backend| by_name.get(&(backend, name.to_owned())));
        match target {
            None => {
                context.alert(
                    word.span,
                    format!(
                        "unable to find required proxy of '{}' for tracking.",
                        word.text
                    ),
                );
            }
            Some(None) => {
                context.alert(
                    word.span,
                    format!(
                        "unable to find required server '{}' for tracking.",
                        word.text
                    ),
                );
            }
            Some(Some(target)) => {
                followed.insert(*id, (*target, word.span));
            }
        }
    }
    let ends = ends(&followed);
    for (id, (target, span)) in &followed {
        match ends.get(id) {
            Some(Some(end)) => {
                let watched = &model.servers[end.index()];
                if watched.check.is_none() && watched.agent.is_none() {
                    let proxy = &model.proxies[watched.proxy.index()].name;
                    let message = format!(
                        "unable to use {proxy}/{} for tracking as it does not have any check nor agent enabled.",
                        watched.name
                    );
                    context.alert(*span, message);
                }
            }
            _ => context.alert(*span, "servers follow each other in a circle".to_owned()),
        }
        model.servers[id.index()].track = Some(*target);
        model.servers[target.index()].fixed = true;
    }
}

/// Who is at the end of each chain of followers; `None` for those in a circle.
fn ends(followed: &HashMap<ServerId, (ServerId, Span)>) -> HashMap<ServerId, Option<ServerId>> {
    let mut ends: HashMap<ServerId, Option<ServerId>> = HashMap::new();
    for start in followed.keys() {
        let mut path = Vec::new();
        let mut at = *start;
        let end = loop {
            if let Some(known) = ends.get(&at) {
                break *known;
            }
            let Some((next, _)) = followed.get(&at) else {
                break Some(at);
            };
            // Until its end is known, whoever is on the path counts as being in a circle.
            ends.insert(at, None);
            path.push(at);
            at = *next;
        };
        for server in path {
            ends.insert(server, end);
        }
    }
    ends
}

fn number_proxies(drafts: &mut [ProxyDraft], context: &mut Context<'_>) {
    let mut seen: HashMap<u32, String> = HashMap::new();
    for draft in drafts.iter() {
        if let Some(number) = draft.number
            && let Some(other) = seen.insert(number, draft.proxy.name.clone())
        {
            let message = format!("'id' : custom id {number} already used by proxy '{other}'");
            context.alert(draft.place_of("id"), message);
        }
    }
    // The first number given by itself is 2, as in HAProxy: tools know proxies by it.
    let numbers = numbers(drafts.iter().map(|draft| draft.number), 2);
    for (draft, number) in drafts.iter_mut().zip(numbers) {
        draft.proxy.number = number;
    }
}

/// Numbers for things of which some have one already. Every thing moves the next number on by one, as in HAProxy.
fn numbers(explicit: impl Iterator<Item = Option<u32>>, start: u32) -> Vec<u32> {
    let explicit: Vec<Option<u32>> = explicit.collect();
    let taken: std::collections::HashSet<u32> = explicit.iter().copied().flatten().collect();
    let mut next = start;
    let number = |explicit: Option<u32>| {
        let number = explicit.unwrap_or_else(|| {
            while taken.contains(&next) {
                next = next.saturating_add(1);
            }
            next
        });
        next = next.saturating_add(1);
        number
    };
    explicit.into_iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_as_haproxy_gives_them() {
        assert_eq!(numbers([None, None].into_iter(), 2), [2, 3]);
        assert_eq!(numbers([None, Some(1), Some(2)].into_iter(), 2), [3, 1, 2]);
        assert_eq!(
            numbers([None, None, Some(2), None].into_iter(), 2),
            [3, 4, 2, 6]
        );
        assert_eq!(
            numbers([None, Some(1), Some(7), None].into_iter(), 1),
            [2, 1, 7, 5]
        );
    }
}
