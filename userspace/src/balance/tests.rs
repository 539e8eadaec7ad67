use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::hash::sdbm;

#[test]
fn round_robin_takes_turns_in_strict_order() {
    let world = World::new(Method::RoundRobin, &[1, 1, 1]);
    assert_eq!(world.picks(7), [0, 1, 2, 0, 1, 2, 0]);
}

#[test]
fn round_robin_follows_weights_and_slow_start() {
    let world = World::new(Method::RoundRobin, &[3, 1]);
    assert_eq!(world.picks(8), [0, 0, 0, 1, 0, 0, 0, 1]);
    let ramping = [
        Member {
            weight: 4,
            ..member(0, 1)
        },
        member(1, 1),
    ];
    let world = World::of(Method::RoundRobin, &ramping);
    assert_eq!(
        world.shares(50),
        [10, 40],
        "a server at a quarter of its weight gets a fifth of two"
    );
}

#[test]
fn a_saturated_server_loses_its_turn_and_a_full_farm_makes_everyone_wait() {
    let world = World::new(Method::RoundRobin, &[1, 1]);
    world.set(
        0,
        Load {
            active: 5,
            limit: 5,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(3), [1, 1, 1]);
    world.set(
        1,
        Load {
            active: 5,
            limit: 9,
            queued: 1,
            ..Load::default()
        },
    );
    assert_eq!(world.pick(None), Pick::Full);
}

#[test]
fn a_heavy_saturated_server_does_not_hide_a_light_free_one() {
    let world = World::new(Method::RoundRobin, &[256, 1]);
    world.set(
        0,
        Load {
            active: 1,
            limit: 1,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(4), [1, 1, 1, 1]);
}

#[test]
fn static_round_robin_ignores_weights_changed_at_run_time() {
    let members = [
        Member {
            weight: 160,
            ..member(0, 1)
        },
        member(1, 1),
    ];
    assert_eq!(
        World::of(Method::StaticRoundRobin, &members).shares(10),
        [5, 5]
    );
}

#[test]
fn least_connections_wins_and_ties_take_turns() {
    let world = World::new(Method::LeastConn, &[1, 1, 1]);
    assert_eq!(world.picks(4), [0, 1, 2, 0]);
    world.set(0, busy(3));
    world.set(1, busy(1));
    world.set(2, busy(2));
    assert_eq!(world.picks(2), [1, 1]);
}

#[test]
fn least_connections_counts_per_unit_of_weight_and_counts_the_queue() {
    let world = World::new(Method::LeastConn, &[4, 1]);
    world.set(0, busy(7));
    world.set(1, busy(2));
    assert_eq!(world.picks(1), [0]);
    world.set(
        1,
        Load {
            active: 1,
            queued: 0,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(1), [1]);
    world.set(
        1,
        Load {
            active: 1,
            queued: 1,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(1), [0]);
}

#[test]
fn least_connections_fills_queues_only_where_maxqueue_is_set() {
    let world = World::new(Method::LeastConn, &[1, 1]);
    world.set(
        0,
        Load {
            active: 1,
            limit: 1,
            ..Load::default()
        },
    );
    world.set(
        1,
        Load {
            active: 1,
            limit: 1,
            queue_limit: 2,
            queued: 1,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(1), [1]);
    world.set(
        1,
        Load {
            active: 1,
            limit: 1,
            queue_limit: 2,
            queued: 2,
            ..Load::default()
        },
    );
    assert_eq!(world.pick(None), Pick::Full);
}

#[test]
fn first_fills_the_lowest_id_before_the_next() {
    let members = [
        Member {
            number: 9,
            ..member(0, 1)
        },
        Member {
            number: 2,
            ..member(1, 1)
        },
    ];
    let world = World::of(Method::First, &members);
    assert_eq!(world.picks(2), [1, 1]);
    world.set(
        1,
        Load {
            active: 1,
            limit: 1,
            ..Load::default()
        },
    );
    assert_eq!(world.picks(1), [0]);
}

#[test]
fn map_based_hash_divides_by_the_total_weight() {
    let world = World::new(Method::MapBased(Affinity::Always), &[1, 2, 5, 3]);
    let expected = [0, 1, 2, 3, 2, 1, 2, 3, 2, 2, 3];
    for hash in 0..33 {
        assert_eq!(
            world.pick(Some(hash)),
            Pick::Server(ServerId(expected[hash as usize % 11]))
        );
    }
}

#[test]
fn consistent_hash_agrees_with_a_running_haproxy() {
    let world = World::new(
        Method::Consistent(Affinity::Always, BalanceFactor(0)),
        &[1, 1],
    );
    let hash = avalanche(sdbm(b"/test-url"));
    assert_eq!(world.pick(Some(hash)), Pick::Server(ServerId(0)));
}

#[test]
fn hash_methods_take_turns_without_a_key() {
    for method in [
        Method::MapBased(Affinity::Always),
        Method::Consistent(Affinity::Always, BalanceFactor(0)),
    ] {
        assert_eq!(World::new(method, &[1, 1, 1]).picks(4), [0, 1, 2, 0]);
    }
}

#[test]
fn hash_waits_for_a_saturated_server_unless_affinity_says_otherwise() {
    let full = Load {
        active: 1,
        limit: 1,
        ..Load::default()
    };
    for (affinity, moves) in [
        (Affinity::Always, false),
        (Affinity::Maxconn, true),
        (Affinity::Maxqueue, false),
    ] {
        let world = World::new(Method::MapBased(affinity), &[1, 1]);
        world.set(0, full);
        assert_eq!(
            world.pick(Some(0)),
            Pick::Server(ServerId(u32::from(moves)))
        );
    }
    let world = World::new(Method::MapBased(Affinity::Maxqueue), &[1, 1]);
    world.set(
        0,
        Load {
            queued: 4,
            queue_limit: 4,
            ..full
        },
    );
    assert_eq!(world.pick(Some(0)), Pick::Server(ServerId(1)));
}

#[test]
fn when_all_are_saturated_the_key_queues_on_the_server_before_its_own() {
    let world = World::new(Method::MapBased(Affinity::Maxconn), &[1, 1, 1]);
    for server in 0..3 {
        world.set(
            server,
            Load {
                active: 1,
                limit: 1,
                ..Load::default()
            },
        );
    }
    assert_eq!(world.pick(Some(1)), Pick::Server(ServerId(0)));
    assert_eq!(world.pick(Some(0)), Pick::Server(ServerId(2)));
}

#[test]
fn a_server_that_just_failed_is_avoided_while_there_is_another() {
    for method in ALL_METHODS {
        let world = World::new(*method, &[1, 1, 1]);
        for hash in 0..50 {
            let picked = world.pick_avoiding(Some(hash * 40_503), Some(ServerId(1)));
            assert!(
                matches!(picked, Pick::Server(server) if server != ServerId(1)),
                "{method:?}"
            );
        }
        let alone = World::new(*method, &[1]);
        assert_eq!(
            alone.pick_avoiding(Some(3), Some(ServerId(0))),
            Pick::Server(ServerId(0)),
            "{method:?}"
        );
    }
}

#[test]
fn backup_servers_serve_only_when_nobody_else_can() {
    let servers = [member(0, 1), backup(1), backup(2)];
    assert_eq!(World::of(Method::RoundRobin, &servers).picks(3), [0, 0, 0]);
    assert_eq!(
        World::of(Method::RoundRobin, &servers[1..]).picks(3),
        [1, 1, 1]
    );
    let farm = Farm::new(Method::RoundRobin, &servers[1..], AllBackups::Yes);
    assert_eq!(farm.servers().count(), 2);
}

#[test]
fn a_weight_of_zero_excludes_a_server_and_an_empty_farm_says_so() {
    let drained = Member {
        weight: 0,
        ..member(0, 1)
    };
    assert_eq!(
        World::of(Method::RoundRobin, &[drained, member(1, 1)]).picks(2),
        [1, 1]
    );
    for method in ALL_METHODS {
        assert_eq!(World::of(*method, &[drained]).pick(Some(7)), Pick::Nobody);
    }
}

#[test]
fn bounded_load_moves_keys_away_from_a_hot_server() {
    let world = World::new(
        Method::Consistent(Affinity::Always, BalanceFactor(125)),
        &[1, 1, 1, 1],
    );
    for _ in 0..400 {
        let Pick::Server(server) = world.pick(Some(12345)) else {
            panic!("nobody")
        };
        world.add(server);
    }
    for server in 0..4 {
        let active = world.loads.borrow()[&ServerId(server)].active;
        assert!(
            active <= 126,
            "server {server} carries {active} of 400, more than 1.25 times the average"
        );
    }
}

#[test]
fn the_least_loaded_of_two_draws_wins() {
    let world = World::new(
        Method::Random {
            draws: 2,
            factor: BalanceFactor(0),
        },
        &[1, 1],
    );
    world.set(0, busy(50));
    let picks = world.shares(1000);
    assert!(
        picks[0] < 450,
        "one draw would give the busy server half, two gave {}",
        picks[0]
    );
}

proptest! {
    #[test]
    fn only_the_keys_of_a_lost_server_move(weights in proptest::collection::vec(1_u32..20, 2..8), lost in any::<prop::sample::Index>()) {
        let method = Method::Consistent(Affinity::Always, BalanceFactor(0));
        let lost = lost.index(weights.len());
        let members: Vec<Member> = weights.iter().enumerate().map(|(n, weight)| member(n as u32, *weight)).collect();
        let mut fewer = members.clone();
        fewer.remove(lost);
        let (before, after) = (World::of(method, &members), World::of(method, &fewer));
        for key in 0..500_u32 {
            let hash = avalanche(key);
            let was = before.pick(Some(hash));
            if was != Pick::Server(ServerId(lost as u32)) {
                prop_assert_eq!(was, after.pick(Some(hash)));
            }
        }
    }

    #[test]
    fn random_and_consistent_methods_respect_weights(heavy in 2_u32..6) {
        for method in [Method::Random { draws: 1, factor: BalanceFactor(0) }, Method::Consistent(Affinity::Always, BalanceFactor(0))] {
            let world = World::new(method, &[heavy * 10, 10]);
            let share = (0..2000_u32)
                .filter(|key| world.pick(Some(avalanche(*key))) == Pick::Server(ServerId(0)))
                .count() as f64 / 2000.0;
            let wanted = f64::from(heavy) / f64::from(heavy + 1);
            prop_assert!((share - wanted).abs() < 0.15, "{share} instead of {wanted}");
        }
    }

    #[test]
    fn every_pick_is_a_member_and_terminates(
        weights in proptest::collection::vec(0_u32..30, 0..8),
        loads in proptest::collection::vec((0_u32..5, 0_u32..3, 0_u32..4, 0_u32..3), 10),
        hash in proptest::option::of(any::<u32>()),
    ) {
        for method in ALL_METHODS {
            let world = World::new(*method, &weights);
            for (server, (active, queued, limit, queue_limit)) in loads.iter().enumerate() {
                world.set(server as u32, Load { active: *active, queued: *queued, limit: *limit, queue_limit: *queue_limit, rate: 0 });
            }
            match world.pick(hash) {
                Pick::Server(server) => prop_assert!(weights[server.index()] > 0),
                Pick::Full => prop_assert!(weights.iter().any(|weight| *weight > 0)),
                Pick::Nobody => prop_assert!(weights.iter().all(|weight| *weight == 0)),
            }
        }
    }
}

/// A farm, its cursor and the loads of its servers.
struct World {
    farm: Farm,
    cursor: Cursor,
    loads: RefCell<HashMap<ServerId, Load>>,
    draws: RefCell<u32>,
}

impl World {
    fn new(method: Method, weights: &[u32]) -> Self {
        let members: Vec<Member> = weights
            .iter()
            .enumerate()
            .map(|(n, weight)| member(n as u32, *weight))
            .collect();
        Self::of(method, &members)
    }

    fn of(method: Method, members: &[Member]) -> Self {
        Self {
            farm: Farm::new(method, members, AllBackups::No),
            cursor: Cursor::default(),
            loads: RefCell::default(),
            draws: RefCell::default(),
        }
    }

    fn set(&self, server: u32, load: Load) {
        self.loads.borrow_mut().insert(ServerId(server), load);
    }

    fn add(&self, server: ServerId) {
        self.loads.borrow_mut().entry(server).or_default().active += 1;
    }

    fn pick(&self, hash: Option<u32>) -> Pick {
        self.pick_avoiding(hash, None)
    }

    fn pick_avoiding(&self, hash: Option<u32>, avoid: Option<ServerId>) -> Pick {
        *self.draws.borrow_mut() += 1;
        let random = avalanche(*self.draws.borrow());
        let loads = |server: ServerId| {
            self.loads
                .borrow()
                .get(&server)
                .copied()
                .unwrap_or_default()
        };
        self.farm.pick(&Request {
            hash,
            avoid,
            random,
            cursor: &self.cursor,
            loads: &loads,
        })
    }

    fn picks(&self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| match self.pick(None) {
                Pick::Server(server) => server.0,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn shares(&self, count: usize) -> Vec<usize> {
        let picks = self.picks(count);
        (0..2)
            .map(|server| picks.iter().filter(|pick| **pick == server).count())
            .collect()
    }
}

fn member(server: u32, weight: u32) -> Member {
    Member {
        server: ServerId(server),
        number: server + 1,
        configured_weight: weight,
        weight: weight * WEIGHT_SCALE,
        key: node_key(server + 1),
        backup: false,
    }
}

fn backup(server: u32) -> Member {
    Member {
        backup: true,
        ..member(server, 1)
    }
}

fn busy(active: u32) -> Load {
    Load {
        active,
        ..Load::default()
    }
}

const ALL_METHODS: &[Method] = &[
    Method::RoundRobin,
    Method::StaticRoundRobin,
    Method::LeastConn,
    Method::First,
    Method::MapBased(Affinity::Always),
    Method::MapBased(Affinity::Maxconn),
    Method::Consistent(Affinity::Always, BalanceFactor(0)),
    Method::Consistent(Affinity::Maxqueue, BalanceFactor(150)),
    Method::Random {
        draws: 2,
        factor: BalanceFactor(0),
    },
];
