//! One line of a stick table: its key, its data and how long it lives.
//!
//! Sessions that track an entry keep it and count on it directly, without looking it up again. An entry does not know its
//! table's size or order: expiry and eviction are [`super::StickTable`]'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::layout::{Kind, Layout, Slot};
use crate::clock::Moment;
use crate::expr::{StickAnswer, StickKey, StickOperation};
use crate::model::GeneralCounter;
use crate::state::freq::Rate;

/// One entry. Counters are those of manual §11.1.
#[derive(Debug)]
pub struct Entry {
    /// Its key.
    pub key: StickKey,
    /// A number that names it in `show table` (HAProxy shows an address there).
    pub number: u64,
    pub(super) layout: Arc<Layout>,
    trackers: AtomicU32,
    pub(super) touched: AtomicU64,
    pub(super) data: Mutex<Data>,
}

#[derive(Clone, Debug)]
pub(super) struct Data {
    pub(super) values: Box<[u64]>,
    pub(super) rates: Box<[Rate]>,
    pub(super) server: Option<Arc<str>>,
}

/// Something that happened to a client and is counted as a total and as a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StickEvent {
    /// A connection was received.
    Connection,
    /// A connection passed the layer 4 rules.
    Session,
    /// An HTTP request came.
    Request,
    /// A request was in error, denied or answered with 4xx.
    RequestError,
    /// A response was invalid, or 5xx but 501 and 505.
    ResponseFailure,
    /// Bytes came from the client.
    BytesIn,
    /// Bytes went to the client.
    BytesOut,
    /// The client did something unusual at protocol level.
    Glitch,
}

impl StickEvent {
    const fn kinds(self) -> (Kind, Kind) {
        match self {
            Self::Connection => (Kind::ConnCnt, Kind::ConnRate),
            Self::Session => (Kind::SessCnt, Kind::SessRate),
            Self::Request => (Kind::HttpReqCnt, Kind::HttpReqRate),
            Self::RequestError => (Kind::HttpErrCnt, Kind::HttpErrRate),
            Self::ResponseFailure => (Kind::HttpFailCnt, Kind::HttpFailRate),
            Self::BytesIn => (Kind::BytesInCnt, Kind::BytesInRate),
            Self::BytesOut => (Kind::BytesOutCnt, Kind::BytesOutRate),
            Self::Glitch => (Kind::GlitchCnt, Kind::GlitchRate),
        }
    }
}

impl Entry {
    pub(super) fn new(key: StickKey, number: u64, layout: &Arc<Layout>, now: Moment) -> Self {
        Self {
            key,
            number,
            layout: Arc::clone(layout),
            trackers: AtomicU32::new(0),
            touched: AtomicU64::new(now.0),
            data: Mutex::new(Data {
                values: vec![0; layout.values].into(),
                rates: vec![Rate::default(); layout.rates].into(),
                server: None,
            }),
        }
    }

    /// A copy that is in no table, with the connections that were counted elsewhere: `rate` and `total` now, the last of
    /// them at `last`.
    pub(super) fn with_connections(
        &self,
        rate: u32,
        total: u32,
        last: Moment,
        now: Moment,
    ) -> Self {
        let mut data = self.data.lock().clone();
        if let Some(slot) = self.layout.slot(Kind::ConnRate) {
            data.rates[slot.at].set(rate, now);
        }
        if let Some(slot) = self.layout.slot(Kind::ConnCnt) {
            data.values[slot.at] = total.into();
        }
        Self {
            key: self.key.clone(),
            number: self.number,
            layout: Arc::clone(&self.layout),
            trackers: AtomicU32::new(self.trackers()),
            touched: AtomicU64::new(self.touched().max(last).0),
            data: Mutex::new(data),
        }
    }

    /// Counts an event; nothing happens to data the table does not store.
    pub fn count(&self, event: StickEvent, amount: u64, now: Moment) {
        let (total, rate) = event.kinds();
        let mut data = self.data.lock();
        self.add_to(&mut data, total, 0, amount);
        self.add_to_rate(&mut data, rate, 0, amount, now);
        drop(data);
        self.touch(now);
    }

    /// Answers or does what a fetch asks for.
    pub fn ask(
        &self,
        operation: StickOperation,
        lifetime: Option<u64>,
        now: Moment,
    ) -> StickAnswer {
        use StickOperation as Op;
        let value = match operation {
            Op::Exists => Some(1),
            Op::Trackers => Some(u64::from(self.trackers())),
            Op::Expire => Some(lifetime.map_or(0, |whole| self.remaining(whole, now))),
            Op::Idle => Some(now.since(self.touched())),
            Op::ServerId => self.value(Kind::ServerId, 0, now),
            Op::IncrementGpc0 => self.add_gpc(GeneralCounter::Gpc0, 1, now),
            Op::IncrementGpc1 => self.add_gpc(GeneralCounter::Gpc1, 1, now),
            Op::IncrementGpc(at) => self.add_gpc(GeneralCounter::Indexed(at.into()), 1, now),
            Op::ClearGpc0 => self.clear_gpc(GeneralCounter::Gpc0, now),
            Op::ClearGpc1 => self.clear_gpc(GeneralCounter::Gpc1, now),
            Op::ClearGpc(at) => self.clear_gpc(GeneralCounter::Indexed(at.into()), now),
            Op::UpdateConnCnt => self.update_connections(now),
            reading => readable(&self.layout, reading)
                .and_then(|(slot, index)| self.value(slot.kind, index, now)),
        };
        value.map_or(StickAnswer::NotStored, |value| {
            StickAnswer::Value(i64::try_from(value).unwrap_or(i64::MAX))
        })
    }

    /// The value of a stored datum: element `index` of an array, else index 0.
    pub fn value(&self, kind: Kind, index: u8, now: Moment) -> Option<u64> {
        let slot = self.layout.slot(kind).filter(|slot| index < slot.length)?;
        let at = slot.at + usize::from(index);
        let data = self.data.lock();
        Some(match kind.is_rate() {
            true => data.rates[at].read(slot.period, now).into(),
            false => data.values[at],
        })
    }

    /// Sets a stored datum (`set table`); false when it is not stored.
    pub fn set(&self, kind: Kind, index: u8, value: u64, now: Moment) -> bool {
        let Some(slot) = self.layout.slot(kind).filter(|slot| index < slot.length) else {
            return false;
        };
        let at = slot.at + usize::from(index);
        let mut data = self.data.lock();
        match kind.is_rate() {
            true => data.rates[at].set(value.min(u32::MAX.into()) as u32, now),
            false => data.values[at] = wrapped(kind, value),
        }
        drop(data);
        self.touch(now);
        true
    }

    /// Adds to a general purpose counter and its rate; the new value, or `None` when neither is stored.
    pub fn add_gpc(&self, counter: GeneralCounter, amount: u64, now: Moment) -> Option<u64> {
        let ((total, index), (rate, rate_index)) = self.gpc_slots(counter);
        let mut data = self.data.lock();
        let new_rate = self.add_to_rate(&mut data, rate, rate_index, amount, now);
        let new_total = self.add_to(&mut data, total, index, amount);
        drop(data);
        let value = new_total.or(new_rate);
        if value.is_some() {
            self.touch(now);
        }
        value
    }

    /// Sets a general purpose tag; `None` is `gpt0`. False when it is not stored.
    pub fn set_gpt(&self, tag: Option<u32>, value: u64, now: Moment) -> bool {
        match tag {
            None if self.layout.slot(Kind::Gpt0).is_some() => self.set(Kind::Gpt0, 0, value, now),
            tag => u8::try_from(tag.unwrap_or(0))
                .is_ok_and(|index| self.set(Kind::GptArray, index, value, now)),
        }
    }

    /// Remembers the server of a `stick store` or `stick on` rule.
    pub fn set_server(&self, number: u32, name: &Arc<str>, now: Moment) {
        let mut data = self.data.lock();
        if let Some(slot) = self.layout.slot(Kind::ServerId) {
            data.values[slot.at] = number.into();
        }
        data.server = Some(Arc::clone(name));
        drop(data);
        self.touch(now);
    }

    /// The server's number and name, when one was stored.
    pub fn server(&self) -> Option<(u32, Option<Arc<str>>)> {
        let slot = self.layout.slot(Kind::ServerId);
        let data = self.data.lock();
        let number = slot.map_or(0, |slot| data.values[slot.at]) as u32;
        (number != 0 || data.server.is_some()).then(|| (number, data.server.clone()))
    }

    /// How many sessions track it.
    pub fn trackers(&self) -> u32 {
        self.trackers.load(Relaxed)
    }

    /// Postpones its expiry.
    pub fn touch(&self, now: Moment) {
        if self.touched.load(Relaxed) < now.0 {
            self.touched.store(now.0, Relaxed);
        }
    }

    /// When it was last updated or refreshed.
    pub fn touched(&self) -> Moment {
        Moment(self.touched.load(Relaxed))
    }

    /// Milliseconds until it expires, when untouched entries live `lifetime` milliseconds.
    pub fn remaining(&self, lifetime: u64, now: Moment) -> u64 {
        self.touched().after(lifetime).since(now)
    }

    pub(super) fn is_expired(&self, lifetime: Option<u64>, now: Moment) -> bool {
        self.trackers() == 0 && lifetime.is_some_and(|whole| self.remaining(whole, now) == 0)
    }

    pub(super) fn start_tracking(&self, now: Moment) {
        self.trackers.fetch_add(1, Relaxed);
        let mut data = self.data.lock();
        self.add_to(&mut data, Kind::ConnCur, 0, 1);
        self.add_to(&mut data, Kind::ConnCnt, 0, 1);
        self.add_to_rate(&mut data, Kind::ConnRate, 0, 1, now);
        drop(data);
        self.touch(now);
    }

    pub(super) fn stop_tracking(&self, now: Moment) {
        if let Some(slot) = self.layout.slot(Kind::ConnCur) {
            let mut data = self.data.lock();
            data.values[slot.at] = data.values[slot.at].saturating_sub(1);
        }
        self.touch(now);
        self.trackers.fetch_sub(1, Relaxed);
    }

    /// Copies the data that another entry stores too, as far as it fits.
    pub(super) fn copy_from(&self, other: &Self) {
        let theirs = other.data.lock();
        let mut ours = self.data.lock();
        for slot in self.layout.slots() {
            let Some(source) = other.layout.slot(slot.kind) else {
                continue;
            };
            for element in 0..usize::from(slot.length.min(source.length)) {
                match slot.kind.is_rate() {
                    true if slot.period != source.period => {}
                    true => ours.rates[slot.at + element] = theirs.rates[source.at + element],
                    false if slot.kind == Kind::ConnCur => {}
                    false => ours.values[slot.at + element] = theirs.values[source.at + element],
                }
            }
        }
        ours.server.clone_from(&theirs.server);
        self.touched.store(other.touched.load(Relaxed), Relaxed);
    }

    fn update_connections(&self, now: Moment) -> Option<u64> {
        let value = self.add_to(&mut self.data.lock(), Kind::ConnCnt, 0, 1);
        self.touch(now);
        value
    }

    fn clear_gpc(&self, counter: GeneralCounter, now: Moment) -> Option<u64> {
        let ((kind, index), _) = self.gpc_slots(counter);
        let before = self.value(kind, index, now)?;
        self.set(kind, index, 0, now);
        Some(before)
    }

    /// Where a general purpose counter and its rate are: `gpc0` and `gpc1` are the array's first elements when the table
    /// stores arrays.
    fn gpc_slots(&self, counter: GeneralCounter) -> ((Kind, u8), (Kind, u8)) {
        let array = |index| ((Kind::GpcArray, index), (Kind::GpcRateArray, index));
        let (legacy, legacy_rate, index) = match counter {
            GeneralCounter::Gpc0 => (Kind::Gpc0, Kind::Gpc0Rate, 0),
            GeneralCounter::Gpc1 => (Kind::Gpc1, Kind::Gpc1Rate, 1),
            GeneralCounter::Indexed(index) => return array(u8::try_from(index).unwrap_or(u8::MAX)),
        };
        let (total, rate) = array(index);
        (
            self.layout
                .slot(legacy)
                .map_or(total, |slot| (slot.kind, 0)),
            self.layout
                .slot(legacy_rate)
                .map_or(rate, |slot| (slot.kind, 0)),
        )
    }

    fn add_to(&self, data: &mut Data, kind: Kind, index: u8, amount: u64) -> Option<u64> {
        let slot = self.layout.slot(kind).filter(|slot| index < slot.length)?;
        let value = &mut data.values[slot.at + usize::from(index)];
        *value = wrapped(kind, value.wrapping_add(amount));
        Some(*value)
    }

    fn add_to_rate(
        &self,
        data: &mut Data,
        kind: Kind,
        index: u8,
        amount: u64,
        now: Moment,
    ) -> Option<u64> {
        let slot = self.layout.slot(kind).filter(|slot| index < slot.length)?;
        let rate = &mut data.rates[slot.at + usize::from(index)];
        Some(
            rate.add(amount.min(u32::MAX.into()) as u32, slot.period, now)
                .into(),
        )
    }
}

/// The datum a reading operation reads in a table of this layout.
pub(super) fn readable(layout: &Layout, operation: StickOperation) -> Option<(Slot, u8)> {
    use StickOperation as Op;
    let one = |kind| layout.slot(kind).map(|slot| (slot, 0));
    let element = |kind, at: u8| {
        layout
            .slot(kind)
            .filter(|slot| at < slot.length)
            .map(|slot| (slot, at))
    };
    match operation {
        Op::ServerId => one(Kind::ServerId),
        Op::ConnCnt | Op::UpdateConnCnt => one(Kind::ConnCnt),
        Op::ConnCur => one(Kind::ConnCur),
        Op::ConnRate => one(Kind::ConnRate),
        Op::SessCnt => one(Kind::SessCnt),
        Op::SessRate => one(Kind::SessRate),
        Op::HttpReqCnt => one(Kind::HttpReqCnt),
        Op::HttpReqRate => one(Kind::HttpReqRate),
        Op::HttpErrCnt => one(Kind::HttpErrCnt),
        Op::HttpErrRate => one(Kind::HttpErrRate),
        Op::HttpFailCnt => one(Kind::HttpFailCnt),
        Op::HttpFailRate => one(Kind::HttpFailRate),
        Op::BytesIn => one(Kind::BytesInCnt),
        Op::BytesInRate => one(Kind::BytesInRate),
        Op::BytesOut => one(Kind::BytesOutCnt),
        Op::BytesOutRate => one(Kind::BytesOutRate),
        Op::GlitchCnt => one(Kind::GlitchCnt),
        Op::GlitchRate => one(Kind::GlitchRate),
        Op::Gpt0 => one(Kind::Gpt0).or_else(|| element(Kind::GptArray, 0)),
        Op::Gpt(at) => element(Kind::GptArray, at),
        Op::Gpc0 | Op::ClearGpc0 => one(Kind::Gpc0).or_else(|| element(Kind::GpcArray, 0)),
        Op::Gpc1 | Op::ClearGpc1 => one(Kind::Gpc1).or_else(|| element(Kind::GpcArray, 1)),
        Op::Gpc(at) | Op::ClearGpc(at) => element(Kind::GpcArray, at),
        Op::Gpc0Rate => one(Kind::Gpc0Rate).or_else(|| element(Kind::GpcRateArray, 0)),
        Op::Gpc1Rate => one(Kind::Gpc1Rate).or_else(|| element(Kind::GpcRateArray, 1)),
        Op::GpcRate(at) => element(Kind::GpcRateArray, at),
        Op::IncrementGpc0 => readable(layout, Op::Gpc0).or_else(|| readable(layout, Op::Gpc0Rate)),
        Op::IncrementGpc1 => readable(layout, Op::Gpc1).or_else(|| readable(layout, Op::Gpc1Rate)),
        Op::IncrementGpc(at) => {
            readable(layout, Op::Gpc(at)).or_else(|| readable(layout, Op::GpcRate(at)))
        }
        Op::Exists | Op::Trackers | Op::Expire | Op::Idle => None,
    }
}

/// Counters are 32 bits wide, but for byte counts (manual §11.1).
const fn wrapped(kind: Kind, value: u64) -> u64 {
    match kind {
        Kind::BytesInCnt | Kind::BytesOutCnt => value,
        _ => value as u32 as u64,
    }
}
