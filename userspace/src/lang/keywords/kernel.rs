//! The kernel tier's own settings, which HAProxy does not have: `xdp …` of `global` and of frontends, and what is written
//! into the packets of `mode l4`.

use std::path::PathBuf;

use super::args::{Args, Complaint, Parsed, size};
use super::registry::{Effect, Keyword, Sections};
use crate::lang::ast::Word;
use crate::model::{Deny, ListedFlows, Marks, Reject, SynCookies, XdpInterface, XdpMode};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::global(
        "xdp interface",
        "<name> [mode auto|native|generic]",
        "Attaches the kernel tier to a network interface.",
        |args, context| {
            let name = args.need("an interface name")?;
            if name.text.len() > 15 || name.text.contains('/') {
                return Err(Complaint::new(
                    name.span,
                    "interface names have 1 to 15 characters and no '/'",
                ));
            }
            let mut mode = XdpMode::Auto;
            if args.take_if("mode") {
                mode = super::logging::choose(
                    args.need("a mode")?,
                    "mode",
                    &[
                        ("auto", XdpMode::Auto),
                        ("native", XdpMode::Native),
                        ("generic", XdpMode::Generic),
                    ],
                )?;
            }
            args.end()?;
            let interfaces = &mut context.global.xdp.interfaces;
            // Files that are used together may each name the interface they need.
            match interfaces.iter().find(|known| known.name == name.text) {
                Some(known) if known.mode == mode => return Ok(()),
                Some(_) => {
                    return Err(Complaint::new(
                        name.span,
                        format!(
                            "interface '{}' is already named with another mode",
                            name.text
                        ),
                    ));
                }
                None => {}
            }
            interfaces.push(XdpInterface {
                name: name.text.clone(),
                mode,
            });
            Ok(())
        },
    ),
    Keyword::global(
        "xdp flows",
        "<number>",
        "Sets the size of the kernel's flow table.",
        |args, context| {
            context.global.xdp.flows = entries(args)?;
            args.end()
        },
    ),
    Keyword::global(
        "xdp sources",
        "<number>",
        "Sets the size of the kernel's table of sources.",
        |args, context| {
            context.global.xdp.sources = entries(args)?;
            args.end()
        },
    ),
    Keyword::global(
        "xdp pin",
        "<directory>",
        "Sets where the kernel's maps are pinned.",
        |args, context| {
            let word = args.only("a directory")?;
            if !word.text.starts_with('/') {
                return Err(Complaint::new(
                    word.span,
                    "expects an absolute path on a bpf file system",
                ));
            }
            context.global.xdp.pin = PathBuf::from(&word.text);
            Ok(())
        },
    ),
    Keyword::global(
        "xdp listed-flows",
        "cut|keep",
        "Sets what open flows may do once their source is listed.",
        |args, context| {
            let ways = [("cut", ListedFlows::Cut), ("keep", ListedFlows::Keep)];
            let word = args.only("'cut' or 'keep'")?;
            context.global.xdp.listed_flows =
                super::logging::choose(word, "xdp listed-flows", &ways)?;
            Ok(())
        },
    ),
    Keyword::global(
        "xdp log-drops",
        "<lines>",
        "Logs a sample of the packets the kernel drops, at most so many lines a second (up to 100).",
        |args, context| {
            context.global.xdp.log_drops = size(args.only("a number of lines")?, 100)? as u32;
            Ok(())
        },
    ),
    Keyword::global(
        "xdp deny",
        "answer|drop",
        "Sets whether 'http-request deny' by source may be done in the kernel, without an answer.",
        |args, context| {
            let ways = [("answer", Deny::Answer), ("drop", Deny::Drop)];
            let word = args.only("'answer' or 'drop'")?;
            context.global.xdp.deny = super::logging::choose(word, "xdp deny", &ways)?;
            Ok(())
        },
    ),
    Keyword::global(
        "xdp syn-rate",
        "<number>",
        "Sets how many SYNs a second make a flood of one service; 0 for never.",
        |args, context| {
            context.global.xdp.syn_rate = args.number(0..=1_000_000_000u32)?;
            args.end()
        },
    ),
    Keyword::global(
        "xdp syn-cookies",
        "off|auto|always",
        "Sets when the driver answers SYNs with cookies: never, under a flood, or always.",
        |args, context| {
            let ways = [
                ("off", SynCookies::Off),
                ("auto", SynCookies::Auto),
                ("always", SynCookies::Always),
            ];
            let word = args.only("'off', 'auto' or 'always'")?;
            context.global.xdp.syn_cookies =
                super::logging::choose(word, "xdp syn-cookies", &ways)?;
            Ok(())
        },
    ),
    Keyword::global(
        "xdp reject",
        "drop|rst",
        "Sets what clients see that a 'reject' refuses in the kernel: nothing, or a reset.",
        |args, context| {
            let ways = [("drop", Reject::Drop), ("rst", Reject::Reset)];
            let word = args.only("'drop' or 'rst'")?;
            context.global.xdp.reject = super::logging::choose(word, "xdp reject", &ways)?;
            Ok(())
        },
    ),
    Keyword {
        name: "xdp normalise",
        sections: Sections::FRONT,
        args: "on|off",
        doc: "Sets whether the kernel drops packets with impossible TCP flags, or addresses that nobody has.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.only("'on' or 'off'")?;
            draft.proxy.normalise =
                super::logging::choose(word, "xdp normalise", &[("on", true), ("off", false)])?;
            Ok(())
        }),
    },
    Keyword {
        name: "set-tos",
        sections: Sections::FRONT,
        args: "<tos> [client|server]",
        doc: "Sets the code point of packets of 'mode l4', as the byte it is part of.",
        effect: Effect::Proxy(|args, draft, _| {
            let word = args.need("a type of service")?;
            let tos = super::actions::connection::integer(word)?;
            let tos = u8::try_from(tos)
                .map_err(|_| Complaint::new(word.span, "expects a value from 0 to 255"))?;
            mark(args, &mut draft.proxy.marks, tos)
        }),
    },
    Keyword {
        name: "set-dscp",
        sections: Sections::FRONT,
        args: "<code point> [client|server]",
        doc: "Sets the code point of packets of 'mode l4', as a number up to 63 or by its name.",
        effect: Effect::Proxy(|args, draft, _| {
            let code_point = code_point(args.need("a code point")?)?;
            mark(args, &mut draft.proxy.marks, code_point << 2)
        }),
    },
];

/// What is behind the value of `set-tos` and `set-dscp`: whose packets, both ways if it is left out.
fn mark(args: &mut Args<'_>, marks: &mut Marks, tos: u8) -> Parsed<()> {
    let (server, client) = match args.take() {
        None => (true, true),
        Some(word) => {
            let ways = [("server", (true, false)), ("client", (false, true))];
            super::logging::choose(word, "packets", &ways)?
        }
    };
    if server {
        marks.server = Some(tos);
    }
    if client {
        marks.client = Some(tos);
        marks.client_named = !server;
    }
    args.end()
}

/// A code point: a number, or a name of RFC 2474, 2597, 3246, 5865 or 8622.
fn code_point(word: &Word) -> Parsed<u8> {
    if word.text.starts_with(|first: char| first.is_ascii_digit()) {
        let number = super::actions::connection::integer(word)?;
        return match u8::try_from(number) {
            Ok(number) if number < 64 => Ok(number),
            _ => Err(Complaint::new(word.span, "expects a value from 0 to 63")),
        };
    }
    let name = word.text.to_ascii_lowercase();
    match CODE_POINTS.iter().find(|(known, _)| *known == name) {
        Some((_, number)) => Ok(*number),
        None => {
            let names = CODE_POINTS.iter().map(|(name, _)| *name);
            Err(Complaint::unknown(word, "code point", names))
        }
    }
}

/// The names of code points.
const CODE_POINTS: [(&str, u8); 24] = [
    ("df", 0),
    ("le", 1),
    ("cs0", 0),
    ("cs1", 8),
    ("cs2", 16),
    ("cs3", 24),
    ("cs4", 32),
    ("cs5", 40),
    ("cs6", 48),
    ("cs7", 56),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("va", 44),
    ("ef", 46),
];

/// Entries of a kernel table.
fn entries(args: &mut Args<'_>) -> Parsed<u32> {
    let word: &Word = args.need("a number of entries")?;
    let number = size(word, 1 << 28)?;
    if number < 1024 {
        return Err(Complaint::new(
            word.span,
            format!("expects at least 1024 entries (got {number})"),
        ));
    }
    u32::try_from(number).map_err(|_| Complaint::new(word.span, "too many entries"))
}
