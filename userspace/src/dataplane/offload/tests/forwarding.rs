//! What a way to forward can do for which servers, and for how long flows are remembered.

use super::*;

#[test]
fn flows_are_remembered_for_as_long_as_the_timeouts_say() {
    let idle = |change: fn(&mut model::Timeouts)| {
        let mut draft = Draft::new(Mode::L4)
            .tcp("192.0.2.1:80")
            .server("s1", "10.0.0.1:80");
        let timeouts = &mut draft.proxy().timeouts;
        *timeouts = model::Timeouts::default();
        change(timeouts);
        let plan = draft.compile().plan;
        let idle = plan.services[0].delivery.forwarding().unwrap().idle;
        (idle.opening, idle.established, idle.datagram, idle.closing)
    };
    let ever = u64::MAX;
    assert_eq!(idle(|_| ()), (60_000, ever, ever, 60_000));
    let both = |times: &mut model::Timeouts| {
        (times.client, times.server) = (Some(Millis(3000)), Some(Millis(5000)));
    };
    assert_eq!(idle(both), (60_000, 5000, 5000, 60_000));
    assert_eq!(
        idle(|times| times.client = Some(Millis(3000))),
        (60_000, ever, ever, 60_000),
        "without 'timeout server' a silent server is waited for"
    );
    assert_eq!(
        idle(|times| {
            (times.client, times.server) = (Some(Millis(3000)), Some(Millis(5000)));
            (times.connect, times.tunnel) = (Some(Millis(1000)), Some(Millis(60_000)));
            (times.client_fin, times.server_fin) = (Some(Millis(2000)), Some(Millis(4000)));
        }),
        (1000, 60_000, 5000, 4000)
    );
}

#[test]
fn a_port_of_its_own_needs_a_way_to_forward_that_rewrites_ports() {
    let refused = |forward, server: &str| {
        let mut draft = Draft::new(Mode::L4)
            .tcp("192.0.2.1:80")
            .tcp("192.0.2.1:81")
            .server("s1", server);
        draft.proxy().forward = forward;
        let refusals = draft.compile().refusals.into_iter();
        refusals.map(|refusal| refusal.message).collect::<Vec<_>>()
    };
    let gue = Forward::Gue { port: 6080 };
    for forward in [Forward::Dsr, Forward::Ipip, gue] {
        assert_eq!(refused(forward, "10.0.0.1:0"), Vec::<String>::new());
        assert_eq!(refused(forward, "10.0.0.1:8080").len(), 2);
        let one = refused(forward, "10.0.0.1:80");
        assert_eq!(one.len(), 1);
        assert!(
            one[0].contains("those to 192.0.2.1:81 cannot go to port 80"),
            "{one:?}"
        );
    }
    for forward in [Forward::Nat, Forward::Dnat] {
        assert_eq!(refused(forward, "10.0.0.1:8080"), Vec::<String>::new());
    }
}

#[test]
fn the_port_of_a_name_that_does_not_resolve_yet_counts() {
    let refused = |port| {
        let mut draft = Draft::new(Mode::L4)
            .tcp("192.0.2.1:80")
            .server("s1", "10.0.0.1:0");
        draft.proxy().forward = Forward::Dsr;
        draft.model.servers[0].address = ServerAddress::Unresolved { port };
        draft.compile().refusals.len()
    };
    assert_eq!((refused(0), refused(80), refused(8080)), (0, 0, 1));
}

#[test]
fn ways_to_forward_that_cannot_bridge_families_are_refused() {
    let refused = |forward, bind: &str, servers: &[&str]| {
        let mut draft = Draft::new(Mode::L4).tcp(bind);
        draft.proxy().forward = forward;
        for server in servers {
            draft = draft.server("s", server);
        }
        draft.compile().refusals
    };
    let (v4, v6) = ("192.0.2.1:80", "[2001:db8::1]:80");
    let gue = Forward::Gue { port: 6080 };
    for forward in [Forward::Nat, Forward::Dnat] {
        for (bind, server) in [(v4, v6), (v6, v4)] {
            let refusals = refused(forward, bind, &[server]);
            assert_eq!(refusals.len(), 1, "{forward:?} {bind} {server}");
            assert!(refusals[0].message.contains("cannot bridge"));
            assert_eq!(refused(forward, bind, &[server, bind]), []);
        }
    }
    let refusals = refused(Forward::Ipip, v6, &[v4]);
    assert_eq!(
        refusals[0].message,
        "frontend 'web' listens on IPv6 and no server of backend 'web' does, which 'forward ipip' cannot bridge; \
         'forward gue' can"
    );
    assert_eq!(refused(Forward::Ipip, v4, &[v6]), []);
    for (bind, server) in [(v4, v4), (v4, v6), (v6, v4), (v6, v6)] {
        assert_eq!(refused(gue, bind, &[server]), []);
        assert_eq!(refused(Forward::Dsr, bind, &[server]), []);
    }
}

#[test]
fn packets_are_marked_on_the_ways_that_come_through_here() {
    let compiled = |forward, marks| {
        let mut draft = Draft::new(Mode::L4)
            .tcp("192.0.2.1:80")
            .server("s1", "10.0.0.1:80");
        (draft.proxy().forward, draft.proxy().marks) = (forward, marks);
        draft.proxy().normalise = false;
        draft.compile()
    };
    let both = model::Marks {
        server: Some(8),
        client: Some(16),
        client_named: false,
    };
    let named = model::Marks {
        client_named: true,
        ..both
    };
    for (forward, answers) in [
        (Forward::Nat, true),
        (Forward::Dnat, true),
        (Forward::Dsr, false),
        (Forward::Ipip, false),
        (Forward::Gue { port: 6080 }, false),
    ] {
        let treatment = compiled(forward, both).plan.services[0].treatment;
        let expected = crate::dataplane::plan::Treatment {
            lenient: true,
            to_server: Some(8),
            to_client: answers.then_some(16),
        };
        assert_eq!(treatment, expected, "{forward:?}");
        let refusals = compiled(forward, named).refusals;
        assert_eq!(refusals.is_empty(), answers, "{forward:?}: {refusals:?}");
    }
}
