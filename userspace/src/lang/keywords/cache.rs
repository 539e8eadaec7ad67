//! The `cache` section (manual §6.2.1).

use super::args::{Args, Complaint, Parsed, Unit};
use super::registry::{Effect, Keyword, Sections};
use crate::lang::source::Span;
use crate::model::{Cache, EarlyHints};
use crate::types::Millis;

/// A `cache` section while its lines are read.
pub(in crate::lang) struct CacheDraft {
    name: String,
    total: Option<u64>,
    object: Option<(u64, Span)>,
    max_age: Millis,
    process_vary: bool,
    variants: u32,
    early_hints: EarlyHints,
    ratio: u8,
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "total-max-size",
        "<megabytes>",
        "Sets the size of the cache.",
        |args, draft| {
            draft.total = Some(args.number(1..=4095u64)? << 20);
            args.end()
        },
    ),
    keyword(
        "max-object-size",
        "<bytes>",
        "Limits the size of one response.",
        |args, draft| {
            let span = args.line().span();
            draft.object = Some((args.number(0..=u64::from(u32::MAX))?, span));
            args.end()
        },
    ),
    keyword(
        "max-age",
        "<seconds>",
        "Limits the time a response is kept.",
        |args, draft| {
            draft.max_age = args.time(Unit::Seconds)?;
            args.end()
        },
    ),
    keyword(
        "max-secondary-entries",
        "<number>",
        "Limits the variants of one resource.",
        |args, draft| {
            draft.variants = args.number(1..=u32::MAX)?;
            args.end()
        },
    ),
    keyword(
        "process-vary",
        "{ on | off }",
        "Keeps responses that depend on request fields.",
        |args, draft| {
            let word = args.only("'on' or 'off'")?;
            draft.process_vary = match word.text.as_str() {
                "on" => true,
                "off" => false,
                _ => return Err(Complaint::unknown(word, "value", ["on", "off"])),
            };
            Ok(())
        },
    ),
    keyword(
        "early-hints",
        "{ on | off | only } [ratio <integer>]",
        "Sends links of cached responses ahead.",
        |args, draft| {
            let word = args.need("'on', 'off' or 'only'")?;
            draft.early_hints = match word.text.as_str() {
                "on" => EarlyHints::On,
                "off" => EarlyHints::Off,
                "only" => EarlyHints::Only,
                _ => return Err(Complaint::unknown(word, "value", ["on", "off", "only"])),
            };
            if args.take_if("ratio") {
                draft.ratio = args.number(1..=99u8)?;
            }
            args.end()
        },
    ),
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut CacheDraft) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::CACHE,
        args,
        doc,
        effect: Effect::Cache(parse),
    }
}

impl CacheDraft {
    pub(in crate::lang) fn new(name: String) -> Self {
        Self {
            name,
            total: None,
            object: None,
            max_age: Millis(60_000),
            process_vary: false,
            variants: 10,
            early_hints: EarlyHints::Off,
            ratio: 25,
        }
    }

    /// The finished section. `header` is its first line.
    pub(in crate::lang) fn finish(self, header: Span) -> Result<Cache, (Span, String)> {
        let name = &self.name;
        let Some(total) = self.total else {
            let message = format!("cache '{name}' has no size (use 'total-max-size')");
            return Err((header, message));
        };
        let object = match self.object {
            Some((bytes, place)) if bytes > total / 2 => {
                let message = format!(
                    "cache '{name}' : 'max-object-size' is limited to a half of 'total-max-size' => {}",
                    total / 2
                );
                return Err((place, message));
            }
            Some((bytes, _)) if bytes > 0 => bytes,
            _ => total / 256,
        };
        Ok(Cache {
            total_max_size: total,
            max_object_size: object,
            max_age: self.max_age,
            process_vary: self.process_vary,
            max_secondary_entries: self.variants,
            early_hints: self.early_hints,
            hints_ratio: self.ratio,
            name: self.name,
        })
    }
}
