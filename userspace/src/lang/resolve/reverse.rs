//! Servers that `bind rhttp@` and `attach-srv` name (manual §4.2 `bind`, §4.4 `attach-srv`): they must exist, and have an
//! address that fits.

use crate::lang::keywords::context::Context;
use crate::lang::keywords::draft::{ProxyDraft, Reversal};
use crate::model::{Mode, ServerAddress};

/// Looks at every such name of a section.
pub(super) fn servers(draft: &ProxyDraft, drafts: &[ProxyDraft], context: &mut Context<'_>) {
    for wanted in &draft.reverse_servers {
        let text = &wanted.name.text;
        let found = text.split_once('/').and_then(|(backend, name)| {
            let mut proxies = drafts.iter().map(|draft| (&draft.proxy, &draft.servers));
            let (_, servers) =
                proxies.find(|(proxy, _)| proxy.name == backend && proxy.kind.has_backend())?;
            servers.iter().find(|server| server.name == name)
        });
        let problem = match (found, wanted.kind) {
            (None, _) => format!("unable to find server '{text}'"),
            _ if draft.proxy.mode != Mode::Http => {
                "connections in reverse need 'mode http'".to_owned()
            }
            (Some(server), Reversal::Attached) if server.address != ServerAddress::Reverse => {
                format!(
                    "server '{text}' needs the address 'rhttp@' for connections to be attached to it"
                )
            }
            (Some(server), Reversal::Opened) if server.address == ServerAddress::Reverse => {
                format!("server '{text}' has no address to open connections to")
            }
            _ => continue,
        };
        context.alert(wanted.name.span, problem);
    }
}
