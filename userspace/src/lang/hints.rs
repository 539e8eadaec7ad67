//! What is odd about a configuration although HAProxy would not say a word: hints, for `tidegate check` only.
//!
//! A model that loads comes in; places with a sentence come out. Nothing here refuses or warns: with `-dW` every warning
//! would stop the start.

use std::collections::HashSet;
use std::sync::Arc;

use crate::expr::{Condition, Operand, Polarity};
use crate::model::{BackendTarget, Mode, Model, Proxy};
use crate::types::ProxyId;

/// One hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// `file:line`
    pub place: String,
    /// What is odd, and what could be done.
    pub message: String,
}

/// Everything odd about a configuration, proxy by proxy.
#[must_use]
pub fn hints(model: &Model) -> Vec<Hint> {
    let mut found = Vec::new();
    for proxy in model.proxies.iter().filter(|proxy| !proxy.disabled) {
        timeouts(proxy, &mut found);
        rules(proxy, &mut found);
        switching(proxy, &mut found);
        fallback(model, proxy, &mut found);
    }
    unused(model, &mut found);
    found
}

fn hint(found: &mut Vec<Hint>, place: &str, message: impl Into<String>) {
    found.push(Hint {
        place: place.to_owned(),
        message: message.into(),
    });
}

fn timeouts(proxy: &Proxy, found: &mut Vec<Hint>) {
    let timeouts = &proxy.timeouts;
    if proxy.mode == Mode::Http && proxy.kind.has_frontend() && timeouts.http_request.is_none() {
        hint(
            found,
            &proxy.place,
            format!(
                "'{}' has no 'timeout http-request': a client may take 'timeout client' for every few bytes of a request",
                proxy.name
            ),
        );
    }
}

/// Rules whose condition holds for nobody.
fn rules(proxy: &Proxy, found: &mut Vec<Hint>) {
    let http = [
        &proxy.http_request,
        &proxy.http_response,
        &proxy.http_after_response,
    ];
    for rule in http.into_iter().flatten() {
        if rule.condition.as_ref().is_some_and(never) {
            let message = format!(
                "the rule '{}' can never apply: its condition holds for nobody",
                rule.text
            );
            hint(found, &rule.place, message);
        }
    }
}

/// `use_backend` rules that are never reached.
fn switching(proxy: &Proxy, found: &mut Vec<Hint>) {
    for (at, rule) in proxy.use_backends.iter().enumerate() {
        if rule.condition.as_ref().is_some_and(never) {
            hint(
                found,
                &rule.place,
                "this 'use_backend' can never apply: its condition holds for nobody",
            );
            continue;
        }
        let earlier = proxy.use_backends[..at].iter().find(|earlier| {
            // A name made of the request may name nobody: the rules behind it are then looked at.
            matches!(earlier.target, BackendTarget::Fixed(_))
                && covers(earlier.condition.as_ref(), rule.condition.as_ref())
        });
        if let Some(earlier) = earlier {
            let message = format!(
                "this 'use_backend' is never reached: the one at {} takes everything it would",
                earlier.place
            );
            hint(found, &rule.place, message);
        }
    }
}

/// A frontend that sends nobody anywhere when no rule applies.
fn fallback(model: &Model, proxy: &Proxy, found: &mut Vec<Hint>) {
    let takes_all = proxy
        .use_backends
        .iter()
        .any(|rule| rule.condition.is_none());
    let serves_itself = proxy.stats.is_some() || !proxy.redirects.is_empty() || answers_all(proxy);
    if proxy.kind.has_frontend()
        && !proxy.kind.has_backend()
        && proxy.default_backend.is_none()
        && !takes_all
        && !serves_itself
    {
        hint(
            found,
            &proxy.place,
            format!(
                "'{}' has no 'default_backend': what no 'use_backend' takes is answered with 503",
                proxy.name
            ),
        );
    }
    if let Some(backend) = proxy.default_backend
        && backend != proxy.id
    {
        let target = model.proxy(backend);
        if target.servers.is_empty() && target.http_request.is_empty() && target.stats.is_none() {
            let message = format!("'{}' is a default_backend without servers", target.name);
            hint(found, &target.place, message);
        }
    }
}

fn answers_all(proxy: &Proxy) -> bool {
    let last = proxy
        .http_request
        .iter()
        .find(|rule| rule.condition.is_none() && rule.action.is_final());
    last.is_some()
}

/// Backends nobody sends anything to. A name made at run time may be any of them.
fn unused(model: &Model, found: &mut Vec<Hint>) {
    let mut used: HashSet<ProxyId> = HashSet::new();
    for proxy in &model.proxies {
        used.extend(proxy.default_backend);
        for rule in &proxy.use_backends {
            match &rule.target {
                BackendTarget::Fixed(backend) => drop(used.insert(*backend)),
                BackendTarget::Dynamic(_) => return,
            }
        }
    }
    for proxy in &model.proxies {
        // One that only holds a stick table serves others with that.
        let serves = !proxy.servers.is_empty();
        if serves && !proxy.kind.has_frontend() && !proxy.disabled && !used.contains(&proxy.id) {
            let message = format!("no frontend sends anything to the backend '{}'", proxy.name);
            hint(found, &proxy.place, message);
        }
    }
}

/// Whether a condition holds for nobody, as far as its form tells.
fn never(condition: &Condition) -> bool {
    match condition.polarity() {
        Polarity::If => condition
            .terms()
            .iter()
            .all(|term| contradicts_itself(term)),
        Polarity::Unless => condition
            .terms()
            .iter()
            .any(|term| term.iter().all(|operand| constant(operand) == Some(true))),
    }
}

/// `FALSE`, or an ACL together with its opposite.
fn contradicts_itself(term: &[Operand]) -> bool {
    term.iter().enumerate().any(|(at, operand)| {
        constant(operand) == Some(false)
            || term[..at]
                .iter()
                .any(|other| same_acl(other, operand) && other.negated != operand.negated)
    })
}

fn constant(operand: &Operand) -> Option<bool> {
    let value = match operand.acl.name() {
        "TRUE" => true,
        "FALSE" => false,
        _ => return None,
    };
    Some(value != operand.negated)
}

fn same_acl(one: &Operand, other: &Operand) -> bool {
    Arc::ptr_eq(&one.acl, &other.acl)
        || (!one.acl.name().is_empty() && one.acl.name() == other.acl.name())
}

/// Whether everything that satisfies `later` satisfies `earlier` too, as far as their form tells.
fn covers(earlier: Option<&Condition>, later: Option<&Condition>) -> bool {
    let Some(earlier) = earlier else {
        return true;
    };
    let Some(later) = later else {
        return false;
    };
    if earlier.polarity() != Polarity::If || later.polarity() != Polarity::If {
        return false;
    }
    let implies = |stricter: &[Operand], looser: &[Operand]| {
        looser.iter().all(|wanted| {
            constant(wanted) == Some(true)
                || stricter
                    .iter()
                    .any(|has| same_acl(has, wanted) && has.negated == wanted.negated)
        })
    };
    later
        .terms()
        .iter()
        .all(|term| earlier.terms().iter().any(|looser| implies(term, looser)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::source::Sources;
    use crate::lang::testing::Table;
    use crate::lang::{Settings, load_sources};

    const BASE: &str = "defaults\n mode http\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n \
        timeout http-request 1s\n";

    fn said(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("t.cfg", format!("{BASE}{text}"));
        let loaded = load_sources(sources, &Table::default(), &Settings::default());
        let model = loaded.model.expect("it loads");
        hints(&model)
            .into_iter()
            .map(|hint| format!("{} {}", hint.place, hint.message))
            .collect()
    }

    #[test]
    fn a_use_backend_behind_one_that_takes_its_all_is_shadowed() {
        let said = said(
            "frontend f\n bind :8080\n acl a path /a\n acl b path /b\n use_backend x if a or b\n use_backend y if a { src 10.0.0.1 }\n \
             use_backend y if b !a\n use_backend y if { src 10.0.0.2 }\n default_backend x\n\
             backend x\n server s 10.0.0.1:80\nbackend y\n server s 10.0.0.1:80\n",
        );
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(
            said[0].starts_with("t.cfg:12 ") && said[0].contains("t.cfg:11"),
            "{said:#?}"
        );
        assert!(said[1].starts_with("t.cfg:13 "), "{said:#?}");
    }

    #[test]
    fn rules_that_hold_for_nobody_are_named() {
        let said = said(
            "frontend f\n bind :8080\n acl a path /a\n http-request deny if a !a\n http-request deny if FALSE\n \
             http-request deny if a\n http-request deny unless TRUE\n default_backend x\n\
             backend x\n server s 10.0.0.1:80\n",
        );
        let lines: Vec<&str> = said
            .iter()
            .filter_map(|text| text.split(' ').next())
            .collect();
        assert_eq!(lines, ["t.cfg:10", "t.cfg:11", "t.cfg:13"], "{said:#?}");
    }

    #[test]
    fn what_leads_nowhere_is_named() {
        let said = said(
            "frontend f\n bind :8080\n use_backend x if { path /a }\nbackend x\n server s 10.0.0.1:80\n\
             backend y\n server s 10.0.0.1:80\n",
        );
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(
            said[0].contains("no 'default_backend'") && said[1].contains("'y'"),
            "{said:#?}"
        );
    }

    #[test]
    fn a_clean_configuration_gets_no_hint() {
        let said = said("listen l\n bind :8080\n server s 10.0.0.1:80\n");
        assert!(said.is_empty(), "{said:#?}");
    }
}
