//! What may be odd about an interface the program is on.

use super::super::attach::Attachment;
use super::super::features::Features;
use super::super::netlink::{Condition, Interface, Peer};

/// An interface with the program, and all that is known of it.
pub(in crate::dataplane) struct Seat<'a> {
    /// The interface.
    pub interface: &'a Interface,
    /// How the program is on it.
    pub attachment: Attachment,
    /// What the driver said when it was asked to run the program, where it refused.
    pub refused: Option<&'a str>,
    /// How the interface is doing; `None` when it is gone.
    pub condition: Option<Condition>,
    /// What is switched on.
    pub features: Features,
    /// The same of the other end of a veth device, where that is in this namespace.
    pub peer_features: Option<Features>,
}

impl Seat<'_> {
    /// Everything there is to say.
    pub(super) fn diagnose(&self) -> Vec<String> {
        let found = [self.slow(), self.silent(), self.merging(), self.lonely()];
        found.into_iter().flatten().collect()
    }

    /// It costs more than it has to.
    fn slow(&self) -> Option<String> {
        if self.attachment == Attachment::Native {
            return None;
        }
        let Interface { name, mtu, .. } = self.interface;
        let why = match self.refused {
            None => "its driver has no native XDP, or the configuration says so".to_owned(),
            Some(said) if *mtu > PAGE => format!(
                "its driver refused the native mode ({said}); an MTU of {mtu} may be why, as native XDP takes packets of one page"
            ),
            Some(said) => format!("its driver refused the native mode ({said})"),
        };
        Some(format!(
            "interface '{name}' runs the program in generic mode, after the kernel has made a buffer of every packet: {why}"
        ))
    }

    /// Nothing comes in.
    fn silent(&self) -> Option<String> {
        let Interface { name, .. } = self.interface;
        match self.condition {
            None => None,
            Some(Condition { up: false, .. }) => Some(format!(
                "interface '{name}' is down; 'ip link set {name} up' brings it up"
            )),
            Some(Condition { carrier: false, .. }) => {
                Some(format!("interface '{name}' has no carrier"))
            }
            Some(_) => None,
        }
    }

    /// The device makes packets that fit nowhere.
    fn merging(&self) -> Option<String> {
        let Interface { name, .. } = self.interface;
        let (what, word) = match self.features {
            Features { lro: true, .. } => ("large receive offload", "lro"),
            Features { gro_hw: true, .. } => ("GRO in hardware", "rx-gro-hw"),
            _ => return None,
        };
        Some(format!(
            "interface '{name}' merges packets before the program sees them ({what}), and what has become too long for the next \
             link is not forwarded; 'ethtool -K {name} {word} off' ends that"
        ))
    }

    /// Nobody takes what is sent to the other end.
    fn lonely(&self) -> Option<String> {
        let Interface { name, .. } = self.interface;
        let peer = self.condition?.peer?;
        let takes_redirected = self.peer_features.is_some_and(|features| features.gro);
        if self.attachment == Attachment::Generic || peer.has_program {
            return None;
        }
        let Peer { index, .. } = peer;
        let redirected = match index {
            Some(_) if takes_redirected => "what is redirected to it arrives",
            Some(_) => "what is redirected to it does neither, as GRO is off there",
            None => {
                "what is redirected to it arrives only if GRO is on there ('ethtool -K … gro on')"
            }
        };
        Some(format!(
            "the other end of '{name}', a veth device, runs no XDP program: packets that leave through the interface they came \
             in by do not arrive; {redirected}"
        ))
    }
}

/// More does not fit into one page with the room that drivers need around it.
const PAGE: u32 = 3_498;

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(mtu: u32) -> Interface {
        Interface {
            index: 7,
            name: "eth0".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu,
            vlan: None,
        }
    }

    fn seat(interface: &Interface) -> Seat<'_> {
        Seat {
            interface,
            attachment: Attachment::Native,
            refused: None,
            condition: Some(Condition {
                up: true,
                carrier: true,
                peer: None,
            }),
            features: Features {
                gro: true,
                ..Features::default()
            },
            peer_features: None,
        }
    }

    fn said(seat: &Seat<'_>) -> String {
        seat.diagnose().join("\n")
    }

    #[test]
    fn nothing_is_said_of_one_that_does_well() {
        assert_eq!(said(&seat(&interface(1500))), "");
    }

    #[test]
    fn fallback_is_told_with_what_the_driver_said() {
        let interface = interface(9000);
        let fallen = Seat {
            attachment: Attachment::Generic,
            refused: Some("Invalid argument (os error 22)"),
            ..seat(&interface)
        };
        let text = said(&fallen);
        assert!(text.contains("refused the native mode (Invalid"), "{text}");
        assert!(text.contains("an MTU of 9000 may be why"), "{text}");
    }

    #[test]
    fn merging_devices_are_told_with_the_command_to_run() {
        let interface = interface(1500);
        for (features, command) in [
            (
                Features {
                    lro: true,
                    ..Features::default()
                },
                "'ethtool -K eth0 lro off'",
            ),
            (
                Features {
                    gro_hw: true,
                    ..Features::default()
                },
                "'ethtool -K eth0 rx-gro-hw off'",
            ),
        ] {
            let merging = Seat {
                features,
                ..seat(&interface)
            };
            assert!(said(&merging).contains(command), "{}", said(&merging));
        }
    }

    #[test]
    fn other_end_of_a_pair_is_looked_at() {
        let interface = interface(1500);
        let with = |has_program, index, gro| {
            let paired = Seat {
                condition: Some(Condition {
                    up: true,
                    carrier: true,
                    peer: Some(Peer { index, has_program }),
                }),
                peer_features: index.map(|_| Features {
                    gro,
                    ..Features::default()
                }),
                ..seat(&interface)
            };
            said(&paired)
        };
        assert_eq!(with(true, None, false), "");
        assert!(with(false, None, false).contains("only if GRO is on there"));
        assert!(with(false, Some(8), false).contains("as GRO is off there"));
        assert!(with(false, Some(8), true).ends_with("redirected to it arrives"));
    }
}
