//! A proxy while its lines are read.
//!
//! Most keywords write into [`Proxy`] itself; what can only be decided at the end of the section (formats that depend on
//! the mode, checks that merge backend and server lines, names of servers) waits here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::args::Args;
use super::check::CheckDraft;
use super::context::Context;
use super::ring::RingSettings;
use super::server::ServerDraft;
use super::server_options::ServerOptions;
use super::server_state::SavedOptions;
use crate::expr::{Acl, Acls, Condition, LogFormat};
use crate::lang::ast::{SectionKind, Word};
use crate::lang::source::Span;
use crate::model::{Bind, HttpRule, Proxy, StatsPage, Table};

/// A proxy, or a `defaults` section, while its lines are read.
pub(in crate::lang) struct ProxyDraft {
    /// What is finished already.
    pub proxy: Proxy,
    /// The section's kind.
    pub section: SectionKind,
    /// The line that opened it.
    pub header: Span,
    /// Lines of the `defaults` section are being read, not the proxy's own.
    pub inheriting: bool,
    /// ACLs by name.
    pub acls: AclScope,
    /// `bind` lines, ids not yet given.
    pub binds: Vec<Bind>,
    /// `server` lines.
    pub servers: Vec<ServerDraft>,
    /// The line of each server's name.
    pub server_names: HashMap<String, u32>,
    /// `default-server` so far.
    pub server_defaults: ServerOptions,
    /// The backend's part of its checks.
    pub check: CheckDraft,
    /// `log-format` and the options that stand for one.
    pub log_format: Option<FormatText>,
    /// `error-log-format`.
    pub error_log_format: Option<FormatText>,
    /// `log-format-sd`.
    pub log_format_sd: Option<FormatText>,
    /// `unique-id-format`.
    pub unique_id_format: Option<FormatText>,
    /// `log global` was said.
    pub log_global: bool,
    /// `stats …`.
    pub stats: Option<StatsPage>,
    /// The stats settings come from `defaults`: the proxy's first own line replaces them all.
    pub stats_inherited: bool,
    /// `stick-table`.
    pub table: Option<Table>,
    /// `use-server` lines whose server is not looked up yet.
    pub use_servers: Vec<(Word, Option<LogFormat>, Option<Condition>)>,
    /// The words behind `use_backends`, in the same order.
    pub backend_words: Vec<Word>,
    /// The word behind `default_backend`.
    pub default_backend_word: Option<Word>,
    /// Filters named by `set-bandwidth-limit`, not looked up yet.
    pub bandwidth_uses: Vec<BandwidthUse>,
    /// Servers named by `bind rhttp@` and `attach-srv`, not looked up yet.
    pub reverse_servers: Vec<ReverseServer>,
    /// What only `ring` sections have.
    pub ring: RingSettings,
    /// `id`.
    pub number: Option<u32>,
    /// `load-server-state-from-file`, `server-state-file-name`.
    pub saved: SavedOptions,
    /// `dynamic-cookie-key`.
    pub dynamic_cookie_key: Option<String>,
    /// Where each keyword was last written.
    pub written: HashMap<&'static str, Span>,
    /// Own rule sets written so far, for warnings about their order.
    rules_seen: [bool; RULE_ORDER.len()],
    /// Rule sets of this section that a final rule without a condition has closed.
    closed: Vec<&'static str>,
}

/// A bandwidth limitation that a rule switches on.
#[derive(Clone, Debug)]
pub(in crate::lang) struct BandwidthUse {
    /// Its name.
    pub name: Word,
    /// The rule sets its limit or period.
    pub is_changed: bool,
}

/// A server that connections in reverse are about.
#[derive(Clone, Debug)]
pub(in crate::lang) struct ReverseServer {
    /// `<backend>/<server>`.
    pub name: Word,
    /// What is said of it.
    pub kind: Reversal,
}

/// Which end of a connection in reverse is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lang) enum Reversal {
    /// `bind rhttp@`: connections are opened to the server.
    Opened,
    /// `attach-srv`: the server gets connections that others opened.
    Attached,
}

/// A log format whose text waits for the proxy's mode.
#[derive(Clone, Debug)]
pub(in crate::lang) struct FormatText {
    /// What it is.
    pub source: FormatSource,
    /// Where it was written.
    pub span: Span,
}

/// Where a log format's text comes from.
#[derive(Clone, Debug)]
pub(in crate::lang) enum FormatSource {
    /// The file.
    Written(Word),
    /// `option tcplog`
    Tcp,
    /// `option tcplog clf`
    TcpClf,
    /// `option httplog`
    Http,
    /// `option httplog clf`
    HttpClf,
    /// `option httpslog`
    Https,
}

/// The ACLs of a section.
#[derive(Clone, Debug, Default)]
pub(in crate::lang) struct AclScope {
    acls: HashMap<String, Arc<Acl>>,
    /// Names whose declaration was wrong: their use is not told of again.
    failed: HashSet<String>,
}

impl AclScope {
    /// Adds an ACL, or more patterns under a name that exists.
    pub(crate) fn insert(&mut self, acl: Acl) {
        match self.acls.get_mut(acl.name()) {
            Some(known) => Arc::make_mut(known).extend(acl),
            None => {
                self.acls.insert(acl.name().to_owned(), Arc::new(acl));
            }
        }
    }
}

impl AclScope {
    /// Remembers that an ACL's declaration was wrong.
    pub(crate) fn fail(&mut self, name: &str) {
        self.failed.insert(name.to_owned());
    }

    /// Whether an ACL's declaration was wrong.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        self.failed.contains(name)
    }
}

impl Acls for AclScope {
    fn find(&self, name: &str) -> Option<Arc<Acl>> {
        self.acls.get(name).cloned()
    }
}

impl ProxyDraft {
    /// A draft without any line yet.
    pub(crate) fn new(proxy: Proxy, section: SectionKind, header: Span) -> Self {
        Self {
            proxy,
            section,
            header,
            inheriting: false,
            acls: AclScope::default(),
            binds: Vec::new(),
            servers: Vec::new(),
            server_names: HashMap::new(),
            server_defaults: ServerOptions::default(),
            check: CheckDraft::default(),
            log_format: None,
            error_log_format: None,
            log_format_sd: None,
            unique_id_format: None,
            log_global: false,
            stats: None,
            stats_inherited: false,
            table: None,
            use_servers: Vec::new(),
            backend_words: Vec::new(),
            bandwidth_uses: Vec::new(),
            reverse_servers: Vec::new(),
            default_backend_word: None,
            ring: RingSettings::default(),
            number: None,
            saved: SavedOptions::default(),
            dynamic_cookie_key: None,
            written: HashMap::new(),
            rules_seen: [false; RULE_ORDER.len()],
            closed: Vec::new(),
        }
    }

    /// Where a keyword was last written, or the section's line.
    pub(crate) fn place_of(&self, keyword: &str) -> Span {
        self.written.get(keyword).copied().unwrap_or(self.header)
    }
}

impl ProxyDraft {
    /// Whether this is a `defaults` section read for its own sake.
    pub(crate) fn is_defaults(&self) -> bool {
        self.section == SectionKind::Defaults
    }

    /// Warns of a rule that stands behind a final one without a condition in the same section.
    pub(crate) fn reach(
        &mut self,
        args: &Args<'_>,
        context: &mut Context<'_>,
        set: &'static str,
        rule: &HttpRule,
    ) {
        if self.closed.contains(&set) {
            let message = format!(
                "this '{set}' rule is never reached: one before it is final and has no condition"
            );
            context.warn(args.line().span(), message);
            self.closed.retain(|closed| *closed != set);
        }
        if rule.condition.is_none() && rule.action.is_final() {
            self.closed.push(set);
        }
    }

    /// The rules that follow are another section's.
    pub(crate) fn end_of_section(&mut self) {
        self.closed.clear();
    }

    /// Warns when a rule stands behind rules that are processed later than it.
    pub(crate) fn order(
        &mut self,
        args: &Args<'_>,
        context: &mut Context<'_>,
        rules: &'static str,
    ) {
        if self.inheriting {
            return;
        }
        let Some(rank) = RULE_ORDER.iter().position(|name| *name == rules) else {
            return;
        };
        let later = (rank + 1..RULE_ORDER.len()).find(|later| self.rules_seen[*later]);
        if let Some(later) = later {
            let message = format!(
                "this '{rules}' rule is processed before the '{}' rules above it",
                RULE_ORDER[later]
            );
            context.warn(args.line().span(), message);
        }
        self.rules_seen[rank] = true;
    }
}

/// Rule sets in the order in which they are processed.
const RULE_ORDER: [&str; 7] = [
    "tcp-request connection",
    "tcp-request session",
    "tcp-request content",
    "monitor fail",
    "http-request",
    "redirect",
    "use_backend",
];
