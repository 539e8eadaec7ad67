//! Bandwidth limits of one stream (manual §9.7): how many bytes may go on now, and when more may.
//!
//! `set-bandwidth-limit` makes a [`Throttle`] for a direction and leaves it in the transaction; whoever relays that
//! direction takes it, asks it before every piece and tells it what went on.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;

use super::timer::Timer;
use super::view::SessionView;
use crate::clock::{self, Moment};
use crate::expr::{Expression, Sample, SampleType};
use crate::model::{BandwidthDirection, BandwidthFilter, BandwidthShare};
use crate::state::freq::Rate;
use crate::state::stick::Kind;
use crate::state::{StickEvent, Tracked};
use crate::types::ProxyId;

/// Limits that were switched on and not yet taken.
#[derive(Default)]
pub(super) struct Bandwidth(RefCell<Option<Box<[Throttle; 2]>>>);

/// The limits of one direction.
#[derive(Default)]
pub(super) struct Throttle {
    limits: SmallVec<[Limit; 1]>,
    timer: Timer,
}

/// One filter in force.
struct Limit {
    /// The filter: its proxy, and its place there, which is the order of filters.
    filter: (ProxyId, usize),
    bytes: u32,
    /// The period of `bytes`, in milliseconds.
    period: u64,
    min_size: u32,
    meter: Meter,
}

/// What counts the bytes of a limit.
enum Meter {
    Own(Rate),
    /// An entry that all its trackers share.
    Shared {
        tracked: Tracked,
        kind: Kind,
        event: StickEvent,
    },
}

impl Bandwidth {
    /// Takes what was switched on for a direction.
    pub(super) fn take(&self, direction: BandwidthDirection) -> Option<Box<Throttle>> {
        let mut both = self.0.borrow_mut();
        let throttle = std::mem::take(&mut both.as_mut()?[index(direction)]);
        (!throttle.limits.is_empty()).then(|| Box::new(throttle))
    }

    fn add(&self, direction: BandwidthDirection, limit: Limit) {
        let mut both = self.0.borrow_mut();
        let both = both.get_or_insert_default();
        both[index(direction)].add(limit);
    }
}

fn index(direction: BandwidthDirection) -> usize {
    match direction {
        BandwidthDirection::Upload => 0,
        BandwidthDirection::Download => 1,
    }
}

/// Performs `set-bandwidth-limit`. A filter without a key or a limit to be had does nothing.
pub(super) fn switch_on(
    proxy: ProxyId,
    name: &str,
    limit: Option<&Expression>,
    period: Option<&Expression>,
    view: &SessionView<'_>,
) {
    let Some(transaction) = view.transaction else {
        return;
    };
    let filters = &view.connection.generation.proxy(proxy).bandwidth_filters;
    let found = filters.iter().enumerate().find(|(_, one)| one.name == name);
    let Some((place, filter)) = found else {
        return;
    };
    let Some((meter, default_period)) = meter(filter, view) else {
        return;
    };
    let changed = |expression: Option<&Expression>| {
        let sample = expression?.eval(view)?.cast(SampleType::Int)?;
        match sample {
            Sample::Int(number) => u64::try_from(number).ok().filter(|number| *number > 0),
            _ => None,
        }
    };
    let bytes = changed(limit).map_or(filter.limit, |bytes| {
        u32::try_from(bytes).unwrap_or(u32::MAX)
    });
    let limit = Limit {
        filter: (proxy, place),
        bytes,
        period: changed(period).unwrap_or(default_period),
        min_size: filter.min_size,
        meter,
    };
    transaction.bandwidth.add(filter.direction, limit);
}

/// What counts a filter's bytes, and over which period.
fn meter(filter: &BandwidthFilter, view: &SessionView<'_>) -> Option<(Meter, u64)> {
    let (key, table) = match &filter.share {
        BandwidthShare::Stream { period } => return Some((Meter::Own(Rate::default()), period.0)),
        BandwidthShare::Key { key, table } => (key, *table),
    };
    let table = view.connection.generation.state().table(table);
    let (kind, event) = match filter.direction {
        BandwidthDirection::Upload => (Kind::BytesInRate, StickEvent::BytesIn),
        BandwidthDirection::Download => (Kind::BytesOutRate, StickEvent::BytesOut),
    };
    let period = table.layout().slot(kind)?.period;
    let key = table.key_of(&key.eval(view)?)?;
    let tracked = table.track(&key, clock::now())?;
    let meter = Meter::Shared {
        tracked,
        kind,
        event,
    };
    Some((meter, period))
}

impl Throttle {
    /// Adds a limit; a filter that is switched on again begins anew.
    fn add(&mut self, limit: Limit) {
        self.limits.retain(|other| other.filter != limit.filter);
        self.limits.push(limit);
    }

    /// Takes over the limits of another.
    pub(super) fn join(&mut self, other: Self) {
        for limit in other.limits {
            self.add(limit);
        }
    }

    /// How many bytes may go on now; ready once there are any.
    pub(super) fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        loop {
            let now = clock::now();
            let mut most = usize::MAX;
            let mut wait = 0;
            for limit in &self.limits {
                match limit.room(now) {
                    Ok(room) => most = most.min(room as usize),
                    Err(delay) => wait = wait.max(delay),
                }
            }
            if wait == 0 {
                return Poll::Ready(most);
            }
            ready!(self.timer.poll(context, Some(now.after(wait))));
        }
    }

    /// Notes that so many bytes went on.
    pub(super) fn count(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let now = clock::now();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        for limit in &mut self.limits {
            match &mut limit.meter {
                Meter::Own(rate) => {
                    rate.add(bytes, limit.period, now);
                }
                Meter::Shared { tracked, event, .. } => tracked.count(*event, bytes.into(), now),
            }
        }
    }
}

impl Limit {
    /// Bytes that may go on, at least one; or the milliseconds after which it is worth asking again.
    fn room(&self, now: Moment) -> Result<u32, u64> {
        let (used, sharers) = match &self.meter {
            Meter::Own(rate) => (rate.read(self.period, now), 1),
            Meter::Shared { tracked, kind, .. } => {
                let entry = tracked.entry();
                let used = entry.value(*kind, 0, now).unwrap_or(0);
                (
                    u32::try_from(used).unwrap_or(u32::MAX),
                    entry.trackers().max(1),
                )
            }
        };
        let room = self.bytes.saturating_sub(used) / sharers;
        // Parts that are larger than the limit itself would never come.
        let needed = self.min_size.min(self.bytes / sharers).max(1);
        if room >= needed {
            return Ok(room);
        }
        let missing = u64::from(needed - room) * u64::from(sharers);
        let delay = missing
            .saturating_mul(self.period)
            .div_ceil(u64::from(self.bytes));
        Err(delay.clamp(1, self.period.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(bytes: u32, min_size: u32, rate: Rate) -> Limit {
        Limit {
            filter: (ProxyId(0), 0),
            bytes,
            period: 1000,
            min_size,
            meter: Meter::Own(rate),
        }
    }

    #[test]
    fn what_was_used_lately_is_missing_until_it_is_forgotten() {
        let mut rate = Rate::default();
        assert_eq!(limit(1000, 0, rate).room(Moment(5000)), Ok(1000));
        rate.add(400, 1000, Moment(5000));
        assert_eq!(limit(1000, 0, rate).room(Moment(5000)), Ok(600));
        rate.add(600, 1000, Moment(5000));
        assert_eq!(limit(1000, 0, rate).room(Moment(5000)), Err(1));
        assert_eq!(limit(1000, 500, rate).room(Moment(5000)), Err(500));
        // A period later the old bytes fade evenly.
        assert_eq!(limit(1000, 500, rate).room(Moment(6500)), Ok(500));
        assert_eq!(limit(1000, 5000, rate).room(Moment(7000)), Ok(1000));
    }
}
