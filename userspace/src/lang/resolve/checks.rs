//! Proxies against each other and against themselves: what HAProxy warns of or refuses once all is read.
//!
//! Only what HAProxy tells is told: with `-dW` every warning refuses the start.

use super::finish::switches_to_http;
use crate::lang::ast::SectionKind;
use crate::lang::diagnostics::{Diagnostic, Severity};
use crate::lang::keywords::bandwidth::check_uses;
use crate::lang::keywords::context::{Context, called};
use crate::lang::keywords::draft::{FormatSource, ProxyDraft};
use crate::lang::keywords::server::ServerDraft;
use crate::lang::source::Span;
use crate::model::{BackendTarget, BalanceKind, LogAddress, Marks, Mode};

/// Checks all proxies; those that are disabled are left alone.
pub(super) fn proxies(drafts: &[ProxyDraft], context: &mut Context<'_>) {
    for draft in drafts.iter().filter(|draft| !draft.proxy.disabled) {
        listeners(draft, context);
        timeouts(draft, context);
        match draft.proxy.mode {
            Mode::L4 => l4(draft, context),
            Mode::Log => log_backend(draft, context),
            Mode::Tcp if !switches_to_http(draft) => http_only(draft, context),
            Mode::Tcp | Mode::Http | Mode::Syslog => {}
        }
        let for_logs = matches!(
            draft.proxy.balance.kind,
            BalanceKind::LogHash(_) | BalanceKind::Sticky
        );
        if for_logs && draft.proxy.mode != Mode::Log {
            let message = "this algorithm is for backends in 'mode log' only";
            context.alert(draft.place_of("balance"), message);
        }
        if matches!(draft.proxy.balance.kind, BalanceKind::Maglev) && draft.proxy.mode != Mode::L4 {
            context.alert(
                draft.place_of("balance"),
                "'balance maglev' needs 'mode l4'",
            );
        }
        if draft.proxy.quic_server_ids.is_some() && draft.proxy.mode != Mode::L4 {
            context.alert(
                draft.place_of("quic-server-id"),
                "'quic-server-id' needs 'mode l4'",
            );
        }
        marks(draft, context);
        programs(draft, context);
        logs(draft, context);
        log_targets(draft, drafts, context);
        backends(draft, drafts, context);
        super::reverse::servers(draft, drafts, context);
        check_uses(draft, drafts, context);
    }
    global_log_targets(drafts, context);
}

/// What is written into packets is written by the kernel.
fn marks(draft: &ProxyDraft, context: &mut Context<'_>) {
    if draft.proxy.mode == Mode::L4 || draft.proxy.marks == Marks::default() {
        return;
    }
    let words = ["set-tos", "set-dscp"];
    let written = |word: &&str| draft.place_of(word) != draft.header;
    let word = words.into_iter().rfind(written).unwrap_or(words[0]);
    let message = format!("'{word}' needs 'mode l4'");
    context.alert(draft.place_of(word), message);
}

fn listeners(draft: &ProxyDraft, context: &mut Context<'_>) {
    if draft.proxy.kind.has_frontend() && draft.binds.is_empty() && !draft.has_failed_bind() {
        let message = format!(
            "{} '{}' has no 'bind' directive: nobody can reach it.",
            called(draft.section),
            draft.proxy.name
        );
        general(draft.header, message, Severity::Warning, context);
    }
}

fn timeouts(draft: &ProxyDraft, context: &mut Context<'_>) {
    let timeouts = &draft.proxy.timeouts;
    if !matches!(draft.proxy.mode, Mode::Tcp | Mode::Http) {
        return;
    }
    let front = draft.proxy.kind.has_frontend() && timeouts.client.is_none();
    let tunnel = draft.proxy.mode == Mode::Tcp && timeouts.tunnel.is_some();
    let serves = draft.proxy.kind.has_backend() && !draft.servers.is_empty();
    let connect = serves && timeouts.connect.is_none();
    let server = serves && timeouts.server.is_none() && !tunnel;
    if !front && !connect && !server {
        return;
    }
    let message = format!(
        "missing timeouts for {} '{}'.\n   | Peers that vanish without a word then keep their connections for ever.",
        called(draft.section),
        draft.proxy.name
    );
    let missing: Vec<_> = [(front, "client"), (connect, "connect"), (server, "server")]
        .iter()
        .filter(|(is_missing, _)| *is_missing)
        .map(|(_, name)| format!("'timeout {name}'"))
        .collect();
    context.diagnostics.push(
        Diagnostic::general(Severity::Warning, message)
            .showing(draft.header)
            .labelled(Some(format!("{} missing here", missing.join(" and ")))),
    );
}

/// Settings that a TCP proxy cannot use.
fn http_only(draft: &ProxyDraft, context: &mut Context<'_>) {
    let proxy = &draft.proxy;
    let (kind, name) = (draft.section.keyword(), proxy.name.as_str());
    let mut tell = |keyword: &str, message: String| {
        let diagnostic = Diagnostic::general(Severity::Warning, message);
        let own = draft.written.get(keyword).copied();
        context.diagnostics.push(match own {
            Some(span) => diagnostic.showing(span),
            None => diagnostic,
        });
    };
    if proxy.cookie.is_some() {
        tell(
            "cookie",
            format!("cookie will be ignored for {kind} '{name}' (needs 'mode http')."),
        );
    }
    if proxy.monitor_uri.is_some() {
        tell(
            "monitor-uri",
            format!("monitor-uri will be ignored for {kind} '{name}' (needs 'mode http')."),
        );
    }
    if hashes_http(&proxy.balance.kind) {
        tell(
            "balance",
            format!("'balance' of {kind} '{name}' needs 'mode http': round robin is used instead."),
        );
    }
    if proxy.stats.is_some() {
        tell(
            "stats enable",
            format!("'stats' statement ignored for {kind} '{name}' as it requires HTTP mode."),
        );
    }
    for (keyword, is_empty) in [
        ("http-request", proxy.http_request.is_empty()),
        ("http-response", proxy.http_response.is_empty()),
        ("http-after-response", proxy.http_after_response.is_empty()),
        ("redirect", proxy.redirects.is_empty()),
    ] {
        if !is_empty {
            tell(
                keyword,
                format!("'{keyword}' rules ignored for {kind} '{name}' as they require HTTP mode."),
            );
        }
    }
    for (keyword, is_set) in [
        ("option forwardfor", proxy.forwarded_for.is_some()),
        ("option originalto", proxy.original_to.is_some()),
    ] {
        if is_set {
            tell(
                keyword,
                format!("'{keyword}' ignored for {kind} '{name}' as it requires HTTP mode."),
            );
        }
    }
    for server in draft
        .servers
        .iter()
        .filter(|server| server.options.cookie.is_some())
    {
        let message = format!(
            "{kind} '{name}' : ignoring cookie for server '{}' as HTTP mode is disabled.",
            server.name
        );
        context
            .diagnostics
            .push(Diagnostic::general(Severity::Warning, message).showing(server.span));
    }
}

/// Programs that check servers are named, and allowed.
fn programs(draft: &ProxyDraft, context: &mut Context<'_>) {
    let Some(program) = draft.check.program() else {
        return;
    };
    let needed = match (context.global.external_check, program) {
        (None, _) => "global.external-check",
        (_, "") => "external-check command",
        _ => return,
    };
    let message = format!(
        "Proxy '{}' : 'option external-check' unable to find required '{needed}'.",
        draft.proxy.name
    );
    context.alert(draft.place_of("option external-check"), message);
}

/// Only backends can be in `mode log`, with what makes sense for messages.
fn log_backend(draft: &ProxyDraft, context: &mut Context<'_>) {
    if draft.proxy.kind.has_frontend() {
        let message = "'mode log' is for backends only";
        context.alert(draft.place_of("mode"), message);
    }
    let balance = &draft.proxy.balance;
    let is_chosen = draft.written.contains_key("balance");
    let fits = matches!(
        balance.kind,
        BalanceKind::RoundRobin
            | BalanceKind::Random { .. }
            | BalanceKind::Sticky
            | BalanceKind::LogHash(_)
    );
    if is_chosen && !fits {
        let message = "this algorithm cannot be used in 'mode log'";
        context.diagnostics.push(
            Diagnostic::at(Severity::Alert, draft.place_of("balance"), message)
                .showing(draft.place_of("balance"))
                .hinted(Some(
                    "use 'roundrobin', 'random', 'sticky' or 'log-hash'".to_owned(),
                )),
        );
    }
    if matches!(balance.kind, BalanceKind::LogHash(_)) && balance.hash_type.consistent {
        let message = "'balance log-hash' needs 'hash-type map-based'";
        context.alert(draft.place_of("hash-type"), message);
    }
    http_only(draft, context);
}

/// `log backend@…` leads to backends in `mode log`.
fn log_targets(draft: &ProxyDraft, drafts: &[ProxyDraft], context: &mut Context<'_>) {
    for target in &draft.proxy.logs {
        let LogAddress::Backend(id) = target.address else {
            continue;
        };
        let backend = drafts.get(id.index()).map(|backend| &backend.proxy);
        if let Some(backend) = backend.filter(|backend| backend.mode != Mode::Log) {
            let message = format!(
                "{} '{}' logs to backend '{}' ({}), which is not in 'mode log'.",
                draft.section.keyword(),
                draft.proxy.name,
                backend.name,
                backend.place
            );
            general(draft.place_of("log"), message, Severity::Alert, context);
        }
    }
}

/// The same of `log` lines in `global`.
fn global_log_targets(drafts: &[ProxyDraft], context: &mut Context<'_>) {
    for target in &context.global.logs {
        if let LogAddress::Backend(id) = target.address
            && let Some(backend) = drafts.get(id.index())
            && backend.proxy.mode != Mode::Log
        {
            let message = format!(
                "'global' logs to backend '{}' ({}), which is not in 'mode log'.",
                backend.proxy.name, backend.proxy.place
            );
            let diagnostic = Diagnostic::general(Severity::Alert, message);
            context.diagnostics.push(diagnostic.showing(backend.header));
        }
    }
}

/// What the kernel tier cannot do, and what it needs.
fn l4(draft: &ProxyDraft, context: &mut Context<'_>) {
    if context.global.xdp.interfaces.is_empty() {
        let message = format!(
            "{} '{}' : 'mode l4' needs a network interface",
            draft.section.keyword(),
            draft.proxy.name
        );
        context.diagnostics.push(
            Diagnostic::at(Severity::Alert, draft.header, message)
                .showing(draft.header)
                .hinted(Some(
                    "add 'xdp interface <name>' to the global section".to_owned(),
                )),
        );
    }
    let proxy = &draft.proxy;
    for (keyword, is_used) in [
        ("http-request", !proxy.http_request.is_empty()),
        ("http-response", !proxy.http_response.is_empty()),
        ("http-after-response", !proxy.http_after_response.is_empty()),
        ("tcp-request content", !proxy.tcp_request_content.is_empty()),
        ("tcp-request session", !proxy.tcp_request_session.is_empty()),
        (
            "tcp-response content",
            !proxy.tcp_response_content.is_empty(),
        ),
        ("redirect", !proxy.redirects.is_empty()),
        ("use_backend", !proxy.use_backends.is_empty()),
        ("use-server", !draft.use_servers.is_empty()),
        ("cookie", proxy.cookie.is_some()),
        ("stick on", !proxy.stick_rules.is_empty()),
        ("stats enable", proxy.stats.is_some()),
    ] {
        if is_used {
            let message =
                format!("'{keyword}' cannot be used in 'mode l4': packets are forwarded, not read");
            context.alert(draft.place_of(keyword), message);
        }
    }
    if hashes_http(&proxy.balance.kind) || matches!(proxy.balance.kind, BalanceKind::RdpCookie(_)) {
        context.alert(
            draft.place_of("balance"),
            "this algorithm cannot be used in 'mode l4'",
        );
    }
    for bind in draft
        .binds
        .iter()
        .filter(|bind| bind.tls.is_some() || bind.accept_proxy)
    {
        general(
            draft.header,
            format!(
                "[{}] : 'ssl' and 'accept-proxy' cannot be used in 'mode l4'",
                bind.place
            ),
            Severity::Alert,
            context,
        );
    }
    draft
        .servers
        .iter()
        .for_each(|server| l4_server(server, context));
}

/// What a server's line must not say in `mode l4`.
pub(super) fn l4_server(server: &ServerDraft, context: &mut Context<'_>) {
    if server.options.ssl || server.options.send_proxy.is_some() || server.is_transparent() {
        let message = format!(
            "'server {}' : TLS, PROXY headers and any address cannot be used in 'mode l4'",
            server.name
        );
        context.alert(server.span, message);
    }
}

fn hashes_http(kind: &BalanceKind) -> bool {
    matches!(
        kind,
        BalanceKind::Uri(_) | BalanceKind::UrlParameter { .. } | BalanceKind::Header { .. }
    )
}

/// A format of the proxy's own that goes nowhere.
fn logs(draft: &ProxyDraft, context: &mut Context<'_>) {
    let Some(format) = &draft.log_format else {
        return;
    };
    let written_here = matches!(
        format.source,
        FormatSource::Written(_)
            | FormatSource::Http
            | FormatSource::HttpClf
            | FormatSource::Https
            | FormatSource::Tcp
            | FormatSource::TcpClf
    );
    if written_here
        && draft.proxy.kind.has_frontend()
        && draft.proxy.logs.is_empty()
        && !draft.log_global
        && !draft.written.contains_key("log")
    {
        let message = format!(
            "log format of {} '{}' is not used: there is no 'log' line.",
            draft.section.keyword(),
            draft.proxy.name
        );
        context
            .diagnostics
            .push(Diagnostic::general(Severity::Warning, message).showing(format.span));
    }
}

/// HTTP frontends need HTTP backends; `mode l4` only goes with itself.
fn backends(draft: &ProxyDraft, drafts: &[ProxyDraft], context: &mut Context<'_>) {
    let mode = draft.proxy.mode;
    let default = draft
        .proxy
        .default_backend
        .zip(draft.default_backend_word.as_ref().map(|word| word.span));
    let used = draft
        .proxy
        .use_backends
        .iter()
        .zip(&draft.backend_words)
        .filter_map(|(rule, word)| match rule.target {
            BackendTarget::Fixed(id) => Some((id, word.span)),
            BackendTarget::Dynamic(_) => None,
        });
    let how = |is_default: bool| {
        if is_default {
            "as its default backend"
        } else {
            "in a 'use_backend' rule"
        }
    };
    let all = default
        .into_iter()
        .map(|target| (target, true))
        .chain(used.map(|target| (target, false)));
    for ((id, span), is_default) in all.collect::<Vec<_>>() {
        let Some(backend) = drafts.get(id.index()) else {
            continue;
        };
        let fits = match (mode, backend.proxy.mode) {
            (Mode::L4, other) | (other, Mode::L4) => other == Mode::L4 && mode == Mode::L4,
            (_, Mode::Log) | (Mode::Http, Mode::Tcp) => false,
            _ => true,
        };
        if !fits {
            let message = format!(
                "{} {} '{}' ({}) cannot use {} {} '{}' ({}) {}: see 'mode'.",
                mode_name(mode),
                draft.section.keyword(),
                draft.proxy.name,
                draft.proxy.place,
                mode_name(backend.proxy.mode),
                backend.section.keyword(),
                backend.proxy.name,
                backend.proxy.place,
                how(is_default)
            );
            general(span, message, Severity::Alert, context);
        }
    }
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::L4 => "l4",
        Mode::Log => "log",
        Mode::Syslog => "syslog",
    }
}

fn general(span: Span, message: String, severity: Severity, context: &mut Context<'_>) {
    context
        .diagnostics
        .push(Diagnostic::general(severity, message).showing(span));
}

impl ProxyDraft {
    /// Whether a `bind` line was written, though it may have been wrong.
    fn has_failed_bind(&self) -> bool {
        let tried = ["bind", "dgram-bind"].map(|keyword| self.written.contains_key(keyword));
        tried.contains(&true) && self.section != SectionKind::Backend
    }
}
