//! Commands about caches.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Answer, Call, Command};
use crate::model::{CACHE_BLOCK, Level};
use crate::state::{Encodings, Vary};

pub(super) const COMMANDS: &[Command] = &[Command {
    words: &["show", "cache"],
    usage: "show cache",
    doc: "show the caches and what is in them",
    level: Level::User,
    run: show,
}];

fn show(call: &mut Call<'_>) -> Answer {
    let mut text = String::new();
    for cache in call.running().state.caches() {
        let (free, entries) = cache.show();
        let pointer = Arc::as_ptr(cache);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "{pointer:p}: {} (shctx:{pointer:p}, available blocks:{free})",
            cache.settings().name
        );
        for shown in entries {
            let entry = &shown.entry;
            let left = entry.expires.0 as i64 - call.now.0 as i64;
            let _ = writeln!(
                text,
                "{:p} hash:{} vary:0x{:016x} size:{} ({} blocks), refcount:{}, expire:{}, type:{}",
                Arc::as_ptr(entry),
                entry.hash,
                entry.vary.as_ref().map_or(0, secondary_hash),
                entry.size(),
                entry.size().div_ceil(CACHE_BLOCK),
                shown.users,
                left / 1000,
                if entry.hints_only { "hints" } else { "full" },
            );
        }
    }
    Answer::Output(text)
}

/// A number that tells variants apart.
fn secondary_hash(vary: &Vary) -> u64 {
    let hash = |value: &Option<Box<[u8]>>| value.as_deref().map_or(0, xxhash_rust::xxh3::xxh3_64);
    let Encodings(encodings) = vary.encodings.unwrap_or_default();
    (u64::from(encodings) << 48) ^ hash(&vary.referer) ^ hash(&vary.origin).rotate_left(16)
}
