//! The kernel part's section of the statistics page.

use std::fmt::Write as _;

use super::format::Escaped;
use crate::dataplane::{Dataplane, DropCount, ServerCounts};

/// Renders what the kernel counts; empty when its counters cannot be read.
pub(in crate::admin) fn section(kernel: &Dataplane) -> String {
    let Ok(snapshot) = kernel.feedback().snapshot() else {
        return String::new();
    };
    let places: Vec<String> = snapshot
        .interfaces
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.mode))
        .collect();
    let mut html = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        html,
        "<section id=\"kernel\"><h2>kernel<small>XDP on {}, {} of {} flows</small></h2>\
             <table><thead><tr><th>service</th><th class=\"text\">addresses</th><th>packets in</th>\
             <th>packets out</th><th>flows</th><th class=\"text\">dropped</th></tr></thead><tbody>",
        places.join(", "),
        snapshot.flows,
        snapshot.flow_limit,
    );
    for service in &snapshot.services {
        let sum = |count: fn(&ServerCounts) -> u64| {
            service
                .servers
                .iter()
                .map(|server| count(&server.counts))
                .sum::<u64>()
        };
        let _ = write!(
            html,
            "<tr><td>{} {}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            Escaped(&service.frontend),
            service.protocol,
            service.binds.join(" "),
            sum(|counts| counts.packets_in),
            sum(|counts| counts.packets_out),
            sum(|counts| counts.flows),
            reasons(&service.drops),
        );
    }
    html.push_str("</tbody></table></section>");
    html
}

fn reasons(drops: &[DropCount]) -> String {
    let parts: Vec<String> = drops
        .iter()
        .filter(|drop| drop.packets > 0)
        .map(|drop| format!("{} {}", drop.packets, drop.reason))
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}
