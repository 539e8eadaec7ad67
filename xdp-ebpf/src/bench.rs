//! Programs of `cargo xtask bench l4`: one that puts the frame back before each turn of the program under test, and the
//! map lookups that program is compared with.
//!
//! `BPF_PROG_TEST_RUN` repeats a program on one frame and does not put it back in between. [`restore`] does: it undoes a
//! longer head, writes the first bytes anew with another source each time, and calls what is in [`TARGET`]. Nothing here
//! is part of the product.
#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "maps, helpers and raw packet access are what this file is for"
)]

use core::hint::black_box;
use core::ptr;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, LpmTrie, LruHashMap, PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;
use tidegate_common::hash::mix;

/// Words at the front of the frame that are written anew.
const WORDS: usize = 10;

/// What the next runs look like.
#[repr(C)]
#[derive(Clone, Copy)]
struct Template {
    /// The front of the frame.
    head: [u64; WORDS],
    /// Length of the whole frame.
    length: u64,
    /// Where the source address is (its last four bytes), or 0: the source stays as it is.
    address_at: u64,
    /// How sources are chosen: see [`source`].
    order: u64,
    /// How many different sources there are, less one: a power of two less one.
    mask: u64,
}

/// Sources one after the other.
const SEQUENTIAL: u64 = 0;
/// Sources in an order without one.
const RANDOM: u64 = 1;

#[map(name = "target")]
static TARGET: ProgramArray = ProgramArray::with_max_entries(1, 0);
#[map(name = "template")]
static TEMPLATE: Array<Template> = Array::with_max_entries(1, 0);
#[map(name = "serial")]
static SERIAL: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
#[map(name = "lru")]
static LRU: LruHashMap<[u8; 16], u64> = LruHashMap::with_max_entries(1 << 20, 0);
#[map(name = "trie")]
static TRIE: LpmTrie<[u8; 4], u64> = LpmTrie::with_max_entries(1 << 20, 1);

/// Puts the frame back and calls the program under test.
#[xdp]
pub(crate) fn restore(context: XdpContext) -> u32 {
    if prepare(&context).is_some() {
        // SAFETY: the program in the map is an XDP program too; on success this does not come back.
        unsafe { TARGET.tail_call(&context, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// The program under test that does nothing.
#[xdp]
pub(crate) fn nothing(_: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// One lookup in an LRU hash.
#[xdp]
pub(crate) fn lru_hit(context: XdpContext) -> u32 {
    match key(&context).and_then(|key| LRU.get_ptr(&key)) {
        Some(_) => xdp_action::XDP_TX,
        None => xdp_action::XDP_DROP,
    }
}

/// One insertion into an LRU hash, with an eviction when it is full.
#[xdp]
pub(crate) fn lru_insert(context: XdpContext) -> u32 {
    match key(&context).map(|key| LRU.insert(&key, &0, 0)) {
        Some(Ok(())) => xdp_action::XDP_TX,
        _ => xdp_action::XDP_DROP,
    }
}

/// One lookup in a trie of prefixes.
#[xdp]
pub(crate) fn trie_lookup(context: XdpContext) -> u32 {
    let Some(address) = at::<4>(&context, IPV4_SOURCE) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: the address was checked to lie within the frame.
    let key = Key::new(32, unsafe { ptr::read_unaligned(address) });
    match TRIE.get(&key) {
        Some(_) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn prepare(context: &XdpContext) -> Option<()> {
    let template = TEMPLATE.get(0)?;
    // Left to the compiler, a number of unknown size would be added to a packet's address, which the verifier forbids.
    let length = black_box((context.data_end() - context.data()) as i64);
    let longer = length - template.length as i64;
    // Also where it is as long as it was: the wrapper costs the same behind every program, and less it cancels out.
    // SAFETY: the context is the one the kernel gave us; addresses are read from it anew afterwards.
    if unsafe { bpf_xdp_adjust_head(context.ctx, longer as i32) } != 0 {
        return None;
    }
    let serial = SERIAL.get_ptr_mut(0)?;
    // SAFETY: the value is this CPU's own.
    let number = unsafe {
        *serial += 1;
        *serial
    };
    let head = at::<{ WORDS * 8 }>(context, 0)?.cast::<u64>();
    // Word by word: a copy of all of them would be a loop over bytes.
    let mut word = 0;
    while word < WORDS {
        // SAFETY: the bytes were checked to lie within the frame.
        unsafe { ptr::write_unaligned(head.add(word), template.head[word]) };
        word += 1;
    }
    if template.address_at != 0 {
        let (address, port) = source(number, template.order, template.mask);
        // Both families have the source address before the destination address, and the source port right behind.
        let (address_at, port_at) = match template.address_at {
            IPV4_SOURCE_WORD => (at::<4>(context, IPV4_SOURCE)?, at::<2>(context, 34)?),
            _ => (at::<4>(context, 34)?, at::<2>(context, 54)?),
        };
        // SAFETY: both were checked to lie within the frame.
        unsafe {
            ptr::write_unaligned(address_at, address);
            ptr::write_unaligned(port_at, port);
        }
    }
    Some(())
}

/// Source number `number`: 2^30 addresses from 16.0.0.0 on, each with one port. The multiplication makes neighbours in
/// number no neighbours in memory.
#[inline(always)]
fn source(number: u64, order: u64, mask: u64) -> ([u8; 4], [u8; 2]) {
    let index = match order {
        SEQUENTIAL => number,
        RANDOM => mix(number),
        _ => 0,
    } & mask;
    let scattered = index.wrapping_mul(2_654_435_761);
    let address = 0x1000_0000 + (scattered as u32 & 0x3fff_ffff);
    (
        address.to_be_bytes(),
        (1024 + (scattered >> 8) as u16 % 60_000).to_be_bytes(),
    )
}

/// Addresses and ports of an IPv4 packet without options, padded.
#[inline(always)]
fn key(context: &XdpContext) -> Option<[u8; 16]> {
    let ends = at::<12>(context, IPV4_SOURCE)?;
    let mut key = [0; 16];
    // SAFETY: the twelve bytes were checked to lie within the frame.
    let ends = unsafe { ptr::read_unaligned(ends) };
    key[..12].copy_from_slice(&ends);
    Some(key)
}

/// The address of `N` bytes at a constant offset, if the frame has them.
#[inline(always)]
fn at<const N: usize>(context: &XdpContext, offset: usize) -> Option<*mut [u8; N]> {
    let begin = context.data() + offset;
    if begin + N > context.data_end() {
        return None;
    }
    Some(begin as *mut [u8; N])
}

/// Where the source address of an IPv4 packet is.
const IPV4_SOURCE: usize = 26;
const IPV4_SOURCE_WORD: u64 = IPV4_SOURCE as u64;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is reachable: the verifier would refuse the endless loop.
    loop {}
}

// SAFETY: nothing else has this name or lives in this section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
