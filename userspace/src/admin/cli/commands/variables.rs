//! Commands about the variables of the process.

use super::{Answer, Call, Command};
use crate::expr::{
    Expression, LogFormat, NoAcls, NoFiles, Parsing, Patterns, ProcessView, Purpose, Sample, Scope,
    Stage, VariableName, Variables as _,
};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["get", "var"],
        usage: "get var <name>",
        doc: "retrieve contents of a process-wide variable",
        level: Level::Operator,
        run: get,
    },
    Command {
        words: &["set", "var"],
        usage: "set var <name> [fmt|expr] {<fmt>|<expr>}",
        doc: "set variable from an expression or a format",
        level: Level::Operator,
        run: |call| set(call),
    },
];

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

/// `set var <name> [expr|fmt] <value>`
fn set(call: &Call<'_>) -> Answer {
    if !call.session.experimental {
        return Answer::error("This command is restricted to experimental mode only.");
    }
    Answer::of(assign(call))
}

fn assign(call: &Call<'_>) -> Result<(), String> {
    let name = VariableName::parse(call.word(0)).map_err(|error| error.message)?;
    if name.scope() != Scope::Process {
        return Err("Only process-wide variables may be set.".to_owned());
    }
    let (is_format, first) = match call.word(1) {
        "fmt" => (true, 2),
        "expr" => (false, 2),
        _ => (false, 1),
    };
    let variables = &call.running().state.variables;
    let view = ProcessView(variables);
    let mut patterns = Patterns::default();
    let mut parsing = Parsing::new(Stage::Configuration, &NoFiles, &NoAcls, &mut patterns);
    let value = if is_format {
        let format = LogFormat::parse(call.word(first), Purpose::Variable, &mut parsing)
            .map_err(|error| error.message)?;
        let mut text = Vec::new();
        format.render(&view, &mut text);
        Some(Sample::str(text).into_shared())
    } else {
        let words: Vec<&str> = (first..)
            .map(|at| call.word(at))
            .take_while(|word| !word.is_empty())
            .collect();
        let mut position = 0;
        let expression = Expression::parse(&words, &mut position, &mut parsing)
            .map_err(|error| error.message)?;
        expression.eval(&view).map(Sample::into_shared)
    };
    match value {
        Some(value) => {
            variables.write(&name, value);
            Ok(())
        }
        None => Err("Failed to evaluate the expression.".to_owned()),
    }
}

fn printable(value: &Sample<'_>) -> String {
    match value {
        Sample::Bin(data) => data.iter().map(|byte| format!("{byte:02x}")).collect(),
        other => crate::log::printable(&String::from_utf8_lossy(&other.to_text())),
    }
}
