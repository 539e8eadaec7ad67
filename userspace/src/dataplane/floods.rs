//! Which services are under a flood of SYNs: told when it begins and ends, and the stack set accordingly.
//!
//! Input are the records the program counts SYNs in; looked at twice a second. What the program does with a SYN is decided
//! by the program itself, packet by packet; here is only what takes a system call.

use std::collections::BTreeMap;

use tidegate_common::service::ServiceIndex;
use tidegate_common::syn::SynRecord;

use super::plan::{Delivery, Protocol, SynCookies, SynRules};
use super::snapshot::SynSnapshot;
use super::sources::later;
use super::stack::{Stack, StackError, is_changed};
use super::ticks::Ticks;
use super::writer::Writer;
use crate::clock::{self, Moment};
use crate::log::notice;
use crate::state::KernelSyns;

/// The floods there are.
pub(super) struct Floods {
    stack: Stack,
    /// When each was last seen.
    seen: BTreeMap<ServiceIndex, Moment>,
    /// Whether it was said that the stack cannot be set.
    failed: bool,
}

impl Floods {
    pub(super) fn new(stack: Stack) -> Self {
        Self {
            stack,
            seen: BTreeMap::new(),
            failed: false,
        }
    }

    /// Whether there is anything to look at.
    pub(super) fn concern(rules: SynRules) -> bool {
        rules.rate > 0 || rules.cookies == SynCookies::Always
    }

    /// Looks at all services; `told` is what the process tells of them.
    pub(super) fn look(&mut self, writer: &Writer, told: &KernelSyns) {
        let (now, ticks, rules) = (clock::now(), writer.ticks(), writer.plan().syns);
        let syns = &writer.tables().syns;
        let mut local = false;
        let (mut syns_now, mut cookies, mut accepted) = (0_u32, 0, 0);
        for (index, service) in writer.services() {
            let Some(record) = syns.get(usize::from(index.0)) else {
                continue;
            };
            if service.protocol != Protocol::Tcp {
                continue;
            }
            let name = || format!("{} ({})", service.frontend, service.binds[0]);
            let rate = reading(record, ticks, rules);
            syns_now = syns_now.saturating_add(rate.rate);
            cookies += rate.cookies;
            accepted += rate.proven;
            if rate.flooded {
                if self.seen.insert(index, now).is_none() {
                    notice::warning(format_args!(
                        "Frontend {} is under a flood of SYNs: {} in the last second, {} are expected at most.",
                        name(),
                        rate.rate,
                        rules.rate
                    ));
                }
            } else if let Some(last) = self.seen.get(&index)
                && now.since(*last) >= QUIET
            {
                self.seen.remove(&index);
                notice::notice(format_args!(
                    "Frontend {} is under a flood of SYNs no more.",
                    name()
                ));
            }
            local |= service.delivery == Delivery::Local && self.seen.contains_key(&index);
        }
        told.set(syns_now, self.seen.len() as u32, cookies, accepted);
        let wanted = match rules.cookies {
            SynCookies::Off => false,
            SynCookies::Auto => local,
            SynCookies::Always => true,
        };
        self.set(writer, wanted);
    }

    /// Takes the settings of the stack back.
    pub(super) fn end(&self, writer: &Writer) {
        if let Some(record) = writer.tables().syns.first() {
            tell(self.stack.restore(record));
        }
    }

    fn set(&mut self, writer: &Writer, wanted: bool) {
        let Some(record) = writer.tables().syns.first() else {
            return;
        };
        if wanted == is_changed(record) {
            return;
        }
        let set = if wanted {
            self.stack.change(record)
        } else {
            self.stack.restore(record)
        };
        let failed = set.is_err();
        if !self.failed {
            tell(set);
        }
        self.failed = failed;
    }
}

/// What `show xdp` tells about the SYNs of a service.
pub(super) fn reading(record: &SynRecord, ticks: Ticks, rules: SynRules) -> SynSnapshot {
    let start = tidegate_common::tick::Tick(record.window.load() as u32);
    let now = later(ticks.now(), start);
    SynSnapshot {
        rate: record.rate(ticks.per_second(), now),
        limit: rules.rate,
        flooded: record.is_flooded(ticks.per_second(), now),
        stateless: record.stateless.load(),
        cookies: record.cookies.load(),
        proven: record.proven.load(),
    }
}

fn tell(set: Result<(), StackError>) {
    if let Err(error) = set {
        notice::warning(format_args!(
            "SYN cookies cannot be switched: {}.",
            super::Chain(&error)
        ));
    }
}

/// A flood is over when none was seen for so long, in milliseconds.
const QUIET: u64 = 10_000;
