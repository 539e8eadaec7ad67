//! `rhttp@BACKEND/SERVER` as the address of a `bind` line (manual §4.2 `bind`, §5.1 `nbconn`): nothing is listened on, but
//! connections are opened to that server, which then sends requests on them.
//!
//! Whether the server exists is asked once all sections are read.

use super::super::args::{Complaint, Parsed};
use super::super::draft::{Reversal, ReverseServer};
use super::options::BindSettings;
use crate::lang::ast::Word;
use crate::model::{BindAddress, HttpProtocol};

/// The address behind the prefix.
pub(super) fn address(name: &str, word: &Word) -> Parsed<BindAddress> {
    let (backend, server) = name
        .split_once('/')
        .filter(|(backend, server)| !backend.is_empty() && !server.is_empty())
        .ok_or_else(|| Complaint::new(word.span, "'rhttp@' expects <backend>/<server>"))?;
    Ok(BindAddress::Reverse {
        backend: backend.to_owned(),
        server: server.to_owned(),
        connections: 1,
    })
}

/// Whether the line is about such connections, and then alone about them: they speak HTTP/2, and TLS is the server's.
pub(super) fn settle(
    word: &Word,
    addresses: &[BindAddress],
    settings: &mut BindSettings,
) -> Parsed<bool> {
    let wrong = |message: &str| Err(Complaint::new(word.span, message));
    let reverse = |address: &&BindAddress| matches!(address, BindAddress::Reverse { .. });
    match addresses.iter().filter(reverse).count() {
        0 if settings.connections.is_some() => {
            return wrong("'nbconn' is for addresses that begin with 'rhttp@'");
        }
        0 => return Ok(false),
        count if count < addresses.len() => {
            return wrong("'rhttp@' needs a line of its own");
        }
        _ => {}
    }
    if settings.ssl {
        return wrong("'ssl' belongs on the server that 'rhttp@' names");
    }
    if settings
        .proto
        .is_some_and(|proto| proto != HttpProtocol::Http2)
    {
        return wrong("'rhttp@' needs HTTP/2");
    }
    settings.proto = Some(HttpProtocol::Http2);
    Ok(true)
}

/// The servers that a list of such addresses names.
pub(super) fn named(word: &Word) -> impl Iterator<Item = ReverseServer> {
    let names = word.text.split(',').filter_map(|text| text.split_once('@'));
    names.map(|(_, name)| ReverseServer {
        name: Word {
            text: name.to_owned(),
            span: word.span,
            columns: None,
        },
        kind: Reversal::Opened,
    })
}

/// The address with the number of connections that `nbconn` wants.
pub(super) fn with_connections(address: BindAddress, wanted: Option<u32>) -> BindAddress {
    match address {
        BindAddress::Reverse {
            backend, server, ..
        } => BindAddress::Reverse {
            backend,
            server,
            connections: wanted.unwrap_or(1),
        },
        other => other,
    }
}
