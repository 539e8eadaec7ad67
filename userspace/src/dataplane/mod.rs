//! MODEL → KERNEL: everything that knows the word XDP.
