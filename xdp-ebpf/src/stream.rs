//! Programs of `cargo xtask bench wire`: one that makes packets, and the least that can be done with one.
//!
//! [`generate`] is run by `BPF_PROG_TEST_RUN` in its mode of live frames: what it makes really leaves the device it is run
//! for. The kernel hands out the same few frames again and again with whatever their receivers made of them, so all of a
//! packet's headers are written anew each time. Nothing here is part of the product.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "maps and raw packet access are what this file is for"
)]

use core::ptr;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;

/// Words at the front of the frame that are written: Ethernet, IPv4 and UDP headers, and what follows.
const WORDS: usize = 6;

/// Those words; then how many sources there are, less one (a power of two less one); then the sum of the IPv4 header's
/// words with neither checksum nor source address.
#[map(name = "stream")]
static STREAM: Array<[u64; WORDS + 2]> = Array::with_max_entries(1, 0);
#[map(name = "made")]
static MADE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Makes the next packet and sends it.
#[xdp]
pub(crate) fn generate(context: XdpContext) -> u32 {
    match write(&context) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_ABORTED,
    }
}

/// Drops everything.
#[xdp]
pub(crate) fn discard(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Sends everything back as it came.
#[xdp]
pub(crate) fn reflect(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
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
    let sum = stream[WORDS + 1] as u32 + (address >> 16) + (address & 0xffff);
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
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
/// Where things are in a frame of IPv4 without options.
const CHECKSUM: usize = 24;
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is reachable: the verifier would refuse the endless loop.
    loop {}
}

// SAFETY: nothing else has this name or lives in this section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
