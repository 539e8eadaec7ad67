//! Options of the socket, its owner, its limits.

use super::{BindOption, md5_password, mode, named_group, named_user, no_op, option, refused};
use crate::lang::keywords::args::{Complaint, Unit};
use crate::lang::keywords::http2::PROTOCOLS;
use crate::lang::keywords::logging::choose;
use crate::model::{AddressFamily, Level, Principal};

pub(super) const OPTIONS: &[BindOption] = &[
    option(
        "accept-netscaler-cip",
        "<magic number>",
        "Expects NetScaler's Client IP insertion.",
        |args, bind, _| {
            let word = args.need("a magic number")?;
            let magic = match word.text.strip_prefix("0x") {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => word.text.parse(),
            };
            let wrong = |_| Complaint::new(word.span, "expects a number of 32 bits");
            bind.netscaler = Some(magic.map_err(wrong)?);
            Ok(())
        },
    ),
    option(
        "accept-proxy",
        "",
        "Expects a PROXY protocol header from every client.",
        |_, bind, _| {
            bind.accept_proxy = true;
            Ok(())
        },
    ),
    option(
        "backlog",
        "<backlog>",
        "Sets the length of the kernel's queue of connections.",
        |args, bind, _| {
            bind.options.backlog = Some(args.number(0..=u32::MAX)?).filter(|backlog| *backlog > 0);
            Ok(())
        },
    ),
    option(
        "defer-accept",
        "",
        "Accepts only once data has come.",
        |_, bind, _| {
            bind.options.defer_accept = true;
            Ok(())
        },
    ),
    option(
        "expose-fd",
        "listeners",
        "Lets a new process take over the listeners.",
        |args, bind, _| {
            let word = args.need("'listeners'")?;
            choose(word, "kind of descriptor", &[("listeners", ())])?;
            bind.expose_listeners = true;
            Ok(())
        },
    ),
    option(
        "gid",
        "<gid>",
        "Sets the group of a Unix socket.",
        |args, bind, _| {
            bind.options.group = Some(Principal::Id(args.number(0..=u32::MAX)?));
            Ok(())
        },
    ),
    option(
        "group",
        "<group>",
        "Sets the group of a Unix socket.",
        |args, bind, context| {
            bind.options.group = Some(named_group(args.need("a group name")?, context)?);
            Ok(())
        },
    ),
    option(
        "id",
        "<id>",
        "Sets the number of the listener.",
        |args, bind, _| {
            bind.number = Some(args.number(1..=u32::MAX)?);
            Ok(())
        },
    ),
    option(
        "interface",
        "<interface>",
        "Listens on one network interface only.",
        |args, bind, _| {
            bind.options.interface = Some(args.need("an interface name")?.text.clone());
            Ok(())
        },
    ),
    option(
        "level",
        "<level>",
        "Sets what clients of the runtime API may do.",
        |args, bind, _| {
            let levels = [
                ("user", Level::User),
                ("operator", Level::Operator),
                ("admin", Level::Admin),
            ];
            bind.level = Some(choose(
                args.need("'user', 'operator' or 'admin'")?,
                "level",
                &levels,
            )?);
            Ok(())
        },
    ),
    option(
        "maxconn",
        "<maxconn>",
        "Limits the connections of this listener.",
        |args, bind, _| {
            bind.maxconn = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            Ok(())
        },
    ),
    option(
        "mode",
        "<mode>",
        "Sets the permissions of a Unix socket.",
        |args, bind, _| {
            bind.options.mode = Some(mode(args)?);
            Ok(())
        },
    ),
    option(
        "mss",
        "<maxseg>",
        "Sets the largest TCP segment.",
        |args, bind, _| {
            bind.options.mss = Some(args.number(88..=65_535u16)?);
            Ok(())
        },
    ),
    option(
        "name",
        "<name>",
        "Names the listener for statistics.",
        |args, bind, _| {
            bind.name = Some(args.need("a name")?.text.clone());
            Ok(())
        },
    ),
    option(
        "nbconn",
        "<nbconn>",
        "Sets how many connections 'rhttp@' keeps open.",
        |args, bind, _| {
            bind.connections = Some(args.number(1..=1024u32)?);
            Ok(())
        },
    ),
    option(
        "proto",
        "<name>",
        "Imposes the protocol instead of detecting it.",
        |args, bind, _| {
            let word = args.need("a protocol name")?;
            bind.proto = Some(choose(word, "protocol", PROTOCOLS)?);
            Ok(())
        },
    ),
    option(
        "tcp-ut",
        "<delay>",
        "Sets how long sent data may stay unacknowledged.",
        |args, bind, _| {
            bind.options.user_timeout = args.optional_time(Unit::Milliseconds)?;
            Ok(())
        },
    ),
    option(
        "tcp-md5sig",
        "<password>",
        "Signs every TCP segment (RFC 2385).",
        |args, bind, _| {
            bind.options.md5 = Some(md5_password(args)?);
            Ok(())
        },
    ),
    option(
        "cc",
        "<algo>",
        "Chooses TCP's congestion control.",
        |args, bind, _| {
            bind.options.congestion = Some(args.need("an algorithm")?.text.clone());
            Ok(())
        },
    ),
    option("tfo", "", "Accepts TCP fast open.", |_, bind, _| {
        bind.options.fast_open = true;
        Ok(())
    }),
    option(
        "transparent",
        "",
        "Binds addresses that are not local.",
        |_, bind, _| {
            bind.options.transparent = true;
            Ok(())
        },
    ),
    option(
        "uid",
        "<uid>",
        "Sets the owner of a Unix socket.",
        |args, bind, _| {
            bind.options.user = Some(Principal::Id(args.number(0..=u32::MAX)?));
            Ok(())
        },
    ),
    option(
        "user",
        "<user>",
        "Sets the owner of a Unix socket.",
        |args, bind, context| {
            bind.options.user = Some(named_user(args.need("a user name")?, context)?);
            Ok(())
        },
    ),
    option("v4v6", "", "Listens on both families.", |_, bind, _| {
        bind.options.family = AddressFamily::Both;
        Ok(())
    }),
    option("v6only", "", "Listens on IPv6 only.", |_, bind, _| {
        bind.options.family = AddressFamily::V6Only;
        Ok(())
    }),
    no_op("thread", "<set>", "every thread listens"),
    no_op("shards", "<number>", "every thread has a socket of its own"),
    no_op("nice", "<nice>", "sessions are not given priorities"),
    refused(
        "namespace",
        "<name>",
        "start the process inside the namespace",
    ),
    refused("process", "<set>", "there is one process; use 'thread'"),
    refused("severity-output", "<format>", "answers carry no severity"),
    refused(
        "guid-prefix",
        "<string>",
        "objects are known by their names",
    ),
    refused("idle-ping", "<delay>", "idle clients are not probed"),
    refused("label", "<name>", "use 'name'"),
    refused("quic-socket", "<mode>", "there is no QUIC"),
];
