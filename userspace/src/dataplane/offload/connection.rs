//! Lowers `tcp-request connection` rules into a [`Policy`], as far as the kernel can answer them exactly.
//!
//! Input is one frontend's rules in order; output is its policy, if it has one, and a [`Row`] per rule. A rule goes into
//! the kernel when its action only decides about the connection, its condition has a meaning there, and no rule before
//! it that stays in userspace could have decided otherwise or has to see what it refuses.

use super::condition::{Counter, RateCondition, Sets, has_effects, is_source};
use super::flatten::{Formula, SourceRule, flatten};
use super::report::{Charged, Note, Reason, Row, Tier};
use crate::dataplane::plan::{Counting, Policy, RateLimit, SourceAction, SourceTable};
use crate::expr::StickData;
use crate::model::{CommonAction, Model, Proxy, Table, TableKeyType, TcpAction, TcpRule};
use crate::types::TableId;

/// What became of one frontend's connection rules.
pub(super) struct Lowered {
    /// What the kernel does.
    pub policy: Option<Policy>,
    /// What was decided about each rule, in order.
    pub rows: Vec<Row>,
}

/// Lowers the rules of a frontend; `charged` is when its connections will be counted.
pub(super) fn lower(model: &Model, frontend: &Proxy, charged: Charged) -> Lowered {
    let mut lowering = Lowering {
        model,
        frontend,
        charged,
        sets: Sets::default(),
        rules: Vec::new(),
        tracking: Vec::new(),
        pending: None,
        limit: None,
        blocked: None,
        seen: None,
    };
    let mut tiers: Vec<Tier> = frontend
        .tcp_request_connection
        .iter()
        .map(|rule| lowering.rule(rule))
        .collect();
    lowering.settle(&mut tiers);
    let policy = lowering.policy();
    if let Some(policy) = &policy {
        annotate(&mut tiers, &policy.sources);
    }
    let rows = frontend
        .tcp_request_connection
        .iter()
        .zip(tiers)
        .map(|(rule, tier)| Row {
            proxy: frontend.name.clone(),
            place: rule.place.clone(),
            rule: format!("tcp-request connection {}", rule.text),
            tier,
        })
        .collect();
    Lowered { policy, rows }
}

struct Lowering<'a> {
    model: &'a Model,
    frontend: &'a Proxy,
    charged: Charged,
    sets: Sets,
    /// The rules in the kernel's source table, in order.
    rules: Vec<SourceRule>,
    /// `track-sc` rules met so far.
    tracking: Vec<Tracking>,
    /// A limit on a table that no rule has tracked yet, waiting for the one that does.
    pending: Option<Limit>,
    /// The limit the kernel keeps.
    limit: Option<Limit>,
    /// The rule that stays in userspace and may accept what a later rule refuses, or the other way round.
    blocked: Option<String>,
    /// The rule that must see the connections later rules refuse.
    seen: Option<String>,
}

/// A `track-sc` rule on the client's address.
struct Tracking {
    slot: u8,
    table: TableId,
    index: usize,
}

/// A limit and the rule it is from.
struct Limit {
    index: usize,
    rate: RateLimit,
    sources: Formula,
}

impl Lowering<'_> {
    fn rule(&mut self, rule: &TcpRule) -> Tier {
        let result = match &rule.action {
            TcpAction::Accept => self.decide(rule, SourceAction::Accept),
            TcpAction::Reject | TcpAction::SilentDrop => self.decide(rule, SourceAction::Drop),
            TcpAction::Common(CommonAction::Track { slot, key, table }) => {
                let tracked = self.track(rule, slot.0, key, *table);
                // Whatever is counted, refused connections are counted too.
                self.seen.get_or_insert_with(|| rule.place.clone());
                tracked
            }
            action => {
                if !harmless(action) {
                    self.blocked.get_or_insert_with(|| rule.place.clone());
                }
                Err(Reason::Action)
            }
        };
        match result {
            Ok(note) => Tier::Kernel(note),
            Err(reason) => Tier::Userspace(reason),
        }
    }

    /// A rule that ends the evaluation.
    fn decide(&mut self, rule: &TcpRule, action: SourceAction) -> Result<Option<Note>, Reason> {
        if let Some(place) = &self.blocked {
            return Err(Reason::After(place.clone()));
        }
        let decided = match (self.sets.formula(rule.condition.as_ref()), &rule.condition) {
            (Ok(when), _) => self.list(SourceRule { action, when }),
            (Err(reason), Some(condition)) if action == SourceAction::Drop => {
                match self.sets.rate(condition) {
                    Ok(rate) => self.limit(rule, rate),
                    // What is wrong with a limit says more than that it is no list.
                    Err(Reason::Comparison(_)) if !mentions_rate(condition) => Err(reason),
                    Err(other) => Err(other),
                }
            }
            (Err(reason), _) => Err(reason),
        };
        if decided.is_err() {
            let effects = rule.condition.as_ref().is_some_and(has_effects);
            // Who is refused by a later rule may as well be refused before this one, if that leaves no trace.
            if action != SourceAction::Drop || effects {
                self.blocked = Some(rule.place.clone());
            }
        }
        decided
    }

    fn list(&mut self, rule: SourceRule) -> Result<Option<Note>, Reason> {
        if let Some(place) = &self.seen {
            return Err(Reason::Tracked(place.clone()));
        }
        if let (Some(limit), SourceAction::Accept) = (&self.pending, rule.action) {
            return Err(Reason::Limited(self.place(limit.index)));
        }
        self.rules.push(rule);
        Ok(Some(Note::Prefixes { v4: 0, v6: 0 }))
    }

    /// `track-sc0 src`.
    fn track(
        &mut self,
        rule: &TcpRule,
        slot: u8,
        key: &crate::expr::Expression,
        table: TableId,
    ) -> Result<Option<Note>, Reason> {
        is_source(key).map_err(|_| Reason::Key(key.text().to_owned()))?;
        if let Some(condition) = &rule.condition {
            return Err(
                match condition.acls().next().and_then(|acl| acl.tests().first()) {
                    Some(test) => Reason::Looks(test.expression().text().to_owned()),
                    None => Reason::Action,
                },
            );
        }
        let index = self.index(rule);
        // The first `track-sc0` of a connection counts; later ones do nothing.
        if !self.tracking.iter().any(|tracking| tracking.slot == slot) {
            self.tracking.push(Tracking { slot, table, index });
        }
        if self
            .pending
            .as_ref()
            .is_some_and(|limit| limit.rate.table == table)
        {
            self.limit = self.pending.take();
        }
        // Whether the kernel counts at all is known when all rules have been seen.
        Err(Reason::Action)
    }

    /// `reject if { sc0_conn_rate gt 100 }`.
    fn limit(&mut self, rule: &TcpRule, rate: RateCondition) -> Result<Option<Note>, Reason> {
        let (table, counting) = match &rate.counter {
            Counter::Tracked(slot) => {
                let tracking = self.tracking.iter().find(|tracking| tracking.slot == *slot);
                let untracked = || Reason::Key(format!("sc{slot}"));
                (tracking.ok_or_else(untracked)?.table, Counting::All)
            }
            Counter::Source(name) => {
                let table = match name {
                    Some(name) => self.model.table_named(name).map(|table| table.id),
                    None => self.frontend.table,
                };
                let table = table.ok_or_else(|| Reason::Key("src".to_owned()))?;
                let tracked = self.tracking.iter().any(|tracking| tracking.table == table);
                (
                    table,
                    if tracked {
                        Counting::All
                    } else {
                        Counting::Accepted
                    },
                )
            }
        };
        if let Some(first) = self.limit.as_ref().or(self.pending.as_ref()) {
            return Err(Reason::SecondLimit(self.place(first.index)));
        }
        let table = self.model.table(table);
        let period = period(table)?;
        keeps(table, period)?;
        if let Some(place) = other_user(self.model, table.id) {
            return Err(Reason::Shared(place));
        }
        let note = Note::Limit {
            limit: rate.limit,
            period,
            charged: self.charged,
            counting,
        };
        let limit = Limit {
            index: self.index(rule),
            rate: RateLimit {
                table: table.id,
                table_name: table.name.clone(),
                period,
                limit: rate.limit,
                counting,
                v6: table.key == TableKeyType::Ipv6,
            },
            sources: rate.sources,
        };
        match counting {
            Counting::All => self.limit = Some(limit),
            Counting::Accepted => self.pending = Some(limit),
        }
        Ok(Some(if table.key == TableKeyType::Ip {
            Note::OnlyV4(Box::new(note))
        } else {
            note
        }))
    }

    /// Corrects the decisions that later rules had a say in.
    fn settle(&mut self, tiers: &mut [Tier]) {
        // A limit whose table nobody tracks never grows: userspace may look at it.
        if let Some(limit) = self.pending.take() {
            tiers[limit.index] = Tier::Userspace(Reason::Key("src".to_owned()));
        }
        let Some(limit) = &self.limit else { return };
        for tracking in self
            .tracking
            .iter()
            .filter(|tracking| tracking.table == limit.rate.table)
        {
            tiers[tracking.index] = Tier::Kernel(Some(Note::Counted(self.charged)));
        }
    }

    fn policy(self) -> Option<Policy> {
        if self.rules.is_empty() && self.limit.is_none() {
            return None;
        }
        let mut rules = self.rules;
        let rate = self.limit.map(|limit| {
            // Whom the limit is not for is past it.
            let Formula { unless, any } = limit.sources;
            rules.push(SourceRule {
                action: SourceAction::Accept,
                when: Formula {
                    unless: !unless,
                    any,
                },
            });
            limit.rate
        });
        let sources = flatten(&rules, self.sets.as_slice());
        Some(Policy {
            frontend: self.frontend.name.clone(),
            sources,
            rate,
        })
    }

    fn index(&self, rule: &TcpRule) -> usize {
        let rules = &self.frontend.tcp_request_connection;
        rules
            .iter()
            .position(|known| std::ptr::eq(known, rule))
            .expect("the rule is one of the frontend's")
    }

    fn place(&self, index: usize) -> String {
        self.frontend.tcp_request_connection[index].place.clone()
    }
}

/// Whether an action can be left out for a connection that is refused later.
fn harmless(action: &TcpAction) -> bool {
    matches!(
        action,
        TcpAction::ExpectProxy
            | TcpAction::Common(
                CommonAction::SetLogLevel(_)
                    | CommonAction::SetMark(_)
                    | CommonAction::SetTos(_)
                    | CommonAction::SetPriorityClass(_)
                    | CommonAction::SetPriorityOffset(_)
            )
    )
}

fn mentions_rate(condition: &crate::expr::Condition) -> bool {
    let mut tests = condition.acls().flat_map(|acl| acl.tests());
    tests.any(|test| test.expression().fetch_name().ends_with("conn_rate"))
}

/// The period of the table's `conn_rate`, in milliseconds.
fn period(table: &Table) -> Result<u64, Reason> {
    let period = table.data.iter().find_map(|data| match data {
        StickData::ConnRate(period) => Some(period.0),
        _ => None,
    });
    period
        .filter(|period| *period > 0)
        .ok_or_else(|| Reason::NotStored(table.name.clone()))
}

/// Whether the table's entries live as the kernel's do.
fn keeps(table: &Table, period: u64) -> Result<(), Reason> {
    if !matches!(table.key, TableKeyType::Ip | TableKeyType::Ipv6) {
        return Err(Reason::Key("something else than an address".to_owned()));
    }
    if table.nopurge {
        return Err(Reason::Table(
            "refuses new entries when it is full ('nopurge')",
        ));
    }
    // A rate looks back over two periods; an entry that is gone before would be forgiven here and not there.
    if table.expire.is_some_and(|expire| expire.0 < 2 * period) {
        return Err(Reason::Table(
            "forgets entries before their rate is over (its 'expire' is less than two periods)",
        ));
    }
    Ok(())
}

/// A rule that tracks something in the table in another way than `tcp-request connection track-sc<N> src`.
fn other_user(model: &Model, table: TableId) -> Option<String> {
    let tracks = |action: &TcpAction| match action {
        TcpAction::Common(CommonAction::Track {
            table: tracked,
            key,
            ..
        }) if *tracked == table => Some(key.clone()),
        _ => None,
    };
    for proxy in &model.proxies {
        for rule in &proxy.tcp_request_connection {
            if tracks(&rule.action)
                .is_some_and(|key| is_source(&key).is_err() || rule.condition.is_some())
            {
                return Some(rule.place.clone());
            }
        }
        let later = [
            &proxy.tcp_request_session,
            &proxy.tcp_request_content,
            &proxy.tcp_response_content,
        ];
        if let Some(rule) = later
            .into_iter()
            .flatten()
            .find(|rule| tracks(&rule.action).is_some())
        {
            return Some(rule.place.clone());
        }
        let http = [
            &proxy.http_request,
            &proxy.http_response,
            &proxy.http_after_response,
        ];
        let tracks = |action: &crate::model::HttpAction| matches!(action, crate::model::HttpAction::Common(CommonAction::Track { table: tracked, .. }) if *tracked == table);
        if let Some(rule) = http.into_iter().flatten().find(|rule| tracks(&rule.action)) {
            return Some(rule.place.clone());
        }
    }
    None
}

/// Says how large the table became that the lists make together.
fn annotate(tiers: &mut [Tier], sources: &SourceTable) {
    for tier in tiers {
        if let Tier::Kernel(Some(Note::Prefixes { v4, v6 })) = tier {
            (*v4, *v6) = (sources.v4.len(), sources.v6.len());
        }
    }
}
