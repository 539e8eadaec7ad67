//! Commands about the kernel tier.

use std::fmt::Write as _;

use super::{Answer, Call, Command};
use crate::dataplane::{DropCount, Snapshot};
use crate::model::Level;

pub(super) const COMMANDS: &[Command] = &[Command {
    words: &["show", "xdp"],
    usage: "show xdp [json]",
    doc: "report what the kernel part does: interfaces, services, servers, drops",
    level: Level::User,
    run: show,
}];

fn show(call: &mut Call<'_>) -> Answer {
    let json = match call.words {
        [] => false,
        [word] if word == "json" => true,
        _ => return Answer::error("Usage: show xdp [json]".to_owned()),
    };
    let Some(kernel) = &call.world.kernel else {
        return Answer::info(
            "No kernel part: there is no 'xdp interface', or nothing for it to do.",
        );
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
        drops(&mut text, "  ", &service.drops);
        for server in &service.servers {
            let counts = &server.counts;
            let _ = write!(
                text,
                "  server {} {} packets_in {} packets_out {} bytes_in {} bytes_out {} flows {} established {}",
                server.name,
                server.state,
                counts.packets_in,
                counts.packets_out,
                counts.bytes_in,
                counts.bytes_out,
                counts.flows,
                counts.established
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
