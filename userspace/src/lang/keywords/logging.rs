//! `log` and its companions, in `global` and in proxies (manual §3.1, §4.2, §8).

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{Address, Endpoint, Ports, Transport};
use super::args::{Args, Complaint, Parsed, number};
use super::context::Context;
use super::draft::{FormatSource, FormatText, ProxyDraft};
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::{
    Facility, LogAddress, LogFormatKind, LogProfile, LogSample, LogStep, LogSteps, LogTarget,
    Severity,
};

pub(super) const KEYWORDS: &[Keyword] = &[
    GLOBAL_LOG,
    GLOBAL_LOG_TAG,
    LOG_SEND_HOSTNAME,
    LOG,
    LOG_TAG,
    LOG_FORMAT,
    LOG_FORMAT_SD,
    ERROR_LOG_FORMAT,
    LOG_STEPS,
    OPTION_HTTPLOG,
    OPTION_HTTPSLOG,
    OPTION_TCPLOG,
    OPTION_DONTLOGNULL,
    OPTION_DONTLOG_NORMAL,
    OPTION_LOGASAP,
    OPTION_LOG_SEPARATE_ERRORS,
    UNIQUE_ID_FORMAT,
    UNIQUE_ID_HEADER,
];

const TARGET: &str = "<target> [len <length>] [format <format>] [profile <profile>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]]";

const GLOBAL_LOG: Keyword = Keyword {
    name: "log",
    sections: Sections::GLOBAL,
    args: TARGET,
    doc: "Adds a syslog server for start, stop and the proxies that say 'log global'.",
    effect: Effect::Global(|args, context| {
        let target = target(args, context)?;
        context.global.logs.push(target);
        Ok(())
    }),
};

const GLOBAL_LOG_TAG: Keyword = Keyword {
    name: "log-tag",
    sections: Sections::GLOBAL,
    args: "<string>",
    doc: "Sets the tag of log lines; by default the program's name.",
    effect: Effect::Global(|args, context| {
        context.global.log_tag = Some(args.only("a tag for use in syslog")?.text.clone());
        Ok(())
    }),
};

const LOG_SEND_HOSTNAME: Keyword = Keyword {
    name: "log-send-hostname",
    sections: Sections::GLOBAL,
    args: "[<string>]",
    doc: "Puts a host name into log lines: the given one, or the machine's.",
    effect: Effect::Global(|args, context| {
        let name = args
            .take()
            .map(|word| word.text.clone())
            .unwrap_or_default();
        context.global.log_send_hostname = Some(name);
        args.end()
    }),
};

const LOG: Keyword = Keyword {
    name: "log",
    sections: Sections::ANY_PROXY.or(Sections::LOG_FORWARD),
    args: "global | <target> [len <length>] [format <format>] [profile <profile>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]]",
    doc: "Chooses where traffic is logged; 'no log' forgets what was inherited.",
    effect: Effect::Switch(
        |args, draft, context| {
            if args.take_if("global") {
                draft.log_global = true;
                return args.end();
            }
            let target = target(args, context)?;
            draft.proxy.logs.push(target);
            Ok(())
        },
        |draft| {
            draft.log_global = false;
            draft.proxy.logs.clear();
        },
    ),
};

const LOG_TAG: Keyword = Keyword {
    name: "log-tag",
    sections: Sections::ANY_PROXY,
    args: "<string>",
    doc: "Sets the tag of this proxy's log lines.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.proxy.log_tag = Some(args.only("a tag for use in syslog")?.text.clone());
        Ok(())
    }),
};

const LOG_FORMAT: Keyword = Keyword {
    name: "log-format",
    sections: Sections::FRONT,
    args: "<fmt>",
    doc: "Sets what a line of the traffic log looks like.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.log_format = Some(written(args)?);
        Ok(())
    }),
};

const LOG_FORMAT_SD: Keyword = Keyword {
    name: "log-format-sd",
    sections: Sections::FRONT,
    args: "<fmt>",
    doc: "Sets the structured data of RFC 5424 log lines.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.log_format_sd = Some(written(args)?);
        Ok(())
    }),
};

const ERROR_LOG_FORMAT: Keyword = Keyword {
    name: "error-log-format",
    sections: Sections::FRONT,
    args: "<fmt>",
    doc: "Sets the log line of connections that fail before a request.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.error_log_format = Some(written(args)?);
        Ok(())
    }),
};

const LOG_STEPS: Keyword = Keyword {
    name: "log-steps",
    sections: Sections::FRONT,
    args: "<steps>",
    doc: "Chooses at which steps of a transaction a line is logged.",
    effect: Effect::Proxy(|args, draft, _| {
        let word = args.only("'all', or steps separated by commas")?;
        let mut steps = LogSteps::default();
        for name in word.text.split(',') {
            let known = LogStep::NAMES.iter().find(|(_, known, _)| *known == name);
            match known {
                None if name == "all" => steps = LogSteps::ALL,
                Some((step, ..)) if steps.insert(*step) => {}
                _ => {
                    let message = format!("unknown log step '{name}'");
                    return Err(Complaint::new(word.span, message)
                        .hint("expected accept, request, connect, response, close or all"));
                }
            }
        }
        draft.proxy.log_steps = Some(steps);
        Ok(())
    }),
};

const OPTION_HTTPLOG: Keyword = Keyword {
    name: "option httplog",
    sections: Sections::FRONT,
    args: "[clf]",
    doc: "Logs HTTP requests, with timers, states and captures.",
    effect: Effect::Proxy(|args, draft, _| {
        let source = if args.take_if("clf") {
            FormatSource::HttpClf
        } else {
            FormatSource::Http
        };
        built_in(args, draft, source)
    }),
};

const OPTION_HTTPSLOG: Keyword = Keyword {
    name: "option httpslog",
    sections: Sections::FRONT,
    args: "",
    doc: "Logs HTTP requests as 'option httplog' does, with the TLS connection's state.",
    effect: Effect::Proxy(|args, draft, _| built_in(args, draft, FormatSource::Https)),
};

const OPTION_TCPLOG: Keyword = Keyword {
    name: "option tcplog",
    sections: Sections::FRONT,
    args: "[clf]",
    doc: "Logs TCP connections, with timers and states.",
    effect: Effect::Proxy(|args, draft, _| {
        let source = if args.take_if("clf") {
            FormatSource::TcpClf
        } else {
            FormatSource::Tcp
        };
        built_in(args, draft, source)
    }),
};

const OPTION_DONTLOGNULL: Keyword = Keyword {
    name: "option dontlognull",
    sections: Sections::FRONT,
    args: "",
    doc: "Does not log connections on which no byte came.",
    effect: Effect::Flag(|proxy| &mut proxy.dont_log_null),
};

const OPTION_DONTLOG_NORMAL: Keyword = Keyword {
    name: "option dontlog-normal",
    sections: Sections::FRONT,
    args: "",
    doc: "Logs only what went wrong, was retried or redispatched.",
    effect: Effect::Flag(|proxy| &mut proxy.dont_log_normal),
};

const OPTION_LOGASAP: Keyword = Keyword {
    name: "option logasap",
    sections: Sections::FRONT,
    args: "",
    doc: "Logs when the server answers instead of at the end.",
    effect: Effect::Flag(|proxy| &mut proxy.log_asap),
};

const OPTION_LOG_SEPARATE_ERRORS: Keyword = Keyword {
    name: "option log-separate-errors",
    sections: Sections::FRONT,
    args: "",
    doc: "Logs failed transactions at level err.",
    effect: Effect::Flag(|proxy| &mut proxy.log_separate_errors),
};

const UNIQUE_ID_FORMAT: Keyword = Keyword {
    name: "unique-id-format",
    sections: Sections::ANY_PROXY,
    args: "<fmt>",
    doc: "Sets how each request's unique id is made.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.unique_id_format = Some(written(args)?);
        Ok(())
    }),
};

const UNIQUE_ID_HEADER: Keyword = Keyword {
    name: "unique-id-header",
    sections: Sections::FRONT,
    args: "<name>",
    doc: "Adds the unique id to the request under this name.",
    effect: Effect::Proxy(|args, draft, _| {
        draft.proxy.unique_id_header = Some(args.only("a header name as argument")?.text.clone());
        Ok(())
    }),
};

/// One format word; more words are the sign of forgotten quotes.
fn written(args: &mut Args<'_>) -> Parsed<FormatText> {
    let word = args.need("an argument")?;
    if let Some(extra) = args.peek() {
        let message = "expects only one argument, don't forget to escape spaces";
        return Err(
            Complaint::new(extra.span, message).hint("put the whole format between double quotes")
        );
    }
    Ok(FormatText {
        source: FormatSource::Written(word.clone()),
        span: word.span,
    })
}

fn built_in(args: &Args<'_>, draft: &mut ProxyDraft, source: FormatSource) -> Parsed {
    args.end()?;
    draft.log_format = Some(FormatText {
        source,
        span: args.line().span(),
    });
    Ok(())
}

fn target(args: &mut Args<'_>, context: &Context<'_>) -> Parsed<LogTarget> {
    let word = args.need("<address> and <facility> as arguments")?;
    let address = address(word, context)?;
    let mut target = LogTarget {
        address,
        max_length: 1024,
        format: None,
        sample: None,
        facility: Facility(0),
        level: Severity::Debug,
        min_level: Severity::Emerg,
        profile: None,
    };
    loop {
        if args.take_if("len") {
            target.max_length = number(args.need("a length")?, 80..=65_535)?;
        } else if args.take_if("format") {
            target.format = Some(choose(args.need("a format name")?, "log format", FORMATS)?);
        } else if args.take_if("sample") {
            target.sample = Some(sample(args.need("<ranges>:<size>")?)?);
        } else if args.take_if("profile") {
            let word = args.need("a log profile's name")?;
            target.profile = Some(profile(word, context)?.name.clone());
        } else {
            break;
        }
    }
    let facility = args.need("<address> and <facility> as arguments")?;
    let number = FACILITIES.iter().position(|name| *name == facility.text);
    let Some(number) = number.and_then(|number| u8::try_from(number).ok()) else {
        return Err(Complaint::unknown(
            facility,
            "log facility",
            FACILITIES.iter().copied(),
        ));
    };
    target.facility = Facility(number);
    if let Some(level) = args.take() {
        target.level = severity(level)?;
    }
    if let Some(level) = args.take() {
        target.min_level = severity(level)?;
    }
    args.end()?;
    Ok(target)
}

/// A profile by its name.
pub(super) fn profile(word: &Word, context: &Context<'_>) -> Parsed<Arc<LogProfile>> {
    let known = context.log_profiles.iter();
    match known.clone().find(|profile| profile.name == word.text) {
        Some(profile) => Ok(Arc::clone(profile)),
        None => {
            let names: Vec<_> = known.map(|profile| profile.name.as_str()).collect();
            Err(Complaint::unknown(word, "log-profile", names))
        }
    }
}

fn address(word: &Word, context: &Context<'_>) -> Parsed<LogAddress> {
    match word.text.as_str() {
        "stdout" => return Ok(LogAddress::Descriptor(1)),
        "stderr" => return Ok(LogAddress::Descriptor(2)),
        _ => {}
    }
    if let Some(name) = word.text.strip_prefix("ring@") {
        let names = context.names.rings.iter().map(String::as_str);
        return match context.names.rings.contains(name) {
            true => Ok(LogAddress::Ring(name.to_owned())),
            false => Err(Complaint::unknown(word, "ring", names)),
        };
    }
    if let Some(name) = word.text.strip_prefix("backend@") {
        return match context.names.backend(name) {
            Some(id) => Ok(LogAddress::Backend(id)),
            None => Err(Complaint::unknown(
                word,
                "log backend",
                context.names.backends(),
            )),
        };
    }
    let address = Address::of(word)?;
    if address.transport == Some(Transport::Stream) {
        let message = "logs over stream sockets are not supported";
        return Err(Complaint::new(word.span, message)
            .hint("send to a 'ring' section that has the server, or to a backend in 'mode log'"));
    }
    match address.endpoint {
        Endpoint::Inet { host, ports } => {
            let port = match ports {
                Ports::None => SYSLOG_PORT,
                Ports::One(port) => port,
                _ => return Err(Complaint::new(word.span, "port range not permitted here")),
            };
            Ok(LogAddress::Udp(SocketAddr::new(
                host.resolve(context, word.span)?,
                port,
            )))
        }
        Endpoint::Unix(path) => Ok(LogAddress::Unix(path)),
        Endpoint::Descriptor(descriptor) => Ok(LogAddress::Descriptor(descriptor)),
        Endpoint::Reverse(_) => Err(Complaint::new(word.span, "logs go to addresses")),
        _ => Err(Complaint::new(
            word.span,
            "abstract sockets are not supported for logs",
        )),
    }
}

/// `1-3,5:10`: of every ten lines the first three and the fifth.
fn sample(word: &Word) -> Parsed<LogSample> {
    let wrong =
        |message: &str| Complaint::new(word.span, format!("{message} in sample '{}'", word.text));
    let (ranges, size) = word
        .text
        .split_once(':')
        .ok_or_else(|| wrong("missing ':<size>'"))?;
    let number = |text: &str| match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(wrong("a limit is not a positive number")),
    };
    let size = number(size)?;
    let mut sample = LogSample {
        ranges: Vec::new(),
        size,
    };
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last > size {
            return Err(wrong("a range is empty or beyond the size"));
        }
        sample.ranges.push((first, last));
    }
    sample.ranges.sort_unstable();
    if sample.ranges.windows(2).any(|pair| pair[0].1 >= pair[1].0) {
        return Err(wrong("ranges overlap"));
    }
    Ok(sample)
}

/// A syslog level by name.
pub(super) fn severity(word: &Word) -> Parsed<Severity> {
    choose(word, "log level", LEVELS)
}

/// The value a word stands for in a table.
pub(super) fn choose<T: Copy>(word: &Word, what: &str, known: &[(&'static str, T)]) -> Parsed<T> {
    match known.iter().find(|(name, _)| *name == word.text) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let expected = format!("expected one of {}", names.join(", "));
            Err(Complaint::unknown(word, what, names).hint(expected))
        }
    }
}

pub(super) const FORMATS: &[(&str, LogFormatKind)] = &[
    ("local", LogFormatKind::Local),
    ("rfc3164", LogFormatKind::Rfc3164),
    ("rfc5424", LogFormatKind::Rfc5424),
    ("priority", LogFormatKind::Priority),
    ("short", LogFormatKind::Short),
    ("timed", LogFormatKind::Timed),
    ("iso", LogFormatKind::Iso),
    ("raw", LogFormatKind::Raw),
];

const LEVELS: &[(&str, Severity)] = &[
    ("emerg", Severity::Emerg),
    ("alert", Severity::Alert),
    ("crit", Severity::Crit),
    ("err", Severity::Err),
    ("warning", Severity::Warning),
    ("notice", Severity::Notice),
    ("info", Severity::Info),
    ("debug", Severity::Debug),
];

const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2",
    "ftp", "ntp", "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

const SYSLOG_PORT: u16 = 514;
