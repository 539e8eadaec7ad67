//! The machine's TCP stack, asked about segments that have not reached it yet; one of the places with `unsafe`.
//!
//! Input are headers in memory of their own, as `tidegate_common::cookie` copies them; output is what the stack says. A
//! listener for which a cookie was made remembers that it did, and only therefore takes its acknowledgement.
#![expect(unsafe_code, reason = "helpers are what this file is for")]

use core::arch::asm;
use core::ffi::c_void;

use aya_ebpf::helpers::{
    bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_check_syncookie, bpf_tcp_gen_syncookie,
};
use aya_ebpf::programs::XdpContext;
use tidegate_common::cookie::{Admission, Headers};

/// A cookie for a SYN with these headers, if somebody listens and the stack gives any.
#[inline(always)]
pub(crate) fn cookie(
    context: &XdpContext,
    headers: &Headers,
    is_v4: bool,
    length: u16,
) -> Option<u32> {
    let length = bounded(length)?;
    let answer = with_socket(context, headers, is_v4, |socket| {
        let (network, size) = network(headers, is_v4);
        // SAFETY: all three point to what they should, and the sizes lie within `Headers`.
        unsafe { bpf_tcp_gen_syncookie(socket, network, size, transport(headers).cast(), length) }
    })?;
    if answer < 0 {
        None
    } else {
        Some(answer as u32)
    }
}

/// What the stack says of an acknowledgement.
#[inline(always)]
pub(crate) fn admission(
    context: &XdpContext,
    headers: &Headers,
    is_v4: bool,
    length: u16,
) -> Admission {
    let Some(length) = bounded(length) else {
        return Admission::Known;
    };
    let answer = with_socket(context, headers, is_v4, |socket| {
        let (network, size) = network(headers, is_v4);
        // SAFETY: as above.
        unsafe { bpf_tcp_check_syncookie(socket, network, size, transport(headers).cast(), length) }
    });
    match answer {
        Some(0) => Admission::Proven,
        None | Some(NO_LISTENER) => Admission::Known,
        Some(_) => Admission::Forged,
    }
}

/// Asks about the socket that would get a segment with these headers, if there is one.
#[inline(always)]
fn with_socket<R>(
    context: &XdpContext,
    headers: &Headers,
    is_v4: bool,
    ask: impl FnOnce(*mut c_void) -> R,
) -> Option<R> {
    // Both addresses and both ports, one behind the other: `struct bpf_sock_tuple`.
    let (at, size) = if is_v4 { (32, 12) } else { (8, 36) };
    // SAFETY: the offsets lie within `Headers`, and the context is the one the kernel gave us.
    let socket = unsafe {
        let tuple = bytes(headers).add(at);
        bpf_skc_lookup_tcp(context.ctx.cast(), tuple.cast(), size, CURRENT, 0)
    };
    if socket.is_null() {
        return None;
    }
    let answer = ask(socket.cast());
    // SAFETY: the lookup gave us a reference, and this is the only place that gives it back.
    unsafe { bpf_sk_release(socket.cast()) };
    Some(answer)
}

/// The length of a TCP header as the verifier can follow it.
#[inline(always)]
fn bounded(length: u16) -> Option<u32> {
    let mut length = length as u64;
    // SAFETY: one instruction on a number.
    unsafe { asm!("{length} &= 63", length = inout(reg) length, options(pure, nomem, nostack)) };
    if length < 20 {
        None
    } else {
        Some(length as u32)
    }
}

#[inline(always)]
fn network(headers: &Headers, is_v4: bool) -> (*mut c_void, u32) {
    let (at, size) = if is_v4 { (20, 20) } else { (0, 40) };
    // SAFETY: the offset lies within `Headers`.
    (unsafe { bytes(headers).add(at) }.cast(), size)
}

#[inline(always)]
fn transport(headers: &Headers) -> *mut u8 {
    // SAFETY: the offset lies within `Headers`.
    unsafe { bytes(headers).add(40) }
}

/// The helpers only read, whatever their types say.
#[inline(always)]
fn bytes(headers: &Headers) -> *mut u8 {
    core::ptr::from_ref(headers).cast_mut().cast()
}

/// `BPF_F_CURRENT_NETNS`: that of the interface the frame came in through.
const CURRENT: u64 = u64::MAX;
/// `-EINVAL`: the socket is no listener.
const NO_LISTENER: i64 = -22;
