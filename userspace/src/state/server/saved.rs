//! A server that starts in the state an earlier process left it in (manual §4.2 `load-server-state-from-file`).
//!
//! A saved state comes in, the server's state changes before anybody looks at it. Reading the file is [`crate::lang`]'s.

use std::sync::atomic::Ordering::Relaxed;

use super::{Admin, Operational, ServerState, WEIGHT_SCALE};
use crate::clock::Moment;
use crate::model::{SavedState, Server};
use crate::state::check::CheckState;

impl ServerState {
    /// Takes over what the configuration does not decide: what operators, checks and name servers changed.
    pub(super) fn restore(&self, server: &Server, saved: &SavedState, now: Moment) {
        if saved.initial_weight == server.weight.0 {
            let weight = saved.user_weight.min(256);
            self.user_weight.store(weight, Relaxed);
            self.effective_weight
                .store(u32::from(weight) * WEIGHT_SCALE, Relaxed);
        }
        let saved_admin = Admin(saved.admin);
        let mut admin = self.admin();
        // `disabled` counts once: an operator may have enabled the server since.
        if saved_admin.has(Admin::CONFIG_MAINT) || !server.disabled {
            admin = admin.without(Admin::FORCED_MAINT);
        }
        admin = admin.with(Admin(
            saved.admin & (Admin::FORCED_MAINT.0 | Admin::FORCED_DRAIN.0),
        ));
        if server.hostname.is_some()
            && let Some(ip) = saved.address
            && self.set_address(Some(ip), Some(saved.port).filter(|port| *port > 0))
        {
            admin = admin.without(Admin::RESOLUTION_MAINT);
        }
        self.set_admin(admin);
        self.last_change.store(
            now.0.saturating_sub(saved.seconds.saturating_mul(1000)),
            Relaxed,
        );
        let paused = admin.has(Admin::MAINT);
        self.check.set(CheckState::PAUSED, paused);
        let operational = match (&server.check, saved.operational) {
            _ if paused => Operational::Stopped,
            (Some(_), 0) => Operational::Stopped,
            (Some(_), 3) => Operational::Stopping,
            _ => Operational::Running,
        };
        self.operational.store(operational as u8, Relaxed);
        if let Some(check) = &server.check
            && check.window.is_none()
        {
            let highest = check.rise.saturating_add(check.fall).saturating_sub(1);
            let health = match operational {
                Operational::Stopped => saved.health.min(check.rise.saturating_sub(1)),
                _ => saved.health.clamp(check.rise, highest.max(check.rise)),
            };
            self.check.set_health(if paused { 0 } else { health });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::model::ServerAddress;
    use crate::types::{ProxyId, ServerId, Weight};

    fn server(change: impl FnOnce(&mut Server)) -> ServerState {
        let address = ServerAddress::Inet {
            address: "192.0.2.1:80".parse().expect("an address"),
            port_offset: None,
        };
        let mut server = Server::new(ServerId(0), ProxyId(0), 1, "s1", address);
        server.weight = Weight(10);
        server.saved = Some(SavedState {
            operational: 2,
            admin: 0,
            user_weight: 20,
            initial_weight: 10,
            seconds: 60,
            health: 1,
            address: Some([192, 0, 2, 9].into()),
            port: 8080,
        });
        change(&mut server);
        ServerState::new(&server, "app", 1, clock::now())
    }

    #[test]
    fn weights_and_modes_of_operators_survive() {
        let state = server(|server| server.saved.as_mut().expect("saved").admin = 0x08);
        assert_eq!(state.user_weight(), 20);
        assert!(state.admin().has(Admin::FORCED_DRAIN) && !state.is_usable());
        let state = server(|server| server.weight = Weight(11));
        assert_eq!(state.user_weight(), 11, "the configuration changed");
        let state = server(|server| server.saved.as_mut().expect("saved").admin = 0x01);
        assert!(state.admin().has(Admin::MAINT));
        assert_eq!(state.operational(), Operational::Stopped);
    }

    #[test]
    fn a_server_enabled_by_an_operator_stays_enabled() {
        let state = server(|server| {
            server.disabled = true;
            server.saved.as_mut().expect("saved").admin = Admin::CONFIG_MAINT.0;
        });
        assert!(state.is_usable());
        let state = server(|server| server.disabled = true);
        assert!(!state.is_usable(), "it was disabled since");
    }

    #[test]
    fn only_names_bring_their_address_back() {
        assert_eq!(server(|_| {}).socket_address(), "192.0.2.1:80".parse().ok());
        let state = server(|server| {
            server.hostname = Some("web.example".to_owned());
            server.address = ServerAddress::Unresolved { port: 80 };
        });
        assert_eq!(state.socket_address(), "192.0.2.9:8080".parse().ok());
        assert!(state.is_usable());
    }
}
