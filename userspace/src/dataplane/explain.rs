//! Prints what the compiler decided: `tidegate explain`, and the summary of `-c -V`.
//!
//! Input is a [`Compiled`] model; output is text for people, aligned, or one JSON object for programs. Whatever the kernel
//! does differently from the userspace tier, for a client or an operator to notice, is said here.

use std::fmt::Write;

use serde::Serialize;

use super::offload::Compiled;
use super::offload::report::{Row, Tier};
use super::plan::{
    Delivery, ListedFlows, Plan, Policy, Protocol, Service, SourceAction, SynCookies, SynRules,
    Treatment,
};
use super::sizes::list_size;

/// The table for people.
pub fn text(compiled: &Compiled) -> String {
    let mut out = String::new();
    services(&mut out, &compiled.plan);
    rules(&mut out, &compiled.rows);
    let differences = differences(compiled);
    if !differences.is_empty() {
        out.push_str("\nDifferences an operator should know:\n");
        for difference in differences {
            let _ = writeln!(out, "  - {difference}");
        }
    }
    if let Some(line) = syns(&compiled.plan) {
        let _ = write!(out, "\n{line}\n");
    }
    if let Some(memory) = memory(&compiled.plan) {
        let _ = writeln!(out, "\n{memory}");
    }
    let _ = writeln!(out, "\n{}", summary(compiled));
    out
}

/// What the lists of sources take in the kernel, all frontends together.
fn memory(plan: &Plan) -> Option<String> {
    let size = list_size(plan).ok().filter(|size| size.rows4 > 0)?;
    Some(format!(
        "The source lists take {} KiB in the kernel: {} IPv4 and {} IPv6 prefixes, all frontends together",
        size.bytes().div_ceil(1024),
        size.networks4,
        size.networks6
    ))
}

/// What is done about floods of SYNs.
fn syns(plan: &Plan) -> Option<String> {
    let rules = plan.syns;
    let has = |local: bool| {
        plan.services.iter().any(|service| {
            service.protocol == Protocol::Tcp && (service.delivery == Delivery::Local) == local
        })
    };
    let always = rules.cookies == SynCookies::Always;
    let mut what = Vec::new();
    if has(false) && rules.rate > 0 {
        what.push("services that are forwarded keep no state for a SYN");
    }
    if has(true) && (always || rules.rate > 0 && rules.cookies == SynCookies::Auto) {
        what.push("services that end here answer SYNs with cookies from the driver");
    }
    if what.is_empty() {
        return None;
    }
    Some(if always && rules.rate == 0 {
        format!("At all times {}", what.join(", and "))
    } else if always {
        format!(
            "Above {} SYNs a second at one of them, {} (the latter at all times)",
            rules.rate,
            what.join(", and ")
        )
    } else {
        format!(
            "Above {} SYNs a second at one of them, {}",
            rules.rate,
            what.join(", and ")
        )
    })
}

/// The same as one JSON object.
pub fn json(compiled: &Compiled) -> String {
    let report = Report {
        services: &compiled.plan.services,
        rules: compiled
            .rows
            .iter()
            .map(|row| Rule {
                row,
                costs: row.costs(),
            })
            .collect(),
        syns: compiled.plan.syns,
        differences: differences(compiled),
    };
    serde_json::to_string_pretty(&report)
        .unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
        + "\n"
}

/// One line.
pub fn summary(compiled: &Compiled) -> String {
    let (kernel, userspace) = compiled.tally();
    let forwarded = compiled
        .plan
        .services
        .iter()
        .filter(|service| service.delivery != Delivery::Local)
        .count();
    format!(
        "{kernel} rules run in the kernel, {userspace} in userspace; {forwarded} services are forwarded in the kernel"
    )
}

#[derive(Serialize)]
struct Report<'a> {
    services: &'a [Service],
    rules: Vec<Rule<'a>>,
    syns: SynRules,
    differences: Vec<&'static str>,
}

#[derive(Serialize)]
struct Rule<'a> {
    #[serde(flatten)]
    row: &'a Row,
    costs: &'static str,
}

fn services(out: &mut String, plan: &Plan) {
    if plan.services.is_empty() {
        out.push_str("No address is looked after by the kernel.\n");
        return;
    }
    out.push_str("Addresses the kernel looks after:\n");
    let lines: Vec<[String; 3]> = plan.services.iter().flat_map(service).collect();
    columns(out, &lines);
}

/// A service's binds with the frontend and what happens there.
fn service(service: &Service) -> Vec<[String; 3]> {
    let delivery = match &service.delivery {
        Delivery::Local => "guarded, then passed to userspace".to_owned(),
        Delivery::Forward(forwarding) => {
            let servers: Vec<&str> = forwarding
                .servers
                .iter()
                .map(|server| server.name.as_str())
                .collect();
            let servers = if servers.is_empty() {
                "no server of this family".to_owned()
            } else {
                servers.join(" ")
            };
            format!(
                "forwarded by {}, balanced by {}, to {}: {servers}",
                forwarding.method.name(),
                forwarding.choice.name(),
                forwarding.backend
            )
        }
    };
    let delivery = format!("{delivery}{}", different(service));
    let named = |bind: &super::plan::Bind| {
        let all = bind.is_wildcard();
        format!(
            "{} {bind}{}",
            service.protocol.name(),
            if all {
                " (every address of this machine)"
            } else {
                ""
            }
        )
    };
    service
        .binds
        .iter()
        .map(|bind| [named(bind), service.frontend.clone(), delivery.clone()])
        .collect()
}

/// What is different about a service's packets, if anything.
fn different(service: &Service) -> String {
    let Treatment {
        lenient,
        to_server,
        to_client,
    } = service.treatment;
    let mut text = String::new();
    for (packets, tos) in [("", to_server), (" answers", to_client)] {
        if let Some(tos) = tos {
            let _ = write!(text, ",{packets} marked with code point {}", tos >> 2);
        }
    }
    if lenient {
        text.push_str(", not normalised");
    }
    text
}

fn rules(out: &mut String, rows: &[Row]) {
    let mut last = None;
    let mut lines = Vec::new();
    for row in rows {
        if last != Some(&row.proxy) {
            columns(out, &lines);
            lines.clear();
            let _ = writeln!(out, "\n{}:", row.proxy);
            last = Some(&row.proxy);
        }
        let (tier, why) = match &row.tier {
            Tier::Kernel(note) => (
                "kernel",
                note.as_ref().map(ToString::to_string).unwrap_or_default(),
            ),
            Tier::Userspace(reason) => ("userspace", format!("because {reason}")),
        };
        lines.push([
            tier.to_owned(),
            row.rule.clone(),
            why,
            row.costs().to_owned(),
            format!("({})", row.place),
        ]);
    }
    columns(out, &lines);
}

/// What is not the same for a client or an operator although the decision is.
fn differences(compiled: &Compiled) -> Vec<&'static str> {
    let refuses = compiled
        .plan
        .policies
        .iter()
        .any(|policy| policy.rate.is_some() || policy.sources.drops());
    let local = compiled
        .plan
        .services
        .iter()
        .any(|service| service.delivery == Delivery::Local && service.policy.is_some());
    let mut differences = Vec::new();
    if silences(&compiled.plan) {
        differences.push(
            "A client refused by the kernel gets no answer at all (its SYN is dropped), where 'reject' in userspace closes \
             the connection after accepting it. Such clients appear in no log and in no session counter, only in the \
             kernel's drop counters ('show xdp').",
        );
    }
    if resets(&compiled.plan) {
        differences.push(
            "A client refused by a 'reject' is told by a reset of its SYN ('xdp reject rst'), as if nobody listened; 'reject' \
             in userspace closes the connection after accepting it. At most a thousand a second of each service are told. \
             'silent-drop' stays silent.",
        );
    }
    if refuses && compiled.plan.listed_flows == ListedFlows::Cut {
        differences.push(
            "A connection that is already open when its source is listed is cut: its packets are dropped from then on. In \
             userspace it would go on; 'xdp listed-flows keep' in 'global' lets it.",
        );
    }
    let forwardings = || {
        let services = compiled.plan.services.iter();
        services.filter_map(|service| service.delivery.forwarding())
    };
    if forwardings().any(|forwarding| !forwarding.choice.is_stateless()) {
        differences.push(STATEFUL);
    }
    if forwardings().any(super::plan::Forwarding::is_limited) {
        differences.push(LIMITED);
    }
    if local {
        differences.push(
            "Userspace goes on evaluating every rule of the services it terminates; the kernel only refuses earlier what \
             userspace would refuse.",
        );
    }
    differences
}

/// What `-c -V` says besides how many rules run where.
pub fn hints(compiled: &Compiled) -> Vec<String> {
    let services = compiled.plan.services.iter();
    let forwarded = services.filter_map(|service| Some((service, service.delivery.forwarding()?)));
    let stateful = forwarded.filter(|(_, forwarding)| !forwarding.choice.is_stateless());
    let hint = |(service, forwarding): (&Service, &super::plan::Forwarding)| {
        format!(
            "'{}' balances by '{}', which only this machine remembers: of two balancers behind one route the other does not \
             know the server of a flow; 'maglev', 'source' and 'hash' choose alike on both",
            service.frontend,
            forwarding.choice.name()
        )
    };
    let mut hints: Vec<String> = stateful.map(hint).collect();
    hints.dedup();
    hints
}

/// Of ways to balance.
const STATEFUL: &str = "Under 'balance roundrobin', 'static-rr', 'leastconn' and 'random' the server of a flow is remembered in \
     the flow table of this machine alone: when another balancer takes over, or the table is full, packets follow a hash of \
     their addresses and ports instead, as under 'maglev'. Load is the number of flows without a FIN or RST; flows that time \
     out, or close where it is not seen, are taken off within a second. 'leastconn' compares the next eight servers in turn, so \
     with up to eight it is exact.";

/// Of limits.
const LIMITED: &str = "'maxconn' of a server in 'mode l4' bounds its flows. There is no queue: a flow that finds eight servers in \
     turn full is dropped and counted as 'servers-full'. Flows that the full flow table does not remember are not counted.";

/// Whether any refused client hears nothing.
fn silences(plan: &Plan) -> bool {
    let silent = |policy: &Policy| {
        policy.sources.have(SourceAction::Drop)
            || policy.rate.as_ref().is_some_and(|rate| !rate.resets)
    };
    plan.policies.iter().any(silent)
}

/// Whether any refused client is told.
fn resets(plan: &Plan) -> bool {
    let told = |policy: &Policy| {
        policy.sources.have(SourceAction::Reset)
            || policy.rate.as_ref().is_some_and(|rate| rate.resets)
    };
    plan.policies.iter().any(told)
}

/// Lines of cells, each column as wide as its widest cell, indented by two.
fn columns<const N: usize>(out: &mut String, lines: &[[String; N]]) {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for line in lines {
        let mut text = String::from(" ");
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, " {cell:width$} ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::offload::report::{Charged, Note, Reason};
    use crate::dataplane::plan::{Bind, Counting, Family, PolicyId};
    use crate::dataplane::source_rules::testing::refuse;
    use crate::types::ProxyId;

    fn row(proxy: &str, line: u32, rule: &str, tier: Tier) -> Row {
        Row {
            proxy: proxy.to_owned(),
            place: format!("web.cfg:{line}"),
            rule: rule.to_owned(),
            tier,
        }
    }

    fn compiled() -> Compiled {
        let limit = Note::Limit {
            limit: 100,
            period: 10_000,
            charged: Charged::Accepted,
            counting: Counting::All,
        };
        Compiled {
            plan: Plan {
                policies: vec![Policy {
                    frontend: "web".to_owned(),
                    sources: refuse(SourceAction::Drop, &["10.0.0.0/8"]),
                    rate: None,
                }],
                services: vec![Service {
                    frontend: "web".to_owned(),
                    proxy: ProxyId(0),
                    protocol: Protocol::Tcp,
                    family: Family::V4,
                    binds: vec![Bind::one("0.0.0.0".parse().unwrap(), 80, 80)],
                    segment: 0,
                    treatment: Treatment::default(),
                    policy: Some(PolicyId(0)),
                    delivery: Delivery::Local,
                }],
                ..Plan::default()
            },
            rows: vec![
                row(
                    "web",
                    7,
                    "tcp-request connection reject if blacklist",
                    Tier::Kernel(Some(Note::Prefixes { v4: 1, v6: 0 })),
                ),
                row(
                    "web",
                    9,
                    "tcp-request connection reject if flood",
                    Tier::Kernel(Some(limit)),
                ),
                row(
                    "web",
                    11,
                    "http-request deny if bad",
                    Tier::Userspace(Reason::Stage("a request")),
                ),
                row(
                    "api",
                    20,
                    "tcp-request content accept",
                    Tier::Userspace(Reason::Stage("bytes of the connection")),
                ),
            ],
            refusals: Vec::new(),
        }
    }

    #[test]
    fn text_is_aligned_and_tells_the_differences() {
        insta::assert_snapshot!(text(&compiled()));
    }

    #[test]
    fn json_holds_the_same() {
        let value: serde_json::Value = serde_json::from_str(&json(&compiled())).unwrap();
        assert_eq!(value["rules"][0]["tier"]["runs_in"], "kernel");
        assert_eq!(value["rules"][2]["tier"]["because"], "it needs a request");
        assert_eq!(value["rules"][0]["costs"], "3 loads a packet at most");
        assert_eq!(value["services"][0]["binds"][0]["first"], 80);
        assert_eq!(value["services"][0]["delivery"], "local");
        assert_eq!(value["differences"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn what_is_different_about_packets_is_said() {
        let mut compiled = compiled();
        compiled.plan.services[0].treatment = Treatment {
            lenient: true,
            to_server: Some(0xb8),
            to_client: Some(0x28),
        };
        let text = text(&compiled);
        let said = "passed to userspace, marked with code point 46, answers marked with code point 10, not normalised\n";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn nothing_in_the_kernel_is_said_plainly() {
        let text = text(&Compiled::default());
        assert!(
            text.starts_with("No address is looked after by the kernel."),
            "{text}"
        );
        assert!(!text.contains("Differences"), "{text}");
    }
}
