//! The local end of connections to servers: `source`, of a server and of a backend (manual §4.2, §5.2).

use std::net::SocketAddr;

use super::{ServerOption, option};
use crate::lang::keywords::address::{Address, Endpoint, Ports};
use crate::lang::keywords::args::{Args, Complaint, Parsed};
use crate::lang::keywords::context::Context;
use crate::model::{ShownSource, Source};

pub(super) const OPTIONS: &[ServerOption] = &[
    option(
        "source",
        "<addr>[:<port>] [usesrc <what>] [interface <name>]",
        "Sets the local end of connections.",
        |args, server, context| {
            server.source = Some(source(args, context)?);
            Ok(())
        },
    ),
    option(
        "usesrc",
        "<what>",
        "Sets what connections seem to come from, after `source <addr>`.",
        |args, _, _| Err(args.wrong("only allowed after a 'source' statement")),
    ),
];

/// `source <addr>[:<port>] [interface <name>]`, on server lines and of a backend.
pub(in crate::lang::keywords) fn source(
    args: &mut Args<'_>,
    context: &Context<'_>,
) -> Parsed<Source> {
    let word =
        args.need("<addr>[:<port>[-<port>]], and optionally 'interface' <name> as argument")?;
    let Address {
        endpoint: Endpoint::Inet { host, ports },
        ..
    } = Address::of(word)?
    else {
        return Err(Complaint::new(word.span, "expects an IP address"));
    };
    let port = match ports {
        Ports::None => 0,
        Ports::One(port) => port,
        _ => {
            return Err(Complaint::new(
                word.span,
                "port ranges are not supported for 'source'",
            ));
        }
    };
    let address = SocketAddr::new(host.resolve(context, word.span)?, port);
    let is_any = address.ip().is_unspecified() && port == 0;
    let mut source = Source {
        address: (!is_any).then_some(address),
        interface: None,
        shown: None,
    };
    loop {
        if args.take_if("interface") {
            source.interface = Some(args.need("an interface name")?.text.clone());
        } else if args.take_if("usesrc") {
            source.shown = shown_source(args, context)?;
        } else {
            return Ok(source);
        }
    }
}

/// What follows `usesrc`; an occurrence of 0 means nothing is shown.
fn shown_source(args: &mut Args<'_>, context: &Context<'_>) -> Parsed<Option<ShownSource>> {
    let word = args.need("<addr2>[:<port2>], 'client', 'clientip' or 'hdr_ip(name,#)'")?;
    let wrong = |message: &str| Complaint::new(word.span, message);
    let text = word.text.as_str();
    match text {
        "client" => return Ok(Some(ShownSource::Client)),
        "clientip" => return Ok(Some(ShownSource::ClientIp)),
        _ => {}
    }
    if let Some(arguments) = text.strip_prefix("hdr_ip(") {
        let arguments = arguments
            .strip_suffix(')')
            .ok_or_else(|| wrong("missing ')' after 'hdr_ip('"))?;
        let (name, occurrence) = arguments.split_once(',').unwrap_or((arguments, "-1"));
        let occurrence = occurrence.trim().parse::<i32>();
        let occurrence = occurrence.map_err(|_| wrong("the occurrence must be a number"))?;
        if name.is_empty() {
            return Err(wrong("expects the name of a header"));
        }
        let name = name.to_ascii_lowercase().into_boxed_str();
        return Ok((occurrence != 0).then_some(ShownSource::Header(name, occurrence)));
    }
    let Address {
        endpoint: Endpoint::Inet { host, ports },
        ..
    } = Address::of(word)?
    else {
        return Err(wrong("expects an IP address"));
    };
    let port = match ports {
        Ports::None => 0,
        Ports::One(port) => port,
        _ => return Err(wrong("port ranges are not supported for 'usesrc'")),
    };
    let ip = host.resolve(context, word.span)?;
    Ok(Some(ShownSource::Address(SocketAddr::new(ip, port))))
}
