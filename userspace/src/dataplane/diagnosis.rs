//! What an operator should know of a configuration that runs, but perhaps not as was meant.
//!
//! Input are the plan, the interfaces the program is on and this machine's addresses; output are sentences, said at the start
//! and by `show xdp`. Servers that cannot be reached are told of one by one, when it happens, by the writer.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::attach::Attachment;
use super::netlink::Interface;
use super::plan::{Delivery, Plan};

/// Everything there is to say.
pub(super) fn diagnose(
    plan: &Plan,
    interfaces: &[(Interface, Attachment)],
    own: &[IpAddr],
) -> Vec<String> {
    let mut said: Vec<String> = interfaces.iter().filter_map(slow).collect();
    if interfaces
        .iter()
        .all(|(interface, _)| interface.name == LOOPBACK)
    {
        said.push("the program is on the loopback interface alone: packets from other machines do not meet it".to_owned());
    }
    let mut nowhere = BTreeSet::new();
    for service in &plan.services {
        let Delivery::Forward(forwarding) = &service.delivery else {
            continue;
        };
        let foreign = service.binds.iter().filter(|bind| {
            !bind.is_network() && !bind.is_wildcard() && !own.contains(&bind.address)
        });
        nowhere.extend(foreign.map(|bind| (&service.frontend, bind.address)));
        if forwarding.servers.is_empty() {
            said.push(format!(
                "'{}' listens in {}, for which backend '{}' has no server",
                service.frontend,
                service.family.name(),
                forwarding.backend
            ));
        }
    }
    said.extend(nowhere.into_iter().map(|(frontend, address)| {
        format!(
            "{address} of '{frontend}' is on no interface of this machine: nobody answers for it on the link, so its packets \
             come only if a router is told to send them here"
        )
    }));
    said
}

/// An interface on which the program costs more than it has to.
fn slow((interface, attachment): &(Interface, Attachment)) -> Option<String> {
    (*attachment == Attachment::Generic).then(|| {
        format!(
            "interface '{}' runs the program in generic mode, after the kernel has made a buffer of every packet: its driver \
             has no native XDP, or the configuration says so",
            interface.name
        )
    })
}

const LOOPBACK: &str = "lo";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::plan::{
        Bind, Choice, Family, Forwarding, IdleTimes, Method, Protocol, Server, Service,
    };
    use crate::types::{ProxyId, ServerId};

    fn interface(name: &str) -> Interface {
        Interface {
            index: 7,
            name: name.to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
        }
    }

    fn service(address: &str, servers: usize) -> Service {
        let address: IpAddr = address.parse().unwrap();
        let server = |number| Server {
            name: format!("s{number}"),
            id: ServerId(number as u32),
            address: None,
            weight: 1,
            backup: false,
            cut_when_down: false,
        };
        Service {
            frontend: "web".to_owned(),
            proxy: ProxyId(0),
            protocol: Protocol::Tcp,
            family: Family::of(address),
            binds: vec![Bind::one(address, 80, 80)],
            policy: None,
            delivery: Delivery::Forward(Forwarding {
                backend: "app".to_owned(),
                proxy: ProxyId(0),
                method: Method::Nat,
                choice: Choice::Maglev,
                servers: (0..servers).map(server).collect(),
                all_backups: false,
                idle: IdleTimes {
                    opening: 1,
                    established: 1,
                    closing: 1,
                },
            }),
        }
    }

    fn said(services: Vec<Service>, interfaces: &[(Interface, Attachment)]) -> String {
        let plan = Plan {
            services,
            ..Plan::default()
        };
        diagnose(&plan, interfaces, &["192.0.2.1".parse().unwrap()]).join("\n")
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
}
