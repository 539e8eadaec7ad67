//! The source ports NAT may take.
//!
//! Input is the range the kernel takes its own from; output is the larger range beside it. Which of them a flow gets is
//! decided in the kernel.

/// Source ports for NAT: the larger of the two ranges around the one the kernel itself takes ports from. First port and
/// how many.
pub(super) fn free() -> (u16, u16) {
    let text =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text
        .split_whitespace()
        .filter_map(|word| word.parse::<u16>().ok());
    beside(
        numbers.next().unwrap_or(32_768),
        numbers.next().unwrap_or(60_999),
    )
}

fn beside(first: u16, last: u16) -> (u16, u16) {
    let below = first.saturating_sub(LOWEST_PORT);
    let above = u16::MAX - last;
    if below >= above {
        (LOWEST_PORT, below)
    } else {
        (last + 1, above)
    }
}

/// Ports below belong to services.
const LOWEST_PORT: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nat_ports_stay_out_of_the_kernels_own() {
        assert_eq!(beside(32_768, 60_999), (1024, 31_744));
        assert_eq!(beside(1024, 20_000), (20_001, 45_535));
        assert_eq!(beside(1024, 65_535), (1024, 0));
    }
}
