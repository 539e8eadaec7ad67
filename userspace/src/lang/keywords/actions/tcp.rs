//! Actions of the TCP rule sets.

use super::{Action, Built, RuleSets, action, refused};
use crate::lang::keywords::args::number;
use crate::lang::keywords::draft::{Reversal, ReverseServer};
use crate::lang::keywords::logging::choose;
use crate::model::{Capture, CaptureId, TcpAction};

pub(super) const ACTIONS: &[Action] = &[
    action(
        "accept",
        RuleSets::TCP,
        "",
        "Ends the rule set: the connection goes on.",
        |_| Ok(Built::Tcp(TcpAction::Accept)),
    ),
    action(
        "reject",
        RuleSets::TCP,
        "",
        "Closes the connection.",
        |_| Ok(Built::Tcp(TcpAction::Reject)),
    ),
    action(
        "close",
        RuleSets::TCP_RESPONSE,
        "",
        "Closes the connection to the server.",
        |_| Ok(Built::Tcp(TcpAction::Close)),
    ),
    action(
        "silent-drop",
        RuleSets::TCP,
        "",
        "Closes the connection without telling the client.",
        |rule| {
            super::http::no_rst_ttl(rule)?;
            Ok(Built::Tcp(TcpAction::SilentDrop))
        },
    ),
    action(
        "expect-proxy",
        RuleSets::CONNECTION,
        "layer4",
        "Expects a PROXY protocol header.",
        |rule| {
            choose(rule.args.need("'layer4'")?, "layer", &[("layer4", ())])?;
            Ok(Built::Tcp(TcpAction::ExpectProxy))
        },
    ),
    action(
        "switch-mode",
        RuleSets::CONTENT,
        "http",
        "Goes on as an HTTP connection.",
        |rule| {
            choose(rule.args.need("'http'")?, "mode", &[("http", ())])?;
            if !rule.draft.proxy.kind.has_frontend() {
                return Err(rule.args.wrong("needs a proxy with a client side"));
            }
            Ok(Built::Tcp(TcpAction::SwitchModeHttp))
        },
    ),
    action(
        "capture",
        RuleSets::CONTENT,
        "<sample> { len <length> | id <id> }",
        "Keeps a sample for the log.",
        |rule| {
            let sample = rule.expression()?;
            let id = capture_slot(rule, false)?;
            Ok(Built::Tcp(TcpAction::Capture { sample, id }))
        },
    ),
    action(
        "attach-srv",
        RuleSets::SESSION,
        "<backend>/<server> [name <sample>]",
        "Makes the connection one that carries requests to a server.",
        attach_server,
    ),
    action(
        "expect-netscaler-cip",
        RuleSets::CONNECTION,
        "layer4",
        "Expects NetScaler's Client IP insertion.",
        |rule| {
            choose(rule.args.need("'layer4'")?, "layer", &[("layer4", ())])?;
            Ok(Built::Tcp(TcpAction::ExpectNetscaler))
        },
    ),
    refused(
        "use-service",
        RuleSets::CONTENT,
        "<service-name>",
        "services answer HTTP requests only: use 'http-request use-service'",
    ),
];

/// A server with the address `rhttp@`; that it is one is asked once all sections are read.
fn attach_server(rule: &mut super::RuleParts<'_, '_, '_>) -> super::Parsed<Built> {
    let word = rule.args.need("<backend>/<server>")?;
    let Some((backend, server)) = word.text.split_once('/') else {
        return Err(super::Complaint::new(
            word.span,
            "expects <backend>/<server>",
        ));
    };
    rule.draft.reverse_servers.push(ReverseServer {
        name: word.clone(),
        kind: Reversal::Attached,
    });
    let name = match rule.args.peek().filter(|word| word.text == "name") {
        Some(_) => {
            rule.args.skip(1);
            Some(rule.expression()?)
        }
        None => None,
    };
    Ok(Built::Tcp(TcpAction::AttachServer {
        backend: backend.to_owned(),
        server: server.to_owned(),
        name,
    }))
}

/// `len <length>` makes a slot, `id <id>` names one that was declared.
pub(super) fn capture_slot(
    rule: &mut super::RuleParts<'_, '_, '_>,
    response: bool,
) -> super::Parsed<CaptureId> {
    let word = rule.args.need("'len' or 'id'")?;
    let captures = &mut rule.draft.proxy.captures;
    let slots = captures
        .iter()
        .filter(|slot| slot.response == response)
        .count();
    match word.text.as_str() {
        "len" if response => Err(super::Complaint::new(
            word.span,
            "'len' is for requests; declare the slot and use 'id'",
        )),
        "len" if !rule.draft.proxy.kind.has_frontend() => Err(super::Complaint::new(
            word.span,
            "'len' needs a proxy with a client side; use 'id' here",
        )),
        "len" => {
            let length = number(rule.args.need("a length")?, 1..=65_535)?;
            captures.push(Capture {
                header: None,
                response,
                length,
            });
            Ok(CaptureId(u16::try_from(slots).unwrap_or(u16::MAX)))
        }
        "id" => {
            let id = rule.args.need("a slot number")?;
            let number = number(id, 0..=u16::MAX)?;
            if rule.draft.proxy.kind == crate::model::ProxyKind::Frontend
                && usize::from(number) >= slots
            {
                return Err(super::Complaint::new(
                    id.span,
                    format!("unable to find capture id '{number}'"),
                )
                .hint("declare the slot with 'declare capture'"));
            }
            Ok(CaptureId(number))
        }
        _ => Err(super::Complaint::unknown(word, "argument", ["len", "id"])),
    }
}
