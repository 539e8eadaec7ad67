//! The compiler from a model to a [`Plan`].
//!
//! Input is a model; output is the plan of what the kernel does, a [`Row`] for every rule that says where it runs and
//! why, and the [`Refusal`]s: what a `mode l4` proxy asks for that only userspace could do. It is a pure function: a rule
//! goes into the kernel only if its outcome is exactly the same there, and it is never weakened, reordered or half-done
//! to make it fit.

pub mod report;

mod actions;
mod condition;
mod connection;
mod limits;
mod overlap;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use tidegate_common::config::PREFIXES;

use super::lists::{Lists, Misfit};
use super::plan::{
    Delivery, ListedFlows, Plan, Policy, PolicyId, Protocol, Service, SynCookies, SynRules,
};
use super::source_rules::SourceRules;
use crate::model::{self, HttpRule, Mode, Model, Proxy, TcpRule};
use crate::types::ProxyId;
use connection::Lowered;
use report::{Charged, Reason, Row, Tier};

/// What became of a model.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// What the kernel does; empty without `xdp interface`.
    pub plan: Plan,
    /// Every rule of every proxy, in the order of the file.
    pub rows: Vec<Row>,
    /// Why the configuration cannot run, if it cannot.
    pub refusals: Vec<Refusal>,
}

/// Something a `mode l4` proxy cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `file:line`.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// Compiles a model.
pub fn compile(model: &Model) -> Compiled {
    let mut compiled = Compiled::default();
    compiled.plan.listed_flows = match model.global.xdp.listed_flows {
        model::ListedFlows::Cut => ListedFlows::Cut,
        model::ListedFlows::Keep => ListedFlows::Keep,
    };
    let mut services = Vec::new();
    if model.global.xdp.interfaces.is_empty() {
        refuse_without_interface(model, &mut compiled.refusals);
    } else {
        compiled.plan.syns = syn_rules(&model.global.xdp);
        for proxy in frontends(model) {
            services.extend(services::services(model, proxy, &mut compiled.refusals));
        }
        overlap::separate(model, &mut services, &mut compiled.refusals);
        refuse_many_lengths(model, &services, &mut compiled.refusals);
    }
    compiled.plan.services = services;
    for proxy in &model.proxies {
        compiled.rules(model, proxy);
    }
    compiled.limit_classes(model);
    // A backend is looked at once for every family and transport.
    let mut told = BTreeSet::new();
    compiled
        .refusals
        .retain(|refusal| told.insert((refusal.place.clone(), refusal.message.clone())));
    compiled
}

impl Compiled {
    /// The rules of a frontend that the kernel could do, and those it could not.
    fn rules(&mut self, model: &Model, proxy: &Proxy) {
        let first = self.rows.len();
        self.limits_for_everybody(proxy);
        let own = |service: &&mut Service| service.proxy == proxy.id;
        let protocols: Vec<Protocol> = self
            .plan
            .services
            .iter()
            .filter(|service| service.proxy == proxy.id)
            .map(|service| service.protocol)
            .collect();
        if protocols.is_empty() {
            self.unreachable_rules(model, proxy);
            return;
        }
        let charged = match (proxy.mode, protocols.contains(&Protocol::Tcp)) {
            (Mode::Tcp | Mode::Http | Mode::Log | Mode::Syslog, _) => Charged::Accepted,
            (Mode::L4, true) => Charged::Established,
            (Mode::L4, false) => Charged::FirstPacket,
        };
        let Lowered {
            policy,
            connection,
            session,
            http,
        } = connection::lower(model, proxy, charged);
        if let Some(policy) = policy {
            let id = PolicyId(self.plan.policies.len() as u16);
            self.plan.policies.push(policy);
            self.plan
                .services
                .iter_mut()
                .filter(own)
                .for_each(|service| service.policy = Some(id));
        }
        self.rows.extend(connection);
        self.rows.extend(session);
        self.content_rules(proxy);
        self.rows.extend(http);
        self.later_rules(proxy);
        if proxy.mode == Mode::L4 {
            self.refusals
                .extend(self.rows[first..].iter().filter_map(refusal));
        }
    }

    /// The rules of a proxy none of whose addresses the kernel looks after.
    fn unreachable_rules(&mut self, model: &Model, proxy: &Proxy) {
        let reason = if model.global.xdp.interfaces.is_empty() {
            Reason::NoInterface
        } else {
            Reason::NoAddress
        };
        let rows = proxy
            .tcp_request_connection
            .iter()
            .map(|rule| tcp_row(proxy, "tcp-request connection", rule, reason.clone()));
        self.rows.extend(rows);
        let accepted = Reason::Stage("an accepted connection");
        let rows = proxy
            .tcp_request_session
            .iter()
            .map(|rule| tcp_row(proxy, "tcp-request session", rule, accepted.clone()));
        self.rows.extend(rows);
        self.content_rules(proxy);
        let rows = http_rows(proxy, "http-request", &proxy.http_request, "a request");
        self.rows.extend(rows);
        self.later_rules(proxy);
    }

    /// Limits that are no rules, but that people look for among them.
    fn limits_for_everybody(&mut self, proxy: &Proxy) {
        if !proxy.kind.has_frontend() {
            return;
        }
        let limits = [
            ("maxconn", proxy.maxconn),
            ("rate-limit sessions", proxy.rate_limit_sessions),
        ];
        for (name, limit) in limits {
            self.rows.extend(limit.map(|limit| Row {
                proxy: proxy.name.clone(),
                place: proxy.place.clone(),
                rule: format!("{name} {limit}"),
                tier: Tier::Userspace(Reason::Everybody),
            }));
        }
    }

    fn content_rules(&mut self, proxy: &Proxy) {
        for (set, rules) in [
            ("tcp-request content", &proxy.tcp_request_content),
            ("tcp-response content", &proxy.tcp_response_content),
        ] {
            let reason = Reason::Stage("bytes of the connection");
            self.rows.extend(
                rules
                    .iter()
                    .map(|rule| tcp_row(proxy, set, rule, reason.clone())),
            );
        }
    }

    /// Rules that need a response, or that choose a backend.
    fn later_rules(&mut self, proxy: &Proxy) {
        for (set, rules) in [
            ("http-response", &proxy.http_response),
            ("http-after-response", &proxy.http_after_response),
        ] {
            self.rows.extend(http_rows(proxy, set, rules, "a response"));
        }
        self.rows.extend(proxy.use_backends.iter().map(|rule| Row {
            proxy: proxy.name.clone(),
            place: rule.place.clone(),
            rule: "use_backend".to_owned(),
            tier: Tier::Userspace(Reason::Stage("an accepted connection")),
        }));
    }

    /// Takes policies out, the last ones first, until the lists of the others can be told apart.
    fn limit_classes(&mut self, model: &Model) {
        let fits = |plan: &Plan| Ok::<(), Misfit>(Lists::new(plan)?.classify_all()?);
        while let Err(error) = fits(&self.plan) {
            let owner = |id: PolicyId| {
                self.plan
                    .services
                    .iter()
                    .find(|service| service.policy == Some(id))
            };
            let ids = (0..self.plan.policies.len())
                .rev()
                .map(|id| PolicyId(id as u16));
            let removable = ids.clone().find_map(|id| {
                let service = owner(id).filter(|service| service.delivery == Delivery::Local)?;
                Some((id, service.proxy))
            });
            let Some((id, proxy)) = removable else {
                let place = model
                    .proxies
                    .first()
                    .map_or_else(String::new, |proxy| proxy.place.clone());
                self.refusals.push(Refusal {
                    place,
                    message: error.to_string(),
                });
                return;
            };
            self.take_out(id, proxy, model);
        }
    }

    fn take_out(&mut self, id: PolicyId, proxy: ProxyId, model: &Model) {
        let name = &model.proxy(proxy).name;
        let Policy { sources, rate, .. } = &mut self.plan.policies[usize::from(id.0)];
        (*sources, *rate) = (SourceRules::default(), None);
        self.plan
            .services
            .iter_mut()
            .filter(|service| service.policy == Some(id))
            .for_each(|service| service.policy = None);
        for row in self.rows.iter_mut().filter(|row| row.proxy == *name) {
            if matches!(row.tier, Tier::Kernel(_)) {
                row.tier = Tier::Userspace(Reason::Classes);
            }
        }
    }

    /// Where the rules run: how many in the kernel, how many in userspace.
    pub fn tally(&self) -> (usize, usize) {
        let kernel = self
            .rows
            .iter()
            .filter(|row| matches!(row.tier, Tier::Kernel(_)))
            .count();
        (kernel, self.rows.len() - kernel)
    }

    /// The frontends with rules or services in the kernel, by name, with how many of each.
    pub fn frontends(&self) -> BTreeMap<&str, usize> {
        let mut frontends = BTreeMap::new();
        for service in &self.plan.services {
            *frontends.entry(service.frontend.as_str()).or_insert(0) += service.binds.len();
        }
        frontends
    }
}

fn syn_rules(settings: &model::XdpGlobal) -> SynRules {
    SynRules {
        rate: settings.syn_rate,
        cookies: match settings.syn_cookies {
            model::SynCookies::Off => SynCookies::Off,
            model::SynCookies::Auto => SynCookies::Auto,
            model::SynCookies::Always => SynCookies::Always,
        },
    }
}

fn frontends(model: &Model) -> impl Iterator<Item = &Proxy> {
    model
        .proxies
        .iter()
        .filter(|proxy| proxy.kind.has_frontend() && !proxy.disabled)
}

/// Every packet for nobody is looked up once for each length that networks have.
fn refuse_many_lengths(model: &Model, services: &[Service], refusals: &mut Vec<Refusal>) {
    let mut lengths = BTreeSet::new();
    for service in services {
        let networks = service.binds.iter().filter(|bind| bind.is_network());
        lengths.extend(networks.map(|bind| (service.family, bind.length)));
        if lengths.len() > PREFIXES {
            refusals.push(Refusal {
                place: model.proxy(service.proxy).place.clone(),
                message: format!("'bind' lines with more than {PREFIXES} prefix lengths"),
            });
            return;
        }
    }
}

fn refuse_without_interface(model: &Model, refusals: &mut Vec<Refusal>) {
    for proxy in frontends(model).filter(|proxy| proxy.mode == Mode::L4) {
        let message = format!(
            "'mode l4' of '{}' runs in the kernel only; add 'xdp interface <name>' to 'global'",
            proxy.name
        );
        refusals.push(Refusal {
            place: proxy.place.clone(),
            message,
        });
    }
}

fn tcp_row(proxy: &Proxy, set: &str, rule: &TcpRule, reason: Reason) -> Row {
    Row {
        proxy: proxy.name.clone(),
        place: rule.place.clone(),
        rule: format!("{set} {}", rule.text),
        tier: Tier::Userspace(reason),
    }
}

fn http_rows(
    proxy: &Proxy,
    set: &str,
    rules: &[HttpRule],
    what: &'static str,
) -> impl Iterator<Item = Row> {
    rules.iter().map(move |rule| Row {
        proxy: proxy.name.clone(),
        place: rule.place.clone(),
        rule: format!("{set} {}", rule.text),
        tier: Tier::Userspace(Reason::Stage(what)),
    })
}

/// Why a rule of a `mode l4` proxy is an error.
fn refusal(row: &Row) -> Option<Refusal> {
    match &row.tier {
        Tier::Kernel(_) => None,
        Tier::Userspace(reason) => Some(Refusal {
            place: row.place.clone(),
            message: format!(
                "'{}' is not possible in 'mode l4', because {reason}",
                row.rule
            ),
        }),
    }
}

#[cfg(test)]
mod tests;
