//! Programs of `cargo xtask bench wire` and `bench flood`: two that make packets, and the least that can be done with one.
//!
//! [`generate`] and [`flood`] are run by `BPF_PROG_TEST_RUN` in its mode of live frames: what they make really leaves the device they
//! are run for. The kernel hands out the same few frames again and again with whatever their receivers made of them, so all of a
//! packet's headers are written anew each time. Nothing here is part of the product.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "maps and raw packet access are what this file is for"
)]

use core::ptr;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use tidegate_common::hash::mix;

/// Words at the front of the frame that are written: Ethernet, IPv4 and UDP headers, and what follows.
const WORDS: usize = 6;

/// Those words; then how many sources there are, less one (a power of two less one); then the sum of the IPv4 header's
/// words with neither checksum nor source address.
#[map(name = "stream")]
static STREAM: Array<[u64; WORDS + 2]> = Array::with_max_entries(1, 0);
#[map(name = "made")]
static MADE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// SYNs that were sent.
#[map(name = "sent")]
static SENT: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Words at the front of a SYN that are written: Ethernet, IPv4 and TCP headers, and two bytes of padding.
const SYN_WORDS: usize = 7;

/// Those words; then the first source address, and the bits in which sources differ from it; then the sum of the IPv4
/// header's words with neither checksum nor source address, and that over the pseudo header and the TCP header without
/// checksum, source and sequence number; then packets a second, and since when, on the kernel's monotonic clock. Two targets
/// take turns; the time is that of the first.
#[map(name = "syns")]
static SYNS: Array<[u64; SYN_WORDS + 6]> = Array::with_max_entries(2, 0);

/// Makes the next packet and sends it.
#[xdp]
pub(crate) fn generate(context: XdpContext) -> u32 {
    match write(&context) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Makes a SYN from nowhere and sends it, if one is due: the kernel runs this as often as it can, and what is dropped here
/// goes nowhere.
#[xdp]
pub(crate) fn flood(context: XdpContext) -> u32 {
    match due().map(|number| write_syn(&context, number)) {
        Some(Some(())) => xdp_action::XDP_TX,
        Some(None) => xdp_action::XDP_ABORTED,
        None => xdp_action::XDP_DROP,
    }
}

/// Drops everything.
#[xdp]
pub(crate) fn discard(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Leaves everything to the stack.
#[xdp]
pub(crate) fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Sends everything back as it came.
#[xdp]
pub(crate) fn reflect(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// The number of the packet that is due, if one is. Who was not let run does not make up for it all at once.
#[inline(always)]
fn due() -> Option<u64> {
    let syns = SYNS.get(0)?;
    let (rate, since) = (syns[SYN_WORDS + 4], syns[SYN_WORDS + 5]);
    // SAFETY: it reads the clock.
    let elapsed = unsafe { bpf_ktime_get_ns() }.wrapping_sub(since);
    let due = (elapsed >> 10).wrapping_mul(rate) / (1_000_000_000 >> 10);
    let made = MADE.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own.
    let number = unsafe { *made };
    if number >= due {
        return None;
    }
    let next = number.max(due.saturating_sub(LATE)) + 1;
    let sent = SENT.get_ptr_mut(0)?;
    // SAFETY: the same.
    unsafe {
        *made = next;
        *sent += 1;
    }
    Some(next)
}

#[inline(always)]
fn write_syn(context: &XdpContext, number: u64) -> Option<()> {
    let syns = SYNS.get(number as u32 & 1)?;
    let random = mix(number.wrapping_add(syns[SYN_WORDS + 5]));
    let address = syns[SYN_WORDS] as u32 | (random as u32 & syns[SYN_WORDS + 1] as u32);
    let port = 1024 + (random >> 32) as u16 % 60_000;
    let sequence = (random >> 20) as u32;
    let source = (address >> 16) + (address & 0xffff);
    let header = folded(syns[SYN_WORDS + 2] as u32 + source);
    let text = (sequence >> 16) + (sequence & 0xffff) + port as u32;
    let segment = folded(syns[SYN_WORDS + 3] as u32 + source + text);
    let begin = context.data();
    if begin + SYN_WORDS * 8 > context.data_end() {
        return None;
    }
    let mut word = 0;
    while word < SYN_WORDS {
        // SAFETY: the bytes were checked to lie within the frame.
        unsafe { ptr::write_unaligned((begin as *mut u64).add(word), syns[word]) };
        word += 1;
    }
    // SAFETY: the same bytes.
    unsafe {
        ptr::write_unaligned((begin + CHECKSUM) as *mut [u8; 2], header.to_be_bytes());
        ptr::write_unaligned((begin + SOURCE) as *mut [u8; 4], address.to_be_bytes());
        ptr::write_unaligned((begin + SOURCE_PORT) as *mut [u8; 2], port.to_be_bytes());
        ptr::write_unaligned((begin + SEQUENCE) as *mut [u8; 4], sequence.to_be_bytes());
        ptr::write_unaligned(
            (begin + SEGMENT_CHECKSUM) as *mut [u8; 2],
            segment.to_be_bytes(),
        );
    }
    Some(())
}

/// A checksum from the sum of few words.
#[inline(always)]
fn folded(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[inline(always)]
fn write(context: &XdpContext) -> Option<()> {
    let stream = STREAM.get(0)?;
    let made = MADE.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own.
    let number = unsafe {
        *made += 1;
        *made
    };
    let index = (number & stream[WORDS]) as u32;
    let address = FIRST_SOURCE + index;
    let port = 1024 + (index % 60_000) as u16;
    let checksum = folded(stream[WORDS + 1] as u32 + (address >> 16) + (address & 0xffff));
    let begin = context.data();
    if begin + WORDS * 8 > context.data_end() {
        return None;
    }
    let mut word = 0;
    while word < WORDS {
        // SAFETY: the bytes were checked to lie within the frame.
        unsafe { ptr::write_unaligned((begin as *mut u64).add(word), stream[word]) };
        word += 1;
    }
    // SAFETY: the same bytes.
    unsafe {
        ptr::write_unaligned((begin + CHECKSUM) as *mut [u8; 2], checksum.to_be_bytes());
        ptr::write_unaligned((begin + SOURCE) as *mut [u8; 4], address.to_be_bytes());
        ptr::write_unaligned((begin + SOURCE_PORT) as *mut [u8; 2], port.to_be_bytes());
    }
    Some(())
}

/// 16.0.0.0.
const FIRST_SOURCE: u32 = 0x1000_0000;
/// SYNs that are made up for.
const LATE: u64 = 128;
/// Where things are in a frame of IPv4 without options.
const CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const SEQUENCE: usize = 38;
const SEGMENT_CHECKSUM: usize = 50;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is reachable: the verifier would refuse the endless loop.
    loop {}
}

// SAFETY: nothing else has this name or lives in this section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
