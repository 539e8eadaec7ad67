//! How people and programs look at and change the running process: the Runtime API, the statistics page and its forms.
//!
//! In: lines on the sockets of the Runtime API, and requests that sessions found to be for this room. Out: pages and numbers
//! rendered from [`crate::state::fields`], and changes of server states through [`crate::health::Life`]. It keeps no numbers
//! of its own.

pub mod applets;
pub mod cli;
mod lookup;
pub mod stats;
