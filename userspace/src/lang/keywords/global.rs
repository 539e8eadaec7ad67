//! The `global` section (manual §3); logging and TLS settings have their own files.

use std::path::PathBuf;

use super::args::{Args, Complaint, Parsed, Unit, size};
use super::bind::stats_socket;
use super::context::{Context, DefaultPath};
use super::registry::Keyword;
use crate::lang::ast::Word;
use crate::model::{Capability, Principal};

pub(super) const KEYWORDS: &[Keyword] = &[
    Keyword::global(
        "h1-case-adjust",
        "<from> <to>",
        "Says how a header name is written in HTTP/1 where 'option h1-case-adjust-bogus-*' asks for it.",
        |args, context| {
            let from = args.need("<from> and <to> as arguments")?;
            let to = args.need("<from> and <to> as arguments")?;
            let cases = &mut context.global.tune.field_cases;
            cases
                .add(&from.text, &to.text)
                .map_err(|error| Complaint::new(from.span, error.to_string()))?;
            args.end()
        },
    ),
    Keyword::global(
        "h1-case-adjust-file",
        "<hdrs-file>",
        "Reads such pairs from a file, one a line.",
        |args, context| {
            let word = args.only("a file name")?;
            let (path, content) = context.read(word)?;
            let text = String::from_utf8_lossy(&content);
            let lines = text.lines().enumerate();
            for (number, line) in lines.map(|(number, line)| (number + 1, line.trim())) {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let wrong = |problem: &dyn std::fmt::Display| {
                    let place = format!("{}:{number}", path.display());
                    Complaint::new(word.span, format!("{place}: {problem}"))
                };
                let mut names = line.split_ascii_whitespace();
                let (Some(from), Some(to), None) = (names.next(), names.next(), names.next())
                else {
                    return Err(wrong(&"expects two header names"));
                };
                let cases = &mut context.global.tune.field_cases;
                cases.add(from, to).map_err(|error| wrong(&error))?;
            }
            Ok(())
        },
    ),
    Keyword::global("daemon", "", "Runs in the background.", |args, context| {
        context.global.daemon = true;
        args.end()
    }),
    Keyword::global(
        "master-worker",
        "[no-exit-on-failure]",
        "Runs workers under a master process.",
        |args, context| {
            context.global.master_worker = true;
            args.take_if("no-exit-on-failure");
            args.end()
        },
    ),
    Keyword::global(
        "nbthread",
        "<number>",
        "Sets the number of worker threads.",
        |args, context| {
            context.global.threads = Some(args.number(1..=1024)?);
            args.end()
        },
    ),
    Keyword::global(
        "user",
        "<name>",
        "Sets the user the process runs as.",
        |args, context| {
            let word = args.only("a user name")?;
            let id = context.environment.user(&word.text);
            let id = id.ok_or_else(|| {
                Complaint::new(
                    word.span,
                    format!("cannot find user id for '{}'", word.text),
                )
            })?;
            context.global.user = Some(Principal::Id(id));
            Ok(())
        },
    ),
    Keyword::global(
        "uid",
        "<number>",
        "Sets the user the process runs as.",
        |args, context| {
            context.global.user = Some(Principal::Id(args.number(0..=u32::MAX)?));
            args.end()
        },
    ),
    Keyword::global(
        "group",
        "<name>",
        "Sets the group the process runs as.",
        |args, context| {
            let word = args.only("a group name")?;
            let id = context.environment.group(&word.text);
            let id = id.ok_or_else(|| {
                Complaint::new(
                    word.span,
                    format!("cannot find group id for '{}'", word.text),
                )
            })?;
            context.global.group = Some(Principal::Id(id));
            Ok(())
        },
    ),
    Keyword::global(
        "gid",
        "<number>",
        "Sets the group the process runs as.",
        |args, context| {
            context.global.group = Some(Principal::Id(args.number(0..=u32::MAX)?));
            args.end()
        },
    ),
    Keyword::global(
        "chroot",
        "<jail dir>",
        "Locks the process into a directory after start.",
        |args, context| {
            let word = args.only("a directory as an argument")?;
            if word.text == "auto" {
                let message = "an anonymous jail is not supported";
                return Err(Complaint::new(word.span, message).hint("name an empty directory"));
            }
            context.global.chroot = Some(PathBuf::from(&word.text));
            Ok(())
        },
    ),
    Keyword::global(
        "setcap",
        "<name>[,<name>...]",
        "Keeps capabilities when the process runs as a user other than root.",
        |args, context| {
            let word = args.only("names of capabilities")?;
            for name in word.text.split(',') {
                let known = Capability::ALL.iter().find(|(known, _)| *known == name);
                let (_, capability) = known.ok_or_else(|| unknown_capability(word, name))?;
                context.global.capabilities.push(*capability);
            }
            Ok(())
        },
    ),
    Keyword::global(
        "pidfile",
        "<file>",
        "Writes the process id into a file.",
        |args, context| {
            context.global.pidfile = Some(context.path(args.only("a file name as an argument")?));
            Ok(())
        },
    ),
    Keyword::global(
        "node",
        "<name>",
        "Sets this node's name on the stats page.",
        |args, context| {
            let word = args.only("a name as an argument")?;
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if let Some(offset) = word.text.bytes().position(|byte| !allowed(byte)) {
                return Err(Complaint::new(
                    word.at(offset),
                    "requires valid node name - non-empty string",
                ));
            }
            context.global.node = Some(word.text.clone());
            Ok(())
        },
    ),
    Keyword::global(
        "description",
        "<text>",
        "Sets the process's description on the stats page.",
        |args, context| {
            args.need("a text as an argument")?;
            context.global.description = Some(super::args::join(&args.line().words[1..]));
            Ok(())
        },
    ),
    Keyword::global(
        "localpeer",
        "<name>",
        "Sets the name of this instance.",
        |args, context| {
            context.global.localpeer = Some(args.only("a name as argument")?.text.clone());
            Ok(())
        },
    ),
    Keyword::global(
        "setenv",
        "<name> <value>",
        "Sets an environment variable for the lines that follow.",
        two_words,
    ),
    Keyword::global(
        "presetenv",
        "<name> <value>",
        "Sets an environment variable unless it exists.",
        two_words,
    ),
    Keyword::global(
        "unsetenv",
        "[<name> ...]",
        "Removes environment variables.",
        |_, _| Ok(()),
    ),
    Keyword::global(
        "resetenv",
        "[<name> ...]",
        "Removes all environment variables but these.",
        |_, _| Ok(()),
    ),
    Keyword::global(
        "default-path",
        "{ current | config | parent | origin <path> }",
        "Chooses where relative paths begin.",
        |args, context| {
            let word = args.need("'current', 'config', 'parent' or 'origin'")?;
            context.default_path = match word.text.as_str() {
                "current" => DefaultPath::Current,
                "config" => DefaultPath::Config,
                "parent" => DefaultPath::Parent,
                "origin" => DefaultPath::Origin(PathBuf::from(&args.need("a directory")?.text)),
                _ => {
                    return Err(Complaint::unknown(
                        word,
                        "policy",
                        ["current", "config", "parent", "origin"],
                    ));
                }
            };
            args.end()
        },
    ),
    Keyword::global(
        "stats socket",
        "[<address:port>|<path>] [param*]",
        "Opens a socket for the runtime API.",
        stats_socket,
    ),
    Keyword::global(
        "stats timeout",
        "<timeout>",
        "Limits how long a client of the runtime API may idle.",
        |args, context| {
            context.global.stats_timeout = args.optional_time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    Keyword::global(
        "stats maxconn",
        "<connections>",
        "Limits the clients of the runtime API.",
        |args, context| {
            context.global.stats_maxconn = Some(args.number(1..=65_535)?);
            args.end()
        },
    ),
    Keyword::global(
        "hard-stop-after",
        "<time>",
        "Limits how long a soft stop may take.",
        |args, context| {
            context.global.hard_stop_after = args.optional_time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    Keyword::global(
        "grace",
        "<time>",
        "Keeps listeners open for a while after SIGUSR1.",
        |args, context| {
            context.global.grace = args.optional_time(Unit::Milliseconds)?;
            args.end()
        },
    ),
    Keyword::global(
        "spread-checks",
        "<0..50>",
        "Spreads checks by a random percentage of their interval.",
        |args, context| {
            context.global.spread_checks = args.number(0..=50)?;
            args.end()
        },
    ),
    Keyword::global(
        "zero-warning",
        "",
        "Refuses to start when there is any warning.",
        |args, context| {
            context.global.zero_warning = true;
            args.end()
        },
    ),
    Keyword::global(
        "unix-bind",
        "[prefix <prefix>] [mode <mode>] [user <user>] [uid <uid>] [group <group>] [gid <gid>]",
        "Sets defaults of listening Unix sockets.",
        super::bind::unix_bind,
    ),
    Keyword::global(
        "tune.bufsize",
        "<size>",
        "Sets the size of a buffer.",
        |args, context| {
            let bytes = size(args.need("a size")?, 1 << 30)?;
            context.global.tune.bufsize = (bytes.max(1024) as usize).next_multiple_of(16);
            args.end()
        },
    ),
    Keyword::global(
        "tune.comp.maxlevel",
        "<number>",
        "Sets how hard bodies are compressed.",
        |args, context| {
            context.global.tune.compression_level = args.number(1..=9)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.maxrewrite",
        "<number>",
        "Sets the reserve of a buffer for added headers.",
        |args, context| {
            context.global.tune.maxrewrite = args.number(1..=1 << 30)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.http.maxhdr",
        "<number>",
        "Limits the header fields of a message.",
        |args, context| {
            context.global.tune.http_maxhdr = args.number(1..=32_767)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.http.logurilen",
        "<number>",
        "Limits the length of a URI in the log.",
        |args, context| {
            context.global.tune.http_logurilen = args.number(1..=1 << 20)?;
            args.end()
        },
    ),
    Keyword::global(
        "tune.http.cookielen",
        "<number>",
        "Limits the length of a captured cookie.",
        |args, context| {
            context.global.tune.http_cookielen = args.number(2..=65_536usize)? - 1;
            args.end()
        },
    ),
    Keyword::global(
        "tune.maxaccept",
        "<number>",
        "Limits the connections accepted in a row.",
        |args, context| {
            let number: i64 = args.number(-1..=1_000_000)?;
            context.global.tune.maxaccept = usize::try_from(number).unwrap_or(usize::MAX).max(1);
            args.end()
        },
    ),
    Keyword::global(
        "tune.stick-counters",
        "<number>",
        "Sets how many counters a connection may track.",
        |args, _| {
            args.number(1..=3u8)?;
            args.end()
        },
    ),
];

fn unknown_capability(word: &Word, name: &str) -> Complaint {
    let known = Capability::ALL.map(|(known, _)| known);
    let message = format!("unknown capability '{name}'");
    Complaint::new(word.span, message).hint(format!("one of {}", known.join(", ")))
}

/// `setenv` and `presetenv`: the parser has already let them act on the lines that follow.
fn two_words(args: &mut Args<'_>, _: &mut Context<'_>) -> Parsed {
    args.need("a name and a value")?;
    args.only("a name and a value")?;
    Ok(())
}
