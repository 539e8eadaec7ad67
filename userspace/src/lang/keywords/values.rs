//! Words of `global` that give names and numbers a value: process variables, sets of statuses (manual §3.1).

use super::args::{Args, Complaint, Parsed};
use super::expressions::{Rules, variable};
use super::registry::{Effect, Keyword, Sections};
use crate::expr::{Purpose, Scope, Stage, VariableName};
use crate::lang::ast::Word;
use crate::model::{ProcessValue, StatusSet};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "set-var",
        sections: Sections::GLOBAL,
        args: "<var-name> <expr>",
        doc: "Gives a variable of the process its first value.",
        effect: Effect::Global(|args, context| {
            let name = process_variable(args)?;
            let value = Rules::without_acls(context, Stage::Configuration).expression(args)?;
            args.end()?;
            context
                .global
                .variables
                .push((name, ProcessValue::Sample(value)));
            Ok(())
        }),
    },
    Keyword {
        name: "set-var-fmt",
        sections: Sections::GLOBAL,
        args: "<var-name> <fmt>",
        doc: "Gives a variable of the process a text as its first value.",
        effect: Effect::Global(|args, context| {
            let name = process_variable(args)?;
            let word = args.only("a log-format string")?;
            let value = Rules::without_acls(context, Stage::Configuration)
                .log_format_for(word, Purpose::Variable)?;
            context
                .global
                .variables
                .push((name, ProcessValue::Format(value)));
            Ok(())
        }),
    },
    Keyword {
        name: "http-err-codes",
        sections: Sections::GLOBAL,
        args: "[+-]<range>[,...] [...]",
        doc: "Says which statuses count as errors of clients.",
        effect: Effect::Global(|args, context| statuses(args, &mut context.global.statuses.errors)),
    },
    Keyword {
        name: "http-fail-codes",
        sections: Sections::GLOBAL,
        args: "[+-]<range>[,...] [...]",
        doc: "Says which statuses count as failures of servers.",
        effect: Effect::Global(|args, context| {
            statuses(args, &mut context.global.statuses.failures)
        }),
    },
];

fn process_variable(args: &mut Args<'_>) -> Parsed<VariableName> {
    let word = args.need("a variable's name and a value")?;
    let name = variable(&word.text, word, 0)?;
    if name.scope() != Scope::Process {
        return Err(
            Complaint::new(word.span, "only variables of the process can be set here")
                .hint(format!("name it 'proc.{}'", name.name())),
        );
    }
    Ok(name)
}

/// Replaces, extends or reduces a set, word by word.
fn statuses(args: &mut Args<'_>, set: &mut StatusSet) -> Parsed {
    let first = args.need("one or more ranges of status codes")?;
    change(first, set)?;
    while args.peek().is_some() {
        change(args.need("a range")?, set)?;
    }
    args.end()
}

fn change(word: &Word, set: &mut StatusSet) -> Parsed {
    let (ranges, apply): (&str, fn(&mut StatusSet, u16)) = match word.text.split_at_checked(1) {
        Some(("+", rest)) => (rest, StatusSet::insert),
        Some(("-", rest)) => (rest, StatusSet::remove),
        _ => {
            *set = StatusSet::default();
            (&word.text, StatusSet::insert)
        }
    };
    for range in ranges.split(',') {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let bound = |text: &str| text.parse().ok().filter(|n| StatusSet::RANGE.contains(n));
        match (bound(low), bound(high)) {
            (Some(low), Some(high)) if low <= high => {
                (low..=high).for_each(|status| apply(set, status));
            }
            _ => {
                return Err(Complaint::new(
                    word.span,
                    format!("invalid range '{range}': expects status codes from 100 to 599"),
                ));
            }
        }
    }
    Ok(())
}
