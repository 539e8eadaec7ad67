//! What is said, and that nothing is said where nothing is odd.

use super::*;
use crate::dataplane::attach::Attachment;
use crate::dataplane::features::Features;
use crate::dataplane::netlink::Interface;
use crate::dataplane::plan::{
    Bind, Choice, Family, Forwarding, IdleTimes, Method, Protocol, Server, Service, Treatment,
};
use crate::types::{ProxyId, ServerId};

fn interface(name: &str) -> Interface {
    Interface {
        index: 7,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        vlan: None,
    }
}

fn service(address: &str, servers: usize) -> Service {
    let address: IpAddr = address.parse().unwrap();
    let server = |number| Server {
        name: format!("s{number}"),
        id: ServerId(number as u32),
        number: 1,
        address: None,
        weight: 1,
        backup: false,
        maxconn: None,
        cut_when_down: false,
    };
    Service {
        frontend: "web".to_owned(),
        proxy: ProxyId(0),
        protocol: Protocol::Tcp,
        family: Family::of(address),
        binds: vec![Bind::one(address, 80, 80)],
        segment: 0,
        treatment: Treatment::default(),
        policy: None,
        delivery: Delivery::Forward(Forwarding {
            backend: "app".to_owned(),
            proxy: ProxyId(0),
            method: Method::Nat,
            choice: Choice::Maglev,
            server_ids: None,
            servers: (0..servers).map(server).collect(),
            all_backups: false,
            idle: IdleTimes {
                opening: 1,
                established: 1,
                datagram: 1,
                closing: 1,
            },
        }),
    }
}

fn said(services: Vec<Service>, interfaces: &[(Interface, Attachment)]) -> String {
    said_with(services, interfaces, &|_| None)
}

fn said_with(
    services: Vec<Service>,
    interfaces: &[(Interface, Attachment)],
    way: &dyn Fn(&Server) -> Option<(IpAddr, NextHop)>,
) -> String {
    let plan = Plan {
        services,
        ..Plan::default()
    };
    let seats = interfaces.iter().map(|(interface, attachment)| Seat {
        interface,
        attachment: *attachment,
        refused: None,
        condition: None,
        features: Features::default(),
        peer_features: None,
    });
    let seats: Vec<_> = seats.collect();
    diagnose(&plan, &seats, &["192.0.2.1".parse().unwrap()], way).join("\n")
}

#[test]
fn nothing_is_said_where_nothing_is_odd() {
    let native = [(interface("eth0"), Attachment::Native)];
    assert_eq!(said(vec![service("192.0.2.1", 1)], &native), "");
}

#[test]
fn what_is_odd_is_said() {
    let generic = [(interface("eth0"), Attachment::Generic)];
    let text = said(vec![service("192.0.2.1", 1)], &generic);
    assert!(
        text.contains("'eth0' runs the program in generic mode"),
        "{text}"
    );
    let native = [(interface("eth0"), Attachment::Native)];
    let text = said(vec![service("198.51.100.80", 1)], &native);
    assert!(
        text.contains("198.51.100.80 of 'web' is on no interface"),
        "{text}"
    );
    let text = said(vec![service("192.0.2.1", 0)], &native);
    assert!(text.contains("backend 'app' has no server"), "{text}");
    let loopback = [(interface("lo"), Attachment::Generic)];
    let text = said(Vec::new(), &loopback);
    assert!(text.contains("on the loopback interface alone"), "{text}");
}

#[test]
fn tunnel_that_is_too_narrow_is_told_with_what_to_do() {
    let native = [(interface("eth0"), Attachment::Native)];
    let tunnelling = |method| {
        let mut service = service("192.0.2.1", 2);
        if let Delivery::Forward(forwarding) = &mut service.delivery {
            forwarding.method = method;
        }
        vec![service]
    };
    let way = |address: &str, mtu| {
        let address: IpAddr = address.parse().unwrap();
        move |_: &Server| {
            let hop = NextHop {
                interface: 7,
                vlan: 0,
                mtu,
                source_mac: [2; 6],
                mac: [4; 6],
                source: None,
                gateway: None,
            };
            Some((address, hop))
        }
    };
    let four = way("10.0.0.1", 1500);
    let text = said_with(tunnelling(Method::Ipip), &native, &four);
    assert_eq!(
        text,
        "'forward ipip' of 'app' puts 20 bytes in front of packets, and 'eth0' takes 1500: packets of more than 1480 bytes \
         come back as too big; 'ip link set eth0 mtu 1520' here and at the servers makes room"
    );
    let six = way("2001:db8::1", 1540);
    let text = said_with(tunnelling(Method::Gue { port: 6080 }), &native, &six);
    assert!(text.contains("mtu 1548"), "{text}");
    assert_eq!(said_with(tunnelling(Method::Ipip), &native, &six), "");
    assert_eq!(said_with(tunnelling(Method::Nat), &native, &four), "");
}
