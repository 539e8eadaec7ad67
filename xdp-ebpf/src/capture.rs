//! Shows frames to userspace while it asks for them; another of the places with `unsafe`.
//!
//! What is wanted, and what a record looks like, is said in `tidegate_common::capture`; here is the ring buffer, and the
//! copying of the frame into it.
#![expect(unsafe_code, reason = "maps and helpers are what this file is for")]

use core::arch::asm;

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_load_bytes};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use aya_ebpf::programs::XdpContext;
use tidegate_common::capture::{Control, Filter, Head, Missed, RING_BYTES, ROOM, Record, numbers};
use tidegate_common::config::Config;
use tidegate_common::decide::Work;
use tidegate_common::tick::Tick;
use tidegate_common::verdict::Verdict;

#[map(name = "capture")]
static CAPTURE: Asked = Asked(Array::with_max_entries(1, BPF_F_MMAPABLE));
#[map(name = "captured")]
static CAPTURED: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);
#[map(name = "missed")]
static MISSED: PerCpuArray<Missed> = PerCpuArray::with_max_entries(1, 0);

/// A mapped array of words.
#[repr(transparent)]
struct Asked(Array<Control>);

// SAFETY: the record is words, which every CPU and userspace read and write whole (see `tidegate_common::word`).
unsafe impl Sync for Asked {}

/// What userspace asks for, if it does.
#[inline(always)]
pub(crate) fn asked(config: &Config) -> Option<Filter> {
    Filter::from_word(config.capture.load())
}

/// Shows a frame, if it is wanted.
#[inline(always)]
pub(crate) fn show(context: &XdpContext, filter: Filter, verdict: Verdict, work: &Work, now: Tick) {
    let Some(control) = CAPTURE.0.get(0) else {
        return;
    };
    let (service, source) = work.origin();
    if !control.wants(filter, verdict, service, source) {
        return;
    }
    let Some(missed) = MISSED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the record is this CPU's own, and nothing interrupts the program on it.
    let missed = unsafe { &mut *missed };
    if filter.sampled {
        if missed.sampled == now.0 as u64 {
            return;
        }
        missed.sampled = now.0 as u64;
    }
    let Some(mut entry) = CAPTURED.reserve::<Record>(0) else {
        missed.frames += 1;
        return;
    };
    let length = (context.data_end() - context.data()) as u32;
    let wanted = filter.bytes as u32;
    let mut bytes = if length < wanted { length } else { wanted };
    // SAFETY: one instruction that bounds the number where the verifier can see it and the compiler cannot take it out.
    unsafe {
        asm!("{bytes} &= {most}", bytes = inout(reg) bytes, most = const ROOM - 1, options(pure, nomem, nostack))
    };
    let (verdict, reason) = numbers(verdict);
    let record = entry.as_mut_ptr();
    // SAFETY: the record was reserved for us, and as many bytes of it are written as fit there.
    let copied = unsafe {
        (*record).head = Head {
            when: bpf_ktime_get_ns(),
            interface: context.ingress_ifindex() as u32,
            length,
            bytes,
            service: service.0,
            verdict,
            reason,
        };
        let to = (&raw mut (*record).frame).cast();
        bytes != 0 && bpf_xdp_load_bytes(context.ctx, 0, to, bytes) == 0
    };
    if copied {
        entry.submit(0);
    } else {
        entry.discard(0);
    }
}
