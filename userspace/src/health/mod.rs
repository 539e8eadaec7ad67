//! Health checks: whether servers can take traffic.

mod announce;
mod automaton;
mod life;
mod schedule;

pub use announce::Cause;
pub use automaton::{Change, Health, Limits};
pub use life::{Life, Mode};
