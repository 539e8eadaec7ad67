//! `option …` but for logs and checks (manual §4.2).

use ipnet::IpNet;

use super::args::{Args, Complaint, Parsed};
use super::registry::{Effect, Keyword, Sections};
use crate::expr::parse_network;
use crate::lang::ast::Word;
use crate::model::{ForwardedFor, Proxy, Redispatch, TrailingClose};

const fn flag(
    name: &'static str,
    sections: Sections,
    doc: &'static str,
    field: fn(&mut Proxy) -> &mut bool,
) -> Keyword {
    Keyword {
        name,
        sections,
        args: "",
        doc,
        effect: Effect::Flag(field),
    }
}

const fn no_op(name: &'static str, sections: Sections, why: &'static str) -> Keyword {
    Keyword {
        name,
        sections,
        args: "",
        doc: "Accepted without effect.",
        effect: Effect::NoOp(why),
    }
}

const fn refused(name: &'static str, sections: Sections, instead: &'static str) -> Keyword {
    Keyword {
        name,
        sections,
        args: "",
        doc: "Not in this version.",
        effect: Effect::Refused(instead),
    }
}

/// `option httpclose` and its kin: the last one written counts, `no` restores keep-alive if that one is in force.
const fn close(name: &'static str, doc: &'static str, on: Effect) -> Keyword {
    Keyword {
        name,
        sections: Sections::ANY_PROXY,
        args: "",
        doc,
        effect: on,
    }
}

pub(super) const KEYWORDS: &[Keyword] = &[
    flag(
        "option abortonclose",
        Sections::ANY_PROXY,
        "Gives up requests whose client has left.",
        |proxy| &mut proxy.abort_on_close,
    ),
    flag(
        "option allbackups",
        Sections::BACK,
        "Uses all backup servers at once.",
        |proxy| &mut proxy.all_backups,
    ),
    flag(
        "option checkcache",
        Sections::BACK,
        "Refuses cacheable responses with cookies.",
        |proxy| &mut proxy.check_cache,
    ),
    flag(
        "option h1-case-adjust-bogus-client",
        Sections::FRONT,
        "Writes header names to clients as 'h1-case-adjust' says.",
        |proxy| &mut proxy.adjust_case_to_client,
    ),
    flag(
        "option h1-case-adjust-bogus-server",
        Sections::BACK,
        "Writes header names to servers as 'h1-case-adjust' says.",
        |proxy| &mut proxy.adjust_case_to_server,
    ),
    flag(
        "option clitcpka",
        Sections::FRONT,
        "Probes idle clients.",
        |proxy| &mut proxy.client_keepalive,
    ),
    flag(
        "option socket-stats",
        Sections::FRONT,
        "Shows the statistics of every listener.",
        |proxy| &mut proxy.socket_stats,
    ),
    flag(
        "option contstats",
        Sections::FRONT,
        "Counts while sessions run.",
        |proxy| &mut proxy.contstats,
    ),
    flag(
        "option http-buffer-request",
        Sections::ANY_PROXY,
        "Waits for the body before choosing a server.",
        |proxy| &mut proxy.buffer_request,
    ),
    flag(
        "option http-ignore-probes",
        Sections::FRONT,
        "Ignores connections without a request.",
        |proxy| &mut proxy.http_ignore_probes,
    ),
    no_op(
        "option http-no-delay",
        Sections::ANY_PROXY,
        "every piece of a message is sent at once",
    ),
    flag(
        "option http-use-proxy-header",
        Sections::FRONT,
        "Looks at Proxy-Connection in requests to a proxy.",
        |proxy| &mut proxy.use_proxy_header,
    ),
    flag(
        "option persist",
        Sections::BACK,
        "Lets cookies lead to servers that are down.",
        |proxy| &mut proxy.persist,
    ),
    flag(
        "option prefer-last-server",
        Sections::BACK,
        "Stays with the connection's last server.",
        |proxy| &mut proxy.prefer_last_server,
    ),
    flag(
        "option srvtcpka",
        Sections::BACK,
        "Probes idle servers.",
        |proxy| &mut proxy.server_keepalive,
    ),
    flag(
        "option accept-unsafe-violations-in-http-request",
        Sections::FRONT,
        "Accepts requests that break the protocol.",
        |proxy| &mut proxy.accept_invalid_request,
    ),
    flag(
        "option accept-invalid-http-request",
        Sections::FRONT,
        "Accepts requests that break the protocol.",
        |proxy| &mut proxy.accept_invalid_request,
    ),
    flag(
        "option accept-unsafe-violations-in-http-response",
        Sections::BACK,
        "Accepts responses that break the protocol.",
        |proxy| &mut proxy.accept_invalid_response,
    ),
    flag(
        "option accept-invalid-http-response",
        Sections::BACK,
        "Accepts responses that break the protocol.",
        |proxy| &mut proxy.accept_invalid_response,
    ),
    Keyword {
        name: "option tcpka",
        sections: Sections::ANY_PROXY,
        args: "",
        doc: "Probes idle peers on both sides.",
        effect: Effect::Switch(
            |args, draft, _| {
                draft.proxy.client_keepalive = true;
                draft.proxy.server_keepalive = true;
                args.end()
            },
            |draft| {
                draft.proxy.client_keepalive = false;
                draft.proxy.server_keepalive = false;
            },
        ),
    },
    Keyword {
        name: "option nolinger",
        sections: Sections::ANY_PROXY,
        args: "",
        doc: "Resets connections instead of closing them.",
        effect: Effect::Switch(
            |args, draft, _| {
                draft.proxy.client_nolinger = true;
                draft.proxy.server_nolinger = true;
                args.end()
            },
            |draft| {
                draft.proxy.client_nolinger = false;
                draft.proxy.server_nolinger = false;
            },
        ),
    },
    close(
        "option http-keep-alive",
        "Keeps connections open on both sides.",
        Effect::Switch(
            |args, draft, _| {
                draft.proxy.trailing_close = TrailingClose::KeepAlive;
                args.end()
            },
            |_| {},
        ),
    ),
    close(
        "option http-server-close",
        "Closes the server's connection after each response.",
        Effect::Switch(
            |args, draft, _| {
                draft.proxy.trailing_close = TrailingClose::Server;
                args.end()
            },
            |draft| restore(&mut draft.proxy.trailing_close, TrailingClose::Server),
        ),
    ),
    close(
        "option httpclose",
        "Closes both connections after each response.",
        Effect::Switch(
            |args, draft, _| {
                draft.proxy.trailing_close = TrailingClose::Both;
                args.end()
            },
            |draft| restore(&mut draft.proxy.trailing_close, TrailingClose::Both),
        ),
    ),
    Keyword {
        name: "option redispatch",
        sections: Sections::BACK,
        args: "[<interval>]",
        doc: "Changes the server when connections to it fail.",
        effect: Effect::Switch(
            |args, draft, _| {
                let interval = if args.peek().is_some() {
                    args.number(-1000..=1000i32)?
                } else {
                    -1
                };
                draft.proxy.redispatch = match interval {
                    0 => Redispatch::Off,
                    -1 => Redispatch::LastRetry,
                    interval if interval > 0 => Redispatch::EveryNth(interval.unsigned_abs()),
                    interval => Redispatch::BeforeLast(interval.unsigned_abs()),
                };
                args.end()
            },
            |draft| draft.proxy.redispatch = Redispatch::Off,
        ),
    },
    Keyword {
        name: "option forwardfor",
        sections: Sections::ANY_PROXY,
        args: "[except <network>] [header <name>] [if-none]",
        doc: "Tells servers the client's address in a header.",
        effect: Effect::Switch(
            |args, draft, _| {
                draft.proxy.forwarded_for = Some(forwarded(args, "X-Forwarded-For", true)?);
                Ok(())
            },
            |draft| draft.proxy.forwarded_for = None,
        ),
    },
    Keyword {
        name: "option originalto",
        sections: Sections::ANY_PROXY,
        args: "[except <network>] [header <name>]",
        doc: "Tells servers the address the client came to.",
        effect: Effect::Switch(
            |args, draft, _| {
                draft.proxy.original_to = Some(forwarded(args, "X-Original-To", false)?);
                Ok(())
            },
            |draft| draft.proxy.original_to = None,
        ),
    },
    no_op(
        "option splice-auto",
        Sections::ANY_PROXY,
        "large transfers are spliced whenever that is faster",
    ),
    no_op(
        "option splice-request",
        Sections::ANY_PROXY,
        "large transfers are spliced whenever that is faster",
    ),
    no_op(
        "option splice-response",
        Sections::ANY_PROXY,
        "large transfers are spliced whenever that is faster",
    ),
    no_op(
        "option tcp-smart-accept",
        Sections::FRONT,
        "acknowledgements are the kernel's business",
    ),
    no_op(
        "option tcp-smart-connect",
        Sections::BACK,
        "acknowledgements are the kernel's business",
    ),
    no_op(
        "option independent-streams",
        Sections::ANY_PROXY,
        "each side has its own timer",
    ),
    no_op(
        "option http-pretend-keepalive",
        Sections::BACK,
        "servers are asked to close only when their connection is to be closed",
    ),
    no_op(
        "option idle-close-on-response",
        Sections::FRONT,
        "idle connections are closed cleanly at a soft stop",
    ),
    no_op(
        "option disable-h2-upgrade",
        Sections::FRONT,
        "HTTP/2 is never begun within an HTTP/1 connection",
    ),
    no_op(
        "option use-small-buffers",
        Sections::BACK,
        "buffers are held only while bytes are in flight",
    ),
    refused(
        "option http-drop-request-trailers",
        Sections::BACK,
        "trailers are passed",
    ),
    refused(
        "option http-drop-response-trailers",
        Sections::FRONT,
        "trailers are passed",
    ),
    refused(
        "option http-restrict-req-hdr-names",
        Sections::ANY_PROXY,
        "use 'http-request del-header' with '-m reg'",
    ),
    refused(
        "option http_proxy",
        Sections::ANY_PROXY,
        "requests go to configured servers only",
    ),
    refused(
        "option transparent",
        Sections::ANY_PROXY,
        "use a server with the address '*'",
    ),
    refused("option dispatch", Sections::ANY_PROXY, "use 'server'"),
];

fn restore(close: &mut TrailingClose, written: TrailingClose) {
    if *close == written {
        *close = TrailingClose::KeepAlive;
    }
}

fn forwarded(args: &mut Args<'_>, header: &str, may_be_conditional: bool) -> Parsed<ForwardedFor> {
    let mut forwarded = ForwardedFor {
        header: header.to_owned(),
        except: Vec::new(),
        if_none: false,
    };
    while let Some(word) = args.take() {
        match word.text.as_str() {
            "except" => forwarded.except = vec![network(args.need("an address as argument")?)?],
            "header" => forwarded.header = args.need("an header name as argument")?.text.clone(),
            "if-none" if may_be_conditional => forwarded.if_none = true,
            _ => {
                return Err(Complaint::unknown(
                    word,
                    "argument",
                    ["except", "header", "if-none"],
                ));
            }
        }
    }
    Ok(forwarded)
}

/// An address or a network, as `10.0.0.0/8`, `10.0.0.0/255.0.0.0` or `::1`.
pub(super) fn network(word: &Word) -> Parsed<IpNet> {
    let wrong = || {
        Complaint::new(
            word.span,
            format!("expects an IPv4 or IPv6 network (got '{}')", word.text),
        )
    };
    parse_network(&word.text).ok_or_else(wrong)
}
