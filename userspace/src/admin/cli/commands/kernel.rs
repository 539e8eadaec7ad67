//! Commands about the kernel tier.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::{Answer, Call, Command};
use ipnet::IpNet;

use crate::dataplane::{DropCount, FlowSnapshot, Snapshot};
use crate::expr::parse_network;
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["show", "xdp"],
        usage: "show xdp [json]",
        doc: "report what the kernel part does: interfaces, services, servers, drops",
        level: Level::User,
        run: show,
    },
    Command {
        words: &["capture"],
        usage: "capture [drops] [sampled] [service <name>] [src <net>] [count <n>] [bytes <n>]",
        doc: "stream the packets the kernel decides about as a pcapng file",
        level: Level::Admin,
        run: |_| Answer::error("'capture' must be the only command of its connection."),
    },
    Command {
        words: &["show", "flows"],
        usage: "show flows [client <net>] [service <net>] [server <name>] [state <state>]",
        doc: "list the flows the kernel forwards, those with NAT with both ends",
        level: Level::User,
        run: |call| flows(call).unwrap_or_else(Answer::error),
    },
    Command {
        words: &["clear", "flows"],
        usage: "clear flows [client <net>] [service <net>] [server <name>] [state <state>]",
        doc: "let the kernel forget flows; their next packets find none",
        level: Level::Admin,
        run: |call| clear_flows(call).unwrap_or_else(Answer::error),
    },
];

fn flows(call: &Call<'_>) -> Result<Answer, String> {
    let chosen = Chosen::of(call.words)?;
    let Some(kernel) = &call.world.kernel else {
        return Err(NO_KERNEL.to_owned());
    };
    let flows = kernel
        .feedback()
        .flows(|flow| chosen.is(flow), MOST_FLOWS + 1);
    let mut text = String::new();
    for flow in flows.iter().take(MOST_FLOWS) {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let end =
            |end: Option<SocketAddr>| end.map_or_else(|| "-".to_owned(), |end| end.to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {} -> {} frontend {} server {} {} expires {}",
            flow.protocol,
            end(flow.client),
            end(flow.service),
            name(&flow.frontend),
            name(&flow.server),
            flow.state,
            flow.expires
        );
    }
    if flows.len() > MOST_FLOWS {
        let _ = writeln!(text, "# and more: only {MOST_FLOWS} are shown");
    }
    Ok(Answer::Output(text))
}

fn clear_flows(call: &Call<'_>) -> Result<Answer, String> {
    let chosen = Chosen::of(call.words)?;
    let Some(kernel) = &call.world.kernel else {
        return Err(NO_KERNEL.to_owned());
    };
    let forgotten = kernel.feedback().forget_flows(|flow| chosen.is(flow));
    Ok(Answer::info(format!("{forgotten} flows forgotten")))
}

/// Which flows a command is about: those for which everything that was said holds.
#[derive(Default)]
struct Chosen<'a> {
    client: Option<IpNet>,
    service: Option<IpNet>,
    server: Option<&'a str>,
    state: Option<&'a str>,
}

impl<'a> Chosen<'a> {
    fn of(words: &'a [String]) -> Result<Self, String> {
        let mut chosen = Self::default();
        for pair in words.chunks(2) {
            let [what, value] = pair else {
                return Err(format!("'{}' expects a value", pair[0]));
            };
            let network = || {
                parse_network(value).ok_or_else(|| format!("'{value}' is no address or network"))
            };
            match what.as_str() {
                "client" => chosen.client = Some(network()?),
                "service" => chosen.service = Some(network()?),
                "server" => chosen.server = Some(value),
                "state" => chosen.state = Some(value),
                _ => {
                    return Err(format!(
                        "'{what}' is not one of 'client', 'service', 'server', 'state'"
                    ));
                }
            }
        }
        Ok(chosen)
    }

    fn is(&self, flow: &FlowSnapshot) -> bool {
        let within = |net: Option<IpNet>, end: Option<SocketAddr>| {
            net.is_none_or(|net| end.is_some_and(|end| net.contains(&end.ip())))
        };
        within(self.client, flow.client)
            && within(self.service, flow.service)
            && self
                .server
                .is_none_or(|name| flow.server.as_deref() == Some(name))
            && self.state.is_none_or(|state| flow.state == state)
    }
}

fn show(call: &mut Call<'_>) -> Answer {
    let json = match call.words {
        [] => false,
        [word] if word == "json" => true,
        _ => return Answer::error("Usage: show xdp [json]".to_owned()),
    };
    let Some(kernel) = &call.world.kernel else {
        return Answer::info(NO_KERNEL);
    };
    match kernel.feedback().snapshot() {
        Ok(snapshot) if json => match serde_json::to_string(&snapshot) {
            Ok(text) => Answer::Output(text + "\n"),
            Err(error) => Answer::error(error.to_string()),
        },
        Ok(snapshot) => Answer::Output(text(&snapshot)),
        Err(error) => Answer::error(format!("cannot read the kernel's counters: {error}")),
    }
}

fn text(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    for interface in &snapshot.interfaces {
        let _ = writeln!(text, "interface {} {}", interface.name, interface.mode);
    }
    let _ = writeln!(text, "flows {} of {}", snapshot.flows, snapshot.flow_limit);
    for notice in &snapshot.notices {
        let _ = writeln!(text, "notice {notice}");
    }
    drops(&mut text, "", &snapshot.unknown_drops);
    for service in &snapshot.services {
        let target = service.backend.as_deref().unwrap_or("userspace");
        let _ = writeln!(
            text,
            "service {} {} {} -> {target}",
            service.frontend,
            service.protocol,
            service.binds.join(",")
        );
        if let Some(syns) = &service.syns {
            let _ = writeln!(text, "{syns}");
        }
        drops(&mut text, "  ", &service.drops);
        for server in &service.servers {
            let counts = &server.counts;
            let _ = write!(
                text,
                "  server {} {} packets_in {} packets_out {} bytes_in {} bytes_out {} flows {} established {} unremembered {} live {} (opening {} established {} datagram {}) closing {}",
                server.name,
                server.state,
                counts.packets_in,
                counts.packets_out,
                counts.bytes_in,
                counts.bytes_out,
                counts.flows,
                counts.established,
                counts.unremembered,
                server.live.live(),
                server.live.opening,
                server.live.established,
                server.live.datagram,
                server.live.closing
            );
            let _ = match &server.trouble {
                Some(trouble) => writeln!(text, " trouble: {trouble}"),
                None => writeln!(text),
            };
        }
    }
    text
}

fn drops(text: &mut String, indent: &str, drops: &[DropCount]) {
    for drop in drops.iter().filter(|drop| drop.packets > 0) {
        let _ = writeln!(text, "{indent}dropped {} {}", drop.packets, drop.reason);
    }
}

const NO_KERNEL: &str = "No kernel part: there is no 'xdp interface', or nothing for it to do.";

/// Flows in one answer.
const MOST_FLOWS: usize = 10_000;
