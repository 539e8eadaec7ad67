//! Tests of the state as a whole: carrying over, backends going up and down, tracking.

use super::*;
use crate::model::{ProxyKind, Server, ServerAddress};

/// A model with one backend per list of server names.
pub(crate) fn model_of(backends: &[(&str, &[&str])]) -> Model {
    let mut model = Model::default();
    model.global.threads = Some(1);
    for (name, servers) in backends {
        let proxy = ProxyId(model.proxies.len() as u32);
        model
            .proxies
            .push(Proxy::new(proxy, *name, ProxyKind::Backend));
        for (position, server) in servers.iter().enumerate() {
            let id = ServerId(model.servers.len() as u32);
            let address = ServerAddress::Inet {
                address: ([192, 0, 2, position as u8 + 1], 80).into(),
                port_offset: None,
            };
            model.servers.push(Server::new(
                id,
                proxy,
                position as u32 + 1,
                *server,
                address,
            ));
            model.proxies[proxy.index()].servers.push(id);
        }
    }
    model
}

#[test]
fn state_is_carried_over_by_name_and_not_by_position() {
    let old = State::new(&model_of(&[("a", &["s1"]), ("b", &["s1", "s2"])]), None);
    old.server(ServerId(2)).set_admin(Admin::FORCED_MAINT);
    old.server(ServerId(2)).counters.add(Counter::Sessions, 9);
    old.proxy(ProxyId(1))
        .backend
        .counters
        .add(Counter::Requests, 4);
    let new = State::new(&model_of(&[("b", &["s2"]), ("c", &["s1"])]), Some(&old));
    assert_eq!(new.generation, 2);
    assert_eq!(new.server(ServerId(0)).admin(), Admin::FORCED_MAINT);
    assert_eq!(new.server(ServerId(0)).counters.sum(Counter::Sessions), 9);
    assert_eq!(
        new.proxy(ProxyId(0))
            .backend
            .counters
            .sum(Counter::Requests),
        4
    );
    assert_eq!(new.server(ServerId(1)).counters.sum(Counter::Sessions), 0);
}

#[test]
fn a_backend_is_down_when_its_last_server_is() {
    let model = model_of(&[("a", &["s1", "s2"])]);
    let state = State::new(&model, None);
    let mut events = state.server_events();
    let take_down = |id, at| {
        state.server(id).set_operational(Operational::Stopped, at);
        state.server_changed(&model, id, at)
    };
    assert!(!take_down(ServerId(0), Moment(10)));
    assert_eq!(
        state.usable_servers(&model, ProxyId(0)),
        UsableServers {
            active: 1,
            backup: 0
        }
    );
    assert!(take_down(ServerId(1), Moment(20)));
    assert!(!state.proxy(ProxyId(0)).backend.is_up());
    assert_eq!(
        state
            .proxy(ProxyId(0))
            .backend
            .counters
            .sum(Counter::WentDown),
        1
    );
    assert_eq!(events.try_recv(), Ok(ServerId(0)));
    assert_eq!(events.try_recv(), Ok(ServerId(1)));
}

#[test]
fn a_tracking_server_starts_as_the_tracked_one() {
    let mut model = model_of(&[("a", &["s1"]), ("b", &["s1"])]);
    model.servers[0].disabled = true;
    model.servers[1].track = Some(ServerId(0));
    let state = State::new(&model, None);
    assert_eq!(state.server(ServerId(1)).admin(), Admin::INHERITED_MAINT);
    assert_eq!(
        state.server(ServerId(1)).operational(),
        Operational::Stopped
    );
}
