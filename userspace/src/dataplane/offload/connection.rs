//! Lowers the rules of a frontend that decide about its clients into a [`Policy`], as far as the kernel can answer them
//! exactly.
//!
//! Input are one frontend's `tcp-request connection`, `tcp-request session` and `http-request` rules in order; output is its
//! policy, if it has one, and a [`Row`] per rule. A rule goes into the kernel when its action only decides about the
//! connection, its condition has a meaning there, and no rule before it that stays in userspace could have decided
//! otherwise or has to see what it refuses. Limits are [`super::limits`]'s.

use super::actions::{Deed, of_http, of_tcp};
use super::condition::{Sets, has_effects};
use super::limits::{Limit, Tracking};
use super::report::{Charged, Note, Reason, Row, Tier};
use crate::dataplane::plan::{Policy, SourceAction};
use crate::dataplane::source_rules::{Formula, RuleSets, SourceRule, SourceRules};
use crate::expr::Condition;
use crate::model::{Mode, Model, Proxy, Reject};
use crate::types::TableId;

/// What became of one frontend's rules.
pub(super) struct Lowered {
    /// What the kernel does.
    pub policy: Option<Policy>,
    /// What was decided about each `tcp-request connection` rule, in order.
    pub connection: Vec<Row>,
    /// About each `tcp-request session` rule.
    pub session: Vec<Row>,
    /// About each `http-request` rule.
    pub http: Vec<Row>,
}

/// Lowers the rules of a frontend; `charged` is when its connections will be counted.
pub(super) fn lower(model: &Model, frontend: &Proxy, charged: Charged) -> Lowered {
    let mut lowering = Lowering {
        model,
        frontend,
        charged,
        sets: Sets::default(),
        rules: RuleSets {
            sets: Vec::new(),
            limited: 0,
        },
        places: Vec::new(),
        tracking: Vec::new(),
        counted: Vec::new(),
        pending: None,
        limit: None,
        blocked: None,
        seen: None,
        barred: None,
        proxied: None,
    };
    let mut tiers = Vec::new();
    let rules = frontend.tcp_request_connection.iter();
    lowering.set(
        &mut tiers,
        rules.map(|rule| Rule::tcp("tcp-request connection", rule)),
    );
    lowering.becomes_a_session();
    let rules = frontend.tcp_request_session.iter();
    lowering.set(
        &mut tiers,
        rules.map(|rule| Rule::tcp("tcp-request session", rule)),
    );
    lowering.becomes_a_request();
    let rules = frontend.http_request.iter();
    lowering.set(&mut tiers, rules.map(Rule::http));
    lowering.settle(&mut tiers);
    let texts = lowering.places.clone();
    let policy = lowering.policy();
    if let Some(policy) = &policy {
        annotate(&mut tiers, &policy.sources);
    }
    let mut rows = tiers
        .into_iter()
        .zip(texts)
        .map(|(tier, (place, rule))| Row {
            proxy: frontend.name.clone(),
            place,
            rule,
            tier,
        });
    let mut take = |count: usize| rows.by_ref().take(count).collect();
    Lowered {
        policy,
        connection: take(frontend.tcp_request_connection.len()),
        session: take(frontend.tcp_request_session.len()),
        http: take(frontend.http_request.len()),
    }
}

/// A rule of any of the sets.
pub(super) struct Rule<'a> {
    deed: Deed<'a>,
    pub(super) condition: Option<&'a Condition>,
    place: &'a str,
    text: String,
}

impl<'a> Rule<'a> {
    fn tcp(set: &str, rule: &'a crate::model::TcpRule) -> Self {
        Self {
            deed: of_tcp(&rule.action),
            condition: rule.condition.as_ref(),
            place: &rule.place,
            text: format!("{set} {}", rule.text),
        }
    }

    fn http(rule: &'a crate::model::HttpRule) -> Self {
        Self {
            deed: of_http(&rule.action),
            condition: rule.condition.as_ref(),
            place: &rule.place,
            text: format!("http-request {}", rule.text),
        }
    }
}

pub(super) struct Lowering<'a> {
    pub(super) model: &'a Model,
    pub(super) frontend: &'a Proxy,
    pub(super) charged: Charged,
    pub(super) sets: Sets,
    /// The rules in the kernel's source table, in order.
    rules: RuleSets,
    /// Place and text of every rule met.
    places: Vec<(String, String)>,
    /// `track-sc` rules met so far.
    pub(super) tracking: Vec<Tracking>,
    /// The tables of all `track-sc` rules met so far; none where the key is not the client's address.
    pub(super) counted: Vec<(Option<TableId>, String)>,
    /// A limit on a table that no rule has tracked yet, waiting for the one that does.
    pub(super) pending: Option<Limit>,
    /// The limit the kernel keeps.
    pub(super) limit: Option<Limit>,
    /// The rule of this set that stays in userspace and may accept what a later one refuses, or the other way round.
    blocked: Option<String>,
    /// The rule that must see the connections later rules refuse.
    seen: Option<String>,
    /// Why no later rule of any set may be asked earlier.
    barred: Option<Reason>,
    /// What may give sessions another source than their packets have.
    proxied: Option<String>,
}

impl Lowering<'_> {
    /// The rules of one set.
    fn set<'r>(&mut self, tiers: &mut Vec<Tier>, rules: impl Iterator<Item = Rule<'r>>) {
        self.rules.sets.push(Vec::new());
        self.blocked = None;
        for rule in rules {
            self.places.push((rule.place.to_owned(), rule.text.clone()));
            tiers.push(match self.rule(&rule) {
                Ok(note) => Tier::Kernel(note),
                Err(reason) => Tier::Userspace(reason),
            });
        }
    }

    /// After the connection rules a PROXY header is read, if there is one.
    fn becomes_a_session(&mut self) {
        let binds = self.frontend.binds.iter().map(|id| self.model.bind(*id));
        let header = binds
            .into_iter()
            .find(|bind| bind.accept_proxy || bind.netscaler.is_some())
            .map(|bind| bind.place.clone());
        if let Some(place) = self.proxied.take().or(header) {
            self.barred.get_or_insert(Reason::Proxied(place));
        }
        if self.frontend.mode == Mode::L4 {
            self.barred
                .get_or_insert(Reason::Stage("an accepted connection"));
        }
    }

    /// What happens between the session rules and those of a request.
    fn becomes_a_request(&mut self) {
        for rule in &self.frontend.tcp_request_content {
            let rule = Rule::tcp("tcp-request content", rule);
            // Who is refused here is refused, whoever does it first; who is accepted goes on to the requests' rules.
            match rule.deed {
                Deed::Accept | Deed::Refuse | Deed::Silence | Deed::Nothing | Deed::Renames => {}
                Deed::Track { .. } => {
                    self.counted.push((None, rule.place.to_owned()));
                    self.sees(rule.place);
                }
                _ => self.bar(rule.place),
            }
            if rule.condition.is_some_and(has_effects) {
                self.sees(rule.place);
            }
        }
        if self.frontend.monitor_uri.is_some() {
            self.barred.get_or_insert(Reason::Monitor);
        }
    }

    fn rule(&mut self, rule: &Rule<'_>) -> Result<Option<Note>, Reason> {
        match &rule.deed {
            Deed::Accept => self.decide(rule, SourceAction::Accept),
            Deed::Refuse => self.decide(
                rule,
                match self.model.global.xdp.reject {
                    Reject::Drop => SourceAction::Drop,
                    Reject::Reset => SourceAction::Reset,
                },
            ),
            Deed::Silence => self.decide(rule, SourceAction::Drop),
            Deed::Answer(status) => {
                if self.model.global.xdp.deny == crate::model::Deny::Drop {
                    return self.decide(rule, SourceAction::Drop);
                }
                if rule.condition.is_some_and(has_effects) {
                    self.bar(rule.place);
                }
                // That the kernel cannot answer matters only where it could ask.
                self.sets.formula(rule.condition)?;
                Err(Reason::Answers(*status))
            }
            Deed::Track { slot, key, table } => {
                let tracked = match &self.barred {
                    // Only what is counted from a connection's beginning is counted by the kernel.
                    None if self.rules.sets.len() == 1 => self.track(rule, *slot, key, *table),
                    Some(reason) => Err(reason.clone()),
                    None => Err(Reason::Stage("an accepted connection")),
                };
                // Whatever is counted, refused connections are counted too.
                let is_ours = self
                    .tracking
                    .last()
                    .is_some_and(|last| last.is(self.index()));
                self.counted
                    .push((is_ours.then_some(*table), rule.place.to_owned()));
                self.sees(rule.place);
                tracked
            }
            Deed::Nothing => Err(self.more_than_a_decision()),
            Deed::Renames => {
                self.proxied.get_or_insert_with(|| rule.place.to_owned());
                Err(self.more_than_a_decision())
            }
            Deed::Serve => {
                self.blocked.get_or_insert_with(|| rule.place.to_owned());
                Err(self.more_than_a_decision())
            }
            Deed::Other => {
                self.bar(rule.place);
                Err(self.more_than_a_decision())
            }
        }
    }

    /// A rule that ends the evaluation of its set.
    fn decide(&mut self, rule: &Rule<'_>, action: SourceAction) -> Result<Option<Note>, Reason> {
        if let Some(reason) = &self.barred {
            return Err(reason.clone());
        }
        if let Some(place) = &self.blocked {
            return Err(Reason::After(place.clone()));
        }
        let decided = match (self.sets.formula(rule.condition), rule.condition) {
            (Ok(when), _) => self.list(SourceRule { action, when }),
            (Err(reason), Some(condition)) if action.refuses() => {
                match self.sets.rate(condition) {
                    Ok(rate) => self.limit(rate, action == SourceAction::Reset),
                    // What is wrong with a limit says more than that it is no list.
                    Err(Reason::Comparison(_)) if !mentions_rate(condition) => Err(reason),
                    Err(other) => Err(other),
                }
            }
            (Err(reason), _) => Err(reason),
        };
        if decided.is_err() {
            if rule.condition.is_some_and(has_effects) {
                self.bar(rule.place);
            }
            // Who is refused by a later rule may as well be refused before this one, if that leaves no trace.
            if !action.refuses() {
                self.blocked = Some(rule.place.to_owned());
            }
        }
        decided
    }

    fn list(&mut self, rule: SourceRule) -> Result<Option<Note>, Reason> {
        if let Some(place) = &self.seen {
            return Err(Reason::Tracked(place.clone()));
        }
        if let (Some(limit), SourceAction::Accept) = (&self.pending, rule.action)
            && limit.set + 1 == self.rules.sets.len()
        {
            return Err(Reason::Limited(self.place(limit.index)));
        }
        if let Some(rules) = self.rules.sets.last_mut() {
            rules.push(rule);
        }
        Ok(Some(Note::Prefixes { v4: 0, v6: 0 }))
    }

    /// Why a rule that does not decide stays in userspace.
    fn more_than_a_decision(&self) -> Reason {
        match self.rules.sets.len() {
            1 => Reason::Action,
            2 => Reason::Stage("an accepted connection"),
            _ => Reason::Stage("a request"),
        }
    }

    fn sees(&mut self, place: &str) {
        self.seen.get_or_insert_with(|| place.to_owned());
    }

    fn bar(&mut self, place: &str) {
        self.barred
            .get_or_insert_with(|| Reason::After(place.to_owned()));
    }

    fn policy(mut self) -> Option<Policy> {
        if self.rules.sets.iter().all(Vec::is_empty) && self.limit.is_none() {
            return None;
        }
        let rate = self.limit.map(|limit| {
            // Whom the limit is not for is past it.
            let Formula { unless, any } = limit.sources;
            let when = Formula {
                unless: !unless,
                any,
            };
            let action = SourceAction::Accept;
            self.rules.limited = limit.set;
            self.rules.sets[limit.set].push(SourceRule { action, when });
            limit.rate
        });
        Some(Policy {
            frontend: self.frontend.name.clone(),
            sources: SourceRules {
                rules: self.rules,
                sets: self.sets.into_sets(),
            },
            rate,
        })
    }

    /// The number of the rule at hand.
    pub(super) fn index(&self) -> usize {
        self.places.len() - 1
    }

    /// The number of the set at hand.
    pub(super) fn set_index(&self) -> usize {
        self.rules.sets.len() - 1
    }

    pub(super) fn place(&self, index: usize) -> String {
        self.places[index].0.clone()
    }
}

fn mentions_rate(condition: &Condition) -> bool {
    let mut tests = condition.acls().flat_map(|acl| acl.tests());
    tests.any(|test| test.expression().fetch_name().ends_with("conn_rate"))
}

/// Says how many networks the lists have together.
fn annotate(tiers: &mut [Tier], sources: &SourceRules) {
    let (networks4, networks6) = sources.count();
    for tier in tiers {
        if let Tier::Kernel(Some(Note::Prefixes { v4, v6 })) = tier {
            (*v4, *v6) = (networks4, networks6);
        }
    }
}
