//! The actions that TCP and HTTP rules share (manual §4.4).
//!
//! An action is performed on what a [`SessionView`] shows: connection, transaction, tables, variables. It either is done or
//! waits for bytes that may still come; it never fails a session, because HAProxy lets these actions fail silently.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::bandwidth;
use super::connection::Ends;
use super::logging;
use super::transaction::{BackOverrides, LogLevel, Transaction};
use super::view::SessionView;
use crate::clock;
use crate::expr::{Expression, Fetched, Sample, SampleType, Scope, VariableName, View};
use crate::model::{CommonAction, TrackSlot, VariableCondition};
use crate::state::StickEvent;
use crate::state::stick::Entry;

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performed {
    /// It was performed, or could not be and never will.
    Done,
    /// What it needs may still arrive.
    Wait,
}

/// Performs an action.
pub fn perform(action: &CommonAction, view: &SessionView<'_>) -> Performed {
    match action {
        CommonAction::Track { slot, key, table } => return track(*slot, key, *table, view),
        CommonAction::IncrementCounter { slot, counter } => {
            on_entry(*slot, view, |entry| {
                entry.add_gpc(*counter, 1, clock::now())
            });
        }
        CommonAction::AddCounter {
            slot,
            counter,
            amount,
        } => {
            let Some(amount) = integer(amount, view) else {
                return Performed::Done;
            };
            let amount = amount.clamp(0, u32::MAX.into()) as u64;
            on_entry(*slot, view, |entry| {
                entry.add_gpc(*counter, amount, clock::now())
            });
        }
        CommonAction::SetTag { slot, tag, value } => {
            let Some(value) = integer(value, view) else {
                return Performed::Done;
            };
            on_entry(*slot, view, |entry| {
                entry.set_gpt(*tag, value as u32 as u64, clock::now())
            });
        }
        CommonAction::SetVariable {
            name,
            value,
            conditions,
        } => match value.fetch(view) {
            Fetched::Wait => return Performed::Wait,
            Fetched::Absent => {}
            Fetched::Value(sample) => set_variable(name, sample.into_shared(), conditions, view),
        },
        CommonAction::SetVariableFormat {
            name,
            value,
            conditions,
        } => {
            let mut text = Vec::new();
            value.render(view, &mut text);
            set_variable(name, Sample::str(text).into_shared(), conditions, view);
        }
        CommonAction::UnsetVariable(name) => {
            if let Some(variables) = view.variables(name.scope()) {
                variables.remove(name);
            }
        }
        CommonAction::SetSource(value) => change(view, value, |ends, sample| {
            set_ip(&mut ends.source, sample);
        }),
        CommonAction::SetSourcePort(value) => change(view, value, |ends, sample| {
            set_port(&mut ends.source, sample);
        }),
        CommonAction::SetDestination(value) => change(view, value, |ends, sample| {
            set_ip(&mut ends.destination, sample);
        }),
        CommonAction::SetDestinationPort(value) => change(view, value, |ends, sample| {
            set_port(&mut ends.destination, sample);
        }),
        CommonAction::SetLogLevel(level) => on_transaction(view, |transaction| {
            transaction
                .log_level
                .set(level.map_or(LogLevel::Silent, LogLevel::At));
        }),
        CommonAction::SetMark(mark) => {
            // Refused without CAP_NET_ADMIN; HAProxy says nothing either.
            let _ = view.client.map(|client| client.socket().set_mark(*mark));
        }
        CommonAction::SetTos(tos) => {
            let _ = view.client.map(|client| client.socket().set_tos(*tos));
        }
        CommonAction::SetMarkTo(value) => {
            if let Some(mark) = integer(value, view) {
                let _ = view
                    .client
                    .map(|client| client.socket().set_mark(mark as u32));
            }
        }
        CommonAction::SetTosTo(value) => {
            if let Some(tos) = integer(value, view).and_then(|tos| u8::try_from(tos).ok()) {
                let _ = view.client.map(|client| client.socket().set_tos(tos));
            }
        }
        CommonAction::SetBackMark(value) => {
            if let Some(mark) = integer(value, view) {
                on_back(view, |back| back.mark = Some(mark as u32));
            }
        }
        CommonAction::SetBackTos(value) => {
            if let Some(tos) = integer(value, view).and_then(|tos| u8::try_from(tos).ok()) {
                on_back(view, |back| back.tos = Some(tos));
            }
        }
        CommonAction::SetRetries(value) => {
            if let Some(retries @ 0..=100) = integer(value, view) {
                on_back(view, |back| back.retries = Some(retries as u32));
            }
        }
        CommonAction::Nothing => {}
        CommonAction::SetPriorityClass(value) => {
            if let Some(class) = integer(value, view) {
                on_transaction(view, |transaction| {
                    let mut priority = transaction.priority.get();
                    priority.class = class.clamp(-2047, 2047) as i16;
                    transaction.priority.set(priority);
                });
            }
        }
        CommonAction::SetPriorityOffset(value) => {
            if let Some(offset) = integer(value, view) {
                on_transaction(view, |transaction| {
                    let mut priority = transaction.priority.get();
                    priority.offset = offset.clamp(-524_287, 524_287) as i32;
                    transaction.priority.set(priority);
                });
            }
        }
        CommonAction::LimitBandwidth {
            proxy,
            filter,
            limit,
            period,
        } => bandwidth::switch_on(*proxy, filter, limit.as_ref(), period.as_ref(), view),
        CommonAction::DoLog { step, profile } => logging::now(view, *step, profile.as_deref()),
        // It waits for an answer: whoever walks the rules does that (`super::resolve`).
        CommonAction::Resolve(_) => {}
    }
    Performed::Done
}

/// Whether performing an action twice does more than performing it once: such actions are performed at most once while
/// contents are inspected again and again.
pub fn accumulates(action: &CommonAction) -> bool {
    matches!(
        action,
        CommonAction::IncrementCounter { .. }
            | CommonAction::AddCounter { .. }
            | CommonAction::DoLog { .. }
    )
}

fn track(
    slot: TrackSlot,
    key: &Expression,
    table: crate::types::TableId,
    view: &SessionView<'_>,
) -> Performed {
    let slots = match view.transaction {
        Some(transaction) if transaction.tracked_at(view.connection, slot.0).is_some() => {
            return Performed::Done;
        }
        Some(transaction) => &transaction.tracked,
        None => &view.connection.tracked,
    };
    let sample = match key.fetch(view) {
        Fetched::Value(sample) => sample,
        Fetched::Wait => return Performed::Wait,
        Fetched::Absent => return Performed::Done,
    };
    let generation = &view.connection.generation;
    if let (None, Sample::Ip(source), Some(kernel)) =
        (view.transaction, &sample, generation.kernel())
    {
        // This connection has been through its handshake: now it counts for the limit the kernel enforces.
        kernel.feedback().charge(table, *source);
    }
    let table = generation.state().table(table);
    let now = clock::now();
    if let Some(tracked) = table.key_of(&sample).and_then(|key| table.track(&key, now)) {
        let is_request = view.http.is_some() && !matches!(view.response.head, Fetched::Value(_));
        if is_request && view.transaction.is_some() {
            // The request came before anybody tracked it, and counts all the same.
            tracked.count(StickEvent::Request, 1, now);
        }
        slots.track(slot.0, tracked);
    }
    Performed::Done
}

fn on_entry<T>(slot: TrackSlot, view: &SessionView<'_>, act: impl FnOnce(&Entry) -> T) {
    let tracked = match view.transaction {
        Some(transaction) => transaction.tracked_at(view.connection, slot.0),
        None => view.connection.tracked.at(slot.0),
    };
    if let Some(tracked) = tracked {
        act(tracked.entry());
    }
}

fn on_transaction(view: &SessionView<'_>, act: impl FnOnce(&Transaction)) {
    if let Some(transaction) = view.transaction {
        act(transaction);
    }
}

fn on_back(view: &SessionView<'_>, change: impl FnOnce(&mut BackOverrides)) {
    on_transaction(view, |transaction| {
        let mut back = transaction.back.get();
        change(&mut back);
        transaction.back.set(back);
    });
}

/// Gives a variable a value, if the conditions of the assignment hold.
pub(super) fn set_variable(
    name: &VariableName,
    value: Sample<'static>,
    conditions: &[VariableCondition],
    view: &SessionView<'_>,
) {
    let Some(variables) = view.variables(name.scope()) else {
        return;
    };
    let old = variables.read(name);
    let existed = old.is_some() || name.scope() == Scope::Process;
    let is_empty = match &value {
        Sample::Str(data) | Sample::Bin(data) | Sample::Method(data) => data.is_empty(),
        Sample::Bool(_) | Sample::Int(_) | Sample::Ip(_) => false,
    };
    let compares = |wanted: std::cmp::Ordering| match (&old, &value) {
        (Some(Sample::Int(old)), Sample::Int(new)) => old.cmp(new) == wanted,
        _ => true,
    };
    let allowed = conditions.iter().all(|condition| match condition {
        VariableCondition::Exists => existed,
        VariableCondition::NotExists => !existed,
        VariableCondition::Empty => is_empty,
        VariableCondition::NotEmpty => !is_empty,
        VariableCondition::Set => old.is_some(),
        VariableCondition::NotSet => old.is_none(),
        VariableCondition::Greater => compares(std::cmp::Ordering::Greater),
        VariableCondition::Less => compares(std::cmp::Ordering::Less),
    });
    if allowed {
        variables.write(name, value);
    }
}

fn integer(expression: &Expression, view: &SessionView<'_>) -> Option<i64> {
    match expression.eval(view)?.cast(SampleType::Int)? {
        Sample::Int(value) => Some(value),
        _ => None,
    }
}

fn change(view: &SessionView<'_>, value: &Expression, set: impl FnOnce(&mut Ends, Sample<'_>)) {
    let Some(sample) = value.eval(view) else {
        return;
    };
    let connection = view.connection;
    let mut ends = connection.ends.get();
    set(&mut ends, sample);
    connection.change_ends(ends);
}

/// The port stays while the family does (manual: `set-src`, `set-dst`).
fn set_ip(end: &mut Option<SocketAddr>, sample: Sample<'_>) {
    let Some(Sample::Ip(ip)) = sample.cast(SampleType::Address) else {
        return;
    };
    let port = end
        .filter(|old| old.is_ipv4() == ip.is_ipv4())
        .map_or(0, |old| old.port());
    *end = Some(SocketAddr::new(ip, port));
}

/// The address stays if there is one, else it is 0.0.0.0 (manual: `set-src-port`, `set-dst-port`).
fn set_port(end: &mut Option<SocketAddr>, sample: Sample<'_>) {
    let Some(Sample::Int(port)) = sample.cast(SampleType::Int) else {
        return;
    };
    let ip = end.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |old| old.ip());
    *end = Some(SocketAddr::new(ip, port as u16));
}
