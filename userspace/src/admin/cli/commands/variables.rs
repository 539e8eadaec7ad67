//! Commands about the variables of the process.

use super::{Answer, Call, Command};
use crate::expr::{Sample, Scope, VariableName, Variables as _};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[Command {
    words: &["get", "var"],
    usage: "get var <name>",
    doc: "retrieve contents of a process-wide variable",
    level: Level::Operator,
    run: get,
}];

fn get(call: &mut Call<'_>) -> Answer {
    let word = call.word(0);
    if word.is_empty() {
        return Answer::error("Missing process-wide variable identifier.");
    }
    let value = VariableName::parse(word)
        .ok()
        .filter(|name| name.scope() == Scope::Process)
        .and_then(|name| call.running().state.variables.read(&name));
    match value {
        Some(value) => Answer::Output(format!(
            "{word}: type={} value=<{}>",
            value.kind().name(),
            printable(&value)
        )),
        None => Answer::error("Variable not found."),
    }
}

fn printable(value: &Sample<'_>) -> String {
    match value {
        Sample::Bin(data) => data.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => crate::log::printable(&String::from_utf8_lossy(&other.to_text())),
    }
}
