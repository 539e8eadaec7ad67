//! `filter bwlim-in|bwlim-out` and `set-bandwidth-limit` (manual §9.7, §4.4).
//!
//! A rule may name a filter of a later line, so names are looked up once the section is read.

use super::actions::RuleParts;
use super::args::{Args, Complaint, Parsed, Unit, size, time};
use super::context::Context;
use super::draft::{BandwidthUse, ProxyDraft};
use super::expressions::Rules;
use crate::expr::{Expression, Stage, StickData};
use crate::lang::ast::Word;
use crate::model::{BandwidthDirection, BandwidthFilter, BandwidthShare, CommonAction, Table};

/// What follows `filter bwlim-in` or `bwlim-out`.
pub(super) fn filter(
    direction: BandwidthDirection,
    args: &mut Args<'_>,
    draft: &mut ProxyDraft,
    context: &mut Context<'_>,
) -> Parsed {
    if draft.is_defaults() {
        return Err(args.wrong("bandwidth limitation cannot be defined in a 'defaults' section"));
    }
    let name = args.need("a name")?;
    let filters = &draft.proxy.bandwidth_filters;
    if filters.iter().any(|filter| filter.name == name.text) {
        let message = format!("bandwidth limitation '{}' exists already", name.text);
        return Err(Complaint::new(name.span, message));
    }
    let (mut limit, mut default_limit, mut period) = (None, None, None);
    let (mut key, mut table, mut min_size) = (None, None, 0);
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "limit" => limit = Some(bytes(args)?),
            "default-limit" => default_limit = Some(bytes(args)?),
            "default-period" => {
                let given = args.time(Unit::Milliseconds)?;
                if given.0 == 0 {
                    return Err(Complaint::new(word.span, "the period must not be 0"));
                }
                period = Some(given);
            }
            "key" => {
                let stage = match direction {
                    BandwidthDirection::Upload => Stage::Request,
                    BandwidthDirection::Download => Stage::Response,
                };
                key = Some(Rules::without_acls(context, stage).expression(args)?);
            }
            "table" => table = Some(args.need("a table name")?),
            "min-size" => {
                min_size = number_of(size(args.need("a size")?, u64::from(u32::MAX))?);
            }
            _ => {
                let known = [
                    "limit",
                    "default-limit",
                    "default-period",
                    "key",
                    "table",
                    "min-size",
                ];
                return Err(Complaint::unknown(word, "setting", known));
            }
        }
    }
    let (limit, share) = match (limit, key, default_limit, period) {
        (Some(limit), Some(key), None, None) => {
            let table = table_of(table, args, draft, context)?;
            (limit, BandwidthShare::Key { key, table })
        }
        (None, None, Some(limit), Some(period)) if table.is_none() => {
            (limit, BandwidthShare::Stream { period })
        }
        _ => {
            return Err(args.wrong(
                "expects either 'default-limit' and 'default-period', or 'limit' and 'key'",
            ));
        }
    };
    draft.proxy.bandwidth_filters.push(BandwidthFilter {
        name: name.text.clone(),
        direction,
        limit,
        share,
        min_size,
    });
    Ok(())
}

fn table_of(
    word: Option<&Word>,
    args: &Args<'_>,
    draft: &ProxyDraft,
    context: &Context<'_>,
) -> Parsed<crate::types::TableId> {
    let name = word.map_or(&draft.proxy.name, |word| &word.text);
    context.names.table(name).ok_or_else(|| match word {
        Some(word) => Complaint::unknown(word, "stick-table", context.names.table_names()),
        None => args.wrong(format!("no stick-table is declared in '{name}'")),
    })
}

fn bytes(args: &mut Args<'_>) -> Parsed<u32> {
    let word = args.need("a size")?;
    match size(word, u64::from(u32::MAX))? {
        0 => Err(Complaint::new(word.span, "the limit must not be 0")),
        bytes => Ok(number_of(bytes)),
    }
}

/// A size that was read with its bound.
fn number_of(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// `set-bandwidth-limit <name> [limit {<expr> | <size>}] [period {<expr> | <time>}]`
pub(super) fn set_limit(rule: &mut RuleParts<'_, '_, '_>) -> Parsed<CommonAction> {
    let name = rule.args.need("the name of a bandwidth limitation")?;
    if rule.draft.is_defaults() {
        let message = "cannot be used in a 'defaults' section";
        return Err(Complaint::new(name.span, message));
    }
    let (mut limit, mut period) = (None, None);
    loop {
        if rule.args.take_if("limit") {
            limit = Some(number_or_sample(rule, |word| {
                size(word, u64::from(u32::MAX))
            })?);
        } else if rule.args.take_if("period") {
            let milliseconds = |word: &Word| time(word, Unit::Milliseconds).map(|time| time.0);
            period = Some(number_or_sample(rule, milliseconds)?);
        } else {
            break;
        }
    }
    rule.draft.bandwidth_uses.push(BandwidthUse {
        name: name.clone(),
        is_changed: limit.is_some() || period.is_some(),
    });
    Ok(CommonAction::LimitBandwidth {
        proxy: rule.draft.proxy.id,
        filter: name.text.clone(),
        limit,
        period,
    })
}

fn number_or_sample(
    rule: &mut RuleParts<'_, '_, '_>,
    number: impl FnOnce(&Word) -> Parsed<u64>,
) -> Parsed<Expression> {
    let is_digit = |word: &&Word| word.text.starts_with(|c: char| c.is_ascii_digit());
    let Some(word) = rule.args.peek().filter(is_digit) else {
        return rule.expression();
    };
    rule.args.skip(1);
    let number = i64::try_from(number(word)?).unwrap_or(i64::MAX);
    rule.integer(number, word.span)
}

/// Whether every filter that a section's rules name is there, and may be changed as they say.
pub(in crate::lang) fn check_uses(
    draft: &ProxyDraft,
    drafts: &[ProxyDraft],
    context: &mut Context<'_>,
) {
    for filter in &draft.proxy.bandwidth_filters {
        let BandwidthShare::Key { table, .. } = &filter.share else {
            continue;
        };
        let mut tables = drafts.iter().filter_map(|draft| draft.table.as_ref());
        let needed = match filter.direction {
            BandwidthDirection::Upload => "bytes_in_rate",
            BandwidthDirection::Download => "bytes_out_rate",
        };
        let stores = |table: &Table| {
            table.data.iter().any(|data| match filter.direction {
                BandwidthDirection::Upload => matches!(data, StickData::BytesInRate(_)),
                BandwidthDirection::Download => matches!(data, StickData::BytesOutRate(_)),
            })
        };
        if let Some(table) = tables.find(|known| known.id == *table)
            && !stores(table)
        {
            let message = format!(
                "bandwidth limitation '{}' needs '{needed}' to be stored by the stick-table '{}'",
                filter.name, table.name
            );
            context.alert(draft.place_of("filter"), message);
        }
    }
    for used in &draft.bandwidth_uses {
        let filters = &draft.proxy.bandwidth_filters;
        let named = filters.iter().find(|filter| filter.name == used.name.text);
        match named.map(|filter| &filter.share) {
            None => {
                let names = filters.iter().map(|filter| filter.name.as_str());
                let complaint = Complaint::unknown(&used.name, "bandwidth limitation", names);
                context
                    .diagnostics
                    .push(complaint.into_diagnostic(used.name.span));
            }
            Some(BandwidthShare::Key { .. }) if used.is_changed => context.alert(
                used.name.span,
                "'limit' and 'period' can be set for limitations of streams only",
            ),
            Some(_) => {}
        }
    }
}
