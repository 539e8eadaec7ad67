//! The frame under the XDP context; one of the two places with `unsafe`.
//!
//! Every access compares its end with the end of the frame first, and the offset with a constant before that: with both
//! the verifier can follow. Nothing here knows what the bytes mean.
#![expect(unsafe_code, reason = "raw packet access is what this file is for")]

use core::arch::asm;

use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use tidegate_common::frame::{Frame, MAX_OFFSET};

/// The frame of one program run.
pub(crate) struct Packet<'a> {
    context: &'a XdpContext,
}

impl<'a> Packet<'a> {
    #[inline(always)]
    pub(crate) fn new(context: &'a XdpContext) -> Self {
        Self { context }
    }

    /// The address of `N` bytes at `at`, if the frame has them.
    #[inline(always)]
    fn bytes<const N: usize>(&self, mut at: usize) -> Option<*mut [u8; N]> {
        // SAFETY: one instruction that bounds the offset where the verifier can see it and the compiler cannot take it out;
        // no parsed header begins beyond `MAX_OFFSET`.
        unsafe {
            asm!("{at} &= {max}", at = inout(reg) at, max = const MAX_OFFSET, options(pure, nomem, nostack))
        };
        let begin = self.context.data() + at;
        let mut end = begin;
        // SAFETY: one addition. Left to the compiler, `begin + 1 > end` becomes `begin >= end`, which is as good but not
        // what the verifier looks for.
        unsafe {
            asm!("{end} += {n}", end = inout(reg) end, n = const N, options(pure, nomem, nostack))
        };
        if end > self.context.data_end() {
            return None;
        }
        Some(begin as *mut [u8; N])
    }
}

impl Packet<'_> {
    /// The address of the first `N` bytes, if the frame has them.
    #[inline(always)]
    fn first<const N: usize>(&self) -> Option<*mut [u8; N]> {
        let begin = self.context.data();
        // SAFETY: no frame is at address zero; a reference, which is none there, would be asked for that.
        unsafe { core::hint::assert_unchecked(begin != 0) };
        let mut end = begin;
        // SAFETY: one addition, for the reason given above.
        unsafe {
            asm!("{end} += {n}", end = inout(reg) end, n = const N, options(pure, nomem, nostack))
        };
        if end > self.context.data_end() {
            return None;
        }
        Some(begin as *mut [u8; N])
    }
}

/// Zero, which neither compiler nor verifier know: it is in memory that userspace might write.
static mut ZERO: usize = 0;

impl Frame for Packet<'_> {
    #[inline(always)]
    fn length(&self) -> usize {
        let mut length = self.context.data_end();
        // SAFETY: one subtraction. Left to the compiler, it is made of halves of the addresses where the result is known to
        // be small, which the verifier forbids.
        unsafe {
            asm!("{end} -= {begin}", end = inout(reg) length, begin = in(reg) self.context.data(), options(pure, nomem, nostack))
        };
        length
    }

    #[inline(always)]
    fn interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn load<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        // SAFETY: `bytes` has checked that all of them lie within the frame, which is ours for this run.
        self.bytes(at)
            .map(|bytes| unsafe { bytes.read_unaligned() })
    }

    #[inline(always)]
    fn front<const N: usize>(&self) -> Option<&[u8; N]> {
        // SAFETY: `first` has checked that the bytes lie within the frame, which is ours for this run and does not move as
        // long as it is borrowed.
        self.first().map(|bytes| unsafe { &*bytes })
    }

    #[inline(always)]
    fn front_mut<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        // SAFETY: as in `front`; the borrow is the only one.
        self.first().map(|bytes| unsafe { &mut *bytes })
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, at: usize, new: [u8; N]) -> Option<()> {
        // SAFETY: as in `load`.
        self.bytes(at)
            .map(|bytes| unsafe { bytes.write_unaligned(new) })
    }

    #[inline(always)]
    fn hide(&self, mut value: usize) -> usize {
        // SAFETY: the static is never written, though whoever reads it cannot know that; the instruction has no other
        // effect than on `value`.
        unsafe {
            let zero = core::ptr::read_volatile(&raw const ZERO);
            asm!("{value} ^= {zero}", value = inout(reg) value, zero = in(reg) zero, options(pure, nomem, nostack));
        }
        value
    }

    #[inline(always)]
    fn cut_back(&mut self, length: usize) -> Option<()> {
        // Hidden, or the compiler subtracts halves of addresses, which the verifier forbids.
        let surplus = self.hide(self.length()) as i32 - length as i32;
        if surplus < 0 {
            return None;
        }
        // SAFETY: as below.
        match unsafe { bpf_xdp_adjust_tail(self.context.ctx, -surplus) } {
            0 => Some(()),
            _ => None,
        }
    }

    #[inline(always)]
    fn cut_front(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: the context is the one the kernel gave us; all addresses are read from it anew afterwards.
        match unsafe { bpf_xdp_adjust_head(self.context.ctx, bytes) } {
            0 => Some(()),
            _ => None,
        }
    }
}
