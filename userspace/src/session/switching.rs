//! Which backend a session goes to: `use_backend` rules, then the default (manual §4.2).
//!
//! TCP sessions and HTTP requests are switched alike. A backend that is disabled or unpublished is passed over, unless a
//! `force-be-switch` rule applies to the session.

use super::view::SessionView;
use crate::model::BackendTarget;
use crate::types::ProxyId;

/// The backend, or `None` where there is none to go to.
pub(super) fn backend(view: &SessionView<'_>) -> Option<ProxyId> {
    let frontend = view.connection.frontend();
    let generation = &view.connection.generation;
    let is_forced = || {
        let mut rules = frontend.force_switching.iter();
        rules.any(|condition| condition.matches(view))
    };
    let takes_traffic = |id: &ProxyId| {
        let published = generation.state().proxy(*id).backend.is_published();
        *id == frontend.id || (published && !generation.proxy(*id).disabled) || is_forced()
    };
    let mut chosen = None;
    for rule in &frontend.use_backends {
        let applies = rule
            .condition
            .as_ref()
            .is_none_or(|condition| condition.matches(view));
        if !applies {
            continue;
        }
        let target = match &rule.target {
            BackendTarget::Fixed(backend) => *backend,
            BackendTarget::Dynamic(format) => {
                let mut name = Vec::new();
                format.render(view, &mut name);
                let name = std::str::from_utf8(&name).ok();
                match name.and_then(|name| generation.backend_named(name)) {
                    Some(backend) => backend,
                    // A name that is no backend's means the default one, whatever rules follow.
                    None => break,
                }
            }
        };
        if takes_traffic(&target) {
            chosen = Some(target);
            break;
        }
    }
    let default = || frontend.default_backend.filter(takes_traffic);
    let own = || frontend.kind.has_backend().then_some(frontend.id);
    chosen.or_else(default).or_else(own)
}
