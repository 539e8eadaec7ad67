//! The XDP program of tidegate.
//!
//! Everything it decides is in `tidegate-common`; here are only the maps, the access to the frame, and the translation of
//! a verdict into what the driver understands.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![deny(unsafe_code)]

mod access;
mod capture;
mod stack;
mod tables;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use tidegate_common::decap::{Outcome, decapsulate};
use tidegate_common::decide::{careful, quick};
use tidegate_common::frame::Tables;
use tidegate_common::verdict::Verdict;

use crate::access::Packet;
use crate::tables::Maps;

/// Runs for every frame of every interface it is attached to.
#[xdp]
#[inline(always)]
pub(crate) fn tidegate(context: XdpContext) -> u32 {
    let Some(tables) = Maps::of(&context) else {
        return xdp_action::XDP_PASS;
    };
    // Frames that somebody wants to see are all decided where it is known whose they are.
    if capture::asked(tables.config).is_some() {
        return thorough(context.ctx);
    }
    match quick(&mut Packet::new(&context), &tables, act) {
        Some(code) => code,
        None => thorough(context.ctx),
    }
}

/// What is left for all other frames. A function of its own, so that the frames that come most need neither its stack nor
/// its registers.
#[inline(never)]
fn thorough(context: *mut xdp_md) -> u32 {
    let context = XdpContext::new(context);
    let (Some(work), Some(tables)) = (tables::work(), Maps::of(&context)) else {
        return xdp_action::XDP_PASS;
    };
    let asked = capture::asked(tables.config);
    if asked.is_some() {
        work.forget_origin();
    }
    let verdict = careful(&mut Packet::new(&context), &tables, work);
    if let Some(filter) = asked {
        capture::show(&context, filter, verdict, work, tables.now());
    }
    act(verdict)
}

/// Carries a verdict out.
#[inline(always)]
fn act(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Transmit => xdp_action::XDP_TX,
        Verdict::Redirect(interface) => tables::redirect(interface),
        Verdict::Reply { reason, service } => {
            tables::count_drop(service, reason);
            xdp_action::XDP_TX
        }
        Verdict::Drop { reason, service } => {
            tables::count_drop(service, reason);
            xdp_action::XDP_DROP
        }
    }
}

/// Takes packets out of tunnels, on a server behind `forward ipip` or `forward gue`; a program of its own.
#[xdp]
pub(crate) fn decap(context: XdpContext) -> u32 {
    let mut packet = Packet::new(&context);
    let Some(endings) = tables::endings() else {
        return xdp_action::XDP_PASS;
    };
    let outcome = decapsulate(&mut packet, endings);
    tables::count_decapped(outcome);
    match outcome {
        Outcome::Passed | Outcome::Taken { .. } => xdp_action::XDP_PASS,
        Outcome::Refused => xdp_action::XDP_DROP,
    }
}

/// Answers with the kernel's clock as the program above reads it; userspace runs it by hand to set its own by.
#[xdp]
pub(crate) fn clock(context: XdpContext) -> u32 {
    Maps::of(&context).map_or(0, |tables| tables.now().0)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No panic is reachable: the verifier would refuse the endless loop.
    loop {}
}

#[expect(unsafe_code, reason = "the name and section the kernel looks for")]
// SAFETY: nothing else has this name or lives in this section.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
