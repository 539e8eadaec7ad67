//! The kernel part's section of the statistics page.

use std::fmt::Write as _;

use super::format::{Escaped, grouped};
use crate::dataplane::{Dataplane, DropCount, ServerCounts, ServiceSnapshot};

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
        let _ = write!(
            html,
            "<tr class=\"side\"><td>{} {}</td><td class=\"text\">{}</td>{}<td class=\"text\">{}</td></tr>",
            Escaped(&service.frontend),
            service.protocol,
            service.binds.join(" "),
            sums(service),
            reasons(&service.drops),
        );
        for server in &service.servers {
            let _ = write!(
                html,
                "<tr><td class=\"member\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
                 <td class=\"text\">{}</td></tr>",
                Escaped(&server.name),
                server.state,
                grouped(server.counts.packets_in),
                grouped(server.counts.packets_out),
                grouped(server.counts.flows),
                Escaped(server.trouble.as_deref().unwrap_or_default()),
            );
        }
    }
    html.push_str("</tbody></table>");
    for notice in &snapshot.notices {
        let _ = write!(html, "<p class=\"notice\">{}</p>", Escaped(notice));
    }
    html.push_str("</section>");
    html
}

/// The cells of a service: what all its servers got and sent, nothing where userspace is the server.
fn sums(service: &ServiceSnapshot) -> String {
    if service.backend.is_none() {
        return "<td colspan=\"3\" class=\"quiet\">guarded, then passed to userspace</td>"
            .to_owned();
    }
    let sum = |count: fn(&ServerCounts) -> u64| {
        let counts = service.servers.iter().map(|server| count(&server.counts));
        format!("<td>{}</td>", grouped(counts.sum()))
    };
    sum(|counts| counts.packets_in)
        + &sum(|counts| counts.packets_out)
        + &sum(|counts| counts.flows)
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
