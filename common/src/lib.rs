//! What the kernel and the userspace half must agree on.
#![no_std]
