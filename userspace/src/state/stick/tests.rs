//! Stick tables against HAProxy's rules and against a naive model.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::expr::StickData;
use crate::model::GeneralCounter;
use crate::types::{Millis, TableId};

fn table(size: u32, expire: Option<u64>, data: &[StickData]) -> Table {
    Table {
        id: TableId(0),
        name: "t".to_owned(),
        proxy: None,
        key: TableKeyType::Integer,
        size,
        expire: expire.map(Millis),
        nopurge: false,
        data: data.to_vec(),
    }
}

fn tracked_table(size: u32) -> Arc<StickTable> {
    let data = [StickData::ConnCnt, StickData::ConnCur, StickData::Gpc0];
    Arc::new(StickTable::new(&table(size, Some(1_000), &data)))
}

const fn key(number: u32) -> StickKey {
    StickKey::Integer(number)
}

fn ask(table: &StickTable, number: u32, operation: StickOperation, at: u64) -> StickAnswer {
    table.ask(&key(number), operation, Moment(at))
}

#[test]
fn tracking_counts_connections_and_keeps_the_entry() {
    let table = tracked_table(10);
    let now = clock::now();
    let first = table.track(&key(1), now).expect("room");
    let second = table.track(&key(1), now).expect("room");
    assert_eq!(
        second.ask(StickOperation::ConnCur, now),
        StickAnswer::Value(2)
    );
    assert_eq!(
        second.ask(StickOperation::Trackers, now),
        StickAnswer::Value(2)
    );
    drop(second);
    let late = now.after(60_000);
    table.purge_expired(late);
    assert_eq!(table.used(), 1, "an entry in use does not expire");
    assert_eq!(
        first.ask(StickOperation::ConnCnt, late),
        StickAnswer::Value(2)
    );
    assert_eq!(
        first.ask(StickOperation::ConnCur, late),
        StickAnswer::Value(1)
    );
    drop(first);
    table.purge_expired(late.after(60_000));
    assert_eq!(table.used(), 0);
}

#[test]
fn an_untouched_entry_expires_and_a_lookup_does_not_touch() {
    let table = tracked_table(10);
    ask(&table, 1, StickOperation::IncrementGpc0, 100);
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc0, 1_099),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Expire, 600),
        StickAnswer::Value(500)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc0, 1_100),
        StickAnswer::NoEntry
    );
    assert_eq!(
        ask(&table, 1, StickOperation::IncrementGpc0, 1_200),
        StickAnswer::Value(1)
    );
    assert_eq!(table.used(), 1);
}

#[test]
fn a_full_table_drops_the_entry_untouched_for_longest() {
    let table = tracked_table(2);
    ask(&table, 1, StickOperation::IncrementGpc0, 10);
    ask(&table, 2, StickOperation::IncrementGpc0, 20);
    ask(&table, 1, StickOperation::IncrementGpc0, 30);
    ask(&table, 3, StickOperation::IncrementGpc0, 40);
    assert_eq!(
        ask(&table, 2, StickOperation::Exists, 50),
        StickAnswer::NoEntry
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Exists, 50),
        StickAnswer::Value(1)
    );
    assert_eq!(table.used(), 2);
}

#[test]
fn entries_in_use_are_never_dropped() {
    let table = tracked_table(2);
    let now = clock::now();
    let _first = table.track(&key(1), now).expect("room");
    let second = table.track(&key(2), now).expect("room");
    assert!(table.track(&key(3), now).is_none(), "every entry is in use");
    drop(second);
    assert!(table.track(&key(3), now).is_some());
    assert!(!table.remove(&key(1)), "it is in use");
    assert_eq!(table.used(), 2);
}

#[test]
fn nopurge_refuses_instead_of_dropping_but_reuses_expired_places() {
    let table = StickTable::new(&Table {
        nopurge: true,
        ..table(1, Some(1_000), &[StickData::Gpc0])
    });
    assert_eq!(
        ask(&table, 1, StickOperation::IncrementGpc0, 10),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 2, StickOperation::IncrementGpc0, 20),
        StickAnswer::NoEntry
    );
    assert_eq!(
        ask(&table, 2, StickOperation::IncrementGpc0, 2_000),
        StickAnswer::Value(1)
    );
}

#[test]
fn legacy_counters_name_the_first_elements_of_an_array() {
    let data = [
        StickData::Gpc(2),
        StickData::GpcRate(2, Millis(1_000)),
        StickData::Gpt(1),
    ];
    let table = StickTable::new(&table(10, None, &data));
    assert_eq!(
        ask(&table, 1, StickOperation::IncrementGpc1, 10),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc(1), 10),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc1Rate, 10),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc(2), 10),
        StickAnswer::NotStored
    );
    assert_eq!(
        ask(&table, 1, StickOperation::ClearGpc1, 10),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::Gpc1, 10),
        StickAnswer::Value(0)
    );
    let entry = table.entry(&key(1), Moment(10)).expect("room");
    assert!(entry.set_gpt(None, 5, Moment(10)));
    assert_eq!(
        ask(&table, 1, StickOperation::Gpt0, 10),
        StickAnswer::Value(5)
    );
    assert!(!entry.set_gpt(Some(1), 5, Moment(10)));
}

#[test]
fn a_rate_alone_answers_an_increment() {
    let table = StickTable::new(&table(10, None, &[StickData::Gpc0Rate(Millis(1_000))]));
    ask(&table, 1, StickOperation::IncrementGpc0, 10);
    assert_eq!(
        ask(&table, 1, StickOperation::IncrementGpc0, 10),
        StickAnswer::Value(2)
    );
    assert_eq!(
        ask(&table, 1, StickOperation::ClearGpc0, 10),
        StickAnswer::NotStored
    );
}

#[test]
fn counters_are_32_bits_wide_and_byte_counts_are_not() {
    let table = StickTable::new(&table(10, None, &[StickData::Gpc0, StickData::BytesInCnt]));
    let entry = table.entry(&key(1), Moment(1)).expect("room");
    entry.add_gpc(GeneralCounter::Gpc0, u64::from(u32::MAX), Moment(1));
    assert_eq!(entry.add_gpc(GeneralCounter::Gpc0, 2, Moment(1)), Some(1));
    entry.count(StickEvent::BytesIn, 1 << 40, Moment(1));
    assert_eq!(entry.value(Kind::BytesInCnt, 0, Moment(1)), Some(1 << 40));
}

#[test]
fn the_server_of_an_entry_is_remembered_by_number_and_name() {
    let table = StickTable::new(&table(10, None, &[StickData::ServerId]));
    let entry = table.entry(&key(1), Moment(1)).expect("room");
    assert_eq!(entry.server(), None);
    entry.set_server(3, &Arc::from("s3"), Moment(1));
    assert_eq!(entry.server(), Some((3, Some(Arc::from("s3")))));
    assert_eq!(
        ask(&table, 1, StickOperation::ServerId, 1),
        StickAnswer::Value(3)
    );
}

#[test]
fn a_new_configuration_keeps_the_entries_that_fit() {
    let old = Arc::new(StickTable::new(&table(
        10,
        None,
        &[StickData::Gpc0, StickData::ConnCnt],
    )));
    for number in 1..=4 {
        ask(
            &old,
            number,
            StickOperation::IncrementGpc0,
            u64::from(number) * 10,
        );
    }
    let same = old.succeed(
        &table(3, None, &[StickData::Gpc0, StickData::ConnCnt]),
        Moment(100),
    );
    assert!(Arc::ptr_eq(&old, &same));
    assert_eq!((same.used(), same.size()), (3, 3));
    let other = old.succeed(
        &table(2, None, &[StickData::Gpc0, StickData::Gpt0]),
        Moment(100),
    );
    assert!(!Arc::ptr_eq(&old, &other));
    assert_eq!(other.used(), 2);
    assert_eq!(
        ask(&other, 4, StickOperation::Gpc0, 100),
        StickAnswer::Value(1)
    );
    assert_eq!(
        ask(&other, 2, StickOperation::Gpc0, 100),
        StickAnswer::NoEntry
    );
}

/// What a table of one shard does, said simply.
#[derive(Default)]
struct Naive {
    entries: HashMap<u32, (u64, u64)>,
}

impl Naive {
    fn live(&self, number: u32, at: u64) -> bool {
        self.entries
            .get(&number)
            .is_some_and(|(touched, _)| touched + LIFETIME > at)
    }

    fn increment(&mut self, number: u32, at: u64) -> u64 {
        if !self.live(number, at) {
            self.entries.remove(&number);
            if self.entries.len() == SIZE as usize {
                let oldest = self.entries.iter().min_by_key(|(_, (touched, _))| *touched);
                let oldest = *oldest.expect("the table is full").0;
                self.entries.remove(&oldest);
            }
            self.entries.insert(number, (at, 0));
        }
        let entry = self.entries.get_mut(&number).expect("just made");
        *entry = (at, entry.1 + 1);
        entry.1
    }
}

const SIZE: u32 = 5;
const LIFETIME: u64 = 50;

proptest! {
    #[test]
    fn a_table_behaves_as_the_naive_one(steps in prop::collection::vec((0u32..12, 0u8..4, 1u64..9), 1..300)) {
        let table = StickTable::new(&table(SIZE, Some(LIFETIME), &[StickData::Gpc0]));
        let mut naive = Naive::default();
        let mut at = 1;
        for (number, action, pause) in steps {
            at += pause;
            match action {
                0 | 1 => {
                    let expected = StickAnswer::Value(naive.increment(number, at) as i64);
                    prop_assert_eq!(ask(&table, number, StickOperation::IncrementGpc0, at), expected);
                }
                2 => {
                    let expected = match naive.live(number, at) {
                        true => StickAnswer::Value(naive.entries[&number].1 as i64),
                        false => StickAnswer::NoEntry,
                    };
                    prop_assert_eq!(ask(&table, number, StickOperation::Gpc0, at), expected);
                }
                _ => {
                    table.purge_expired(Moment(at));
                    naive.entries.retain(|_, (touched, _)| *touched + LIFETIME > at);
                }
            }
            prop_assert!(table.used() <= SIZE);
            prop_assert_eq!(table.used() as usize, naive.entries.len());
        }
    }

    #[test]
    fn a_table_shared_by_threads_never_exceeds_its_size(numbers in prop::collection::vec(0u32..5000, 100..400)) {
        let table = Arc::new(StickTable::new(&table(2_048, None, &[StickData::Gpc0])));
        std::thread::scope(|scope| {
            for offset in 0..4 {
                let (table, numbers) = (&table, &numbers);
                scope.spawn(move || {
                    for number in numbers {
                        ask(table, number * 4 + offset, StickOperation::IncrementGpc0, 1);
                        assert!(table.used() <= 2_048);
                    }
                });
            }
        });
        prop_assert_eq!(table.used() as usize, table.entries(Moment(1)).len());
    }
}
