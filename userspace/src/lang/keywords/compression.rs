//! `compression …` and the `filter` lines (manual §4.2, §9).
//!
//! A proxy's compression is one set of settings that its lines and those of its defaults add to. Filters of this program
//! are the built-in ones: compression and the cache; their order is fixed, the cache first.

use super::args::{Args, Complaint, Parsed, size};
use super::bandwidth;
use super::context::Context;
use super::draft::ProxyDraft;
use super::registry::{Effect, Keyword, Sections};
use crate::model::{
    BandwidthDirection, Compression, CompressionAlgorithm, CompressionDirection, CompressionSide,
};
use std::sync::Arc;

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "compression algo",
        "<algorithm> ...",
        "Compresses responses.",
        |args, draft, _| algorithms(args, &mut settings(draft).response),
    ),
    keyword(
        "compression algo-res",
        "<algorithm> ...",
        "Compresses responses.",
        |args, draft, _| algorithms(args, &mut settings(draft).response),
    ),
    keyword(
        "compression algo-req",
        "<algorithm>",
        "Says how requests are compressed.",
        |args, draft, _| {
            let side = &mut settings(draft).request;
            side.algorithms = vec![algorithm(args)?];
            args.end()
        },
    ),
    keyword(
        "compression type",
        "<mime type> ...",
        "Compresses responses of these types only.",
        |args, draft, _| types(args, &mut settings(draft).response),
    ),
    keyword(
        "compression type-res",
        "<mime type> ...",
        "Compresses responses of these types only.",
        |args, draft, _| types(args, &mut settings(draft).response),
    ),
    keyword(
        "compression type-req",
        "<mime type> ...",
        "Compresses requests of these types only.",
        |args, draft, _| types(args, &mut settings(draft).request),
    ),
    keyword(
        "compression minsize-req",
        "<size>",
        "Passes smaller requests as they are.",
        |args, draft, _| min_size(args, &mut settings(draft).request),
    ),
    keyword(
        "compression minsize-res",
        "<size>",
        "Passes smaller responses as they are.",
        |args, draft, _| min_size(args, &mut settings(draft).response),
    ),
    keyword(
        "compression offload",
        "",
        "Does not let servers compress.",
        |args, draft, context| {
            if draft.section == crate::lang::ast::SectionKind::Defaults || draft.inheriting {
                if !draft.inheriting {
                    let message = "'compression offload' : ignored in a 'defaults' section";
                    context.warn(args.line().span(), message);
                }
                return args.end();
            }
            settings(draft).offload = true;
            args.end()
        },
    ),
    keyword(
        "compression direction",
        "{ request | response | both }",
        "Chooses what is compressed.",
        |args, draft, _| {
            let word = args.only("'request', 'response' or 'both'")?;
            settings(draft).direction = match word.text.as_str() {
                "request" => CompressionDirection::Request,
                "response" => CompressionDirection::Response,
                "both" => CompressionDirection::Both,
                _ => {
                    let known = ["request", "response", "both"];
                    return Err(Complaint::unknown(word, "direction", known));
                }
            };
            Ok(())
        },
    ),
    Keyword {
        name: "filter",
        sections: Sections::PROXY_ONLY,
        args: "<name> [<param*>]",
        doc: "Adds a filter.",
        effect: Effect::Proxy(filter),
    },
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut ProxyDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::ANY_PROXY,
        args,
        doc,
        effect: Effect::Proxy(parse),
    }
}

fn settings(draft: &mut ProxyDraft) -> &mut Compression {
    Arc::make_mut(draft.proxy.compression.get_or_insert_default())
}

fn algorithms(args: &mut Args<'_>, side: &mut CompressionSide) -> Parsed {
    loop {
        let algorithm = algorithm(args)?;
        if !side.algorithms.contains(&algorithm) {
            side.algorithms.push(algorithm);
        }
        if args.peek().is_none() {
            return Ok(());
        }
    }
}

fn algorithm(args: &mut Args<'_>) -> Parsed<CompressionAlgorithm> {
    let word = args.need("an algorithm")?;
    CompressionAlgorithm::ALL
        .into_iter()
        .find(|algorithm| algorithm.name() == word.text)
        .ok_or_else(|| {
            let known = CompressionAlgorithm::ALL.map(CompressionAlgorithm::name);
            Complaint::unknown(word, "algorithm", known)
        })
}

fn types(args: &mut Args<'_>, side: &mut CompressionSide) -> Parsed {
    let first = args.need("a media type")?;
    side.types.push(first.text.clone());
    while let Some(word) = args.take() {
        side.types.push(word.text.clone());
    }
    Ok(())
}

fn min_size(args: &mut Args<'_>, side: &mut CompressionSide) -> Parsed {
    side.min_size = size(args.need("a size")?, u64::from(u32::MAX))?;
    args.end()
}

/// `filter`: what is always there is only named; what is not is refused.
fn filter(args: &mut Args<'_>, draft: &mut ProxyDraft, context: &mut Context<'_>) -> Parsed {
    let word = args.need("a filter's name")?;
    let named = match word.text.as_str() {
        "comp-req" => CompressionDirection::Request,
        "comp-res" => CompressionDirection::Response,
        "compression" => CompressionDirection::Both,
        "cache" => {
            let name = args.need("a cache's name")?;
            if !context.caches.iter().any(|cache| cache.name == name.text) {
                let names = context.caches.iter().map(|cache| cache.name.as_str());
                return Err(Complaint::unknown(name, "cache", names));
            }
            context.ignore(word, "what is stored is compressed for each client anew");
            return args.end();
        }
        "bwlim-in" => return bandwidth::filter(BandwidthDirection::Upload, args, draft, context),
        "bwlim-out" => {
            return bandwidth::filter(BandwidthDirection::Download, args, draft, context);
        }
        "fcgi-app" | "opentelemetry" | "opentracing" | "spoe" | "trace" => {
            let message = format!("filter '{}' is not supported", word.text);
            return Err(Complaint::new(word.span, message));
        }
        _ => return Err(Complaint::unknown(word, "filter", FILTERS.iter().copied())),
    };
    args.end()?;
    let settings = settings(draft);
    if named == CompressionDirection::Both {
        // The old name leaves the choice to `direction`.
        return Ok(());
    }
    settings.filters = Some(settings.filters.map_or(named, |others| others.and(named)));
    Ok(())
}

/// What `filter` may name.
pub(super) const FILTERS: &[&str] = &[
    "bwlim-in",
    "bwlim-out",
    "cache",
    "comp-req",
    "comp-res",
    "compression",
];
