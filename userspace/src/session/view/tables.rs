//! Stick tables as expressions see them: the tracked entries, and tables by name.

use std::rc::Rc;
use std::sync::Arc;

use super::SessionView;
use crate::clock;
use crate::dataplane::Dataplane;
use crate::expr::{Sample, StickAnswer, StickOperation};
use crate::state::{StickTable, Tracked};
use crate::types::TableId;

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
        None => {
            let id = kernel_part(view, operation).and_then(|_| {
                view.connection
                    .generation
                    .table_named(&tracked.table().name)
            });
            id.and_then(|id| in_kernel(view, id, &tracked.key(), operation))
                .unwrap_or_else(|| tracked.ask(operation, clock::now()))
        }
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
    let Some(id) = id_of(view, table) else {
        return StickAnswer::NotStored;
    };
    if let Some(counted) = in_kernel(view, id, key, operation) {
        return counted;
    }
    let table = view.connection.generation.state().table(id);
    match table.key_of(key) {
        Some(key) => table.ask(&key, operation, clock::now()),
        None => StickAnswer::NotStored,
    }
}

/// The table of a name, or the current proxy's.
pub(super) fn named<'a>(view: &SessionView<'a>, name: Option<&str>) -> Option<&'a Arc<StickTable>> {
    let id = id_of(view, name)?;
    Some(view.connection.generation.state().table(id))
}

fn id_of(view: &SessionView<'_>, name: Option<&str>) -> Option<TableId> {
    let generation = &view.connection.generation;
    match name {
        Some(name) => generation.table_named(name),
        None => generation.proxy(view.proxy()).table,
    }
}

/// What the kernel counts of a source whose connections it limits: it has counted those it refused, too.
fn in_kernel(
    view: &SessionView<'_>,
    table: TableId,
    key: &Sample<'_>,
    operation: StickOperation,
) -> Option<StickAnswer> {
    let kernel = kernel_part(view, operation)?;
    let Sample::Ip(source) = key else { return None };
    let stored = view
        .connection
        .generation
        .state()
        .table(table)
        .stores(operation);
    let count = kernel
        .feedback()
        .source(table, *source)
        .filter(|_| stored)?;
    Some(StickAnswer::Value(i64::from(match operation {
        StickOperation::ConnCnt => count.total,
        _ => count.rate,
    })))
}

/// The kernel tier, for the operations whose answer it may know.
fn kernel_part<'a>(view: &SessionView<'a>, operation: StickOperation) -> Option<&'a Dataplane> {
    matches!(
        operation,
        StickOperation::ConnRate | StickOperation::ConnCnt
    )
    .then(|| view.connection.generation.kernel())
    .flatten()
}
