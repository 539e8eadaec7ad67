//! Health checks: whether servers can take traffic, and everything that happens when that changes.
//!
//! [`run`] checks every server of one configuration and reacts to what sessions observe; the Runtime API and the stats page
//! change servers through [`Life`]. Results go to [`crate::state`], to the logs and, as server events, to the kernel's rings.
//! It forwards no traffic and chooses no server.

mod agent;
mod announce;
mod automaton;
mod conclude;
mod conversation;
mod dial;
mod life;
mod resolution;
mod schedule;
mod tasks;

pub use announce::Cause;
pub use automaton::{Change, Health, Limits};
pub use life::{Life, Mode};
pub use tasks::run;

#[cfg(test)]
mod tests;
