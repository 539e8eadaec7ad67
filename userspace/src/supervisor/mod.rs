//! Process life: start, signals, privileges, stop.
//!
//! In: a checked model and what the command line adds to it. Out: a service that runs until it is told to stop. Which
//! sessions it serves and how is the business of the rooms above.

mod background;
mod limits;
mod listeners;
mod privileges;
mod serve;
mod sys;

pub use privileges::PrivilegeError;
pub use serve::{Start, StartError, serve};
