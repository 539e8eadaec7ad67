//! From a service of the plan to the word that says what the program does with its packets.
//!
//! Input is a planned service; output never changes while the service has its number, because a service of another nature
//! gets another number. Times, rings and guards are not part of it.

use tidegate_common::service::{Forward, Hashing, ListedFlows, Nature};

use crate::dataplane::plan::{self, Choice, Delivery, Method, Plan};

/// What never changes while a service has its number.
pub(super) fn nature(plan: &Plan, service: &plan::Service) -> Nature {
    let (forward, hashing, tunnel_port) = match &service.delivery {
        Delivery::Local => (Forward::Local, Hashing::Tuple, 0),
        Delivery::Forward(forwarding) => {
            let forward = match forwarding.method {
                Method::Nat => Forward::Nat,
                Method::Dnat => Forward::Dnat,
                Method::Dsr => Forward::Dsr,
                Method::Ipip => Forward::Ipip,
                Method::Gue { .. } => Forward::Gue,
            };
            let hashing = match forwarding.choice {
                Choice::Maglev => Hashing::Tuple,
                Choice::Source => Hashing::Source,
            };
            let port = match forwarding.method {
                Method::Gue { port } => port,
                _ => 0,
            };
            (forward, hashing, port)
        }
    };
    Nature {
        forward,
        hashing,
        listed_flows: match plan.listed_flows {
            plan::ListedFlows::Cut => ListedFlows::Cut,
            plan::ListedFlows::Keep => ListedFlows::Keep,
        },
        tunnel_port_be: tunnel_port.to_be_bytes(),
    }
}
