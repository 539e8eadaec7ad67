//! Stick tables as expressions see them: the tracked entries, and tables by name.

use std::rc::Rc;
use std::sync::Arc;

use super::SessionView;
use crate::clock;
use crate::expr::{Sample, StickAnswer, StickOperation};
use crate::state::{StickTable, Tracked};

/// The entry tracked under a counter.
pub(super) fn entry(view: &SessionView<'_>, counter: u8) -> Option<Rc<Tracked>> {
    match view.transaction {
        Some(transaction) => transaction.tracked_at(view.connection, counter),
        None => view.connection.tracked.at(counter),
    }
}

/// Asks the tracked entry, or the entry of the same key in another table.
pub(super) fn tracked(
    view: &SessionView<'_>,
    counter: u8,
    table: Option<&str>,
    operation: StickOperation,
) -> StickAnswer {
    let Some(tracked) = entry(view, counter) else {
        return StickAnswer::NoEntry;
    };
    match table {
        None => tracked.ask(operation, clock::now()),
        Some(_) => ask(view, table, &tracked.key(), operation),
    }
}

/// Asks a table about a key.
pub(super) fn ask(
    view: &SessionView<'_>,
    table: Option<&str>,
    key: &Sample<'_>,
    operation: StickOperation,
) -> StickAnswer {
    let Some(table) = named(view, table) else {
        return StickAnswer::NotStored;
    };
    match table.key_of(key) {
        Some(key) => table.ask(&key, operation, clock::now()),
        None => StickAnswer::NotStored,
    }
}

/// The table of a name, or the current proxy's.
pub(super) fn named<'a>(view: &SessionView<'a>, name: Option<&str>) -> Option<&'a Arc<StickTable>> {
    let generation = &view.connection.generation;
    let id = match name {
        Some(name) => generation.table_named(name),
        None => generation.proxy(view.proxy()).table,
    }?;
    Some(view.connection.generation.state().table(id))
}
