//! What the kernel and the userspace half of tidegate must agree on.
//!
//! Three things live here: the layout of every shared map with the order in which it may be changed ([`maps`]); the
//! arithmetic both sides must do alike (hashes, rings, rates, source tables); and the packet decision itself, as plain
//! functions over two small traits, so that the same code runs in unit tests, in `BPF_PROG_TEST_RUN` and on the wire.
//! There is no map access, helper call, clock, socket or allocation in what the kernel runs; the functions that only
//! userspace needs (they build what the kernel reads) are behind the feature `user`.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

#[cfg(any(feature = "user", test))]
extern crate alloc;

pub mod action;
pub mod address;
pub mod bind;
pub mod capture;
pub mod checksum;
pub mod choice;
pub mod config;
pub mod cookie;
pub mod counters;
pub mod decap;
pub mod decide;
pub mod flow;
pub mod fragment;
pub mod frame;
pub mod hash;
pub mod interface;
pub mod list4;
pub mod list6;
pub mod load;
pub mod maps;
pub mod mark;
#[cfg(any(feature = "user", test))]
pub mod memory;
pub mod nat;
pub mod parse;
mod pod;
pub mod quic;
pub mod rate;
pub mod reply;
pub mod rewrite;
pub mod ring;
pub mod server;
pub mod service;
pub mod source;
pub mod syn;
pub mod tick;
pub mod tunnel;
pub mod verdict;
pub mod word;
