//! Actions that TCP and HTTP rule sets share: counters, variables, addresses, log level.

use std::sync::Arc;

use super::{Action, Built, RuleParts, RuleSets, action, refused};
use crate::expr::Expression;
use crate::lang::ast::Word;
use crate::lang::keywords::args::{Complaint, Parsed, number};
use crate::lang::keywords::bandwidth;
use crate::lang::keywords::expressions::variable;
use crate::lang::keywords::logging::{profile, severity};
use crate::model::{
    CommonAction, GeneralCounter, LogStep, NameResolution, TrackSlot, VariableCondition,
};

/// Rule sets that see contents: all but connection and session rules.
const CONTENTS: RuleSets = RuleSets::CONTENT
    .or(RuleSets::TCP_RESPONSE)
    .or(RuleSets::HTTP);
/// `tcp-request` and `http-request`.
const REQUESTS: RuleSets = RuleSets::TCP_REQUEST.or(RuleSets::REQUEST);
/// `tcp-request content` and `http-request`.
const QUEUED: RuleSets = RuleSets::CONTENT.or(RuleSets::REQUEST);
/// All but `http-after-response`.
const SOCKETS: RuleSets = RuleSets::TCP.or(RuleSets::MESSAGES);
/// Rule sets of one stream that is about to be relayed.
const STREAMS: RuleSets = RuleSets::CONTENT
    .or(RuleSets::TCP_RESPONSE)
    .or(RuleSets::MESSAGES);
const TRACKS: RuleSets = RuleSets::TCP_REQUEST.or(RuleSets::MESSAGES);

pub(super) const ACTIONS: &[Action] = &[
    action(
        "track-sc0",
        TRACKS,
        "<key> [table <table>]",
        "Tracks the key's entry in counter 0.",
        |rule| track(rule, 0),
    ),
    action(
        "track-sc1",
        TRACKS,
        "<key> [table <table>]",
        "Tracks the key's entry in counter 1.",
        |rule| track(rule, 1),
    ),
    action(
        "track-sc2",
        TRACKS,
        "<key> [table <table>]",
        "Tracks the key's entry in counter 2.",
        |rule| track(rule, 2),
    ),
    action(
        "sc-inc-gpc",
        RuleSets::ALL,
        "(<idx>,<sc-id>)",
        "Counts in a general purpose counter.",
        |rule| {
            let (counter, slot) = indexed(rule)?;
            let counter = GeneralCounter::Indexed(counter);
            Ok(Built::Common(CommonAction::IncrementCounter {
                slot,
                counter,
            }))
        },
    ),
    action(
        "sc-inc-gpc0",
        RuleSets::ALL,
        "(<sc-id>)",
        "Counts in the first general purpose counter.",
        |rule| {
            let (slot, counter) = (slot(rule)?, GeneralCounter::Gpc0);
            Ok(Built::Common(CommonAction::IncrementCounter {
                slot,
                counter,
            }))
        },
    ),
    action(
        "sc-inc-gpc1",
        RuleSets::ALL,
        "(<sc-id>)",
        "Counts in the second general purpose counter.",
        |rule| {
            let (slot, counter) = (slot(rule)?, GeneralCounter::Gpc1);
            Ok(Built::Common(CommonAction::IncrementCounter {
                slot,
                counter,
            }))
        },
    ),
    action(
        "sc-add-gpc",
        RuleSets::ALL,
        "(<idx>,<sc-id>) { <int> | <expr> }",
        "Adds to a counter.",
        |rule| {
            let (counter, slot) = indexed(rule)?;
            let amount = amount(rule)?;
            Ok(Built::Common(CommonAction::AddCounter {
                slot,
                counter: GeneralCounter::Indexed(counter),
                amount,
            }))
        },
    ),
    action(
        "sc-set-gpt",
        RuleSets::ALL,
        "(<idx>,<sc-id>) { <int> | <expr> }",
        "Sets a general purpose tag.",
        |rule| {
            let (tag, slot) = indexed(rule)?;
            let value = amount(rule)?;
            Ok(Built::Common(CommonAction::SetTag {
                slot,
                tag: Some(tag),
                value,
            }))
        },
    ),
    action(
        "sc-set-gpt0",
        RuleSets::ALL,
        "(<sc-id>) { <int> | <expr> }",
        "Sets the first tag.",
        |rule| {
            let slot = slot(rule)?;
            let value = amount(rule)?;
            Ok(Built::Common(CommonAction::SetTag {
                slot,
                tag: None,
                value,
            }))
        },
    ),
    action(
        "set-var",
        RuleSets::ALL,
        "(<var-name>[,<cond>...]) <expr>",
        "Sets a variable to a sample.",
        |rule| {
            let (name, conditions) = target(rule)?;
            let value = rule.expression()?;
            Ok(Built::Common(CommonAction::SetVariable {
                name,
                value,
                conditions,
            }))
        },
    ),
    action(
        "set-var-fmt",
        RuleSets::ALL,
        "(<var-name>[,<cond>...]) <fmt>",
        "Sets a variable to a text.",
        |rule| {
            let (name, conditions) = target(rule)?;
            let value = rule.variable_format()?;
            Ok(Built::Common(CommonAction::SetVariableFormat {
                name,
                value,
                conditions,
            }))
        },
    ),
    action(
        "unset-var",
        RuleSets::ALL,
        "(<var-name>)",
        "Forgets a variable.",
        |rule| {
            let name = variable(rule.inside()?, rule.word, rule.inside_offset())?;
            Ok(Built::Common(CommonAction::UnsetVariable(name)))
        },
    ),
    action(
        "set-src",
        REQUESTS,
        "<expr>",
        "Replaces the client's address.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetSource)
                .map(Built::Common)
        },
    ),
    action(
        "set-src-port",
        REQUESTS,
        "<expr>",
        "Replaces the client's port.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetSourcePort)
                .map(Built::Common)
        },
    ),
    action(
        "set-dst",
        REQUESTS,
        "<expr>",
        "Replaces the address the client came to.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetDestination)
                .map(Built::Common)
        },
    ),
    action(
        "set-dst-port",
        REQUESTS,
        "<expr>",
        "Replaces the port the client came to.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetDestinationPort)
                .map(Built::Common)
        },
    ),
    action(
        "set-log-level",
        CONTENTS,
        "<level>",
        "Sets the level of the log line.",
        |rule| {
            let word = rule.args.need("a log level name or 'silent'")?;
            let level = if word.text == "silent" {
                None
            } else {
                Some(severity(word)?)
            };
            Ok(Built::Common(CommonAction::SetLogLevel(level)))
        },
    ),
    action(
        "set-priority-class",
        QUEUED,
        "<expr>",
        "Sets the class in the queues.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetPriorityClass)
                .map(Built::Common)
        },
    ),
    action(
        "set-priority-offset",
        QUEUED,
        "<expr>",
        "Sets the place within the class.",
        |rule| {
            rule.expression()
                .map(CommonAction::SetPriorityOffset)
                .map(Built::Common)
        },
    ),
    action(
        "do-log",
        RuleSets::ALL,
        "[profile <log_profile>]",
        "Logs a line now.",
        |rule| {
            let profile = if rule.args.take_if("profile") {
                let word = rule.args.need("a log profile's name")?;
                Some(profile(word, rule.context)?)
            } else {
                None
            };
            let step = match rule.set {
                RuleSets::CONNECTION => LogStep::TcpRequestConnection,
                RuleSets::SESSION => LogStep::TcpRequestSession,
                RuleSets::CONTENT => LogStep::TcpRequestContent,
                RuleSets::TCP_RESPONSE => LogStep::TcpResponseContent,
                RuleSets::RESPONSE => LogStep::HttpResponse,
                RuleSets::AFTER_RESPONSE => LogStep::HttpAfterResponse,
                _ => LogStep::HttpRequest,
            };
            Ok(Built::Common(CommonAction::DoLog { step, profile }))
        },
    ),
    action(
        "do-resolve",
        QUEUED,
        "(<var>,<resolvers>[,ipv4|ipv6]) <expr>",
        "Asks name servers for an address and puts it into a variable.",
        resolution,
    ),
    action(
        "set-bandwidth-limit",
        STREAMS,
        "<name> [limit {<expr>|<size>}] [period {<expr>|<time>}]",
        "Switches a bandwidth limitation on.",
        |rule| bandwidth::set_limit(rule).map(Built::Common),
    ),
    refused(
        "send-spoe-group",
        SOCKETS,
        "<engine> <group>",
        "there are no SPOE engines",
    ),
];

fn track(rule: &mut RuleParts<'_, '_, '_>, slot: u8) -> Parsed<Built> {
    let key = rule.expression()?;
    let (name, word) = if rule.args.take_if("table") {
        let word = rule.args.need("a table name")?;
        (word.text.clone(), Some(word))
    } else {
        (rule.draft.proxy.name.clone(), None)
    };
    let table = match (rule.context.names.table(&name), word) {
        (Some(table), _) => table,
        // The proxies that inherit the rule have tables of their own; which one is known when each is read.
        (None, None) if rule.draft.is_defaults() => crate::types::TableId(0),
        (None, Some(word)) => {
            let known: Vec<_> = rule.context.names.table_names().collect();
            return Err(Complaint::unknown(word, "stick-table", known));
        }
        (None, None) => {
            let message = format!("no stick-table is declared in '{name}'");
            return Err(rule
                .args
                .wrong(message)
                .hint("declare one with 'stick-table', or name another with 'table'"));
        }
    };
    Ok(Built::Common(CommonAction::Track {
        slot: TrackSlot(slot),
        key,
        table,
    }))
}

/// `(<idx>,<sc-id>)`
fn indexed(rule: &RuleParts<'_, '_, '_>) -> Parsed<(u32, TrackSlot)> {
    let inside = rule.inside()?;
    let wrong = |message: &str| Complaint::new(rule.word.span, message);
    let (index, slot) = inside
        .split_once(',')
        .ok_or_else(|| wrong("expects two numbers between parentheses"))?;
    match index.parse::<u32>() {
        Ok(index) if index < 100 => Ok((index, slot_of(slot, rule.word)?)),
        _ => Err(wrong("expects an index from 0 to 99")),
    }
}

fn slot(rule: &RuleParts<'_, '_, '_>) -> Parsed<TrackSlot> {
    slot_of(rule.inside()?, rule.word)
}

fn slot_of(text: &str, word: &Word) -> Parsed<TrackSlot> {
    match text.parse::<u8>() {
        Ok(slot) if slot < 3 => Ok(TrackSlot(slot)),
        _ => Err(Complaint::new(
            word.span,
            format!("expects a counter number from 0 to 2 (got '{text}')"),
        )),
    }
}

/// An integer or an expression; an integer is an expression too.
pub(super) fn amount(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Expression> {
    let Some(word) = rule
        .args
        .peek()
        .filter(|word| word.text.starts_with(|c: char| c.is_ascii_digit()))
    else {
        return rule.expression();
    };
    rule.args.skip(1);
    rule.integer(number::<u32>(word, 0..=u32::MAX)?.into(), word.span)
}

/// `(<var-name>[,<cond>...])`
fn target(
    rule: &RuleParts<'_, '_, '_>,
) -> Parsed<(crate::expr::VariableName, Vec<VariableCondition>)> {
    let mut parts = rule.inside()?.split(',');
    let name = variable(
        parts.next().unwrap_or_default(),
        rule.word,
        rule.inside_offset(),
    )?;
    let condition = |text: &str| {
        let known = CONDITIONS.iter().find(|(name, _)| *name == text);
        known.map(|(_, condition)| *condition).ok_or_else(|| {
            let names: Vec<_> = CONDITIONS.iter().map(|(name, _)| *name).collect();
            Complaint::new(rule.word.span, format!("unknown condition '{text}'"))
                .hint(format!("conditions are {}", names.join(", ")))
        })
    };
    Ok((name, parts.map(condition).collect::<Parsed<_>>()?))
}

/// `do-resolve`: a variable, a `resolvers` section, the family asked for first.
fn resolution(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Built> {
    let mut parts = rule.inside()?.split(',');
    let variable = variable(
        parts.next().unwrap_or_default(),
        rule.word,
        rule.inside_offset(),
    )?;
    let wrong = |message: String| Complaint::new(rule.word.span, message);
    let section = parts.next().unwrap_or_default();
    let known = rule.context.resolvers.iter();
    let resolvers = known.clone().find(|known| known.name == section);
    let Some(resolvers) = resolvers.cloned() else {
        let names: Vec<_> = known.map(|known| known.name.as_str()).collect();
        return Err(wrong(format!("unknown resolvers section '{section}'"))
            .hint(format!("sections are {}", names.join(", "))));
    };
    let prefer_v6 = match (parts.next(), parts.next()) {
        (None | Some("ipv6"), None) => true,
        (Some("ipv4"), None) => false,
        _ => return Err(wrong("expects 'ipv4' or 'ipv6' at the end".to_owned())),
    };
    let name = rule.expression()?;
    Ok(Built::Common(CommonAction::Resolve(Arc::new(
        NameResolution {
            variable,
            resolvers,
            prefer_v6,
            name,
        },
    ))))
}

const CONDITIONS: &[(&str, VariableCondition)] = &[
    ("ifexists", VariableCondition::Exists),
    ("ifnotexists", VariableCondition::NotExists),
    ("ifempty", VariableCondition::Empty),
    ("ifnotempty", VariableCondition::NotEmpty),
    ("ifset", VariableCondition::Set),
    ("ifnotset", VariableCondition::NotSet),
    ("ifgt", VariableCondition::Greater),
    ("iflt", VariableCondition::Less),
];
