//! The `peers` section, as far as a process alone needs it (manual §11.2): its tables, and a name for `stick-table`.
//!
//! With nobody but the local peer there is nobody to talk to: tables survive a reload by themselves. A section without the
//! local peer is left out with a warning, as in HAProxy; one that names others beside it is refused.

use super::args::{Args, Complaint, Parsed};
use super::context::Context;
use super::registry::{Effect, Keyword, Sections};
use super::stick;
use crate::lang::ast::Word;
use crate::lang::source::Span;
use crate::model::Table;

/// A section while its lines are read.
#[derive(Debug, Default)]
pub(in crate::lang) struct PeersDraft {
    name: String,
    /// `disabled`.
    disabled: bool,
    /// A peer has the local peer's name.
    has_local: bool,
    /// The first peer that has another.
    other: Option<Word>,
    /// `table` lines.
    tables: Vec<Table>,
}

pub(super) const KEYWORDS: &[Keyword] = &[
    keyword(
        "peer",
        "<peername> [<address>]:port [param*]",
        "Names a peer; only the local one can be there.",
        peer,
    ),
    keyword(
        "server",
        "<peername> [<address>:<port>] [param*]",
        "Names a peer; only the local one can be there.",
        peer,
    ),
    keyword(
        "disabled",
        "",
        "Takes the section out of service: peers in it are not contacted.",
        |args, peers, _| {
            peers.disabled = true;
            args.end()
        },
    ),
    keyword(
        "enabled",
        "",
        "Puts the section back in service.",
        |args, peers, _| {
            peers.disabled = false;
            args.end()
        },
    ),
    keyword(
        "table",
        "<tablename> type <type> size <size> [expire <expire>] [nopurge] [store <data_type>]*",
        "Declares a stick table, called '<section>/<tablename>' elsewhere.",
        |args, peers, context| {
            let name = args.need("a table name")?;
            let name = format!("{}/{}", peers.name, name.text);
            peers.tables.push(stick::table(args, &name, None, context)?);
            Ok(())
        },
    ),
    without_effect("bind", "[<address>]:port [param*]"),
    without_effect("default-bind", "[param*]"),
    without_effect("default-server", "[param*]"),
    without_effect("log", "<target> <facility> [<level> [<minlevel>]]"),
    without_effect("shards", "<shards>"),
];

const fn keyword(
    name: &'static str,
    args: &'static str,
    doc: &'static str,
    parse: fn(&mut Args<'_>, &mut PeersDraft, &mut Context<'_>) -> Parsed,
) -> Keyword {
    Keyword {
        name,
        sections: Sections::PEERS,
        args,
        doc,
        effect: Effect::Peers(parse),
    }
}

const fn without_effect(name: &'static str, args: &'static str) -> Keyword {
    Keyword {
        name,
        sections: Sections::PEERS,
        args,
        doc: "Accepted without effect.",
        effect: Effect::NoOp("there is no other peer to talk to"),
    }
}

fn peer(args: &mut Args<'_>, peers: &mut PeersDraft, context: &mut Context<'_>) -> Parsed {
    let name = args.need("a peer's name")?;
    if context.local_peer() == name.text {
        peers.has_local = true;
    } else {
        peers.other.get_or_insert_with(|| name.clone());
    }
    args.skip(args.rest().len());
    Ok(())
}

impl PeersDraft {
    pub(in crate::lang) fn new(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Its tables, if the section can be what it says.
    pub(in crate::lang) fn finish(self, header: Span, context: &mut Context<'_>) -> Vec<Table> {
        if self.disabled {
            return self.tables;
        }
        match (self.has_local, &self.other) {
            (true, Some(other)) => {
                let complaint = Complaint::new(
                    other.span,
                    format!(
                        "peers '{}' : '{}' is another peer, and tables are not shared",
                        self.name, other.text
                    ),
                );
                let hint = "leave only the local peer in the section, or say 'disabled' in it";
                context
                    .diagnostics
                    .push(complaint.hint(hint).into_diagnostic(other.span));
            }
            (false, Some(_)) => {
                let message = format!(
                    "Removing incomplete section 'peers {}' (no peer named '{}')",
                    self.name,
                    context.local_peer()
                );
                context.warn(header, message);
            }
            (_, None) => {}
        }
        self.tables
    }
}
