//! Servers one by one: what is told of them, in which VLAN they are, and how they come and go.

use super::*;

#[test]
fn server_that_waits_for_its_neighbour_says_so_but_is_not_told_of() {
    let mut world = World::around(&web(three()));
    let address = "10.0.0.2".parse().unwrap();
    world
        .hops
        .insert(address, Hop::Unreachable(Obstacle::Asking(address)));
    let written = write(&web(three()), &world, &[], None);
    assert_eq!(written.notices, []);
    let troubles: Vec<_> = written
        .writer
        .server_records()
        .map(|server| server.trouble.map(ToString::to_string))
        .collect();
    let waiting = "waiting for the hardware address of 10.0.0.2".to_owned();
    assert_eq!(troubles, [None, Some(waiting), None]);
}

#[test]
fn server_that_resolves_to_a_port_of_its_own_is_left_out_where_packets_stay_as_they_are() {
    let world = World::around(&web(three()));
    let mut plan = web(three());
    plan.services[0].binds.truncate(1);
    let forwarding = plan.services[0].delivery.forwarding_mut().unwrap();
    forwarding.method = Method::Dsr;
    forwarding.servers[1].address = Some("10.0.0.2:8080".parse().unwrap());
    let written = write(&plan, &world, &[], None);
    let told: Vec<_> = written
        .notices
        .iter()
        .map(|it| (&*it.server, it.trouble.clone()))
        .collect();
    assert_eq!(told, [("s2", Some(Obstacle::OwnPort(8080)))]);
}

#[test]
fn server_in_a_vlan_has_a_number_for_it() {
    let mut world = World::around(&web(three()));
    let address: IpAddr = "10.0.0.2".parse().unwrap();
    let tagged = |vlan| match reachable(address) {
        Hop::Reachable(hop) => Hop::Reachable(NextHop { vlan, ..hop }),
        unreachable => unreachable,
    };
    world.hops.insert(address, tagged(100));
    let mut written = write(&web(three()), &world, &[], None);
    let vlans = |written: &Written| -> Vec<u16> {
        let tables = written.writer.tables();
        let servers = written.writer.server_records();
        let numbers = servers.map(|server| server.index.unwrap());
        numbers
            .map(|index| {
                let record = &tables.servers[usize::from(index.0)];
                Endpoint::from_word(record.endpoint.load()).vlan
            })
            .collect()
    };
    assert_eq!(vlans(&written), [0, 100, 0]);
    let before = written.writer.server_records().nth(1).unwrap().index;
    world.hops.insert(address, tagged(200));
    written.writer.refresh(&world, &world).unwrap();
    assert_eq!(vlans(&written), [0, 200, 0]);
    let after = written.writer.server_records().nth(1).unwrap().index;
    assert_ne!(before, after, "flows of the other way go on there");
}

#[test]
fn servers_that_come_and_go_leave_the_others_their_numbers() {
    let all = [three(), vec![server(4, "10.0.0.4:80")]].concat();
    let world = World::around(&web(all));
    let mut written = write(&web(three()), &world, &[], None);
    let numbers = |written: &Written| -> Vec<(u32, Option<ServerIndex>)> {
        let servers = written.writer.server_records();
        servers.map(|server| (server.id.0, server.index)).collect()
    };
    let before = numbers(&written);
    let mut servers = three();
    servers.remove(1);
    servers.push(server(4, "10.0.0.4:80"));
    written.writer.set_members(&web(servers));
    written.writer.refresh(&world, &world).unwrap();
    let after = numbers(&written);
    assert_eq!((after[0], after[1]), (before[0], before[2]));
    assert_eq!(after[2].0, 4);
    assert!(after[2].1.is_some() && !before.iter().any(|(_, index)| *index == after[2].1));
    // Its flows go on until they end.
    let gone = before[1].1.unwrap();
    let record = &written.writer.tables().servers[usize::from(gone.0)];
    assert_eq!(
        HopWord::from_word(record.hop.load()).state,
        ServerState::Drain
    );
}
