//! Options of servers that take log messages: in `ring` sections and in backends of `mode log`.

use super::{ServerOption, option};
use crate::lang::keywords::logging::choose;
use crate::proto::syslog::Framing;

pub(super) const OPTIONS: &[ServerOption] = &[
    option(
        "log-proto",
        "{ legacy | octet-count }",
        "Says how log messages are told apart on a connection.",
        |args, server, _| {
            let word = args.need("'legacy' or 'octet-count'")?;
            let protocols = [
                ("legacy", Framing::Lines),
                ("octet-count", Framing::OctetCount),
            ];
            server.log_framing = choose(word, "log protocol", &protocols)?;
            Ok(())
        },
    ),
    option(
        "log-bufsize",
        "<bufsize>",
        "Sets how many bytes of log messages may wait for the server.",
        |args, server, _| {
            server.log_buffer = Some(args.number(1024..=1 << 31)?);
            Ok(())
        },
    ),
];
