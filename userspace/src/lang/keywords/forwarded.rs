//! `option forwarded`: what a backend's servers are told of the client in one field (manual §4.2, RFC 7239).

use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::draft::ProxyDraft;
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::Stage;
use crate::model::{Forwarded, ForwardedValue};

pub(super) const KEYWORDS: &[Keyword] = &[Keyword {
    name: "option forwarded",
    sections: Sections::BACK,
    args: "[proto] [host | host-expr <expr>] [by | by-expr <expr>] [by_port | by_port-expr <expr>] \
           [for | for-expr <expr>] [for_port | for_port-expr <expr>]",
    doc: "Tells servers of the client in a Forwarded header.",
    effect: Effect::Switch(
        |args, draft, context| {
            draft.proxy.forwarded = Some(forwarded(args, draft, context)?);
            Ok(())
        },
        |draft| draft.proxy.forwarded = None,
    ),
}];

fn forwarded(
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed<Forwarded> {
    let mut forwarded = Forwarded::default();
    if args.peek().is_none() {
        forwarded.proto = true;
        forwarded.client = Some(ForwardedValue::Own);
        return Ok(forwarded);
    }
    while let Some(word) = args.take() {
        let (name, is_expression) = match word.text.strip_suffix("-expr") {
            Some(name) => (name, true),
            None => (word.text.as_str(), false),
        };
        let place = match name {
            "proto" if !is_expression => {
                forwarded.proto = true;
                continue;
            }
            "host" => &mut forwarded.host,
            "by" => &mut forwarded.by,
            "by_port" => &mut forwarded.by_port,
            "for" => &mut forwarded.client,
            "for_port" => &mut forwarded.client_port,
            _ => return Err(Complaint::unknown(word, "argument", ARGUMENTS)),
        };
        *place = Some(if is_expression {
            let mut rules = Rules::new(context, &draft.acls, Stage::Request);
            ForwardedValue::Expression(rules.expression(args)?)
        } else {
            ForwardedValue::Own
        });
    }
    Ok(forwarded)
}

const ARGUMENTS: [&str; 11] = [
    "proto",
    "host",
    "host-expr",
    "by",
    "by-expr",
    "by_port",
    "by_port-expr",
    "for",
    "for-expr",
    "for_port",
    "for_port-expr",
];
