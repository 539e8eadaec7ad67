//! Which server of a backend gets which of the addresses its name has now.
//!
//! The servers' present addresses and what the name servers said come in; what each server should have comes out. A server
//! keeps what it has as long as that is still told; nothing is asked, changed or logged here.

use std::net::{IpAddr, SocketAddr};

use crate::clock::Moment;
use crate::model::Resolution;

/// The addresses a name has, with when each was last told.
#[derive(Debug)]
pub(super) struct Known<T>(Vec<(T, Moment)>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq + Clone> Known<T> {
    /// Takes what was told now; what was not stays for `hold obsolete` longer.
    pub(super) fn learn(&mut self, told: &[T], now: Moment, obsolete: u64) {
        self.0.retain(|(known, last)| {
            !told.contains(known) && obsolete > 0 && now.since(*last) < obsolete
        });
        let fresh = told.iter().take(MOST).map(|one| (one.clone(), now));
        self.0.splice(0..0, fresh);
        self.0.truncate(MOST);
    }

    /// What counts now, the freshest first.
    pub(super) fn current(&self) -> Vec<T> {
        self.0.iter().map(|(one, _)| one.clone()).collect()
    }
}

/// The address of each server, in their order; `None` where there is none for it.
pub(super) fn addresses(
    resolution: &Resolution,
    current: &[IpAddr],
    servers: &[Option<IpAddr>],
) -> Vec<Option<IpAddr>> {
    let mut taken: Vec<IpAddr> = Vec::new();
    let mut given: Vec<Option<IpAddr>> = servers
        .iter()
        .map(|has| {
            let has = has.filter(|ip| current.contains(ip))?;
            let free = resolution.allow_duplicates || !taken.contains(&has);
            taken.push(has);
            free.then_some(has)
        })
        .collect();
    let mut wanted: Vec<IpAddr> = current.to_vec();
    wanted.sort_by_key(|ip| rank(resolution, *ip));
    for slot in given.iter_mut().filter(|slot| slot.is_none()) {
        let free = wanted
            .iter()
            .find(|ip| resolution.allow_duplicates || !taken.contains(ip));
        *slot = free.copied();
        taken.extend(*slot);
    }
    given
}

/// Lower is better: `resolve-net` first, then `resolve-prefer`.
fn rank(resolution: &Resolution, ip: IpAddr) -> (bool, bool) {
    let inside = resolution
        .networks
        .iter()
        .any(|network| network.contains(&ip));
    (!inside, ip.is_ipv6() != resolution.prefer_v6)
}

/// One server of a service: where it is, and its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    pub(super) weight: u16,
}

/// The place of each server, in their order; `None` where the service has none for it.
pub(super) fn places(current: &[Place], servers: &[Option<SocketAddr>]) -> Vec<Option<Place>> {
    let mut free: Vec<Place> = Vec::new();
    for place in current {
        if !free.iter().any(|known| known.address == place.address) {
            free.push(*place);
        }
    }
    let mut given: Vec<Option<Place>> = servers
        .iter()
        .map(|has| {
            let at = free.iter().position(|place| Some(place.address) == *has)?;
            Some(free.remove(at))
        })
        .collect();
    let mut rest = free.into_iter();
    for slot in given.iter_mut().filter(|slot| slot.is_none()) {
        *slot = rest.next();
    }
    given
}

/// Addresses of one name: more are not looked at.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Resolvers;

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn resolution() -> Resolution {
        Resolution {
            resolvers: Arc::new(Resolvers::new("dns")),
            name: "web".to_owned(),
            prefer_v6: true,
            networks: Vec::new(),
            allow_duplicates: false,
            ignore_weight: false,
        }
    }

    #[test]
    fn a_server_keeps_its_address_while_it_is_told() {
        let given = addresses(&resolution(), &[ip(1), ip(2)], &[Some(ip(2)), None]);
        assert_eq!(given, [Some(ip(2)), Some(ip(1))]);
        let given = addresses(&resolution(), &[ip(1)], &[Some(ip(2)), Some(ip(1))]);
        assert_eq!(given, [None, Some(ip(1))]);
    }

    #[test]
    fn two_servers_share_an_address_only_where_that_is_allowed() {
        let mut resolution = resolution();
        assert_eq!(
            addresses(&resolution, &[ip(1)], &[None, None, Some(ip(1))]),
            [None, None, Some(ip(1))]
        );
        assert_eq!(
            addresses(&resolution, &[ip(1)], &[Some(ip(1)), Some(ip(1))]),
            [Some(ip(1)), None]
        );
        resolution.allow_duplicates = true;
        assert_eq!(
            addresses(&resolution, &[ip(1)], &[None, Some(ip(1))]),
            [Some(ip(1)), Some(ip(1))]
        );
    }

    #[test]
    fn preferred_networks_come_before_the_preferred_family() {
        let mut resolution = resolution();
        let six: IpAddr = "2001:db8::1".parse().expect("an address");
        assert_eq!(addresses(&resolution, &[ip(1), six], &[None]), [Some(six)]);
        resolution.networks = vec!["192.0.2.0/24".parse().expect("a network")];
        assert_eq!(
            addresses(&resolution, &[six, ip(1)], &[None]),
            [Some(ip(1))]
        );
    }

    #[test]
    fn services_move_into_free_servers_and_out_of_those_they_left() {
        let place = |port: u16| Place {
            address: SocketAddr::new(ip(1), port),
            weight: 1,
        };
        let has = |port: u16| Some(SocketAddr::new(ip(1), port));
        let given = places(&[place(1), place(2), place(1)], &[has(9), has(2), None]);
        assert_eq!(given, [Some(place(1)), Some(place(2)), None]);
    }

    #[test]
    fn an_address_is_obsolete_only_after_a_while() {
        let mut known = Known::default();
        let at = |second: u64| Moment::default().after(second * 1000);
        known.learn(&[ip(1), ip(2)], at(1), 5000);
        known.learn(&[ip(2)], at(3), 5000);
        assert_eq!(known.current(), [ip(2), ip(1)]);
        known.learn(&[ip(2)], at(7), 5000);
        assert_eq!(known.current(), [ip(2)]);
    }
}
