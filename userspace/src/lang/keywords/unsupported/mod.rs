//! Keywords of HAProxy's language that have no meaning here, and those this version cannot do yet.
//!
//! The first are accepted and told of under `-c -V`; the second are refused with what to do instead, so that nobody takes
//! an ignored line for a working one.

mod no_ops;
mod refused;

use super::registry::Sections;
pub(super) use no_ops::NO_OPS;
pub(super) use refused::REFUSED;

/// A keyword with the reason why it has no effect or is refused.
pub(super) type Row = (&'static str, Sections, &'static str);
