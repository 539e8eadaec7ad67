//! Options about load, persistence, addresses and connections.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{InitAddr, ServerOption, ServerOptions, option, refused};
use crate::expr::Stage;
use crate::lang::keywords::address::{Address, Endpoint, Ports};
use crate::lang::keywords::args::{Args, Complaint, Parsed, Unit, number};
use crate::lang::keywords::bind::options::md5_password;
use crate::lang::keywords::context::Context;
use crate::lang::keywords::expressions::Rules;
use crate::lang::keywords::http2::PROTOCOLS;
use crate::lang::keywords::logging::choose;
use crate::model::{HttpProtocol, WebSocket};
use crate::types::{Millis, Weight};

const WEBSOCKETS: &[(&str, WebSocket)] = &[
    ("auto", WebSocket::Auto),
    ("h1", WebSocket::Only(HttpProtocol::Http1)),
    ("h2", WebSocket::Only(HttpProtocol::Http2)),
];

pub(super) const OPTIONS: &[ServerOption] = &[
    option(
        "backup",
        "",
        "Takes traffic only when no other server can.",
        |_, server, _| {
            server.backup = true;
            Ok(())
        },
    ),
    option(
        "no-backup",
        "",
        "Takes traffic like the others.",
        |_, server, _| {
            server.backup = false;
            Ok(())
        },
    ),
    option(
        "cookie",
        "<value>",
        "Names the server in the persistence cookie.",
        |args, server, _| {
            server.cookie = Some(args.need("a value")?.text.clone());
            Ok(())
        },
    ),
    option(
        "pool-low-conn",
        "<max>",
        "Keeps idle connections beyond what was needed lately.",
        |args, server, _| {
            server.pool_low = args.number(0..=u32::MAX)?;
            Ok(())
        },
    ),
    option(
        "pool-conn-name",
        "<expression>",
        "Tells connections apart that requests may share.",
        |args, server, context| {
            let mut rules = Rules::without_acls(context, Stage::Connect);
            server.pool_name = Some(rules.expression(args)?);
            Ok(())
        },
    ),
    option(
        "proto",
        "<name>",
        "Imposes the version of HTTP spoken to the server.",
        |args, server, _| {
            let word = args.need("a protocol name")?;
            server.proto = Some(choose(word, "protocol", PROTOCOLS)?);
            Ok(())
        },
    ),
    option(
        "ws",
        "{ auto | h1 | h2 }",
        "Sets the version of HTTP for WebSocket handshakes.",
        |args, server, _| {
            let word = args.need("'auto', 'h1' or 'h2'")?;
            server.websocket = choose(word, "WebSocket mode", WEBSOCKETS)?;
            Ok(())
        },
    ),
    option("disabled", "", "Starts in maintenance.", |_, server, _| {
        server.disabled = true;
        Ok(())
    }),
    option(
        "enabled",
        "",
        "Does not start in maintenance.",
        |_, server, _| {
            server.disabled = false;
            Ok(())
        },
    ),
    option(
        "id",
        "<value>",
        "Sets the server's number.",
        |args, server, _| {
            server.number = Some(args.number(1..=i32::MAX as u32)?);
            Ok(())
        },
    ),
    option(
        "init-addr",
        "{last | libc | none | <ip>},[...]*",
        "Sets how the address is found at start.",
        |args, server, _| {
            let word = args.need("a comma-separated list of methods")?;
            server.init_addr = word
                .text
                .split(',')
                .map(|method| match method {
                    "last" => Ok(InitAddr::Last),
                    "libc" => Ok(InitAddr::Libc),
                    "none" => Ok(InitAddr::None),
                    _ => method.parse().map(InitAddr::Address).map_err(|_| {
                        let message = format!("unknown address initialisation method '{method}'");
                        Complaint::new(word.span, message)
                            .hint("methods are last, libc, none or an address")
                    }),
                })
                .collect::<Parsed<_>>()?;
            Ok(())
        },
    ),
    option(
        "max-reuse",
        "<count>",
        "Limits the requests of one connection.",
        |args, server, _| {
            let word = args.need("an integer argument")?;
            server.max_reuse = if word.text == "-1" {
                None
            } else {
                Some(number(word, 0..=i32::MAX as u32)?)
            };
            Ok(())
        },
    ),
    option(
        "maxconn",
        "<maxconn>",
        "Limits the connections to the server; in 'mode l4' its flows: those beyond go elsewhere or are refused, none waits.",
        |args, server, _| {
            server.maxconn = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            Ok(())
        },
    ),
    option(
        "maxqueue",
        "<maxqueue>",
        "Limits the requests that wait for the server.",
        |args, server, _| {
            server.maxqueue = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            Ok(())
        },
    ),
    option(
        "minconn",
        "<minconn>",
        "Sets where the dynamic limit starts.",
        |args, server, _| {
            server.minconn = Some(args.number(0..=u32::MAX)?).filter(|limit| *limit > 0);
            Ok(())
        },
    ),
    option(
        "no-send-proxy",
        "",
        "Sends no PROXY header.",
        |_, server, _| {
            server.send_proxy = None;
            Ok(())
        },
    ),
    option(
        "no-send-proxy-v2",
        "",
        "Sends no PROXY header.",
        |_, server, _| {
            server.send_proxy = None;
            Ok(())
        },
    ),
    option(
        "non-stick",
        "",
        "Is not remembered by stick rules.",
        |_, server, _| {
            server.non_stick = true;
            Ok(())
        },
    ),
    option(
        "stick",
        "",
        "Is remembered by stick rules.",
        |_, server, _| {
            server.non_stick = false;
            Ok(())
        },
    ),
    option(
        "pool-max-conn",
        "<max>",
        "Limits the idle connections kept.",
        |args, server, _| {
            let word = args.need("an integer argument")?;
            server.pool_max = if word.text == "-1" {
                None
            } else {
                Some(number(word, 0..=i32::MAX as u32)?)
            };
            Ok(())
        },
    ),
    option(
        "pool-purge-delay",
        "<delay>",
        "Sets how long idle connections are kept.",
        |args, server, _| {
            server.pool_purge_delay = args.time(Unit::Milliseconds)?;
            Ok(())
        },
    ),
    option(
        "redir",
        "<prefix>",
        "Redirects GET and HEAD instead of forwarding them.",
        |args, server, _| {
            server.redirect_prefix = Some(args.need("a prefix")?.text.clone());
            Ok(())
        },
    ),
    option(
        "send-proxy",
        "",
        "Sends a PROXY header of version 1.",
        |_, server, _| {
            server.send_proxy = Some(1);
            Ok(())
        },
    ),
    option(
        "send-proxy-v2",
        "",
        "Sends a PROXY header of version 2.",
        |_, server, _| {
            server.send_proxy = Some(2);
            Ok(())
        },
    ),
    option(
        "send-proxy-v2-ssl",
        "",
        "Sends a PROXY header of version 2 with the client's TLS in it.",
        |_, server, _| {
            server.send_proxy = Some(2);
            server.proxy_records.tls = true;
            Ok(())
        },
    ),
    option(
        "send-proxy-v2-ssl-cn",
        "",
        "The same with the common name of the client's certificate.",
        |args, server, context| {
            server.send_proxy = Some(2);
            records(args, "cert-cn", server, context)
        },
    ),
    option(
        "proxy-v2-options",
        "<option>[,<option>]*",
        "Adds records to PROXY headers of version 2.",
        |args, server, context| {
            let word = args.need("a comma-delimited list of options")?;
            word.text
                .split(',')
                .try_for_each(|name| records(args, name, server, context))
        },
    ),
    option(
        "set-proxy-v2-tlv-fmt",
        "(<id>) <fmt>",
        "Adds a record of one's own to PROXY headers of version 2.",
        |args, server, context| {
            let format = args.need("a log-format string")?;
            let keyword = args.before(2).map_or("", |word| word.text.as_str());
            let inside = keyword.split_once('(').map_or("", |(_, rest)| rest);
            let digits = inside.strip_suffix(')').unwrap_or_default();
            let kind = match digits.strip_prefix("0x") {
                Some(digits) => u8::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            let kind = kind.map_err(|_| {
                Complaint::new(
                    format.span,
                    "expects a record type from 0 to 255 in parentheses",
                )
            })?;
            let format = Rules::without_acls(context, Stage::Request).log_format(format)?;
            server.proxy_records.formats.push((kind, Arc::new(format)));
            Ok(())
        },
    ),
    option(
        "socks4",
        "<addr>:<port>",
        "Reaches the server through a SOCKS 4 proxy.",
        |args, server, context| {
            let word = args.need("<addr>:<port>")?;
            let Endpoint::Inet {
                host,
                ports: Ports::One(port),
            } = Address::of(word)?.endpoint
            else {
                return Err(Complaint::new(word.span, "expects an address and a port"));
            };
            server.socks4 = Some(SocketAddr::new(host.resolve(context, word.span)?, port));
            Ok(())
        },
    ),
    option(
        "slowstart",
        "<delay>",
        "Grows the weight for a while after the server comes up.",
        |args, server, _| {
            let time = args.time(Unit::Milliseconds)?;
            server.slowstart = Some(Millis(time.0.div_ceil(1000) * 1000)).filter(|time| time.0 > 0);
            Ok(())
        },
    ),
    option(
        "weight",
        "<weight>",
        "Sets the server's share of the load, 0 to 256.",
        |args, server, _| {
            server.weight = Weight(args.number(0..=256)?);
            Ok(())
        },
    ),
    refused("hash-key", "<key>", "servers are hashed by their number"),
    refused(
        "namespace",
        "<name>",
        "start the process inside the namespace",
    ),
    option(
        "resolvers",
        "<id>",
        "Names the resolvers section that keeps the address current.",
        |args, server, _| {
            server.resolution.section = Some(args.need("the name of a resolvers section")?.clone());
            Ok(())
        },
    ),
    option(
        "resolve-prefer",
        "<family>",
        "Sets which family of addresses is taken when there are both.",
        |args, server, _| {
            let word = args.need("'ipv4' or 'ipv6'")?;
            server.resolution.prefers_v4 = match word.text.as_str() {
                "ipv4" => true,
                "ipv6" => false,
                _ => return Err(Complaint::unknown(word, "family", ["ipv4", "ipv6"])),
            };
            Ok(())
        },
    ),
    option(
        "resolve-net",
        "<network>[,<network>]*",
        "Prefers addresses in these networks.",
        |args, server, _| {
            let word = args.need("a list of networks")?;
            server.resolution.read_networks(word)
        },
    ),
    option(
        "resolve-opts",
        "<option>[,<option>]*",
        "Says whether servers may share an address, and whether SRV weights count.",
        |args, server, _| {
            let word = args.need("a list of options")?;
            server.resolution.read(word)
        },
    ),
    option(
        "tcp-ut",
        "<delay>",
        "Sets how long sent data may stay unacknowledged.",
        |args, server, _| {
            server.socket.user_timeout = args.optional_time(Unit::Milliseconds)?;
            Ok(())
        },
    ),
    option(
        "tfo",
        "",
        "Sends the first data with the SYN (TCP fast open).",
        |_, server, _| {
            server.socket.fast_open = true;
            Ok(())
        },
    ),
    option(
        "no-tfo",
        "",
        "Resets 'tfo' of a default.",
        |_, server, _| {
            server.socket.fast_open = false;
            Ok(())
        },
    ),
    option(
        "cc",
        "<algo>",
        "Chooses TCP's congestion control.",
        |args, server, _| {
            server.socket.congestion = Some(args.need("an algorithm")?.text.clone());
            Ok(())
        },
    ),
    option(
        "tcp-md5sig",
        "<password>",
        "Signs every TCP segment (RFC 2385).",
        |args, server, _| {
            server.socket.md5 = Some(md5_password(args)?);
            Ok(())
        },
    ),
    refused("guid", "<string>", "objects are known by their names"),
    refused("idle-ping", "<delay>", "idle connections are not probed"),
    refused("init-state", "<state>", "checked servers start up"),
    refused("shard", "<shard>", "there are no peers"),
    option(
        "strict-maxconn",
        "",
        "Lets 'maxconn' bound idle connections, too.",
        |_, server, _| {
            server.strict_maxconn = true;
            Ok(())
        },
    ),
];

/// One of `proxy-v2-options`. What is in certificates is read by the fetches that are there for it.
fn records(
    args: &Args<'_>,
    name: &str,
    server: &mut ServerOptions,
    context: &mut Context<'_>,
) -> Parsed {
    let span = args.line().span();
    let mut format = |text: &str| {
        Rules::without_acls(context, Stage::Request)
            .built_in_format(text, span)
            .map(|format| Some(Arc::new(format)))
    };
    let records = &mut server.proxy_records;
    match name {
        "ssl" => {}
        "cert-cn" => records.common_name = format("%[ssl_c_s_dn(CN)]")?,
        "ssl-cipher" => records.cipher = true,
        "cert-sig" => records.signature = format("%[ssl_f_sig_alg]")?,
        "cert-key" => records.key = format("%[ssl_f_key_alg]")?,
        "authority" => records.authority = true,
        "crc32c" => records.checksum = true,
        "unique-id" => records.unique_id = true,
        _ => return Err(Complaint::new(span, format!("unknown option '{name}'"))),
    }
    records.tls |= matches!(
        name,
        "ssl" | "cert-cn" | "ssl-cipher" | "cert-sig" | "cert-key"
    );
    Ok(())
}
