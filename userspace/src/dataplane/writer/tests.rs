//! The writer in plain memory: files in the place of maps, so that no kernel is needed.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;

use ipnet::Ipv6Net;
use proptest::prelude::*;
use tidegate_common::action::{Action, Class};
use tidegate_common::address::Address;
use tidegate_common::bind::RangeRow;
use tidegate_common::maps::name;
use tidegate_common::ring::{RING_ROWS, RingRow};
use tidegate_common::server::{Endpoint, Hop as HopWord, Server, ServerIndex, ServerState};
use tidegate_common::syn::Offer;
use tidegate_common::tick::Tick;

use super::*;
use crate::dataplane::mmap::{Mapped, Record};
use crate::dataplane::neighbours::{Hop, NextHop, Obstacle};
use crate::dataplane::plan::{
    Bind, Choice, Counting, Delivery, Family, Forwarding, Masks, Policy, PolicyId, Protocol,
    RateLimit, SourceAction, Treatment,
};
use crate::dataplane::sizes;
use crate::dataplane::source_rules::testing::several;
use crate::dataplane::tables::Others;
use crate::model::XdpGlobal;
use crate::types::{ProxyId, ServerId, TableId};

mod members;

/// Maps that would be written by system calls: here nobody reads them.
struct Nowhere;

impl Others for Nowhere {
    fn set_device(&mut self, _index: u32, _interface: u32) -> Result<(), WriteError> {
        Ok(())
    }

    fn insert_prefix(&mut self, _prefix: Ipv6Net, _class: Class) -> Result<(), WriteError> {
        Ok(())
    }

    fn remove_prefix(&mut self, _prefix: Ipv6Net) -> Result<(), WriteError> {
        Ok(())
    }

    fn clear_counters(&mut self, _server: ServerIndex) -> Result<(), WriteError> {
        Ok(())
    }
}

/// Files in the place of maps; the kept ones can be opened again by a second writer.
struct Files(BTreeMap<&'static str, File>);

impl Files {
    fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Fresh files, but those of maps that are taken over.
    fn next(&self) -> Self {
        let kept = [name::SERVERS, name::RINGS].into_iter();
        Self(
            kept.filter_map(|name| Some((name, self.0.get(name)?.try_clone().unwrap())))
                .collect(),
        )
    }

    fn mapped<T: Record>(&mut self, name: &'static str, records: u32) -> Mapped<T> {
        let file = self
            .0
            .entry(name)
            .or_insert_with(|| tempfile::tempfile().unwrap());
        file.set_len(u64::from(records) * size_of::<T>() as u64)
            .unwrap();
        Mapped::new(&*file, records).unwrap()
    }

    fn tables(&mut self, sizes: &Sizes) -> Tables {
        let entries: BTreeMap<_, _> = sizes.entries().into_iter().collect();
        let size = |name: &str| entries[name];
        Tables {
            config: self.mapped(name::CONFIG, 1),
            binds: self.mapped(name::BINDS, size(name::BINDS)),
            ranges: self.mapped(name::RANGES, size(name::RANGES)),
            services: self.mapped(name::SERVICES, size(name::SERVICES)),
            servers: self.mapped(name::SERVERS, size(name::SERVERS)),
            rings: self.mapped(name::RINGS, size(name::RINGS)),
            loads: self.mapped(name::LOADS, size(name::LOADS)),
            turns: self.mapped(name::TURNS, size(name::TURNS)),
            lists4: self.mapped(name::LISTS4, size(name::LISTS4)),
            lists6: self.mapped(name::LISTS6, size(name::LISTS6)),
            actions: self.mapped(name::ACTIONS, size(name::ACTIONS)),
            rates: self.mapped(name::RATES, size(name::RATES)),
            syns: self.mapped(name::SYNS, size(name::SYNS)),
            others: Box::new(Nowhere),
        }
    }

    /// What a successor reads of these maps.
    fn predecessor(&mut self, sizes: &Sizes) -> Predecessor {
        let entries: BTreeMap<_, _> = sizes.entries().into_iter().collect();
        let size = |name: &str| entries[name];
        Predecessor::of(
            self.mapped(name::CONFIG, 1),
            self.mapped(name::SERVICES, size(name::SERVICES)),
            self.mapped(name::RATES, size(name::RATES)),
            self.mapped(name::BINDS, size(name::BINDS)),
            self.mapped::<RangeRow>(name::RANGES, size(name::RANGES)),
        )
    }
}

/// What servers and the network are like.
#[derive(Clone, Default)]
struct World {
    standings: BTreeMap<u32, Standing>,
    hops: BTreeMap<IpAddr, Hop>,
}

impl Standings for World {
    fn standing(&self, server: ServerId) -> Standing {
        self.standings.get(&server.0).copied().unwrap_or(UP)
    }
}

impl Hops for World {
    fn hop(&self, address: IpAddr) -> Option<&Hop> {
        self.hops.get(&address)
    }
}

const UP: Standing = Standing {
    usable: true,
    stopped: false,
    weight: 16,
    address: None,
    limit: 0,
};
const DOWN: Standing = Standing {
    usable: false,
    stopped: true,
    weight: 16,
    address: None,
    limit: 0,
};

impl World {
    /// One in which every server of the plan can be reached.
    fn around(plan: &Plan) -> Self {
        let mut world = Self::default();
        for address in Writer::server_addresses(plan, &world.clone()) {
            world.hops.insert(address, reachable(address));
        }
        world
    }
}

fn reachable(address: IpAddr) -> Hop {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    let source = if address.is_ipv4() {
        "10.0.0.254"
    } else {
        "2001:db8::fe"
    };
    Hop::Reachable(NextHop {
        interface: 7,
        vlan: 0,
        mtu: 1500,
        source_mac: [2, 0, 0, 0, 0, 0],
        mac: [2, 0, 0, 0, 1, last],
        source: Some(source.parse().unwrap()),
        gateway: None,
    })
}

fn server(id: u32, address: &str) -> plan::Server {
    plan::Server {
        name: format!("s{id}"),
        id: ServerId(id),
        number: 1,
        address: Some(address.parse().unwrap()),
        weight: 1,
        backup: false,
        maxconn: None,
        cut_when_down: false,
    }
}

fn bind(address: &str, first: u16, last: u16) -> Bind {
    Bind::one(address.parse().unwrap(), first, last)
}

fn service(frontend: &str, binds: Vec<Bind>, delivery: Delivery) -> plan::Service {
    plan::Service {
        frontend: frontend.to_owned(),
        proxy: ProxyId(0),
        protocol: Protocol::Tcp,
        family: Family::V4,
        binds,
        segment: 0,
        treatment: Treatment::default(),
        policy: None,
        delivery,
    }
}

fn to(servers: Vec<plan::Server>) -> Delivery {
    Delivery::Forward(Forwarding {
        backend: "pool".to_owned(),
        proxy: ProxyId(0),
        method: Method::Nat,
        choice: Choice::Maglev,
        server_ids: None,
        servers,
        all_backups: false,
        idle: IdleTimes {
            opening: 1000,
            established: 60_000,
            datagram: 60_000,
            closing: 1000,
        },
    })
}

fn three() -> Vec<plan::Server> {
    (1..=3)
        .map(|n| server(n, &format!("10.0.0.{n}:80")))
        .collect()
}

fn web(servers: Vec<plan::Server>) -> Plan {
    let binds = vec![
        bind("198.51.100.80", 80, 80),
        bind("198.51.100.80", 9000, 9010),
    ];
    Plan {
        policies: Vec::new(),
        services: vec![service("web", binds, to(servers))],
        ..Plan::default()
    }
}

struct Written {
    writer: Writer,
    files: Files,
    sizes: Sizes,
    notices: Vec<Notice>,
}

fn write(plan: &Plan, world: &World, own: &[&str], before: Option<&mut Written>) -> Written {
    let own: Vec<IpAddr> = own.iter().map(|address| address.parse().unwrap()).collect();
    let earlier = before.as_ref().map_or_else(BTreeMap::new, |before| {
        before.sizes.entries().into_iter().collect()
    });
    let settings = XdpGlobal {
        flows: 4096,
        sources: 1024,
        ..XdpGlobal::default()
    };
    let known = own.iter().copied().collect();
    let sizes = sizes::sizes(plan, &settings, &known, &earlier).unwrap();
    let mut files = before
        .as_ref()
        .map_or_else(Files::new, |before| before.files.next());
    let predecessor = before.map(|before| before.files.predecessor(&before.sizes));
    let interface = Interface {
        index: 7,
        name: "eth0".to_owned(),
        mac: Some([2, 0, 0, 0, 0, 0]),
        mtu: 1500,
        vlan: None,
    };
    let surroundings = Surroundings {
        sizes,
        interfaces: &[interface],
        own,
        nat_ports: (1024, 1000),
        offer: Offer::default(),
        predecessor: predecessor.as_ref(),
    };
    let ticks = Ticks::calibrate(|| Ok::<_, ()>(Tick(5000))).unwrap();
    let tables = files.tables(&sizes);
    let (writer, notices) =
        Writer::fill(tables, ticks, plan.clone(), &surroundings, world, world).unwrap();
    Written {
        writer,
        files,
        sizes,
        notices,
    }
}

impl Written {
    fn find(&mut self, address: &str, port: u16) -> Option<ServiceIndex> {
        self.files
            .predecessor(&self.sizes)
            .service(&bind(address, port, port), Protocol::Tcp)
    }

    fn refresh(&mut self, world: &World) -> Vec<Notice> {
        self.writer.refresh(world, world).unwrap()
    }

    fn rings(&self, at: usize) -> Rings {
        let index = self.writer.services[at].index;
        Rings::from_word(
            self.writer.tables.services[usize::from(index.0)]
                .rings
                .load(),
        )
    }

    /// How many positions of a ring each server has.
    fn ring(&self, number: u16) -> BTreeMap<u16, usize> {
        let first = usize::from(number) * RING_ROWS as usize;
        let rows: &[RingRow] = &self.writer.tables.rings[first..first + RING_ROWS as usize];
        let positions = rows.iter().flat_map(|row| &row.words).flat_map(|word| {
            let value = word.load();
            (0..4).map(move |at| (value >> (at * 16)) as u16)
        });
        let mut counts = BTreeMap::new();
        for server in positions.take(65_537) {
            *counts.entry(server).or_insert(0) += 1;
        }
        counts
    }

    fn record(&self, index: u16) -> &Server {
        &self.writer.tables.servers[usize::from(index)]
    }

    fn hop(&self, index: u16) -> HopWord {
        HopWord::from_word(self.record(index).hop.load())
    }

    fn index_of(&self, id: u32) -> Option<u16> {
        self.writer
            .server_records()
            .find(|server| server.id == ServerId(id))?
            .index
            .map(|index| index.0)
    }

    /// What must hold at any time.
    fn check(&self) -> Result<(), TestCaseError> {
        let mut numbers = BTreeSet::new();
        let forwarded = |at: &usize| self.writer.services[*at].plan.delivery != Delivery::Local;
        for at in (0..self.writer.services.len()).filter(forwarded) {
            let service = self.writer.services[at].index;
            let rings = self.rings(at);
            prop_assert_ne!(rings.current, 0);
            for number in BTreeSet::from([rings.current, rings.previous]) {
                prop_assert!(numbers.insert(number), "ring {} is named twice", number);
            }
            for server in self
                .ring(rings.current)
                .into_keys()
                .filter(|server| *server != 0)
            {
                prop_assert_eq!(
                    self.hop(server).state,
                    ServerState::Up,
                    "server {} in the ring",
                    server
                );
                prop_assert!(self.hop(server).is_known());
                let endpoint = Endpoint::from_word(self.record(server).endpoint.load());
                prop_assert_eq!(endpoint.service, service);
            }
            for server in self
                .ring(rings.previous)
                .into_keys()
                .filter(|server| *server != 0)
            {
                prop_assert_ne!(
                    self.hop(server).state,
                    ServerState::Absent,
                    "server {} in the ring before",
                    server
                );
            }
        }
        Ok(())
    }
}

#[test]
fn binds_lead_to_their_services() {
    let mut plan = web(three());
    plan.services.push(service(
        "all",
        vec![bind("0.0.0.0", 80, 80), bind("0.0.0.0", 8080, 8080)],
        Delivery::Local,
    ));
    let world = World::around(&plan);
    let mut written = write(
        &plan,
        &world,
        &["198.51.100.80", "192.0.2.1", "2001:db8::1"],
        None,
    );
    assert_eq!(written.notices, []);
    let web = written.find("198.51.100.80", 80).unwrap();
    let all = written.find("192.0.2.1", 80).unwrap();
    assert_ne!(
        web, all,
        "a bind that names the address goes before one that does not"
    );
    assert_eq!(written.find("198.51.100.80", 8080), Some(all));
    assert_eq!(written.find("198.51.100.80", 9005), Some(web));
    assert_eq!(written.find("198.51.100.80", 9011), None);
    assert_eq!(written.find("192.0.2.1", 9005), None);
    assert_eq!(written.find("203.0.113.1", 80), None);
    assert_eq!(
        written.find("2001:db8::1", 80),
        None,
        "the bind is of the other family"
    );
    written.check().unwrap();
}

#[test]
fn wildcards_follow_the_machines_addresses() {
    let plan = Plan {
        policies: Vec::new(),
        services: vec![service(
            "all",
            vec![bind("0.0.0.0", 80, 80)],
            Delivery::Local,
        )],
        ..Plan::default()
    };
    let mut written = write(&plan, &World::default(), &["192.0.2.1"], None);
    assert!(written.find("192.0.2.1", 80).is_some() && written.find("192.0.2.2", 80).is_none());
    written
        .writer
        .set_own_addresses(&["192.0.2.2".parse().unwrap()])
        .unwrap();
    assert!(written.find("192.0.2.1", 80).is_none() && written.find("192.0.2.2", 80).is_some());
}

#[test]
fn server_that_drains_leaves_the_ring_and_the_ring_before_is_kept() {
    let plan = web(three());
    let mut world = World::around(&plan);
    let mut written = write(&plan, &world, &[], None);
    let before = written.rings(0);
    assert_eq!(before.current, before.previous);
    let second = written.index_of(2).unwrap();
    assert!(written.ring(before.current).contains_key(&second));
    world.standings.insert(2, DOWN);
    written.refresh(&world);
    let after = written.rings(0);
    assert_eq!(after.previous, before.current);
    assert!(!written.ring(after.current).contains_key(&second));
    assert_eq!(
        written.hop(second).state,
        ServerState::Drain,
        "its flows go on"
    );
    written.refresh(&world);
    assert_eq!(
        written.rings(0),
        after,
        "nothing has changed, so nothing is written"
    );
    written.check().unwrap();
}

#[test]
fn server_marked_down_loses_its_flows_where_that_is_asked_for() {
    let mut servers = three();
    servers[0].cut_when_down = true;
    let plan = web(servers);
    let mut world = World::around(&plan);
    let mut written = write(&plan, &world, &[], None);
    let first = written.index_of(1).unwrap();
    world.standings.insert(1, DOWN);
    written.refresh(&world);
    assert_eq!(written.hop(first).state, ServerState::Down);
    world.standings.insert(
        1,
        Standing {
            stopped: false,
            ..DOWN
        },
    );
    written.refresh(&world);
    assert_eq!(
        written.hop(first).state,
        ServerState::Drain,
        "drained by an operator, not dead"
    );
}

#[test]
fn weights_shape_the_ring() {
    let plan = web(three());
    let mut world = World::around(&plan);
    world.standings.insert(1, Standing { weight: 48, ..UP });
    world.standings.insert(3, Standing { weight: 0, ..UP });
    let written = write(&plan, &world, &[], None);
    let ring = written.ring(written.rings(0).current);
    let places = |id: u32| {
        ring.get(&written.index_of(id).unwrap())
            .copied()
            .unwrap_or(0)
    };
    assert_eq!(places(3), 0);
    assert!(
        (places(1) as f64 / places(2) as f64 - 3.0).abs() < 0.01,
        "{ring:?}"
    );
}

#[test]
fn turns_follow_the_weights_and_never_run_out_of_rings() {
    let mut plan = web(three());
    if let Delivery::Forward(forwarding) = &mut plan.services[0].delivery {
        forwarding.choice = Choice::RoundRobin;
    }
    let mut world = World::around(&plan);
    let mut written = write(&plan, &world, &[], None);
    for weight in 1..=60 {
        world.standings.insert(2, Standing { weight, ..UP });
        written.refresh(&world);
        let schedule = written.writer.services[0].choice.schedule;
        let rings = written.rings(0);
        assert!(![0, rings.current, rings.previous].contains(&schedule));
        let turns = written.ring(schedule);
        let of = |id: u32| turns[&written.index_of(id).unwrap()] as f64;
        let ratio = of(2) / of(1);
        assert!(
            (ratio - f64::from(weight) / 16.0).abs() < 0.01,
            "{weight}: {ratio}"
        );
    }
    written.check().unwrap();
}

#[test]
fn backups_work_only_when_nobody_else_does() {
    let mut servers = three();
    servers[1].backup = true;
    servers[2].backup = true;
    let plan = web(servers);
    let mut world = World::around(&plan);
    let mut written = write(&plan, &world, &[], None);
    let in_ring = |written: &Written| -> Vec<u32> {
        let ring = written.ring(written.rings(0).current);
        (1..=3)
            .filter(|id| ring.contains_key(&written.index_of(*id).unwrap()))
            .collect()
    };
    assert_eq!(in_ring(&written), [1]);
    world.standings.insert(1, DOWN);
    written.refresh(&world);
    assert_eq!(
        in_ring(&written),
        [2],
        "only the first backup, without 'option allbackups'"
    );
    world.standings.insert(2, DOWN);
    written.refresh(&world);
    assert_eq!(in_ring(&written), [3]);
}

#[test]
fn unreachable_server_is_told_once_and_left_out_until_it_answers() {
    let plan = web(three());
    let mut world = World::around(&plan);
    let address: IpAddr = "10.0.0.2".parse().unwrap();
    world
        .hops
        .insert(address, Hop::Unreachable(Obstacle::NoAnswer(address)));
    let mut written = write(&plan, &world, &[], None);
    assert_eq!(written.notices.len(), 1);
    assert_eq!(
        written.notices[0].trouble,
        Some(Obstacle::NoAnswer(address))
    );
    assert_eq!(written.refresh(&world), []);
    assert_eq!(
        written.index_of(2),
        None,
        "its record would lack the local address"
    );
    world.hops.insert(address, reachable(address));
    assert_eq!(written.refresh(&world)[0].trouble, None);
    let second = written.index_of(2).unwrap();
    assert!(written.ring(written.rings(0).current).contains_key(&second));
    world
        .hops
        .insert(address, Hop::Unreachable(Obstacle::Asking(address)));
    assert_eq!(
        written.refresh(&world),
        [],
        "being asked again, it is good until it does not answer"
    );
    assert_eq!(written.hop(second).state, ServerState::Up);
    world
        .hops
        .insert(address, Hop::Unreachable(Obstacle::NoAnswer(address)));
    assert_eq!(written.refresh(&world).len(), 1);
    assert!(!written.hop(second).is_known());
    assert_eq!(written.hop(second).state, ServerState::Drain);
    written.check().unwrap();
}

#[test]
fn server_that_moves_gets_another_number_and_the_old_one_drains() {
    let plan = web(three());
    let mut world = World::around(&plan);
    let mut written = write(&plan, &world, &[], None);
    let before = written.index_of(2).unwrap();
    let moved = "10.0.0.22:8080".parse().unwrap();
    world.standings.insert(
        2,
        Standing {
            address: Some(moved),
            ..UP
        },
    );
    world.hops.insert(moved.ip(), reachable(moved.ip()));
    written.refresh(&world);
    let after = written.index_of(2).unwrap();
    assert_ne!(before, after);
    assert_eq!(written.hop(before).state, ServerState::Drain);
    let ring = written.ring(written.rings(0).current);
    assert!(ring.contains_key(&after) && !ring.contains_key(&before));
    assert_eq!(
        IpAddr::from(Address::load(&written.record(after).address)),
        moved.ip()
    );
    written.check().unwrap();
}

#[test]
fn successor_keeps_numbers_and_rings_of_what_stays() {
    let plan = web(three());
    let world = World::around(&plan);
    let mut first = write(&plan, &world, &[], None);
    let rings = first.rings(0);
    let service = first.find("198.51.100.80", 80);
    let numbers: Vec<_> = (1..=3).map(|id| first.index_of(id)).collect();
    // Another frontend comes first, the names change, a server goes and one comes.
    let mut servers = three();
    servers.remove(0);
    servers.push(server(4, "10.0.0.4:80"));
    let mut next = web(servers);
    next.services[0].frontend = "renamed".to_owned();
    next.services
        .insert(0, service_at("other", "198.51.100.81"));
    let world = World::around(&next);
    let mut second = write(&next, &world, &[], Some(&mut first));
    assert_eq!(second.find("198.51.100.80", 80), service);
    assert_ne!(second.find("198.51.100.81", 80), service);
    assert_eq!(
        (second.index_of(2), second.index_of(3)),
        (numbers[1], numbers[2])
    );
    assert!(!numbers.contains(&second.index_of(4)));
    assert_eq!(
        second.rings(1).previous,
        rings.current,
        "the ring before is the old program's"
    );
    second.check().unwrap();
    second.writer.settle();
    assert_eq!(
        second.hop(numbers[0].unwrap()).state,
        ServerState::Drain,
        "the one that left finishes its flows"
    );

    let third = write(&next, &world, &[], Some(&mut second));
    assert_eq!(
        third.rings(1),
        second.rings(1),
        "a restart without a change changes no ring"
    );
    third.check().unwrap();
    assert_eq!(third.writer.table_key(), first.writer.table_key());
}

fn service_at(frontend: &str, address: &str) -> plan::Service {
    service(
        frontend,
        vec![bind(address, 80, 80)],
        to(vec![server(9, "10.0.0.9:80")]),
    )
}

#[test]
fn service_that_changes_its_nature_gets_another_number() {
    let plan = web(three());
    let world = World::around(&plan);
    let mut first = write(&plan, &world, &[], None);
    let before = first.find("198.51.100.80", 80).unwrap();
    let mut next = plan;
    next.services[0].delivery = Delivery::Local;
    let mut second = write(&next, &world, &[], Some(&mut first));
    assert_ne!(second.find("198.51.100.80", 80).unwrap(), before);
}

#[test]
fn policies_and_limits_are_written_for_the_services_that_have_them() {
    let sources = several(&[
        (SourceAction::Accept, &["10.1.0.0/16"]),
        (SourceAction::Drop, &["10.0.0.0/8", "2001:db8::/32"]),
    ]);
    let rate = RateLimit {
        table: TableId(0),
        table_name: "web".to_owned(),
        period: 10_000,
        limit: 100,
        counting: Counting::Accepted,
        masks: Masks::NONE,
        v6: false,
        resets: true,
    };
    let policy = Policy {
        frontend: "web".to_owned(),
        sources,
        rate: Some(rate),
    };
    let mut plan = web(three());
    plan.policies = vec![policy];
    plan.services[0].policy = Some(PolicyId(0));
    let v6 = plan::Service {
        family: Family::V6,
        binds: vec![bind("2001:db8:80::1", 80, 80)],
        ..plan.services[0].clone()
    };
    plan.services.push(v6);
    let world = World::around(&plan);
    let written = write(&plan, &world, &[], None);
    let tables = &written.writer.tables;
    let guard = |at: usize| {
        let index = written.writer.services[at].index;
        Guard::from_word(tables.services[usize::from(index.0)].guard.load())
    };
    assert_eq!((guard(0).policy, guard(0).rate), (1, 1));
    assert_eq!(
        (guard(1).policy, guard(1).rate),
        (1, 0),
        "the table holds no IPv6 sources"
    );
    let limit = tidegate_common::rate::Limit::from_word(tables.rates[1].limit.load());
    assert_eq!(
        (limit.rate, limit.period),
        (101, written.writer.ticks().span(10_000))
    );
    let action = |class: u16| tables.actions[Class(class).row(1) as usize].action(Class(class));
    let actions: BTreeSet<_> = (0..3).map(|class| action(class) as u8).collect();
    assert_eq!(action(0), Action::Accept);
    assert_eq!(
        actions,
        BTreeSet::from([
            Action::Accept as u8,
            Action::Refuse as u8,
            Action::Exempt as u8
        ])
    );
}

fn change() -> impl Strategy<Value = (u32, u8, u32)> {
    (1_u32..=4, 0_u8..6, 0_u32..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whatever_servers_do_rings_name_only_servers_that_can_be_reached(
        changes in proptest::collection::vec(proptest::collection::vec(change(), 1..4), 1..7),
    ) {
        let mut servers = three();
        servers.push(plan::Server { backup: true, cut_when_down: true, ..server(4, "10.0.0.4:80") });
        let mut plan = web(servers);
        plan.services.push(service_at("other", "198.51.100.81"));
        let mut world = World::around(&plan);
        let mut written = write(&plan, &world, &[], None);
        written.check()?;
        for step in changes {
            for (id, what, number) in step {
                let address: IpAddr = format!("10.0.0.{id}").parse().unwrap();
                match what {
                    0 => { world.standings.insert(id, DOWN); }
                    1 => { world.standings.remove(&id); }
                    2 => { world.standings.insert(id, Standing { weight: number * 16, ..UP }); }
                    3 => { world.hops.insert(address, Hop::Unreachable(Obstacle::NoAnswer(address))); }
                    4 => { world.hops.insert(address, reachable(address)); }
                    _ => {
                        let moved: SocketAddr = format!("10.0.1.{number}:80").parse().unwrap();
                        world.hops.insert(moved.ip(), reachable(moved.ip()));
                        world.standings.insert(id, Standing { address: Some(moved), ..UP });
                    }
                }
            }
            written.refresh(&world);
            written.check()?;
        }
        let mut next = write(&plan, &world, &[], Some(&mut written));
        next.check()?;
        next.writer.settle();
        next.refresh(&world);
        next.check()?;
    }
}
