//! Limits of connections per source: `track-sc0 src` and `reject if { sc0_conn_rate gt 100 }`.
//!
//! Input are such rules as [`super::connection`] meets them; output is the one limit the kernel keeps for the frontend, or
//! the [`Reason`] why it cannot. A limit goes into the kernel only if its counters mean the same there, and if nobody else
//! counts the connections that it refuses.

use super::condition::{Counter, RateCondition};
use super::connection::{Lowering, Rule};
use super::report::{Note, Reason, Tier};
use crate::dataplane::plan::{Counting, Masks, RateLimit};
use crate::dataplane::source_rules::Formula;
use crate::expr::{Arg, Expression, StickData};
use crate::model::{CommonAction, Model, Table, TableKeyType, TcpAction};
use crate::types::TableId;

/// A `track-sc` rule on the client's address.
pub(super) struct Tracking {
    slot: u8,
    table: TableId,
    masks: Masks,
    index: usize,
}

impl Tracking {
    /// Whether it is the rule of this number.
    pub(super) fn is(&self, index: usize) -> bool {
        self.index == index
    }
}

/// A limit and the rule it is from.
pub(super) struct Limit {
    /// The rule's number.
    pub index: usize,
    /// The number of its set.
    pub set: usize,
    /// The limit.
    pub rate: RateLimit,
    /// Whom it is for.
    pub sources: Formula,
}

impl Lowering<'_> {
    /// `track-sc0 src`.
    pub(super) fn track(
        &mut self,
        rule: &Rule<'_>,
        slot: u8,
        key: &Expression,
        table: TableId,
    ) -> Result<Option<Note>, Reason> {
        let masks = Some(key)
            .filter(|key| key.fetch_name() == "src")
            .and_then(masks)
            .ok_or_else(|| Reason::Key(key.text().to_owned()))?;
        if let Some(condition) = rule.condition {
            return Err(
                match condition.acls().next().and_then(|acl| acl.tests().first()) {
                    Some(test) => Reason::Looks(test.expression().text().to_owned()),
                    None => Reason::Action,
                },
            );
        }
        let index = self.index();
        // The first `track-sc0` of a connection counts; later ones do nothing.
        if !self.tracking.iter().any(|tracking| tracking.slot == slot) {
            self.tracking.push(Tracking {
                slot,
                table,
                masks,
                index,
            });
        }
        if self
            .pending
            .as_ref()
            .is_some_and(|limit| limit.rate.table == table && masks == Masks::NONE)
        {
            self.limit = self.pending.take();
        }
        // Whether the kernel counts at all is known when all rules have been seen.
        Err(Reason::Action)
    }

    /// `reject if { sc0_conn_rate gt 100 }`.
    pub(super) fn limit(
        &mut self,
        rate: RateCondition,
        resets: bool,
    ) -> Result<Option<Note>, Reason> {
        let (table, masks, counting) = match &rate.counter {
            Counter::Tracked(slot) => {
                let tracking = self.tracking.iter().find(|tracking| tracking.slot == *slot);
                let untracked = || Reason::Key(format!("sc{slot}"));
                let tracking = tracking.ok_or_else(untracked)?;
                (tracking.table, tracking.masks, Counting::All)
            }
            Counter::Source(name) => {
                let table = match name {
                    Some(name) => self.model.table_named(name).map(|table| table.id),
                    None => self.frontend.table,
                };
                let table = table.ok_or_else(|| Reason::Key("src".to_owned()))?;
                // It looks for the whole address, whatever the table's keys are made of.
                let mut tracking = self.tracking.iter();
                match tracking.find(|tracking| tracking.table == table) {
                    Some(tracking) if tracking.masks != Masks::NONE => {
                        return Err(Reason::Key("a network".to_owned()));
                    }
                    Some(_) => (table, Masks::NONE, Counting::All),
                    None => (table, Masks::NONE, Counting::Accepted),
                }
            }
        };
        if let Some(first) = self.limit.as_ref().or(self.pending.as_ref()) {
            return Err(Reason::SecondLimit(self.place(first.index)));
        }
        let mut others = self.counted.iter();
        if let Some((_, place)) = others.find(|(other, _)| *other != Some(table)) {
            return Err(Reason::Tracked(place.clone()));
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
            index: self.index(),
            set: self.set_index(),
            rate: RateLimit {
                table: table.id,
                table_name: table.name.clone(),
                period,
                limit: rate.limit,
                counting,
                v6: table.key == TableKeyType::Ipv6 && masks.v6.is_some(),
                masks,
                resets,
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
    pub(super) fn settle(&mut self, tiers: &mut [Tier]) {
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
}

/// What of an address a key is made of: all, or what `ipmask` leaves.
pub(super) fn masks(key: &Expression) -> Option<Masks> {
    let mut converters = key.converters();
    let args = match (converters.next(), converters.next()) {
        (None, _) => return Some(Masks::NONE),
        (Some(("ipmask", args)), None) => args,
        _ => return None,
    };
    let length = |bits: u128, width: u32| {
        let ones = (bits << (128 - width)).leading_ones();
        // A mask with holes is no prefix.
        (bits.count_ones() == ones).then_some(ones as u8)
    };
    let v4 = match args.first()? {
        Arg::Ipv4(mask) => length(u32::from(*mask).into(), 32)?,
        _ => return None,
    };
    let v6 = match args.get(1) {
        Some(Arg::Ipv6(mask)) => Some(length(u128::from(*mask), 128)?),
        // Without it the converter gives nothing for IPv6 sources: they are not counted.
        None => None,
        Some(_) => return None,
    };
    Some(Masks { v4, v6 })
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
                .is_some_and(|key| masks(&key).is_none() || rule.condition.is_some())
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
