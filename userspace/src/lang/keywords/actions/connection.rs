//! Actions on the connections of a session: marks, TOS bytes, retries, niceness.

use super::common::amount;
use super::{Action, Built, RuleParts, RuleSets, action};
use crate::expr::Expression;
use crate::lang::ast::Word;
use crate::lang::keywords::args::{Complaint, Parsed, number};
use crate::model::CommonAction;

/// Rule sets that see contents: all but connection and session rules.
const CONTENTS: RuleSets = RuleSets::CONTENT
    .or(RuleSets::TCP_RESPONSE)
    .or(RuleSets::HTTP);
/// `tcp-request content` and `http-request`.
const QUEUED: RuleSets = RuleSets::CONTENT.or(RuleSets::REQUEST);
/// All but `http-after-response`.
const SOCKETS: RuleSets = RuleSets::TCP.or(RuleSets::MESSAGES);

pub(super) const ACTIONS: &[Action] = &[
    action(
        "set-mark",
        SOCKETS,
        "{ <mark> | <expr> }",
        "Marks the packets to the client.",
        mark,
    ),
    action(
        "set-fc-mark",
        SOCKETS,
        "{ <mark> | <expr> }",
        "Marks the packets to the client.",
        mark,
    ),
    action(
        "set-tos",
        SOCKETS,
        "{ <tos> | <expr> }",
        "Sets the TOS byte of packets to the client.",
        tos,
    ),
    action(
        "set-fc-tos",
        SOCKETS,
        "{ <tos> | <expr> }",
        "Sets the TOS byte of packets to the client.",
        tos,
    ),
    action(
        "set-bc-mark",
        QUEUED,
        "{ <mark> | <expr> }",
        "Marks the packets to the server.",
        |rule| {
            number_or_sample(rule)
                .map(CommonAction::SetBackMark)
                .map(Built::Common)
        },
    ),
    action(
        "set-bc-tos",
        QUEUED,
        "{ <tos> | <expr> }",
        "Sets the TOS byte of packets to the server.",
        |rule| {
            number_or_sample(rule)
                .map(CommonAction::SetBackTos)
                .map(Built::Common)
        },
    ),
    action(
        "set-nice",
        CONTENTS,
        "<nice>",
        "Accepted without effect: sessions take turns, whatever their niceness.",
        |rule| {
            let word = rule.args.need("a number from -1024 to 1024")?;
            match word.text.parse() {
                Ok(-1024..=1024_i32) => {}
                _ => {
                    return Err(Complaint::new(
                        word.span,
                        "expects a number from -1024 to 1024",
                    ));
                }
            }
            rule.context
                .ignore(rule.word, "sessions take turns, whatever their niceness");
            Ok(Built::Common(CommonAction::Nothing))
        },
    ),
    action(
        "set-retries",
        QUEUED,
        "{ <number> | <expr> }",
        "Sets how often a connection is tried again.",
        |rule| {
            let digits = rule
                .args
                .peek()
                .filter(|word| word.text.starts_with(|c: char| c.is_ascii_digit()));
            if let Some(word) = digits {
                number::<u32>(word, 0..=100)?;
            }
            amount(rule)
                .map(CommonAction::SetRetries)
                .map(Built::Common)
        },
    ),
];

fn mark(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Built> {
    if !is_number(rule) {
        return rule
            .expression()
            .map(CommonAction::SetMarkTo)
            .map(Built::Common);
    }
    let word = rule.args.need("exactly 1 argument (integer/hex value)")?;
    integer(word).map(CommonAction::SetMark).map(Built::Common)
}

fn tos(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Built> {
    if !is_number(rule) {
        return rule
            .expression()
            .map(CommonAction::SetTosTo)
            .map(Built::Common);
    }
    let word = rule.args.need("exactly 1 argument (integer/hex value)")?;
    match u8::try_from(integer(word)?) {
        Ok(tos) => Ok(Built::Common(CommonAction::SetTos(tos))),
        Err(_) => Err(Complaint::new(word.span, "expects a value from 0 to 255")),
    }
}

/// A mark or TOS byte, written or sampled.
fn number_or_sample(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<Expression> {
    if !is_number(rule) {
        return rule.expression();
    }
    let word = rule.args.need("an integer or hexadecimal value")?;
    rule.integer(integer(word)?.into(), word.span)
}

/// Whether the next word is one, or is missing: what begins like a number is meant to be one.
fn is_number(rule: &RuleParts<'_, '_, '_>) -> bool {
    let word = rule.args.peek();
    word.is_none_or(|word| word.text.starts_with(|c: char| c.is_ascii_digit()))
}

/// Decimal, or hexadecimal after `0x`.
pub(in crate::lang::keywords) fn integer(word: &Word) -> Parsed<u32> {
    let number = match word.text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => word.text.parse(),
    };
    number.map_err(|_| {
        Complaint::new(
            word.span,
            format!("invalid value '{}' (integer/hex value expected)", word.text),
        )
    })
}
