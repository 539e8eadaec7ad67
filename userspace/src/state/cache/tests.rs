use std::sync::Arc;

use super::*;
use crate::proto::http::{Head, Version};
use crate::types::Millis;

fn cache(blocks: u64, early_hints: EarlyHints, ratio: u8) -> Arc<Cache> {
    Cache::new(&Arc::new(Settings {
        name: "c".to_owned(),
        total_max_size: blocks * CACHE_BLOCK,
        max_object_size: blocks * CACHE_BLOCK / 2,
        max_age: Millis(60_000),
        process_vary: true,
        max_secondary_entries: 2,
        early_hints,
        hints_ratio: ratio,
    }))
}

fn entry(key: &str, body: usize) -> Entry {
    let mut head = Head::default();
    head.start_response(200, b"OK", Version::Http11);
    Entry {
        key: key.as_bytes().into(),
        hash: 1,
        vary: None,
        head,
        body: vec![b'x'; body].into(),
        hints: Box::default(),
        hints_only: false,
        age: 0,
        stored: Moment::default(),
        expires: Moment::default().after(1000),
    }
}

fn put(cache: &Arc<Cache>, entry: Entry) -> bool {
    let Some(reservation) = cache.reserve(entry.size()) else {
        return false;
    };
    reservation.insert(entry);
    true
}

fn found(cache: &Cache, key: &str) -> &'static str {
    match cache.lookup(key.as_bytes(), &Selecting::default(), Moment::default()) {
        Found::Fresh(_) => "fresh",
        Found::Hints(_) => "hints",
        Found::Nothing => "nothing",
    }
}

#[test]
fn the_least_recently_used_response_makes_room() {
    let cache = cache(10, EarlyHints::Off, 25);
    for key in ["a", "b", "c"] {
        assert!(put(&cache, entry(key, 2500)));
    }
    assert_eq!(found(&cache, "a"), "fresh");
    assert!(put(&cache, entry("d", 2500)));
    assert_eq!(found(&cache, "b"), "nothing");
    assert_eq!(found(&cache, "a"), "fresh");
    assert_eq!(cache.show().0, 1);
}

#[test]
fn what_is_being_received_counts_and_what_is_being_sent_stays() {
    let cache = cache(4, EarlyHints::Off, 25);
    assert!(put(&cache, entry("a", 1500)));
    let Found::Fresh(held) = cache.lookup(b"a", &Selecting::default(), Moment::default()) else {
        panic!("it was put in");
    };
    let mut reservation = cache.reserve(2000).expect("two blocks are left");
    assert!(!reservation.grow_to(3000));
    drop(held);
    assert!(reservation.grow_to(3000));
    assert_eq!(found(&cache, "a"), "nothing");
    drop(reservation);
    assert_eq!(cache.show().0, 4);
}

#[test]
fn hints_stay_when_the_response_goes_up_to_their_share() {
    let cache = cache(20, EarlyHints::On, 10);
    let hinting = |key: &str| Entry {
        hints: Box::from([Box::from(&b"<a>; rel=preload"[..])]),
        ..entry(key, 8000)
    };
    for key in ["a", "b", "c", "d", "e"] {
        assert!(put(&cache, hinting(key)));
    }
    let seen: Vec<_> = ["a", "b", "c", "d", "e"]
        .map(|key| found(&cache, key))
        .into();
    assert_eq!(seen, ["nothing", "hints", "hints", "fresh", "fresh"]);
}

#[test]
fn responses_grow_old_and_are_forgotten() {
    let cache = cache(10, EarlyHints::Off, 25);
    assert!(put(&cache, entry("a", 10)));
    let old = Moment::default().after(1000);
    let looked = cache.lookup(b"a", &Selecting::default(), old);
    assert!(matches!(looked, Found::Nothing));
    cache.forget(b"a");
    assert_eq!(found(&cache, "a"), "nothing");
    assert_eq!(cache.show().0, 10);
}

#[test]
fn variants_live_side_by_side() {
    let cache = cache(10, EarlyHints::Off, 25);
    let variant = |bit: u16, body: usize| Entry {
        vary: Some(Vary {
            encodings: Some(Encodings(bit)),
            referer: None,
            origin: None,
        }),
        ..entry("a", body)
    };
    assert!(put(&cache, variant(1, 10)));
    assert!(put(&cache, variant(2, 20)));
    assert!(put(&cache, variant(2, 30)));
    let length = |accepts: u16| {
        let selecting = Selecting {
            accepts: Accepts(Encodings(accepts)),
            ..Selecting::default()
        };
        match cache.lookup(b"a", &selecting, Moment::default()) {
            Found::Fresh(entry) => entry.body.len(),
            Found::Hints(_) | Found::Nothing => 0,
        }
    };
    assert_eq!((length(1), length(2), length(4)), (10, 30, 0));
    assert!(!cache.has_room_for_variant(b"a", Moment::default()));
}
