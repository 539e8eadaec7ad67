//! The `log-profile` section: what lines of a target look like, step by step (manual §8.3.5).

use std::sync::Arc;

use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::expressions::Rules;
use super::registry::{Effect, Keyword, Sections};
use crate::expr::{LogFormat, Purpose, Stage};
use crate::model::{LogLine, LogProfile, LogStep};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword {
        name: "log-tag",
        sections: Sections::LOG_PROFILE,
        args: "<string>",
        doc: "Sets the tag of the lines.",
        effect: Effect::LogProfile(|args, profile, _| {
            profile.tag = Some(args.only("a tag for use in syslog")?.text.clone());
            Ok(())
        }),
    },
    Keyword {
        name: "on",
        sections: Sections::LOG_PROFILE,
        args: "<step> [drop] [format <fmt>] [sd <sd_fmt>]",
        doc: "Says what the line of a step looks like.",
        effect: Effect::LogProfile(on),
    },
];

fn on(args: &mut Args<'_>, profile: &mut LogProfile, context: &mut Context<'_>) -> Parsed {
    let word = args.need("a step")?;
    let named = LogStep::NAMES
        .iter()
        .find(|(_, name, _)| *name == word.text);
    let step = match (word.text.as_str(), named) {
        ("any", _) => None,
        (_, Some((step, ..))) => Some(*step),
        _ => {
            let names = LogStep::NAMES.iter().map(|(_, name, _)| *name);
            return Err(Complaint::unknown(word, "step", names.chain(["any"])));
        }
    };
    let mut line = LogLine::default();
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "drop" => line.drop = true,
            "format" => line.format = Some(format(args, context, Purpose::Log)?),
            "sd" => line.structured = Some(format(args, context, Purpose::StructuredData)?),
            _ => {
                return Err(Complaint::unknown(
                    word,
                    "argument",
                    ["drop", "format", "sd"],
                ));
            }
        }
    }
    match step {
        None => profile.any = Some(line),
        Some(step) => {
            profile.steps.retain(|(known, _)| *known != step);
            profile.steps.push((step, line));
        }
    }
    Ok(())
}

fn format(
    args: &mut Args<'_>,
    context: &mut Context<'_>,
    purpose: Purpose,
) -> Parsed<Arc<LogFormat>> {
    let word = args.need("a format")?;
    Rules::without_acls(context, Stage::Log)
        .log_format_for(word, purpose)
        .map(Arc::new)
}
