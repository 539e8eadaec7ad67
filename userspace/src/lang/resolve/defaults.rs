//! `defaults` sections: what proxies take their settings from (manual §4).
//!
//! A section is read once for its own errors. For every proxy that uses it its lines are read again in front of the
//! proxy's own: settings, rules and formats then mean what they mean in that proxy.

use super::index::{Header, header};
use super::statements;
use crate::lang::ast::{Line, Section, SectionKind};
use crate::lang::diagnostics::{Diagnostic, Severity};
use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::{AclScope, ProxyDraft};
use crate::model::{Proxy, ProxyKind};
use crate::types::ProxyId;

/// All `defaults` sections read so far.
#[derive(Default)]
pub(super) struct DefaultsSections<'a> {
    sections: Vec<DefaultsSection<'a>>,
}

struct DefaultsSection<'a> {
    section: &'a Section,
    name: &'a str,
    /// The section it takes its own settings from.
    from: Option<usize>,
    acls: AclScope,
    has_rules: bool,
    has_connection_rules: bool,
    used_by_name: bool,
    used_by_frontend: bool,
    used_by_backend: bool,
}

impl<'a> DefaultsSections<'a> {
    /// Reads a section for its own sake and remembers it.
    pub(super) fn read(&mut self, section: &'a Section, context: &mut Context<'_>) {
        let header = header(section);
        if let Some(extra) = header.extra {
            context.alert(
                extra.span,
                format!(
                    "'defaults' cannot handle unexpected argument '{}'.",
                    extra.text
                ),
            );
        }
        let name = header.name.map_or("", |word| word.text.as_str());
        let from = header
            .from
            .and_then(|word| self.named(&word.text, &header, "defaults section", name, context));
        if let Some(from) = from
            && self.sections[from].has_rules
        {
            let message = format!(
                "the defaults section at {} has rules: another defaults section cannot be made from it.",
                context.place(self.sections[from].section.header.span())
            );
            context.alert(section.header.span(), message);
        }
        let proxy = Proxy::new(ProxyId(0), name, ProxyKind::Listen);
        let mut draft = ProxyDraft::new(proxy, SectionKind::Defaults, section.header.span());
        self.replay(from, &mut draft, context);
        for line in &section.lines {
            statements::proxy(line, &mut draft, context);
        }
        let starts_with = |words: &[&str]| {
            let matches = |line: &Line| {
                let mut own = line.words.iter().map(|word| word.text.as_str());
                words.iter().all(|word| own.next() == Some(word))
            };
            section.lines.iter().any(matches)
        };
        let has_connection_rules =
            starts_with(&["tcp-request", "connection"]) || starts_with(&["tcp-request", "session"]);
        let sets = [
            "tcp-request",
            "tcp-response",
            "http-request",
            "http-response",
            "http-after-response",
        ];
        self.sections.push(DefaultsSection {
            section,
            name,
            from,
            acls: draft.acls,
            has_rules: sets.iter().any(|set| starts_with(&[set])),
            has_connection_rules,
            used_by_name: false,
            used_by_frontend: false,
            used_by_backend: false,
        });
    }

    /// Reads into a proxy what its defaults say.
    pub(super) fn inherit(
        &mut self,
        draft: &mut ProxyDraft,
        header: &Header<'_>,
        context: &mut Context<'_>,
    ) {
        let chosen = match header.from {
            Some(word) => {
                let kind = draft.section.keyword();
                let name = draft.proxy.name.clone();
                let chosen = self.named(&word.text, header, kind, &name, context);
                if let Some(index) = chosen {
                    self.sections[index].used_by_name = true;
                }
                chosen
            }
            None => self.latest(draft, context),
        };
        let Some(index) = chosen else { return };
        self.check_use(index, draft, context);
        let outer = std::mem::replace(&mut draft.acls, self.sections[index].acls.clone());
        self.replay(Some(index), draft, context);
        draft.acls = outer;
        draft.end_of_section();
    }

    /// Reads the lines of a section and of those it comes from into a draft.
    fn replay(&self, index: Option<usize>, draft: &mut ProxyDraft, context: &mut Context<'_>) {
        let Some(index) = index else { return };
        let defaults = &self.sections[index];
        self.replay(defaults.from, draft, context);
        draft.inheriting = true;
        for line in defaults
            .section
            .lines
            .iter()
            .filter(|line| line.keyword().text != "acl")
        {
            statements::proxy(line, draft, context);
        }
        draft.inheriting = false;
    }

    fn latest(&self, draft: &ProxyDraft, context: &mut Context<'_>) -> Option<usize> {
        let index = self.sections.len().checked_sub(1)?;
        let defaults = &self.sections[index];
        if defaults.used_by_name {
            let message = format!(
                "defaults section '{}' (declared at {}) is used here only because it is the latest, and elsewhere by name: \
                 say 'from' here too.",
                defaults.name,
                context.place(defaults.section.header.span())
            );
            context.warn(draft.header, message);
        }
        Some(index)
    }

    /// The section of a name, which must be the only one.
    fn named(
        &self,
        wanted: &str,
        header: &Header<'_>,
        kind: &str,
        name: &str,
        context: &mut Context<'_>,
    ) -> Option<usize> {
        let span = header.from?.span;
        let found: Vec<usize> = (0..self.sections.len())
            .filter(|index| self.sections[*index].name == wanted)
            .collect();
        match found.as_slice() {
            [index] => Some(*index),
            [] => {
                let known = self.sections.iter().map(|section| section.name);
                let near = crate::lang::suggest::closest(wanted, known);
                context.diagnostics.push(
                    Diagnostic::at(
                        Severity::Alert,
                        span,
                        format!("defaults section '{wanted}' not found for {kind} '{name}'."),
                    )
                    .showing(span)
                    .labelled(near.map(|near| format!("did you mean `{near}`?"))),
                );
                None
            }
            [first, second, ..] => {
                let place =
                    |index: &usize| context.place(self.sections[*index].section.header.span());
                let message = format!(
                    "{kind} '{name}' : there are several defaults sections '{wanted}', at {} and {}.",
                    place(first),
                    place(second)
                );
                context.alert(span, message);
                None
            }
        }
    }

    /// Rules in `defaults` restrict who may use it.
    fn check_use(&mut self, index: usize, draft: &ProxyDraft, context: &mut Context<'_>) {
        let defaults = &mut self.sections[index];
        let kind = draft.proxy.kind;
        defaults.used_by_frontend |= kind.has_frontend();
        defaults.used_by_backend |= kind == ProxyKind::Backend;
        let place = context.place(defaults.section.header.span());
        if defaults.has_rules && defaults.used_by_frontend && defaults.used_by_backend {
            let message = format!(
                "the defaults section at {place} has rules: frontends and backends cannot both use it."
            );
            context.alert(draft.header, message);
        } else if defaults.has_connection_rules && kind == ProxyKind::Backend {
            let message = format!(
                "the defaults section at {place} has rules on connections: backends cannot use it."
            );
            context.alert(draft.header, message);
        }
    }
}
