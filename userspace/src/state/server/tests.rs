use super::*;
use crate::types::{ProxyId, ServerId, Weight};

fn server() -> Server {
    let address = ServerAddress::Inet {
        address: ([192, 0, 2, 1], 80).into(),
        port_offset: None,
    };
    Server::new(ServerId(0), ProxyId(0), 1, "s1", address)
}

fn state_of(server: &Server) -> ServerState {
    ServerState::new(server, "be", 1, Moment(1_000))
}

#[test]
fn a_plain_server_is_usable_from_the_start() {
    let state = state_of(&server());
    assert!(state.is_usable() && state.accepts_persistent());
    assert_eq!(state.effective_weight(), WEIGHT_SCALE);
}

#[test]
fn a_disabled_server_starts_in_maintenance() {
    let state = state_of(&Server {
        disabled: true,
        ..server()
    });
    assert_eq!(state.admin().0, 0x05);
    assert_eq!(state.operational(), Operational::Stopped);
    assert!(!state.is_usable() && !state.accepts_persistent());
}

#[test]
fn a_drained_server_keeps_its_persistent_sessions_only() {
    let state = state_of(&server());
    state.set_admin(Admin::FORCED_DRAIN);
    assert!(!state.is_usable() && state.accepts_persistent());
}

#[test]
fn weight_zero_means_drain() {
    let state = state_of(&server());
    state.set_user_weight(0);
    assert!(state.update_weight(None, Moment(2_000)));
    assert!(!state.is_usable() && state.accepts_persistent());
}

#[test]
fn slowstart_grows_the_weight_from_a_little_to_all() {
    let state = state_of(&Server {
        weight: Weight(100),
        ..server()
    });
    state.set_operational(Operational::Stopped, Moment(1_000));
    state.set_operational(Operational::Starting, Moment(5_000));
    let weights: Vec<u32> = [5_000, 10_000, 15_000]
        .map(|at| {
            state.update_weight(Some(10_000), Moment(at));
            state.effective_weight() / WEIGHT_SCALE
        })
        .to_vec();
    assert_eq!(weights, [1, 50, 100]);
    assert_eq!(state.throttle(Some(10_000), Moment(10_000)), Some(50));
}

#[test]
fn downtime_counts_while_down_and_stays_afterwards() {
    let state = state_of(&server());
    state.set_operational(Operational::Stopped, Moment(2_000));
    assert_eq!(state.downtime(Moment(5_000)), 3_000);
    state.set_operational(Operational::Running, Moment(6_000));
    assert_eq!(state.downtime(Moment(60_000)), 4_000);
}

#[test]
fn a_new_configuration_keeps_what_it_did_not_change() {
    let state = state_of(&server());
    state.set_user_weight(7);
    state.set_address(Some([192, 0, 2, 9].into()), None);
    state.reconfigure(&server());
    assert_eq!(state.user_weight(), 7);
    assert_eq!(state.socket_address(), Some(([192, 0, 2, 9], 80).into()));
    let moved = ServerAddress::Inet {
        address: ([192, 0, 2, 2], 80).into(),
        port_offset: None,
    };
    state.reconfigure(&Server {
        weight: Weight(3),
        address: moved,
        ..server()
    });
    assert_eq!(state.user_weight(), 3);
    assert_eq!(state.socket_address(), Some(([192, 0, 2, 2], 80).into()));
}
