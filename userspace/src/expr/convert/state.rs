//! Converters that touch more than their input: variables, captures, servers, conditions, addresses.

use std::net::IpAddr;

use super::{Arg, Arguments, Converter, Output, Run, data};
use crate::expr::acl::Outcome;
use crate::expr::args::ArgKind;
use crate::expr::{
    BackendNumber, Direction, FrontendNumber, Number, Parsing, Sample, SampleType, ServerNumber,
    VariableName, View, condition,
};

pub(super) const CONVERTERS: &[Converter] = &[
    Converter {
        name: "set-var",
        args: Arguments::some(
            1,
            &[
                ArgKind::Variable,
                ArgKind::Text,
                ArgKind::Text,
                ArgKind::Text,
                ArgKind::Text,
            ],
        ),
        doc: "Sets a variable and passes the value on.",
        run: Run::Sample(set_variable),
        compile: Some(check_conditions),
        ..SAME
    },
    Converter {
        name: "unset-var",
        args: Arguments::all(&[ArgKind::Variable]),
        doc: "Forgets a variable and passes the value on.",
        run: Run::Sample(|sample, args, view| {
            if let Some(Arg::Variable(name)) = args.first()
                && let Some(variables) = view.variables(name.scope())
            {
                variables.remove(name);
            }
            Some(sample)
        }),
        ..SAME
    },
    capture(
        "capture-req",
        "Captures the value in a slot of the request.",
        |sample, args, view| captured(sample, args, view, Direction::Request),
    ),
    capture(
        "capture-res",
        "Captures the value in a slot of the response.",
        |sample, args, view| captured(sample, args, view, Direction::Response),
    ),
    Converter {
        name: "when",
        args: Arguments::some(1, &[ArgKind::Text, ArgKind::Text]),
        doc: "The value where a condition holds, else nothing.",
        run: Run::Sample(|sample, args, view| holds(args, view).then_some(sample)),
        compile: Some(compile_when),
        ..SAME
    },
    Converter {
        name: "nbsrv",
        output: Output::Type(SampleType::Int),
        doc: "Usable servers of the backend with this name.",
        run: Run::Sample(|sample, _, view| {
            let name = data(sample)?;
            let name = std::str::from_utf8(&name).ok()?;
            view.backend_number(Some(name), BackendNumber::UsableServers)
                .map(Sample::Int)
        }),
        ..Converter::BASE
    },
    Converter {
        name: "fe_exists",
        output: Output::Type(SampleType::Bool),
        doc: "Whether there is a frontend with this name.",
        run: Run::Sample(|sample, _, view| {
            let name = data(sample)?;
            let known = std::str::from_utf8(&name).is_ok_and(|name| {
                view.frontend_number(Some(name), FrontendNumber::Exists) == Some(1)
            });
            Some(Sample::Bool(known))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "srv_is_up",
        output: Output::Type(SampleType::Bool),
        doc: "Whether the server with this name is up.",
        run: Run::Sample(|sample, _, view| {
            server_number(sample, view, ServerNumber::IsUp).map(|up| Sample::Bool(up != 0))
        }),
        ..Converter::BASE
    },
    Converter {
        name: "srv_queue",
        output: Output::Type(SampleType::Int),
        doc: "Requests queued for the server with this name.",
        run: Run::Sample(|sample, _, view| {
            server_number(sample, view, ServerNumber::Queue).map(Sample::Int)
        }),
        ..Converter::BASE
    },
    Converter {
        name: "ipmask",
        args: Arguments::some(1, &[ArgKind::Mask4, ArgKind::Mask6]),
        input: SampleType::Address,
        output: Output::Type(SampleType::Address),
        doc: "The address with a mask applied.",
        run: Run::Sample(mask),
        ..Converter::BASE
    },
];

/// Anything in, the same out.
const SAME: Converter = Converter {
    input: SampleType::Any,
    output: Output::Same,
    ..Converter::BASE
};

const fn capture(name: &'static str, doc: &'static str, run: super::RunSample) -> Converter {
    Converter {
        name,
        args: Arguments::all(&[ArgKind::Int]),
        doc,
        run: Run::Sample(run),
        ..Converter::BASE
    }
}

fn captured<'a>(
    sample: Sample<'a>,
    args: &[Arg],
    view: &dyn View,
    direction: Direction,
) -> Option<Sample<'a>> {
    let slot = args
        .first()
        .and_then(Arg::int)
        .and_then(|slot| usize::try_from(slot).ok())?;
    // A slot that does not exist fails silently (manual).
    view.set_capture(direction, slot, &sample.to_text());
    Some(sample)
}

// --- variables ---

/// The conditions of `set-var`, by name.
const CONDITIONS: [&str; 8] = [
    "ifexists",
    "ifnotexists",
    "ifempty",
    "ifnotempty",
    "ifset",
    "ifnotset",
    "ifgt",
    "iflt",
];

fn check_conditions(args: Vec<Arg>, _: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    match args
        .iter()
        .skip(1)
        .filter_map(Arg::text)
        .find(|word| !CONDITIONS.contains(word))
    {
        Some(word) => Err(format!("unknown condition '{word}'")),
        None => Ok(args),
    }
}

fn set_variable<'a>(sample: Sample<'a>, args: &'a [Arg], view: &'a dyn View) -> Option<Sample<'a>> {
    let Some(Arg::Variable(name)) = args.first() else {
        return Some(sample);
    };
    let mut conditions = args.iter().skip(1).filter_map(Arg::text);
    if conditions.all(|condition| allows(condition, name, &sample, view))
        && let Some(variables) = view.variables(name.scope())
    {
        variables.write(name, sample.clone().into_shared());
    }
    Some(sample)
}

fn allows(condition: &str, name: &VariableName, sample: &Sample<'_>, view: &dyn View) -> bool {
    let current = || {
        view.variables(name.scope())
            .and_then(|variables| variables.read(name))
    };
    let is_empty = matches!(sample, Sample::Str(text) | Sample::Bin(text) | Sample::Method(text) if text.is_empty());
    match condition {
        "ifexists" | "ifset" => current().is_some(),
        "ifnotexists" | "ifnotset" => current().is_none(),
        "ifempty" => is_empty,
        "ifnotempty" => !is_empty,
        // Only two integers are compared; the content of the variable is on the left.
        order => match (current(), sample) {
            (Some(Sample::Int(old)), Sample::Int(new)) => match order {
                "ifgt" => old > *new,
                _ => old < *new,
            },
            _ => true,
        },
    }
}

// --- when ---

fn compile_when(args: Vec<Arg>, parsing: &mut Parsing<'_>) -> Result<Vec<Arg>, String> {
    let word = args.first().and_then(Arg::text).unwrap_or_default();
    match word.strip_prefix('!').unwrap_or(word) {
        "error" | "forwarded" | "normal" | "processed" | "stopping" | "toapplet" => Ok(args),
        "acl" => {
            let name = args.get(1).and_then(Arg::text).unwrap_or_default();
            let acl = condition::named(name, parsing).map_err(|error| error.message)?;
            Ok(vec![args[0].clone(), Arg::Acls(vec![(false, acl)])])
        }
        other => Err(format!("unknown condition '{other}'")),
    }
}

fn holds(args: &[Arg], view: &dyn View) -> bool {
    let word = args.first().and_then(Arg::text).unwrap_or_default();
    let (negated, word) = match word.strip_prefix('!') {
        Some(word) => (true, word),
        None => (false, word),
    };
    let is = |which| view.number(which) == Some(1);
    let holds = match word {
        "error" => is(Number::Failed),
        "normal" => !is(Number::Failed),
        "forwarded" => is(Number::Forwarded),
        "processed" => is(Number::Forwarded) || is(Number::ByApplet),
        "toapplet" => is(Number::ByApplet),
        "stopping" => is(Number::Stopping),
        _ => matches!(args.get(1), Some(Arg::Acls(acls))
            if acls.iter().all(|(_, acl)| acl.test(view) == Outcome::Match)),
    };
    holds != negated
}

// --- servers and addresses ---

/// Of `<server>` or `<backend>/<server>`.
fn server_number(sample: Sample<'_>, view: &dyn View, which: ServerNumber) -> Option<i64> {
    let name = data(sample)?;
    let name = std::str::from_utf8(&name).ok()?;
    match name.split_once('/') {
        Some((backend, server)) => view.server_number(Some(backend), server, which),
        None => view.server_number(None, name, which),
    }
}

/// Without a mask for IPv6, such addresses fail to convert (manual).
fn mask<'a>(sample: Sample<'a>, args: &'a [Arg], _: &'a dyn View) -> Option<Sample<'a>> {
    let Sample::Ip(address) = sample else {
        return None;
    };
    Some(Sample::Ip(match (address, args) {
        (IpAddr::V4(address), [Arg::Ipv4(mask), ..]) => (address & *mask).into(),
        // An IPv4 address in IPv6 clothes is masked as what it is.
        (IpAddr::V6(address), [Arg::Ipv4(mask), rest @ ..]) => {
            match (address.to_ipv4_mapped(), rest) {
                (Some(address), _) => (address & *mask).into(),
                (None, [Arg::Ipv6(mask), ..]) => (address & *mask).into(),
                _ => return None,
            }
        }
        _ => return None,
    }))
}
