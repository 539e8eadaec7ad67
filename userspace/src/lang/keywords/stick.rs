//! `stick-table` and `stick …` (manual §4.2, §11.1).

use super::args::{Args, Complaint, Parsed, Unit, number, size, time_of};
use super::context::Context;
use super::draft::ProxyDraft;
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::{Stage, StickData};
use crate::lang::ast::Word;
use crate::model::{StickRule, Table, TableKeyType};
use crate::types::{Millis, ProxyId, TableId};

const fn rule(name: &'static str, doc: &'static str, effect: Effect) -> Keyword {
    let sections = Sections::LISTEN.or(Sections::BACKEND);
    Keyword {
        name,
        sections,
        args: "<pattern> [table <table>] [{ if | unless } <condition>]",
        doc,
        effect,
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "stick-table",
        sections: Sections::PROXY_ONLY,
        args: "type <type> size <size> [expire <expire>] [nopurge] [store <data_type>]*",
        doc: "Declares the proxy's stick table.",
        effect: Effect::Proxy(|args, draft, context| {
            if draft.table.is_some() {
                return Err(args.wrong("this proxy has a stick-table already"));
            }
            let (name, proxy) = (draft.proxy.name.clone(), Some(draft.proxy.id));
            draft.table = Some(table(args, &name, proxy, context)?);
            Ok(())
        }),
    },
    rule(
        "stick on",
        "Keeps clients at their server with a table.",
        Effect::Proxy(|args, draft, context| {
            let rule = StickRule {
                matches: true,
                stores: true,
                ..stick(args, draft, context, Stage::Request)?
            };
            draft.proxy.stick_rules.push(rule);
            Ok(())
        }),
    ),
    rule(
        "stick match",
        "Looks the server up in a table.",
        Effect::Proxy(|args, draft, context| {
            let rule = StickRule {
                matches: true,
                ..stick(args, draft, context, Stage::Request)?
            };
            draft.proxy.stick_rules.push(rule);
            Ok(())
        }),
    ),
    rule(
        "stick store-request",
        "Stores the server before the request is sent.",
        Effect::Proxy(|args, draft, context| {
            let rule = StickRule {
                stores: true,
                ..stick(args, draft, context, Stage::Request)?
            };
            draft.proxy.stick_rules.push(rule);
            Ok(())
        }),
    ),
    rule(
        "stick store-response",
        "Stores the server when the response comes.",
        Effect::Proxy(|args, draft, context| {
            let rule = StickRule {
                stores_response: true,
                ..stick(args, draft, context, Stage::Response)?
            };
            draft.proxy.stick_rules.push(rule);
            Ok(())
        }),
    ),
];

fn stick(
    args: &mut Args<'_>,
    draft: &ProxyDraft,
    context: &mut Context<'_>,
    stage: Stage,
) -> Parsed<StickRule> {
    let key = Rules::new(context, &draft.acls, stage).expression(args)?;
    let table = if args.take_if("table") {
        let word = args.need("a table name")?;
        let known: Vec<_> = context.names.table_names().collect();
        context
            .names
            .table(&word.text)
            .ok_or_else(|| Complaint::unknown(word, "stick-table", known))?
    } else {
        let missing = || {
            args.wrong(format!(
                "no stick-table is declared in '{}'",
                draft.proxy.name
            ))
            .hint("declare one with 'stick-table', or name another with 'table'")
        };
        context.names.table(&draft.proxy.name).ok_or_else(missing)?
    };
    let condition = Rules::new(context, &draft.acls, stage).condition(args)?;
    Ok(StickRule {
        key,
        table,
        matches: false,
        stores: false,
        stores_response: false,
        condition,
    })
}

/// A table after its name: `type`, `size` and the rest.
pub(super) fn table(
    args: &mut Args<'_>,
    name: &str,
    proxy: Option<ProxyId>,
    context: &Context<'_>,
) -> Parsed<Table> {
    let mut key = None;
    let mut entries = None;
    let mut expire = None;
    let mut nopurge = false;
    let mut data: Vec<StickData> = Vec::new();
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "type" => key = Some(key_type(args)?),
            "size" => {
                let word = args.need("a size")?;
                match size(word, u64::from(u32::MAX))? {
                    0 => return Err(Complaint::new(word.span, "expects a size of at least 1")),
                    number => entries = u32::try_from(number).ok(),
                }
            }
            "expire" => expire = args.optional_time(Unit::Milliseconds)?,
            "nopurge" => nopurge = true,
            "store" => stored(args.need("a data type")?, &mut data)?,
            "peers" => {
                let peers = args.need("a peers section")?;
                if !context.names.peers.contains(&peers.text) {
                    let known = context.names.peers.iter().map(String::as_str);
                    return Err(Complaint::unknown(peers, "peers section", known));
                }
            }
            "srvkey" => {
                let key = args.need("'name' or 'addr'")?;
                if key.text != "name" {
                    return Err(Complaint::new(key.span, "servers are known by name only"));
                }
            }
            "recv-only" | "write-to" | "brates-factor" => {
                return Err(Complaint::new(
                    word.span,
                    format!("'{}' is not supported", word.text),
                ));
            }
            _ => {
                let known = PARAMETERS.iter().copied();
                return Err(Complaint::unknown(word, "argument", known));
            }
        }
    }
    Ok(Table {
        id: context.names.table(name).unwrap_or(TableId(0)),
        name: name.to_owned(),
        proxy,
        key: key.ok_or_else(|| args.missing("'type' and a key type"))?,
        size: entries.ok_or_else(|| args.missing("'size' and a number of entries"))?,
        expire,
        nopurge,
        data,
    })
}

fn key_type(args: &mut Args<'_>) -> Parsed<TableKeyType> {
    let word = args.need("a key type")?;
    let length = |args: &mut Args<'_>| {
        if args.take_if("len") {
            number(args.need("a length")?, 1..=16_384)
        } else {
            Ok(32)
        }
    };
    Ok(match word.text.as_str() {
        "ip" | "ipv4" => TableKeyType::Ip,
        "ipv6" => TableKeyType::Ipv6,
        "integer" => TableKeyType::Integer,
        "string" => TableKeyType::String(length(args)?),
        "binary" => TableKeyType::Binary(length(args)?),
        _ => {
            let known = ["ip", "ipv4", "ipv6", "integer", "string", "binary"];
            return Err(Complaint::unknown(word, "type", known));
        }
    })
}

fn period(text: &str) -> Result<Millis, String> {
    time_of(text, Unit::Milliseconds).map_err(|error| error.message)
}

/// A comma-separated list of data types; commas within parentheses belong to the type.
fn stored(word: &Word, data: &mut Vec<StickData>) -> Parsed {
    let mut start = 0;
    let mut depth = 0usize;
    let ends = word.text.char_indices().chain([(word.text.len(), ',')]);
    for (at, character) in ends.collect::<Vec<_>>() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 || at == word.text.len() => {
                let parsed = StickData::parse(&word.text[start..at], &period).map_err(|error| {
                    let complaint = Complaint::new(word.at(start + error.offset), error.message);
                    match error.hint {
                        Some(hint) => complaint.hint(hint),
                        None => complaint,
                    }
                })?;
                data.push(parsed);
                start = at + 1;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The parameters of `stick-table` that work.
pub(super) const PARAMETERS: &[&str] = &[
    "type", "size", "expire", "nopurge", "store", "peers", "srvkey",
];
