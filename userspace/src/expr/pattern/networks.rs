//! The index of a set of IP patterns: the narrowest network around an address, in one binary search.
//!
//! A list of a million networks changes one at a time: what is added or removed is kept beside the sorted networks, which
//! all later versions share, until there is too much of it to be searched along. Versions are compared by what each keeps
//! beside, where they share the rest; so whoever follows a list learns of one change without reading the others.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::network::Network;
use crate::expr::sample::embedded_ipv4;

/// Networks of both families. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    base: Arc<Sorted>,
    /// What was added since, places counting on from those of the base.
    added: Arc<Sorted>,
    /// What `added` was made of.
    additions: Arc<[Network]>,
    /// The places of the base that are gone.
    removed: Arc<BTreeSet<u32>>,
}

#[derive(Debug, Default)]
struct Sorted {
    places: usize,
    v4: Family<u32>,
    v6: Family<u128>,
    /// IPv4 masks with holes: network, mask and place.
    odd: Vec<(u32, u32, u32)>,
}

impl Networks {
    /// Indexes networks; each is found by its place in the slice.
    pub(super) fn new(networks: &[Network]) -> Self {
        Self {
            base: Arc::new(Sorted::new(networks, 0)),
            ..Self::default()
        }
    }

    /// The networks after a change, if it may be kept beside the ones there are: `added` come last, and `removed` are the
    /// places of those that go; places behind them move up only among what was added.
    pub(super) fn changed(&self, added: &[Network], removed: &[usize]) -> Option<Self> {
        let first = self.base.places;
        let gone = removed.iter().filter(|place| **place < first);
        let removals = self.removed.len() + gone.clone().count();
        if self.additions.len() + added.len() + removals > BESIDE {
            return None;
        }
        let stay = |(at, network): (usize, &Network)| {
            (!removed.contains(&(first + at))).then_some(*network)
        };
        let kept = self.additions.iter().enumerate().filter_map(stay);
        let additions: Vec<Network> = kept.chain(added.iter().copied()).collect();
        let mut gone_for_good = (*self.removed).clone();
        gone_for_good.extend(gone.map(|place| *place as u32));
        Some(Self {
            base: Arc::clone(&self.base),
            added: Arc::new(Sorted::new(&additions, first)),
            additions: additions.into(),
            removed: Arc::new(gone_for_good),
        })
    }

    /// The place of the narrowest network around the address, its own family first (manual §7.1.6 for the crossings).
    pub(super) fn find(&self, address: IpAddr) -> Option<usize> {
        let found = match address {
            IpAddr::V4(address) => self
                .find_v4(address.into())
                .or_else(|| self.narrowest(|part| &part.v6, address.to_ipv6_mapped().into())),
            IpAddr::V6(address) => self
                .narrowest(|part| &part.v6, address.into())
                .or_else(|| embedded_ipv4(address).and_then(|v4| self.find_v4(v4.into()))),
        };
        found.map(|place| place as usize)
    }

    /// Whether every pattern is a prefix: no mask has holes.
    #[must_use]
    pub fn are_prefixes(&self) -> bool {
        self.base.odd.is_empty() && self.added.odd.is_empty()
    }

    /// How many networks there are, of IPv4 and of IPv6.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let all = |of: fn(&Sorted) -> usize| of(&self.base) + of(&self.added);
        let v4 = all(|part| part.v4.networks.len());
        let v6 = all(|part| part.v6.networks.len());
        let mut gone = 0;
        self.base.v4.places(&self.removed, |_, _| gone += 1);
        (v4 - gone, v6.saturating_sub(self.removed.len() - gone))
    }

    /// Whether some IPv4 network lies within these addresses.
    #[must_use]
    pub fn any_within_v4(&self, first: u32, last: u32) -> bool {
        self.any_within(|part| &part.v4, first, last)
    }

    /// Whether some IPv6 network lies within these addresses.
    #[must_use]
    pub fn any_within_v6(&self, first: u128, last: u128) -> bool {
        self.any_within(|part| &part.v6, first, last)
    }

    /// Every IPv4 network that lies within these addresses, by its first and last one.
    pub fn within_v4(&self, first: u32, last: u32, found: impl FnMut(u32, u32)) {
        self.within(|part| &part.v4, first, last, found);
    }

    /// Every IPv6 network that lies within these addresses.
    pub fn within_v6(&self, first: u128, last: u128, found: impl FnMut(u128, u128)) {
        self.within(|part| &part.v6, first, last, found);
    }

    /// Every IPv4 network that reaches beyond these addresses and holds them all.
    pub fn around_v4(&self, first: u32, last: u32, found: impl FnMut(u32, u32)) {
        self.around(|part| &part.v4, first, last, found);
    }

    /// Every IPv6 network that reaches beyond these addresses and holds them all.
    pub fn around_v6(&self, first: u128, last: u128, found: impl FnMut(u128, u128)) {
        self.around(|part| &part.v6, first, last, found);
    }

    /// Every network that is in one of both versions only, and perhaps some that are in both.
    pub fn difference(&self, later: &Self, mut found: impl FnMut(IpNet)) {
        if Arc::ptr_eq(&self.base, &later.base) {
            let (before, after) = (self.addition_prefixes(), later.addition_prefixes());
            before
                .symmetric_difference(&after)
                .copied()
                .for_each(&mut found);
            let gone: BTreeSet<u32> = &*self.removed ^ &*later.removed;
            self.base
                .v4
                .places(&gone, |first, last| found(net4(first, last)));
            self.base
                .v6
                .places(&gone, |first, last| found(net6(first, last)));
            return;
        }
        differ(
            self.all(|part| &part.v4),
            later.all(|part| &part.v4),
            |first, last| found(net4(first, last)),
        );
        differ(
            self.all(|part| &part.v6),
            later.all(|part| &part.v6),
            |first, last| found(net6(first, last)),
        );
    }

    fn addition_prefixes(&self) -> BTreeSet<IpNet> {
        let prefixes = self.additions.iter().filter_map(|network| network.prefix());
        prefixes.collect()
    }

    fn find_v4(&self, address: u32) -> Option<u32> {
        self.narrowest(|part| &part.v4, address).or_else(|| {
            let odd = self
                .base
                .odd
                .iter()
                .filter(|odd| !self.removed.contains(&odd.2));
            odd.chain(&self.added.odd)
                .find(|(network, mask, _)| address & mask == *network)
                .map(|(_, _, place)| *place)
        })
    }

    fn narrowest<T: Copy + Ord>(&self, family: Of<T>, address: T) -> Option<u32> {
        let base = family(&self.base)
            .enclosing(address, address)
            .find(|held| !self.removed.contains(&held.place));
        let added = family(&self.added).enclosing(address, address).next();
        // Of equal ones the first in the list counts, which is in the base.
        let narrower = |held: &&Held<T>| {
            base.is_none_or(|base| {
                (held.first, Reverse(held.last)) > (base.first, Reverse(base.last))
            })
        };
        added.filter(narrower).or(base).map(|held| held.place)
    }

    fn any_within<T: Copy + Ord>(&self, family: Of<T>, first: T, last: T) -> bool {
        let is_within = |held: &Held<T>| held.last <= last && !self.removed.contains(&held.place);
        let parts = [&self.base, &self.added];
        parts
            .iter()
            .any(|part| family(part).beginning(first, last).iter().any(is_within))
    }

    fn within<T: Copy + Ord>(&self, family: Of<T>, first: T, last: T, mut found: impl FnMut(T, T)) {
        for part in [&self.base, &self.added] {
            for held in family(part).beginning(first, last) {
                if held.last <= last && !self.removed.contains(&held.place) {
                    found(held.first, held.last);
                }
            }
        }
    }

    fn around<T: Copy + Ord>(&self, family: Of<T>, first: T, last: T, mut found: impl FnMut(T, T)) {
        for part in [&self.base, &self.added] {
            for held in family(part).enclosing(first, last) {
                if (held.first, held.last) != (first, last) && !self.removed.contains(&held.place) {
                    found(held.first, held.last);
                }
            }
        }
    }

    fn all<T: Copy + Ord>(&self, family: Of<T>) -> Vec<(T, T)> {
        let stays = |held: &&Held<T>| !self.removed.contains(&held.place);
        let base = family(&self.base).networks.iter().filter(stays);
        let all = base.chain(&family(&self.added).networks);
        let mut all: Vec<(T, T)> = all.map(|held| (held.first, held.last)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// One family of the networks.
type Of<T> = fn(&Sorted) -> &Family<T>;

impl Sorted {
    fn new(networks: &[Network], first_place: usize) -> Self {
        let mut built = Self {
            places: networks.len(),
            ..Self::default()
        };
        for (at, network) in networks.iter().enumerate() {
            let place = u32::try_from(first_place + at).unwrap_or(u32::MAX);
            match (network.prefix(), network) {
                (Some(IpNet::V4(net)), _) => {
                    built
                        .v4
                        .hold(net.network().into(), net.broadcast().into(), place);
                }
                (Some(IpNet::V6(net)), _) => {
                    built
                        .v6
                        .hold(net.network().into(), net.broadcast().into(), place);
                }
                (None, Network::V4(address, mask)) => {
                    let mask = u32::from(*mask);
                    built.odd.push((u32::from(*address) & mask, mask, place));
                }
                (None, Network::V6(..)) => {}
            }
        }
        built.v4.sort();
        built.v6.sort();
        built
    }
}

/// Networks in the order of their first addresses, outer ones before inner ones.
#[derive(Debug)]
struct Family<T> {
    networks: Vec<Held<T>>,
}

#[derive(Clone, Copy, Debug)]
struct Held<T> {
    first: T,
    last: T,
    place: u32,
    /// The one next around it; its own number where there is none.
    outer: u32,
}

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
        }
    }
}

impl<T: Copy + Ord> Family<T> {
    fn hold(&mut self, first: T, last: T, place: u32) {
        self.networks.push(Held {
            first,
            last,
            place,
            outer: 0,
        });
    }

    fn sort(&mut self) {
        // The first of equal ones comes last, and so is met first from within.
        self.networks
            .sort_unstable_by_key(|held| (held.first, Reverse(held.last), Reverse(held.place)));
        let mut open: Vec<(T, u32)> = Vec::new();
        for (at, held) in (0..).zip(&mut self.networks) {
            while open.last().is_some_and(|(last, _)| *last < held.first) {
                open.pop();
            }
            held.outer = open.last().map_or(at, |(_, outer)| *outer);
            open.push((held.last, at));
        }
    }

    /// Those that hold all addresses from `first` to `last`, inner ones first.
    fn enclosing(&self, first: T, last: T) -> impl Iterator<Item = &Held<T>> {
        let before = self.networks.partition_point(|held| held.first <= first);
        let mut next = before.checked_sub(1);
        let up = std::iter::from_fn(move || {
            let at = next?;
            let held = &self.networks[at];
            next = Some(held.outer as usize).filter(|outer| *outer != at);
            Some(held)
        });
        up.filter(move |held| held.last >= last)
    }

    /// Those that begin between `first` and `last`.
    fn beginning(&self, first: T, last: T) -> &[Held<T>] {
        let from = self.networks.partition_point(|held| held.first < first);
        let rest = &self.networks[from..];
        &rest[..rest.partition_point(|held| held.first <= last)]
    }

    fn places(&self, wanted: &BTreeSet<u32>, mut found: impl FnMut(T, T)) {
        if wanted.is_empty() {
            return;
        }
        for held in self
            .networks
            .iter()
            .filter(|held| wanted.contains(&held.place))
        {
            found(held.first, held.last);
        }
    }
}

/// What only one of two sorted lists has.
fn differ<T: Copy + Ord>(one: Vec<(T, T)>, other: Vec<(T, T)>, mut found: impl FnMut(T, T)) {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    loop {
        let side = match (one.peek(), other.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        let only = match side {
            std::cmp::Ordering::Less => one.next(),
            std::cmp::Ordering::Greater => other.next(),
            std::cmp::Ordering::Equal => {
                let _ = (one.next(), other.next());
                None
            }
        };
        if let Some((first, last)) = only {
            found(first, last);
        }
    }
}

fn net4(first: u32, last: u32) -> IpNet {
    let length = (first ^ last).leading_zeros() as u8;
    IpNet::V4(Ipv4Net::new_assert(first.into(), length))
}

fn net6(first: u128, last: u128) -> IpNet {
    let length = (first ^ last).leading_zeros() as u8;
    IpNet::V6(Ipv6Net::new_assert(first.into(), length))
}

/// Changes that are kept beside the sorted networks.
pub(super) const BESIDE: usize = 1024;

#[cfg(test)]
mod tests;
