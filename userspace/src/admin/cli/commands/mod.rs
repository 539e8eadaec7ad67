//! What the commands do, by what they are about.

mod backends;
mod caches;
mod client;
mod counters;
mod events;
mod frontends;
mod information;
mod kernel;
pub(super) mod members;
mod patterns;
mod servers;
mod servers_list;
mod sessions;
mod table_entries;
mod tables;
mod tls;
mod tokens;
mod variables;

use super::registry::Command;
use super::{Answer, Call};

/// Every group of commands.
pub(super) const ALL: &[&[Command]] = &[
    backends::COMMANDS,
    caches::COMMANDS,
    client::COMMANDS,
    counters::COMMANDS,
    events::COMMANDS,
    frontends::COMMANDS,
    information::COMMANDS,
    kernel::COMMANDS,
    members::COMMANDS,
    patterns::COMMANDS,
    servers::COMMANDS,
    servers_list::COMMANDS,
    sessions::COMMANDS,
    tables::COMMANDS,
    tls::COMMANDS,
    tokens::COMMANDS,
    variables::COMMANDS,
];

/// A whole number in a range, in HAProxy's words for what is wrong with it.
fn number(word: &str, missing: &str, most: u64) -> Result<u64, String> {
    if word.is_empty() {
        return Err(missing.to_owned());
    }
    match word.parse::<i64>() {
        Ok(value) if (0..=most as i64).contains(&value) => Ok(value as u64),
        Ok(_) => Err("Value out of range.".to_owned()),
        Err(_) => Err(missing.to_owned()),
    }
}
