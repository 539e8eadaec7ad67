//! From a service of the plan to the words that say what the program does with its packets.
//!
//! Input is a planned service; output are its nature, which never changes while the service has its number, because a
//! service of another nature gets another number, and its choice of servers, which may. Times, rings and guards are not
//! part of either.

use tidegate_common::choice::{Choice, Field, Policy};
use tidegate_common::mark::Mark;
use tidegate_common::quic::ServerIds;
use tidegate_common::service::{Forward, ListedFlows, Nature, Treatment};

use crate::dataplane::plan::{self, Delivery, Forwarding, Key, Masks, Method, Plan};

/// What never changes while a service has its number.
pub(super) fn nature(plan: &Plan, service: &plan::Service) -> Nature {
    let (forward, tunnel_port) = match &service.delivery {
        Delivery::Local => (Forward::Local, 0),
        Delivery::Forward(forwarding) => {
            let forward = match forwarding.method {
                Method::Nat => Forward::Nat,
                Method::Dnat => Forward::Dnat,
                Method::Dsr => Forward::Dsr,
                Method::Ipip => Forward::Ipip,
                Method::Gue { .. } => Forward::Gue,
            };
            let port = match forwarding.method {
                Method::Gue { port } => port,
                _ => 0,
            };
            (forward, port)
        }
    };
    Nature {
        forward,
        listed_flows: match plan.listed_flows {
            plan::ListedFlows::Cut => ListedFlows::Cut,
            plan::ListedFlows::Keep => ListedFlows::Keep,
        },
        tunnel_port_be: tunnel_port.to_be_bytes(),
        server_ids: service
            .delivery
            .forwarding()
            .and_then(|forwarding| forwarding.server_ids)
            .map_or_else(ServerIds::default, |ids| ServerIds {
                length: ids.length,
                configuration: ids.configuration,
            }),
        cookies: service.delivery == Delivery::Local
            && service.protocol == plan::Protocol::Tcp
            && plan.syns.cookies != plan::SynCookies::Off,
    }
}

/// What is different about its packets, which may change at any time.
pub(super) fn treatment(service: &plan::Service) -> Treatment {
    let plan::Treatment {
        lenient,
        to_server,
        to_client,
    } = service.treatment;
    Treatment {
        lenient,
        to_server: to_server.map_or(Mark::NONE, Mark::of),
        to_client: to_client.map_or(Mark::NONE, Mark::of),
    }
}

/// How servers are chosen; which ring the schedule is, whoever writes it adds.
pub(super) fn choice(forwarding: &Forwarding, limited: bool) -> Choice {
    let (field, masks) = match forwarding.choice {
        plan::Choice::Source => (Field::Source, Masks::NONE),
        plan::Choice::Hash(Key::Source(masks)) => (Field::Source, masks),
        plan::Choice::Hash(Key::Destination(masks)) => (Field::Destination, masks),
        plan::Choice::Hash(Key::SourcePort) => (Field::SourcePort, Masks::NONE),
        plan::Choice::Hash(Key::DestinationPort) => (Field::DestinationPort, Masks::NONE),
        _ => (Field::Tuple, Masks::NONE),
    };
    let (policy, draws) = match forwarding.choice {
        plan::Choice::Maglev | plan::Choice::Source | plan::Choice::Hash(_) => (Policy::Hash, 1),
        plan::Choice::RoundRobin | plan::Choice::StaticRoundRobin => (Policy::Turns, 1),
        plan::Choice::LeastConn => (Policy::Least, 1),
        plan::Choice::Random { draws } => (Policy::Random, draws),
    };
    Choice {
        policy,
        draws,
        field,
        v4: masks.v4,
        v6: masks.v6.unwrap_or(0),
        counts: limited || forwarding.choice.compares(),
        schedule: 0,
    }
}
