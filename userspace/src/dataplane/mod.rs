//! MODEL → KERNEL: everything that knows the word "XDP".
pub mod attach;
pub mod neighbours;
pub mod netlink;
pub mod pins;

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the integration tests, which use other parts of it"
)]
#[path = "../../../tests/support/netns.rs"]
mod netns;
