//! Connection counts per source: the kernel's half of a stick table.
//!
//! Map `sources` is an array of 64-byte buckets with two sources each. Every rate rule ([`crate::rate::RateRule`]) has a
//! region of its own, so an entry needs no table number and two tables never evict each other. Both halves charge it: the
//! program for the services it forwards, the accept path for those terminated in userspace. Only connections are charged,
//! never bare SYNs of unknown sources, so that a spoofed flood writes nothing here.

use crate::address::Address;
use crate::hash::{Hasher, reduce};
use crate::rate::Window;
use crate::tick::Tick;
use crate::word::{Atomics, Word, high, low, pair};

/// The record of map `sources`: one cache line.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct SourceBucket {
    /// Both ways.
    pub entries: [SourceEntry; 2],
}

/// One source.
#[derive(Debug, Default)]
#[repr(C)]
#[cfg_attr(
    not(target_arch = "bpf"),
    derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout)
)]
pub struct SourceEntry {
    /// The source, masked as the rule says.
    pub address: [Word; 2],
    /// Start of the current window (tick, low half) and the count of the window before (high half).
    pub window: Word,
    /// Count of the current window (low half) and of all time (high half); 0 is a free entry.
    pub counts: Word,
}

/// A source as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its address.
    pub address: Address,
    /// Its counts by time.
    pub window: Window,
    /// Connections of all time (`conn_cnt`).
    pub total: u32,
}

/// What `set table` says of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Connections in the period, as of now.
    pub rate: u32,
    /// Connections of all time.
    pub total: u32,
}

/// The bucket of a (masked) source among `buckets` of a region.
#[inline(always)]
pub fn bucket(key: u64, source: Address, buckets: u32) -> u32 {
    let [high, low] = source.words();
    let hash = Hasher::new(key ^ DOMAIN).word(high).word(low);
    reduce(hash.finish() as u32, buckets)
}

impl SourceBucket {
    /// The entry of `source`.
    #[inline(always)]
    pub fn find(&self, source: Address) -> Option<&SourceEntry> {
        let [first, second] = &self.entries;
        if first.is(source) {
            Some(first)
        } else if second.is(source) {
            Some(second)
        } else {
            None
        }
    }

    /// Counts one connection of `source`. A source that is new takes a free entry, or else that of the source with the
    /// lower rate, but never of one whose rate is above `spared`: those are the ones the table is for. The connection is
    /// then not counted.
    #[inline(always)]
    pub fn charge(
        &self,
        atomics: &impl Atomics,
        source: Address,
        period: u32,
        spared: u32,
        now: Tick,
    ) {
        if let Some(entry) = self.find(source) {
            entry.charge(atomics, period, now);
            return;
        }
        let [first, second] = &self.entries;
        let (a, b) = (first.price(period, now), second.price(period, now));
        let (entry, price) = if b < a { (second, b) } else { (first, a) };
        if price <= spared as u64 {
            entry.take(atomics, source, now);
        }
    }

    /// Gives `source` these counts, which fade from now on as if its connections had come in the period before. A source
    /// that is new takes the entry of the one with the lower rate, whatever that is. For userspace.
    pub fn set(
        &self,
        atomics: &impl Atomics,
        source: Address,
        counts: Counts,
        period: u32,
        now: Tick,
    ) {
        if self.find(source).is_none() {
            let [first, second] = &self.entries;
            let (a, b) = (first.price(period, now), second.price(period, now));
            if b < a { second } else { first }.take(atomics, source, now);
        }
        let Some(entry) = self.find(source) else {
            return;
        };
        // An entry without any count is a free one, so that one connection of a rate is kept as a current one.
        let current = if counts.total == 0 {
            counts.rate.min(1)
        } else {
            0
        };
        entry
            .window
            .store(pair(now.0, counts.rate.saturating_sub(current)));
        entry.counts.store(pair(current, counts.total));
    }
}

impl SourceEntry {
    /// The entry; `None` if it is free or being replaced. For `show table`.
    pub fn read(&self) -> Option<Source> {
        let counts = self.counts.load();
        if counts == 0 || counts == CLAIMED {
            return None;
        }
        Some(Source {
            address: Address::load(&self.address),
            window: self.window(),
            total: high(counts),
        })
    }

    /// Makes it a free entry (`clear table`).
    pub fn forget(&self) {
        self.counts.store(0);
    }

    /// The counts by time.
    #[inline(always)]
    pub fn window(&self) -> Window {
        let window = self.window.load();
        Window {
            start: Tick(low(window)),
            previous: high(window),
            current: low(self.counts.load()),
        }
    }

    #[inline(always)]
    fn is(&self, source: Address) -> bool {
        let counts = self.counts.load();
        Address::load(&self.address) == source && counts != 0 && counts != CLAIMED
    }

    /// What replacing the entry costs: 0 for a free one, else its rate.
    #[inline(always)]
    fn price(&self, period: u32, now: Tick) -> u64 {
        match self.counts.load() {
            0 => 0,
            CLAIMED => u64::MAX,
            _ => self.window().rate(period, now) as u64,
        }
    }

    /// Counts one connection.
    #[inline(always)]
    pub fn charge(&self, atomics: &impl Atomics, period: u32, now: Tick) {
        let before = self.window();
        let after = before.rolled(period, now);
        // Of several CPUs one wins the roll and takes the old count out; the others only add.
        if after.start != before.start
            && atomics.replace(
                &self.window,
                pair(before.start.0, before.previous),
                pair(after.start.0, after.previous),
            )
        {
            atomics.add(&self.counts, (before.current as u64).wrapping_neg());
        }
        atomics.add(&self.counts, ONE);
    }

    #[inline(always)]
    fn take(&self, atomics: &impl Atomics, source: Address, now: Tick) {
        let counts = self.counts.load();
        if counts != CLAIMED && atomics.replace(&self.counts, counts, CLAIMED) {
            source.store(&self.address);
            self.window.store(pair(now.0, 0));
            self.counts.store(ONE);
        }
    }
}

/// One connection, in this window and of all time.
const ONE: u64 = pair(1, 1);
const CLAIMED: u64 = u64::MAX;
const DOMAIN: u64 = 0x736f_7572_6365_735f;

const _: () = assert!(size_of::<SourceBucket>() == 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::HostAtomics;
    use core::net::Ipv4Addr;

    const PERIOD: u32 = 100;

    fn address(number: u32) -> Address {
        Ipv4Addr::from(number).into()
    }

    fn charge(bucket: &SourceBucket, number: u32, at: u32) {
        bucket.charge(&HostAtomics, address(number), PERIOD, 50, Tick(at));
    }

    fn rate(bucket: &SourceBucket, number: u32, at: u32) -> Option<u32> {
        let entry = bucket.find(address(number))?;
        Some(entry.window().rate(PERIOD, Tick(at)))
    }

    #[test]
    fn sources_are_counted_apart() {
        let bucket = SourceBucket::default();
        assert_eq!(rate(&bucket, 1, 0), None);
        for _ in 0..5 {
            charge(&bucket, 1, 1000);
        }
        charge(&bucket, 2, 1000);
        assert_eq!(rate(&bucket, 1, 1000), Some(5));
        assert_eq!(rate(&bucket, 2, 1000), Some(1));
        let source = bucket.entries[0].read().unwrap();
        assert_eq!((source.address, source.total), (address(1), 5));
    }

    #[test]
    fn a_window_rolls_and_the_total_stays() {
        let bucket = SourceBucket::default();
        for _ in 0..10 {
            charge(&bucket, 1, 1000);
        }
        charge(&bucket, 1, 1150);
        // Half of the window that began at 1100 has passed: half of the ten still count.
        assert_eq!(rate(&bucket, 1, 1150), Some(6));
        charge(&bucket, 1, 2000);
        assert_eq!(rate(&bucket, 1, 2000), Some(1));
        assert_eq!(bucket.entries[0].read().unwrap().total, 12);
    }

    #[test]
    fn a_newcomer_replaces_the_quieter_source_but_no_busy_one() {
        let bucket = SourceBucket::default();
        for _ in 0..3 {
            charge(&bucket, 1, 1000);
        }
        charge(&bucket, 2, 1000);
        charge(&bucket, 3, 1000);
        assert_eq!(rate(&bucket, 2, 1000), None);
        assert_eq!(rate(&bucket, 3, 1000), Some(1));
        for _ in 0..60 {
            charge(&bucket, 1, 1000);
            charge(&bucket, 3, 1000);
        }
        charge(&bucket, 4, 1000);
        assert_eq!(rate(&bucket, 4, 1000), None);
        assert_eq!(rate(&bucket, 1, 1000), Some(63));
        charge(&bucket, 4, 1300);
        assert_eq!(rate(&bucket, 4, 1300), Some(1));
    }

    #[test]
    fn counts_that_are_set_fade_from_then_on_and_can_be_forgotten() {
        let bucket = SourceBucket::default();
        let set = |number, rate, total| {
            let counts = Counts { rate, total };
            bucket.set(&HostAtomics, address(number), counts, PERIOD, Tick(1000));
        };
        set(1, 40, 7);
        set(2, 10, 0);
        assert_eq!(rate(&bucket, 1, 1000), Some(40));
        assert_eq!(rate(&bucket, 1, 1050), Some(20));
        assert_eq!(rate(&bucket, 2, 1000), Some(10));
        let total = |number| bucket.find(address(number)).unwrap().read().unwrap().total;
        assert_eq!((total(1), total(2)), (7, 0));
        set(3, 90, 90);
        assert_eq!(rate(&bucket, 2, 1000), None, "the quieter one made room");
        set(3, 0, 0);
        assert_eq!(rate(&bucket, 3, 1000), None, "no count at all is no entry");
        bucket.find(address(1)).unwrap().forget();
        assert_eq!(rate(&bucket, 1, 1000), None);
    }

    #[test]
    fn threads_in_each_others_way_lose_few_connections() {
        let bucket = SourceBucket::default();
        charge(&bucket, 1, 1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for at in 0..10_000 {
                        charge(&bucket, 1, 1000 + at);
                    }
                });
            }
        });
        // The tries to swap are bounded, so some may be lost; none may be counted twice.
        let total = bucket.entries[0].read().unwrap().total;
        assert!((30_000..=40_001).contains(&total), "{total}");
    }
}
