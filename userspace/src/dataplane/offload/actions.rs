//! What the actions of rules mean to somebody who decides about clients before the rules are asked.
//!
//! Input is an action of any rule set, output a [`Deed`]: what the rule does to a connection whose source the kernel may
//! refuse, or has refused already. Conditions are [`super::condition`]'s business.

use crate::expr::{Expression, Scope};
use crate::model::{CommonAction, HttpAction, TcpAction};
use crate::types::TableId;

/// What a rule does.
pub(super) enum Deed<'a> {
    /// It accepts, past the rules of its own set.
    Accept,
    /// It refuses by closing the connection.
    Refuse,
    /// It refuses, and the client never learns of it.
    Silence,
    /// It refuses with an answer of this status.
    Answer(u16),
    /// It counts.
    Track {
        slot: u8,
        key: &'a Expression,
        table: TableId,
    },
    /// Nothing that outlives a connection which is refused later.
    Nothing,
    /// The same, but sessions may have another source afterwards.
    Renames,
    /// It answers, and no later rule of its set is asked.
    Serve,
    /// Something that somebody may see, or that changes what later rules look at.
    Other,
}

/// Of `tcp-request` rules.
pub(super) fn of_tcp(action: &TcpAction) -> Deed<'_> {
    match action {
        TcpAction::Accept => Deed::Accept,
        TcpAction::Reject => Deed::Refuse,
        TcpAction::SilentDrop => Deed::Silence,
        TcpAction::ExpectProxy | TcpAction::ExpectNetscaler => Deed::Renames,
        TcpAction::Common(action) => of_common(action),
        _ => Deed::Other,
    }
}

/// Of `http-request` rules.
pub(super) fn of_http(action: &HttpAction) -> Deed<'_> {
    match action {
        HttpAction::Allow => Deed::Accept,
        HttpAction::Reject => Deed::Refuse,
        HttpAction::SilentDrop => Deed::Silence,
        HttpAction::Deny(reply) => Deed::Answer(reply.status),
        HttpAction::Auth { .. }
        | HttpAction::Return(_)
        | HttpAction::Redirect(_)
        | HttpAction::UseService(_) => Deed::Serve,
        HttpAction::Common(action) => of_common(action),
        // A tarpit refuses as well; the others change a request that nobody will get, or an answer that nobody will.
        HttpAction::Tarpit(_)
        | HttpAction::AddHeader(..)
        | HttpAction::SetHeader(..)
        | HttpAction::DeleteHeader(_)
        | HttpAction::ReplaceHeader(..)
        | HttpAction::ReplaceValue(..)
        | HttpAction::SetMethod(_)
        | HttpAction::SetPath(_)
        | HttpAction::SetPathQuery(_)
        | HttpAction::SetQuery(_)
        | HttpAction::SetUri(_)
        | HttpAction::ReplacePath(..)
        | HttpAction::ReplacePathQuery(..)
        | HttpAction::ReplaceUri(..)
        | HttpAction::SetStatus(..)
        | HttpAction::Capture { .. }
        | HttpAction::WaitForBody { .. }
        | HttpAction::SetTimeout(..)
        | HttpAction::StrictMode(_)
        | HttpAction::DisableL7Retry => Deed::Nothing,
        _ => Deed::Other,
    }
}

fn of_common(action: &CommonAction) -> Deed<'_> {
    match action {
        CommonAction::Track { slot, key, table } => Deed::Track {
            slot: slot.0,
            key,
            table: *table,
        },
        CommonAction::SetLogLevel(_)
        | CommonAction::SetMark(_)
        | CommonAction::SetTos(_)
        | CommonAction::SetPriorityClass(_)
        | CommonAction::SetPriorityOffset(_) => Deed::Nothing,
        CommonAction::SetVariable { name, .. } | CommonAction::SetVariableFormat { name, .. }
            if name.scope() != Scope::Process =>
        {
            Deed::Nothing
        }
        _ => Deed::Other,
    }
}
