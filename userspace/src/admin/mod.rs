//! How people and programs look at and change the running process.

pub mod stats;
