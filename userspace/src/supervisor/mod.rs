//! Process life: start, signals, privileges, stop.
//!
//! In: a checked model and what the command line adds to it. Out: a service that runs until it is told to stop. Which
//! sessions it serves and how is the business of the rooms above.

mod background;
mod drops;
mod limits;
mod link;
mod listeners;
pub mod master;
mod predecessor;
mod privileges;
mod serve;
mod sys;
mod worker;

pub use privileges::PrivilegeError;
pub use serve::{Start, StartError, serve};
pub use worker::{Employment, Resignation};
